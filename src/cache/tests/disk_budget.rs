//! The budget of a store, compared with what the system counts.

use crate::cache::SourceKey;
use crate::cache::entry::EntryKey;
use crate::cache::tests::{body, du, entries, folder, key, store, unscanned};
use crate::cache::tier::disk::recovery::scan;

/// The length of a thumbnail: between 2 and 12 kB.
fn length(number: u64) -> usize {
    2000 + (number.wrapping_mul(7919) % 10_000) as usize
}

#[test]
fn many_renditions_stay_within_the_budget_and_leave_the_hot_ones() {
    const BUDGET: u64 = 100_000_000;
    const WIDTHS: u64 = 100_000;
    const HOT: u64 = 200;
    let place = folder();
    let store = store(place.path(), BUDGET);
    let content = vec![7; 12_000];
    let mut hits = 0;
    let mut most = 0;
    for number in 0..HOT + WIDTHS {
        store.write(&key(number), b"head", &content[..length(number)]);
        if number >= HOT {
            let hot = key(number % HOT);
            store.hit(&hot);
            if number % 10 == 0 {
                hits += u64::from(body(&store, hot).is_some());
            }
        }
        if number % 5000 == 0 || number == HOT + WIDTHS - 1 {
            let bytes = du(place.path());
            most = most.max(bytes);
            assert!(bytes <= BUDGET, "{bytes} bytes after {number}");
            let held = store.stats().held.bytes;
            assert!(bytes <= held && held <= BUDGET, "{bytes} and {held}");
        }
    }
    assert_eq!(hits, WIDTHS / 10, "of what was hot");
    // The budget is used, and mostly for entries.
    assert!(most > BUDGET / 100 * 99, "{most}");
    let stats = store.stats();
    assert!(stats.held.entries > 10_000, "{stats:?}");
    assert_eq!(stats.held.entries + stats.evictions, HOT + WIDTHS);
    assert_eq!((stats.write_failures, stats.skipped_writes), (0, 0));
}

#[test]
fn a_small_store_of_all_sizes_stays_within_its_budget_at_every_write() {
    const BUDGET: u64 = 1 << 20;
    let place = folder();
    let store = store(place.path(), BUDGET);
    let content = vec![7; 400_000];
    for number in 0..400_u64 {
        let record = EntryKey::record(SourceKey::numbered(number % 7));
        store.write(&record, b"", &content[..length(number) / 2]);
        let length = if number % 20 == 0 {
            400_000
        } else {
            length(number)
        };
        store.write(&key(number), b"", &content[..length]);
        let bytes = du(place.path());
        assert!(bytes <= BUDGET, "{bytes} bytes after {number}");
    }
    assert_eq!(store.stats().write_failures, 0);
    assert!(store.stats().held.entries > 20);
    store.write(&key(1000), b"", &[7; 1 << 20]);
    assert_eq!(
        store.stats().skipped_writes,
        1,
        "larger than the whole store"
    );
    assert!(
        store.stats().held.entries > 20,
        "nothing has to go for that"
    );
}

#[test]
fn a_smaller_budget_holds_after_a_restart_before_anything_is_written() {
    const BUDGET: u64 = 1 << 20;
    let place = folder();
    let large = store(place.path(), BUDGET);
    for number in 0..50 {
        large.write(&key(number), b"", &[5; 10_000]);
    }
    drop(large);
    let small = unscanned(place.path(), BUDGET / 4);
    scan(&small);
    let bytes = du(place.path());
    assert!(bytes <= BUDGET / 4, "{bytes}");
    let held = small.stats().held;
    assert_eq!(entries(place.path()).len() as u64, held.entries);
    assert!(held.entries > 5);
    assert!(body(&small, key(49)).is_some());
    assert_eq!(body(&small, key(0)), None);
}
