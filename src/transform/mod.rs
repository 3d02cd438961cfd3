//! Bytes in, bytes out: a source picture becomes the picture that a recipe describes, in three steps.
//!
//! ```text
//! Source::open(bytes, &limits)   reads the header, once
//! source.plan(&recipe, &hints)   decides every pixel's place, the scale of the decode and the format; says what the render costs
//! plan.render(&budget)           decodes, composes and encodes
//! ```
//!
//! A saliency map, a reduced copy and a batch of pictures are planned and rendered in the same way, with `plan_saliency_map`,
//! `plan_reduced_copy` and `plan_batch`. Whoever renders reserves `plan.cost()` first.
//!
//! Synchronous and pure: no socket, no file, no HTTP, and no pixel before the limits have seen the header. No input makes it panic on
//! purpose, allocate before the limits are checked, or run on long after the deadline. `plan` knows nothing of `render`.

pub(crate) mod budget;
pub(crate) mod cost;
pub(crate) mod encoded;
pub(crate) mod hints;
pub(crate) mod plan;
mod render;
pub(crate) mod source;

pub use self::budget::Budget;
pub use self::cost::Cost;
pub use self::encoded::{Encoded, Timings};
pub use self::hints::{HintFiles, Hints, ReducedCopyFile};
pub use self::plan::Plan;
pub use self::plan::batch::{BatchItem, BatchPlan};
pub use self::plan::cost::largest_avif;
pub(crate) use self::plan::output::FileFacts;
pub use self::plan::reduced_copy::{ReducedCopies, ReducedCopyPlan};
pub use self::plan::saliency_map::SaliencyMapPlan;
pub use self::source::Source;
pub(crate) use crate::codecs::metadata::{Stripper, erase};
pub use crate::codecs::sniff::UnsupportedFormat;
pub(crate) use crate::codecs::sniff::{HeadFormat, SourceFormat, sniff, sniff_head};
pub(crate) use crate::codecs::svg::{DRAWING_STACK, draw_on_this_thread, open_fonts};
pub use crate::codecs::{LargeAnimations, Limits, TransformError, TruncatedSources};
pub use crate::pixels::Size;

#[cfg(test)]
mod tests;
