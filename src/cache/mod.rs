//! Have we it; keep it.
//!
//! Sources and renditions are kept apart: twelve widths of one picture cost one download. Each is looked for in memory, then on disk, then (renditions and
//! what is known of sources) in the bucket that replicas share, then made, by one flight per key however many ask. A rendition's key contains the version of its source's bytes, so what is kept under a key never changes, and
//! an origin's "not modified" renews every rendition of a source without touching one.
//!
//! A source that is no longer fresh may still be used for a while, as its origin allows, while one flight asks the origin again, or because the
//! origin failed. What operators purge is told from what comes after by numbers (see `purge`).
//!
//! Never: an error for a client because of a disk or a bucket, a client waiting for a write, an unverified byte served, memory or disk past its budget, a flight
//! that dies with whoever asked first, a purged picture answered with, anything of a source that may not be stored left behind.

mod clock;
mod config;
mod entry;
mod key;
pub(crate) mod negative;
pub(crate) mod purge;
mod records;
mod rendition;
mod renditions;
pub(crate) mod single_flight;
mod source_record;
mod sources;
pub(crate) mod stats;
#[cfg(test)]
mod tests;
mod tier;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::clock::Clock;
use crate::bucket;
use crate::cache::negative::NegativeCache;
use crate::cache::purge::PublishBacklog;
use crate::cache::purge::journal::Journal;
use crate::cache::purge::log::PurgeLog;
use crate::cache::purge::sweeper::Sweeper;
use crate::cache::purge::sweeper::keep_sweeping;
use crate::cache::single_flight::Flights;
use crate::cache::tier::disk::Disk;
use crate::cache::tier::memory::Memory;
use crate::cache::tier::shared::Shared;
use crate::cache::tier::shared::wait_budget::WaitBudget;
use crate::files;
use crate::freshness::Rules;
use crate::source::SourceMemory;
use crate::units::ByteSize;

pub use self::config::Config;
pub use self::config::DiskConfig;
pub use self::config::ErrorTtls;
pub use self::config::MemoryConfig;
pub use self::config::SharedConfig;
pub use self::key::ContentHash;
pub use self::key::RENDER_VERSION;
pub use self::key::RenditionKey;
pub use self::key::SourceId;
pub use self::key::SourceKey;
pub use self::key::SourceName;
pub use self::rendition::Rendition;
pub use self::source_record::SourceRecord;
pub use self::sources::Fetch;
pub use crate::cache::negative::CacheableError;
pub use crate::cache::purge::PurgeError;
pub use crate::cache::purge::log::Purge;
pub use crate::cache::purge::log::Target;
pub use crate::cache::single_flight::FlightError;
pub use crate::cache::single_flight::FlightLost;
pub use crate::cache::stats::CacheStatus;
pub use crate::cache::stats::DiskStats;
pub use crate::cache::stats::SharedStats;
pub use crate::cache::stats::Stale;
pub use crate::cache::stats::Stats;
pub use crate::cache::stats::StoreSize;
pub use crate::cache::stats::Tier;
pub use crate::cache::tier::disk::health::DiskFault;

/// A source as the cache found it.
#[derive(Clone, Debug)]
pub struct CachedSource {
    pub record: Arc<SourceRecord>,
    /// There when the source was just fetched; else [`Cache::bytes_or_fetch`] finds them.
    pub bytes: Option<Bytes>,
    pub outcome: CacheStatus,
    /// Why it may be used although it is not fresh; `None` where it is.
    pub stale: Option<Stale>,
}

impl CachedSource {
    pub(crate) fn kept(record: Arc<SourceRecord>, tier: Tier, stale: Option<Stale>) -> Self {
        CachedSource {
            record,
            bytes: None,
            outcome: CacheStatus::Hit(tier),
            stale,
        }
    }
}

/// One state of a source with its bytes.
#[derive(Clone, Debug)]
pub struct SourceBytes {
    pub record: Arc<SourceRecord>,
    pub bytes: Bytes,
}

/// A rendition as the cache found it.
#[derive(Clone, Debug)]
pub struct CachedRendition {
    pub rendition: Arc<Rendition>,
    pub outcome: CacheStatus,
    /// The state of the source that it was made of, where that is not the one that it was asked for of.
    pub source: Option<Arc<SourceRecord>>,
}

impl CachedRendition {
    pub(crate) fn kept(rendition: Arc<Rendition>, tier: Tier) -> Self {
        CachedRendition {
            rendition,
            outcome: CacheStatus::Hit(tier),
            source: None,
        }
    }
}

/// A rendition that was just made.
#[derive(Debug)]
pub struct RenderOutput {
    pub rendition: Rendition,
    /// The state of the source that it was made of, where that had to be fetched anew.
    pub source: Option<Arc<SourceRecord>>,
}

impl From<Rendition> for RenderOutput {
    fn from(rendition: Rendition) -> Self {
        RenderOutput {
            rendition,
            source: None,
        }
    }
}

/// Everything that is kept, and every fetch and render under way.
pub struct Cache {
    memory: Memory,
    source_memory: SourceMemory,
    renditions: Option<Disk>,
    sources: Option<Disk>,
    shared: Option<Shared>,
    flights: Flights,
    failures: NegativeCache,
    error_lives: ErrorTtls,
    purges: PurgeLog,
    /// `None` where there is no disk tier: what is purged then is gone with the process.
    journal: Option<Journal>,
    /// One at a time applies what was purged, so that events come in the order of their numbers.
    purging: tokio::sync::Mutex<PublishBacklog>,
    sweeper: Sweeper,
    clock: Clock,
}

/// Why the cache could not be opened. A disk that cannot be used is no reason: then there is memory only, and an error in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheError {
    MinAboveMax {
        min_ttl: Duration,
        max_ttl: Duration,
    },
    /// No `[[bucket]]` has this name.
    NoSuchBucket(String),
    /// No key of a bucket can begin so.
    UnusablePrefix(String),
    /// The time for a read of the shared tier is nought.
    NoTime,
    /// The bucket of the shared tier cannot be used, for this reason.
    Shared(String),
}

impl fmt::Display for CacheError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheError::MinAboveMax { min_ttl, max_ttl } => write!(
                out,
                "setting `cache.min_ttl` must not exceed `cache.max_ttl` ({} s), got {} s",
                max_ttl.as_secs(),
                min_ttl.as_secs()
            ),
            CacheError::NoSuchBucket(name) => write!(
                out,
                "setting `cache.shared.bucket` must be the `name` of a [[bucket]], got `{name}`"
            ),
            CacheError::UnusablePrefix(prefix) => write!(
                out,
                "setting `cache.shared.prefix` must have 1 to 256 bytes and not begin or end with a slash or hold two in a row, got `{prefix}`"
            ),
            CacheError::NoTime => {
                out.write_str("setting `cache.shared.timeout` must be longer than 0 s")
            }
            CacheError::Shared(reason) => write!(out, "setting `cache.shared.bucket`: {reason}"),
        }
    }
}

impl std::error::Error for CacheError {}

impl Cache {
    /// Opens all tiers; `buckets` are those that settings can name, `source_memory` is where sources are read to from disk. What is on disk is looked through in the background; until that is done, reads ask
    /// the disk itself. For what was purged elsewhere, a bucket is waited for no longer than a moment.
    ///
    /// # Errors
    /// [`CacheError`] names the setting that cannot work.
    pub async fn open(
        config: &Config,
        buckets: &[bucket::Config],
        source_memory: SourceMemory,
    ) -> Result<Arc<Cache>, CacheError> {
        let Rules {
            min_ttl, max_ttl, ..
        } = config.rules();
        if min_ttl > max_ttl {
            return Err(CacheError::MinAboveMax { min_ttl, max_ttl });
        }
        let shared = Shared::open(&config.shared, buckets)?;
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
        let (sweeper, woken) = Sweeper::new();
        let cache = Arc::new(Cache {
            memory: Memory::new(config.memory.renditions.bytes()),
            source_memory,
            renditions: store("renditions", renditions).await,
            sources: store("sources", sources).await,
            shared,
            flights: Flights::default(),
            failures: NegativeCache::default(),
            error_lives: config.errors.clone(),
            purges: PurgeLog::default(),
            journal: (!path.as_os_str().is_empty()).then(|| Journal::new(path)),
            purging: tokio::sync::Mutex::default(),
            sweeper,
            clock: Clock::default(),
        });
        tokio::spawn(keep_sweeping(Arc::downgrade(&cache), woken));
        let relieved = Arc::downgrade(&cache);
        cache.source_memory.on_scarcity(move || {
            if let Some(cache) = relieved.upgrade() {
                cache.memory.remove_source_bytes();
            }
        });
        cache.begin().await;
        Ok(cache)
    }

    /// Does `work` for one request: what it waits for the tier that replicas share is, behind all doors together, no longer than one read may take.
    pub fn within_wait_budget<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        let shared = self.shared.as_ref();
        WaitBudget::scope(shared.map(Shared::wait_budget), work)
    }

    /// What is held and what went wrong, for metrics.
    pub fn stats(&self) -> Stats {
        Stats {
            memory_renditions: self.memory.renditions(),
            memory_sources: self.memory.sources(),
            disk_renditions: self.renditions.as_ref().map(Disk::stats),
            disk_sources: self.sources.as_ref().map(Disk::stats),
            shared: self.shared.as_ref().map(Shared::stats),
            flights: self.flights.len() as u64,
        }
    }

    /// Returns when everything that was to be kept until now is on disk and in the shared bucket, or has failed to get there.
    pub async fn flush(&self) {
        self.memory.settle().await;
        for disk in [&self.renditions, &self.sources].into_iter().flatten() {
            disk.flush().await;
        }
        if let Some(shared) = &self.shared {
            shared.flush().await;
        }
    }

    /// For a graceful end: [`flush`](Self::flush), for no longer than `within`, after which another process may have the folder. Says whether
    /// everything was done by then.
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

/// Runs what may block on a thread for that. `None` if it panicked, or if the process is shutting down.
#[expect(
    clippy::disallowed_methods,
    reason = "file system calls and hashing; whatever calls this bounds how much of it runs at once"
)]
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
