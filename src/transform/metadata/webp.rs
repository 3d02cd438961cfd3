//! Chunks of a WebP: `EXIF`, `XMP ` and `ICCP`, which only the extended format has (RFC 9649, section 2.7).

use img_parts::ImageEXIF;
use img_parts::ImageICC;
use img_parts::riff::RiffChunk;
use img_parts::riff::RiffContent;
use img_parts::webp::CHUNK_VP8X;
use img_parts::webp::CHUNK_XMP;
use img_parts::webp::WebP;

use super::super::TransformError;
use super::Carried;
use super::Kept;
use super::failed;

/// The bit in the first byte of `VP8X` that says that there is a packet.
const HAS_XMP: u8 = 0b0000_0100;

/// The chunks of a WebP, as far as its own length says: type and content. Garbage ends them.
pub fn chunks(source: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let length = source
        .get(4..)
        .and_then(|rest| rest.first_chunk())
        .and_then(|length| usize::try_from(u32::from_le_bytes(*length)).ok())
        .map_or(0, |length| length.saturating_add(8));
    let mut rest = source.get(12..length.min(source.len())).unwrap_or_default();
    std::iter::from_fn(move || {
        let (name, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (content, next) = after.split_at_checked(length)?;
        // Chunks are padded to even lengths.
        rest = next.get(length % 2..).unwrap_or_default();
        Some((name, content))
    })
}

pub(super) fn read(source: &[u8]) -> Carried {
    let mut carried = Carried::default();
    for (name, content) in chunks(source) {
        let slot = match name {
            b"EXIF" => &mut carried.exif,
            b"XMP " => &mut carried.xmp,
            b"ICCP" => &mut carried.icc,
            _ => continue,
        };
        slot.get_or_insert_with(|| content.to_vec());
    }
    carried
}

pub(super) fn attach(
    bytes: Vec<u8>,
    kept: &Kept,
    icc: Option<&[u8]>,
) -> Result<Vec<u8>, TransformError> {
    let mut file = WebP::from_bytes(bytes.into()).map_err(failed)?;
    if let Some(packet) = &kept.xmp {
        let content = RiffContent::Data(packet.clone().into());
        file.chunks_mut().push(RiffChunk::new(CHUNK_XMP, content));
    }
    if let Some(profile) = icc {
        file.set_icc_profile(Some(profile.to_vec().into()));
    }
    // Also without a block: this is what makes the format an extended one.
    file.set_exif(kept.exif.clone().map(Into::into));
    file.chunks_mut()
        .sort_by_key(|chunk| chunk.id() == CHUNK_XMP);
    // `img-parts` sets this bit of a new header, but not of one that was there before.
    let header = file
        .chunks_mut()
        .iter_mut()
        .find(|chunk| chunk.id() == CHUNK_VP8X)
        .map(RiffChunk::content_mut);
    let Some(RiffContent::Data(content)) = header else {
        return Err(failed("a WebP whose size is not to be had"));
    };
    let mut flags = content.to_vec();
    if let (Some(first), true) = (flags.first_mut(), kept.xmp.is_some()) {
        *first |= HAS_XMP;
    }
    *content = flags.into();
    Ok(file.encoder().bytes().into())
}
