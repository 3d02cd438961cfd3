//! Disks that are really full or read-only: file systems that a child process mounts for itself. Where mounting is not allowed, as in many
//! containers, these tests print so and pass.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cache::DiskFault;
use crate::cache::tests::crash::CHILD;
use crate::cache::tests::{body, du, entries, folder, key, store};
use crate::cache::tier::disk::store::Store;

/// The size of the file system that the child mounts, in bytes.
const DISK: u64 = 2 << 20;

/// More than fits on the disk.
const BUDGET: u64 = 64 << 20;

#[test]
fn a_full_disk_turns_the_store_off_and_free_space_turns_it_on() {
    in_a_child_with_a_disk("full");
}

#[test]
fn a_disk_turned_read_only_is_still_read_and_comes_back() {
    in_a_child_with_a_disk("read-only");
}

/// Starts a child that does `task` in a folder where `disk` is a file system of 2 MiB. The child is root, or root of its own namespace.
#[track_caller]
fn in_a_child_with_a_disk(task: &str) {
    let place = folder();
    fs::write(place.path().join("task"), task).expect("the test may write to its folder");
    fs::create_dir(place.path().join("disk")).expect("the test may write to its folder");
    let binary = std::env::current_exe().expect("this is running");
    let mount = format!("mount -t tmpfs -o size={DISK} none disk");
    let ways: [&[&str]; 2] = [&["-m"], &["-Urm"]];
    let way = ways.into_iter().find(|way| {
        let tried = Command::new("unshare")
            .args(*way)
            .args(["sh", "-c", &mount])
            .current_dir(place.path())
            .output();
        tried.is_ok_and(|tried| tried.status.success())
    });
    let Some(way) = way else {
        eprintln!("nothing can be mounted here: not tested with a disk that is {task}");
        return;
    };
    let output = Command::new("unshare")
        .args(way)
        .args(["sh", "-c", &format!("{mount} && exec \"$0\" \"$@\"")])
        .arg(binary)
        .args(CHILD)
        .current_dir(place.path())
        .output()
        .expect("it was there a moment ago");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The task of the child: the disk is smaller than the budget, and is then filled with another file.
pub(crate) fn fill_the_disk() {
    let place = Path::new("disk/store");
    let store = store(place, BUDGET);
    for number in 0..1000 {
        store.write(&key(number), b"", &[7; 10_000]);
        assert!(body(&store, key(number)).is_some(), "{number}");
    }
    let stats = store.stats();
    assert_eq!(
        (stats.write_failures, stats.fault),
        (0, None),
        "older ones make room"
    );
    assert!(
        stats.held.bytes > DISK / 2 && stats.held.bytes <= DISK,
        "{stats:?}"
    );
    assert!(!place.join("incoming").exists());

    for number in 0..999 {
        store.remove(&key(number));
    }
    let ballast = Path::new("disk/ballast");
    fill(ballast);
    store.write(&key(1000), b"", &[7; 100_000]);
    let stats = store.stats();
    assert_eq!(
        (stats.write_failures, stats.fault),
        (1, Some(DiskFault::Full))
    );
    assert!(!place.join("incoming").exists());
    fill(ballast);
    store.activate();
    assert_eq!(store.stats().fault, Some(DiskFault::Full));
    store.write(&key(1001), b"", b"content");
    assert_eq!(store.stats().skipped_writes, 1);

    fs::remove_file(ballast).expect("the test may write to its file");
    store.activate();
    assert_eq!(store.stats().fault, None);
    store.write(&key(1001), b"", b"content");
    assert!(body(&store, key(1001)).is_some());
}

/// Fills the disk completely.
fn fill(ballast: &Path) {
    let mut file = fs::File::options()
        .append(true)
        .create(true)
        .open(ballast)
        .expect("there are names left");
    while std::io::Write::write(&mut file, &[1; 4096]).is_ok() {}
}

/// The task of the child: the disk becomes read-only while it is in use, as the system does with a disk that fails.
pub(crate) fn lock_the_disk() {
    let place = Path::new("disk/store");
    let before = store(place, BUDGET);
    for number in 0..10 {
        before.write(&key(number), b"", b"content");
    }
    assert!(mount(&["--bind", "disk", "disk"]) && mount(&["-o", "remount,ro,bind", "disk"]));
    // Open files stay writable; files that are opened from now on are on the read-only mount.
    before.write(&key(100), b"", b"content");
    assert_read_only(&before);
    before.remove(&key(1));
    assert_eq!(
        body(&before, key(1)),
        None,
        "it is to go, so it is not served"
    );
    before.activate();
    assert_read_only(&before);
    drop(before);

    // A process that starts now.
    let after = Store::new(
        "renditions",
        crate::cache::tier::disk::layout::DiskLayout::new(place.to_owned()),
        BUDGET,
    );
    after.activate();
    assert_read_only(&after);
    after.tombstone(&key(2));
    after.remove(&key(2));
    assert_eq!(body(&after, key(2)), None);
    after.remove(&key(200));

    let unmounted = Command::new("umount").arg("disk").status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    after.activate();
    assert_eq!(after.stats().fault, None);
    assert!(after.needs_scan());
    crate::cache::tier::disk::recovery::scan(&after);
    assert_eq!(body(&after, key(2)), None);
    assert_eq!(entries(place).len(), 9);
    after.write(&key(100), b"", b"content");
    assert!(body(&after, key(100)).is_some());
    assert!(du(place) <= after.stats().held.bytes);
}

#[track_caller]
fn assert_read_only(store: &Store) {
    assert_eq!(store.stats().fault, Some(DiskFault::ReadOnly));
    assert!(body(store, key(0)).is_some(), "reading does no harm");
    store.write(&key(101), b"", b"content");
    assert_eq!(body(store, key(101)), None);
}

fn mount(arguments: &[&str]) -> bool {
    let mounted = Command::new("mount").args(arguments).status();
    mounted.is_ok_and(|status| status.success())
}
