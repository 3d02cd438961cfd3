//! TIFF and BigTIFF by `tiff`: the first page that is the picture itself; strips and tiles, chunky or planar; grey, palette, RGB, YCbCr and
//! CMYK of 1 to 64 bits or floating point, with alpha. Samples deeper than 16 bits are reduced to 16, and floating point counts from 0 to
//! 1. `image` has a TIFF decoder as well, but it converts CMYK to RGB without the profile and refuses palettes.

mod error;
mod pages;
mod samples;

use tiff::ColorType;
use tiff::decoder::{
    BufferLayoutPreference, ChunkType, Decoder, DecodingResult, DecodingSampleType, Limits,
};
use tiff::tags::{CompressionMethod, PhotometricInterpretation, Tag, Type, ValueBuffer};

use crate::codecs::TransformError;
use crate::codecs::decode::image::{DecodedImage, Header, full_extent};
use crate::codecs::decode::samples::unmultiplied;
use crate::codecs::sniff::SourceFormat;
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};
use error::broken;
use error::failed;
use error::unsupported;
use pages::Page;
use pages::PageReader;
use samples::SampleLayout;
use samples::first_of;
use samples::interleaved;
use samples::rgb_of_ycbcr;
use samples::unpacked;

/// Bytes of the value of one tag: a CMYK profile may have 2 MiB.
const MAX_TAG: usize = 4 << 20;
/// Bytes of a row of tiles or strips, which are decoded together.
const MAX_ROW: u64 = 64 << 20;
/// Samples of a pixel: colours, alpha, and a few of unknown meaning.
const MAX_SAMPLES: u16 = 16;
/// Padding in pixels that any picture may have, even a small one: real tiles have at most 512x512 pixels.
const PADDING: u64 = 1 << 22;

type TiffDecoder<'a> = Decoder<PageReader<'a>>;

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let page = Page::of(source)?;
    let mut decoder = open(source, &page)?;
    check_compression(&mut decoder)?;
    let layout = layout(&mut decoder, page.has_palette())?;
    let (width, height) = decoder.dimensions().map_err(failed)?;
    let orientation = decoder
        .find_tag_unsigned(Tag::Orientation)
        .ok()
        .flatten()
        .map_or_else(Orientation::default, Orientation::from_exif);
    Ok(Header {
        format: SourceFormat::Tiff,
        size: Size::new(width, height),
        orientation,
        // The samples as stored, and as returned.
        bytes_per_pixel: 2 * layout.bytes_per_pixel() + if layout.palette { 4 } else { 0 },
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes: layout.bytes_per_pixel().clamp(3, 8),
        alpha: layout.samples == 2 || layout.samples >= 4,
        is_lossless: false,
        is_scalable: false,
    })
}

pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    let page = Page::of(source)?;
    let mut decoder = open(source, &page)?;
    let layout = layout(&mut decoder, page.has_palette())?;
    let size = header.size;
    if decoder.dimensions().ok() != Some((size.width, size.height)) {
        return Err(broken("the size changed"));
    }
    check_chunks(&mut decoder, source, size, layout)?;
    let mut limits = Limits::default();
    limits.ifd_value_size = MAX_TAG;
    limits.decoding_buffer_size = MAX_TAG;
    let mut decoder = decoder.with_limits(limits.clone());
    let profile = raw_tag(&mut decoder, Tag::IccProfile);
    let map = layout
        .palette
        .then(|| color_map(&mut decoder, layout.bits))
        .transpose()?;
    let alpha = extra_samples(&mut decoder).first().copied();

    let most = usize::try_from(size.area() * layout.bytes_per_pixel()).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = most;
    limits.intermediate_buffer_size = source.len();
    let mut decoder = decoder.with_limits(limits);
    let stored = decoder.image_buffer_layout().map_err(failed)?;
    if stored.complete_len > most {
        return Err(broken("more planes than its header says"));
    }
    let mut decoded = buffer_for(&stored)?;
    decoder
        .read_image_bytes(decoded.as_buffer(0).as_bytes_mut())
        .map_err(failed)?;
    let samples = unpacked(decoded, size, layout)?;
    let samples = match samples {
        Samples::U8(samples) => Samples::U8(interleaved(samples, stored.planes)?),
        Samples::U16(samples) => Samples::U16(interleaved(samples, stored.planes)?),
    };
    let (channels, samples) = match (layout.color, samples) {
        (ColorType::Gray(_), Samples::U8(indices)) if layout.palette => {
            let map = map.ok_or_else(|| broken("a palette that is missing"))?;
            let colors = indices.iter().flat_map(|&index| map[usize::from(index)]);
            let samples = buffer::collected(3 * indices.len(), colors)?;
            (Channels::Rgb, Samples::U8(samples))
        }
        (ColorType::Gray(_), samples) => (Channels::Gray, samples),
        (ColorType::Multiband { num_samples, .. }, samples) => {
            let (channels, kept) = if matches!(alpha, Some(1 | 2)) {
                (Channels::GrayAlpha, 2)
            } else {
                (Channels::Gray, 1)
            };
            (channels, first_of(samples, usize::from(num_samples), kept)?)
        }
        (ColorType::RGB(_), samples) => (Channels::Rgb, samples),
        (ColorType::RGBA(_), samples) => (Channels::Rgba, samples),
        (ColorType::CMYK(_), samples) => (Channels::Cmyk, samples),
        (ColorType::CMYKA(_), samples) => (Channels::Cmyk, first_of(samples, 5, 4)?),
        (ColorType::YCbCr(8), Samples::U8(samples)) => {
            (Channels::Rgb, Samples::U8(rgb_of_ycbcr(&samples)?))
        }
        _ => return Err(unsupported("in colours of a kind that is not read")),
    };
    let samples = if alpha == Some(1) && channels.has_alpha() {
        unmultiplied(samples, channels.count())
    } else {
        samples
    };
    Ok(DecodedImage {
        raster: Raster {
            size,
            channels,
            samples,
        },
        extent: full_extent(size),
        space: ColorSpace::from_icc(profile),
    })
}

fn open<'a>(source: &'a [u8], page: &Page) -> Result<TiffDecoder<'a>, TransformError> {
    Decoder::new(PageReader::new(source, page)).map_err(failed)
}

/// A buffer for all samples as they are stored. The decoder would end the process if there is no memory for its own.
fn buffer_for(stored: &BufferLayoutPreference) -> Result<DecodingResult, TransformError> {
    let count = |bytes: usize| stored.complete_len.div_ceil(bytes);
    Ok(match stored.sample_type {
        Some(DecodingSampleType::U8) => DecodingResult::U8(buffer::zeroed(count(1))?),
        Some(DecodingSampleType::U16) => DecodingResult::U16(buffer::zeroed(count(2))?),
        Some(DecodingSampleType::U32) => DecodingResult::U32(buffer::zeroed(count(4))?),
        Some(DecodingSampleType::U64) => DecodingResult::U64(buffer::zeroed(count(8))?),
        Some(DecodingSampleType::F16) => {
            DecodingResult::F16(buffer::filled(Default::default(), count(2))?)
        }
        Some(DecodingSampleType::F32) => DecodingResult::F32(buffer::zeroed(count(4))?),
        Some(DecodingSampleType::F64) => DecodingResult::F64(buffer::zeroed(count(8))?),
        _ => return Err(unsupported("with samples that have a sign")),
    })
}

/// Refuses unsupported compression by its name, before memory for pixels is reserved.
fn check_compression(decoder: &mut TiffDecoder<'_>) -> Result<(), TransformError> {
    let method = decoder
        .find_tag_unsigned(Tag::Compression)
        .map_err(failed)?;
    let name = match method.map(CompressionMethod::from_u16_exhaustive) {
        Some(CompressionMethod::ZSTD) => "Zstandard".to_owned(),
        Some(CompressionMethod::WebP) => "WebP".to_owned(),
        Some(CompressionMethod::JPEG) => "JPEG of the old style".to_owned(),
        Some(CompressionMethod::Huffman | CompressionMethod::Fax3) => "fax of group 3".to_owned(),
        Some(CompressionMethod::Unknown(number)) => format!("method {number}"),
        // The decoder ignores the fill order. JPEG data is not affected by it.
        method if method != Some(CompressionMethod::ModernJPEG) && is_reversed(decoder) => {
            return Err(unsupported("with the lowest bit of each byte first"));
        }
        _ => return Ok(()),
    };
    Err(unsupported(&format!("compressed by {name}")))
}

/// Whether the bits of each byte are stored lowest first (TIFF 6.0, `FillOrder`).
fn is_reversed(decoder: &mut TiffDecoder<'_>) -> bool {
    let order: Option<u16> = decoder.find_tag_unsigned(Tag::FillOrder).ok().flatten();
    order == Some(2)
}

fn layout(decoder: &mut TiffDecoder<'_>, palette: bool) -> Result<SampleLayout, TransformError> {
    let color = decoder.colortype();
    let interpretation = decoder.find_tag_unsigned(Tag::PhotometricInterpretation);
    if let Ok(Some(interpretation)) = interpretation
        && matches!(
            PhotometricInterpretation::from_u16(interpretation),
            Some(
                PhotometricInterpretation::CIELab
                    | PhotometricInterpretation::IccLab
                    | PhotometricInterpretation::ItuLab
            )
        )
    {
        return Err(unsupported("in colours of L*a*b*"));
    }
    let color = color.map_err(failed)?;
    let samples = decoder
        .find_tag_unsigned(Tag::SamplesPerPixel)
        .map_err(failed)?
        .unwrap_or(1);
    if samples > MAX_SAMPLES {
        return Err(broken("too many samples in a pixel"));
    }
    let bits = color.bit_depth();
    if palette && !matches!(color, ColorType::Gray(1 | 2 | 4 | 8)) {
        return Err(unsupported(
            "with a palette of another depth than 1, 2, 4 or 8 bits",
        ));
    }
    Ok(SampleLayout {
        color,
        samples,
        bits,
        palette,
    })
}

/// Refuses tiles that are mostly padding, and JPEG tiles or strips whose JPEG is larger than the tile: both would need more memory than the
/// header says.
fn check_chunks(
    decoder: &mut TiffDecoder<'_>,
    source: &[u8],
    size: Size,
    layout: SampleLayout,
) -> Result<(), TransformError> {
    let (width, height) = match decoder.get_chunk_type() {
        ChunkType::Strip => {
            let (width, rows) = decoder.chunk_dimensions();
            (width, rows.min(size.height))
        }
        ChunkType::Tile => decoder.chunk_dimensions(),
    };
    let padded = |side: u32, of: u32| u64::from(side.div_ceil(of)) * u64::from(of);
    let all = padded(size.width, width).saturating_mul(padded(size.height, height));
    if u64::from(width) * layout.bytes_per_pixel() > MAX_ROW
        || all > size.area().saturating_mul(4).saturating_add(PADDING)
    {
        return Err(broken("tiles that are far larger than the picture"));
    }
    let compression = decoder
        .find_tag_unsigned(Tag::Compression)
        .map_err(failed)?
        .map(CompressionMethod::from_u16_exhaustive);
    if compression != Some(CompressionMethod::ModernJPEG) {
        return Ok(());
    }
    let (starts, lengths) = match decoder.get_chunk_type() {
        ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
        ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
    };
    let mut list = |tag| -> Result<Vec<usize>, TransformError> {
        Ok(decoder
            .find_tag_unsigned_vec(tag)
            .map_err(failed)?
            .unwrap_or_default())
    };
    let (starts, lengths) = (list(starts)?, list(lengths)?);
    // Chunks that share the same bytes would be searched again and again.
    if lengths
        .iter()
        .fold(0, |sum: usize, length| sum.saturating_add(*length))
        > source.len()
    {
        return Err(broken("chunks that overlap"));
    }
    let tables = raw_tag(decoder, Tag::JPEGTables).unwrap_or_default();
    let limit = (u64::from(width) + 16) * (u64::from(height) + 16);
    if largest_jpeg(&tables) > limit {
        return Err(broken("a JPEG that is larger than its tile"));
    }
    let seam = &tables[tables.len().saturating_sub(12)..];
    for (start, length) in starts.into_iter().zip(lengths) {
        let chunk = start
            .checked_add(length)
            .and_then(|end| source.get(start..end))
            .ok_or_else(|| broken("it ends early"))?;
        // The decoder prepends the JPEG tables to the chunk, without the end marker of the tables and the start marker of the chunk.
        let joined = [
            &seam[..seam.len().saturating_sub(2)],
            chunk.get(2..12.min(chunk.len())).unwrap_or_default(),
        ]
        .concat();
        if largest_jpeg(chunk).max(largest_jpeg(&joined)) > limit {
            return Err(broken("a JPEG that is larger than its tile"));
        }
    }
    Ok(())
}

/// Pixels of the largest frame for which the bytes might hold a header: compressed data never contains such a marker (ITU-T T.81, B.1.1.2
/// and B.2.2).
fn largest_jpeg(bytes: &[u8]) -> u64 {
    bytes
        .windows(9)
        .filter(|window| window[0] == 0xFF)
        .filter(|window| matches!(window[1], 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF))
        .map(|window| {
            let side = |at: usize| u64::from(u16::from_be_bytes([window[at], window[at + 1]]));
            side(5) * side(7)
        })
        .max()
        .unwrap_or(0)
}

fn raw_tag(decoder: &mut TiffDecoder<'_>, tag: Tag) -> Option<Vec<u8>> {
    let mut value = ValueBuffer::empty(Type::BYTE);
    let found = decoder.image_ifd().find_tag_buf(tag, &mut value);
    found.ok().flatten().map(|_| value.as_bytes().to_vec())
}

/// The meaning of the samples after the colours: 1 is premultiplied alpha, 2 is alpha (TIFF 6.0, section 18).
fn extra_samples(decoder: &mut TiffDecoder<'_>) -> Vec<u16> {
    let found = decoder.find_tag_unsigned_vec(Tag::ExtraSamples);
    found.ok().flatten().unwrap_or_default()
}

/// The palette, padded to 256 entries: all reds come first, then all greens, then all blues, each of 16 bits (TIFF 6.0, section 5). Some
/// writers use only the lower 8 bits.
fn color_map(decoder: &mut TiffDecoder<'_>, bits: u8) -> Result<Vec<[u8; 3]>, TransformError> {
    let count = 1 << bits;
    let values: Vec<u16> = decoder
        .find_tag_unsigned_vec(Tag::ColorMap)
        .map_err(failed)?
        .unwrap_or_default();
    if values.len() != 3 * count {
        return Err(broken("a palette of the wrong length"));
    }
    let shallow = values.iter().all(|&value| value < 256);
    let byte = |value: u16| {
        let [high, low] = value.to_be_bytes();
        if shallow { low } else { high }
    };
    let mut map: Vec<_> = (0..count)
        .map(|index| [0, 1, 2].map(|color| byte(values[color * count + index])))
        .collect();
    map.resize(256, [0; 3]);
    Ok(map)
}

#[cfg(test)]
mod tests;
