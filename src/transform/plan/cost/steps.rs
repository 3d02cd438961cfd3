//! The steps that renders are made of, each from the header of the source and from what comes out: the decoder, the resizer, what is between it and
//! the encoder, and the encoder.

use crate::options::{Format, Output, Recipe};

use crate::codecs::decode::pixel_source::PixelSource;
use crate::codecs::decode::{DecodeScale, Header};
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{Limits, encode};
use crate::pixels::Size;
use crate::transform::plan::output;

/// A row of blocks of a JPEG, for each column that comes out: 17 rows of three components in single precision, and what becomes of one.
const JPEG_COLUMN_BYTES: u64 = 4 * (3 * 17 + 7);

// --- the resizer ---

/// Rows of single precision that are kept at once: those of the longest window that is kept, and two blocks of eight.
const ROWS_KEPT: u64 = 64 + 16;
/// Blocks of eight columns that come out, pixels and planes.
const COLUMNS_KEPT: u64 = 16;
/// Bytes of a sample of single precision, for up to four channels.
const KEPT_BYTES: u64 = 4 * 4;
/// Weights and their windows for every sample of a side, before and after.
const WEIGHT_BYTES: u64 = 64;
/// Nanoseconds for each decoded pixel, and for each pixel that comes out.
const RESIZE_TIME: (u64, u64) = (2, 5);

// --- the AVIF encoder ---

/// Bytes for each pixel, without alpha and with it, with chroma at full size, which only the pixels rule out: rav1e keeps more than libaom.
pub(super) const AVIF_BYTES: (u64, u64) = if cfg!(feature = "native") {
    (35, 47)
} else {
    (88, 98)
};
/// Bytes of an encoder for any picture: tables, and buffers of whole blocks beyond the sides.
pub(super) const AVIF_FIXED_BYTES: u64 = 6 << 20;

// --- `auto-quality` ---

/// Bytes for each pixel that is compared, beside the encoder: two pictures in floating point, with their means and variances.
const COMPARED_BYTES: u64 = 125;

// --- between resizer and encoder ---

/// Each layer makes its picture from the one before.
const COPIES_OF_LAYERS: u64 = 2;
/// A blur works in 16 bits beside the picture.
const EFFECT_BYTES: u64 = 16;
/// Nanoseconds for each pixel that has effects.
const EFFECT_TIME: u64 = 30;

/// One step: what it holds at its worst, and its nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub bytes: u64,
    pub time: u64,
}

impl Step {
    /// The same step while so many bytes are held beside it.
    pub(super) fn beside(self, bytes: u64) -> Step {
        Step {
            bytes: self.bytes.saturating_add(bytes),
            ..self
        }
    }
}

/// The decode of a source, or of the reduced copy that is held beside it.
pub(crate) fn decoding_of(pixels: &PixelSource) -> Step {
    let (bytes, header, scale) = pixels.parts();
    let step = decoding(bytes, header, scale);
    step.beside(pixels.copy_bytes())
}

pub(crate) fn decoding(source: &[u8], header: &Header, scale: DecodeScale) -> Step {
    let decoded = header.decoded(scale).area();
    let stored = header.size.area();
    let copy = match header.format {
        // Where the last marker is missing, it is put at the end of a copy. The portable decoder copies the profile, which may be nearly all of it.
        SourceFormat::Jpeg => cfg!(not(feature = "native")) || !source.ends_with(&[0xFF, 0xD9]),
        // Their decoders take the data over.
        SourceFormat::Avif | SourceFormat::Heic | SourceFormat::JpegXl => true,
        _ => false,
    };
    let copy = if copy { source.len() as u64 } else { 0 };
    let row = if header.format == SourceFormat::Jpeg {
        u64::from(header.decoded(scale).width) * JPEG_COLUMN_BYTES
    } else {
        0
    };
    let bytes = decoded
        .saturating_mul(header.bytes_per_pixel)
        .saturating_add(row)
        .saturating_add(stored.saturating_mul(header.coefficient_bytes))
        .saturating_add(copy);
    // For each byte of the file, each pixel of the file and each pixel that comes out.
    let (byte, pixel, sample) = match header.format {
        // The coefficients of all scans go to memory and back.
        SourceFormat::Jpeg if header.coefficient_bytes > 0 => (50, 2, 4),
        SourceFormat::Jpeg => (6, 0, 3),
        SourceFormat::Png | SourceFormat::Tiff | SourceFormat::Ico => (5, 0, 6),
        SourceFormat::Webp if header.is_lossless => (0, 0, 25),
        SourceFormat::Webp => (20, 0, 9),
        SourceFormat::Avif | SourceFormat::Heic => (30, 0, 25),
        SourceFormat::JpegXl => (60, 0, 80),
        SourceFormat::Gif => (10, 0, 4),
        SourceFormat::Bmp
        | SourceFormat::Pnm
        | SourceFormat::Qoi
        | SourceFormat::Svg
        | SourceFormat::Unsupported(_) => (0, 0, 6),
    };
    let time = (source.len() as u64)
        .saturating_mul(byte)
        .saturating_add(stored.saturating_mul(pixel))
        .saturating_add(
            decoded
                .saturating_add(header.hidden_pixels)
                .saturating_mul(sample),
        );
    Step { bytes, time }
}

pub(crate) fn resizing(header: &Header, decoded: Size, target: Size) -> Step {
    let (width, height) = (u64::from(decoded.width), u64::from(decoded.height));
    let rows = height.min(ROWS_KEPT) * width + COLUMNS_KEPT * u64::from(target.width);
    let weights = width + height + u64::from(target.width) + u64::from(target.height);
    let bytes = (decoded.area() + target.area())
        .saturating_mul(header.pixel_bytes)
        .saturating_add(KEPT_BYTES * rows)
        .saturating_add(WEIGHT_BYTES * weights);
    let (from, to) = RESIZE_TIME;
    let time = (decoded.area() * from).saturating_add(target.area().saturating_mul(to));
    Step { bytes, time }
}

pub(crate) fn layers(header: &Header, recipe: &Recipe, output: Size) -> Step {
    // Grey becomes red, green and blue: two bytes may be one sample of 16 bits, and four such a sample with alpha.
    let pixel = match header.pixel_bytes {
        ..=1 | 3 => 4,
        2 => 6,
        bytes => bytes.max(8),
    };
    let plain = pixel * COPIES_OF_LAYERS;
    let (each, time) = if recipe.effects.is_neutral() {
        (plain, 0)
    } else {
        (plain.max(EFFECT_BYTES), EFFECT_TIME)
    };
    Step {
        bytes: output.area().saturating_mul(each),
        time: output.area().saturating_mul(time),
    }
}

/// What it takes to write a picture without loss, where it may turn out to be a graphic: beside it are the picture as it is, without hidden
/// colours and with fewer colours, and the file before. Few pictures that may be graphics are, so the time is a part of what it takes.
pub(crate) fn without_loss(recipe: &Recipe, output: Size) -> Step {
    let (bytes, time) = match output::lossless_format(recipe, output) {
        Some(Format::Webp) => (58, 60),
        Some(_) => (36, 60),
        None => (0, 0),
    };
    Step {
        bytes: output.area().saturating_mul(bytes),
        time: output.area().saturating_mul(time),
    }
}

/// What the encoder of a format holds, the picture that it is given included, and its time, for each pixel.
pub(crate) fn encoding(
    recipe: &Recipe,
    format: Format,
    alpha: bool,
    output: Size,
    limits: &Limits,
) -> Step {
    let quality = recipe.quality;
    let (bytes, time) = match format {
        // Planes, the coefficients of all scans and the codes they become, with chroma at full size, which only the pixels rule out.
        // Time is that of photographs.
        Format::Jpeg if output::is_progressive(recipe.output, output) => (26, 14),
        Format::Jpeg => (21, 14),
        Format::Png if recipe.palette => (20, 160),
        // Of noise, which alpha makes worse: the file, as it grows as well, and a try with a palette.
        Format::Png if alpha => (16, 250),
        Format::Png => (12, 250),
        Format::Webp if encode::is_lossless(quality) => (46, 450),
        // Of noise: every code is kept until all are counted.
        Format::Webp if alpha => (64, 60 + encode::webp_time(output, recipe.effort)),
        Format::Webp => (25, encode::webp_time(output, recipe.effort)),
        Format::Avif => {
            let time = encode::avif_time(output, recipe.effort);
            let (plain, with_alpha) = AVIF_BYTES;
            if alpha {
                (with_alpha, 2 * time)
            } else {
                (plain, time)
            }
        }
        Format::Jxl => {
            let bytes = encode::jxl_bytes(output, alpha);
            let time = encode::jxl_time(output, quality, recipe.effort) * if alpha { 2 } else { 1 };
            if output::may_have_alternative(recipe, output) {
                // The JPEG XL is held beside.
                let (plain, with_alpha) = AVIF_BYTES;
                let avif = if alpha { with_alpha } else { plain } + 4;
                let also = encode::avif_time(output, recipe.effort) * if alpha { 2 } else { 1 };
                (bytes.max(avif), time + also)
            } else {
                (bytes, time)
            }
        }
        Format::Gif | Format::Svg | Format::Json => (12, 0),
    };
    // Compatible pictures with alpha that turn out to be opaque become JPEG.
    let bytes = match recipe.output {
        Output::Compatible { .. } => bytes.max(26),
        _ => bytes,
    };
    let compared = if output::is_compared(format, recipe.quality_target, output, limits) {
        COMPARED_BYTES
    } else {
        0
    };
    let fixed = match format {
        Format::Avif => AVIF_FIXED_BYTES,
        _ => 0,
    };
    let each = bytes.saturating_add(compared);
    Step {
        bytes: output.area().saturating_mul(each).saturating_add(fixed),
        time: output.area().saturating_mul(time),
    }
}
