//! Rasters: interleaved pixels in memory, or decoded row by row.

use std::borrow::Cow;

use crate::pixels::buffer;
use crate::pixels::depth::{eight_bits, to_u8};
use crate::pixels::error::PixelError;
use crate::pixels::rect::Size;

/// The channels of a pixel, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// Amounts of ink: 0 is no ink.
    Cmyk,
}

impl Channels {
    pub(crate) const fn count(self) -> usize {
        match self {
            Channels::Gray => 1,
            Channels::GrayAlpha => 2,
            Channels::Rgb => 3,
            Channels::Rgba | Channels::Cmyk => 4,
        }
    }

    pub(crate) const fn has_alpha(self) -> bool {
        matches!(self, Channels::GrayAlpha | Channels::Rgba)
    }
}

/// Samples of 8 or of 16 bits. Deeper sources (10, 12 bits) are scaled up to 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
}

impl Samples {
    /// The samples as 8 bits. 16-bit samples are rounded, not cut.
    pub(crate) fn into_u8(self) -> Result<Vec<u8>, PixelError> {
        match self {
            Samples::U8(samples) => Ok(samples),
            Samples::U16(samples) => {
                buffer::collected(samples.len(), samples.into_iter().map(to_u8))
            }
        }
    }
}

/// Interleaved pixels, rows without gaps, alpha not premultiplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raster {
    pub size: Size,
    pub channels: Channels,
    pub samples: Samples,
}

impl Raster {
    /// Reads all rows of a picture, in 8 bits.
    pub(crate) fn of(rows: &mut dyn Scanlines) -> Result<Raster, PixelError> {
        let (size, channels) = (rows.size(), rows.channels());
        let mut samples = buffer::with_room(size.len() * channels.count())?;
        for y in 0..size.height as usize {
            samples.extend(rows.row(y).iter().map(|&sample| eight_bits(sample)));
        }
        Ok(Raster {
            size,
            channels,
            samples: Samples::U8(samples),
        })
    }

    pub(crate) fn copy(&self) -> Result<Raster, PixelError> {
        let samples = match &self.samples {
            Samples::U8(samples) => Samples::U8(buffer::copied(samples)?),
            Samples::U16(samples) => Samples::U16(buffer::copied(samples)?),
        };
        Ok(Raster { samples, ..*self })
    }

    /// The samples as 8 bits.
    pub(crate) fn into_u8(self) -> Result<Vec<u8>, PixelError> {
        self.samples.into_u8()
    }

    /// RGB or RGBA samples as RGBA of 8 bits.
    pub(crate) fn into_rgba8(self) -> Result<Vec<u8>, PixelError> {
        if self.channels != Channels::Rgb {
            return self.into_u8();
        }
        let samples = self.into_u8()?;
        let (pixels, _) = samples.as_chunks();
        let colors = pixels
            .iter()
            .flat_map(|&[red, green, blue]| [red, green, blue, u8::MAX]);
        buffer::collected(4 * pixels.len(), colors)
    }

    /// Whether any pixel is not opaque.
    pub(crate) fn is_translucent(&self) -> bool {
        if !self.channels.has_alpha() {
            return false;
        }
        let channels = self.channels.count();
        match &self.samples {
            Samples::U8(samples) => samples
                .iter()
                .skip(channels - 1)
                .step_by(channels)
                .any(|&alpha| alpha < u8::MAX),
            Samples::U16(samples) => samples
                .iter()
                .skip(channels - 1)
                .step_by(channels)
                .any(|&alpha| to_u8(alpha) < u8::MAX),
        }
    }

    /// Removes the alpha channel without blending.
    pub(crate) fn without_alpha(self) -> Result<Raster, PixelError> {
        let kept = match self.channels {
            Channels::GrayAlpha => Channels::Gray,
            Channels::Rgba => Channels::Rgb,
            Channels::Gray | Channels::Rgb | Channels::Cmyk => return Ok(self),
        };
        let channels = self.channels.count();
        let samples = match self.samples {
            Samples::U8(samples) => Samples::U8(drop_last(&samples, channels)?),
            Samples::U16(samples) => Samples::U16(drop_last(&samples, channels)?),
        };
        Ok(Raster {
            size: self.size,
            channels: kept,
            samples,
        })
    }
}

fn drop_last<T: Copy>(samples: &[T], channels: usize) -> Result<Vec<T>, PixelError> {
    let pixels = samples.chunks_exact(channels);
    let length = pixels.len() * (channels - 1);
    buffer::collected(
        length,
        pixels.flat_map(|pixel| pixel[..channels - 1].iter().copied()),
    )
}

/// A picture that is decoded row by row, from top to bottom, in samples from 0 to 1.
pub(crate) trait Scanlines {
    fn size(&self) -> Size;

    fn channels(&self) -> Channels;

    /// A row of interleaved pixels. Rows may be skipped, but must be requested from top to bottom.
    fn row(&mut self, y: usize) -> &[f32];
}

/// Pixels in memory, or row by row.
pub(crate) enum Pixels<'a> {
    Raster(Cow<'a, Raster>),
    Scanlines(&'a mut dyn Scanlines),
}

impl From<Raster> for Pixels<'_> {
    fn from(raster: Raster) -> Self {
        Pixels::Raster(Cow::Owned(raster))
    }
}

impl Pixels<'_> {
    pub(crate) fn size(&self) -> Size {
        match self {
            Pixels::Raster(raster) => raster.size,
            Pixels::Scanlines(rows) => rows.size(),
        }
    }

    pub(crate) fn channels(&self) -> Channels {
        match self {
            Pixels::Raster(raster) => raster.channels,
            Pixels::Scanlines(rows) => rows.channels(),
        }
    }

    /// Whether samples have 16 bits.
    pub(crate) fn is_deep(&self) -> bool {
        match self {
            Pixels::Raster(raster) => matches!(raster.samples, Samples::U16(_)),
            Pixels::Scanlines(_) => false,
        }
    }

    /// All pixels as a raster.
    pub(crate) fn into_raster(self) -> Result<Raster, PixelError> {
        match self {
            Pixels::Raster(Cow::Owned(raster)) => Ok(raster),
            Pixels::Raster(Cow::Borrowed(raster)) => raster.copy(),
            Pixels::Scanlines(rows) => Raster::of(rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Channels;
    use super::Raster;
    use super::Samples;
    use super::Size;

    #[test]
    fn a_nearly_opaque_sixteen_bit_alpha_counts_as_opaque() {
        let raster = |alpha| Raster {
            size: Size::new(1, 1),
            channels: Channels::GrayAlpha,
            samples: Samples::U16(vec![7, alpha]),
        };
        assert!(!raster(65_535).is_translucent());
        assert!(!raster(65_500).is_translucent());
        assert!(raster(65_000).is_translucent());
        assert_eq!(
            raster(3).without_alpha().map(|opaque| opaque.samples),
            Ok(Samples::U16(vec![7]))
        );
    }
}
