//! The entries in the shared bucket: reads, and changes that are made in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::bucket::{Bucket, BucketError, BucketProblem};
use crate::cache::entry::EntryKey;
use crate::cache::sweep_queue::SweepQueue;
use crate::cache::tier::shared::breaker::{Admission, Breaker, Permit};
use crate::cache::tier::shared::envelope;
use crate::cache::tier::shared::object::read_object;
use crate::cache::tier::shared::queue::{Change, PushResult, Queue};
use crate::cache::tier::shared::sweep_targets::SweepTargets;
use crate::cache::wait_budget::WaitBudget;

/// The longest entry that is written or read, in bytes.
pub(super) const MAX_ENTRY_BYTES: u64 = 64 << 20;

/// Everything that reads and background writes of the shared tier need.
pub(super) struct SharedStore {
    pub(super) bucket: Arc<Bucket>,
    /// The beginning of the names of all entries of the current format, with a slash at its end.
    pub(super) folder: String,
    /// For one read, and for all reads of one request.
    pub(super) timeout: Duration,
    pub(super) reading: Arc<Breaker>,
    pub(super) writing: Arc<Breaker>,
    /// Limits the reads that are under way at once.
    pub(super) readers: Semaphore,
    /// Entries that the bucket did not have a moment ago.
    pub(super) missing: Cache<EntryKey, ()>,
    pub(super) queue: Queue,
    pub(super) sweeps: SweepQueue<SweepTargets>,
    pub(super) counters: Counters,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) read_failures: AtomicU64,
    pub(super) corrupt: AtomicU64,
    pub(super) skipped_reads: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) write_failures: AtomicU64,
    pub(super) skipped_writes: AtomicU64,
}

impl SharedStore {
    pub(super) async fn read(
        self: &Arc<Self>,
        key: EntryKey,
        permit: Permit,
        wait_budget: &WaitBudget,
    ) -> Option<Bytes> {
        let name = self.name(key);
        let reading = read_object(
            &self.bucket,
            &name,
            MAX_ENTRY_BYTES + envelope::PREFIX_LEN as u64,
        );
        let content = self.ask(key, permit, wait_budget, reading).await?;
        let body = envelope::open(key, content).await;
        match body {
            Some(_) => count(&self.counters.hits),
            None => self.note_corrupt(key),
        }
        body
    }

    /// The answer to a read, if it comes in time.
    pub(super) async fn ask<T>(
        &self,
        key: EntryKey,
        permit: Permit,
        wait_budget: &WaitBudget,
        reading: impl Future<Output = Result<T, BucketError>>,
    ) -> Option<T> {
        let Ok(_place) = self.readers.try_acquire() else {
            count(&self.counters.skipped_reads);
            return None;
        };
        let started = Instant::now();
        let answer = match wait_budget.wait(self.timeout, reading).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) if error.is_missing() => {
                permit.succeeded();
                count(&self.counters.misses);
                self.missing.insert(key, ());
                return None;
            }
            Some(Err(error)) => {
                count(&self.counters.read_failures);
                permit.failed(&error);
                return None;
            }
            None => {
                count(&self.counters.timeouts);
                // A read that had less time than the timeout says little about the bucket.
                if started.elapsed() >= self.timeout {
                    permit.failed(&BucketError {
                        bucket: self.bucket.name().to_owned(),
                        problem: BucketProblem::Timeout,
                    });
                }
                return None;
            }
        };
        permit.succeeded();
        Some(answer)
    }

    pub(super) fn note_corrupt(self: &Arc<Self>, key: EntryKey) {
        count(&self.counters.corrupt);
        self.change(key, Change::Remove);
    }

    pub(super) fn change(self: &Arc<Self>, key: EntryKey, change: Change) {
        match self.queue.push(key, change) {
            PushResult::Queued => {}
            PushResult::Dropped => count(&self.counters.skipped_writes),
            PushResult::NeedsWorker => {
                let store = Arc::clone(self);
                tokio::spawn(async move {
                    while let Some((key, change)) = store.queue.take() {
                        store.apply(key, change).await;
                        store.queue.done(&key);
                    }
                });
            }
        }
    }

    async fn apply(&self, key: EntryKey, change: Change) {
        let Some(Admission::Pass(permit) | Admission::Probe(permit)) = self.writing.enter() else {
            count(&self.counters.skipped_writes);
            return;
        };
        let name = self.name(key);
        let result = match change {
            Change::Write { head, body } => {
                let seal = envelope::seal(key, &head, &body).await;
                self.bucket.put(&name, vec![seal, head, body]).await
            }
            Change::Remove => self.bucket.delete(vec![name]).await,
        };
        match result {
            Ok(()) => {
                count(&self.counters.writes);
                permit.succeeded();
            }
            Err(error) => {
                count(&self.counters.write_failures);
                tracing::debug!(%error, %key, "cannot write to the shared cache");
                permit.failed(&error);
            }
        }
    }

    /// The name of the object of an entry. All entries of one source begin with the same text.
    pub(super) fn name(&self, key: EntryKey) -> String {
        format!("{}{}/{key}", self.folder, key.source())
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
