//! A folder as a store.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;

use crate::hosted::error::HostedError;
use crate::hosted::store::{Condition, Fetched, Folder, Listed, Objects, Put, media_type};

async fn store(folder: &Path) -> Objects {
    let folder = Folder::open(folder.to_owned()).await.expect("a folder");
    Objects::Folder(folder)
}

fn small() -> Bytes {
    Bytes::from_static(b"content")
}

#[tokio::test]
async fn a_folder_keeps_the_conditions_of_writes() {
    let folder = TempDir::new().expect("a folder");
    let store = store(folder.path()).await;
    let put = |condition| store.put("records/a/-/record.json", small(), condition);
    assert_eq!(
        put(Condition::Matches("x")).await.expect("tried"),
        Put::Refused
    );
    let Put::Stored(first) = put(Condition::Absent).await.expect("tried") else {
        panic!("refused");
    };
    assert_eq!(put(Condition::Absent).await.expect("tried"), Put::Refused);
    let writers = (0..8).map(|_| put(Condition::Matches(&first)));
    let done = futures_util::future::join_all(writers).await;
    let won = done
        .iter()
        .filter(|one| matches!(one, Ok(Put::Stored(_))))
        .count();
    assert_eq!(won, 1);
    let Fetched::Object(bytes, etag) = store
        .get("records/a/-/record.json", Some(&first))
        .await
        .expect("read")
    else {
        panic!("not changed");
    };
    assert_eq!(bytes, small());
    let known = store.get("records/a/-/record.json", Some(&etag)).await;
    assert!(matches!(known, Ok(Fetched::Same)));
}

#[tokio::test]
async fn folders_go_with_their_last_file() {
    let folder = TempDir::new().expect("a folder");
    let store = store(folder.path()).await;
    for key in [
        "records/a/-/record.json",
        "records/a/b/-/record.json",
        "log/1",
    ] {
        store
            .put(key, small(), Condition::Always)
            .await
            .expect("stored");
    }
    let mut list = store.list("records/", None);
    let mut keys = Vec::new();
    while let Some(page) = list.next().await.expect("a list") {
        keys.extend(page.into_iter().map(|listed| listed.key));
    }
    keys.sort_unstable();
    assert_eq!(
        keys,
        ["records/a/-/record.json", "records/a/b/-/record.json"]
    );
    let missing = "records/none/-/record.json".to_owned();
    store
        .delete(vec!["records/a/b/-/record.json".to_owned(), missing])
        .await
        .expect("deleted");
    assert!(!folder.path().join("records/a/b").exists());
    assert!(folder.path().join("records/a/-/record.json").exists());
    store
        .delete(vec!["records/a/-/record.json".to_owned()])
        .await
        .expect("deleted");
    assert!(!folder.path().join("records/a").exists());
    assert!(folder.path().join("records").exists());
}

#[tokio::test]
async fn a_large_folder_is_listed_page_by_page() {
    const FILES: usize = 2500;
    let folder = TempDir::new().expect("a folder");
    let store = store(folder.path()).await;
    let flat = folder.path().join("records/flat");
    let deep = folder.path().join("records/deep/er/-");
    for folder in [&flat, &deep] {
        std::fs::create_dir_all(folder).expect("made");
        for number in 0..FILES {
            std::fs::write(folder.join(number.to_string()), "").expect("written");
        }
    }
    let mut keys = BTreeSet::new();
    let mut list = store.list("records/", None);
    while let Some(page) = list.next().await.expect("a list") {
        assert!(page.len() <= 1000, "{}", page.len());
        let is_new = |listed: Listed| keys.insert(listed.key);
        assert!(page.into_iter().all(is_new), "a key comes twice");
        // Files that are deleted meanwhile, and their folders, end no list.
        let _ = std::fs::remove_dir_all(&flat);
    }
    assert!(keys.len() >= FILES, "{}", keys.len());
    let mut list = store.list("none/", None);
    assert!(list.next().await.expect("a list").is_none());
}

#[tokio::test]
async fn keys_do_not_leave_the_folder() {
    let folder = TempDir::new().expect("a folder");
    let store = store(folder.path()).await;
    for key in ["../x", "a/../../x", "", "/etc/x", "a//b", "."] {
        let put = store.put(key, small(), Condition::Always).await;
        assert!(matches!(put, Err(HostedError::Store(_))), "{key}");
    }
}

#[test]
fn objects_have_the_media_types_of_their_names() {
    for (key, expected) in [
        ("records/a.png/-/record.json", "application/json"),
        ("log/0001-X", "application/json"),
        ("originals/a/-/1.jpg", "image/jpeg"),
        ("renditions/a/-/thumb.avif", "image/avif"),
        ("renditions/a/-/thumb.webp", "image/webp"),
        ("originals/a/-/1.jxl", "image/jxl"),
        ("originals/a/-/1.heic", "image/heic"),
        ("originals/a/-/1.svg", "image/svg+xml"),
    ] {
        assert_eq!(media_type(key), expected, "{key}");
    }
}

#[tokio::test]
async fn the_reserve_takes_room_where_files_are_compressed() {
    let folder = TempDir::new().expect("a folder");
    let reserve = folder.path().join("reserve");
    // As it was before, and as a file system has it that writes no zeros.
    let file = std::fs::File::create(&reserve).expect("room");
    file.set_len(1 << 20).expect("room");
    drop(file);
    store(folder.path()).await;
    let bytes = std::fs::read(&reserve).expect("there");
    assert_eq!(bytes.len(), 1 << 20);
    let zeros = bytes.iter().filter(|byte| **byte == 0).count();
    assert!(zeros < bytes.len() / 100, "{zeros}");
}
