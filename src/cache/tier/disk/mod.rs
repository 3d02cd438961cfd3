//! The disk tier: a [`Store`] seen from async code. A disk that is full, read-only, slow, missing or full of garbage makes misses and counts, never
//! an error, and no client waits for a write. It comes back by itself.

pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod lifecycle;
pub(crate) mod recovery;
pub(crate) mod store;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::cache::DiskStats;
use crate::cache::blocking;
use crate::cache::entry::EntryKey;
use crate::cache::key::SourceKey;
use crate::cache::source_record::SourceRecord;
use crate::cache::tier::disk::health::DiskFault;
use crate::cache::tier::disk::layout::DiskLayout;
use crate::cache::tier::disk::recovery::scan;
use crate::cache::tier::disk::store::ReadResult;
use crate::cache::tier::disk::store::Store;

/// How many changes may wait for the disk.
const QUEUE: usize = 1024;

/// How many bytes may wait for the disk. One entry may be larger, if nothing else waits.
const QUEUE_BYTES: u64 = 64 << 20;

/// How many reads are under way at once: a disk that hangs must not use up the threads that others need.
const READERS: usize = 32;

/// How long a read is waited for. Making a thing anew seldom takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing is asked of a disk after it exceeded that.
const REST: Duration = Duration::from_secs(10);

pub(crate) struct Disk {
    store: Arc<Store>,
    queue: mpsc::Sender<Change>,
    waiting_bytes: Arc<AtomicU64>,
    readers: Arc<Semaphore>,
    resting_until: Mutex<Option<Instant>>,
}

enum Change {
    Write {
        key: EntryKey,
        head: Vec<u8>,
        body: Bytes,
        /// How many removals came before.
        removals: u64,
        _waiting: Waiting,
    },
    /// With which removal it is, or how many came before.
    Remove(EntryKey, u64),
    RemoveOlder(EntryKey, u64),
    Recheck(EntryKey),
    Date(EntryKey),
    /// Answered when all before it is done.
    Flush(oneshot::Sender<()>),
    /// The same, and nothing comes after it.
    Close(oneshot::Sender<()>),
}

/// Bytes in the queue, counted until dropped.
struct Waiting {
    total: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Disk {
    /// Takes up the store in `folder`, if that can be had now, and starts to scan it. Where not, it is tried again until it can.
    pub(crate) async fn open(name: &'static str, folder: PathBuf, budget: u64) -> Self {
        let store = Arc::new(Store::new(name, DiskLayout::new(folder), budget));
        let taken = Arc::clone(&store);
        blocking(move || taken.activate()).await;
        let (queue, changes) = mpsc::channel(QUEUE);
        tokio::spawn(keep(Arc::clone(&store), changes));
        Disk {
            store,
            queue,
            waiting_bytes: Arc::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            resting_until: Mutex::default(),
        }
    }

    /// Whether a look at the disk may find an entry.
    pub(crate) fn may_have(&self, key: &EntryKey) -> bool {
        self.store.may_have(key)
    }

    /// The body of an entry, verified, if it can be had within [`PATIENCE`].
    pub(crate) async fn get(&self, key: EntryKey) -> Option<Bytes> {
        self.read(key, move |store| store.read(&key)).await
    }

    /// The first bytes of the body of an entry, no more than `most`, verified to be those of this entry and nothing else, if they can be had within
    /// [`PATIENCE`]. It counts as a hit.
    pub(crate) async fn beginning(&self, key: EntryKey, most: usize) -> Option<Bytes> {
        self.read(key, move |store| store.read_beginning(&key, most))
            .await
    }

    async fn read(
        &self,
        key: EntryKey,
        read: impl FnOnce(&Store) -> ReadResult + Send + 'static,
    ) -> Option<Bytes> {
        if !self.store.may_have(&key) || self.is_resting() {
            return None;
        }
        let reading = async {
            let permit = Arc::clone(&self.readers).acquire_owned().await.ok()?;
            let store = Arc::clone(&self.store);
            blocking(move || {
                // StoreSize until the disk answers, however long ago the asker lost wait_budget.
                let _permit = permit;
                read(&store)
            })
            .await
        };
        match timeout(PATIENCE, reading).await {
            Ok(Some(ReadResult::Found(body))) => {
                self.hit(&key);
                Some(body)
            }
            Ok(Some(ReadResult::Corrupt)) => {
                self.change(Change::Recheck(key));
                None
            }
            Ok(Some(ReadResult::Missing | ReadResult::Failed) | None) => None,
            Err(_) => {
                self.store.note_slow_read();
                self.rest();
                None
            }
        }
    }

    /// An entry was asked for, and memory had it: what memory answers for long must not be the first to go from disk.
    pub(crate) fn hit(&self, key: &EntryKey) {
        if self.store.hit(key) {
            // Nothing depends on it where the queue is full.
            let _ = self.queue.try_send(Change::Date(*key));
        }
    }

    /// What [`get`](Self::get) gave, as its reader understood it. What could not be understood is removed: it would be in the way for ever.
    pub(crate) fn readable<T>(&self, key: EntryKey, read: Option<T>) -> Option<T> {
        if read.is_none() {
            self.store.note_corrupt();
            self.change(Change::Remove(key, self.store.removals()));
        }
        read
    }

    /// Has an entry written when the disk has time: `head` and `body`, one after the other, as one body. Skipped if too much is waiting already.
    pub(crate) fn put(&self, key: EntryKey, head: Vec<u8>, body: Bytes) {
        let waiting = self
            .store
            .may_write()
            .then(|| self.reserve((head.len() + body.len()) as u64));
        match waiting.flatten() {
            Some(_waiting) => self.change(Change::Write {
                key,
                head,
                body,
                removals: self.store.removals(),
                _waiting,
            }),
            None => self.store.note_skipped_write(),
        }
    }

    /// Has an entry served no more, and removed when the disk has time, however much is waiting.
    pub(crate) fn remove(&self, key: EntryKey) {
        // Asked of what is known, not of what can be read now: a store that is off for the moment comes back with all that was in it.
        if !self.store.may_hold(&key) && self.waiting_bytes.load(Ordering::Relaxed) == 0 {
            return;
        }
        let removal = self.store.tombstone(&key);
        if self.queue.try_send(Change::Remove(key, removal)).is_err() {
            self.store.has_dead.store(true, Ordering::Relaxed);
        }
    }

    /// What this moment is counted as.
    pub(crate) fn now(&self) -> u64 {
        self.store.index().now()
    }

    /// The entries of a shard that are asked about and were neither written nor asked for after a moment.
    pub(crate) fn keys(
        &self,
        shard: u8,
        until: u64,
        wanted: impl Fn(&EntryKey) -> bool,
    ) -> Vec<EntryKey> {
        self.store.index().keys(shard, until, wanted)
    }

    /// The records that these entries are, as far as they can be read. Nobody asked for them: no client's turn is taken, and no hit counted.
    pub(crate) fn records(
        &self,
        entries: Vec<EntryKey>,
    ) -> impl Future<Output = Vec<(SourceKey, SourceRecord)>> + use<> {
        let store = Arc::clone(&self.store);
        let read = move |entry: EntryKey| match store.read(&entry) {
            ReadResult::Found(stored) => entry.source_key().zip(SourceRecord::from_stored(&stored)),
            ReadResult::Corrupt | ReadResult::Missing | ReadResult::Failed => None,
        };
        async move {
            let records = blocking(move || entries.into_iter().filter_map(read).collect()).await;
            records.unwrap_or_default()
        }
    }

    /// Has an entry removed however much is waiting.
    pub(crate) async fn remove_in_turn(&self, key: EntryKey) {
        // An error means that the queue is gone, and with it the tier.
        let removals = self.store.removals();
        let _ = self.queue.send(Change::Remove(key, removals)).await;
    }

    /// Has a record removed however much is waiting, if it is then still of a fetch that began before the purge of this number.
    pub(crate) async fn remove_older(&self, key: EntryKey, number: u64) {
        let _ = self.queue.send(Change::RemoveOlder(key, number)).await;
    }

    /// Returns when everything asked for until now is on disk, or has failed to get there.
    pub(crate) fn flush(&self) -> impl Future<Output = ()> + use<> {
        // Whoever waits need not hold on to the tier.
        let queue = self.queue.clone();
        async move {
            let (tell, done) = oneshot::channel();
            if queue.send(Change::Flush(tell)).await.is_ok() {
                drop(queue);
                // An error means that the queue is gone: nothing is waiting.
                let _ = done.await;
            }
        }
    }

    /// [`flush`](Self::flush), and lets go of the folder for good: another process may have it.
    pub(crate) async fn close(&self) {
        let (tell, done) = oneshot::channel();
        if self.queue.send(Change::Close(tell)).await.is_ok() {
            let _ = done.await;
        }
    }

    pub(crate) fn stats(&self) -> DiskStats {
        let stats = self.store.stats();
        DiskStats {
            trouble: stats
                .trouble
                .or(self.is_resting().then_some(DiskFault::Slow)),
            ..stats
        }
    }

    fn change(&self, change: Change) {
        if self.queue.try_send(change).is_err() {
            self.store.note_skipped_write();
        }
    }

    fn reserve(&self, bytes: u64) -> Option<Waiting> {
        let fits = |total: u64| {
            (total == 0 || total.saturating_add(bytes) <= QUEUE_BYTES)
                .then(|| total.saturating_add(bytes))
        };
        self.waiting_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        Some(Waiting {
            total: Arc::clone(&self.waiting_bytes),
            bytes,
        })
    }

    fn is_resting(&self) -> bool {
        let until = self
            .resting_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self) {
        if !self.is_resting() {
            tracing::warn!(
                store = self.store.name,
                folder = %self.store.place.root().display(),
                reason = DiskFault::Slow.word(),
                "a read from the disk cache took too long: the disk cache is not used for a while"
            );
        }
        *self
            .resting_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.store.stopping.store(true, Ordering::Relaxed);
    }
}

/// Keeps a store going until the tier is dropped and the queue is empty: scans it, does one change after the other, and while it is off tries to take
/// it up again. Changes wait for a scan; while the store is off they are given up, but for what is to be deleted.
async fn keep(store: Arc<Store>, mut changes: mpsc::Receiver<Change>) {
    loop {
        if store.needs_scan() {
            let scanned = Arc::clone(&store);
            blocking(move || scan(&scanned)).await;
        }
        let next_try = async {
            match store.pause() {
                Some(pause) => sleep(pause).await,
                None => store.turned_off.notified().await,
            }
        };
        let mut next_try = pin!(next_try);
        loop {
            tokio::select! {
                () = next_try.as_mut() => break,
                change = changes.recv() => {
                    let Some(change) = change else { return };
                    let store = Arc::clone(&store);
                    let wanted_after = match &change {
                        Change::Write { removals, .. } => *removals,
                        _ => 0,
                    };
                    // In this order: what is removed meanwhile is for the next time.
                    let removals = store.removals();
                    let done = if changes.is_empty() { removals } else { wanted_after };
                    // A change that panics is given up; the next one is done all the same.
                    blocking(move || {
                        obey(&store, change);
                        store.flush_tombstones(done);
                    })
                    .await;
                }
            }
        }
        if store.pause().is_some() {
            let taken = Arc::clone(&store);
            blocking(move || taken.activate()).await;
        }
    }
}

fn obey(store: &Store, change: Change) {
    match change {
        Change::Write {
            key,
            head,
            body,
            removals,
            _waiting,
        } => store.write_after(removals, &key, &head, &body),
        Change::Remove(key, removals) => store.remove_after(removals, &key),
        Change::RemoveOlder(key, number) => {
            if let ReadResult::Found(stored) = store.read(&key)
                && SourceRecord::from_stored(&stored)
                    .is_none_or(|record| record.generation < number)
            {
                store.remove(&key);
            }
        }
        // What is removed already goes when its turn comes.
        Change::Recheck(key) if !store.may_hold(&key) => {}
        Change::Recheck(key) => store.recheck(&key),
        Change::Date(key) => store.date(&key),
        Change::Flush(tell) => {
            // Whoever wanted to know may have stopped waiting.
            let _ = tell.send(());
        }
        Change::Close(tell) => {
            store.close();
            let _ = tell.send(());
        }
    }
}
