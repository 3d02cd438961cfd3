//! The tier that replicas share: renditions and records of sources in one bucket, so that many replicas make each once. And the way in which they
//! learn of each other's purges.
//!
//! Its place in a request is before work that takes longer, and it must not make that longer by more than one timeout: a request gives up a read
//! when all its reads together have taken so long (see `wait_budget`), what fails in a row is not asked for a while, what was just missing is not asked
//! for again, and nobody waits for a write. Never: an error for a client because of the bucket, an unverified byte, a source's own bytes (its origin
//! has them), anything of a source that may not be stored.

mod breaker;
pub(crate) mod envelope;
pub(crate) mod purge_log;
mod purge_objects;
mod queue;
pub(crate) mod sweeper;
pub(crate) mod wait_budget;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio::time::timeout;

use self::breaker::Admission;
use self::breaker::Breaker;
use self::breaker::Permit;
use self::queue::Change;
use self::queue::PushResult;
use self::queue::Queue;
use crate::bucket;
use crate::bucket::Bucket;
use crate::bucket::BucketError;
use crate::bucket::BucketProblem;
use crate::bucket::Conditions;
use crate::bucket::GetResponse;
use crate::bucket::Timeouts;
use crate::cache::CacheError;
use crate::cache::SharedConfig;
use crate::cache::entry::EntryKey;
use crate::cache::entry::STORED_VERSION;
use crate::cache::stats::SharedStats;
use crate::cache::tier::shared::sweeper::Sweeper;
use crate::cache::tier::shared::sweeper::keep_sweeping;
use crate::cache::tier::shared::wait_budget::WaitBudget;

use crate::cache::tier::shared::purge_log::SharedPurges;

pub(crate) use crate::cache::tier::shared::purge_log::PublishResult;
pub(crate) use crate::cache::tier::shared::purge_log::RemotePurges;

/// For what nobody waits for: writes, deletes and lists. Reads have a time of their own.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(10),
    total: Duration::from_secs(15),
};

/// How many reads are under way at once. Who finds no place makes the thing anew.
const READERS: usize = 128;

/// How long and for how many entries it is remembered that the bucket did not have them. Other replicas may have them by then.
const MISSING_LIFE: Duration = Duration::from_secs(30);
const MISSING_MOST: u64 = 50_000;

/// Longest entry that is written or read, in bytes.
const LARGEST: u64 = 64 << 20;

pub(crate) struct Shared {
    inner: Arc<Inner>,
    pub(crate) purges: SharedPurges,
}

pub(crate) struct Inner {
    bucket: Arc<Bucket>,
    /// What the names of all entries in today's layout begin with; ends with a slash.
    folder: String,
    /// For one read, and for all reads of one request.
    timeout: Duration,
    reading: Arc<Breaker>,
    writing: Arc<Breaker>,
    readers: Semaphore,
    missing: Cache<EntryKey, ()>,
    queue: Queue,
    sweeper: Sweeper,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    timeouts: AtomicU64,
    read_failures: AtomicU64,
    corrupt: AtomicU64,
    skipped_reads: AtomicU64,
    writes: AtomicU64,
    write_failures: AtomicU64,
    skipped_writes: AtomicU64,
}

impl Shared {
    /// Prepares to use the bucket that the settings name; nothing is sent. `None` if they name none. Needs a runtime.
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
        let Some(place) = buckets.iter().find(|known| known.name == *bucket) else {
            return Err(CacheError::NoSuchBucket(bucket.clone()));
        };
        if !bucket::is_key(prefix) || prefix.len() > 256 {
            return Err(CacheError::UnusablePrefix(prefix.clone()));
        }
        if timeout.duration().is_zero() {
            return Err(CacheError::NoTime);
        }
        let bucket =
            Bucket::open(place, TIMEOUTS).map_err(|error| CacheError::Shared(error.to_string()))?;
        let bucket = Arc::new(bucket);
        let purges = SharedPurges::new(Arc::clone(&bucket), format!("{prefix}/purges/"));
        let (sweeper, woken) = Sweeper::new();
        let inner = Arc::new(Inner {
            bucket,
            folder: format!("{prefix}/v{STORED_VERSION}/"),
            timeout: timeout.duration(),
            reading: Breaker::new("reading the shared cache"),
            writing: Breaker::new("writing to the shared cache"),
            readers: Semaphore::new(READERS),
            missing: Cache::builder()
                .max_capacity(MISSING_MOST)
                .time_to_live(MISSING_LIFE)
                .build(),
            queue: Queue::default(),
            sweeper,
            counts: Counts::default(),
        });
        tokio::spawn(keep_sweeping(Arc::downgrade(&inner), woken));
        Ok(Some(Shared { inner, purges }))
    }

    /// What one request has for all its reads.
    pub(crate) fn wait_budget(&self) -> WaitBudget {
        WaitBudget::new(self.inner.timeout)
    }

    /// Whether [`get`](Self::get) would look for an entry; if not, that counts as one that it skipped.
    pub(crate) fn looks_for(&self, key: &EntryKey) -> bool {
        let inner = &self.inner;
        if inner.missing.contains_key(key) {
            return false;
        }
        let looks = inner.reading.lets_through() && !WaitBudget::current().is_spent();
        if !looks {
            count(&inner.counts.skipped_reads);
        }
        looks
    }

    /// The body of an entry, verified, if it can be had before the current request loses its wait_budget.
    pub(crate) async fn get(&self, key: EntryKey) -> Option<Bytes> {
        let inner = &self.inner;
        if inner.missing.contains_key(&key) {
            return None;
        }
        match inner.reading.enter() {
            Some(Admission::Pass(pass)) => {
                let wait_budget = WaitBudget::current();
                if wait_budget.is_spent() {
                    count(&inner.counts.skipped_reads);
                    return None;
                }
                inner.read(key, pass, &wait_budget).await
            }
            Some(Admission::Probe(probe)) => {
                count(&inner.counts.skipped_reads);
                let inner = Arc::clone(inner);
                let nobody_waits = WaitBudget::unlimited();
                tokio::spawn(async move { inner.read(key, probe, &nobody_waits).await });
                None
            }
            None => {
                count(&inner.counts.skipped_reads);
                None
            }
        }
    }

    /// The first bytes of the body of an entry, no more than `most`, verified to be those of this entry and nothing else, if they can be had in
    /// time.
    pub(crate) async fn beginning(&self, key: EntryKey, most: usize) -> Option<Bytes> {
        let inner = &self.inner;
        if inner.missing.contains_key(&key) {
            return None;
        }
        // No client waits for this: it may as well try whether the bucket is back.
        let Some(Admission::Pass(pass) | Admission::Probe(pass)) = inner.reading.enter() else {
            count(&inner.counts.skipped_reads);
            return None;
        };
        let name = inner.name(key);
        let reading = inner
            .bucket
            .beginning(&name, (envelope::SEAL + most) as u64);
        let (beginning, length) = inner
            .ask(key, pass, &WaitBudget::current(), reading)
            .await?;
        let body = envelope::begin(key, &beginning, length);
        match body {
            Some(_) => count(&inner.counts.hits),
            None => inner.note_corrupt(key),
        }
        body
    }

    /// What [`get`](Self::get) gave, as its reader understood it. What could not be understood is removed.
    pub(crate) fn readable<T>(&self, key: EntryKey, read: Option<T>) -> Option<T> {
        if read.is_none() {
            self.inner.note_corrupt(key);
        }
        read
    }

    /// Has an entry written when there is time: `head` and `body`, one after the other, as one body. Skipped if too much is waiting already, or if
    /// writing fails anyway.
    pub(crate) fn put(&self, key: EntryKey, head: Vec<u8>, body: Bytes) {
        self.inner.missing.invalidate(&key);
        let length = (head.len() + body.len()) as u64;
        if length > LARGEST || !self.inner.writing.lets_through() {
            count(&self.inner.counts.skipped_writes);
            return;
        }
        let head = Bytes::from(head);
        self.inner.change(key, Change::Write { head, body });
    }

    /// Has an entry removed when there is time, unless it is known not to be there.
    pub(crate) fn remove(&self, key: EntryKey) {
        if !self.inner.missing.contains_key(&key) {
            self.inner.change(key, Change::Remove);
        }
    }

    /// Removes entries now, and those that are about to be written.
    pub(crate) async fn remove_now(&self, keys: &[EntryKey]) {
        for key in keys {
            self.inner.change(*key, Change::Remove);
        }
        // What is on its way must not get there later. Where that takes too long, it cannot be helped.
        let _ = timeout(TIMEOUTS.first_byte, self.flush()).await;
        let names = keys.iter().map(|key| self.inner.name(*key)).collect();
        let deleted = timeout(TIMEOUTS.first_byte, self.inner.bucket.delete(names)).await;
        if !matches!(deleted, Ok(Ok(()))) {
            count(&self.inner.counts.write_failures);
        }
    }

    /// Returns when everything asked for until now is in the bucket, or has failed to get there.
    pub(crate) async fn flush(&self) {
        self.inner.queue.flush().await;
    }

    pub(crate) fn stats(&self) -> SharedStats {
        let Inner {
            reading,
            writing,
            queue,
            counts,
            ..
        } = &*self.inner;
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SharedStats {
            waiting: queue.held(),
            reading_open: reading.is_open(),
            writing_open: writing.is_open(),
            purges_failing: self.purges.is_failing(),
            hits: value(&counts.hits),
            misses: value(&counts.misses),
            timeouts: value(&counts.timeouts),
            read_failures: value(&counts.read_failures),
            corrupt: value(&counts.corrupt),
            skipped_reads: value(&counts.skipped_reads),
            writes: value(&counts.writes),
            write_failures: value(&counts.write_failures),
            skipped_writes: value(&counts.skipped_writes),
        }
    }
}

impl Inner {
    async fn read(
        self: &Arc<Self>,
        key: EntryKey,
        pass: Permit,
        wait_budget: &WaitBudget,
    ) -> Option<Bytes> {
        let name = self.name(key);
        let reading = read_object(&self.bucket, &name, LARGEST + envelope::SEAL as u64);
        let content = self.ask(key, pass, wait_budget, reading).await?;
        let body = envelope::open(key, content).await;
        match body {
            Some(_) => count(&self.counts.hits),
            None => self.note_corrupt(key),
        }
        body
    }

    /// What a request for an entry is answered with, in time.
    async fn ask<T>(
        &self,
        key: EntryKey,
        pass: Permit,
        wait_budget: &WaitBudget,
        reading: impl Future<Output = Result<T, BucketError>>,
    ) -> Option<T> {
        let Ok(_place) = self.readers.try_acquire() else {
            count(&self.counts.skipped_reads);
            return None;
        };
        let begun = Instant::now();
        let answer = match wait_budget.wait(self.timeout, reading).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) if error.is_missing() => {
                pass.succeeded();
                count(&self.counts.misses);
                self.missing.insert(key, ());
                return None;
            }
            Some(Err(error)) => {
                count(&self.counts.read_failures);
                pass.failed(&error);
                return None;
            }
            None => {
                count(&self.counts.timeouts);
                // One that had less time says little of the bucket.
                if begun.elapsed() >= self.timeout {
                    pass.failed(&BucketError {
                        bucket: self.bucket.name().to_owned(),
                        problem: BucketProblem::Timeout,
                    });
                }
                return None;
            }
        };
        pass.succeeded();
        Some(answer)
    }

    fn note_corrupt(self: &Arc<Self>, key: EntryKey) {
        count(&self.counts.corrupt);
        self.change(key, Change::Remove);
    }

    fn change(self: &Arc<Self>, key: EntryKey, change: Change) {
        match self.queue.push(key, change) {
            PushResult::Waits => {}
            PushResult::Dropped => count(&self.counts.skipped_writes),
            PushResult::NeedsWorker => {
                let inner = Arc::clone(self);
                tokio::spawn(async move {
                    while let Some((key, change)) = inner.queue.take() {
                        inner.make(key, change).await;
                        inner.queue.done(&key);
                    }
                });
            }
        }
    }

    async fn make(&self, key: EntryKey, change: Change) {
        let Some(Admission::Pass(pass) | Admission::Probe(pass)) = self.writing.enter() else {
            count(&self.counts.skipped_writes);
            return;
        };
        let name = self.name(key);
        let made = match change {
            Change::Write { head, body } => {
                let seal = envelope::seal(key, &head, &body).await;
                self.bucket.put(&name, vec![seal, head, body]).await
            }
            Change::Remove => self.bucket.delete(vec![name]).await,
        };
        match made {
            Ok(()) => {
                count(&self.counts.writes);
                pass.succeeded();
            }
            Err(error) => {
                count(&self.counts.write_failures);
                tracing::debug!(%error, %key, "cannot write to the shared cache");
                pass.failed(&error);
            }
        }
    }

    /// Everything of one source begins alike.
    fn name(&self, key: EntryKey) -> String {
        format!("{}{}/{key}", self.folder, key.source())
    }
}

/// An object as a whole. What is longer than `most` is as good as unreadable, and read so far only.
async fn read_object(bucket: &Bucket, name: &str, most: u64) -> Result<Bytes, BucketError> {
    let mut object = match bucket.get(name, Conditions::default()).await? {
        GetResponse::Object(object) if object.length.is_none_or(|length| length <= most) => object,
        // "Not modified" answers a question that was not asked.
        GetResponse::Object(_) | GetResponse::NotModified(_) => return Ok(Bytes::new()),
    };
    let room = object.length.unwrap_or_default();
    let mut content = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    while let Some(chunk) = object.body.try_next().await? {
        // A bucket need not say the length before.
        if content.len().saturating_add(chunk.len()) as u64 > most {
            return Ok(Bytes::new());
        }
        content.extend_from_slice(&chunk);
    }
    Ok(Bytes::from(content))
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
