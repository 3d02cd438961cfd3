//! The process is killed in the middle of a write, again and again.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::hosted::fault;
use crate::hosted::tests::{config, files, id, names, open, upload};

/// The folder that the child writes to. Without it there is nothing to do for it.
const FOLDER: &str = "SAFELIGHT_TEST_FOLDER";
/// The point at which the child is killed.
const FAULT: &str = "SAFELIGHT_TEST_FAULT";
/// How many times the child is killed at each point.
const ROUNDS: usize = 20;

/// Writes until it is killed, and notes what was acknowledged.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the parent sets them")]
async fn child() {
    let (Some(folder), Ok(point)) = (env::var_os(FOLDER), env::var(FAULT)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let hosted = open(&config(&folder)).await;
    for round in 0..3 {
        if round == 2 {
            *fault::AT.lock().expect("no panic") = Some(point.clone());
        }
        let name = format!("{point}/{}", ulid::Ulid::generate());
        upload(&hosted, &name, &name).await.expect("stored");
        let acknowledged = folder.join("acknowledged").join(name.replace('/', " "));
        std::fs::write(acknowledged, "").expect("noted");
        if round == 1 {
            // What is deleted and acknowledged stays so.
            hosted.delete(&id(&name)).await.expect("deleted");
            let gone = folder.join("deleted").join(name.replace('/', " "));
            std::fs::write(gone, "").expect("noted");
        }
    }
}

fn kill_at(folder: &Path, point: &str) {
    let status = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "hosted::tests::crash::child"])
        .env(FOLDER, folder)
        .env(FAULT, point)
        .output()
        .expect("it runs");
    assert_eq!(status.status.signal(), Some(9), "{status:?}");
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_left_over() {
    let folder = TempDir::new().expect("a folder");
    for noted in ["acknowledged", "deleted"] {
        std::fs::create_dir(folder.path().join(noted)).expect("made");
    }
    for _ in 0..ROUNDS {
        for point in [
            "after-original",
            "after-record",
            "after-log",
            "after-index",
            "in-write",
        ] {
            kill_at(folder.path(), point);
        }
    }
    let noted = |name: &str| -> Vec<String> {
        let files = files(&folder.path().join(name));
        let names = files
            .iter()
            .map(|file| file.rsplit('/').next().unwrap_or_default());
        names.map(|name| name.replace(' ', "/")).collect()
    };
    let (acknowledged, deleted) = (noted("acknowledged"), noted("deleted"));
    assert_eq!(deleted.len(), 5 * ROUNDS);
    let hosted = open(&config(folder.path())).await;
    let listed = names(&hosted).await;
    for name in &acknowledged {
        let is_deleted = deleted.contains(name);
        assert_eq!(listed.contains(name), !is_deleted, "{name}");
        let found = hosted.find(&id(name)).await.expect("asked");
        assert_eq!(found.is_some(), !is_deleted, "{name}");
        let Some(found) = found else { continue };
        let original = found.original.as_ref().expect("a file");
        assert_eq!(hosted.read(&original.key).await.expect("a file"), *name);
    }
    hosted.sweep(Duration::ZERO).await.expect("swept");
    assert_eq!(names(&hosted).await, listed);
    assert_eq!(
        files(&folder.path().join("store/originals")).len(),
        listed.len()
    );
    assert_eq!(files(&folder.path().join("store/tmp")), [""; 0]);
    drop(hosted);
    std::fs::remove_dir_all(folder.path().join("index")).expect("removed");
    assert_eq!(names(&*open(&config(folder.path())).await).await, listed);
}
