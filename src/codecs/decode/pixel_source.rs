//! Where the pixels of a picture come from: its source, or a smaller copy of the source that was kept for this.

use bytes::Bytes;

use crate::codecs::TransformError;
use crate::codecs::TruncatedSources;
use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::DecodedImage;
use crate::codecs::decode::Header;
use crate::codecs::decode::RowStream;
use crate::codecs::decode::Truncation;
use crate::codecs::sniff::SourceFormat;

/// A smaller copy of a source.
#[derive(Clone, Debug)]
pub(crate) struct ReducedCopy {
    bytes: Bytes,
    denominator: u32,
}

impl ReducedCopy {
    /// A copy with one pixel for `denominator` pixels of the source, on each axis.
    pub fn new(denominator: u32, bytes: Bytes) -> Self {
        ReducedCopy { bytes, denominator }
    }

    /// The copy in place of its source, if it has the size that it should have, and as many pixels as `scale` asks of the source.
    fn in_place_of(&self, source: &Header, scale: DecodeScale) -> Option<SourceFile> {
        let header = decode::header(&self.bytes).ok()?;
        let size = source.decoded(DecodeScale::one_of(self.denominator));
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

/// What is decoded for a picture: its source, or a reduced copy in its place.
#[derive(Clone, Debug)]
pub(crate) struct PixelSource {
    source: SourceFile,
    copy: Option<SourceFile>,
}

/// A file, and the scale at which it is decoded.
#[derive(Clone, Debug)]
struct SourceFile {
    bytes: Bytes,
    header: Header,
    scale: DecodeScale,
}

impl PixelSource {
    /// The pixels of a source at a scale, from the reduced copy where it serves.
    pub fn of(
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

    /// What is read, its header, and the scale that it is read at.
    pub fn parts(&self) -> (&[u8], &Header, DecodeScale) {
        let SourceFile {
            bytes,
            header,
            scale,
        } = self.copy.as_ref().unwrap_or(&self.source);
        (bytes, header, *scale)
    }

    /// The scale at which the source is decoded, or would be in place of its copy.
    pub fn scale(&self) -> DecodeScale {
        self.source.scale
    }

    /// Bytes of the reduced copy, where there is one: its source is held as well.
    pub fn copy_bytes(&self) -> u64 {
        self.copy.as_ref().map_or(0, |copy| copy.bytes.len() as u64)
    }

    /// The pixels, of the same number whatever they come from; of a source that lacks its end what there is of them.
    pub fn decode(
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

    /// The same pixels, as they are resampled, where what is read allows that.
    pub fn stream(&self) -> Option<RowStream<'_>> {
        let (bytes, header, scale) = self.parts();
        let extent = self.extent();
        decode::streamed(bytes, header, scale).map(|found| RowStream { extent, ..found })
    }

    /// The size that the pixels stand for: a copy was rounded up, its source was not.
    fn extent(&self) -> (f64, f64) {
        self.source.header.extent(self.source.scale)
    }
}
