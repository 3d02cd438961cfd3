//! Hosted images in a folder.

mod bucket;
mod crash;
mod disk;
#[expect(dead_code, reason = "the other tests need more of it")]
#[path = "../../../tests/integration/support/s3.rs"]
mod s3;
mod sweep;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::hosted::fault;
use crate::hosted::{
    Changes, Config, Draft, Event, Facts, Hosted, HostedError, ImageId, ImageQuery, NewImage,
    Record, Rendition, SpooledFile, Store, Variant,
};

pub(super) fn config(folder: &Path) -> Config {
    Config {
        store: Store::Folder(folder.join("store")),
        index: folder.join("index"),
        ..Config::default()
    }
}

/// Opens hosted images, once what had them before is gone, and waits for the first pass over the store.
pub(super) async fn open(config: &Config) -> Arc<Hosted> {
    for _ in 0..200 {
        match Hosted::open(config, &[]).await {
            Ok(hosted) => {
                let hosted = hosted.expect("there is a store");
                while !hosted.stats.is_reconciled.load(Ordering::Acquire) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                return hosted;
            }
            Err(error) if error.to_string().contains("used by") => {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the store is still used");
}

pub(super) fn id(text: &str) -> ImageId {
    ImageId::new(text).expect("a name")
}

pub(super) fn spooled(content: &[u8]) -> SpooledFile {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(content).expect("room");
    SpooledFile {
        file,
        bytes: content.len() as u64,
        sha256: String::new(),
    }
}

pub(super) fn facts() -> Facts {
    Facts {
        format: "jpeg".to_owned(),
        extension: "jpg".to_owned(),
        ..Facts::default()
    }
}

pub(super) fn named(name: &str) -> NewImage {
    NewImage {
        id: Some(id(name)),
        filename: format!("{name}.jpg"),
        ..NewImage::default()
    }
}

pub(super) async fn upload(
    hosted: &Arc<Hosted>,
    name: &str,
    content: &str,
) -> Result<Arc<Record>, HostedError> {
    hosted
        .create(named(name), spooled(content.as_bytes()), facts())
        .await
}

pub(super) async fn names(hosted: &Hosted) -> Vec<String> {
    let query = ImageQuery {
        limit: 1000,
        ..ImageQuery::default()
    };
    let page = hosted.list(&query).await.expect("a list");
    page.images
        .iter()
        .map(|image| image.id.to_string())
        .collect()
}

/// The files below a folder of the store.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.to_string_lossy().into_owned()),
            }
        }
    }
    found
}

async fn next_event(events: &mut tokio::sync::broadcast::Receiver<Event>) -> Event {
    let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
    event.expect("an event").expect("an event")
}

#[tokio::test]
async fn an_image_is_stored_changed_replaced_and_deleted() {
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    let mut events = hosted.subscribe();
    let first = upload(&hosted, "users/7/cat", "one").await.expect("stored");
    let key = first.original.as_ref().expect("a file").key.clone();
    assert!(key.starts_with("originals/users/7/cat/-/") && key.ends_with(".jpg"));
    assert_eq!(hosted.read(&key).await.expect("a file"), "one");
    assert_eq!(hosted.known(&first.id), Some(Arc::clone(&first)));
    assert!(matches!(
        upload(&hosted, "users/7/cat", "two").await,
        Err(HostedError::Exists)
    ));
    assert!(matches!(
        next_event(&mut events).await,
        Event::Uploaded { .. }
    ));

    let changes = Changes {
        creator: Some(Some("u1".to_owned())),
        ..Changes::default()
    };
    let changed = hosted.update(&first.id, changes).await.expect("changed");
    assert_ne!(changed.rev, first.rev);
    assert!(
        matches!(next_event(&mut events).await, Event::Updated { before, .. } if before == first)
    );

    let rendition = Rendition {
        variant: "thumb".to_owned(),
        format: "webp".to_owned(),
        width: 1,
        height: 1,
        bytes: 1,
        key: "renditions/users/7/cat/-/thumb.webp".to_owned(),
        recipe: String::new(),
        aliases: Vec::new(),
    };
    let small = bytes::Bytes::from_static(b"s");
    hosted
        .put_rendition(&rendition.key, small.clone())
        .await
        .expect("stored");
    for _ in 0..2 {
        let noted = hosted.add_renditions(&first.id, &key, vec![rendition.clone()]);
        noted.await.expect("noted");
        assert!(
            matches!(next_event(&mut events).await, Event::Rendered { record } if record.renditions.len() == 1)
        );
    }

    let replaced = hosted.replace(&first.id, "b.jpg".to_owned(), spooled(b"three"), facts());
    let replaced = replaced.await.expect("replaced");
    assert!(matches!(
        next_event(&mut events).await,
        Event::Replaced { .. }
    ));
    assert!(replaced.renditions.is_empty());
    assert!(matches!(
        hosted.read(&key).await,
        Err(HostedError::NotFound)
    ));
    assert!(matches!(
        hosted.read(&rendition.key).await,
        Err(HostedError::NotFound)
    ));
    // A render of the old file that comes late leaves nothing.
    hosted
        .put_rendition(&rendition.key, small)
        .await
        .expect("stored");
    hosted
        .add_renditions(&first.id, &key, vec![rendition.clone()])
        .await
        .expect("ignored");
    assert!(matches!(
        hosted.read(&rendition.key).await,
        Err(HostedError::NotFound)
    ));

    let renamed = hosted
        .rename(&first.id, id("Katze é"))
        .await
        .expect("renamed");
    assert!(matches!(
        next_event(&mut events).await,
        Event::Renamed { .. }
    ));
    assert!(hosted.find(&first.id).await.expect("found").is_none());
    let key = &renamed.original.as_ref().expect("a file").key;
    assert_eq!(hosted.read(key).await.expect("a file"), "three");

    hosted.delete(&renamed.id).await.expect("deleted");
    assert!(matches!(
        next_event(&mut events).await,
        Event::Deleted { .. }
    ));
    assert!(hosted.known(&renamed.id).is_none());
    assert!(hosted.find(&renamed.id).await.expect("asked").is_none());
    assert!(matches!(
        hosted.delete(&renamed.id).await,
        Err(HostedError::NotFound)
    ));
    for emptied in ["originals", "renditions"] {
        assert_eq!(files(&folder.path().join("store").join(emptied)), [""; 0]);
    }
    upload(&hosted, "users/7/cat", "again")
        .await
        .expect("the name is free at once");
}

#[tokio::test]
async fn a_draft_is_filled_once_and_its_name_is_free_when_it_expired() {
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    let draft = |expires| Draft {
        image: named("d"),
        expires,
        max_bytes: None,
        formats: Vec::new(),
    };
    let expired = hosted.create_draft(draft(1)).await.expect("stored");
    let fill = |record: Arc<Record>, nonce: String| {
        let hosted = Arc::clone(&hosted);
        async move {
            let filled =
                hosted.fill_draft(&record.id, &nonce, "f".to_owned(), spooled(b"x"), facts());
            filled.await
        }
    };
    let nonce = |record: &Record| record.upload.as_ref().expect("a draft").nonce.clone();
    assert!(hosted.find(&expired.id).await.expect("asked").is_none());
    assert!(matches!(
        fill(Arc::clone(&expired), nonce(&expired)).await,
        Err(HostedError::DraftExpired)
    ));
    let draft = hosted
        .create_draft(draft(u64::MAX))
        .await
        .expect("free again");
    assert!(matches!(
        fill(Arc::clone(&draft), "other".to_owned()).await,
        Err(HostedError::DraftUsed)
    ));
    assert_eq!(names(&hosted).await, [""; 0]);
    let fills = (0..8).map(|_| fill(Arc::clone(&draft), nonce(&draft)));
    let filled = futures_util::future::join_all(fills).await;
    assert_eq!(filled.iter().filter(|one| one.is_ok()).count(), 1);
    assert!(
        filled
            .iter()
            .all(|one| matches!(one, Ok(_) | Err(HostedError::DraftUsed)))
    );
    assert_eq!(names(&hosted).await, ["d"]);
    assert_eq!(files(&folder.path().join("store/originals")).len(), 1);
}

#[tokio::test]
async fn the_index_is_made_anew_when_it_is_lost_or_damaged() {
    let folder = TempDir::new().expect("a folder");
    let config = config(folder.path());
    let hosted = open(&config).await;
    for name in ["a", "b", "c/d", "É"] {
        upload(&hosted, name, name).await.expect("stored");
    }
    hosted.delete(&id("b")).await.expect("deleted");
    let before = names(&hosted).await;
    assert_eq!(before.len(), 3);
    drop(hosted);
    let index = folder.path().join("index/index.sqlite");
    for damage in ["none", "deleted", "garbage", "version"] {
        drop(open(&config).await);
        match damage {
            "deleted" => std::fs::remove_dir_all(folder.path().join("index")).expect("removed"),
            "garbage" => std::fs::write(&index, "no database").expect("written"),
            "version" => {
                let connection = rusqlite::Connection::open(&index).expect("a database");
                connection
                    .pragma_update(None, "user_version", 99)
                    .expect("changed");
            }
            _ => {}
        }
        assert_eq!(names(&*open(&config).await).await, before, "{damage}");
    }
}

#[tokio::test]
async fn an_index_that_lacks_rows_is_not_believed() {
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    upload(&hosted, "gone", "x").await.expect("stored");
    let index = rusqlite::Connection::open(folder.path().join("index/index.sqlite"));
    let index = index.expect("a database");
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON images BEGIN SELECT RAISE(ABORT, 'full'); END";
    index.execute_batch(refuse).expect("made");
    upload(&hosted, "new", "x").await.expect("stored");
    hosted.delete(&id("gone")).await.expect("deleted");
    hosted.reconcile().await.expect_err("rows are missing");
    // As when others take their room in memory.
    for name in ["new", "gone"] {
        hosted.memory.remove(&id(name));
    }
    let listed = hosted.list(&ImageQuery::default()).await;
    assert!(matches!(listed, Err(HostedError::Indexing)), "{listed:?}");
    let found = hosted.find(&id("new")).await.expect("asked");
    assert!(found.is_some(), "it was acknowledged");
    let found = hosted.find(&id("gone")).await.expect("asked");
    assert!(found.is_none(), "it was deleted");
    index.execute_batch("DROP TRIGGER refuse").expect("removed");
    hosted.reconcile().await.expect("all rows are there");
    assert_eq!(names(&hosted).await, ["new"]);
}

#[tokio::test]
async fn a_folder_has_one_process_and_says_so() {
    let folder = TempDir::new().expect("a folder");
    let mut config = config(folder.path());
    let _hosted = open(&config).await;
    config.index = folder.path().join("other");
    let error = Hosted::open(&config, &[])
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.contains(&format!("used by process {}", std::process::id())),
        "{error}"
    );
    config.replicas = true;
    let error = Hosted::open(&config, &[])
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(error.contains("a bucket, not a folder"), "{error}");
}

#[tokio::test]
async fn settings_are_stored_and_a_key_and_a_variant_stay() {
    let folder = TempDir::new().expect("a folder");
    let config = config(folder.path());
    let hosted = open(&config).await;
    let mut events = hosted.subscribe();
    let first = hosted.settings();
    assert_eq!((first.keys.len(), first.secret.len()), (1, 64));
    let changed = hosted.change_settings(|settings| {
        settings.variants.clear();
        settings
            .variants
            .insert("thumb".to_owned(), Variant::default());
        settings.keys.clear();
        settings.flexible_variants = true;
        Ok::<(), ()>(())
    });
    let changed = changed.await.expect("stored").expect("allowed");
    assert!(
        matches!(next_event(&mut events).await, Event::VariantChanged { name } if name == "thumb")
    );
    assert_eq!(
        changed.variants.keys().collect::<Vec<_>>(),
        ["public", "thumb"]
    );
    assert_eq!(changed.keys.len(), 1);
    assert_ne!(changed.keys, first.keys);
    let refused = hosted.change_settings(|_| Err::<(), _>("no")).await;
    assert_eq!(refused.expect("asked").expect_err("refused"), "no");
    drop(hosted);
    let again = open(&config).await.settings();
    assert_eq!(again, changed);
    assert_eq!(again.secret, first.secret);
}

#[tokio::test]
async fn a_store_that_refuses_writes_leaves_nothing_half_made() {
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    // The folder of temporary files is a file now: as on a disk that is full or read-only, nothing can be written.
    let temporary = folder.path().join("store/tmp");
    std::fs::remove_dir(&temporary).expect("removed");
    std::fs::write(&temporary, "").expect("written");
    let refused = upload(&hosted, "a", "x").await;
    assert!(
        matches!(&refused, Err(HostedError::Store(_))),
        "{refused:?}"
    );
    assert!(hosted.find(&id("a")).await.expect("asked").is_none());
    assert_eq!(names(&hosted).await, [""; 0]);
    std::fs::remove_file(&temporary).expect("removed");
    std::fs::create_dir(&temporary).expect("made");
    upload(&hosted, "a", "x").await.expect("it works again");
}

#[tokio::test]
async fn what_may_not_be_flushed_to_the_disk_is_not_acknowledged() {
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    upload(&hosted, "a", "x").await.expect("stored");
    let fail = |times| *fault::FAILS.lock().expect("no panic") = vec!["flush"; times];
    let update = async || {
        let changes = Changes {
            creator: Some(Some("u".to_owned())),
            ..Changes::default()
        };
        hosted.update(&id("a"), changes).await
    };
    let change = |name: &'static str| {
        hosted.change_settings(move |settings| {
            settings
                .variants
                .insert(name.to_owned(), Variant::default());
            Ok::<(), ()>(())
        })
    };
    for (times, is_flushed) in [(1, true), (2, false), (0, true)] {
        fail(times);
        assert_eq!(update().await.is_ok(), is_flushed, "{times}");
        fail(times);
        let name = ["x", "y", "z"][times];
        assert_eq!(change(name).await.is_ok(), is_flushed, "{times}");
    }
    assert_eq!(names(&hosted).await, ["a"]);
}

#[tokio::test]
async fn metadata_of_any_kind_is_stored() {
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    let meta = json!({"status": "active", "n": 5, "deep": {"x": true}, "list": [1], "none": null});
    let image = NewImage {
        meta: meta.as_object().expect("an object").clone(),
        ..named("a")
    };
    hosted
        .create(image, spooled(b"x"), facts())
        .await
        .expect("stored");
    assert_eq!(names(&hosted).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_must_miss_nothing_is_waited_for() {
    const IMAGES: usize = 60;
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&config(folder.path())).await;
    let mut events = hosted.subscribe_completely().expect("the first");
    assert!(hosted.subscribe_completely().is_none());
    let uploader = Arc::clone(&hosted);
    let uploads = tokio::spawn(async move {
        for number in 0..IMAGES {
            let stored = upload(&uploader, &format!("n{number}"), "x").await;
            stored.expect("stored");
        }
    });
    // Nobody listens, so it does not go on for ever.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!uploads.is_finished());
    for number in 0..IMAGES {
        let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await;
        let event = event.expect("it comes");
        assert!(
            matches!(&event, Some(Event::Uploaded { record, .. }) if record.id.as_str() == format!("n{number}")),
            "{number}: {event:?}"
        );
    }
    uploads.await.expect("all are stored");
    // It has the event when the client has the answer: the server may end now.
    for number in 0..2 {
        let deleted = hosted.delete(&id(&format!("n{number}"))).await;
        deleted.expect("deleted");
        assert!(matches!(events.try_recv(), Ok(Event::Deleted { .. })));
    }
    let deleter = Arc::clone(&hosted);
    let deletions = tokio::spawn(async move {
        for number in 2..IMAGES {
            let deleted = deleter.delete(&id(&format!("n{number}"))).await;
            deleted.expect("deleted");
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!deletions.is_finished());
    // A listener that has ended keeps nobody.
    drop(events);
    deletions.await.expect("all are deleted");
}

#[tokio::test]
async fn a_store_with_folders_elsewhere_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let store = folder.path().join("store");
    std::fs::create_dir_all(folder.path().join("elsewhere")).expect("made");
    std::fs::create_dir(&store).expect("made");
    let link = store.join("originals");
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).expect("made");
    let refused = Hosted::open(&config(folder.path()), &[]).await;
    let error = refused.err().expect("refused").to_string();
    assert!(error.contains("store/originals` is a link"), "{error}");
    // The store itself may be one.
    std::fs::remove_file(&link).expect("removed");
    let moved = folder.path().join("moved");
    std::fs::rename(&store, &moved).expect("moved");
    std::os::unix::fs::symlink(&moved, &store).expect("made");
    let hosted = open(&config(folder.path())).await;
    upload(&hosted, "a", "x").await.expect("stored");
    assert_eq!(names(&hosted).await, ["a"]);
}
