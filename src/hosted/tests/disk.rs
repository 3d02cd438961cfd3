//! Hosted images on a disk that is full, and on one that cannot tell `A` from `a`. Both are made for the test, where that is allowed.

use std::path::Path;
use std::process::Command;

use futures_util::future::join_all;
use tempfile::TempDir;

use crate::hosted::tests::{config, facts, files, id, names as listed, open, spooled, upload};
use crate::hosted::{HostedError, ImageId};

/// A small disk of its own, until it is dropped.
struct Disk(TempDir);

impl Disk {
    /// `None` where this user may not have one.
    fn new(bytes: usize) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Disk(folder));
        }
        eprintln!("left out: nothing can be mounted here");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Takes all that is free, to the last byte.
fn fill(folder: &Path) {
    for size in [64 << 10, 4096, 1] {
        for number in 0.. {
            let name = folder.join(format!("fill-{size}-{number}"));
            if std::fs::write(&name, vec![1; size]).is_err() {
                break;
            }
        }
    }
}

/// Takes all that is free but room for `count` small files.
fn leave_room(folder: &Path, count: usize) {
    let spare = |number: usize| folder.join(format!("spare-{number}"));
    for number in 0..count {
        std::fs::write(spare(number), "x").expect("room");
    }
    fill(folder);
    for number in 0..count {
        std::fs::remove_file(spare(number)).expect("removed");
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_in_the_middle_of_a_change_takes_no_file_of_a_record() {
    for room in 0..4 {
        let Some(disk) = Disk::new(6 << 20) else {
            return;
        };
        let mut config = config(disk.path());
        let index = TempDir::new().expect("a folder");
        config.index = index.path().to_owned();
        let hosted = open(&config).await;
        upload(&hosted, "old", "one").await.expect("stored");
        // The old record keeps its room as long as somebody reads it.
        let record = disk.path().join("store/records/old/-/record.json");
        let _reader = std::fs::File::open(record).expect("a record");
        leave_room(disk.path(), room);
        let old = id("old");
        let replacing = hosted.replace(&old, "b.jpg".to_owned(), spooled(b"two"), facts());
        let replaced = replacing.await;
        let is_new = upload(&hosted, "new", "x").await.is_ok();
        let found = hosted.find(&id("new")).await.expect("asked");
        assert_eq!(found.is_some(), is_new, "{room}");
        let old = hosted.find(&old).await.expect("asked");
        let old = old.expect("nobody deleted it");
        assert_eq!(old.filename.as_deref() == Some("b.jpg"), replaced.is_ok());
        for record in [Some(old), found].into_iter().flatten() {
            let original = record.original.as_ref().expect("a file");
            hosted.read(&original.key).await.expect("it has its file");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_can_be_deleted_on_a_full_disk() {
    let Some(disk) = Disk::new(6 << 20) else {
        return;
    };
    let mut config = config(disk.path());
    // SQLite wants room as well, and asks for it when it pleases.
    let index = TempDir::new().expect("a folder");
    config.index = index.path().to_owned();
    let hosted = open(&config).await;
    let names: Vec<ImageId> = (0..16).map(|number| id(&format!("n{number}"))).collect();
    for name in &names {
        let stored = upload(&hosted, name.as_str(), &"x".repeat(100 << 10)).await;
        stored.expect("stored");
    }
    fill(disk.path());
    let refused = upload(&hosted, "d", &"x".repeat(100 << 10)).await;
    assert!(matches!(refused, Err(HostedError::Full(_))), "{refused:?}");
    assert_eq!(files(&disk.path().join("store/tmp")), [""; 0]);
    // All at once: there is one reserve.
    let deletions = join_all(names.iter().map(|name| hosted.delete(name)));
    for deleted in deletions.await {
        deleted.expect("deleted");
    }
    for name in &names {
        assert!(hosted.find(name).await.expect("asked").is_none());
    }
    assert_eq!(listed(&hosted).await, [""; 0]);
    for _ in 0..200 {
        if files(&disk.path().join("store/originals")).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    upload(&hosted, "e", "x")
        .await
        .expect("there is room again");
    drop(hosted);
    let again = open(&config).await;
    assert_eq!(listed(&again).await, ["e"]);
}
