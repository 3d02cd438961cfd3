//! The operator's rules for the freshness of sources.

use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long sources stay fresh: the bounds for what origins say, and what counts if they say nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The shortest lifetime. A shorter one becomes this.
    pub min_ttl: Duration,
    /// The longest lifetime. A longer one becomes this. If it is less than the shortest, the shortest counts.
    pub max_ttl: Duration,
    /// The lifetime if the origin gives none, within the same bounds. `None` is the shortest. `Last-Modified` is not used to guess one.
    pub default_ttl: Option<Duration>,
    /// How long a stale source may be used while it is revalidated.
    pub stale_while_revalidate: Duration,
    /// How long a stale source may be used when its origin fails.
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
