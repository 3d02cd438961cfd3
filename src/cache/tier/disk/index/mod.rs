//! The index of a disk store in memory: which entries there are, how large they are, and when they were last used. It takes 100 to 150 bytes per
//! entry.
//!
//! Time is a count of events and not a clock, because clocks can be set. What an earlier process has left comes before all events of this process, in
//! the order of the times of its files.

use std::collections::HashMap;

use crate::cache::entry::EntryKey;
use crate::cache::stats::StoreSize;
use crate::cache::tier::disk::layout::{DiskLayout, SHARDS};

/// The first moment of this process. Entries that a scan finds have their file's time, which is less, and get the moments just before this one at the
/// end of the scan.
const START: u64 = 1 << 62;

/// The time of a file is set at most once in so many events.
const MIN_EVENTS_BETWEEN_TOUCHES: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IndexEntry {
    /// The space of its file, in bytes.
    held: u64,
    last_hit: u64,
    /// The moment at which the time of its file was last set.
    touched: u64,
}

/// The folder of one shard.
#[derive(Default)]
struct Folder {
    entries: HashMap<EntryKey, IndexEntry>,
    bytes: u64,
}

pub(crate) struct Index {
    /// One map per shard, so that a loop over all entries can release the lock in between.
    folders: [Folder; SHARDS],
    entries: u64,
    /// Entries that must not be served any more and are not deleted yet, each with the number of its removal.
    tombstones: HashMap<EntryKey, u64>,
    /// The number of removals until now.
    removals: u64,
    root_bytes: u64,
    /// The space of all entries and of the folders they are in.
    bytes: u64,
    now: u64,
    /// Whether everything on disk is in the index, so that an entry that is not in the index does not exist.
    complete: bool,
    /// The entries to evict next, from the end, each with its last use: an entry that has been used since is not evicted.
    victims: Vec<(EntryKey, u64)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Known,
    Absent,
    /// The scan has not reached it yet.
    Unknown,
}

impl Default for Index {
    fn default() -> Self {
        Index {
            folders: std::array::from_fn(|_| Folder::default()),
            entries: 0,
            tombstones: HashMap::new(),
            removals: 0,
            root_bytes: 0,
            bytes: 0,
            now: START,
            complete: false,
            victims: Vec::new(),
        }
    }
}

impl Index {
    pub(crate) fn lookup(&self, key: &EntryKey) -> Lookup {
        if self.tombstones.contains_key(key) {
            Lookup::Absent
        } else if self.folder(key).entries.contains_key(key) {
            Lookup::Known
        } else if self.complete {
            Lookup::Absent
        } else {
            Lookup::Unknown
        }
    }

    /// Counts a hit. Returns whether the time of the file should be set, so that the next process knows of the use. This is only so after many other
    /// events, so that hits do not cause writes.
    pub(crate) fn hit(&mut self, key: &EntryKey) -> bool {
        self.now += 1;
        let interval = (self.entries / 8).max(MIN_EVENTS_BETWEEN_TOUCHES);
        let (now, is_complete) = (self.now, self.complete);
        match self.folder_mut(key).entries.get_mut(key) {
            Some(entry) => {
                entry.last_hit = now;
                let is_due = is_complete && now - entry.touched > interval;
                if is_due {
                    entry.touched = now;
                }
                is_due
            }
            None => false,
        }
    }

    /// Adds an entry that was just written. `removals` is the number of removals before the write was asked for: an entry that was removed since
    /// stays removed.
    pub(crate) fn insert(&mut self, key: EntryKey, held: u64, removals: u64) {
        self.now += 1;
        if self
            .tombstones
            .get(&key)
            .is_some_and(|removal| *removal <= removals)
        {
            self.tombstones.remove(&key);
        }
        self.put(
            key,
            IndexEntry {
                held,
                last_hit: self.now,
                touched: self.now,
            },
        );
    }

    /// Adds an entry that a scan has found, with the time of its file.
    pub(crate) fn insert_found(&mut self, key: EntryKey, held: u64, date: u64) {
        if !self.folder(&key).entries.contains_key(&key) {
            let date = date.min(START - 1);
            self.put(
                key,
                IndexEntry {
                    held,
                    last_hit: date,
                    touched: date,
                },
            );
        }
    }

    /// Whether an entry is on disk as far as is known, even if it must not be served.
    pub(crate) fn holds(&self, key: &EntryKey) -> bool {
        self.folder(key).entries.contains_key(key)
    }

    /// Removes an entry that is not on disk any more.
    pub(crate) fn remove(&mut self, key: &EntryKey) {
        self.tombstones.remove(key);
        if let Some(entry) = self.folder_mut(key).entries.remove(key) {
            self.bytes -= entry.held;
            self.entries -= 1;
        }
    }

    /// Stops serving an entry. Its space counts until it is deleted. Returns the number of this removal.
    pub(crate) fn tombstone(&mut self, key: EntryKey) -> u64 {
        self.removals += 1;
        self.tombstones.insert(key, self.removals);
        self.removals
    }

    /// Whether an entry was removed again after the first `removals` removals.
    pub(crate) fn is_removed_since(&self, key: &EntryKey, removals: u64) -> bool {
        self.tombstones
            .get(key)
            .is_some_and(|removal| *removal > removals)
    }

    /// The number of removals until now.
    pub(crate) fn removals(&self) -> u64 {
        self.removals
    }

    /// The tombstones of the first `removals` removals.
    pub(crate) fn tombstones(&self, removals: u64) -> Vec<EntryKey> {
        let tombstones = self.tombstones.iter();
        tombstones
            .filter(|(_, removal)| **removal <= removals)
            .map(|(key, _)| *key)
            .collect()
    }

    /// Forgets everything except the tombstones.
    pub(crate) fn reset(&mut self) {
        let tombstones = std::mem::take(&mut self.tombstones);
        *self = Index {
            tombstones,
            removals: self.removals,
            ..Index::default()
        };
    }

    /// Called at the end of a scan, when everything on disk is in the index.
    pub(crate) fn complete(&mut self) {
        let is_found = |entry: &&mut IndexEntry| entry.touched < START;
        let entries = self.folders.iter_mut();
        let entries = entries.flat_map(|folder| folder.entries.values_mut());
        let mut dates: Vec<u64> = entries
            .filter(is_found)
            .map(|entry| entry.touched)
            .collect();
        dates.sort_unstable();
        let first = START - dates.len() as u64;
        let entries = self.folders.iter_mut();
        let entries = entries.flat_map(|folder| folder.entries.values_mut());
        for entry in entries.filter(is_found) {
            let rank = dates.partition_point(|date| *date < entry.touched) as u64;
            if entry.last_hit < START {
                entry.last_hit = first + rank;
            }
            entry.touched = first + rank;
        }
        self.complete = true;
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The current time, which counts events.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// The entries of a shard that match and were neither written nor used after `until`, without those that are removed already.
    pub(crate) fn keys(
        &self,
        shard: u8,
        until: u64,
        matches: impl Fn(&EntryKey) -> bool,
    ) -> Vec<EntryKey> {
        let entries = self.folders[usize::from(shard)].entries.iter();
        entries
            .filter(|(key, entry)| {
                entry.last_hit <= until && matches(key) && !self.tombstones.contains_key(*key)
            })
            .map(|(key, _)| *key)
            .collect()
    }

    /// Sets the space that the folder of a shard itself takes.
    pub(crate) fn set_folder_bytes(&mut self, shard: u8, bytes: u64) {
        let folder = &mut self.folders[usize::from(shard)];
        self.bytes = self.bytes - folder.bytes + bytes;
        folder.bytes = bytes;
    }

    pub(crate) fn set_root_bytes(&mut self, bytes: u64) {
        self.root_bytes = bytes;
    }

    pub(crate) fn is_empty(&self, shard: u8) -> bool {
        self.folders[usize::from(shard)].entries.is_empty()
    }

    /// The space of everything on disk: entries and folders.
    pub(crate) fn held(&self) -> StoreSize {
        StoreSize {
            entries: self.entries,
            bytes: self.bytes + self.root_bytes,
        }
    }

    /// The next entry to evict.
    ///
    /// The entry with the largest product of age and square root of size is evicted first: of two entries, one that is four times as large goes at
    /// half the age. An entry is worth storing if it will be used again and is expensive to make. Entries that were not used for long will probably
    /// not be used soon, and large entries are more expensive, but less than in proportion to their size. A tenth of all entries is chosen at a time,
    /// so that the cost of looking at all of them is small for each.
    pub(crate) fn next_victim(&mut self) -> Option<EntryKey> {
        if let Some(victim) = self.pop_victim() {
            return Some(victim);
        }
        self.choose_victims();
        self.pop_victim()
    }

    fn pop_victim(&mut self) -> Option<EntryKey> {
        while let Some((key, last_hit)) = self.victims.pop() {
            if self
                .folder(&key)
                .entries
                .get(&key)
                .is_some_and(|entry| entry.last_hit == last_hit)
            {
                return Some(key);
            }
        }
        None
    }

    fn choose_victims(&mut self) {
        let score =
            |entry: &IndexEntry| (self.now - entry.last_hit).saturating_mul(entry.held.isqrt());
        let entries = || self.folders.iter().flat_map(|folder| &folder.entries);
        let mut scores: Vec<u64> = entries().map(|(_, entry)| score(entry)).collect();
        if scores.is_empty() {
            return;
        }
        let kept = scores.len() - scores.len().div_ceil(10);
        let (_, least, _) = scores.select_nth_unstable(kept);
        let least = *least;
        let mut victims: Vec<_> = entries()
            .map(|(key, entry)| (score(entry), entry.last_hit, *key))
            .filter(|(score, ..)| *score >= least)
            .collect();
        victims.sort_unstable_by_key(|(score, ..)| *score);
        self.victims = victims
            .into_iter()
            .map(|(_, last_hit, key)| (key, last_hit))
            .collect();
    }

    fn put(&mut self, key: EntryKey, entry: IndexEntry) {
        self.bytes += entry.held;
        match self.folder_mut(&key).entries.insert(key, entry) {
            Some(former) => self.bytes -= former.held,
            None => self.entries += 1,
        }
    }

    fn folder(&self, key: &EntryKey) -> &Folder {
        &self.folders[usize::from(DiskLayout::shard_of(key))]
    }

    fn folder_mut(&mut self, key: &EntryKey) -> &mut Folder {
        &mut self.folders[usize::from(DiskLayout::shard_of(key))]
    }
}

#[cfg(test)]
mod tests;
