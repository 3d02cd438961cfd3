//! What is said of one answer, and of all of them together.

use crate::cache::tier::disk::health::DiskFault;

/// How the cache came by what it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    Hit(Tier),
    Miss,
    /// It was kept but too old, and the origin said that it still holds.
    Revalidated,
    /// Another request was already at it.
    Coalesced,
}

/// Where a hit came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Memory,
    Disk,
    /// The bucket that replicas share.
    Shared,
}

/// Why a source is used although it is not fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Its origin is being asked meanwhile.
    Revalidating,
    /// Its origin could not be asked.
    OriginFailed,
}

/// What one tier holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    pub entries: u64,
    /// Bookkeeping included. In memory this lags behind for a moment; on disk it is what files and folders occupy, in whole blocks.
    pub bytes: u64,
}

/// One disk store: what it holds now, and what happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    pub held: StoreSize,
    /// The disk refused to write or to delete.
    pub write_failures: u64,
    /// The disk refused to read, or took too long.
    pub read_failures: u64,
    /// What was read was not what had been written; it was removed.
    pub corrupt: u64,
    pub evictions: u64,
    /// Not kept because too much was waiting to be written, because it is larger than the whole store, or because the store was not in use.
    pub skipped_writes: u64,
    /// Why it is not in use now.
    pub trouble: Option<DiskFault>,
}

/// The shared tier: how it is now, and what happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedStats {
    /// To be written.
    pub waiting: StoreSize,
    /// It failed to read in a row, and is not asked.
    pub reading_open: bool,
    /// It failed to write in a row, and is not written to.
    pub writing_open: bool,
    /// The purges of other replicas could not be looked for.
    pub purges_failing: bool,
    pub hits: u64,
    pub misses: u64,
    /// No answer in time.
    pub timeouts: u64,
    /// The bucket refused to read, or could not be reached.
    pub read_failures: u64,
    /// What was read was not what had been written; it was removed.
    pub corrupt: u64,
    /// Not asked for, because too much was asked for at once, or because the bucket fails.
    pub skipped_reads: u64,
    /// Removals among them.
    pub writes: u64,
    pub write_failures: u64,
    /// Not written because too much was waiting, or because it is too large, or because the bucket fails.
    pub skipped_writes: u64,
}

/// For metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub memory_renditions: StoreSize,
    /// Records, and the bytes of those just fetched.
    pub memory_sources: StoreSize,
    /// `None` where there is no disk tier.
    pub disk_renditions: Option<DiskStats>,
    pub disk_sources: Option<DiskStats>,
    /// `None` where there is no shared tier.
    pub shared: Option<SharedStats>,
    /// Fetches and renders under way.
    pub flights: u64,
}

impl CacheStatus {
    /// Who joined a flight that had to work was coalesced; who joined one that found the thing kept has a hit like everybody else.
    pub(crate) fn seen_by(self, joined: bool) -> Self {
        match self {
            CacheStatus::Miss | CacheStatus::Revalidated if joined => CacheStatus::Coalesced,
            outcome => outcome,
        }
    }
}
