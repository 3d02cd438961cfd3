//! A source as its own rendition: where no pixel would change, no answer is larger than its source. Everything is copied but metadata
//! that is not wanted, and what lies hidden behind the end of the picture.

use crate::options::{Format, Metadata, Recipe};

use crate::codecs::metadata::Stripper;
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, encode, metadata};
use crate::pixels::buffer;
use crate::transform::plan::output;
use crate::transform::source::RasterSource;

/// The source, or a JPEG packed as JPEG XL, and its format, if it is smaller than what was `made` of it in a format: where the recipe leaves
/// the choice, a source of another format too.
///
/// The caller knows that every pixel would be the same: nothing resized, turned (by its orientation neither), or recoloured; for
/// `baseline-jpeg` also that the source is no progressive one.
pub(crate) fn smaller(
    source: RasterSource<'_>,
    recipe: &Recipe,
    format: Format,
    made: &[u8],
) -> Result<Option<(Format, Vec<u8>)>, TransformError> {
    let own = source.header.format;
    if (own, format) == (SourceFormat::Jpeg, Format::Jxl) {
        let packed = repacked(source, recipe.metadata, made.len())?;
        let packed = packed.filter(|packed| packed.len() < made.len());
        if let Some(packed) = packed {
            return Ok(Some((format, packed)));
        }
    }
    let own_format = own.as_output();
    match own_format.filter(|&own| own == format || output::may_stay(recipe, own)) {
        Some(own_format) => {
            let smaller = smaller_source(source.bytes, own, recipe.metadata, made)?;
            Ok(smaller.map(|smaller| (own_format, smaller)))
        }
        None => Ok(None),
    }
}

/// The source with its metadata chosen as `wanted`, if it is smaller than what was `made` of it in the same format: every pixel and every
/// frame are the same. Files that end early, or are in any way unusual, are not passed on.
pub(crate) fn smaller_source(
    source: &[u8],
    source_format: SourceFormat,
    wanted: Metadata,
    made: &[u8],
) -> Result<Option<Vec<u8>>, TransformError> {
    let whole = passed_on(source, source_format, wanted)?;
    Ok(whole.filter(|whole| whole.len() < made.len()))
}

/// A JPEG as JPEG XL: its coefficients in fewer bytes, its metadata chosen as `wanted`. What would not be smaller than `most` bytes is not
/// tried, and neither is what is nothing for JPEG XL.
fn repacked(
    source: RasterSource<'_>,
    wanted: Metadata,
    most: usize,
) -> Result<Option<Vec<u8>>, TransformError> {
    /// Of 100 bytes there are 72 to 87 left.
    const LEFT: usize = 70;
    let bytes = source.bytes;
    if bytes.len() / 100 * LEFT > most {
        return Ok(None);
    }
    let Some(bare) = jpeg(bytes, buffer::with_room(bytes.len())?) else {
        return Ok(None);
    };
    let Ok(packed) = encode::repack_jpeg(&bare, source.header.size) else {
        return Ok(None);
    };
    let kept = metadata::select_from_source(bytes, SourceFormat::Jpeg, wanted, Format::Jxl);
    metadata::attach(packed, Format::Jxl, &kept, None).map(Some)
}

/// Bytes that a file may gain where headers are written again.
const HEADERS: usize = 64;

/// The source with its metadata chosen as `wanted`, every pixel and frame as it was.
pub(crate) fn passed_on(
    source: &[u8],
    source_format: SourceFormat,
    wanted: Metadata,
) -> Result<Option<Vec<u8>>, TransformError> {
    type Strip = fn(&[u8], Vec<u8>) -> Option<Vec<u8>>;
    let (strip, format): (Strip, Format) = match source_format {
        SourceFormat::Jpeg => (jpeg, Format::Jpeg),
        SourceFormat::Png => (png, Format::Png),
        SourceFormat::Webp => (webp, Format::Webp),
        SourceFormat::Gif => (gif, Format::Gif),
        SourceFormat::Avif => return avif(source, wanted),
        SourceFormat::JpegXl => return jxl(source).map(Some),
        _ => return Ok(None),
    };
    let room = buffer::with_room(source.len() + HEADERS)?;
    let kept = metadata::select_from_source(source, source_format, wanted, format);
    let bare = strip(source, room);
    Ok(bare.and_then(|bare| metadata::attach(bare, format, &kept, None).ok()))
}

/// The boxes of the picture. Metadata of a JPEG XL is not read, and so is in no other output either.
fn jxl(source: &[u8]) -> Result<Vec<u8>, TransformError> {
    let mut bare = buffer::with_room(source.len())?;
    if let Some(mut stripper) = Stripper::of(SourceFormat::JpegXl) {
        stripper.push(source, &mut bare);
    }
    Ok(bare)
}

/// Boxes of an AVIF point at each other by offsets, so it is passed on whole or not at all.
fn avif(source: &[u8], wanted: Metadata) -> Result<Option<Vec<u8>>, TransformError> {
    let carried = metadata::read(source, SourceFormat::Avif);
    let kept = metadata::select(&carried, wanted, Format::Avif);
    let copy = metadata::avif_holds_only(source, &kept, &carried).then(|| buffer::copied(source));
    Ok(copy.transpose()?)
}

/// Everything up to the end of the first picture but application segments and comments. The profile and Adobe's marker stay,
/// because colours depend on them, and the JFIF header without its thumbnail. Arithmetic coding, lossless frames and 12 bits are
/// for decoding here, and nothing that a browser shows.
fn jpeg(source: &[u8], mut made: Vec<u8>) -> Option<Vec<u8>> {
    let mut rest = source.strip_prefix(&[0xFF, 0xD8])?;
    made.extend([0xFF, 0xD8]);
    loop {
        let [0xFF, marker, after @ ..] = rest else {
            return None;
        };
        match marker {
            // A fill byte.
            0xFF => {
                rest = &rest[1..];
                continue;
            }
            0xD9 => {
                made.extend([0xFF, 0xD9]);
                return Some(made);
            }
            0x00..=0x01 | 0xD0..=0xD8 => return None,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
        let content = after.get(2..length)?;
        let (segment, next) = rest.split_at(length + 2);
        match marker {
            0xE0 => made.extend(jfif(content).unwrap_or_default()),
            0xE2 if content.starts_with(b"ICC_PROFILE\0") => made.extend_from_slice(segment),
            0xEE if content.starts_with(b"Adobe") => made.extend_from_slice(segment),
            0xE0..=0xFE => {}
            0xC0..=0xC2 if content.first() != Some(&8) => return None,
            0xC3 | 0xC5..=0xCF => return None,
            _ => made.extend_from_slice(segment),
        }
        rest = next;
        if *marker == 0xDA {
            let (scan, next) = rest.split_at(metadata::jpeg_scan_length(rest)?);
            made.extend_from_slice(scan);
            rest = next;
        }
    }
}

/// Version, density and a thumbnail of no pixels (ISO/IEC 10918-5, section 10.1).
fn jfif(content: &[u8]) -> Option<Vec<u8>> {
    let head = content.strip_prefix(b"JFIF\0")?.get(..7)?;
    Some([b"\xFF\xE0\0\x10JFIF\0", head, &[0, 0]].concat())
}

/// Critical chunks, and those that colours, size on paper and animation depend on.
fn png(source: &[u8], mut made: Vec<u8>) -> Option<Vec<u8>> {
    made.extend_from_slice(source.get(..8)?);
    let mut ended = false;
    for (name, _, chunk) in metadata::png_chunks(source) {
        let critical = name[0].is_ascii_uppercase();
        let ancillary = matches!(
            name,
            b"tRNS"
                | b"gAMA"
                | b"cHRM"
                | b"sRGB"
                | b"iCCP"
                | b"cICP"
                | b"mDCV"
                | b"cLLI"
                | b"sBIT"
                | b"bKGD"
                | b"pHYs"
                | b"acTL"
                | b"fcTL"
                | b"fdAT"
        );
        if critical || ancillary {
            made.extend_from_slice(chunk);
        }
        ended = name == b"IEND";
    }
    ended.then_some(made)
}

/// Pixels, profile and animation, with a header that promises nothing else.
fn webp(source: &[u8], mut made: Vec<u8>) -> Option<Vec<u8>> {
    /// Bits of the extended header for EXIF and XMP (RFC 9649, section 2.7.1).
    const METADATA: u8 = 0b0000_1100;
    made.extend_from_slice(source.get(..12)?);
    let promised = usize::try_from(u32::from_le_bytes(*source.get(4..)?.first_chunk()?)).ok()?;
    let (mut has_pixels, mut found) = (false, 4);
    for (name, content) in metadata::webp_chunks(source) {
        found += 8 + content.len().next_multiple_of(2);
        has_pixels |= matches!(name, b"VP8 " | b"VP8L" | b"ANMF");
        if !matches!(
            name,
            b"VP8X" | b"ICCP" | b"ANIM" | b"ANMF" | b"ALPH" | b"VP8 " | b"VP8L"
        ) {
            continue;
        }
        made.extend_from_slice(name);
        made.extend(u32::try_from(content.len()).ok()?.to_le_bytes());
        let start = made.len();
        made.extend_from_slice(content);
        if let (b"VP8X", Some(flags)) = (name, made.get_mut(start)) {
            *flags &= !METADATA;
        }
        made.resize(made.len().next_multiple_of(2), 0);
    }
    let length = u32::try_from(made.len() - 8).ok()?;
    made[4..8].copy_from_slice(&length.to_le_bytes());
    (has_pixels && found == promised).then_some(made)
}

/// Everything up to the end but comments, and extensions of applications other than those that loop.
fn gif(source: &[u8], mut made: Vec<u8>) -> Option<Vec<u8>> {
    /// Bytes of a table of colours, by the flags that announce it.
    const fn table(flags: u8) -> usize {
        if flags & 0x80 == 0 {
            0
        } else {
            3 << ((flags & 7) + 1)
        }
    }
    let head = 13 + table(*source.get(10)?);
    made.extend_from_slice(source.get(..head)?);
    let mut rest = &source[head..];
    loop {
        let (length, wanted) = match rest {
            [0x3B, ..] => {
                made.push(0x3B);
                return Some(made);
            }
            [0x2C, descriptor @ ..] => {
                // Nine bytes, a table, the size of codes, blocks.
                let before = 1 + 9 + table(*descriptor.get(8)?) + 1;
                (before + blocks_length(rest.get(before..)?)?, true)
            }
            [0x21, label, content @ ..] => {
                let wanted = match label {
                    0xF9 | 0x01 => true,
                    0xFF => {
                        content.starts_with(b"\x0BNETSCAPE2.0")
                            || content.starts_with(b"\x0BANIMEXTS1.0")
                    }
                    _ => false,
                };
                (2 + blocks_length(content)?, wanted)
            }
            _ => return None,
        };
        let (block, next) = rest.split_at(length);
        if wanted {
            made.extend_from_slice(block);
        }
        rest = next;
    }
}

/// The bytes of blocks that each begin with their length, up to and including the empty one.
fn blocks_length(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*data.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests;
