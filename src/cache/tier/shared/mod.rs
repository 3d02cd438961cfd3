//! The shared tier: renditions and records of sources in one bucket, so that each is made once by all replicas together. Replicas also publish their
//! purges there.
//!
//! A read of the bucket comes before work that takes longer, such as a render, and must not delay that work by more than one timeout. So all reads of
//! one request share one wait budget, a bucket that fails several times in a row is not asked for a while, an entry that was just missing is not
//! asked for again, and nobody waits for a write.
//!
//! Never: an error for a client because of the bucket, an unverified byte, the bytes of a source (its origin has them), anything of a source that
//! may not be stored.

mod breaker;
mod envelope;
mod object;
pub(crate) mod purge_log;
mod purge_objects;
mod queue;
mod store;
mod sweep_targets;
mod sweeper;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::breaker::{Admission, Breaker};
use self::purge_log::SharedPurgeLog;
use self::queue::{Change, Queue};
use self::store::{Counters, MAX_ENTRY_BYTES, SharedStore, count};
use self::sweeper::keep_sweeping;
use crate::bucket;
use crate::bucket::{Bucket, Timeouts};
use crate::cache::config::SharedConfig;
use crate::cache::entry::{EntryKey, STORED_VERSION};
use crate::cache::error::CacheError;
use crate::cache::key::SourceId;
use crate::cache::stats::SharedStats;
use crate::cache::sweep_queue::SweepQueue;
use crate::cache::wait_budget::WaitBudget;

/// For requests that nobody waits for: writes, deletes and listings. Reads have a timeout of their own.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(10),
    total: Duration::from_secs(15),
};

/// How many reads are under way at once. A read beyond that is skipped.
const MAX_READS: usize = 128;

/// For how long, and for how many entries, it is remembered that the bucket did not have them. Other replicas may write them later.
const MISSING_TTL: Duration = Duration::from_secs(30);
const MAX_MISSING: u64 = 50_000;

/// The shared tier of the cache.
pub(crate) struct SharedTier {
    store: Arc<SharedStore>,
    pub(crate) purges: SharedPurgeLog,
}

impl SharedTier {
    /// Prepares the bucket that the settings name, without a request to it. `None` if they name no bucket. Needs a runtime.
    pub(crate) fn open(
        config: &SharedConfig,
        buckets: &[bucket::Config],
    ) -> Result<Option<Self>, CacheError> {
        let SharedConfig {
            bucket,
            prefix,
            timeout,
        } = config;
        if bucket.is_empty() {
            return Ok(None);
        }
        let Some(bucket_config) = buckets.iter().find(|known| known.name == *bucket) else {
            return Err(CacheError::NoSuchBucket(bucket.clone()));
        };
        if !bucket::is_writable(prefix) || prefix.len() > 256 {
            return Err(CacheError::UnusablePrefix(prefix.clone()));
        }
        if timeout.duration().is_zero() {
            return Err(CacheError::ZeroTimeout);
        }
        let bucket = Bucket::open(bucket_config, TIMEOUTS)
            .map_err(|error| CacheError::Shared(error.to_string()))?;
        let bucket = Arc::new(bucket);
        let purges = SharedPurgeLog::new(Arc::clone(&bucket), format!("{prefix}/purges/"));
        let (sweeps, wake_ups) = SweepQueue::new();
        let store = Arc::new(SharedStore {
            bucket,
            folder: format!("{prefix}/v{STORED_VERSION}/"),
            timeout: timeout.duration(),
            reading: Breaker::new("reading the shared cache"),
            writing: Breaker::new("writing to the shared cache"),
            readers: Semaphore::new(MAX_READS),
            missing: Cache::builder()
                .max_capacity(MAX_MISSING)
                .time_to_live(MISSING_TTL)
                .build(),
            queue: Queue::default(),
            sweeps,
            counters: Counters::default(),
        });
        tokio::spawn(keep_sweeping(Arc::downgrade(&store), wake_ups));
        Ok(Some(SharedTier { store, purges }))
    }

    /// The wait budget of one request.
    pub(crate) fn wait_budget(&self) -> WaitBudget {
        WaitBudget::new(self.store.timeout)
    }

    /// Whether [`get`](Self::get) would ask the bucket for an entry. If not, that counts as a skipped read.
    pub(crate) fn would_read(&self, key: &EntryKey) -> bool {
        let store = &self.store;
        if store.missing.contains_key(key) {
            return false;
        }
        let would_read = store.reading.would_admit() && !WaitBudget::current().is_spent();
        if !would_read {
            count(&store.counters.skipped_reads);
        }
        would_read
    }

    /// The body of an entry, verified, if it can be read within the wait budget of the current request.
    pub(crate) async fn get(&self, key: EntryKey) -> Option<Bytes> {
        let store = &self.store;
        if store.missing.contains_key(&key) {
            return None;
        }
        match store.reading.enter() {
            Some(Admission::Pass(permit)) => {
                let wait_budget = WaitBudget::current();
                if wait_budget.is_spent() {
                    count(&store.counters.skipped_reads);
                    return None;
                }
                store.read(key, permit, &wait_budget).await
            }
            Some(Admission::Probe(permit)) => {
                count(&store.counters.skipped_reads);
                let store = Arc::clone(store);
                let nobody_waits = WaitBudget::unlimited();
                tokio::spawn(async move { store.read(key, permit, &nobody_waits).await });
                None
            }
            None => {
                count(&store.counters.skipped_reads);
                None
            }
        }
    }

    /// The first bytes of the body of an entry, at most `max_bytes`, if they can be read in time. Only the header and the length are verified.
    pub(crate) async fn beginning(&self, key: EntryKey, max_bytes: usize) -> Option<Bytes> {
        let store = &self.store;
        if store.missing.contains_key(&key) {
            return None;
        }
        // No client waits for this read, so it may be the one that tries whether the bucket works again.
        let Some(Admission::Pass(permit) | Admission::Probe(permit)) = store.reading.enter() else {
            count(&store.counters.skipped_reads);
            return None;
        };
        let name = store.name(key);
        let reading = store
            .bucket
            .beginning(&name, (envelope::PREFIX_LEN + max_bytes) as u64);
        let (beginning, length) = store
            .ask(key, permit, &WaitBudget::current(), reading)
            .await?;
        let body = envelope::begin(key, &beginning, length);
        match body {
            Some(_) => count(&store.counters.hits),
            None => store.note_corrupt(key),
        }
        body
    }

    /// Returns the parsed form of what [`get`](Self::get) returned. An entry that could not be parsed (`None`) is removed.
    pub(crate) fn parsed_or_remove<T>(&self, key: EntryKey, read: Option<T>) -> Option<T> {
        if read.is_none() {
            self.store.note_corrupt(key);
        }
        read
    }

    /// Queues an entry to be written, with `head` and `body` as one body. Skipped if too much is waiting already, or if writes fail.
    pub(crate) fn put(&self, key: EntryKey, head: Vec<u8>, body: Bytes) {
        self.store.missing.invalidate(&key);
        let length = (head.len() + body.len()) as u64;
        if length > MAX_ENTRY_BYTES || !self.store.writing.would_admit() {
            count(&self.store.counters.skipped_writes);
            return;
        }
        let head = Bytes::from(head);
        self.store.change(key, Change::Write { head, body });
    }

    /// Queues the removal of an entry, unless the entry is known to be missing.
    pub(crate) fn remove(&self, key: EntryKey) {
        if !self.store.missing.contains_key(&key) {
            self.store.change(key, Change::Remove);
        }
    }

    /// Removes entries now, also those that wait to be written.
    pub(crate) async fn remove_now(&self, keys: &[EntryKey]) {
        for key in keys {
            self.store.change(*key, Change::Remove);
        }
        // Writes that are under way must be done before the deletion. If they take too long, the entries may be written again after it.
        let _ = timeout(TIMEOUTS.first_byte, self.flush()).await;
        let names = keys.iter().map(|key| self.store.name(*key)).collect();
        let deleted = timeout(TIMEOUTS.first_byte, self.store.bucket.delete(names)).await;
        if !matches!(deleted, Ok(Ok(()))) {
            count(&self.store.counters.write_failures);
        }
    }

    /// Returns when every change that was queued until now is done or has failed.
    pub(crate) async fn flush(&self) {
        self.store.queue.flush().await;
    }

    pub(crate) fn stats(&self) -> SharedStats {
        let SharedStore {
            reading,
            writing,
            queue,
            counters,
            ..
        } = &*self.store;
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SharedStats {
            waiting: queue.held(),
            reading_open: reading.is_open(),
            writing_open: writing.is_open(),
            purges_failing: self.purges.is_failing(),
            hits: value(&counters.hits),
            misses: value(&counters.misses),
            timeouts: value(&counters.timeouts),
            read_failures: value(&counters.read_failures),
            corrupt: value(&counters.corrupt),
            skipped_reads: value(&counters.skipped_reads),
            writes: value(&counters.writes),
            write_failures: value(&counters.write_failures),
            skipped_writes: value(&counters.skipped_writes),
        }
    }

    /// Starts to delete, in the background, what was made of these sources before these purges.
    pub(crate) fn sweep(&self, purges: HashMap<Option<SourceId>, u64>) {
        if !purges.is_empty() {
            self.store.sweeps.add(|waiting| waiting.add(purges));
        }
    }
}
