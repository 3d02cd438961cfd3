//! The disk tier: a [`Store`] with an asynchronous interface.
//!
//! A disk that is full, read-only, slow, missing or damaged causes misses, which are counted, and never an error for a client. No client waits for a
//! write. The disk is tried again, with growing pauses, until it works.

mod file_clock;
pub(crate) mod folder_lock;
pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod lifecycle;
pub(crate) mod recovery;
pub(crate) mod store;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::cache::blocking::blocking;
use crate::cache::entry::EntryKey;
use crate::cache::key::SourceKey;
use crate::cache::source_record::SourceRecord;
use crate::cache::stats::DiskStats;
use crate::cache::tier::disk::health::DiskFault;
use crate::cache::tier::disk::layout::DiskLayout;
use crate::cache::tier::disk::recovery::scan;
use crate::cache::tier::disk::store::{ReadResult, Store};

/// How many changes may wait for the disk.
const MAX_CHANGES: usize = 1024;

/// How many bytes may wait for the disk. One entry may be larger, if nothing else waits.
const MAX_QUEUED_BYTES: u64 = 64 << 20;

/// How many reads are under way at once, so that a disk that hangs cannot use up all threads for blocking work.
const MAX_READS: usize = 32;

/// How long a read may take. Fetching or rendering an entry again seldom takes longer.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the disk is not read after a read took too long.
const SLOW_PAUSE: Duration = Duration::from_secs(10);

pub(crate) struct Disk {
    store: Arc<Store>,
    queue: mpsc::Sender<Change>,
    waiting_bytes: Arc<AtomicU64>,
    readers: Arc<Semaphore>,
    paused_until: Mutex<Option<Instant>>,
}

enum Change {
    Write {
        key: EntryKey,
        head: Vec<u8>,
        body: Bytes,
        /// The number of removals before this write was asked for.
        removals: u64,
        _reservation: ByteReservation,
    },
    /// The entry, and the number of removals up to and including this one.
    Remove(EntryKey, u64),
    RemoveOlder(EntryKey, u64),
    Recheck(EntryKey),
    Touch(EntryKey),
    /// Answered when all changes before it are done.
    Flush(oneshot::Sender<()>),
    /// The same, and no change is done after it.
    Close(oneshot::Sender<()>),
}

/// Bytes in the queue, counted until this is dropped.
struct ByteReservation {
    total: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for ByteReservation {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Disk {
    /// Activates the store in `folder` if possible, and starts to scan it. If it is not possible now, it is tried again until it is.
    pub(crate) async fn open(name: &'static str, folder: PathBuf, budget: u64) -> Self {
        let store = Arc::new(Store::new(name, DiskLayout::new(folder), budget));
        let starting = Arc::clone(&store);
        blocking(move || starting.activate()).await;
        let (queue, changes) = mpsc::channel(MAX_CHANGES);
        tokio::spawn(maintain(Arc::clone(&store), changes));
        Disk {
            store,
            queue,
            waiting_bytes: Arc::default(),
            readers: Arc::new(Semaphore::new(MAX_READS)),
            paused_until: Mutex::default(),
        }
    }

    /// Whether a read may find an entry.
    pub(crate) fn may_find(&self, key: &EntryKey) -> bool {
        self.store.may_find(key)
    }

    /// The body of an entry, verified, if it can be read within [`READ_TIMEOUT`].
    pub(crate) async fn get(&self, key: EntryKey) -> Option<Bytes> {
        self.read(key, move |store| store.read(&key)).await
    }

    /// The first bytes of the body of an entry, at most `max_bytes`, if they can be read within [`READ_TIMEOUT`]. Only its header and length are
    /// verified. It counts as a hit.
    pub(crate) async fn beginning(&self, key: EntryKey, max_bytes: usize) -> Option<Bytes> {
        self.read(key, move |store| store.read_beginning(&key, max_bytes))
            .await
    }

    async fn read(
        &self,
        key: EntryKey,
        read: impl FnOnce(&Store) -> ReadResult + Send + 'static,
    ) -> Option<Bytes> {
        if !self.store.may_find(&key) || self.is_paused() {
            return None;
        }
        let reading = async {
            let permit = Arc::clone(&self.readers).acquire_owned().await.ok()?;
            let store = Arc::clone(&self.store);
            blocking(move || {
                // Held until the disk answers, even if the request has stopped waiting.
                let _permit = permit;
                read(&store)
            })
            .await
        };
        match timeout(READ_TIMEOUT, reading).await {
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
                self.pause_reads();
                None
            }
        }
    }

    /// Counts a hit, also one of the memory tier, so that entries that memory answers for are not evicted from disk first.
    pub(crate) fn hit(&self, key: &EntryKey) {
        if self.store.hit(key) {
            // If the queue is full, the time of the file stays as it is, which does no harm.
            let _ = self.queue.try_send(Change::Touch(*key));
        }
    }

    /// Returns the parsed form of what [`get`](Self::get) returned. An entry that could not be parsed (`None`) is removed, because it would never be
    /// of use.
    pub(crate) fn parsed_or_remove<T>(&self, key: EntryKey, read: Option<T>) -> Option<T> {
        if read.is_none() {
            self.store.note_corrupt();
            self.change(Change::Remove(key, self.store.removals()));
        }
        read
    }

    /// Queues an entry to be written, with `head` and `body` as one body. Skipped if too much is waiting already.
    pub(crate) fn put(&self, key: EntryKey, head: Vec<u8>, body: Bytes) {
        let waiting = self
            .store
            .may_write()
            .then(|| self.reserve((head.len() + body.len()) as u64));
        match waiting.flatten() {
            Some(_reservation) => self.change(Change::Write {
                key,
                head,
                body,
                removals: self.store.removals(),
                _reservation,
            }),
            None => self.store.note_skipped_write(),
        }
    }

    /// Stops serving an entry at once, and queues its removal even if the queue is full.
    pub(crate) fn remove(&self, key: EntryKey) {
        // Decided by what the index knows, not by whether the disk can be read now: a store that is off comes back with all its entries.
        if !self.store.may_contain(&key) && self.waiting_bytes.load(Ordering::Relaxed) == 0 {
            return;
        }
        let removal = self.store.tombstone(&key);
        if self.queue.try_send(Change::Remove(key, removal)).is_err() {
            self.store.has_tombstones.store(true, Ordering::Relaxed);
        }
    }

    /// The current time of the index, which counts events.
    pub(crate) fn now(&self) -> u64 {
        self.store.index().now()
    }

    /// The entries of a shard that match and were neither written nor used after `until`.
    pub(crate) fn keys(
        &self,
        shard: u8,
        until: u64,
        matches: impl Fn(&EntryKey) -> bool,
    ) -> Vec<EntryKey> {
        self.store.index().keys(shard, until, matches)
    }

    /// The records in these entries, as far as they can be read. These reads count as no hits, and do not use the slots of client reads.
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

    /// Queues the removal of an entry, and waits for space in the queue if it is full.
    pub(crate) async fn remove_queued(&self, key: EntryKey) {
        // An error means that the queue is closed, and the tier with it.
        let removals = self.store.removals();
        let _ = self.queue.send(Change::Remove(key, removals)).await;
    }

    /// Queues the removal of a record, and waits for space if the queue is full. It is removed if its fetch began before the purge of this number.
    pub(crate) async fn remove_older(&self, key: EntryKey, number: u64) {
        let _ = self.queue.send(Change::RemoveOlder(key, number)).await;
    }

    /// Returns when every change that was queued until now is done or has failed.
    pub(crate) fn flush(&self) -> impl Future<Output = ()> + use<> {
        // The future must not keep the tier alive.
        let queue = self.queue.clone();
        async move {
            let (sender, done) = oneshot::channel();
            if queue.send(Change::Flush(sender)).await.is_ok() {
                drop(queue);
                // An error means that the queue is closed, so that nothing is waiting.
                let _ = done.await;
            }
        }
    }

    /// [`flush`](Self::flush), and releases the folder for good, so that another process may use it.
    pub(crate) async fn close(&self) {
        let (sender, done) = oneshot::channel();
        if self.queue.send(Change::Close(sender)).await.is_ok() {
            let _ = done.await;
        }
    }

    pub(crate) fn stats(&self) -> DiskStats {
        let stats = self.store.stats();
        DiskStats {
            fault: stats.fault.or(self.is_paused().then_some(DiskFault::Slow)),
            ..stats
        }
    }

    fn change(&self, change: Change) {
        if self.queue.try_send(change).is_err() {
            self.store.note_skipped_write();
        }
    }

    fn reserve(&self, bytes: u64) -> Option<ByteReservation> {
        let fits = |total: u64| {
            (total == 0 || total.saturating_add(bytes) <= MAX_QUEUED_BYTES)
                .then(|| total.saturating_add(bytes))
        };
        self.waiting_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        Some(ByteReservation {
            total: Arc::clone(&self.waiting_bytes),
            bytes,
        })
    }

    fn is_paused(&self) -> bool {
        let until = self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn pause_reads(&self) {
        if !self.is_paused() {
            tracing::warn!(
                store = self.store.name,
                folder = %self.store.layout.root().display(),
                reason = DiskFault::Slow.word(),
                "a read from the disk cache took too long: the disk cache is not used for a while"
            );
        }
        *self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + SLOW_PAUSE);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.store.stopping.store(true, Ordering::Relaxed);
    }
}

/// Runs a store until the tier is dropped and the queue is empty: scans it, makes one change after the other, and tries to activate it while it is
/// off. Changes wait for the end of a scan. While the store is off, writes are skipped.
async fn maintain(store: Arc<Store>, mut changes: mpsc::Receiver<Change>) {
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
                    // Read in this order: an entry that is removed meanwhile is deleted next time.
                    let removals = store.removals();
                    let done = if changes.is_empty() { removals } else { wanted_after };
                    // A change that panics is lost; the next one is made all the same.
                    blocking(move || {
                        apply_change(&store, change);
                        store.flush_tombstones(done);
                    })
                    .await;
                }
            }
        }
        if store.pause().is_some() {
            let starting = Arc::clone(&store);
            blocking(move || starting.activate()).await;
        }
    }
}

fn apply_change(store: &Store, change: Change) {
    match change {
        Change::Write {
            key,
            head,
            body,
            removals,
            _reservation,
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
        // The entry has been removed meanwhile, and is deleted in its turn.
        Change::Recheck(key) if !store.may_contain(&key) => {}
        Change::Recheck(key) => store.recheck(&key),
        Change::Touch(key) => store.touch(&key),
        Change::Flush(done) => {
            // The receiver may have stopped waiting.
            let _ = done.send(());
        }
        Change::Close(done) => {
            store.close();
            let _ = done.send(());
        }
    }
}
