//! What lies on disk, from memory: which keys, how long, last asked for when. About a hundred bytes per entry.

use std::collections::HashMap;

use super::Held;
use super::entry::EntryKey;

/// What a file system hands out at a time on nearly every machine.
const BLOCK: u64 = 4096;

/// Where one entry's content is, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// xxh3 of the content, which is its file name.
    pub(super) hash: u128,
    /// Length of the content in bytes, header included.
    pub(super) len: u64,
    /// In milliseconds since 1970, nudged so that no two are equal.
    pub(super) last_hit: u64,
}

#[derive(Default)]
pub(super) struct Index {
    slots: HashMap<EntryKey, Slot>,
    bytes: u64,
    /// Whether everything on disk is in here: only then does "not here" mean "not there".
    complete: bool,
}

pub(super) enum Lookup {
    Known(Slot),
    Absent,
    /// The scan has not come by yet.
    Unknown,
}

impl Index {
    pub(super) fn lookup(&self, key: &EntryKey) -> Lookup {
        match self.slots.get(key) {
            Some(slot) => Lookup::Known(*slot),
            None if self.complete => Lookup::Absent,
            None => Lookup::Unknown,
        }
    }

    pub(super) fn touch(&mut self, key: &EntryKey, now: u64) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.last_hit = now;
        }
    }

    pub(super) fn insert(&mut self, key: EntryKey, slot: Slot) {
        self.remove(&key);
        self.bytes += footprint(slot.len);
        self.slots.insert(key, slot);
    }

    /// For what a scan finds: who wrote or read it before knows better when it was last asked for.
    pub(super) fn insert_if_new(&mut self, key: EntryKey, slot: Slot) {
        if !self.slots.contains_key(&key) {
            self.insert(key, slot);
        }
    }

    pub(super) fn remove(&mut self, key: &EntryKey) {
        if let Some(slot) = self.slots.remove(key) {
            self.bytes -= footprint(slot.len);
        }
    }

    pub(super) fn mark_complete(&mut self) {
        self.complete = true;
    }

    pub(super) fn keys(&self, wanted: impl Fn(&EntryKey) -> bool) -> Vec<EntryKey> {
        let keys = self.slots.keys().copied();
        keys.filter(|key| wanted(key)).collect()
    }

    pub(super) fn held(&self) -> Held {
        Held {
            entries: self.slots.len() as u64,
            bytes: self.bytes,
        }
    }

    /// The entries to give up so that no more than `target` bytes remain: those not asked for the longest.
    pub(super) fn oldest_beyond(&self, target: u64) -> Vec<EntryKey> {
        let mut excess = self.bytes.saturating_sub(target);
        if excess == 0 {
            return Vec::new();
        }
        let mut by_age: Vec<_> = self
            .slots
            .iter()
            .map(|(key, slot)| (slot.last_hit, slot.len, *key))
            .collect();
        by_age.sort_unstable_by_key(|(last_hit, ..)| *last_hit);
        by_age
            .into_iter()
            .take_while(|(_, len, _)| {
                let needed = excess > 0;
                excess = excess.saturating_sub(footprint(*len));
                needed
            })
            .map(|(_, _, key)| key)
            .collect()
    }
}

/// What an entry takes on disk: its content in whole blocks, and one block for its file in cacache's index.
pub(super) fn footprint(len: u64) -> u64 {
    // A length is one of a file that exists or fits in memory, so this is far from the end of `u64`; a forged one must not wrap all the same.
    len.div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::BLOCK;
    use super::EntryKey;
    use super::Held;
    use super::Index;
    use super::Lookup;
    use super::Slot;
    use crate::cache::key::Key;

    fn key(number: u64) -> EntryKey {
        EntryKey::rendition(Key::numbered(number))
    }

    fn filled() -> Index {
        let mut index = Index::default();
        for number in 0..10 {
            index.insert(
                key(number),
                Slot {
                    hash: 0,
                    len: 5000,
                    last_hit: number,
                },
            );
        }
        index
    }

    #[test]
    fn bytes_are_counted_in_blocks_and_once() {
        let mut index = filled();
        assert_eq!(
            index.held(),
            Held {
                entries: 10,
                bytes: 10 * 3 * BLOCK
            }
        );
        index.insert(
            key(0),
            Slot {
                hash: 1,
                len: 1,
                last_hit: 0,
            },
        );
        assert_eq!(
            index.held(),
            Held {
                entries: 10,
                bytes: 29 * BLOCK
            }
        );
        index.insert_if_new(
            key(0),
            Slot {
                hash: 2,
                len: 5000,
                last_hit: 0,
            },
        );
        index.remove(&key(5));
        index.remove(&key(5));
        assert_eq!(
            index.held(),
            Held {
                entries: 9,
                bytes: 26 * BLOCK
            }
        );
    }

    #[test]
    fn the_longest_unasked_goes_first_and_no_more_than_needed() {
        let mut index = filled();
        index.touch(&key(0), 100);
        assert_eq!(index.oldest_beyond(24 * BLOCK), [key(1), key(2)]);
        assert_eq!(index.oldest_beyond(23 * BLOCK), [key(1), key(2), key(3)]);
        assert_eq!(index.oldest_beyond(30 * BLOCK), []);
        assert_eq!(index.oldest_beyond(0).len(), 10);
    }

    #[test]
    fn not_here_means_not_there_only_after_the_scan() {
        let mut index = filled();
        assert!(matches!(index.lookup(&key(77)), Lookup::Unknown));
        index.mark_complete();
        assert!(matches!(index.lookup(&key(77)), Lookup::Absent));
        assert!(matches!(index.lookup(&key(7)), Lookup::Known(_)));
    }
}
