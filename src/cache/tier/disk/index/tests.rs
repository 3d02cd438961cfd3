use super::EntryKey;
use super::Index;
use super::Lookup;
use super::MIN_EVENTS_BETWEEN_TOUCHES;
use super::StoreSize;
use crate::cache::key::RenditionKey;
use crate::cache::tier::disk::layout::DiskLayout;

fn key(number: u64) -> EntryKey {
    EntryKey::rendition(RenditionKey::numbered(number))
}

/// Ten entries of equal size, written in the order of their numbers.
fn filled() -> Index {
    let mut index = Index::default();
    index.complete();
    for number in 0..10 {
        index.insert(key(number), 4096, 0);
    }
    index
}

/// All entries in the order in which they are evicted.
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
fn entries_are_counted_once_and_folders_too() {
    let mut index = filled();
    let held = |entries, bytes| StoreSize { entries, bytes };
    assert_eq!(index.held(), held(10, 10 * 4096));
    index.insert(key(0), 8192, 0);
    index.insert_found(key(0), 99, 5);
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
fn of_equal_sizes_the_least_recently_used_is_evicted_first() {
    let mut index = filled();
    index.hit(&key(0));
    index.hit(&key(4));
    assert_eq!(victims(&mut index), keys([1, 2, 3, 5, 6, 7, 8, 9, 0, 4]));
}

#[test]
fn a_victim_that_is_used_again_is_not_evicted() {
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
fn among_old_entries_the_large_are_evicted_first() {
    let mut index = filled();
    // The newest of eleven entries, and 10,000 times as large as the others.
    index.insert(key(10), 40_960_000, 0);
    for number in 0..5 {
        index.hit(&key(number));
    }
    let order = victims(&mut index);
    assert_eq!(order[0], key(10));
    assert_eq!(order[1..], keys([5, 6, 7, 8, 9, 0, 1, 2, 3, 4]));
    // Four times the size counts as much as twice the age.
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
fn found_entries_are_evicted_by_their_time_and_before_used_ones() {
    let mut index = Index::default();
    for (number, date) in [(1, 70), (2, 10), (3, u64::MAX), (4, 40), (5, 0)] {
        index.insert_found(key(number), 4096, date);
    }
    index.hit(&key(2));
    index.complete();
    index.insert(key(6), 4096, 0);
    assert_eq!(victims(&mut index), keys([5, 4, 1, 3, 2, 6]));
}

#[test]
fn a_file_is_touched_after_many_events() {
    let mut index = filled();
    assert!(!index.hit(&key(0)));
    let due = (0..MIN_EVENTS_BETWEEN_TOUCHES)
        .filter(|_| index.hit(&key(0)))
        .count();
    assert_eq!(due, 1);
    assert!(!index.hit(&key(77)), "it is not in the index");
}

#[test]
fn an_unknown_entry_is_absent_only_after_the_scan() {
    let mut index = Index::default();
    index.insert(key(7), 4096, 0);
    assert_eq!(index.lookup(&key(77)), Lookup::Unknown);
    index.complete();
    assert_eq!(index.lookup(&key(77)), Lookup::Absent);
    assert_eq!(index.lookup(&key(7)), Lookup::Known);
}

#[test]
fn removed_entries_are_absent_and_their_space_counts() {
    let mut index = filled();
    let before = index.held();
    index.tombstone(key(3));
    assert_eq!(index.lookup(&key(3)), Lookup::Absent);
    assert_eq!(index.held(), before);
    index.reset();
    index.insert_found(key(3), 4096, 1);
    assert_eq!(
        index.lookup(&key(3)),
        Lookup::Absent,
        "a scan finds it again"
    );
    assert_eq!(index.tombstones(u64::MAX), [key(3)]);
    index.insert(key(3), 4096, u64::MAX);
    assert_eq!(index.lookup(&key(3)), Lookup::Known);
}
