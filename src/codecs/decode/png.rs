//! PNG by `image`: every colour type and depth, expanded. Of an APNG it decodes the still picture for viewers without animation.

use std::io::{BufRead, Cursor, Seek};

use image::ImageDecoder;
use image::ImageError;
use image::codecs::png::PngDecoder;

use crate::codecs::decode::calibration;
use crate::codecs::decode::image::{DecodedImage, Header, full_extent};
use crate::codecs::decode::png_end::PngReader;
use crate::codecs::decode::samples::{copies, raster};
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Size, buffer, color};

/// Bytes that chunks other than pixels may decompress to: a profile of 4 MiB is already enormous.
const MAX_METADATA: u64 = 4 << 20;

/// Chunks that a file may have in addition to those of its pixels. The decoder allocates memory for each text, many times as much as a
/// short text has. Editors write a dozen.
const MAX_CHUNKS: usize = 10_000;

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let is_other = |name: &[u8; 4]| !matches!(name, b"IDAT" | b"fdAT" | b"fcTL");
    let others = metadata::png_chunks(source).filter(|(name, ..)| is_other(name));
    if others.take(MAX_CHUNKS + 1).count() > MAX_CHUNKS {
        return Err(TransformError::Decode(format!(
            "a PNG may have {MAX_CHUNKS} chunks beside its pixels, and this one has more"
        )));
    }
    let mut decoder = open(Cursor::new(source))?;
    let (width, height) = decoder.dimensions();
    let exif = decoder.exif_metadata().ok().flatten();
    let color = decoder.color_type();
    let pixel_bytes = u64::from(color.bytes_per_pixel());
    Ok(Header {
        format: SourceFormat::Png,
        size: Size::new(width, height),
        orientation: metadata::orientation(exif.as_deref()),
        bytes_per_pixel: pixel_bytes * copies(color),
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes,
        alpha: color.has_alpha(),
        is_lossless: false,
        is_scalable: false,
    })
}

pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    let decoder = open(PngReader::new(source))?;
    let space = space(source);
    let color = decoder.color_type();
    let length = header.size.len() * usize::from(color.bytes_per_pixel());
    let mut bytes = buffer::zeroed(length)?;
    decoder.read_image(&mut bytes).map_err(failed)?;
    let pixels = raster(header.size, color, bytes)?;
    Ok(DecodedImage {
        raster: pixels,
        extent: full_extent(header.size),
        space,
    })
}

/// The colour space by the chunks before the pixels: code points have precedence over a valid ICC profile, and that over gamma and
/// primaries (PNG, third edition, section 4.3).
pub(crate) fn space(source: &[u8]) -> ColorSpace {
    if let Some((primaries, transfer)) = metadata::png_cicp(source) {
        return ColorSpace::from_cicp(primaries, transfer);
    }
    let profile = metadata::read(source, SourceFormat::Png).icc;
    match profile.filter(|profile| color::is_profile(profile)) {
        Some(profile) => ColorSpace::from_icc(Some(profile)),
        None => metadata::png_calibration(source)
            .map_or(ColorSpace::Srgb, |told| calibration::space(&told)),
    }
}

fn open<R: BufRead + Seek>(source: R) -> Result<PngDecoder<R>, TransformError> {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(MAX_METADATA);
    PngDecoder::with_limits(source, limits).map_err(failed)
}

fn failed(cause: ImageError) -> TransformError {
    TransformError::Decode(cause.to_string())
}

#[cfg(test)]
mod tests {
    use image::ExtendedColorType;
    use image::ImageEncoder;
    use image::codecs::png::PngEncoder;

    use super::MAX_CHUNKS;
    use super::header;

    /// A grey pixel after the given number of texts.
    fn with_texts(count: usize) -> Vec<u8> {
        let mut file = Vec::new();
        PngEncoder::new(&mut file)
            .write_image(&[9], 1, 1, ExtendedColorType::L8)
            .expect("writes to memory");
        let mut crc = flate2::Crc::new();
        crc.update(b"tEXta\0b");
        let text = [b"\0\0\0\x03tEXta\0b", &crc.sum().to_be_bytes()[..]].concat();
        // Behind the signature and the header.
        file.splice(33..33, text.repeat(count));
        file
    }

    #[test]
    fn a_file_of_chunks_without_end_is_refused() {
        // Its header and its end count as well.
        let most = with_texts(MAX_CHUNKS - 2);
        assert!(header(&most).is_ok());
        let refused = header(&with_texts(MAX_CHUNKS - 1)).expect_err("too many");
        assert!(refused.to_string().contains("10000 chunks"), "{refused}");
    }
}
