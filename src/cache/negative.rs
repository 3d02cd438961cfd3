//! The negative cache: errors that are answered again for a while without another fetch or render, such as a source that does not exist, a source that
//! is no picture, or an origin that was just down. In memory only, and bounded.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moka::sync::Cache;

use crate::cache::config::ErrorTtls;
use crate::cache::key::{RenditionKey, SourceKey};
use crate::cache::single_flight::{FlightError, FlightLost};

/// How many errors are stored at once.
const MAX_ENTRIES: u64 = 10_000;

/// What the cache needs to know of the error of a fetch or a render.
pub trait CacheableError: From<FlightLost> + Send + Sync + 'static {
    /// Whether the origin failed and did not answer, so that a stale source may be served.
    fn is_outage(&self) -> bool;

    /// How long the error is answered again without another try.
    fn ttl(&self, ttls: &ErrorTtls) -> Duration;
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NegativeKey {
    Source(SourceKey),
    Rendition(RenditionKey),
}

/// A point in time, by the clock and by the number of the last purge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) time: SystemTime,
    pub(crate) generation: u64,
}

/// All errors that are stored.
pub(crate) struct NegativeCache {
    entries: Cache<NegativeKey, NegativeEntry>,
}

#[derive(Clone)]
struct NegativeEntry {
    error: Arc<dyn Any + Send + Sync>,
    ttl: Duration,
    /// When it failed. After any later purge it is tried again.
    stored_at: Moment,
}

impl Default for NegativeCache {
    fn default() -> Self {
        NegativeCache {
            entries: Cache::new(MAX_ENTRIES),
        }
    }
}

impl NegativeCache {
    pub(crate) fn insert<E: CacheableError>(
        &self,
        key: NegativeKey,
        failed: &FlightError<E>,
        ttl: Duration,
        now: Moment,
    ) {
        // An error that comes from here does not begin a new ttl.
        if ttl.is_zero() || failed.since.is_some() || !failed.is_storable {
            return;
        }
        let error = Arc::clone(&failed.error);
        let entry = NegativeEntry {
            error,
            ttl,
            stored_at: now,
        };
        self.entries.insert(key, entry);
    }

    /// The error under `key`, unless its ttl is over or something was purged since.
    pub(crate) fn get<E: CacheableError>(
        &self,
        key: &NegativeKey,
        now: Moment,
    ) -> Option<FlightError<E>> {
        let NegativeEntry {
            error,
            ttl,
            stored_at,
        } = self.entries.get(key)?;
        // After a clock was set back, the age is unknown, and the error counts as too old.
        let is_live = now
            .time
            .duration_since(stored_at.time)
            .is_ok_and(|age| age < ttl);
        if !is_live || stored_at.generation != now.generation {
            self.entries.invalidate(key);
            return None;
        }
        Some(FlightError {
            error: error.downcast().ok()?,
            since: Some(stored_at.time),
            is_storable: true,
        })
    }

    pub(crate) fn remove(&self, key: &NegativeKey) {
        self.entries.invalidate(key);
    }
}
