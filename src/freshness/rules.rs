//! What the operator says about lives.

use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a thing is kept: within which bounds its origin is heard, and what holds where the origin says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A shorter life becomes this.
    pub min_ttl: Duration,
    /// A longer life becomes this. Where the two contradict, `min_ttl` holds.
    pub max_ttl: Duration,
    /// The life where the origin gives none, between `min_ttl` and `max_ttl` like any other; `None`: `min_ttl`. A `Last-Modified` is no hint at one.
    pub default_ttl: Option<Duration>,
    /// How long after its life a thing may still be used while it is asked for anew.
    pub stale_while_revalidate: Duration,
    /// How long after its life a thing may still be used when its origin fails.
    pub stale_if_error: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            min_ttl: HOUR,
            max_ttl: 365 * DAY,
            default_ttl: None,
            stale_while_revalidate: HOUR,
            stale_if_error: DAY,
        }
    }
}
