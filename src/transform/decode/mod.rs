//! Bytes to pixels: one file per format, each with two doors, `header` (a few hundred bytes read, nothing allocated for pixels)
//! and `decode`. Formats are told apart by content alone. The JPEG door has two codecs behind it, one per build.

mod avif;
mod gif;
#[cfg_attr(feature = "native", path = "jpeg_turbo.rs")]
#[cfg_attr(not(feature = "native"), path = "jpeg_portable.rs")]
mod jpeg;
mod png;
mod webp;
mod yuv;

use std::num::TryFromIntError;

use super::TransformError;
use super::color::ColorSpace;
use super::orientation::Orientation;
use super::pixels::Pixels;
use super::pixels::Size;
use super::sniff::Kind;
use super::sniff::sniff;

/// What is known of a source before its pixels are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub kind: Kind,
    /// Size as stored, both sides at least 1.
    pub size: Size,
    pub orientation: Orientation,
    /// Bytes that each stored pixel takes while decoding at full size.
    pub bytes_per_pixel: u64,
    /// Whether decoding at a fraction of the size costs less.
    pub is_scalable: bool,
}

/// Pixels as stored, with what is needed to read them.
pub(super) struct Decoded {
    pub pixels: Pixels,
    /// The size that the samples stand for, in samples: see `Rect`.
    pub extent: (f64, f64),
    pub space: ColorSpace,
}

/// How a source may be decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// 1, 2, 4 or 8: pixels of the source for one decoded pixel, on each axis. Formats that cannot, ignore it.
    pub denominator: u32,
    /// Whether YCbCr planes serve as well as RGB.
    #[cfg_attr(
        not(feature = "native"),
        allow(dead_code, reason = "the portable JPEG decoder gives no planes")
    )]
    pub planes: bool,
}

/// Reads the header of a source.
pub(super) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let kind = sniff(source).ok_or(TransformError::NotAnImage)?;
    let header = match kind {
        Kind::Jpeg => jpeg::header(source)?,
        Kind::Png => png::header(source)?,
        Kind::Webp => webp::header(source)?,
        Kind::Gif => gif::header(source)?,
        Kind::Avif => avif::header(source)?,
        Kind::Foreign(format) => return Err(TransformError::UnsupportedFormat(format)),
    };
    if header.size.width == 0 || header.size.height == 0 {
        return Err(TransformError::ZeroSized);
    }
    Ok(header)
}

/// Decodes the pixels of a source whose header is known and within the limits.
pub(super) fn pixels(
    source: &[u8],
    header: &Header,
    wanted: Wanted,
) -> Result<Decoded, TransformError> {
    match header.kind {
        Kind::Jpeg => jpeg::decode(source, header, wanted),
        Kind::Png => png::decode(source, header),
        Kind::Webp => webp::decode(source, header),
        Kind::Gif => gif::decode(source, header),
        Kind::Avif => avif::decode(source, header),
        Kind::Foreign(format) => Err(TransformError::UnsupportedFormat(format)),
    }
}

/// The largest denominator that leaves at least 1.5 decoded pixels for each output pixel, where the output takes every
/// `shrink`th source pixel. With fewer, the scaled decode blurs: at 1.0 a 300 pixel wide output scores 6 to 8 points of SSIMULACRA2 less.
pub(super) fn denominator(shrink: f64) -> u32 {
    const OVERSAMPLING: f64 = 1.5;
    [8, 4, 2]
        .into_iter()
        .find(|&denominator| shrink / f64::from(denominator) >= OVERSAMPLING)
        .unwrap_or(1)
}

fn whole(size: Size) -> (f64, f64) {
    (f64::from(size.width), f64::from(size.height))
}

/// A side as C libraries give it.
fn size_of(width: i32, height: i32) -> Result<Size, TransformError> {
    let side = |_: TryFromIntError| TransformError::ZeroSized;
    Ok(Size::new(
        u32::try_from(width).map_err(side)?,
        u32::try_from(height).map_err(side)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::denominator;

    #[test]
    fn shrink_on_load_leaves_one_and_a_half_pixels() {
        for (shrink, expected) in [
            (0.5, 1),
            (1.0, 1),
            (2.99, 1),
            (3.0, 2),
            (5.99, 2),
            (6.0, 4),
            (11.99, 4),
            (12.0, 8),
            (1000.0, 8),
        ] {
            assert_eq!(denominator(shrink), expected, "{shrink}");
        }
    }
}
