//! ICO and CUR: the largest of their pictures, which is a PNG, or a BMP without its file header. In a BMP of 32 bits the stored alpha
//! counts; if there is no alpha, or no pixel with any, the AND mask after the pixels does. Chromium does the same. `image` applies the mask
//! to every picture, so the mask is read here.

use std::io::Cursor;

use image::codecs::ico::IcoDecoder;

use crate::codecs::TransformError;
use crate::codecs::decode::image::{DecodedImage, Header};
use crate::codecs::decode::plain::failed;
use crate::codecs::decode::{plain, png};
use crate::codecs::sniff::SourceFormat;
use crate::pixels::{Samples, buffer};

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    match largest(source)? {
        IconImage::Png(picture) => Ok(Header {
            format: SourceFormat::Ico,
            ..png::header(picture)?
        }),
        IconImage::Bmp { icon, .. } => Ok(plain::header_of(&open(&icon)?, SourceFormat::Ico)),
    }
}

pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    match largest(source)? {
        IconImage::Png(picture) => png::decode(picture, header),
        IconImage::Bmp { icon, mask } => {
            let mut decoded = plain::read(Box::new(open(&icon)?), header)?;
            if let (Some(mask), Samples::U8(samples)) = (mask, &mut decoded.raster.samples) {
                mask.apply(samples, header.size.width as usize);
            }
            Ok(decoded)
        }
    }
}

/// One picture of an icon.
#[derive(Debug)]
enum IconImage<'a> {
    /// A complete PNG file.
    Png(&'a [u8]),
    Bmp {
        /// A new icon file with this picture alone. The height in a BMP header of an icon counts picture and mask, which `image` halves
        /// only for icons; with several pictures it would choose the deepest one.
        icon: Vec<u8>,
        /// The mask, which was left out of the new file; `None` if the new file includes it and `image` applies it.
        mask: Option<AndMask<'a>>,
    },
}

/// Finds the picture with the most pixels; of equal ones the one with the highest bit depth; of those the first. The directory may state
/// both wrongly, which costs only quality.
fn largest(source: &[u8]) -> Result<IconImage<'_>, TransformError> {
    const HEAD: usize = 6;
    const ENTRY: usize = 16;
    let damaged = || TransformError::Decode("ICO: the directory is damaged".to_owned());
    let count = source.get(4..HEAD).ok_or_else(damaged)?;
    let count = usize::from(u16::from_le_bytes([count[0], count[1]]));
    let is_cursor = source[2] == 2;
    // A side of 256 is stored as 0.
    let side = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    let (_, entry, picture) = source[HEAD..]
        .as_chunks::<ENTRY>()
        .0
        .iter()
        .take(count)
        .rev()
        .filter_map(|entry| {
            let (length, start) = (number(entry, 8)? as usize, number(entry, 12)? as usize);
            let picture = source.get(start..start.checked_add(length)?)?;
            // In a cursor these two bytes are the hot spot.
            let depth = if is_cursor { 0 } else { entry[6] };
            (!picture.is_empty()).then_some((
                (side(entry[0]) * side(entry[1]), depth),
                entry,
                picture,
            ))
        })
        .max_by_key(|(rank, _, _)| *rank)
        .ok_or_else(damaged)?;
    if picture.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(IconImage::Png(picture));
    }
    let bitmap = BmpParts::of(picture);
    let (parts, mask) = match &bitmap {
        Some(bitmap) => (
            [&bitmap.head[..], bitmap.colors, bitmap.pixels],
            Some(bitmap.mask),
        ),
        None => ([picture, &[], &[]], None),
    };
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut icon = buffer::with_room(22 + length)?;
    icon.extend([0, 0, 1, 0, 1, 0, entry[0], entry[1], 0, 0, 0, 0, 0, 0]);
    icon.extend(u32::try_from(length).map_err(|_| damaged())?.to_le_bytes());
    icon.extend([22, 0, 0, 0]);
    parts.iter().for_each(|part| icon.extend_from_slice(part));
    Ok(IconImage::Bmp { icon, mask })
}

fn open(icon: &[u8]) -> Result<IcoDecoder<Cursor<&[u8]>>, TransformError> {
    IcoDecoder::new(Cursor::new(icon)).map_err(failed)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_le_bytes(*bytes))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u16::from_le_bytes(*bytes))
}

/// The parts of a BMP.
struct BmpParts<'a> {
    head: Vec<u8>,
    /// The palette, or the colour masks.
    colors: &'a [u8],
    pixels: &'a [u8],
    mask: AndMask<'a>,
}

/// The AND mask, which says which pixels are transparent.
#[derive(Clone, Copy, Debug)]
struct AndMask<'a> {
    /// Rows of one bit for each pixel, in the row order of the picture, padded to 32 bits. Rows may be missing.
    rows: &'a [u8],
    is_top_down: bool,
    /// Whether the pixels have alpha: then the mask counts only if all alpha is 0.
    has_alpha: bool,
}

impl<'a> BmpParts<'a> {
    /// `None` if rows are compressed, or if the header is unusual: then `image` decodes it or reports the error.
    fn of(picture: &'a [u8]) -> Option<Self> {
        const CORE: u32 = 12;
        const INFO: u32 = 40;
        /// The header lengths that `image` knows.
        const LENGTHS: [u32; 6] = [CORE, INFO, 52, 56, 108, 124];
        const PLAIN: u32 = 0;
        const FIELDS: u32 = 3;
        /// The usual masks of red, green and blue in 32 bits.
        const USUAL: [u32; 3] = [0x00FF_0000, 0x0000_FF00, 0x0000_00FF];
        let length = number(picture, 0).filter(|length| LENGTHS.contains(length))?;
        let (width, height, bits, compression, used) = if length == CORE {
            let (width, height) = (short(picture, 4)?, short(picture, 6)?);
            let side = |side: u16| i32::from(side);
            (side(width), side(height), short(picture, 10)?, PLAIN, 0)
        } else {
            let side = |at| number(picture, at).map(u32::cast_signed);
            let (width, height) = (side(4)?, side(8)?);
            let (bits, used) = (short(picture, 14)?, number(picture, 32)?);
            (width, height, bits, number(picture, 16)?, used)
        };
        let (head, colors, has_alpha) = match compression {
            PLAIN => {
                let entry = if length == CORE { 3 } else { 4 };
                let entries: u32 = match (bits, used) {
                    (1..=8, 0) => 1 << bits,
                    (1..=8, 1..=256) => used,
                    (1..=8, _) => return None,
                    _ => 0,
                };
                (length, entries * entry, bits == 32)
            }
            // Colour masks follow the shortest header, and are a part of the longer ones. The usual masks can be left out.
            FIELDS
                if bits == 32
                    && [0, 1, 2].map(|at| number(picture, 40 + 4 * at)) == USUAL.map(Some) =>
            {
                let masks = if length == INFO { 12 } else { 0 };
                let alpha = if length >= 56 {
                    number(picture, 52)?
                } else {
                    0
                };
                (length + masks, 0, alpha != 0)
            }
            _ => return None,
        };
        let colors_at = usize::try_from(head).ok()?;
        let pixels_at = colors_at.checked_add(usize::try_from(colors).ok()?)?;
        let rows = u64::from(height.unsigned_abs() / 2);
        let row = (u64::from(width.unsigned_abs()) * u64::from(bits)).div_ceil(32) * 4;
        let mask_at = pixels_at.checked_add(usize::try_from(row * rows).ok()?)?;
        let mut told = picture.get(..colors_at)?.to_vec();
        if compression == FIELDS {
            told.truncate(INFO as usize);
            told[0..4].copy_from_slice(&INFO.to_le_bytes());
            told[16..20].copy_from_slice(&PLAIN.to_le_bytes());
        }
        Some(BmpParts {
            head: told,
            colors: picture.get(colors_at..pixels_at)?,
            pixels: picture.get(pixels_at..mask_at)?,
            mask: AndMask {
                rows: picture.get(mask_at..)?,
                is_top_down: height < 0,
                has_alpha,
            },
        })
    }
}

impl AndMask<'_> {
    /// Sets the alpha of RGBA samples in rows of `width` pixels from the mask, unless the stored alpha counts.
    fn apply(self, samples: &mut [u8], width: usize) {
        let pixels = samples.as_chunks_mut::<4>().0;
        if width == 0 || (self.has_alpha && pixels.iter().any(|pixel| pixel[3] != 0)) {
            return;
        }
        let height = pixels.len() / width;
        let row_bytes = width.div_ceil(32) * 4;
        for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
            let stored = if self.is_top_down { y } else { height - 1 - y };
            let mask = self.rows.get(stored * row_bytes..).unwrap_or_default();
            for (x, pixel) in row.iter_mut().enumerate() {
                // Missing rows hide nothing.
                let byte = mask.get(x / 8).copied().unwrap_or(0);
                let is_hidden = byte & (0x80 >> (x % 8)) != 0;
                pixel[3] = if is_hidden { 0 } else { u8::MAX };
            }
        }
    }
}

#[cfg(test)]
mod tests;
