//! What a decoder returns: the header of a source, its pixels, and the scale at which they were decoded.

use std::num::TryFromIntError;

use serde::{Deserialize, Serialize};

use crate::codecs::TransformError;
use crate::codecs::sniff::SourceFormat;
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Raster, Size};

/// What the header of a source says, before its pixels are decoded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub format: SourceFormat,
    /// The size as stored, before orientation. Both sides are at least 1.
    pub size: Size,
    pub orientation: Orientation,
    /// Memory for each decoded pixel during the decode, in bytes.
    pub bytes_per_pixel: u64,
    /// Additional memory for each stored pixel, in bytes, whatever the decode scale.
    pub coefficient_bytes: u64,
    /// Pixels that are decoded in addition to those of the result, in frames from which the picture is composed. They take time as well.
    pub hidden_pixels: u64,
    /// Bytes of one pixel of the result, at most.
    pub pixel_bytes: u64,
    /// Whether a pixel may be translucent.
    pub alpha: bool,
    /// Whether the pixels are coded without loss, in a format that also has lossy coding.
    pub is_lossless: bool,
    /// Whether decoding at a smaller scale takes less time.
    pub is_scalable: bool,
}

impl Header {
    /// Whether a decoder of this program may have said this: the numbers are such that no cost made of them overflows.
    pub(crate) fn is_plausible(&self) -> bool {
        /// More than the samples of any pixel take, with all copies of them.
        const PIXEL: u64 = 1 << 10;
        /// More pixels than the frames of any file have.
        const HIDDEN: u64 = 1 << 40;
        self.size.width > 0
            && self.size.height > 0
            && self.bytes_per_pixel <= PIXEL
            && self.coefficient_bytes <= PIXEL
            && self.pixel_bytes <= PIXEL
            && self.hidden_pixels <= HIDDEN
    }

    /// The size of the decoded raster.
    pub(crate) fn decoded(&self, scale: DecodeScale) -> Size {
        self.supported(scale).of(self.size)
    }

    /// The size of the decoded picture before it is rounded up to whole pixels.
    pub(crate) fn extent(&self, scale: DecodeScale) -> (f64, f64) {
        let part = f64::from(self.supported(scale).eighths) / 8.0;
        (
            f64::from(self.size.width) * part,
            f64::from(self.size.height) * part,
        )
    }

    /// The scale that the decoder uses when `scale` is requested.
    pub(crate) fn supported(&self, scale: DecodeScale) -> DecodeScale {
        // The scales are those of the DCT, which lossless JPEG has not.
        if self.format == SourceFormat::Jpeg && !self.is_lossless {
            scale
        } else {
            DecodeScale::WHOLE
        }
    }
}

/// Decoded pixels as the file stores them, with what is needed to interpret them.
pub(crate) struct DecodedImage {
    pub raster: Raster,
    /// The size that the samples represent, in pixels of the raster: see `Rect`.
    pub extent: (f64, f64),
    pub space: ColorSpace,
}

/// The scale of a decode (shrink-on-load).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodeScale {
    /// Eighths of the stored size on each axis: 1, 2, 3, 4 or 8. Formats without scaled decoding ignore it.
    pub eighths: u32,
}

impl DecodeScale {
    /// Full size.
    pub(crate) const WHOLE: DecodeScale = DecodeScale { eighths: 8 };

    /// One decoded pixel for `denominator` stored pixels on each axis; `denominator` is 1, 2, 4 or 8.
    pub(crate) fn one_of(denominator: u32) -> DecodeScale {
        DecodeScale {
            eighths: 8 / denominator,
        }
    }

    /// The number of stored pixels for one decoded pixel on each axis, rounded down.
    pub(crate) fn denominator(self) -> u32 {
        8 / self.eighths
    }

    /// The size after scaling, rounded up.
    pub(crate) fn of(self, size: Size) -> Size {
        let side = |side: u32| {
            let eighths = u64::from(side) * u64::from(self.eighths);
            u32::try_from(eighths.div_ceil(8)).unwrap_or(u32::MAX)
        };
        Size::new(side(size.width), side(size.height))
    }
}

/// The extent of a picture that was decoded at full size.
pub(crate) fn full_extent(size: Size) -> (f64, f64) {
    (f64::from(size.width), f64::from(size.height))
}

/// A size from the signed numbers that C libraries give.
pub(crate) fn size_of(width: i32, height: i32) -> Result<Size, TransformError> {
    let side = |_: TryFromIntError| TransformError::ZeroSized;
    Ok(Size::new(
        u32::try_from(width).map_err(side)?,
        u32::try_from(height).map_err(side)?,
    ))
}
