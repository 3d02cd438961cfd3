//! Where the pixels of a picture come from: its source, or a smaller copy of the source that was kept for this.

use bytes::Bytes;

use crate::codecs::TransformError;
use crate::codecs::TruncatedSources;
use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::Decoded;
use crate::codecs::decode::Header;
use crate::codecs::decode::Streamed;
use crate::codecs::decode::Truncation;
use crate::codecs::sniff::SourceFormat;

/// A smaller copy of a source.
#[derive(Clone, Debug)]
pub(crate) struct ReducedCopy {
    bytes: Bytes,
    denominator: u32,
}

impl ReducedCopy {
    pub fn new(denominator: u32, bytes: Bytes) -> Self {
        ReducedCopy { bytes, denominator }
    }
}

/// What is decoded for a picture: its source, or a reduced copy in its place.
pub(crate) struct PixelSource<'a> {
    source: &'a [u8],
    header: &'a Header,
    scale: DecodeScale,
    instead: Option<(&'a [u8], Header, DecodeScale)>,
}

impl<'a> PixelSource<'a> {
    /// The reduced copy, if there is one of the size that it should have; else the source.
    pub fn of(
        source: &'a [u8],
        header: &'a Header,
        scale: DecodeScale,
        copy: Option<&'a ReducedCopy>,
    ) -> Self {
        let instead = copy.and_then(|reduced_copy| {
            let ReducedCopy { bytes, denominator } = reduced_copy;
            let found = decode::header(bytes).ok()?;
            let size = header.decoded(DecodeScale::one_of(*denominator));
            let left = DecodeScale {
                eighths: scale.eighths * denominator,
            };
            (found.format == SourceFormat::Jpeg && found.size == size && left.eighths <= 8)
                .then_some((bytes.as_ref(), found, left))
        });
        PixelSource {
            source,
            header,
            scale,
            instead,
        }
    }

    /// What is read, its header, and the scale that it is read at.
    pub fn parts(&self) -> (&[u8], &Header, DecodeScale) {
        match &self.instead {
            Some((bytes, header, scale)) => (bytes, header, *scale),
            None => (self.source, self.header, self.scale),
        }
    }

    /// Bytes of the reduced copy, where there is one: its source is held as well.
    pub fn held(&self) -> u64 {
        self.instead.map_or(0, |(bytes, _, _)| bytes.len() as u64)
    }

    /// The pixels, of the same number whatever they come from; of a source that lacks its end what there is of them.
    pub fn decoded(
        &self,
        truncated: TruncatedSources,
    ) -> Result<(Decoded, Option<Truncation>), TransformError> {
        if let Some((bytes, header, scale)) = &self.instead
            && let Ok(decoded) = decode::pixels(bytes, header, *scale)
        {
            let extent = self.extent();
            return Ok((Decoded { extent, ..decoded }, None));
        }
        decode::pixels_there_are(self.source, self.header, self.scale, truncated)
    }

    /// The same pixels, as they are resampled, where what is read allows that.
    pub fn streamed(&self) -> Option<Streamed<'_>> {
        let (bytes, header, scale) = self.parts();
        let extent = self.extent();
        decode::streamed(bytes, header, scale).map(|found| Streamed { extent, ..found })
    }

    /// The size that the pixels stand for: a copy was rounded up, its source was not.
    fn extent(&self) -> (f64, f64) {
        self.header.extent(self.scale)
    }
}
