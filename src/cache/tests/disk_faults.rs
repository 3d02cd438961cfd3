//! Folders and disks that stop working, and work again.

use std::fs;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use crate::cache::DiskFault;
use crate::cache::tests::{body, du, entries, folder, key, store};
use crate::cache::tier::disk::layout::DiskLayout;
use crate::cache::tier::disk::recovery::scan;
use crate::cache::tier::disk::store::Store;

const BUDGET: u64 = 1 << 20;

#[test]
fn a_folder_that_disappears_is_created_again() {
    let place = folder();
    let path = place.path().join("store");
    let store = store(&path, BUDGET);
    store.write(&key(1), b"", b"content");
    fs::remove_dir_all(&path).expect("the test may write to its folder");
    assert_eq!(body(&store, key(1)), None);
    store.write(&key(2), b"", b"content");
    let stats = store.stats();
    assert_eq!(
        (stats.write_failures, stats.fault),
        (1, Some(DiskFault::Gone))
    );
    assert!(!path.exists() && !store.may_find(&key(1)));

    store.activate();
    assert_eq!(store.stats().fault, None);
    assert!(store.needs_scan());
    scan(&store);
    assert_eq!(store.stats().held.entries, 0);
    store.write(&key(2), b"", b"content");
    assert!(body(&store, key(2)).is_some());
}

#[test]
fn a_folder_that_was_replaced_is_scanned_again() {
    let place = folder();
    let (path, away) = (place.path().join("store"), place.path().join("away"));
    let first = store(&path, BUDGET);
    first.write(&key(1), b"", b"content");
    fs::rename(&path, &away).expect("the test may write to its folders");
    // Another process uses the folder now and must not be disturbed.
    let second = store(&path, BUDGET);
    second.write(&key(2), b"", b"content");
    let before = du(&path);
    first.write(&key(3), b"", b"content");
    assert_eq!(first.stats().fault, Some(DiskFault::Gone));
    first.activate();
    assert_eq!(first.stats().fault, Some(DiskFault::Locked));
    assert_eq!(du(&path), before);
    drop(second);
    first.activate();
    scan(&first);
    assert_eq!(first.stats().fault, None);
    assert!(body(&first, key(2)).is_some());
    assert_eq!(body(&first, key(1)), None);
}

#[test]
fn a_folder_that_cannot_be_made_is_tried_again() {
    let place = folder();
    let path = place.path().join("store");
    fs::write(&path, "in the way").expect("the test may write to its folder");
    let store = Store::new("renditions", DiskLayout::new(path.clone()), BUDGET);
    store.activate();
    assert_eq!(store.stats().fault, Some(DiskFault::NotAFolder));
    assert_eq!(store.pause().map(|pause| pause.as_secs()), Some(1));
    store.activate();
    assert_eq!(store.pause().map(|pause| pause.as_secs()), Some(2));
    fs::remove_file(&path).expect("the test may write to its file");
    store.activate();
    assert_eq!((store.stats().fault, store.pause()), (None, None));
}

#[test]
fn a_file_in_place_of_the_folder_is_not_called_a_missing_folder() {
    let place = folder();
    let path = place.path().join("parent/store");
    fs::write(place.path().join("parent"), "in the way").expect("the test may write to its folder");
    let below_a_file = Store::new("renditions", DiskLayout::new(path.clone()), BUDGET);
    below_a_file.activate();
    assert_eq!(below_a_file.stats().fault, Some(DiskFault::NotAFolder));
    fs::remove_file(place.path().join("parent")).expect("the test may write to its file");

    let store = store(&path, BUDGET);
    store.write(&key(1), b"", b"content");
    fs::remove_dir_all(&path).expect("the test may write to its folder");
    fs::write(&path, "in the way").expect("the test may write to its folder");
    store.write(&key(2), b"", b"content");
    let fault = store.stats().fault;
    assert_eq!(fault, Some(DiskFault::NotAFolder));
    assert_eq!(fault.map(DiskFault::word), Some("not-a-folder"));

    fs::remove_file(&path).expect("the test may write to its file");
    store.activate();
    scan(&store);
    assert_eq!(store.stats().fault, None);
    assert_eq!(body(&store, key(1)), None);
    store.write(&key(2), b"", b"content");
    assert!(body(&store, key(2)).is_some());
}

#[test]
fn a_folder_without_permission_is_read_only() {
    let place = folder();
    let path = place.path().join("store");
    let store = store(&path, BUDGET);
    store.write(&key(1), b"", b"content");
    fs::set_permissions(&path, Permissions::from_mode(0o555))
        .expect("the test may write to its folder");
    store.write(&key(2), b"", b"content");
    let fault = store.stats().fault;
    fs::set_permissions(&path, Permissions::from_mode(0o755))
        .expect("the test may write to its folder");
    if fault.is_none() {
        eprintln!("root may write anywhere: not tested with a folder without permission");
        return;
    }
    assert_eq!(fault, Some(DiskFault::ReadOnly));
    assert!(body(&store, key(1)).is_some());
    store.activate();
    store.write(&key(2), b"", b"content");
    assert!(body(&store, key(2)).is_some());
}

#[test]
fn a_disk_that_cannot_be_read_turns_the_store_off_and_the_entry_goes() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    store.write(&key(1), b"", b"content");
    store.write(&key(2), b"", b"content");
    store.note_failed_read(&key(1), &io::Error::from_raw_os_error(libc::EIO));
    assert_eq!(store.stats().fault, Some(DiskFault::Broken));
    assert_eq!((body(&store, key(1)), body(&store, key(2))), (None, None));
    store.write(&key(3), b"", b"content");
    assert_eq!(
        (store.stats().read_failures, store.stats().skipped_writes),
        (1, 1)
    );
    store.activate();
    assert_eq!(store.stats().fault, None);
    assert_eq!(body(&store, key(1)), None);
    assert!(body(&store, key(2)).is_some());
    assert_eq!(entries(place.path()).len(), 1);
}

#[test]
fn an_error_of_one_entry_is_only_counted() {
    let place = folder();
    let store = store(place.path(), BUDGET);
    fs::create_dir_all(store.layout.path_of(&key(1))).expect("the test may write to its folder");
    store.write(&key(1), b"", b"content");
    let stats = store.stats();
    assert_eq!((stats.write_failures, stats.fault), (1, None));
    assert!(!place.path().join("incoming").exists());
    store.write(&key(2), b"", b"content");
    assert!(body(&store, key(2)).is_some());
    assert_eq!(body(&store, key(1)), None);
}

#[test]
fn a_closed_store_releases_its_folder() {
    let place = folder();
    let first = store(place.path(), BUDGET);
    first.write(&key(1), b"", b"content");
    let second = Store::new(
        "renditions",
        DiskLayout::new(place.path().to_owned()),
        BUDGET,
    );
    second.activate();
    assert_eq!(second.stats().fault, Some(DiskFault::Locked));
    first.close();
    first.activate();
    second.activate();
    assert_eq!(second.stats().fault, None);
    assert!(body(&second, key(1)).is_some());
    first.write(&key(2), b"", b"content");
    assert_eq!(body(&first, key(1)), None);
    assert_eq!(entries(place.path()).len(), 1);
}
