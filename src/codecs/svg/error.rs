//! Errors of SVG sources.

use crate::codecs::TransformError;

pub(crate) fn broken(what: &str) -> TransformError {
    TransformError::Decode(format!("SVG: {what}"))
}
