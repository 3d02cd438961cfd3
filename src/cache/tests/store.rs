//! One folder of cacache: bounded, cleaned up, never growing.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use bytes::Bytes;

use super::buckets;
use super::contents;
use super::files;
use super::folder;
use super::only;
use crate::cache::Held;
use crate::cache::Key;
use crate::cache::SourceKey;
use crate::cache::entry::EntryKey;
use crate::cache::entry::HEADER;
use crate::cache::scan::scan;
use crate::cache::store::Read;
use crate::cache::store::Store;

const BUDGET: u64 = 1 << 20;

fn store(place: &Path) -> Store {
    Store::open("renditions", place.to_owned(), BUDGET).expect("a folder of ours")
}

fn scanned(place: &Path) -> Store {
    let store = store(place);
    scan(&store);
    store
}

fn key(number: u64) -> EntryKey {
    EntryKey::rendition(Key::numbered(number))
}

fn body(store: &Store, key: EntryKey) -> Option<Bytes> {
    match store.read(&key) {
        Read::Found(body) => Some(body),
        Read::Missing | Read::Corrupt | Read::Failed => None,
    }
}

/// Makes everything below `place` older than any store opened from now on.
fn let_time_pass(place: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    for path in files(place) {
        let file = fs::File::options()
            .write(true)
            .open(path)
            .expect("a file of ours");
        file.set_modified(long_ago).expect("a file of ours");
    }
}

#[test]
fn before_the_scan_ends_the_disk_itself_is_asked() {
    let place = folder();
    scanned(place.path()).write(&key(1), b"he", b"llo");
    let store = store(place.path());
    assert_eq!(body(&store, key(1)), Some(Bytes::from("hello")));
    assert_eq!(body(&store, key(2)), None);
    store.write(&key(3), b"", b"new");
    scan(&store);
    assert_eq!(store.stats().held.entries, 2);
    assert_eq!(body(&store, key(3)), Some(Bytes::from("new")));
}

#[test]
fn the_budget_holds_and_the_longest_unasked_goes() {
    let place = folder();
    let store = scanned(place.path());
    let content = vec![5; 10_000];
    for number in 0..200 {
        store.write(&key(number), b"", &content);
        assert_eq!(
            body(&store, key(0)).map(|body| body.len()),
            Some(10_000),
            "asked for all the time"
        );
        assert!(store.stats().held.bytes <= BUDGET);
    }
    let stats = store.stats();
    let on_disk: u64 = contents(place.path())
        .iter()
        .map(|path| fs::metadata(path).expect("a file of ours").len())
        .sum();
    assert!(on_disk <= BUDGET, "{on_disk}");
    assert!(stats.held.bytes > BUDGET / 2, "{stats:?}");
    assert_eq!(stats.held.entries + stats.evictions, 200);
    assert_eq!(contents(place.path()).len() as u64, stats.held.entries);
    assert_eq!(buckets(place.path()).len() as u64, stats.held.entries);
    assert_eq!(stats.write_failures, 0);
    assert!(body(&store, key(199)).is_some());
    assert_eq!(body(&store, key(1)), None);
}

#[test]
fn a_smaller_budget_holds_after_a_restart() {
    let place = folder();
    let large = scanned(place.path());
    for number in 0..50 {
        large.write(&key(number), b"", &[5; 10_000]);
    }
    let small =
        Store::open("renditions", place.path().to_owned(), BUDGET / 4).expect("a folder of ours");
    scan(&small);
    assert!(small.stats().held.bytes <= BUDGET / 4);
    assert_eq!(
        contents(place.path()).len() as u64,
        small.stats().held.entries
    );
    assert!(small.stats().held.entries > 5);
}

#[test]
fn a_record_rewritten_a_thousand_times_stays_as_small_as_it_was() {
    let place = folder();
    for known in [true, false] {
        let store = store(place.path());
        if known {
            scan(&store);
        }
        let record = EntryKey::record(SourceKey::numbered(1));
        for round in 0..1000 {
            store.write(&record, b"round ", format!("{round}").as_bytes());
        }
        assert_eq!(body(&store, record), Some(Bytes::from("round 999")));
        assert!(
            fs::metadata(only(buckets(place.path())))
                .expect("just written")
                .len()
                < 500
        );
        only(contents(place.path()));
        assert_eq!(store.stats().write_failures, 0);
        assert_eq!(store.stats().held.entries, 1);
    }
}

#[test]
fn what_never_changes_is_written_once() {
    let place = folder();
    let store = scanned(place.path());
    store.write(&key(1), b"", b"content");
    let_time_pass(place.path());
    store.write(&key(1), b"", b"content");
    let written = fs::metadata(only(contents(place.path())))
        .and_then(|file| file.modified())
        .expect("just written");
    assert!(written < store.opened);
}

#[test]
fn equal_bodies_of_two_keys_are_deleted_apart() {
    let place = folder();
    let store = scanned(place.path());
    store.write(&key(1), b"", b"same");
    store.write(&key(2), b"", b"same");
    store.remove(&key(1));
    assert_eq!(body(&store, key(1)), None);
    assert_eq!(body(&store, key(2)), Some(Bytes::from("same")));
    assert_eq!(
        (contents(place.path()).len(), buckets(place.path()).len()),
        (1, 1)
    );
}

#[test]
fn what_a_kill_left_behind_is_removed_and_the_rest_kept() {
    let place = folder();
    let store = scanned(place.path());
    for number in 1..=4 {
        store.write(&key(number), b"", format!("content {number}").as_bytes());
    }
    let file_of = |number: u64| {
        let holds = |path: &PathBuf| {
            fs::read(path)
                .expect("just written")
                .ends_with(format!("content {number}").as_bytes())
        };
        only(contents(place.path()).into_iter().filter(holds).collect())
    };
    let bucket_of = |number: u64| {
        let holds = |path: &PathBuf| {
            fs::read_to_string(path)
                .expect("just written")
                .contains(&key(number).to_string())
        };
        only(buckets(place.path()).into_iter().filter(holds).collect())
    };
    // Content without an index file, an index file without content, half a content file, half a temporary file, and junk.
    fs::remove_file(bucket_of(1)).expect("a file of ours");
    fs::remove_file(file_of(2)).expect("a file of ours");
    let half = file_of(3);
    let content = fs::read(&half).expect("just written");
    fs::write(&half, &content[..content.len() / 2]).expect("a file of ours");
    fs::write(place.path().join("tmp/.tmpAbCdEf"), "half").expect("a folder of ours");
    fs::write(place.path().join("content-v2/junk"), "junk").expect("a folder of ours");
    fs::write(place.path().join("index-v5/junk"), vec![b'x'; 100_000]).expect("a folder of ours");
    let_time_pass(place.path());

    let store = scanned(place.path());
    assert_eq!(store.stats().held.entries, 1);
    assert_eq!(body(&store, key(4)), Some(Bytes::from("content 4")));
    assert_eq!(
        (contents(place.path()).len(), buckets(place.path()).len()),
        (1, 1)
    );
    assert_eq!(files(&place.path().join("tmp")).len(), 0);
    for number in 1..=3 {
        assert_eq!(body(&store, key(number)), None);
        store.write(&key(number), b"", b"anew");
        assert_eq!(body(&store, key(number)), Some(Bytes::from("anew")));
    }
}

#[test]
fn an_entry_written_after_half_a_line_survives_the_next_scan() {
    let place = folder();
    let store = scanned(place.path());
    store.write(&key(1), b"", b"content");
    let bucket = only(buckets(place.path()));
    let line = fs::read_to_string(&bucket).expect("just written");
    fs::write(&bucket, format!("{}{line}", &line[..line.len() / 2])).expect("a file of ours");
    let_time_pass(place.path());
    let store = scanned(place.path());
    assert_eq!(body(&store, key(1)), Some(Bytes::from("content")));
}

#[test]
fn what_is_being_written_now_is_left_alone() {
    let place = folder();
    let store = store(place.path());
    fs::create_dir_all(place.path().join("tmp")).expect("a folder of ours");
    fs::create_dir_all(place.path().join("content-v2/xxh3/ab/cd")).expect("a folder of ours");
    let young = [
        place.path().join("tmp/.tmpAbCdEf"),
        place
            .path()
            .join(format!("content-v2/xxh3/ab/cd/{}", "0".repeat(28))),
    ];
    for path in &young {
        fs::write(path, "half").expect("a folder of ours");
    }
    scan(&store);
    assert!(young.iter().all(|path| path.exists()));
    let_time_pass(place.path());
    scan(&store);
    assert!(!young.iter().any(|path| path.exists()));
}

#[test]
fn an_entry_of_another_key_is_not_believed() {
    let place = folder();
    let store = scanned(place.path());
    store.write(&key(1), b"", b"mine");
    // As a collision of hashes would leave it: the index file of one key leads to the content of another.
    let content = cacache::metadata_sync(place.path(), key(1).to_string())
        .expect("just written")
        .expect("just written");
    let name = cacache::WriteOpts::new()
        .integrity(content.integrity)
        .size(content.size);
    cacache::index::insert(place.path(), &key(2).to_string(), name).expect("a folder of ours");
    let store = self::store(place.path());
    assert!(matches!(store.read(&key(2)), Read::Corrupt));
    assert_eq!(body(&store, key(1)), Some(Bytes::from("mine")));
    store.recheck(&key(2)).expect("a disk that works");
    assert!(matches!(store.read(&key(2)), Read::Missing));
}

#[test]
fn an_index_file_with_a_forged_hash_is_a_miss_and_no_panic() {
    let place = folder();
    for forged in [
        "sha1-deadbeef",
        "xxh3-",
        "xxh3-!!!!",
        "xxh3-AAAAAAAAAAAAAAAAAAAAAB==",
        "sha256-AAAA xxh3-AAAAAAAAAAAAAAAAAAAAAA==",
    ] {
        let name = cacache::WriteOpts::new()
            .integrity(forged.parse().expect("looks like one"))
            .size(50);
        cacache::index::insert(place.path(), &key(1).to_string(), name).expect("a folder of ours");
        let store = store(place.path());
        assert!(matches!(store.read(&key(1)), Read::Missing), "{forged}");
        scan(&store);
        assert_eq!(buckets(place.path()).len(), 0, "{forged}");
    }
}

#[test]
fn no_more_is_read_than_was_written() {
    let place = folder();
    let store = scanned(place.path());
    store.write(&key(1), b"", b"content");
    let file = fs::File::options()
        .write(true)
        .open(only(contents(place.path())))
        .expect("just written");
    // A sparse giant, which would not fit in memory.
    file.set_len(1 << 42).expect("a file system with holes");
    assert!(matches!(store.read(&key(1)), Read::Corrupt));
    assert_eq!(store.recheck(&key(1)).expect("a disk that works"), None);
    assert_eq!(contents(place.path()).len(), 0);
}

#[test]
fn a_failed_index_write_leaves_no_content_behind() {
    let place = folder();
    let store = scanned(place.path());
    // Whoever runs this may be allowed to write anywhere; nobody can make a folder where a file is.
    fs::write(place.path().join("index-v5"), "in the way").expect("a folder of ours");
    store.write(&key(1), b"", b"content");
    assert_eq!(store.stats().write_failures, 1);
    assert_eq!(
        (store.stats().held, contents(place.path()).len()),
        (Held::default(), 0)
    );
}

#[test]
fn lengths_are_those_of_whole_files() {
    let place = folder();
    let store = scanned(place.path());
    store.write(&key(1), b"he", b"llo");
    let len = fs::metadata(only(contents(place.path())))
        .expect("just written")
        .len();
    assert_eq!(len, (HEADER + 5) as u64);
    assert_eq!(
        store.stats().held,
        Held {
            entries: 1,
            bytes: 8192
        }
    );
    drop(store);
    assert_eq!(
        scanned(place.path()).stats().held,
        Held {
            entries: 1,
            bytes: 8192
        }
    );
}
