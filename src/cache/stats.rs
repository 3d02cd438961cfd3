//! The state and the counters of the cache, and the cache status of one answer.

use crate::cache::tier::disk::health::DiskFault;

/// How the cache handled a request, in the sense of RFC 9211.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// The answer was cached in this tier.
    Hit(Tier),
    /// The answer was fetched or rendered for this request.
    Miss,
    /// A stale entry was stored, and the origin answered that it is still valid.
    Revalidated,
    /// Another request had already started the same fetch or render.
    Coalesced,
}

/// Where a hit came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The memory of this process.
    Memory,
    /// The disk of this server.
    Disk,
    /// The bucket that replicas share.
    Shared,
}

/// Why a stale source is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// It is being revalidated in the background.
    Revalidating,
    /// Its origin failed.
    OriginFailed,
}

/// How much one tier holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// The number of entries.
    pub entries: u64,
    /// Bookkeeping is included. In memory the number may be out of date for a moment; on disk it is the space of files and folders, in whole blocks.
    pub bytes: u64,
}

/// One disk store: its state now, and its counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// What the store holds now.
    pub held: StoreSize,
    /// The disk could not write or delete.
    pub write_failures: u64,
    /// The disk could not read, or took too long.
    pub read_failures: u64,
    /// Entries that did not read back as they were written; they were removed.
    pub corrupt: u64,
    /// Entries that were removed to make room for others.
    pub evictions: u64,
    /// Entries that were not stored, because too much was waiting to be written, because they are larger than the store, or because the store was
    /// off.
    pub skipped_writes: u64,
    /// Why the store is off now.
    pub fault: Option<DiskFault>,
}

/// The shared tier: its state now, and its counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedStats {
    /// Changes that wait to be written.
    pub waiting: StoreSize,
    /// Several reads in a row failed, and reads are skipped for now.
    pub reading_open: bool,
    /// Several writes in a row failed, and writes are skipped for now.
    pub writing_open: bool,
    /// The purges of other replicas cannot be listed.
    pub purges_failing: bool,
    /// Entries that were found.
    pub hits: u64,
    /// Entries that were looked up and not found.
    pub misses: u64,
    /// Reads without an answer in time.
    pub timeouts: u64,
    /// The bucket refused a read, or could not be reached.
    pub read_failures: u64,
    /// Entries that did not read back as they were written; they were removed.
    pub corrupt: u64,
    /// Reads that were skipped, because there were too many at once or because the bucket fails.
    pub skipped_reads: u64,
    /// Removals are included.
    pub writes: u64,
    /// Entries that could not be written or removed.
    pub write_failures: u64,
    /// Entries that were not written, because too much was waiting, because they are too large, or because the bucket fails.
    pub skipped_writes: u64,
}

/// All figures for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Renditions in memory.
    pub memory_renditions: StoreSize,
    /// Records, and the bytes of sources that were just fetched.
    pub memory_sources: StoreSize,
    /// `None` without a disk tier.
    pub disk_renditions: Option<DiskStats>,
    /// `None` if there is no disk tier.
    pub disk_sources: Option<DiskStats>,
    /// `None` without a shared tier.
    pub shared: Option<SharedStats>,
    /// Fetches and renders under way.
    pub flights: u64,
}

impl CacheStatus {
    /// The status for a request that joined a flight (`joined`) or started it. Joining a flight that fetched or rendered is `Coalesced`; joining one
    /// that found a stored entry is a hit.
    pub(crate) fn seen_by(self, joined: bool) -> Self {
        match self {
            CacheStatus::Miss | CacheStatus::Revalidated if joined => CacheStatus::Coalesced,
            outcome => outcome,
        }
    }
}
