//! Limits that several checks of a drawing share.

use crate::codecs::TransformError;
use crate::codecs::svg::error::broken;

/// Elements after all references are replaced by their targets; long paths and texts count as several. Each takes about a kibibyte. The
/// largest maps have a tenth of this.
pub(crate) const ELEMENTS: u64 = 100_000;
/// Nesting depth, with references replaced by their targets. Editors nest a dozen.
pub(crate) const DEPTH: u32 = 256;
/// Bytes that are scanned to parse the declarations of an element (see `parsing`) that cost as much as an element.
pub(crate) const ELEMENT_PARSING: u64 = 16_384;

pub(crate) fn too_many() -> TransformError {
    broken("too many elements, or too deeply nested ones")
}
