//! Encoders: one file for each format. Each maps the requested quality to the scale of its encoder.

mod animated_webp;
pub(crate) mod animation;
#[cfg_attr(feature = "native", path = "avif_aom.rs")]
#[cfg_attr(not(feature = "native"), path = "avif_portable.rs")]
mod avif;
mod chroma;
mod gif;
#[cfg_attr(feature = "native", path = "jpeg_jpegli.rs")]
#[cfg_attr(not(feature = "native"), path = "jpeg_portable.rs")]
mod jpeg;
#[cfg(test)]
mod jpeg_tests;
#[cfg(feature = "native")]
pub(crate) mod jpeg_turbo;
mod palette;
#[cfg(feature = "native")]
mod planes;
mod png;
mod quantize;
mod scale;
mod webp;

use crate::options::Effort;
use crate::options::Format;
use crate::options::Quality;

use crate::codecs::TransformError;
use crate::pixels::Planar;
use crate::pixels::Size;
use crate::pixels::Subsampling;

pub(crate) use self::chroma::Chroma;

/// A finished picture to encode, upright and in sRGB.
pub(crate) enum Picture {
    /// Full-range BT.601 planes with the given chroma subsampling.
    Planar(Planar, Subsampling),
    Rgb(Size, Vec<u8>),
    Rgba(Size, Vec<u8>),
}

impl Picture {
    pub fn size(&self) -> Size {
        match self {
            Picture::Planar(planar, _) => planar.luma.size,
            Picture::Rgb(size, _) | Picture::Rgba(size, _) => *size,
        }
    }
}

/// The settings of an encode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub quality: Quality,
    /// Progressive JPEG.
    pub progressive: bool,
    /// Whether a PNG may be reduced to a palette.
    pub palette: bool,
    /// The effort of the AVIF encoder.
    pub effort: Effort,
}

/// Encodes a picture. JPEG takes no alpha, and formats that are not for still pictures are refused.
pub(crate) fn encode(
    picture: &Picture,
    format: Format,
    settings: Settings,
) -> Result<Vec<u8>, TransformError> {
    match format {
        Format::Jpeg => jpeg::encode(picture, settings),
        Format::Png => png::encode(picture, settings.palette.then_some(settings.quality)),
        Format::Webp => webp::encode(picture, settings.quality),
        Format::Avif => avif::encode(picture, settings.quality, settings.effort),
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
        Format::Png | Format::Gif | Format::Svg | Format::Json => false,
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

/// Whether a greater effort would not make an AVIF of this size smaller.
pub(crate) fn is_settled(size: Size, effort: Effort) -> bool {
    avif::speed(size, effort) == avif::speed(size, Effort::Settled)
}

/// The chroma subsampling of an output: none if the picture has sharp colour edges, and from quality 90 on. Lossy WebP has only 4:2:0.
pub(crate) fn subsampling(format: Format, quality: Quality, chroma: Chroma<'_>) -> Subsampling {
    const FULL_CHROMA_FROM: u8 = 90;
    let is_full = match format {
        Format::Webp => false,
        _ => quality.get() >= FULL_CHROMA_FROM || chroma::has_edges(chroma),
    };
    if is_full {
        Subsampling::None
    } else {
        Subsampling::Both
    }
}

/// The longest side that a format supports, in pixels.
pub(crate) const fn longest_side(format: Format) -> u32 {
    match format {
        Format::Webp => 16_383,
        Format::Jpeg => 65_500,
        Format::Avif | Format::Gif => 65_535,
        Format::Png | Format::Svg | Format::Json => u32::MAX,
    }
}

pub(crate) fn failed(what: impl std::fmt::Display) -> TransformError {
    TransformError::Encode(what.to_string())
}
