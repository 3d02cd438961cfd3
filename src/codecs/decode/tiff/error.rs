//! Errors of TIFF sources.

use tiff::TiffError;

use crate::codecs::TransformError;

pub(crate) fn failed(cause: TiffError) -> TransformError {
    match cause {
        TiffError::UnsupportedError(what) => {
            unsupported(&format!("of a kind that is not read ({what})"))
        }
        other => broken(&other.to_string()),
    }
}

pub(crate) fn unsupported(what: &str) -> TransformError {
    TransformError::UnsupportedCoding(format!("a TIFF {what}"))
}

pub(crate) fn broken(what: &str) -> TransformError {
    TransformError::Decode(format!("TIFF: {what}"))
}
