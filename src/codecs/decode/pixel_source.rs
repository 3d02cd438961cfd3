//! Where the pixels of a picture come from: its source, or a reduced copy of the source.

use bytes::Bytes;

use crate::codecs::decode::image::{DecodeScale, DecodedImage, Header};
use crate::codecs::decode::jpeg::RowStream;
use crate::codecs::decode::truncation::Truncation;
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, TruncatedSources, decode};

/// A smaller copy of a source, cached because it decodes faster.
#[derive(Clone, Debug)]
pub(crate) struct ReducedCopy {
    bytes: Bytes,
    denominator: u32,
    /// Whether its header may be read; else it is taken for what it must be.
    is_read: bool,
}

impl ReducedCopy {
    /// A copy with one pixel for `denominator` pixels of the source on each axis.
    pub(crate) fn new(denominator: u32, bytes: Bytes) -> Self {
        ReducedCopy {
            bytes,
            denominator,
            is_read: true,
        }
    }

    /// The same, to learn what a picture costs that is made of it: its bytes are not looked at.
    pub(crate) fn unread(denominator: u32) -> Self {
        ReducedCopy {
            bytes: Bytes::new(),
            denominator,
            is_read: false,
        }
    }

    /// The copy as the file to decode, if it has the expected size and at least as many pixels as `scale` asks of the source.
    fn in_place_of(&self, source: &Header, scale: DecodeScale) -> Option<SourceFile> {
        let size = source.decoded(DecodeScale::one_of(self.denominator));
        let header = if self.is_read {
            decode::header(&self.bytes).ok()?
        } else {
            Header { size, ..*source }
        };
        let scale = DecodeScale {
            eighths: scale.eighths * self.denominator,
        };
        let serves =
            header.format == SourceFormat::Jpeg && header.size == size && scale.eighths <= 8;
        serves.then(|| SourceFile {
            bytes: self.bytes.clone(),
            header,
            scale,
        })
    }
}

/// The file that is decoded for a picture: its source, or a reduced copy of it.
#[derive(Clone, Debug)]
pub(crate) struct PixelSource {
    source: SourceFile,
    copy: Option<SourceFile>,
}

/// A file and its decode scale.
#[derive(Clone, Debug)]
struct SourceFile {
    bytes: Bytes,
    header: Header,
    scale: DecodeScale,
}

impl PixelSource {
    /// The source at a scale, or the reduced copy if it has enough pixels.
    pub(crate) fn of(
        source: &Bytes,
        header: &Header,
        scale: DecodeScale,
        copy: Option<&ReducedCopy>,
    ) -> Self {
        PixelSource {
            source: SourceFile {
                bytes: source.clone(),
                header: *header,
                scale,
            },
            copy: copy.and_then(|copy| copy.in_place_of(header, scale)),
        }
    }

    /// The bytes that are decoded, their header, and their decode scale.
    pub(crate) fn parts(&self) -> (&[u8], &Header, DecodeScale) {
        let SourceFile {
            bytes,
            header,
            scale,
        } = self.copy.as_ref().unwrap_or(&self.source);
        (bytes, header, *scale)
    }

    /// The decode scale of the source, also when a copy is decoded.
    pub(crate) fn scale(&self) -> DecodeScale {
        self.source.scale
    }

    /// Bytes of the reduced copy, if one is used: the source stays in memory as well.
    pub(crate) fn copy_bytes(&self) -> u64 {
        self.copy.as_ref().map_or(0, |copy| copy.bytes.len() as u64)
    }

    /// Decodes the pixels. Their number does not depend on the file that is used. If the end of the source is missing, the rows that are
    /// there are returned.
    pub(crate) fn decode(
        &self,
        truncated: TruncatedSources,
    ) -> Result<(DecodedImage, Option<Truncation>), TransformError> {
        if let Some(copy) = &self.copy
            && let Ok(decoded) = decode::pixels(&copy.bytes, &copy.header, copy.scale)
        {
            let extent = self.extent();
            return Ok((DecodedImage { extent, ..decoded }, None));
        }
        let SourceFile {
            bytes,
            header,
            scale,
        } = &self.source;
        decode::pixels_there_are(bytes, header, *scale, truncated)
    }

    /// Decodes the same pixels row by row, if the format allows that.
    pub(crate) fn stream(&self) -> Option<RowStream<'_>> {
        let (bytes, header, scale) = self.parts();
        let extent = self.extent();
        decode::streamed(bytes, header, scale).map(|found| RowStream { extent, ..found })
    }

    /// The size that the pixels represent: that of a copy was rounded up, so the source decides.
    fn extent(&self) -> (f64, f64) {
        self.source.header.extent(self.source.scale)
    }
}
