//! Processes that are killed in the middle of their work, and the processes that follow them.
//!
//! The processes are this test binary, started with arguments that run one test, [`a_task_for_a_child`]. A file in their folder says what they do.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::cache::entry::EntryKey;
use crate::cache::tests::{body, du, folder, key, mounts, store};
use crate::cache::tier::disk::folder_lock::{FolderLock, LockError};
use crate::cache::tier::disk::layout::DiskLayout;
use crate::cache::tier::disk::recovery::scan;
use crate::cache::tier::disk::store::Store;
use crate::cache::{DiskFault, SourceKey};

const BUDGET: u64 = 1 << 20;

/// What a child prints when it has started its task.
const READY: &str = "the child is ready";

/// The arguments with which this binary does the task that the file `task` in its folder names.
pub(crate) const CHILD: [&str; 3] = [
    "--exact",
    "cache::tests::crash::a_task_for_a_child",
    "--nocapture",
];

#[test]
fn a_task_for_a_child() {
    match fs::read_to_string("task").unwrap_or_default().as_str() {
        "write" => write_for_ever(),
        "hold" => {
            let _store = store(Path::new("store"), BUDGET);
            wait_for_the_end();
        }
        "full" => mounts::fill_the_disk(),
        "read-only" => mounts::lock_the_disk(),
        // Started as a usual test, in the folder of the package: there is no task.
        _ => {}
    }
}

fn wait_for_the_end() {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    writeln!(out, "{READY}").expect("somebody listens");
    // The parent kills this process, or is killed and closes the pipe.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Writes entries whose content can be checked, until the process is killed.
fn write_for_ever() {
    use std::io::Write as _;
    let store = store(Path::new("store"), BUDGET);
    let mut out = std::io::stdout();
    writeln!(out, "{READY}").expect("somebody listens");
    for number in u64::from(std::process::id()) * 1000.. {
        store.write(&key(number % 500), b"", &content(number % 500));
        let record = EntryKey::record(SourceKey::numbered(number % 5));
        store.write(&record, b"", &vec![(number % 251) as u8; 3000]);
        if number % 3 == 0 {
            store.remove(&key((number / 3) % 500));
        }
    }
}

fn content(number: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(50) {
        200_000
    } else {
        2000 + number * 20
    };
    (0..length).map(|at| (at * number % 253) as u8).collect()
}

/// Starts a child in `folder` and waits until it has started its task.
fn start(folder: &Path, task: &str) -> Child {
    fs::write(folder.join("task"), task).expect("the test may write to its folder");
    let binary = std::env::current_exe().expect("this is running");
    let mut child = Command::new(binary)
        .args(CHILD)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let is_ready = out
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains(READY));
    assert!(is_ready, "the child has ended before its time");
    child
}

fn tombstone(mut child: Child) {
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
}

#[test]
fn after_a_hundred_kills_every_entry_is_whole_and_counted() {
    let place = folder();
    let path = place.path().join("store");
    let (mut found, mut leftovers) = (0, 0);
    for round in 0..100 {
        let child = start(place.path(), "write");
        sleep(Duration::from_millis(2 + round * 7 % 40));
        tombstone(child);

        let bytes = du(&path);
        assert!(bytes <= BUDGET, "{bytes} bytes after round {round}");
        leftovers += u32::from(path.join("incoming").exists());
        let store = store(&path, BUDGET);
        assert!(!path.join("incoming").exists());
        let held = store.stats().held;
        let bytes = du(&path);
        assert!(
            bytes <= held.bytes && held.bytes <= BUDGET,
            "{bytes} bytes, {held:?}"
        );
        let mut entries = 0;
        for number in 0..500 {
            if let Some(body) = body(&store, key(number)) {
                assert!(body == content(number), "{number} in round {round}");
                entries += 1;
            }
        }
        for number in 0..5 {
            if let Some(body) = body(&store, EntryKey::record(SourceKey::numbered(number))) {
                assert_eq!(body, vec![body[0]; 3000], "{number} in round {round}");
                entries += 1;
            }
        }
        // So every file that the scan has found is whole.
        assert_eq!(entries, held.entries, "round {round}");
        found += entries;
    }
    assert!(
        found > 500,
        "the children have hardly written anything: {found}"
    );
    assert!(leftovers > 0, "no child was killed while it wrote");
}

#[test]
fn two_processes_never_share_a_folder() {
    let place = folder();
    let child = start(place.path(), "hold");
    let path = place.path().join("store");
    let refusal = FolderLock::take(&DiskLayout::new(path.clone()));
    assert!(matches!(refusal, Err(LockError::InUse(Some(holder))) if holder == child.id()));
    let store = Store::new("renditions", DiskLayout::new(path), BUDGET);
    store.activate();
    assert_eq!(store.stats().fault, Some(DiskFault::Locked));
    store.write(&key(1), b"", b"content");
    assert!(!store.may_find(&key(1)));
    store.activate();
    assert_eq!(store.stats().fault, Some(DiskFault::Locked));
    tombstone(child);
    // The lock of a killed process is released.
    store.activate();
    scan(&store);
    assert_eq!(store.stats().fault, None);
    store.write(&key(1), b"", b"content");
    assert!(body(&store, key(1)).is_some());
}
