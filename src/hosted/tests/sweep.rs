//! What is removed once it is no longer needed.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::hosted::clock::now_ms;
use crate::hosted::index::Row;
use crate::hosted::keys;
use crate::hosted::tests::{config, files, id, named, open, upload};
use crate::hosted::{Draft, Record, State};

#[tokio::test]
async fn a_folder_has_no_log_and_loses_that_of_older_versions() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("store/log");
    std::fs::create_dir_all(&log).expect("made");
    for at in [1_700_000_000_000, now_ms() - 1] {
        let entry = keys::log_entry(at);
        std::fs::write(folder.path().join("store").join(entry), "{}").expect("written");
    }
    std::fs::write(log.join("mine"), "").expect("written");
    let hosted = open(&config(folder.path())).await;
    upload(&hosted, "a", "x").await.expect("stored");
    hosted.delete(&id("a")).await.expect("deleted");
    assert_eq!(files(&log).len(), 3, "nothing was added");
    hosted.sweep(Duration::ZERO).await.expect("swept");
    assert_eq!(files(&log), [log.join("mine").to_string_lossy()]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_its_files_and_stops_no_sweep() {
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    for name in ["a", "b"] {
        upload(&hosted, name, "x").await.expect("stored");
    }
    let store = folder.path().join("store");
    let draft = Draft {
        image: named("d"),
        expires: 1,
        max_bytes: None,
        formats: Vec::new(),
    };
    hosted.create_draft(draft).await.expect("stored");
    for name in ["a", "d"] {
        let record = store.join(format!("records/{name}/-/record.json"));
        std::fs::write(record, "{").expect("written");
    }
    for folder in ["originals/a/-", "originals/c/-"] {
        std::fs::create_dir_all(store.join(folder)).expect("made");
        std::fs::write(store.join(folder).join("orphan.jpg"), "x").expect("written");
    }
    hosted.sweep(Duration::ZERO).await.expect("swept");
    let left = |of: &str| files(&store.join("originals").join(of)).len();
    assert_eq!((left("a"), left("b"), left("c")), (2, 1, 0));
}

#[tokio::test]
async fn a_sweep_takes_all_that_is_old() {
    const TOMBSTONES: usize = 1001;
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    let first = upload(&hosted, "a", "x").await.expect("stored");
    for number in 0..TOMBSTONES {
        let mut record = Record::clone(&first);
        record.id = id(&format!("n{number}"));
        (record.state, record.uploaded, record.original) = (State::Deleted, 0, None);
        let row = Row {
            key: record.id.key(false),
            record: Arc::new(record),
            etag: "x".to_owned(),
            seen: 1,
        };
        hosted.index.apply(row).await.expect("written");
    }
    hosted.sweep(Duration::ZERO).await.expect("swept");
    assert_eq!(hosted.index.rows().await.expect("counted"), 1);
}
