//! Chunks of a PNG: `eXIf`, XMP in `iTXt`, the ICC profile in `iCCP`, code points in `cICP`, gamma and primaries in `gAMA` and `cHRM` (PNG,
//! third edition, section 11.3).

use img_parts::ImageEXIF;
use img_parts::ImageICC;
use img_parts::png::{Png, PngChunk};

use crate::codecs::TransformError;
use crate::codecs::metadata::blocks::{
    MAX_BLOCK, OutputMetadata, SourceMetadata, failed, inflated,
};

/// The prefix of an `iTXt` chunk with an XMP packet.
const XMP: &[u8] = b"XML:com.adobe.xmp\0";

/// The chunks of a PNG, up to and including `IEND`, or up to the first invalid chunk: type, content, and the whole chunk with length and
/// checksum.
pub(crate) fn chunks(source: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8], &[u8])> {
    let mut rest = source.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_first_chunk()?;
        let content = after.get(..length)?;
        let (chunk, next) = rest.split_at_checked(length.checked_add(12)?)?;
        rest = if name == b"IEND" { &[] } else { next };
        Some((name, content, chunk))
    })
}

/// Colour primaries and transfer characteristics of full-range RGB, which have precedence over any profile.
pub(crate) fn cicp(source: &[u8]) -> Option<(u8, u8)> {
    chunks(source)
        .take_while(|(name, ..)| *name != b"IDAT")
        .find_map(|(name, content, _)| match (name, content) {
            (b"cICP", &[primaries, transfer, 0, 1]) => Some((primaries, transfer)),
            _ => None,
        })
}

/// Gamma and primaries of a PNG, from its chunks `gAMA` and `cHRM`, in units of 1/100,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calibration {
    /// The exponent by which light was encoded.
    pub gamma: u32,
    /// White point, red, green and blue, each as x and y.
    pub chromaticities: Option<[u32; 8]>,
}

/// Reads `gAMA` and `cHRM`, of several the first; `None` if there is no gamma, or if `sRGB` makes both void. Chunks after the beginning of
/// the pixels, broken ones, and ones of the wrong length count as absent.
pub(crate) fn calibration(source: &[u8]) -> Option<Calibration> {
    let (mut gamma, mut chromaticities) = (None, None);
    let sound = chunks(source)
        .take_while(|(name, ..)| *name != b"IDAT")
        .filter(|(name, ..)| matches!(*name, b"gAMA" | b"cHRM" | b"sRGB"))
        .filter(|(_, _, chunk)| has_its_checksum(chunk));
    for (name, content, _) in sound {
        match (name, content) {
            // One of the four rendering intents.
            (b"sRGB", [0..=3]) => return None,
            (b"gAMA", &[a, b, c, d]) => {
                gamma = gamma.or(Some(u32::from_be_bytes([a, b, c, d])));
            }
            (b"cHRM", content) if content.len() == 32 => {
                let numbers = content.as_chunks().0;
                let number = |at: usize| u32::from_be_bytes(numbers[at]);
                chromaticities = chromaticities.or(Some([0, 1, 2, 3, 4, 5, 6, 7].map(number)));
            }
            _ => {}
        }
    }
    Some(Calibration {
        gamma: gamma?,
        chromaticities,
    })
}

/// Whether the checksum of a chunk is right.
fn has_its_checksum(chunk: &[u8]) -> bool {
    let Some((told, checksum)) = chunk.split_last_chunk::<4>() else {
        return false;
    };
    let mut crc = flate2::Crc::new();
    crc.update(told.get(4..).unwrap_or_default());
    crc.sum() == u32::from_be_bytes(*checksum)
}

pub(crate) fn read(source: &[u8]) -> SourceMetadata {
    let mut carried = SourceMetadata::default();
    for (name, content, _) in chunks(source) {
        match name {
            b"eXIf" if carried.exif.is_none() && content.len() <= MAX_BLOCK => {
                carried.exif = Some(content.to_vec());
            }
            b"iCCP" if carried.icc.is_none() => carried.icc = profile(content),
            b"iTXt" if carried.xmp.is_none() => carried.xmp = packet(content),
            _ => {}
        }
    }
    carried
}

/// Profile name, zero, compression method 0, zlib data.
fn profile(content: &[u8]) -> Option<Vec<u8>> {
    let name = content.iter().take(80).position(|&byte| byte == 0)?;
    inflated(content[name + 1..].strip_prefix(&[0])?)
}

/// Keyword, compression flag, method 0, language, translated keyword, text.
fn packet(content: &[u8]) -> Option<Vec<u8>> {
    let [packed, 0, rest @ ..] = content.strip_prefix(XMP)? else {
        return None;
    };
    let text = rest.splitn(3, |&byte| byte == 0).nth(2)?;
    match packed {
        0 => (text.len() <= MAX_BLOCK).then(|| text.to_vec()),
        1 => inflated(text),
        _ => None,
    }
}

pub(crate) fn attach(
    bytes: Vec<u8>,
    kept: &OutputMetadata,
    icc: Option<&[u8]>,
) -> Result<Vec<u8>, TransformError> {
    let mut file = Png::from_bytes(bytes.into()).map_err(failed)?;
    if let Some(packet) = &kept.xmp {
        let content = [XMP, &[0, 0, 0, 0], packet].concat();
        let after_header = file.chunks().len().min(1);
        file.chunks_mut()
            .insert(after_header, PngChunk::new(*b"iTXt", content.into()));
    }
    if let Some(block) = &kept.exif {
        file.set_exif(Some(block.clone().into()));
    }
    if let Some(profile) = icc {
        file.set_icc_profile(Some(profile.to_vec().into()));
    }
    Ok(file.encoder().bytes().into())
}
