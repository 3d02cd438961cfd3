//! How long clients may cache a hosted image, which its account decides, and not its origin.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest that a private picture may be cached, in seconds.
const PRIVATE: u64 = 3600;

/// How long browsers may show a picture while they ask for a newer one, in seconds.
const STALE: u32 = 7200;

/// How long clients may cache a hosted image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Everybody may see it.
    Public {
        /// How long, in seconds.
        seconds: u32,
    },
    /// It needs a signed URL.
    Private {
        /// When the URL expires, in seconds since 1970.
        until: Option<u64>,
    },
}

impl Lifetime {
    /// `Cache-Control` at this time, for no longer than `within`.
    pub(super) fn cache_control(self, within: Option<Duration>, now: SystemTime) -> String {
        let within = within.map_or(u64::MAX, |within| within.as_secs());
        match self {
            Lifetime::Public { seconds } if u64::from(seconds) <= within => {
                format!("public, max-age={seconds}, stale-while-revalidate={STALE}")
            }
            Lifetime::Public { .. } => format!("public, max-age={within}"),
            Lifetime::Private { until } => {
                let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let left = until.map_or(u64::MAX, |until| until.saturating_sub(now));
                format!("private, max-age={}", left.min(PRIVATE).min(within))
            }
        }
    }

    /// Whether each answer states it anew.
    pub(super) fn passes(self) -> bool {
        matches!(self, Lifetime::Private { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_picture_is_cached_no_longer_than_its_url_is_valid() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let public = Lifetime::Public { seconds: 9000 };
        let private = |until| Lifetime::Private { until };
        for (lifetime, within, expected) in [
            (
                public,
                None,
                "public, max-age=9000, stale-while-revalidate=7200",
            ),
            (public, Some(60), "public, max-age=60"),
            (
                public,
                Some(9000),
                "public, max-age=9000, stale-while-revalidate=7200",
            ),
            (private(None), None, "private, max-age=3600"),
            (private(Some(1010)), None, "private, max-age=10"),
            (private(Some(999)), None, "private, max-age=0"),
            (private(Some(u64::MAX)), None, "private, max-age=3600"),
            (private(Some(1010)), Some(5), "private, max-age=5"),
        ] {
            let within = within.map(Duration::from_secs);
            assert_eq!(lifetime.cache_control(within, now), expected);
        }
    }
}
