//! The one tag of EXIF that is kept, because without it the picture would lie on its side.

use exif::In;
use exif::Reader;
use exif::Tag;

/// The length of [`block`] in bytes.
pub(super) const BLOCK_LENGTH: usize = 26;

/// The orientation in an EXIF block, from its TIFF header on; `None` if it is upright or missing.
pub(super) fn tag(block: &[u8]) -> Option<u8> {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let exif = match reader.read_raw(block.to_vec()) {
        Ok(exif) => exif,
        Err(error) => error.distill_partial_result(|_| {}).ok()?,
    };
    let field = exif.get_field(Tag::Orientation, In::PRIMARY)?;
    let tag = u8::try_from(field.value.get_uint(0)?).ok()?;
    (2..=8).contains(&tag).then_some(tag)
}

/// An EXIF block with nothing but the orientation.
pub(super) fn block(tag: u8) -> [u8; BLOCK_LENGTH] {
    let mut block = *b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    block[19] = tag;
    block
}
