//! The metadata blocks of a file, and what reading and writing them share.

use std::io::Read;

use crate::codecs::TransformError;

/// Bytes of one block of metadata after decompression: a profile of 4 MiB is already enormous.
pub(crate) const MAX_BLOCK: usize = 4 << 20;

/// The metadata blocks of a source. Broken blocks count as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceMetadata {
    /// The EXIF block, from its TIFF header on.
    pub exif: Option<Vec<u8>>,
    /// The XMP packet; of several parts the first.
    pub xmp: Option<Vec<u8>>,
    /// The ICC profile.
    pub icc: Option<Vec<u8>>,
}

/// The metadata blocks for an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputMetadata {
    /// The EXIF block, from its TIFF header on, with upright orientation.
    pub exif: Option<Vec<u8>>,
    /// The XMP packet, with upright orientation.
    pub xmp: Option<Vec<u8>>,
}

/// Decompresses zlib data to at most `MAX_BLOCK` bytes.
pub(crate) fn inflated(packed: &[u8]) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    flate2::read::ZlibDecoder::new(packed)
        .take(MAX_BLOCK as u64 + 1)
        .read_to_end(&mut unpacked)
        .ok()?;
    (unpacked.len() <= MAX_BLOCK).then_some(unpacked)
}

pub(crate) fn failed(what: impl std::fmt::Display) -> TransformError {
    TransformError::Encode(format!("metadata: {what}"))
}
