//! The orientation of stored pictures, and turning them upright.
//!
//! Pixels are turned after scaling, when there are fewest of them; until then rectangles are converted instead.

use crate::options::Flip;
use crate::options::Rotation;

use crate::pixels::Plane;
use crate::pixels::Raster;
use crate::pixels::Rect;
use crate::pixels::Samples;
use crate::pixels::Size;
use crate::pixels::buffer;
use crate::pixels::error::PixelError;

/// The change that makes a stored picture upright: first its axes are exchanged, then it is mirrored (left to right), then flipped (top to
/// bottom).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    transposed: bool,
    mirrored: bool,
    flipped: bool,
}

impl Orientation {
    /// From the EXIF tag 0x0112 (EXIF 2.32, section 4.6.4); values other than 2 to 8 mean upright.
    pub fn from_exif(tag: u32) -> Self {
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
    pub fn from_heif(rotation: u16, mirror_axis: Option<u8>) -> Self {
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
    pub fn asked(flip: Option<Flip>, rotate: Rotation) -> Self {
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
    pub fn then(self, next: Orientation) -> Self {
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
    pub fn inverse(self) -> Self {
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

    pub fn is_upright(self) -> bool {
        self == Orientation::default()
    }

    /// The upright size for a stored size, or the other way round.
    pub fn size(self, size: Size) -> Size {
        if self.transposed {
            size.transposed()
        } else {
            size
        }
    }

    /// The rectangle of the stored picture for a rectangle of the upright picture, whose size is `upright`.
    pub fn stored_rect(self, rect: Rect, upright: Size) -> Rect {
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
    pub fn upright(self, raster: Raster) -> Result<Raster, PixelError> {
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
    pub fn upright_plane(self, plane: Plane) -> Result<Plane, PixelError> {
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
    pub fn keeps_chroma_in_place(self, stored: Size) -> bool {
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
    pub fn turn_into<T: Copy>(
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
mod tests {
    use super::Flip;
    use super::Orientation;
    use super::Rotation;
    use crate::pixels::Channels;
    use crate::pixels::Raster;
    use crate::pixels::Rect;
    use crate::pixels::Samples;
    use crate::pixels::Size;

    /// Stored forms of the upright picture `123/456`, by EXIF tag.
    const STORED: [(u32, u32, &[u8]); 8] = [
        (1, 3, &[1, 2, 3, 4, 5, 6]),
        (2, 3, &[3, 2, 1, 6, 5, 4]),
        (3, 3, &[6, 5, 4, 3, 2, 1]),
        (4, 3, &[4, 5, 6, 1, 2, 3]),
        (5, 2, &[1, 4, 2, 5, 3, 6]),
        (6, 2, &[3, 6, 2, 5, 1, 4]),
        (7, 2, &[6, 3, 5, 2, 4, 1]),
        (8, 2, &[4, 1, 5, 2, 6, 3]),
    ];

    fn stored(width: u32, samples: &[u8]) -> Raster {
        Raster {
            size: Size::new(width, 6 / width),
            channels: Channels::Gray,
            samples: Samples::U8(samples.to_vec()),
        }
    }

    #[test]
    fn every_exif_orientation_comes_out_upright() {
        for (tag, width, samples) in STORED {
            let upright = Orientation::from_exif(tag).upright(stored(width, samples));
            let expected = stored(3, &[1, 2, 3, 4, 5, 6]);
            assert_eq!(upright, Ok(expected), "orientation {tag}");
        }
    }

    #[test]
    fn a_rectangle_of_the_upright_picture_is_found_in_the_stored_one() {
        // The `6` of the upright picture: right column, lower row.
        let six = Rect {
            left: 2.0,
            top: 1.0,
            width: 1.0,
            height: 1.0,
        };
        for (tag, width, samples) in STORED {
            let Rect { left, top, .. } =
                Orientation::from_exif(tag).stored_rect(six, Size::new(3, 2));
            let found = samples
                .iter()
                .position(|&sample| sample == 6)
                .expect("every stored form has a 6");
            assert_eq!(
                (left, top),
                (
                    (found % width as usize) as f64,
                    (found / width as usize) as f64
                ),
                "orientation {tag}"
            );
        }
    }

    #[test]
    fn heif_rotates_counter_clockwise_and_mirrors_afterwards() {
        for (rotation, mirror, tag) in [
            (0, None, 1),
            (90, None, 8),
            (180, None, 3),
            (270, None, 6),
            (0, Some(0), 4),
            (0, Some(1), 2),
            (90, Some(0), 5),
            (90, Some(1), 7),
            (180, Some(1), 4),
            (270, Some(0), 7),
            (270, Some(1), 5),
        ] {
            assert_eq!(
                Orientation::from_heif(rotation, mirror),
                Orientation::from_exif(tag),
                "{rotation} {mirror:?}"
            );
        }
    }

    #[test]
    fn two_turns_are_one() {
        for (first, ..) in STORED {
            for (second, ..) in STORED {
                let (first, second) = (
                    Orientation::from_exif(first),
                    Orientation::from_exif(second),
                );
                let picture = stored(3, &[1, 2, 3, 4, 5, 6]);
                assert_eq!(
                    first.then(second).upright(picture.clone()),
                    first
                        .upright(picture)
                        .and_then(|turned| second.upright(turned)),
                    "{first:?} then {second:?}"
                );
            }
            let turn = Orientation::from_exif(first);
            assert!(turn.then(turn.inverse()).is_upright(), "{turn:?}");
            assert!(turn.inverse().then(turn).is_upright(), "{turn:?}");
        }
    }

    #[test]
    fn a_url_mirrors_first_and_turns_clockwise() {
        let rows: [(Option<Flip>, Rotation, u32, &[u8]); 6] = [
            (None, Rotation::Upright, 3, &[1, 2, 3, 4, 5, 6]),
            (
                Some(Flip::Horizontal),
                Rotation::Upright,
                3,
                &[3, 2, 1, 6, 5, 4],
            ),
            (
                Some(Flip::Both),
                Rotation::Clockwise180,
                3,
                &[1, 2, 3, 4, 5, 6],
            ),
            (None, Rotation::Clockwise90, 2, &[4, 1, 5, 2, 6, 3]),
            (None, Rotation::Clockwise270, 2, &[3, 6, 2, 5, 1, 4]),
            (
                Some(Flip::Vertical),
                Rotation::Clockwise90,
                2,
                &[1, 4, 2, 5, 3, 6],
            ),
        ];
        for (flip, rotate, width, expected) in rows {
            let made = Orientation::asked(flip, rotate).upright(stored(3, &[1, 2, 3, 4, 5, 6]));
            assert_eq!(made, Ok(stored(width, expected)), "{flip:?} {rotate:?}");
        }
    }

    #[test]
    fn out_of_range_tags_mean_upright() {
        assert!(
            [0, 1, 9, 65_535]
                .into_iter()
                .all(|tag| Orientation::from_exif(tag).is_upright())
        );
    }
}
