//! A source whose header has been read: all that is made of it is planned by what was read here, once.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codecs::animation::Animation;
use crate::codecs::decode::{Header, frames};
use crate::codecs::sniff::{SourceFormat, sniff};
use crate::codecs::{Limits, TransformError, decode, svg};
use crate::pixels::Size;
use crate::transform::cost::Cost;

/// The bytes of a source, what its header says, and the limits within which it is rendered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    #[serde(skip)]
    bytes: Bytes,
    limits: Limits,
    content: Content,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Content {
    /// SVG: there is no header, and the file is read when it is cleaned.
    Drawing {
        /// The size that the file names, where it may become pixels.
        size: Option<Size>,
    },
    /// Any format with pixels.
    Raster {
        header: Header,
        /// `None` for a still.
        animation: Option<Animation>,
    },
}

/// A source that is made of pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RasterSource<'a> {
    pub bytes: &'a Bytes,
    pub header: &'a Header,
    /// `None` for a still.
    pub animation: Option<&'a Animation>,
    pub limits: &'a Limits,
}

impl Source {
    /// Reads the header of a source. A file that is written to be expensive takes as much time and memory as
    /// [`cost_of_open`](Source::cost_of_open) says, so this is work for a CPU worker.
    ///
    /// # Errors
    /// Where the source is no picture, is damaged, or has more pixels than the limit.
    pub fn open(bytes: Bytes, limits: &Limits) -> Result<Source, TransformError> {
        let content = match sniff(&bytes) {
            Some(SourceFormat::Svg) => Content::Drawing {
                size: drawing_size(&bytes, limits),
            },
            _ => {
                let header = header_within(&bytes, limits)?;
                let animation = frames::animation(&bytes, header.format);
                Content::Raster { header, animation }
            }
        };
        Ok(Source {
            bytes,
            limits: *limits,
            content,
        })
    }

    /// What [`open`](Source::open) holds and takes at most, by the length of the source alone.
    pub fn cost_of_open(bytes: &[u8]) -> Cost {
        /// JPEG XL in several boxes is copied once.
        const COPIES: u64 = 2;
        /// Nanoseconds for each byte: frames of GIF are counted block by block, and a block may have one byte; so are those of JPEG XL.
        const TIME: (u64, u64) = (1, 20);
        let length = bytes.len() as u64;
        let (most, blocks) = TIME;
        let (time, fixed) = match sniff(bytes) {
            Some(SourceFormat::Gif) => (blocks, OPENING_BYTES),
            Some(SourceFormat::JpegXl) => (blocks, JPEG_XL_BYTES),
            _ => (most, OPENING_BYTES),
        };
        Cost {
            bytes: length.saturating_mul(COPIES).saturating_add(fixed),
            cpu: Duration::from_nanos(length.saturating_mul(time).saturating_add(OPENING_TIME)),
        }
    }

    /// A source that another process has opened, with its file; `None` where what is said of the file cannot be.
    pub(crate) fn checked(self, bytes: Bytes, limits: &Limits) -> Option<Source> {
        let is_right = match &self.content {
            Content::Drawing { .. } => sniff(&bytes) == Some(SourceFormat::Svg),
            Content::Raster { header, animation } => {
                sniff(&bytes) == Some(header.format)
                    && header.format != SourceFormat::Svg
                    && header.is_plausible()
                    && header.size.area() <= limits.source_pixels
                    && animation.is_none_or(|animation| animation.is_plausible())
            }
        };
        is_right.then_some(Source {
            bytes,
            limits: *limits,
            content: self.content,
        })
    }

    /// The file, which does not go between processes with the rest.
    pub(crate) fn file(&mut self) -> &mut Bytes {
        &mut self.bytes
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The size that a drawing names, where it may become pixels.
    pub(crate) fn drawing_size(&self) -> Option<Size> {
        match &self.content {
            Content::Drawing { size } => *size,
            Content::Raster { .. } => None,
        }
    }

    /// The format of its file.
    pub(crate) fn format(&self) -> SourceFormat {
        match &self.content {
            Content::Drawing { .. } => SourceFormat::Svg,
            Content::Raster { header, .. } => header.format,
        }
    }

    /// Its size as it is shown; `None` for a drawing.
    pub(crate) fn upright_size(&self) -> Option<Size> {
        let RasterSource { header, .. } = self.raster()?;
        Some(header.orientation.size(header.size))
    }

    /// How many frames it has; 1 for a still and for a drawing.
    pub(crate) fn frames(&self) -> u32 {
        let animation = self.raster().and_then(|source| source.animation);
        animation.map_or(1, |animation| animation.frames)
    }

    /// The source as one that is made of pixels; `None` for a drawing.
    pub(crate) fn raster(&self) -> Option<RasterSource<'_>> {
        match &self.content {
            Content::Drawing { .. } => None,
            Content::Raster { header, animation } => Some(RasterSource {
                bytes: &self.bytes,
                header,
                animation: animation.as_ref(),
                limits: &self.limits,
            }),
        }
    }
}

/// Tables and buffers of decoders that have read no pixel yet.
const OPENING_BYTES: u64 = 1 << 20;
/// The same of JPEG XL: a profile as it is packed, or the table of a frame, which has up to 65,536 parts.
const JPEG_XL_BYTES: u64 = 8 << 20;
/// What any header takes, in nanoseconds.
const OPENING_TIME: u64 = 100_000;

/// What is too long to be cleaned needs no size: it is refused when it is rendered.
fn drawing_size(bytes: &[u8], limits: &Limits) -> Option<Size> {
    let is_read = limits.rasterize_svg && bytes.len() as u64 <= svg::MARKUP;
    is_read.then(|| svg::size(bytes)).flatten()
}

fn header_within(bytes: &[u8], limits: &Limits) -> Result<Header, TransformError> {
    let header = decode::header(bytes)?;
    let limit = limits.source_pixels;
    if header.size.area() > limit {
        return Err(TransformError::TooManyPixels {
            size: header.size,
            limit,
        });
    }
    Ok(header)
}
