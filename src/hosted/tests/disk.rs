//! Hosted images on a disk that is full, and on one that cannot tell `A` from `a`. Both are made for the test, where that is allowed.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::hosted::HostedError;
use crate::hosted::tests::{config, files, id, names, open, upload};

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

#[tokio::test]
async fn images_can_be_deleted_on_a_full_disk() {
    let Some(disk) = Disk::new(6 << 20) else {
        return;
    };
    let mut config = config(disk.path());
    // SQLite wants room as well, and asks for it when it pleases.
    let index = TempDir::new().expect("a folder");
    config.index = index.path().to_owned();
    let hosted = open(&config).await;
    for name in ["a", "b", "c"] {
        let stored = upload(&hosted, name, &"x".repeat(100 << 10)).await;
        stored.expect("stored");
    }
    fill(disk.path());
    let refused = upload(&hosted, "d", &"x".repeat(100 << 10)).await;
    assert!(matches!(refused, Err(HostedError::Full(_))), "{refused:?}");
    assert_eq!(files(&disk.path().join("store/tmp")), [""; 0]);
    for name in ["a", "b", "c"] {
        hosted.delete(&id(name)).await.expect("deleted");
        assert!(hosted.find(&id(name)).await.expect("asked").is_none());
    }
    assert_eq!(names(&hosted).await, [""; 0]);
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
    assert_eq!(names(&again).await, ["e"]);
}
