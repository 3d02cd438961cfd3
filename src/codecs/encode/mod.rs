//! Encoders: one file for each format. Each maps the requested quality to the scale of its encoder.

mod animated_webp;
pub(crate) mod animation;
mod avif;
mod chroma;
mod content;
mod error;
mod gif;
mod jpeg;
mod jxl;
mod palette;
mod picture;
mod planes;
mod png;
mod quantize;
mod scale;
mod settings;
mod webp;

use crate::options::{Effort, Format, Quality};

use crate::codecs::TransformError;
use crate::pixels::Size;

pub(crate) use self::chroma::{Chroma, subsampling};
pub(crate) use self::content::Content;
pub(crate) use self::error::failed;
#[cfg(feature = "native")]
pub(crate) use self::jpeg::turbo as jpeg_turbo;
pub(crate) use self::palette::reduced as reduced_to_palette;
pub(crate) use self::picture::Picture;
pub(crate) use self::settings::Settings;

/// Encodes a picture. JPEG takes no alpha, and formats that are not for still pictures are refused.
pub(crate) fn encode(
    picture: &Picture,
    format: Format,
    settings: Settings<'_>,
) -> Result<Vec<u8>, TransformError> {
    match format {
        Format::Jpeg => jpeg::encode(picture, settings),
        Format::Png => png::encode(picture, settings.palette.then_some(settings.quality)),
        Format::Webp => webp::encode(picture, settings.quality, settings.effort),
        Format::Avif => avif::encode(picture, settings.quality, settings.effort),
        Format::Jxl => jxl::encode(picture, settings),
        Format::Gif | Format::Svg | Format::Json => {
            Err(failed(format_args!("no still is written as {format}")))
        }
    }
}

/// Whether the encoder takes YCbCr planes. A lossless encoder needs the pixels themselves.
pub(crate) fn takes_planes(format: Format, quality: Quality) -> bool {
    match format {
        Format::Jpeg | Format::Avif => cfg!(feature = "native"),
        Format::Webp => !webp::is_lossless(quality),
        Format::Png | Format::Jxl | Format::Gif | Format::Svg | Format::Json => false,
    }
}

/// Whether a WebP of this quality is lossless.
pub(crate) fn is_lossless(quality: Quality) -> bool {
    webp::is_lossless(quality)
}

/// Nanoseconds for each pixel of an AVIF, in colour with subsampled chroma.
pub(crate) fn avif_time(size: Size, effort: Effort) -> u64 {
    avif::time(avif::speed(size, effort))
}

/// Nanoseconds for each pixel of a lossy WebP.
pub(crate) fn webp_time(size: Size, effort: Effort) -> u64 {
    webp::time(webp::method(size, effort))
}

/// Nanoseconds for each pixel of a JPEG XL.
pub(crate) fn jxl_time(size: Size, quality: Quality, effort: Effort) -> u64 {
    jxl::time(size, quality, effort)
}

/// Bytes for each pixel of a JPEG XL that the encoder holds, the picture that it is given included.
pub(crate) fn jxl_bytes(size: Size, alpha: bool) -> u64 {
    jxl::bytes(size, alpha)
}

/// A JPEG as JPEG XL with the same coefficients, which decodes to the same picture.
pub(crate) fn repack_jpeg(jpeg: &[u8], size: Size) -> Result<Vec<u8>, TransformError> {
    jxl::repack(jpeg, size)
}

/// Whether the files of a format depend on the effort at all.
pub(crate) fn has_efforts(format: Format) -> bool {
    match format {
        Format::Webp | Format::Avif | Format::Jxl => true,
        Format::Jpeg | Format::Png | Format::Gif | Format::Svg | Format::Json => false,
    }
}

/// Whether a greater effort would not make a file of this format, size and quality smaller.
pub(crate) fn is_settled(format: Format, size: Size, quality: Quality, effort: Effort) -> bool {
    match format {
        Format::Avif => avif::speed(size, effort) == avif::speed(size, Effort::Settled),
        Format::Webp => webp::is_lossless(quality) || webp::is_settled(size, effort),
        Format::Jxl => jxl::is_settled(size, quality, effort),
        _ => !has_efforts(format),
    }
}

/// The longest side that a format supports, in pixels.
pub(crate) const fn longest_side(format: Format) -> u32 {
    match format {
        Format::Webp => 16_383,
        Format::Jpeg => 65_500,
        Format::Avif | Format::Gif => 65_535,
        Format::Png | Format::Jxl | Format::Svg | Format::Json => u32::MAX,
    }
}
