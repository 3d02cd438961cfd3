//! The orientation of stored pictures, and turning them upright.
//!
//! Pixels are turned after scaling, when there are fewest of them; until then rectangles are converted instead.

use serde::{Deserialize, Serialize};

use crate::options::{Flip, Rotation};

use crate::pixels::error::PixelError;
use crate::pixels::{Plane, Raster, Rect, Samples, Size, buffer};

/// The change that makes a stored picture upright: first its axes are exchanged, then it is mirrored (left to right), then flipped (top to
/// bottom).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orientation {
    transposed: bool,
    mirrored: bool,
    flipped: bool,
}

impl Orientation {
    /// From the EXIF tag 0x0112 (EXIF 2.32, section 4.6.4); values other than 2 to 8 mean upright.
    pub(crate) fn from_exif(tag: u32) -> Self {
        let (transposed, mirrored, flipped) = match tag {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Orientation {
            transposed,
            mirrored,
            flipped,
        }
    }

    /// From the HEIF properties `irot` (degrees counter-clockwise) and then `imir` (0 exchanges top and bottom, 1 exchanges left and
    /// right), ISO/IEC 23008-12 section 6.5 as corrected in 2020; before that, decoders disagreed.
    pub(crate) fn from_heif(rotation: u16, mirror_axis: Option<u8>) -> Self {
        let turned = Orientation::from_exif(match rotation {
            90 => 8,
            180 => 3,
            270 => 6,
            _ => 1,
        });
        match mirror_axis {
            Some(0) => Orientation {
                flipped: !turned.flipped,
                ..turned
            },
            Some(_) => Orientation {
                mirrored: !turned.mirrored,
                ..turned
            },
            None => turned,
        }
    }

    /// The orientation that a URL asks for: flipped first, then rotated clockwise.
    pub(crate) fn asked(flip: Option<Flip>, rotate: Rotation) -> Self {
        let flip = match flip {
            None => 1,
            Some(Flip::Horizontal) => 2,
            Some(Flip::Vertical) => 4,
            Some(Flip::Both) => 3,
        };
        let rotate = match rotate {
            Rotation::Upright => 1,
            Rotation::Clockwise90 => 6,
            Rotation::Clockwise180 => 3,
            Rotation::Clockwise270 => 8,
        };
        Orientation::from_exif(flip).then(Orientation::from_exif(rotate))
    }

    /// The combination of this orientation and then `next`. Mirroring before an exchange of axes is flipping after it.
    pub(crate) fn then(self, next: Orientation) -> Self {
        let (mirrored, flipped) = if next.transposed {
            (self.flipped, self.mirrored)
        } else {
            (self.mirrored, self.flipped)
        };
        Orientation {
            transposed: self.transposed ^ next.transposed,
            mirrored: mirrored ^ next.mirrored,
            flipped: flipped ^ next.flipped,
        }
    }

    /// The inverse change.
    pub(crate) fn inverse(self) -> Self {
        if self.transposed {
            Orientation {
                transposed: true,
                mirrored: self.flipped,
                flipped: self.mirrored,
            }
        } else {
            self
        }
    }

    pub(crate) fn is_upright(self) -> bool {
        self == Orientation::default()
    }

    /// The upright size for a stored size, or the other way round.
    pub(crate) fn size(self, size: Size) -> Size {
        if self.transposed {
            size.transposed()
        } else {
            size
        }
    }

    /// The rectangle of the stored picture for a rectangle of the upright picture, whose size is `upright`.
    pub(crate) fn stored_rect(self, rect: Rect, upright: Size) -> Rect {
        let mut rect = rect;
        if self.flipped {
            rect.top = f64::from(upright.height) - rect.top - rect.height;
        }
        if self.mirrored {
            rect.left = f64::from(upright.width) - rect.left - rect.width;
        }
        if self.transposed {
            rect = Rect {
                left: rect.top,
                top: rect.left,
                width: rect.height,
                height: rect.width,
            };
        }
        rect
    }

    /// Turns pixels upright.
    pub(crate) fn upright(self, raster: Raster) -> Result<Raster, PixelError> {
        if self.is_upright() {
            return Ok(raster);
        }
        let channels = raster.channels.count();
        let samples = match &raster.samples {
            Samples::U8(samples) => Samples::U8(self.turn(samples, raster.size, channels)?),
            Samples::U16(samples) => Samples::U16(self.turn(samples, raster.size, channels)?),
        };
        Ok(Raster {
            size: self.size(raster.size),
            samples,
            ..raster
        })
    }

    /// Turns a plane upright. Subsampled chroma keeps its position only if the luma sides are even: see `keeps_chroma_in_place`.
    pub(crate) fn upright_plane(self, plane: Plane) -> Result<Plane, PixelError> {
        if self.is_upright() {
            return Ok(plane);
        }
        Ok(Plane {
            size: self.size(plane.size),
            samples: self.turn(&plane.samples, plane.size, 1)?,
        })
    }

    /// Whether subsampled chroma planes are in the right position after turning. The last chroma sample of an odd side covers only one luma
    /// sample; after mirroring, it would come first.
    pub(crate) fn keeps_chroma_in_place(self, stored: Size) -> bool {
        self.is_upright() || (stored.width.is_multiple_of(2) && stored.height.is_multiple_of(2))
    }

    fn turn<T: Copy>(
        self,
        samples: &[T],
        stored: Size,
        channels: usize,
    ) -> Result<Vec<T>, PixelError> {
        let mut turned = buffer::with_room(samples.len())?;
        self.turn_into(samples, stored, channels, &mut turned);
        Ok(turned)
    }

    /// Appends the samples of the upright picture to `turned`.
    pub(crate) fn turn_into<T: Copy>(
        self,
        samples: &[T],
        stored: Size,
        channels: usize,
        turned: &mut Vec<T>,
    ) {
        let upright = self.size(stored);
        let (width, height) = (upright.width as usize, upright.height as usize);
        for row in 0..height {
            let y = if self.flipped { height - 1 - row } else { row };
            for column in 0..width {
                let x = if self.mirrored {
                    width - 1 - column
                } else {
                    column
                };
                let pixel = if self.transposed {
                    x * stored.width as usize + y
                } else {
                    y * stored.width as usize + x
                };
                turned.extend_from_slice(&samples[pixel * channels..(pixel + 1) * channels]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
