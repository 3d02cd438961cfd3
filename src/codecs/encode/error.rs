//! Errors of encoders.

use crate::codecs::TransformError;

pub(crate) fn failed(what: impl std::fmt::Display) -> TransformError {
    TransformError::Encode(what.to_string())
}
