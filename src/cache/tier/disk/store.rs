//! One bounded folder of entries. Synchronous: only ever called from a thread that may block.
//!
//! The bytes that the folder takes, those of its folders and of the entry being written included, are never above the budget: room is made first,
//! and nothing is written before a scan has counted what is there. Reads need no scan, for the name of a file follows from its key.
//!
//! When the disk fails, the store is off until a try to take it up again succeeds; see [`Health`]. Whoever may change the folder holds its lock.

use std::io;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::cache::DiskStats;
use crate::cache::entry::EntryKey;
use crate::cache::tier::disk::health::DiskFault;
use crate::cache::tier::disk::health::Health;
use crate::cache::tier::disk::index::Index;
use crate::cache::tier::disk::index::Lookup;
use crate::cache::tier::disk::layout::BLOCK;
use crate::cache::tier::disk::layout::DiskLayout;
use crate::cache::tier::disk::layout::EntryFile;
use crate::cache::tier::disk::layout::FRONT;
use crate::cache::tier::disk::layout::Lock;
use crate::cache::tier::disk::layout::WriteReport;
use crate::cache::tier::disk::layout::in_blocks;

/// Kept free: what folders may grow by while an entry is written (the shard is made, or splits its only block in two; the folder above it grows by
/// one), and the block that a try writes.
const SPARE: u64 = 5 * BLOCK;

/// In microseconds since 1970: the year 2255. A date after it is that of a clock gone wrong, and not every file system can keep it.
const FARTHEST: u64 = 1 << 53;

pub(crate) struct Store {
    /// For logs: "renditions" or "sources".
    pub(crate) name: &'static str,
    pub(crate) place: DiskLayout,
    budget: u64,
    index: Mutex<Index>,
    /// StoreSize by whoever creates or deletes files, so that what was checked still holds when it is acted upon. Readers do without.
    changing: Mutex<Option<Lock>>,
    health: Mutex<Health>,
    /// ResultReceiver when the store turns off.
    pub(crate) turned_off: Notify,
    /// The latest date of any file, in microseconds since 1970.
    latest: AtomicU64,
    pub(crate) last_logged: Mutex<Option<Instant>>,
    pub(crate) stopping: AtomicBool,
    /// Whether something that must not be served any more waits to be deleted without a place in the queue.
    pub(crate) has_dead: AtomicBool,
    pub(crate) counts: Counts,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) write_failures: AtomicU64,
    pub(crate) read_failures: AtomicU64,
    corrupt: AtomicU64,
    evictions: AtomicU64,
    skipped_writes: AtomicU64,
}

pub(crate) enum ReadResult {
    Found(Bytes),
    Missing,
    /// What is there is not what was written.
    Corrupt,
    /// The disk would not say.
    Failed,
}

impl Store {
    /// Not in use before [`activate`](Self::activate).
    pub(crate) fn new(name: &'static str, place: DiskLayout, budget: u64) -> Self {
        Store {
            name,
            place,
            budget,
            index: Mutex::default(),
            changing: Mutex::default(),
            health: Mutex::default(),
            turned_off: Notify::new(),
            latest: AtomicU64::new(0),
            last_logged: Mutex::default(),
            stopping: AtomicBool::new(false),
            has_dead: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// Whether a scan has to come before the next write.
    pub(crate) fn needs_scan(&self) -> bool {
        self.may_write() && !self.index().is_complete()
    }

    /// Whether reading `key` is worth a thread.
    pub(crate) fn may_have(&self, key: &EntryKey) -> bool {
        self.health().may_read() && self.index().lookup(key) != Lookup::Absent
    }

    /// Whether an entry may be there, whether or not it can be read now.
    pub(crate) fn may_hold(&self, key: &EntryKey) -> bool {
        self.index().lookup(key) != Lookup::Absent
    }

    /// How many removals there were.
    pub(crate) fn removals(&self) -> u64 {
        self.index().removals()
    }

    /// Deletes what must not be served any more and found no place in the queue, where all is written that somebody wanted before that.
    pub(crate) fn flush_tombstones(&self, removals: u64) {
        if self.has_dead.swap(false, Ordering::Relaxed) {
            let dead = self.index().tombstones(removals);
            for key in dead {
                self.remove(&key);
            }
            if !self.index().tombstones(u64::MAX).is_empty() {
                self.has_dead.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The body of an entry, verified.
    pub(crate) fn read(&self, key: &EntryKey) -> ReadResult {
        self.read_by(key, |place| place.read(key))
    }

    /// The first bytes of the body of an entry, no more than `most`, verified to be those of this entry and nothing else.
    pub(crate) fn read_beginning(&self, key: &EntryKey, most: usize) -> ReadResult {
        self.read_by(key, |place| place.read_beginning(key, most))
    }

    fn read_by(
        &self,
        key: &EntryKey,
        read: impl FnOnce(&DiskLayout) -> io::Result<EntryFile>,
    ) -> ReadResult {
        if !self.may_have(key) {
            return ReadResult::Missing;
        }
        match read(&self.place) {
            Ok(EntryFile::Whole(body)) => ReadResult::Found(body),
            // Whoever knows the key must learn that it is gone.
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

    /// An entry was asked for, here or in memory. Says whether its file should be [dated](Self::date) anew. Never waits: one of many hits may be lost.
    pub(crate) fn hit(&self, key: &EntryKey) -> bool {
        match self.index.try_lock() {
            Ok(mut index) => index.hit(key),
            Err(_) => false,
        }
    }

    /// Dates the file of an entry, so that the next process knows when it was asked for.
    pub(crate) fn date(&self, key: &EntryKey) {
        if self.may_write() {
            // It may be gone by now, and nothing depends on it.
            let _ = self.place.set_modified(key, self.next_date());
        }
    }

    /// [`write_after`](Self::write_after) all removals.
    #[cfg(test)]
    pub(crate) fn write(&self, key: &EntryKey, head: &[u8], body: &[u8]) {
        self.write_after(self.removals(), key, head, body);
    }

    /// Keeps an entry, making room first. Whatever goes wrong is counted, and the entry is simply not kept. It was wanted after so many removals: one
    /// that was removed since is not served.
    pub(crate) fn write_after(&self, removals: u64, key: &EntryKey, head: &[u8], body: &[u8]) {
        let need = in_blocks((FRONT + head.len() + body.len()) as u64);
        let changing = self.changing();
        let may_write = self.may_write() && self.index().is_complete();
        let Some(lock) = changing.as_ref().filter(|_| may_write) else {
            self.note_skipped_write();
            return;
        };
        if key.is_immutable() && self.index().lookup(key) == Lookup::Known && self.place.has(key) {
            // Equal by the meaning of the key; were it broken, it would have been removed when that was seen.
            self.index().hit(key);
            return;
        }
        let written = lock
            .guards(&self.place)
            .and_then(|()| self.write_within_budget(key, need, head, body));
        match written {
            Ok(Some(written)) => self.note_written(key, &written, removals),
            Ok(None) => self.note_skipped_write(),
            Err(error) => {
                self.note_failure(&self.counts.write_failures, &error);
            }
        }
    }

    /// `None` if it is larger than the whole store.
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
        let write = || self.place.write(key, head, body, self.next_date());
        match write() {
            // The disk is smaller than the budget, or others use it too: then the store is as large as it can be.
            Err(error)
                if DiskFault::of(&error) == Some(DiskFault::Full) && self.give_up_some(need)? =>
            {
                write()
            }
            written => written,
        }
        .map(Some)
    }

    fn note_written(&self, key: &EntryKey, written: &WriteReport, removals: u64) {
        let shard = DiskLayout::shard_of(key);
        let folder_bytes = self.place.shard_bytes(shard);
        let root_bytes = written.in_new_folder.then(|| self.place.root_bytes());
        let mut index = self.index();
        index.insert(*key, written.held, removals);
        index.set_folder_bytes(shard, folder_bytes);
        if let Some(root_bytes) = root_bytes {
            index.set_root_bytes(root_bytes);
        }
    }

    /// Has an entry served no more, from this moment on. It is deleted by [`remove`](Self::remove).
    /// Says which removal this is.
    pub(crate) fn tombstone(&self, key: &EntryKey) -> u64 {
        self.index().tombstone(*key)
    }

    /// Removes an entry, unless it was removed again since: that one comes after what is yet to be written.
    pub(crate) fn remove_after(&self, removals: u64, key: &EntryKey) {
        if !self.index().is_removed_since(key, removals) {
            self.remove(key);
        }
    }

    /// Removes an entry, now or when the disk allows it again.
    pub(crate) fn remove(&self, key: &EntryKey) {
        let changing = self.changing();
        if changing.is_some() && self.health().may_delete() {
            if let Err(error) = self.delete(key) {
                self.note_failure(&self.counts.write_failures, &error);
            }
        } else if self.place.has(key) || self.index().holds(key) {
            // A folder that is away for the moment comes back with all that was in it.
            self.index().tombstone(*key);
        } else {
            self.index().remove(key);
        }
    }

    /// For an entry that read badly: looks again, with nobody writing meanwhile, and removes it if it is no better.
    pub(crate) fn recheck(&self, key: &EntryKey) {
        let changing = self.changing();
        if changing.is_none() || !self.health().may_delete() {
            self.index().tombstone(*key);
            return;
        }
        let deleted = match self.place.read(key) {
            Ok(EntryFile::Whole(_)) => return,
            Ok(EntryFile::Missing) => self.delete(key),
            Ok(EntryFile::Corrupt) => {
                self.note_corrupt();
                self.delete(key)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            self.note_failure(&self.counts.read_failures, &error);
        }
    }

    /// Gives up entries until `need` more bytes fit. Says whether they do.
    fn make_room(&self, need: u64) -> io::Result<bool> {
        let limit = self.budget.saturating_sub(SPARE);
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

    /// Gives up a few times what is needed, so that this is rare, and says whether that was anything.
    fn give_up_some(&self, need: u64) -> io::Result<bool> {
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
        self.counts.evictions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// For whoever holds the lock. What cannot be deleted is not served any more all the same.
    pub(crate) fn delete(&self, key: &EntryKey) -> io::Result<()> {
        if let Err(error) = self.place.remove(key) {
            self.index().tombstone(*key);
            return Err(error);
        }
        let shard = DiskLayout::shard_of(key);
        let is_empty = {
            let mut index = self.index();
            index.remove(key);
            index.is_complete() && index.is_empty(shard)
        };
        // It may hold what is not ours, or be gone.
        if is_empty && self.place.remove_shard(shard).is_ok() {
            self.index().set_folder_bytes(shard, 0);
        }
        Ok(())
    }

    /// Counts what lies in one shard, for the scan.
    pub(crate) fn adopt_shard(&self, shard: u8) -> io::Result<()> {
        let _changing = self.changing();
        let found = self.place.list(shard)?;
        if found.is_empty() {
            // It may hold what is not ours, or not be there.
            let _ = self.place.remove_shard(shard);
        }
        let folder_bytes = self.place.shard_bytes(shard);
        let mut index = self.index();
        index.set_folder_bytes(shard, folder_bytes);
        for stored in found {
            let date = stored.modified.and_then(micros).unwrap_or(0);
            self.latest.fetch_max(date, Ordering::Relaxed);
            index.find(stored.key, stored.held, date);
        }
        Ok(())
    }

    /// Everything on disk is in the index now: brings it under the budget.
    pub(crate) fn complete(&self) -> io::Result<()> {
        let _changing = self.changing();
        let root_bytes = self.place.root_bytes();
        self.index().set_root_bytes(root_bytes);
        self.index().complete();
        let dead = self.index().tombstones(u64::MAX);
        for key in dead {
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

    pub(crate) fn changing(&self) -> MutexGuard<'_, Option<Lock>> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_skipped_write(&self) {
        self.counts.skipped_writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_corrupt(&self) {
        self.counts.corrupt.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> DiskStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let trouble = self.health().trouble();
        DiskStats {
            held: self.index().held(),
            write_failures: read(&self.counts.write_failures),
            read_failures: read(&self.counts.read_failures),
            corrupt: read(&self.counts.corrupt),
            evictions: read(&self.counts.evictions),
            skipped_writes: read(&self.counts.skipped_writes),
            trouble,
        }
    }

    /// A date for a file: that of the clock, but later than all before, so that their order survives a clock that is set.
    fn next_date(&self) -> SystemTime {
        let now = micros(SystemTime::now()).unwrap_or(0);
        let next = |last: u64| now.max(last.saturating_add(1));
        let date = self
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            })
            .map_or(now, next);
        UNIX_EPOCH + Duration::from_micros(date)
    }
}

/// `None` for what no clock in order says.
fn micros(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_micros())
        .ok()
        .filter(|micros| *micros < FARTHEST)
}
