//! What operators can do besides serving: purge what is cached, and prewarm the cache. Both take the operator's words (URLs, paths, strings of
//! options) and turn them into calls of the pipeline and the cache.
//!
//! Nothing here may bypass the policy: a source that clients cannot request cannot be prewarmed either.

pub(crate) mod prewarm;
pub(crate) mod purge;

pub use self::prewarm::Client;
pub use self::prewarm::Presets;
pub use self::prewarm::WarmResult;
pub use self::prewarm::batch::WarmOutcome;
pub use self::purge::PurgeReport;
pub use self::purge::PurgeRequestError;
pub use self::purge::PurgeTarget;
