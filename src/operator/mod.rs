//! What operators can do besides serving: purge what is cached, prewarm the cache, and ask how a URL is understood; and the same for hosted images, when they change. Both take the operator's words (URLs, paths, strings of
//! options) and turn them into calls of the pipeline and the cache.
//!
//! Nothing here may bypass the policy: a source that clients cannot request cannot be prewarmed either.

mod check;
mod hosted;
mod preview;
pub(crate) mod prewarm;
pub(crate) mod purge;

pub use self::check::{CheckReport, PictureReport, Refusal, SourceReport, UrlKind};
pub use self::prewarm::batch::WarmOutcome;
pub use self::prewarm::{Client, Presets, WarmResult};
pub use self::purge::{PurgeReport, PurgeRequestError, PurgeTarget};
