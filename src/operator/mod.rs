//! What operators do beside serving: purge and prewarm.

pub(crate) mod prewarm;
pub(crate) mod purge;

pub use self::prewarm::Client;
pub use self::prewarm::Presets;
pub use self::prewarm::Warmed;
pub use self::prewarm::batch::Prepared;
pub use self::purge::PurgeFailure;
pub use self::purge::PurgeTarget;
pub use self::purge::Purged;
