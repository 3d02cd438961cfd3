//! Errors of JPEG XL sources.

use crate::codecs::TransformError;

pub(crate) fn failed(cause: impl std::fmt::Display) -> TransformError {
    broken(&cause.to_string())
}

pub(crate) fn broken(what: &str) -> TransformError {
    TransformError::Decode(format!("JPEG XL: {what}"))
}
