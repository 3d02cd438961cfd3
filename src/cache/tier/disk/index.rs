//! What lies on disk, from memory: which keys, how many bytes, last asked for when. A hundred to 150 bytes per entry.
//!
//! Time is a count of what happens, never a clock: clocks are set. What an earlier process left comes before all of it, in the order of its dates.

use std::collections::HashMap;

use crate::cache::StoreSize;
use crate::cache::entry::EntryKey;
use crate::cache::tier::disk::layout::DiskLayout;
use crate::cache::tier::disk::layout::SHARDS;

/// The first moment of this process. What a scan finds has a date below it until all is found, and then the moments just before.
const START: u64 = 1 << 62;

/// No date is kept while fewer things have happened than this since the last one.
const LEAST_UNDATED: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// Bytes that its file occupies.
    held: u64,
    last_hit: u64,
    /// The moment that the date of its file stands for.
    dated: u64,
}

/// The folder of one shard.
#[derive(Default)]
struct Folder {
    slots: HashMap<EntryKey, Slot>,
    bytes: u64,
}

pub(crate) struct Index {
    /// Apart, so that whoever goes through all of them can let others have a turn in between.
    folders: [Folder; SHARDS],
    entries: u64,
    /// What must not be served any more, and could not be deleted yet, each with which removal that was.
    dead: HashMap<EntryKey, u64>,
    /// How many removals there were.
    removals: u64,
    root_bytes: u64,
    /// Of all entries and the folders they are in.
    bytes: u64,
    now: u64,
    /// Whether everything on disk is in here: only then does "not here" mean "not there".
    complete: bool,
    /// What goes next, the last one first; each with when it was last asked for, for who is asked for again does not go.
    victims: Vec<(EntryKey, u64)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Known,
    Absent,
    /// The scan has not come by yet.
    Unknown,
}

impl Default for Index {
    fn default() -> Self {
        Index {
            folders: std::array::from_fn(|_| Folder::default()),
            entries: 0,
            dead: HashMap::new(),
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
        if self.dead.contains_key(key) {
            Lookup::Absent
        } else if self.folder(key).slots.contains_key(key) {
            Lookup::Known
        } else if self.complete {
            Lookup::Absent
        } else {
            Lookup::Unknown
        }
    }

    /// An entry was asked for. Says whether its file should be dated anew, so that this is not forgotten at the end of the process: only where much
    /// has happened since, so that hits are not writes.
    pub(crate) fn hit(&mut self, key: &EntryKey) -> bool {
        self.now += 1;
        let bearable = (self.entries / 8).max(LEAST_UNDATED);
        let (now, is_complete) = (self.now, self.complete);
        match self.folder_mut(key).slots.get_mut(key) {
            Some(slot) => {
                slot.last_hit = now;
                let is_due = is_complete && now - slot.dated > bearable;
                if is_due {
                    slot.dated = now;
                }
                is_due
            }
            None => false,
        }
    }

    /// An entry was written just now, which somebody wanted after so many removals: one that was removed since stays so.
    pub(crate) fn insert(&mut self, key: EntryKey, held: u64, removals: u64) {
        self.now += 1;
        if self
            .dead
            .get(&key)
            .is_some_and(|removal| *removal <= removals)
        {
            self.dead.remove(&key);
        }
        self.put(
            key,
            Slot {
                held,
                last_hit: self.now,
                dated: self.now,
            },
        );
    }

    /// A scan, or a read that was faster, has found an entry of this date.
    pub(crate) fn find(&mut self, key: EntryKey, held: u64, date: u64) {
        if !self.folder(&key).slots.contains_key(&key) {
            let date = date.min(START - 1);
            self.put(
                key,
                Slot {
                    held,
                    last_hit: date,
                    dated: date,
                },
            );
        }
    }

    /// Whether an entry is on disk as far as is known, whether or not it may be served.
    pub(crate) fn holds(&self, key: &EntryKey) -> bool {
        self.folder(key).slots.contains_key(key)
    }

    /// An entry is no longer on disk.
    pub(crate) fn remove(&mut self, key: &EntryKey) {
        self.dead.remove(key);
        if let Some(slot) = self.folder_mut(key).slots.remove(key) {
            self.bytes -= slot.held;
            self.entries -= 1;
        }
    }

    /// An entry must not be served any more. While it is on disk its bytes count.
    pub(crate) fn tombstone(&mut self, key: EntryKey) -> u64 {
        self.removals += 1;
        self.dead.insert(key, self.removals);
        self.removals
    }

    /// Whether an entry was removed again after so many removals.
    pub(crate) fn is_removed_since(&self, key: &EntryKey, removals: u64) -> bool {
        self.dead
            .get(key)
            .is_some_and(|removal| *removal > removals)
    }

    /// How many removals there were.
    pub(crate) fn removals(&self) -> u64 {
        self.removals
    }

    /// What was removed, by the first so many removals.
    pub(crate) fn tombstones(&self, removals: u64) -> Vec<EntryKey> {
        let dead = self.dead.iter();
        dead.filter(|(_, removal)| **removal <= removals)
            .map(|(key, _)| *key)
            .collect()
    }

    /// Forgets everything but what must not be served.
    pub(crate) fn start_over(&mut self) {
        let dead = std::mem::take(&mut self.dead);
        *self = Index {
            dead,
            removals: self.removals,
            ..Index::default()
        };
    }

    /// Everything on disk is in here now.
    pub(crate) fn complete(&mut self) {
        let is_found = |slot: &&mut Slot| slot.dated < START;
        let slots = self.folders.iter_mut();
        let slots = slots.flat_map(|folder| folder.slots.values_mut());
        let mut dates: Vec<u64> = slots.filter(is_found).map(|slot| slot.dated).collect();
        dates.sort_unstable();
        let first = START - dates.len() as u64;
        let slots = self.folders.iter_mut();
        let slots = slots.flat_map(|folder| folder.slots.values_mut());
        for slot in slots.filter(is_found) {
            let rank = dates.partition_point(|date| *date < slot.dated) as u64;
            if slot.last_hit < START {
                slot.last_hit = first + rank;
            }
            slot.dated = first + rank;
        }
        self.complete = true;
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What this moment is counted as.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// The entries of a shard that are asked about and were neither written nor asked for after a moment, but for those that are to go anyway.
    pub(crate) fn keys(
        &self,
        shard: u8,
        until: u64,
        wanted: impl Fn(&EntryKey) -> bool,
    ) -> Vec<EntryKey> {
        let slots = self.folders[usize::from(shard)].slots.iter();
        slots
            .filter(|(key, slot)| {
                slot.last_hit <= until && wanted(key) && !self.dead.contains_key(*key)
            })
            .map(|(key, _)| *key)
            .collect()
    }

    /// What the folder of a shard takes itself.
    pub(crate) fn set_folder_bytes(&mut self, shard: u8, bytes: u64) {
        let folder = &mut self.folders[usize::from(shard)];
        self.bytes = self.bytes - folder.bytes + bytes;
        folder.bytes = bytes;
    }

    pub(crate) fn set_root_bytes(&mut self, bytes: u64) {
        self.root_bytes = bytes;
    }

    pub(crate) fn is_empty(&self, shard: u8) -> bool {
        self.folders[usize::from(shard)].slots.is_empty()
    }

    /// All that lies on disk: entries and folders.
    pub(crate) fn held(&self) -> StoreSize {
        StoreSize {
            entries: self.entries,
            bytes: self.bytes + self.root_bytes,
        }
    }

    /// The entry to give up next.
    ///
    /// What goes first has the largest product of its age and the square root of its size: the larger of two goes at half the age where it is four
    /// times as large. What is worth keeping is what will be asked for again and is dear to make; who was not asked for long will not be soon, and
    /// large things cost more to make, but less than in proportion. A tenth of the entries is chosen at a time, so that the price of looking at all
    /// of them is small for each.
    pub(crate) fn next_victim(&mut self) -> Option<EntryKey> {
        if let Some(victim) = self.chosen() {
            return Some(victim);
        }
        self.choose();
        self.chosen()
    }

    fn chosen(&mut self) -> Option<EntryKey> {
        while let Some((key, last_hit)) = self.victims.pop() {
            if self
                .folder(&key)
                .slots
                .get(&key)
                .is_some_and(|slot| slot.last_hit == last_hit)
            {
                return Some(key);
            }
        }
        None
    }

    fn choose(&mut self) {
        let score = |slot: &Slot| (self.now - slot.last_hit).saturating_mul(slot.held.isqrt());
        let slots = || self.folders.iter().flat_map(|folder| &folder.slots);
        let mut scores: Vec<u64> = slots().map(|(_, slot)| score(slot)).collect();
        if scores.is_empty() {
            return;
        }
        let kept = scores.len() - scores.len().div_ceil(10);
        let (_, least, _) = scores.select_nth_unstable(kept);
        let least = *least;
        let mut victims: Vec<_> = slots()
            .map(|(key, slot)| (score(slot), slot.last_hit, *key))
            .filter(|(score, ..)| *score >= least)
            .collect();
        victims.sort_unstable_by_key(|(score, ..)| *score);
        self.victims = victims
            .into_iter()
            .map(|(_, last_hit, key)| (key, last_hit))
            .collect();
    }

    fn put(&mut self, key: EntryKey, slot: Slot) {
        self.bytes += slot.held;
        match self.folder_mut(&key).slots.insert(key, slot) {
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
mod tests {
    use super::EntryKey;
    use super::Index;
    use super::LEAST_UNDATED;
    use super::Lookup;
    use super::StoreSize;
    use crate::cache::key::RenditionKey;
    use crate::cache::tier::disk::layout::DiskLayout;

    fn key(number: u64) -> EntryKey {
        EntryKey::rendition(RenditionKey::numbered(number))
    }

    /// Ten entries of one size, written in their order.
    fn filled() -> Index {
        let mut index = Index::default();
        index.complete();
        for number in 0..10 {
            index.insert(key(number), 4096, 0);
        }
        index
    }

    /// Everything, in the order in which it goes.
    fn victims(index: &mut Index) -> Vec<EntryKey> {
        std::iter::from_fn(|| {
            let victim = index.next_victim();
            if let Some(key) = &victim {
                index.remove(key);
            }
            victim
        })
        .collect()
    }

    fn keys(numbers: impl IntoIterator<Item = u64>) -> Vec<EntryKey> {
        numbers.into_iter().map(key).collect()
    }

    #[test]
    fn bytes_are_counted_once_and_folders_too() {
        let mut index = filled();
        let held = |entries, bytes| StoreSize { entries, bytes };
        assert_eq!(index.held(), held(10, 10 * 4096));
        index.insert(key(0), 8192, 0);
        index.find(key(0), 99, 5);
        assert_eq!(index.held(), held(10, 11 * 4096));
        index.remove(&key(5));
        index.remove(&key(5));
        assert_eq!(index.held(), held(9, 10 * 4096));
        let shard = DiskLayout::shard_of(&key(0));
        index.set_folder_bytes(shard, 4096);
        index.set_folder_bytes(shard, 12_288);
        index.set_root_bytes(8192);
        assert_eq!(index.held(), held(9, 15 * 4096));
        assert!(!index.is_empty(shard));
        for number in 0..10 {
            index.remove(&key(number));
        }
        assert!(index.is_empty(shard));
        assert_eq!(index.held(), held(0, 5 * 4096));
    }

    #[test]
    fn of_equals_the_longest_unasked_goes_first() {
        let mut index = filled();
        index.hit(&key(0));
        index.hit(&key(4));
        assert_eq!(victims(&mut index), keys([1, 2, 3, 5, 6, 7, 8, 9, 0, 4]));
    }

    #[test]
    fn who_is_asked_for_after_being_chosen_does_not_go() {
        let mut index = Index::default();
        index.complete();
        for number in 0..100 {
            index.insert(key(number), 4096, 0);
        }
        assert_eq!(index.next_victim(), Some(key(0)));
        index.hit(&key(1));
        assert_eq!(index.next_victim(), Some(key(2)));
    }

    #[test]
    fn among_the_old_the_large_go_first() {
        let mut index = filled();
        // The newest of eleven, and 10,000 times as large as the others.
        index.insert(key(10), 40_960_000, 0);
        for number in 0..5 {
            index.hit(&key(number));
        }
        let order = victims(&mut index);
        assert_eq!(order[0], key(10));
        assert_eq!(order[1..], keys([5, 6, 7, 8, 9, 0, 1, 2, 3, 4]));
        // Four times the size weighs as much as twice the age, and no more.
        let mut index = Index::default();
        index.complete();
        index.insert(key(1), 4096, 0);
        index.insert(key(2), 4 * 4096, 0);
        index.hit(&key(9));
        index.hit(&key(9));
        assert_eq!(index.next_victim(), Some(key(2)));
        let mut index = Index::default();
        index.complete();
        index.insert(key(1), 4096, 0);
        for _ in 0..10 {
            index.hit(&key(9));
        }
        index.insert(key(2), 4 * 4096, 0);
        index.hit(&key(9));
        assert_eq!(index.next_victim(), Some(key(1)));
    }

    #[test]
    fn what_was_found_goes_by_its_date_and_before_what_was_asked_for_since() {
        let mut index = Index::default();
        for (number, date) in [(1, 70), (2, 10), (3, u64::MAX), (4, 40), (5, 0)] {
            index.find(key(number), 4096, date);
        }
        index.hit(&key(2));
        index.complete();
        index.insert(key(6), 4096, 0);
        assert_eq!(victims(&mut index), keys([5, 4, 1, 3, 2, 6]));
    }

    #[test]
    fn a_file_is_dated_anew_when_much_has_happened_since() {
        let mut index = filled();
        assert!(!index.hit(&key(0)));
        let due = (0..LEAST_UNDATED).filter(|_| index.hit(&key(0))).count();
        assert_eq!(due, 1);
        assert!(!index.hit(&key(77)), "nobody knows it");
    }

    #[test]
    fn not_here_means_not_there_only_after_the_scan() {
        let mut index = Index::default();
        index.insert(key(7), 4096, 0);
        assert_eq!(index.lookup(&key(77)), Lookup::Unknown);
        index.complete();
        assert_eq!(index.lookup(&key(77)), Lookup::Absent);
        assert_eq!(index.lookup(&key(7)), Lookup::Known);
    }

    #[test]
    fn the_dead_are_not_there_and_still_count() {
        let mut index = filled();
        let before = index.held();
        index.tombstone(key(3));
        assert_eq!(index.lookup(&key(3)), Lookup::Absent);
        assert_eq!(index.held(), before);
        index.start_over();
        index.find(key(3), 4096, 1);
        assert_eq!(
            index.lookup(&key(3)),
            Lookup::Absent,
            "a scan finds it again"
        );
        assert_eq!(index.tombstones(u64::MAX), [key(3)]);
        index.insert(key(3), 4096, u64::MAX);
        assert_eq!(index.lookup(&key(3)), Lookup::Known);
    }
}
