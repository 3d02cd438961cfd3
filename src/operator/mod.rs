//! What operators do beside serving: purge and prewarm.

pub(crate) mod prewarm;
pub(crate) mod purge;

pub use self::prewarm::Client;
pub use self::prewarm::Presets;
pub use self::prewarm::WarmResult;
pub use self::prewarm::batch::WarmOutcome;
pub use self::purge::PurgeReport;
pub use self::purge::PurgeRequestError;
pub use self::purge::PurgeTarget;
