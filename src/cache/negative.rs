//! NegativeCache that are told again for a while without another try: pictures that are not there, sources that are none, origins that were just seen
//! to be down. In memory only, and few.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use moka::sync::Cache;

use crate::cache::ErrorTtls;
use crate::cache::key::RenditionKey;
use crate::cache::key::SourceKey;
use crate::cache::single_flight::FlightError;
use crate::cache::single_flight::FlightLost;

/// NegativeCache that are kept at once, in number.
const MOST: u64 = 10_000;

/// What the cache asks of the failure of a fetch or a render.
pub trait CacheableError: From<FlightLost> + Send + Sync + 'static {
    /// Whether the origin failed, rather than answered: then what is kept may stand in.
    fn is_outage(&self) -> bool;

    /// How long it is told again without another try.
    fn life(&self, lives: &ErrorTtls) -> Duration;
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NegativeKey {
    Source(SourceKey),
    Rendition(RenditionKey),
}

pub(crate) struct NegativeCache {
    kept: Cache<NegativeKey, NegativeEntry>,
}

#[derive(Clone)]
struct NegativeEntry {
    error: Arc<dyn Any + Send + Sync>,
    since: SystemTime,
    life: Duration,
    /// The number of the last purge when it failed: any later one is reason enough to try again.
    generation: u64,
}

impl Default for NegativeCache {
    fn default() -> Self {
        NegativeCache {
            kept: Cache::new(MOST),
        }
    }
}

impl NegativeCache {
    pub(crate) fn insert<E: CacheableError>(
        &self,
        key: NegativeKey,
        failed: &FlightError<E>,
        life: Duration,
        generation: u64,
        now: SystemTime,
    ) {
        // What is told again does not begin anew.
        if life.is_zero() || failed.since.is_some() || !failed.may_be_kept {
            return;
        }
        let error = Arc::clone(&failed.error);
        let kept = NegativeEntry {
            error,
            since: now,
            life,
            generation,
        };
        self.kept.insert(key, kept);
    }

    /// The failure under `key`, if it is still to be told, and nothing was purged since.
    pub(crate) fn get<E: CacheableError>(
        &self,
        key: &NegativeKey,
        generation: u64,
        now: SystemTime,
    ) -> Option<FlightError<E>> {
        let kept = self.kept.get(key)?;
        // A clock that was set back makes it older than it is, not younger.
        let lives = now
            .duration_since(kept.since)
            .is_ok_and(|age| age < kept.life);
        if !lives || kept.generation != generation {
            self.kept.invalidate(key);
            return None;
        }
        Some(FlightError {
            error: kept.error.downcast().ok()?,
            since: Some(kept.since),
            may_be_kept: true,
        })
    }

    pub(crate) fn remove(&self, key: &NegativeKey) {
        self.kept.invalidate(key);
    }
}
