//! What can go wrong between the bytes of a source and those of a picture.

use std::fmt;

use crate::codecs::sniff::UnsupportedFormat;
use crate::pixels::Size;
use crate::pixels::error::PixelError;

/// What every build reads, as the texts of the errors list it.
const SOURCES: &str = "JPEG, PNG, WebP, GIF, AVIF, JPEG XL, TIFF, BMP, ICO, PNM, QOI or SVG";

/// Why a source could not be made into the picture that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// The bytes are of no kind that shows a picture.
    NotAnImage,
    /// A picture of a kind that is no source.
    UnsupportedFormat(UnsupportedFormat),
    /// A picture of a kind that is a source, coded in a way that is not read: what it is, in words.
    UnsupportedCoding(String),
    /// A picture of pixels was asked for as a drawing.
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

impl fmt::Display for TransformError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransformError::NotAnImage => write!(out, "the source is not an image: use {SOURCES}"),
            TransformError::UnsupportedFormat(UnsupportedFormat::Heic) => write!(
                out,
                "the source is HEIC, which this build of the server does not decode: build it with `--features heic`, which needs libheif, or use {SOURCES}"
            ),
            TransformError::UnsupportedFormat(kind) => {
                write!(
                    out,
                    "the source is {}, which cannot be transformed: use {SOURCES}",
                    kind.name()
                )
            }
            TransformError::UnsupportedCoding(what) => {
                write!(
                    out,
                    "the source is {what}, which cannot be transformed: save it in another way, or use {SOURCES}"
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
