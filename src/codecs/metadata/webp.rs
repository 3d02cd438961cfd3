//! Chunks of a WebP: `EXIF`, `XMP ` and `ICCP`, which only the extended format has (RFC 9649, section 2.7).

use img_parts::ImageEXIF;
use img_parts::ImageICC;
use img_parts::riff::{RiffChunk, RiffContent};
use img_parts::webp::{CHUNK_VP8X, CHUNK_XMP, WebP};

use crate::codecs::TransformError;
use crate::codecs::metadata::blocks::{MAX_BLOCK, OutputMetadata, SourceMetadata, failed};
use crate::pixels::Size;

/// Flags in the first byte of `VP8X`.
const IS_ANIMATED: u8 = 0b0000_0010;
const HAS_XMP: u8 = 0b0000_0100;
const HAS_EXIF: u8 = 0b0000_1000;
const HAS_PROFILE: u8 = 0b0010_0000;

/// The chunks of a WebP (type and content), up to the length in its header or the first invalid chunk.
pub(crate) fn chunks(source: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
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

/// The header of a file in the extended format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExtendedHeader {
    flags: u8,
    /// The size of the canvas.
    pub size: Size,
}

impl ExtendedHeader {
    pub(crate) fn is_animated(self) -> bool {
        self.flags & IS_ANIMATED != 0
    }
}

/// Reads the header of the extended format, if the file has one.
pub(crate) fn extended(source: &[u8]) -> Option<ExtendedHeader> {
    let (name, content) = chunks(source).next()?;
    let [flags, _, _, _, sides @ ..] = content else {
        return None;
    };
    let side = |at: usize| -> Option<u32> {
        let [low, middle, high] = sides.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes([*low, *middle, *high, 0]) + 1)
    };
    (name == b"VP8X").then_some(ExtendedHeader {
        flags: *flags,
        size: Size::new(side(0)?, side(3)?),
    })
}

/// The EXIF block, if the header announces it.
pub(crate) fn exif(source: &[u8]) -> Option<&[u8]> {
    announced(source, b"EXIF", HAS_EXIF)
}

/// The ICC profile, if the header announces it.
pub(crate) fn profile(source: &[u8]) -> Option<&[u8]> {
    announced(source, b"ICCP", HAS_PROFILE)
}

fn announced<'a>(source: &'a [u8], name: &[u8; 4], flag: u8) -> Option<&'a [u8]> {
    let is_announced = extended(source).is_some_and(|header| header.flags & flag != 0);
    let (_, content) = chunks(source)
        .filter(|_| is_announced)
        .find(|(found, _)| *found == name)?;
    (content.len() <= MAX_BLOCK).then_some(content)
}

pub(crate) fn read(source: &[u8]) -> SourceMetadata {
    let mut carried = SourceMetadata::default();
    let blocks = chunks(source).filter(|(_, content)| content.len() <= MAX_BLOCK);
    for (name, content) in blocks {
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

pub(crate) fn attach(
    bytes: Vec<u8>,
    kept: &OutputMetadata,
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
    // This is needed without EXIF as well, because it changes the file to the extended format.
    file.set_exif(kept.exif.clone().map(Into::into));
    file.chunks_mut()
        .sort_by_key(|chunk| chunk.id() == CHUNK_XMP);
    // `img-parts` sets this flag in a new header, but not in an existing one.
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
