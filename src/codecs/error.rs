//! Errors of decoding, transforming and encoding a picture.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::options::Format;

use crate::codecs::sniff::UnsupportedFormat;
use crate::pixels::Size;
use crate::pixels::error::PixelError;

/// The formats that every build decodes, for the texts of errors.
const SOURCES: &str = "JPEG, PNG, WebP, GIF, AVIF, JPEG XL, TIFF, BMP, ICO, PNM, QOI or SVG";

/// Why a source could not be turned into the requested picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransformError {
    /// The bytes are not a picture in any known format.
    NotAnImage,
    /// A picture in a format that is recognised but not decoded.
    UnsupportedFormat(UnsupportedFormat),
    /// A format that is decoded, with a coding that is not: a description of that coding.
    UnsupportedCoding(String),
    /// Metadata must be removed from an original of this media type, but cannot.
    MetadataStays(String),
    /// The requested format is one that this build does not write.
    NotWritten(Format),
    /// SVG output was requested from a source made of pixels.
    NotADrawing,
    /// A side of zero pixels.
    ZeroSized,
    /// More pixels than the limit.
    TooManyPixels {
        /// Size of the source.
        size: Size,
        /// The limit in pixels.
        limit: u64,
    },
    /// More memory than one render may have.
    TooCostly {
        /// The estimate, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// Pixels could not be changed: no memory, or a colour profile that cannot be applied.
    Pixels(PixelError),
    /// An output side beyond the limit.
    OutputTooLarge {
        /// Size of the output.
        size: Size,
        /// The limit of either side, in pixels.
        limit: u32,
    },
    /// The deadline passed between two steps.
    OutOfTime,
    /// The source is damaged.
    Decode(String),
    /// Resampling failed.
    Resize(String),
    /// The output could not be written.
    Encode(String),
}

impl TransformError {
    /// The error as it may be told when another process says it: its text is bounded, and plain.
    pub(crate) fn tamed(mut self) -> Self {
        const LONGEST: usize = 400;
        match &mut self {
            TransformError::UnsupportedCoding(text)
            | TransformError::MetadataStays(text)
            | TransformError::Decode(text)
            | TransformError::Resize(text)
            | TransformError::Encode(text)
            | TransformError::Pixels(PixelError::Color(text)) => {
                let plain = |character: char| {
                    if character.is_control() {
                        ' '
                    } else {
                        character
                    }
                };
                *text = text.chars().take(LONGEST).map(plain).collect();
            }
            TransformError::NotAnImage
            | TransformError::UnsupportedFormat(_)
            | TransformError::NotWritten(_)
            | TransformError::NotADrawing
            | TransformError::ZeroSized
            | TransformError::TooManyPixels { .. }
            | TransformError::TooCostly { .. }
            | TransformError::Pixels(PixelError::OutOfMemory { .. })
            | TransformError::OutputTooLarge { .. }
            | TransformError::OutOfTime => {}
        }
        self
    }

    /// The message about a format that is recognised but not decoded.
    pub(crate) fn unsupported_format(name: &str) -> String {
        format!("the source is {name}, which cannot be transformed: use {SOURCES}")
    }
}

impl fmt::Display for TransformError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransformError::NotAnImage => write!(out, "the source is not an image: use {SOURCES}"),
            TransformError::UnsupportedFormat(UnsupportedFormat::Heic) => write!(
                out,
                "the source is HEIC, which this build of the server does not decode: build it with `--features heic`, which needs libheif, or use {SOURCES}"
            ),
            TransformError::UnsupportedFormat(kind) => {
                out.write_str(&TransformError::unsupported_format(kind.name()))
            }
            TransformError::UnsupportedCoding(what) => {
                write!(
                    out,
                    "the source is {what}, which cannot be transformed: save it in another way, or use {SOURCES}"
                )
            }
            TransformError::MetadataStays(media_type) => {
                write!(
                    out,
                    "the metadata of {media_type} cannot be removed on the way: transform it, or use JPEG, PNG, WebP, GIF or JPEG XL"
                )
            }
            TransformError::NotWritten(format) => {
                write!(
                    out,
                    "this build of the server does not write `{format}`: build it with the feature `native`, or ask for `avif` or `webp`"
                )
            }
            TransformError::NotADrawing => {
                write!(out, "the source is made of pixels and cannot become SVG")
            }
            TransformError::ZeroSized => write!(out, "The image has width or height of size 0"),
            TransformError::TooManyPixels { size, limit } => {
                write!(
                    out,
                    "the source has {}x{} pixels, at most {limit} in all are allowed",
                    size.width, size.height
                )
            }
            TransformError::TooCostly { bytes, limit } => {
                write!(
                    out,
                    "the transformation would take {bytes} bytes of memory, at most {limit} are allowed"
                )
            }
            TransformError::Pixels(error) => error.fmt(out),
            TransformError::OutputTooLarge { size, limit } => write!(
                out,
                "The image enlarged too much: {}×{}, but maximum dimension allowed is {limit}",
                size.width, size.height
            ),
            TransformError::OutOfTime => write!(out, "the transformation took too long"),
            TransformError::Decode(cause) => {
                write!(out, "the source could not be decoded: {cause}")
            }
            TransformError::Resize(cause) => {
                write!(out, "the picture could not be resized: {cause}")
            }
            TransformError::Encode(cause) => {
                write!(out, "the picture could not be encoded: {cause}")
            }
        }
    }
}

impl std::error::Error for TransformError {}

impl From<PixelError> for TransformError {
    fn from(error: PixelError) -> Self {
        TransformError::Pixels(error)
    }
}
