//! Pictures in memory: sizes, rectangles, rasters and planes of samples.

pub(crate) mod blur;
pub(crate) mod buffer;
pub(crate) mod canvas;
pub(crate) mod color;
pub(crate) mod effects;
pub(crate) mod error;
pub(crate) mod hdr;
pub(crate) mod orientation;
pub(crate) mod resize;
pub(crate) mod simd;

use std::borrow::Cow;

pub use self::error::PixelError;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// A size from its two sides.
    pub const fn new(width: u32, height: u32) -> Self {
        Size { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// The size with width and height exchanged.
    pub const fn transposed(self) -> Self {
        Size {
            width: self.height,
            height: self.width,
        }
    }

    /// Number of pixels as an index.
    pub(crate) const fn len(self) -> usize {
        self.width as usize * self.height as usize
    }
}

/// A rectangle of source pixels. Its edges may lie inside a pixel: a decode at 1/8 scale of a picture 2725 pixels wide
/// yields 341 samples that stand for 340.625, and resizing from the rounded width would shift the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Distance from the left edge.
    pub left: f64,
    /// Distance from the top edge.
    pub top: f64,
    /// Extent to the right, more than 0.
    pub width: f64,
    /// Extent downwards, more than 0.
    pub height: f64,
}

impl Rect {
    /// The rectangle after scaling, with one factor for each axis.
    pub(crate) fn scaled(self, horizontal: f64, vertical: f64) -> Rect {
        Rect {
            left: self.left * horizontal,
            top: self.top * vertical,
            width: self.width * horizontal,
            height: self.height * vertical,
        }
    }
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelRect {
    /// Distance from the left edge.
    pub left: u32,
    /// Distance from the top edge.
    pub top: u32,
    /// Extent to the right.
    pub width: u32,
    /// Extent downwards.
    pub height: u32,
}

impl PixelRect {
    /// The whole picture.
    pub const fn whole(size: Size) -> Self {
        PixelRect {
            left: 0,
            top: 0,
            width: size.width,
            height: size.height,
        }
    }

    /// The extent alone.
    pub const fn size(self) -> Size {
        Size::new(self.width, self.height)
    }

    /// The same rectangle as a `Rect`.
    pub fn exact(self) -> Rect {
        Rect {
            left: f64::from(self.left),
            top: f64::from(self.top),
            width: f64::from(self.width),
            height: f64::from(self.height),
        }
    }

    /// The part inside a picture, which is empty if the rectangle lies outside.
    pub fn inside(self, size: Size) -> Self {
        let left = self.left.min(size.width);
        let top = self.top.min(size.height);
        PixelRect {
            left,
            top,
            width: self.width.min(size.width - left),
            height: self.height.min(size.height - top),
        }
    }
}

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
    pub const fn count(self) -> usize {
        match self {
            Channels::Gray => 1,
            Channels::GrayAlpha => 2,
            Channels::Rgb => 3,
            Channels::Rgba | Channels::Cmyk => 4,
        }
    }

    pub const fn has_alpha(self) -> bool {
        matches!(self, Channels::GrayAlpha | Channels::Rgba)
    }
}

/// Samples of 8 or of 16 bits. Deeper sources (10, 12 bits) are scaled up to 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
}

/// Interleaved pixels, rows without gaps, alpha not premultiplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raster {
    pub size: Size,
    pub channels: Channels,
    pub samples: Samples,
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
    pub fn size(&self) -> Size {
        match self {
            Pixels::Raster(raster) => raster.size,
            Pixels::Scanlines(rows) => rows.size(),
        }
    }

    pub fn channels(&self) -> Channels {
        match self {
            Pixels::Raster(raster) => raster.channels,
            Pixels::Scanlines(rows) => rows.channels(),
        }
    }

    /// Whether samples have 16 bits.
    pub fn is_deep(&self) -> bool {
        match self {
            Pixels::Raster(raster) => matches!(raster.samples, Samples::U16(_)),
            Pixels::Scanlines(_) => false,
        }
    }

    /// All pixels as a raster.
    pub fn into_raster(self) -> Result<Raster, PixelError> {
        match self {
            Pixels::Raster(Cow::Owned(raster)) => Ok(raster),
            Pixels::Raster(Cow::Borrowed(raster)) => raster.copy(),
            Pixels::Scanlines(rows) => Raster::of(rows),
        }
    }
}

/// One plane of samples, rows without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plane {
    pub size: Size,
    pub samples: Vec<u8>,
}

impl Plane {
    /// A plane with the same value everywhere.
    #[cfg_attr(
        not(feature = "native"),
        allow(dead_code, reason = "the portable encoders take no planes")
    )]
    pub fn filled(size: Size, value: u8) -> Result<Self, PixelError> {
        let samples = buffer::filled(value, size.len())?;
        Ok(Plane { size, samples })
    }

    pub fn copy(&self) -> Result<Self, PixelError> {
        Ok(Plane {
            size: self.size,
            samples: buffer::copied(&self.samples)?,
        })
    }

    /// Halves both axes by averaging squares of four; at odd edges the last sample is repeated.
    pub fn halved(&self) -> Result<Plane, PixelError> {
        let size = Subsampling::Both.chroma_size(self.size);
        let width = self.size.width as usize;
        let mut samples = buffer::with_room(size.len())?;
        for rows in self.samples.chunks(2 * width) {
            let (upper, below) = rows.split_at(width);
            let lower = if below.is_empty() { upper } else { below };
            let (upper, last) = upper.as_chunks::<2>();
            let (lower, last_lower) = lower.as_chunks::<2>();
            let mean = |[a, b]: [u8; 2], [c, d]: [u8; 2]| {
                let sum = [a, b, c, d].map(u16::from).iter().sum::<u16>();
                ((sum + 2) >> 2).to_le_bytes()[0]
            };
            let pairs = upper.iter().zip(lower);
            samples.extend(pairs.map(|(upper, lower)| mean(*upper, *lower)));
            let pairs = last.iter().zip(last_lower);
            samples.extend(pairs.map(|(&upper, &lower)| mean([upper; 2], [lower; 2])));
        }
        Ok(Plane { size, samples })
    }
}

/// Applies `make` to both chroma planes, or to what describes them.
pub(crate) fn of_both<T, U>(
    [cb, cr]: [T; 2],
    make: impl Fn(T) -> Result<U, PixelError>,
) -> Result<[U; 2], PixelError> {
    Ok([make(cb)?, make(cr)?])
}

/// YCbCr planes in full range, BT.601, 8 bits, from sRGB, as the lossy encoders take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planar {
    /// The luma plane, which has the size of the picture.
    pub luma: Plane,
    /// Cb and Cr, both of the same size; `None` for a grey picture.
    pub chroma: Option<[Plane; 2]>,
}

/// Chroma subsampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subsampling {
    /// 4:4:4
    None,
    /// 4:2:0
    Both,
}

impl Subsampling {
    /// Luma samples for each chroma sample on each axis.
    pub const fn factor(self) -> u32 {
        match self {
            Subsampling::None => 1,
            Subsampling::Both => 2,
        }
    }

    /// The size of a chroma plane for a luma plane of size `luma`.
    pub const fn chroma_size(self, luma: Size) -> Size {
        Size::new(
            luma.width.div_ceil(self.factor()),
            luma.height.div_ceil(self.factor()),
        )
    }
}

impl Raster {
    /// Reads all rows of a picture, in 8 bits.
    pub fn of(rows: &mut dyn Scanlines) -> Result<Raster, PixelError> {
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

    pub fn copy(&self) -> Result<Raster, PixelError> {
        let samples = match &self.samples {
            Samples::U8(samples) => Samples::U8(buffer::copied(samples)?),
            Samples::U16(samples) => Samples::U16(buffer::copied(samples)?),
        };
        Ok(Raster { samples, ..*self })
    }

    /// The samples as 8 bits. 16-bit samples are rounded, not cut.
    pub fn into_u8(self) -> Result<Vec<u8>, PixelError> {
        match self.samples {
            Samples::U8(samples) => Ok(samples),
            Samples::U16(samples) => {
                buffer::collected(samples.len(), samples.into_iter().map(to_u8))
            }
        }
    }

    /// RGB or RGBA samples as RGBA of 8 bits.
    pub fn into_rgba8(self) -> Result<Vec<u8>, PixelError> {
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
    pub fn is_translucent(&self) -> bool {
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
    pub fn without_alpha(self) -> Result<Raster, PixelError> {
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

/// Rounds 16 bits to 8: 65535 / 255 = 257.
#[expect(
    clippy::cast_possible_truncation,
    reason = "65535 + 128 over 257 is at most 255"
)]
pub(crate) const fn to_u8(sample: u16) -> u8 {
    ((sample as u32 + 128) / 257) as u8
}

/// Rounds a number from 0 to 255.
#[inline(always)]
pub(crate) fn rounded(value: f32) -> u8 {
    whole_bits(value)[0]
}

/// Rounds a number from 0 to 65535 and returns its bytes, lowest first. Adding 2^23 removes the fraction and leaves the whole number in the
/// low bits, which is one instruction for many numbers; a cast takes several for each.
#[inline(always)]
fn whole_bits(value: f32) -> [u8; 4] {
    (value + 8_388_608.0).to_bits().to_le_bytes()
}

/// Converts a sample from 0 to 1 to 8 bits.
#[inline(always)]
pub(crate) fn eight_bits(part: f32) -> u8 {
    rounded(part * 255.0)
}

/// Converts a sample from 0 to 1 to 16 bits.
#[inline(always)]
pub(crate) fn sixteen_bits(part: f32) -> u16 {
    let [low, high, ..] = whole_bits(part * 65_535.0);
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::Channels;
    use super::Plane;
    use super::Raster;
    use super::Samples;
    use super::Size;
    use super::Subsampling;
    use super::to_u8;

    #[test]
    fn sixteen_bits_round_to_the_nearest_eight() {
        for (deep, shallow) in [
            (0, 0),
            (128, 0),
            (129, 1),
            (257, 1),
            (65_535, 255),
            (65_406, 254),
            (65_407, 255),
        ] {
            assert_eq!(to_u8(deep), shallow, "{deep}");
        }
        assert!((0..=255u8).all(|value| to_u8(u16::from(value) * 257) == value));
    }

    #[test]
    fn chroma_of_odd_sizes_rounds_up() {
        assert_eq!(
            Subsampling::Both.chroma_size(Size::new(5, 4)),
            Size::new(3, 2)
        );
        assert_eq!(
            Subsampling::None.chroma_size(Size::new(5, 4)),
            Size::new(5, 4)
        );
    }

    #[test]
    fn odd_edges_repeat_when_halved() {
        let plane = Plane {
            size: Size::new(3, 3),
            samples: vec![0, 4, 8, 0, 4, 8, 40, 40, 80],
        };
        assert_eq!(
            plane.halved(),
            Ok(Plane {
                size: Size::new(2, 2),
                samples: vec![2, 8, 40, 80]
            })
        );
    }

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
