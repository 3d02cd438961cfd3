//! One folder of entries with a budget. Synchronous: only called from threads for blocking work.
//!
//! The space of the folder, its subfolders and the entry being written included, never exceeds the budget: space is made before a write, and nothing
//! is written before a scan has counted what is there. Reads need no scan, because the name of a file follows from its key.
//!
//! When the disk fails, the store is off until it can be activated again; see [`Health`]. Only the holder of the folder lock changes the folder.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::cache::entry::EntryKey;
use crate::cache::stats::DiskStats;
use crate::cache::tier::disk::file_clock::FileClock;
use crate::cache::tier::disk::folder_lock::FolderLock;
use crate::cache::tier::disk::health::{DiskFault, Health};
use crate::cache::tier::disk::index::{Index, Lookup};
use crate::cache::tier::disk::layout::{
    BLOCK, DiskLayout, EntryFile, PREFIX_LEN, WriteReport, in_blocks,
};

/// Space that is not used: folders may grow while an entry is written (the shard is created, or its only block is split in two; the folder above it
/// grows by one block), and each activation writes a block to test the disk.
const RESERVE: u64 = 5 * BLOCK;

pub(crate) struct Store {
    /// For logs: "renditions" or "sources".
    pub(crate) name: &'static str,
    pub(crate) layout: DiskLayout,
    budget: u64,
    index: Mutex<Index>,
    /// Locked while files are created or deleted, so that what was checked is still true when it is acted on. Reads do not need it.
    folder_lock: Mutex<Option<FolderLock>>,
    health: Mutex<Health>,
    /// Notified when the store turns off.
    pub(crate) turned_off: Notify,
    file_clock: FileClock,
    pub(crate) last_logged: Mutex<Option<Instant>>,
    pub(crate) stopping: AtomicBool,
    /// Whether there are tombstones whose removal is not in the queue.
    pub(crate) has_tombstones: AtomicBool,
    pub(crate) counters: Counters,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) write_failures: AtomicU64,
    pub(crate) read_failures: AtomicU64,
    corrupt: AtomicU64,
    evictions: AtomicU64,
    skipped_writes: AtomicU64,
}

pub(crate) enum ReadResult {
    Found(Bytes),
    Missing,
    /// The file is not what was written.
    Corrupt,
    /// The disk failed.
    Failed,
}

impl Store {
    /// A store is not in use before [`activate`](Self::activate).
    pub(crate) fn new(name: &'static str, layout: DiskLayout, budget: u64) -> Self {
        Store {
            name,
            layout,
            budget,
            index: Mutex::default(),
            folder_lock: Mutex::default(),
            health: Mutex::default(),
            turned_off: Notify::new(),
            file_clock: FileClock::default(),
            last_logged: Mutex::default(),
            stopping: AtomicBool::new(false),
            has_tombstones: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }

    /// Whether a scan is needed before the next write.
    pub(crate) fn needs_scan(&self) -> bool {
        self.may_write() && !self.index().is_complete()
    }

    /// Whether a read may find `key`.
    pub(crate) fn may_find(&self, key: &EntryKey) -> bool {
        self.health().may_read() && self.index().lookup(key) != Lookup::Absent
    }

    /// Whether an entry may be on disk, even if it cannot be read now.
    pub(crate) fn may_contain(&self, key: &EntryKey) -> bool {
        self.index().lookup(key) != Lookup::Absent
    }

    /// The number of removals until now.
    pub(crate) fn removals(&self) -> u64 {
        self.index().removals()
    }

    /// Deletes the entries whose removal did not fit into the queue. All writes that were asked for before the first `removals` removals must be
    /// done.
    pub(crate) fn flush_tombstones(&self, removals: u64) {
        if self.has_tombstones.swap(false, Ordering::Relaxed) {
            let tombstones = self.index().tombstones(removals);
            for key in tombstones {
                self.remove(&key);
            }
            if !self.index().tombstones(u64::MAX).is_empty() {
                self.has_tombstones.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The body of an entry, verified.
    pub(crate) fn read(&self, key: &EntryKey) -> ReadResult {
        self.read_by(key, |layout| layout.read(key))
    }

    /// The first bytes of the body of an entry, at most `max_bytes`. Only its header and length are verified.
    pub(crate) fn read_beginning(&self, key: &EntryKey, max_bytes: usize) -> ReadResult {
        self.read_by(key, |layout| layout.read_beginning(key, max_bytes))
    }

    fn read_by(
        &self,
        key: &EntryKey,
        read: impl FnOnce(&DiskLayout) -> io::Result<EntryFile>,
    ) -> ReadResult {
        if !self.may_find(key) {
            return ReadResult::Missing;
        }
        match read(&self.layout) {
            Ok(EntryFile::Whole(body)) => ReadResult::Found(body),
            // The index must learn that the entry is gone.
            Ok(EntryFile::Missing) if self.index().lookup(key) == Lookup::Known => {
                ReadResult::Corrupt
            }
            Ok(EntryFile::Missing) => ReadResult::Missing,
            Ok(EntryFile::Corrupt) => ReadResult::Corrupt,
            Err(error) => {
                self.note_failed_read(key, &error);
                ReadResult::Failed
            }
        }
    }

    /// Counts a hit, here or in memory. Returns whether to [`touch`](Self::touch) the file. Never waits: if the index is locked, the hit is not
    /// counted.
    pub(crate) fn hit(&self, key: &EntryKey) -> bool {
        match self.index.try_lock() {
            Ok(mut index) => index.hit(key),
            Err(_) => false,
        }
    }

    /// Sets the time of the file of an entry, so that the next process knows when it was used.
    pub(crate) fn touch(&self, key: &EntryKey) {
        if self.may_write() {
            // The file may be gone, which does no harm.
            let _ = self.layout.set_modified(key, self.file_clock.next());
        }
    }

    /// [`write_after`](Self::write_after) all removals until now.
    #[cfg(test)]
    pub(crate) fn write(&self, key: &EntryKey, head: &[u8], body: &[u8]) {
        self.write_after(self.removals(), key, head, body);
    }

    /// Writes an entry, after making space for it. If this fails, the failure is counted and the entry is not stored. `removals` is the number of
    /// removals before the write was asked for: an entry that was removed since is not served.
    pub(crate) fn write_after(&self, removals: u64, key: &EntryKey, head: &[u8], body: &[u8]) {
        let need = in_blocks((PREFIX_LEN + head.len() + body.len()) as u64);
        let folder_lock = self.folder_lock();
        let may_write = self.may_write() && self.index().is_complete();
        let Some(lock) = folder_lock.as_ref().filter(|_| may_write) else {
            self.note_skipped_write();
            return;
        };
        if key.is_immutable() && self.index().lookup(key) == Lookup::Known && self.layout.has(key) {
            // Equal keys mean equal bytes. A damaged file would have been removed when it was read.
            self.index().hit(key);
            return;
        }
        let written = lock
            .verify(&self.layout)
            .and_then(|()| self.write_within_budget(key, need, head, body));
        match written {
            Ok(Some(written)) => self.note_written(key, &written, removals),
            Ok(None) => self.note_skipped_write(),
            Err(error) => {
                self.note_failure(&self.counters.write_failures, &error);
            }
        }
    }

    /// `None` if the entry is larger than the store.
    fn write_within_budget(
        &self,
        key: &EntryKey,
        need: u64,
        head: &[u8],
        body: &[u8],
    ) -> io::Result<Option<WriteReport>> {
        if !self.make_room(need)? {
            return Ok(None);
        }
        let write = || self.layout.write(key, head, body, self.file_clock.next());
        match write() {
            // The disk is smaller than the budget, or others use it too: the store is then as large as it can be.
            Err(error)
                if DiskFault::of(&error) == Some(DiskFault::Full) && self.evict_some(need)? =>
            {
                write()
            }
            written => written,
        }
        .map(Some)
    }

    fn note_written(&self, key: &EntryKey, written: &WriteReport, removals: u64) {
        let shard = DiskLayout::shard_of(key);
        let folder_bytes = self.layout.shard_bytes(shard);
        let root_bytes = written.in_new_folder.then(|| self.layout.root_bytes());
        let mut index = self.index();
        index.insert(*key, written.held, removals);
        index.set_folder_bytes(shard, folder_bytes);
        if let Some(root_bytes) = root_bytes {
            index.set_root_bytes(root_bytes);
        }
    }

    /// Stops serving an entry at once; [`remove`](Self::remove) deletes it. Returns the number of this removal.
    pub(crate) fn tombstone(&self, key: &EntryKey) -> u64 {
        self.index().tombstone(*key)
    }

    /// Removes an entry, unless a later removal of it is in the queue.
    pub(crate) fn remove_after(&self, removals: u64, key: &EntryKey) {
        if !self.index().is_removed_since(key, removals) {
            self.remove(key);
        }
    }

    /// Removes an entry, now or when the disk allows it.
    pub(crate) fn remove(&self, key: &EntryKey) {
        let folder_lock = self.folder_lock();
        if folder_lock.is_some() && self.health().may_delete() {
            if let Err(error) = self.delete(key) {
                self.note_failure(&self.counters.write_failures, &error);
            }
        } else if self.layout.has(key) || self.index().holds(key) {
            // A folder that is away for now comes back with everything in it.
            self.index().tombstone(*key);
        } else {
            self.index().remove(key);
        }
    }

    /// Reads an entry again that could not be read well, with no writes meanwhile, and removes it if it is still damaged.
    pub(crate) fn recheck(&self, key: &EntryKey) {
        let folder_lock = self.folder_lock();
        if folder_lock.is_none() || !self.health().may_delete() {
            self.index().tombstone(*key);
            return;
        }
        let deleted = match self.layout.read(key) {
            Ok(EntryFile::Whole(_)) => return,
            Ok(EntryFile::Missing) => self.delete(key),
            Ok(EntryFile::Corrupt) => {
                self.note_corrupt();
                self.delete(key)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            self.note_failure(&self.counters.read_failures, &error);
        }
    }

    /// Evicts entries until `need` more bytes fit. Returns whether they fit.
    fn make_room(&self, need: u64) -> io::Result<bool> {
        let limit = self.budget.saturating_sub(RESERVE);
        if need > limit {
            return Ok(false);
        }
        while self.index().held().bytes.saturating_add(need) > limit {
            let Some(victim) = self.index().next_victim() else {
                return Ok(false);
            };
            self.evict(&victim)?;
        }
        Ok(true)
    }

    /// Evicts several times as much as is needed, so that this is rare. Returns whether anything was evicted.
    fn evict_some(&self, need: u64) -> io::Result<bool> {
        let before = self.index().held().bytes;
        let target = before.saturating_sub(need.saturating_mul(4).max(before / 64));
        while self.index().held().bytes > target {
            let Some(victim) = self.index().next_victim() else {
                break;
            };
            self.evict(&victim)?;
        }
        Ok(self.index().held().bytes < before)
    }

    fn evict(&self, key: &EntryKey) -> io::Result<()> {
        self.delete(key)?;
        self.counters.evictions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Deletes an entry; the caller holds the lock. An entry that cannot be deleted is not served any more.
    pub(crate) fn delete(&self, key: &EntryKey) -> io::Result<()> {
        if let Err(error) = self.layout.remove(key) {
            self.index().tombstone(*key);
            return Err(error);
        }
        let shard = DiskLayout::shard_of(key);
        let is_empty = {
            let mut index = self.index();
            index.remove(key);
            index.is_complete() && index.is_empty(shard)
        };
        // The folder may be gone, or contain files of others.
        if is_empty && self.layout.remove_shard(shard).is_ok() {
            self.index().set_folder_bytes(shard, 0);
        }
        Ok(())
    }

    /// Adds the entries of one shard to the index, for the scan.
    pub(crate) fn index_shard(&self, shard: u8) -> io::Result<()> {
        let _folder_lock = self.folder_lock();
        let found = self.layout.list(shard)?;
        if found.is_empty() {
            // The folder may be missing, or contain files of others.
            let _ = self.layout.remove_shard(shard);
        }
        let folder_bytes = self.layout.shard_bytes(shard);
        let mut index = self.index();
        index.set_folder_bytes(shard, folder_bytes);
        for stored in found {
            let date = self.file_clock.observe(stored.modified);
            index.insert_found(stored.key, stored.held, date);
        }
        Ok(())
    }

    /// Called at the end of a scan: the index is complete, and entries are evicted until the store is within its budget.
    pub(crate) fn complete(&self) -> io::Result<()> {
        let _folder_lock = self.folder_lock();
        let root_bytes = self.layout.root_bytes();
        self.index().set_root_bytes(root_bytes);
        self.index().complete();
        let tombstones = self.index().tombstones(u64::MAX);
        for key in tombstones {
            self.delete(&key)?;
        }
        self.make_room(0).map(|_| ())
    }

    pub(crate) fn may_write(&self) -> bool {
        self.health().may_write()
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn folder_lock(&self) -> MutexGuard<'_, Option<FolderLock>> {
        self.folder_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_skipped_write(&self) {
        self.counters.skipped_writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_corrupt(&self) {
        self.counters.corrupt.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> DiskStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let fault = self.health().fault();
        DiskStats {
            held: self.index().held(),
            write_failures: read(&self.counters.write_failures),
            read_failures: read(&self.counters.read_failures),
            corrupt: read(&self.counters.corrupt),
            evictions: read(&self.counters.evictions),
            skipped_writes: read(&self.counters.skipped_writes),
            fault,
        }
    }
}
