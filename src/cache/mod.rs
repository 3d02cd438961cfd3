//! The cache: stores sources, records of sources and renditions in three tiers (memory, disk, and a bucket that replicas share), and fetches or
//! renders what is missing.
//!
//! Sources and renditions are stored separately, so that twelve widths of one picture cost one download. An entry is looked up in memory, then on
//! disk, then in the shared bucket, and else made by one flight per key, however many requests ask for it. The key of a rendition contains a hash of
//! the bytes of its source. So what is stored under a key never changes, and when an origin answers "not modified", all renditions of the source stay
//! valid as they are.
//!
//! A stale source may still be used for a while, as its origin allows, while one flight revalidates it, or because the origin failed. Purges have
//! numbers, which tell what was stored before a purge from what was stored after it (see `purge`).
//!
//! Never: an error for a client because of a disk or a bucket, a client that waits for a write, an unverified byte in an answer, memory or disk above
//! its budget, a flight that ends because its first client went away, a purged picture in an answer, a stored trace of a source that may not be
//! stored.

mod answer;
mod blocking;
mod clock;
mod config;
mod entry;
mod error;
mod key;
mod negative;
mod purge;
mod records;
mod rendition;
mod renditions;
mod single_flight;
mod source_record;
mod sources;
mod state;
mod stats;
mod sweep_queue;
#[cfg(test)]
mod tests;
mod tier;
mod wait_budget;

use std::sync::Arc;
use std::time::Duration;

use self::clock::Clock;
use self::negative::NegativeCache;
use self::purge::journal::Journal;
use self::purge::log::PurgeLog;
use self::purge::sweeper::keep_sweeping;
use self::single_flight::Flights;
use self::sweep_queue::SweepQueue;
use self::tier::disk::Disk;
use self::tier::memory::Memory;
use self::tier::shared::SharedTier;
use self::wait_budget::WaitBudget;
use crate::bucket;
use crate::files;
use crate::freshness::Rules;
use crate::source::SourceMemory;
use crate::units::ByteSize;

pub use self::answer::{CachedRendition, CachedSource, RenderOutput, SourceBytes};
pub use self::config::{Config, DiskConfig, ErrorTtls, MemoryConfig, SharedConfig};
pub use self::error::CacheError;
pub use self::key::{
    ContentHash, RENDER_VERSION, RenditionKey, SourceId, SourceKey, SourceName, SourceState,
};
pub use self::negative::CacheableError;
pub use self::purge::PurgeError;
pub use self::purge::log::{Purge, Target};
pub use self::rendition::Rendition;
pub use self::single_flight::{FlightError, FlightLost};
pub use self::source_record::SourceRecord;
pub use self::sources::Fetch;
pub use self::state::Cache;
pub use self::stats::{CacheStatus, DiskStats, SharedStats, Stale, Stats, StoreSize, Tier};
pub use self::tier::disk::health::DiskFault;

impl Cache {
    /// Opens all tiers. `buckets` are those that settings can name; `memory` is that of the system, where it is known; sources are read from disk into
    /// `source_memory`. The disk is scanned in the
    /// background; until the scan ends, each read asks the disk itself. The purges of other replicas are waited for, but not for long.
    ///
    /// # Errors
    /// [`CacheError`] names the setting that cannot work.
    pub async fn open(
        config: &Config,
        buckets: &[bucket::Config],
        memory: Option<u64>,
        source_memory: SourceMemory,
    ) -> Result<Arc<Cache>, CacheError> {
        let Rules {
            min_ttl, max_ttl, ..
        } = config.rules();
        if min_ttl > max_ttl {
            return Err(CacheError::MinAboveMax { min_ttl, max_ttl });
        }
        let shared = SharedTier::open(&config.shared, buckets)?;
        let DiskConfig {
            path,
            renditions,
            sources,
        } = &config.disk;
        if files::is_open_to_all(path) {
            tracing::warn!(folder = %path.display(), "every user may write to the folder of the disk cache, and could stop it from being used");
        }
        let store = async |name, budget: &ByteSize| match budget.bytes() {
            0 => None,
            _ if path.as_os_str().is_empty() => None,
            bytes => Some(Disk::open(name, path.join(name), bytes).await),
        };
        let (sweeps, wake_ups) = SweepQueue::new();
        let cache = Arc::new(Cache {
            memory: Memory::new(config.memory.renditions(memory).bytes()),
            source_memory,
            renditions: store("renditions", renditions).await,
            sources: store("sources", sources).await,
            shared,
            flights: Flights::default(),
            negative: NegativeCache::default(),
            error_ttls: config.errors.clone(),
            purges: PurgeLog::default(),
            journal: (!path.as_os_str().is_empty()).then(|| Journal::new(path)),
            backlog: tokio::sync::Mutex::default(),
            sweeps,
            clock: Clock::default(),
        });
        tokio::spawn(keep_sweeping(Arc::downgrade(&cache), wake_ups));
        let weak = Arc::downgrade(&cache);
        cache.source_memory.on_scarcity(move || {
            if let Some(cache) = weak.upgrade() {
                cache.memory.remove_source_bytes();
            }
        });
        cache.start_purges().await;
        Ok(cache)
    }

    /// Does `work` for one request. All its reads of the shared tier together wait no longer than one read may take.
    pub fn within_wait_budget<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        let shared = self.shared.as_ref();
        WaitBudget::scope(shared.map(SharedTier::wait_budget), work)
    }

    /// All figures for the metrics.
    pub fn stats(&self) -> Stats {
        Stats {
            memory_renditions: self.memory.renditions(),
            memory_sources: self.memory.sources(),
            disk_renditions: self.renditions.as_ref().map(Disk::stats),
            disk_sources: self.sources.as_ref().map(Disk::stats),
            shared: self.shared.as_ref().map(SharedTier::stats),
            flights: self.flights.len() as u64,
        }
    }

    /// Returns when everything that was to be stored until now is on disk and in the shared bucket, or has failed.
    pub async fn flush(&self) {
        self.memory.settle().await;
        for disk in [&self.renditions, &self.sources].into_iter().flatten() {
            disk.flush().await;
        }
        if let Some(shared) = &self.shared {
            shared.flush().await;
        }
    }

    /// Ends the cache when the process stops: [`flush`](Self::flush), and then another process may use the folder. Takes no longer than `within`, and
    /// returns whether everything was written by then.
    pub async fn close(&self, within: Duration) -> bool {
        let closing = async {
            self.flush().await;
            for disk in [&self.renditions, &self.sources].into_iter().flatten() {
                disk.close().await;
            }
        };
        tokio::time::timeout(within, closing).await.is_ok()
    }
}
