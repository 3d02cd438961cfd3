//! One disk store: entries are verified, leftovers are removed, the budget is never exceeded.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::store;
use crate::cache::SourceKey;
use crate::cache::entry::EntryKey;
use crate::cache::tests::{body, entries, files, folder, key, only, unscanned};
use crate::cache::tier::disk::layout::PREFIX_LEN;
use crate::cache::tier::disk::recovery::scan;
use crate::cache::tier::disk::store::{ReadResult, Store};

const BUDGET: u64 = 1 << 20;

/// The file of an entry.
fn file_of(store: &Store, number: u64) -> std::path::PathBuf {
    store.layout.path_of(&key(number))
}

#[test]
fn before_the_end_of_the_scan_entries_are_read_and_not_written() {
    let place = folder();
    store(place.path(), BUDGET).write(&key(1), b"he", b"llo");
    let store = unscanned(place.path(), BUDGET);
    assert_eq!(body(&store, key(1)), Some(Bytes::from("hello")));
    assert_eq!(body(&store, key(2)), None);
    store.write(&key(3), b"", b"new");
    assert_eq!(entries(place.path()).len(), 1);
    assert_eq!(store.stats().skipped_writes, 1);
    scan(&store);
    store.write(&key(3), b"", b"new");
    assert_eq!(store.stats().held.entries, 2);
    assert_eq!(body(&store, key(3)), Some(Bytes::from("new")));
}

#[test]
fn a_removed_entry_is_not_served_during_the_scan_nor_found_by_it() {
    let place = folder();
    store(place.path(), BUDGET).write(&key(1), b"", b"secret");
    let store = unscanned(place.path(), BUDGET);
    store.tombstone(&key(1));
    assert!(!store.may_find(&key(1)));
    scan(&store);
    assert!(!store.may_find(&key(1)));
    assert_eq!(entries(place.path()).len(), 0);
}

#[test]
fn every_bit_flip_is_a_miss_and_the_entry_removed() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    let path = file_of(&store, 1);
    let len = PREFIX_LEN + 12;
    for position in 0..len {
        store.write(&key(1), b"head", b"and body");
        let mut bytes = fs::read(&path).expect("just written");
        assert_eq!(bytes.len(), len);
        bytes[position] ^= 1 << (position % 8);
        fs::write(&path, bytes).expect("the test may write to its file");
        assert!(
            matches!(store.read(&key(1)), ReadResult::Corrupt),
            "{position}"
        );
        store.recheck(&key(1));
        assert!(!path.exists(), "{position}");
        assert!(!store.may_find(&key(1)), "{position}");
    }
    assert_eq!(store.stats().corrupt, len as u64);
    assert_eq!(store.stats().held.entries, 0);
}

#[test]
fn every_truncation_is_a_miss_and_the_entry_removed() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    let path = file_of(&store, 1);
    let len = (PREFIX_LEN + 12) as u64;
    for cut in (0..len).chain([len + 1, 4096, BUDGET, 1 << 42]) {
        store.write(&key(1), b"head", b"and body");
        let file = File::options().write(true).open(&path);
        // The last length is that of a sparse file that would not fit into memory.
        file.and_then(|file| file.set_len(cut))
            .expect("a file system with holes");
        assert!(matches!(store.read(&key(1)), ReadResult::Corrupt), "{cut}");
        store.recheck(&key(1));
        assert!(!path.exists(), "{cut}");
    }
}

#[test]
fn an_entry_that_is_whole_when_it_is_read_again_stays() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    store.write(&key(1), b"", b"whole");
    store.recheck(&key(1));
    assert_eq!(body(&store, key(1)), Some(Bytes::from("whole")));
    assert_eq!(store.stats().corrupt, 0);
}

#[test]
fn an_entry_that_somebody_deleted_is_a_miss_and_forgotten() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    store.write(&key(1), b"", b"content");
    fs::remove_file(file_of(&store, 1)).expect("the test may write to its file");
    assert_eq!(body(&store, key(1)), None);
    store.recheck(&key(1));
    assert_eq!((store.stats().held.entries, store.stats().corrupt), (0, 0));
    store.write(&key(1), b"", b"content");
    assert!(body(&store, key(1)).is_some());
}

#[test]
fn an_entry_under_the_name_of_another_is_a_miss() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    store.write(&key(1), b"", b"mine");
    store.write(&key(2), b"", b"mine");
    fs::copy(file_of(&store, 1), file_of(&store, 2)).expect("the test may write to its files");
    assert!(matches!(store.read(&key(2)), ReadResult::Corrupt));
    assert_eq!(body(&store, key(1)), Some(Bytes::from("mine")));
}

#[test]
fn a_record_rewritten_a_thousand_times_stays_as_small_as_it_was() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    let record = EntryKey::record(SourceKey::numbered(1));
    for round in 0..1000 {
        store.write(&record, b"round ", format!("{round}").as_bytes());
    }
    assert_eq!(body(&store, record), Some(Bytes::from("round 999")));
    only(entries(place.path()));
    assert_eq!(store.stats().write_failures, 0);
    assert_eq!(store.stats().held.entries, 1);
}

#[test]
fn a_read_during_a_write_sees_the_old_or_the_new_entry() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    let record = EntryKey::record(SourceKey::numbered(1));
    store.write(&record, b"", &[0; 5000]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..=u8::MAX {
                store.write(&record, b"", &vec![round; 5000 - usize::from(round)]);
            }
        });
        while !writer.is_finished() {
            let read = body(&store, record).expect("there is always one");
            assert_eq!(read, vec![read[0]; 5000 - usize::from(read[0])]);
        }
    });
    assert_eq!(body(&store, record), Some(Bytes::from(vec![255; 4745])));
}

#[test]
fn an_immutable_entry_is_written_once() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    store.write(&key(1), b"", b"content");
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    date(&file_of(&store, 1), long_ago);
    store.write(&key(1), b"", b"content");
    let written = fs::metadata(file_of(&store, 1)).and_then(|file| file.modified());
    assert_eq!(written.expect("just written"), long_ago);
}

#[test]
fn equal_bodies_of_two_keys_are_deleted_separately() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    store.write(&key(1), b"", b"same");
    store.write(&key(2), b"", b"same");
    store.remove(&key(1));
    assert_eq!(body(&store, key(1)), None);
    assert_eq!(body(&store, key(2)), Some(Bytes::from("same")));
    only(entries(place.path()));
}

#[test]
fn the_scan_removes_leftovers_and_nothing_else() {
    let place = folder();
    let former = store(place.path(), BUDGET);
    former.write(&key(1), b"", b"content 1");
    let shard = file_of(&former, 1).parent().expect("a shard").to_owned();
    drop(former);
    let other_shard = if shard.ends_with("00") { "01" } else { "00" };
    for folder in [
        "content-v2/xxh3/ab/cd",
        "index-v5/ab/cd",
        "tmp",
        other_shard,
    ] {
        fs::create_dir_all(place.path().join(folder)).expect("the test may write to its folder");
    }
    let name = only(entries(place.path()));
    let name = name.file_name().expect("it has one");
    for junk in [
        place.path().join("incoming"),
        place.path().join("opened"),
        place.path().join("tmp/.tmpAbCdEf"),
        place.path().join("content-v2/xxh3/ab/cd/0123"),
        place.path().join("index-v5/ab/cd/0123"),
        place.path().join("ff.txt"),
        shard.join("junk"),
        // In the wrong shard it would never be found.
        place.path().join(other_shard).join(name),
    ] {
        fs::write(junk, vec![b'x'; 10_000]).expect("the test may write to its folder");
    }
    fs::create_dir_all(shard.join("folder/in/the/way")).expect("the test may write to its folder");

    let store = store(place.path(), BUDGET);
    assert_eq!(store.stats().held.entries, 1);
    assert_eq!(body(&store, key(1)), Some(Bytes::from("content 1")));
    let mut left = files(place.path());
    left.sort();
    let mut expected = [
        place.path().join("ff.txt"),
        place.path().join("lock"),
        file_of(&store, 1),
    ];
    expected.sort();
    assert_eq!(left, expected, "what is not ours stays");
    assert!(!place.path().join(other_shard).exists(), "it was empty");
    assert!(!place.path().join("content-v2").exists());
}

#[test]
fn an_empty_shard_is_removed() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    let empty = store.stats().held.bytes;
    for number in 0..50 {
        store.write(&key(number), b"", b"content");
    }
    for number in 0..50 {
        store.remove(&key(number));
    }
    assert_eq!(files(place.path()), [place.path().join("lock")]);
    assert_eq!(fs::read_dir(place.path()).expect("ours").count(), 1);
    assert_eq!(store.stats().held.bytes, empty);
}

#[test]
fn the_order_of_eviction_survives_restarts_and_wrong_clocks() {
    let place = folder();
    let first = store(place.path(), BUDGET);
    for number in 1..=4 {
        first.write(&key(number), b"", b"content");
    }
    // The clock was far ahead when these entries were written, and wrong when this one was.
    let far_ahead = SystemTime::now() + Duration::from_secs(50 * 365 * 24 * 3600);
    for (position, number) in [3, 1, 2].into_iter().enumerate() {
        let later = Duration::from_secs(position as u64);
        date(&file_of(&first, number), far_ahead + later);
    }
    date(
        &file_of(&first, 4),
        SystemTime::UNIX_EPOCH - Duration::from_secs(1),
    );
    drop(first);

    // Now the clock is right, and a new entry is still the newest.
    let second = store(place.path(), BUDGET);
    second.write(&key(5), b"", b"content");
    drop(second);
    let third = store(place.path(), BUDGET);
    third.write(&key(6), b"", b"content");
    assert!(third.hit(&key(3)) || body(&third, key(3)).is_some());
    drop(third);

    let fourth = unscanned(place.path(), BUDGET);
    scan(&fourth);
    assert_eq!(order(&fourth), [4, 3, 1, 2, 5, 6]);
}

#[test]
fn a_hit_counts_after_a_restart_too() {
    let place = folder();
    let first = store(place.path(), BUDGET);
    for number in 1..=3 {
        first.write(&key(number), b"", b"content");
    }
    // As the tier does it: a file is touched after many hits.
    let mut dated = 0;
    for _ in 0..200 {
        if first.hit(&key(1)) {
            first.touch(&key(1));
            dated += 1;
        }
    }
    assert!((1..=4).contains(&dated), "{dated} of 200");
    drop(first);
    assert_eq!(order(&store(place.path(), BUDGET)), [2, 3, 1]);
}

#[test]
fn the_size_of_the_store_is_what_the_system_counts() {
    let place = folder();
    let first = store(place.path(), BUDGET);
    let content = [7; 20_000];
    for (number, length) in (0..40).zip((0..).step_by(500)) {
        first.write(&key(number), b"head", &content[..length]);
    }
    let held = first.stats().held;
    assert_eq!(held.entries, 40);
    // The size may be smaller where the file system needs less.
    assert!(
        crate::cache::tests::du(place.path()) <= held.bytes,
        "{held:?}"
    );
    drop(first);
    assert_eq!(store(place.path(), BUDGET).stats().held, held);
}

fn date(path: &Path, date: SystemTime) {
    let file = File::open(path).expect("the test may write to its file");
    file.set_modified(date)
        .expect("the test may write to its file");
}

/// The numbers of all entries, in the order in which they are evicted.
fn order(store: &Store) -> Vec<u64> {
    let mut index = store.index();
    std::iter::from_fn(|| {
        let victim = index.next_victim()?;
        index.remove(&victim);
        (0..10).find(|number| key(*number) == victim)
    })
    .collect()
}
