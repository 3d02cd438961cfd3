//! Variants that are made ahead of requests, and what becomes of pictures whose image is gone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use safelight::config::Config;
use safelight::hosted::{Event, Record, Store};
use serde_json::json;
use tempfile::TempDir;

use super::{change, hosted, spooled, start, upload, variant};
use crate::support::eventually;
use crate::support::proxy::{TestProxy, setting};
use crate::support::samples;
use crate::support::samples::mime_of;

/// Two variants for four kinds of clients; without an encoder of JPEG XL, two of these are alike.
const RENDITIONS: usize = if cfg!(feature = "native") { 8 } else { 6 };

async fn start_eager() -> (TestProxy, TempDir) {
    let (proxy, folder) = start(eager).await;
    add_variants(&proxy, 60).await;
    (proxy, folder)
}

fn eager(config: &mut Config) {
    config.hosted.eager = ["thumb", "hero", "missing"].map(str::to_owned).to_vec();
}

/// For clients that show AVIF, WebP, or neither.
fn eager_for_three(config: &mut Config) {
    eager(config);
    config.hosted.eager_formats.truncate(3);
}

async fn add_variants(proxy: &TestProxy, width: u32) {
    change(proxy, move |settings| {
        let thumb = variant(&json!({"width": width, "height": width, "fit": "cover"}));
        settings.variants.insert("thumb".to_owned(), thumb);
        let hero = variant(&json!({"width": 120}));
        settings.variants.insert("hero".to_owned(), hero);
    })
    .await;
}

/// Waits until the record of an image says so.
async fn wait_for(proxy: &TestProxy, id: &str, is_so: impl Fn(&Record) -> bool) -> Arc<Record> {
    let id = safelight::hosted::ImageId::new(id).expect("a name");
    for _ in 0..600 {
        let record = hosted(proxy).find(&id).await.expect("it can be read");
        if let Some(record) = record.filter(|record| is_so(record)) {
            return record;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the record of {id} does not become so");
}

/// Whether anything below a folder has these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| match entry.path() {
        path if path.is_dir() => holds(&path, bytes),
        path => std::fs::read(path)
            .is_ok_and(|content| content.windows(bytes.len()).any(|part| part == bytes)),
    })
}

#[tokio::test]
async fn eager_variants_are_stored_under_their_names_and_read_from_there() {
    let (proxy, folder) = start_eager().await;
    let mut events = hosted(&proxy).subscribe();
    upload(&proxy, "users/cat", &samples::jpeg(240, 160), false).await;
    let record = wait_for(&proxy, "users/cat", |record| {
        record.renditions.len() == RENDITIONS
    })
    .await;
    let root = folder.path().join("store");
    for (variant, size) in [("thumb", (60, 60)), ("hero", (120, 80))] {
        for (format, extension) in [("avif", "avif"), ("webp", "webp"), ("jpeg", "jpg")] {
            let key = format!("renditions/users/cat/-/{variant}.{extension}");
            let bytes = std::fs::read(root.join(&key)).expect("it is stored");
            let mut listed = record.renditions.iter();
            let listed = listed
                .find(|listed| listed.key == key)
                .expect("it is listed");
            assert_eq!(mime_of(&bytes), format!("image/{format}"));
            let told = (
                listed.variant.as_str(),
                listed.format.as_str(),
                listed.bytes,
            );
            assert_eq!(told, (variant, format, bytes.len() as u64));
            assert_eq!((listed.width, listed.height), size);
        }
    }
    let mut ready = false;
    while let Ok(event) = events.try_recv() {
        ready |= matches!(event, Event::Rendered { record } if record.id.as_str() == "users/cat");
    }
    assert!(ready);
    let url = "/cdn-cgi/imagedelivery/main/users/cat/thumb";
    let avif = [("accept", "image/avif,image/webp")];
    let first = proxy.get_with(url, &avif).await;
    first
        .assert_status(200)
        .assert_header_has("cache-control", "max-age=172800");
    let stored = root.join("renditions/users/cat/-/thumb.avif");
    assert_eq!(first.body, std::fs::read(stored).expect("it is stored"));
    proxy.stop().await;
}

#[tokio::test]
async fn a_stored_variant_is_read_in_place_of_a_render() {
    let (proxy, folder) = start_eager().await;
    upload(&proxy, "cat", &samples::jpeg(240, 160), false).await;
    let record = wait_for(&proxy, "cat", |record| {
        record.renditions.len() == RENDITIONS
    })
    .await;
    let key = &record.original.as_ref().expect("an image").key;
    // Another process, or this one after its cache was lost.
    let purged = json!({"sources": [format!("hosted:{key}")]}).to_string();
    proxy.purge(&purged).await;
    let renders = proxy.renders();
    let url = "/cdn-cgi/imagedelivery/main/cat/hero";
    for accept in ["image/avif,image/webp", "image/webp", "*/*"] {
        proxy
            .get_with(url, &[("accept", accept)])
            .await
            .assert_size(120, 80);
    }
    assert_eq!(proxy.renders(), renders);
    let read = [("result", "read")];
    assert_eq!(
        proxy
            .metrics()
            .sum("safelight_hosted_renditions_total", &read),
        3.0
    );
    // What is gone from the store is made again.
    let url_of_image = json!({"url": format!("https://a.test{url}")}).to_string();
    proxy.purge(&url_of_image).await;
    let listed = record
        .renditions
        .iter()
        .find(|one| one.key.ends_with("hero.webp"))
        .expect("it is listed");
    let path = folder.path().join("store").join(&listed.key);
    std::fs::write(&path, b"RIFF....WEBPbroken").expect("it is there");
    proxy
        .get_with(url, &[("accept", "image/webp")])
        .await
        .assert_size(120, 80);
    assert_eq!(proxy.renders(), renders + 1.0);
    proxy.stop().await;
}

#[tokio::test]
async fn what_cannot_be_stored_now_is_made_later() {
    // The AVIF encoder of the portable build takes minutes for so many without optimisation.
    if cfg!(not(feature = "native")) {
        return;
    }
    let (proxy, folder) = start(eager_for_three).await;
    add_variants(&proxy, 60).await;
    // A file where the folder of renditions is to be: even root cannot write below it.
    let renditions = folder.path().join("store/renditions");
    std::fs::create_dir_all(folder.path().join("store")).expect("a folder");
    let _ = std::fs::remove_dir_all(&renditions);
    std::fs::write(&renditions, "").expect("room");
    let mut events = hosted(&proxy).subscribe();
    upload(&proxy, "cat", &samples::jpeg(240, 160), false).await;
    eventually("it waits for another try", async || {
        let waiting = proxy.metrics().sum("safelight_hosted_images_waiting", &[]);
        proxy.renders() >= 6.0 && waiting == 1.0
    })
    .await;
    let renders = proxy.renders();
    std::fs::remove_file(&renditions).expect("it is there");
    let record = wait_for(&proxy, "cat", |record| record.renditions.len() == 6).await;
    assert_eq!(proxy.renders(), renders, "they were made already");
    for rendition in &record.renditions {
        let stored = folder.path().join("store").join(&rendition.key);
        assert!(stored.is_file(), "{}", rendition.key);
    }
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Failed { .. }), "{event:?}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn what_needs_most_of_the_memory_is_made_as_well() {
    // The large one as AVIF needs more than half of the memory.
    let width = if cfg!(feature = "native") { 740 } else { 460 };
    let set = |config: &mut Config| {
        eager_for_three(config);
        config.limits.render_memory = setting("48 MiB");
    };
    let (proxy, _folder) = start(set).await;
    change(&proxy, move |settings| {
        let (small, large) = (json!({"width": 60}), json!({"width": width}));
        settings
            .variants
            .insert("thumb".to_owned(), variant(&small));
        settings.variants.insert("hero".to_owned(), variant(&large));
    })
    .await;
    upload(&proxy, "cat", &samples::jpeg(800, 600), false).await;
    let record = wait_for(&proxy, "cat", |record| record.renditions.len() == 6).await;
    let mut formats: Vec<_> = record
        .renditions
        .iter()
        .map(|one| (one.variant.as_str(), one.format.as_str()))
        .collect();
    formats.sort_unstable();
    let each = ["hero", "thumb"].map(|variant| ["avif", "jpeg", "webp"].map(|one| (variant, one)));
    assert_eq!(formats, each.concat());
    proxy.stop().await;
}

#[tokio::test]
async fn a_changed_variant_is_made_anew() {
    let (proxy, folder) = start_eager().await;
    upload(&proxy, "cat", &samples::jpeg(240, 160), false).await;
    let before = wait_for(&proxy, "cat", |record| {
        record.renditions.len() == RENDITIONS
    })
    .await;
    add_variants(&proxy, 40).await;
    let url = "/cdn-cgi/imagedelivery/main/cat/thumb";
    proxy
        .get_with(url, &[("accept", "image/webp")])
        .await
        .assert_size(40, 40);
    let is_new = |record: &Record| {
        let mut thumbs = record
            .renditions
            .iter()
            .filter(|one| one.variant == "thumb");
        record.renditions.len() == RENDITIONS && thumbs.all(|one| one.width == 40)
    };
    let after = wait_for(&proxy, "cat", is_new).await;
    assert_ne!(before.rev, after.rev);
    let stored = folder.path().join("store/renditions/cat/-/thumb.webp");
    assert_eq!(
        samples::size_of(&std::fs::read(stored).expect("it is stored")),
        (40, 40)
    );
    proxy.stop().await;
}

#[tokio::test]
async fn variants_that_were_not_made_are_made_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().to_owned();
    let with = |is_eager: bool| {
        let root = root.clone();
        TestProxy::start(move |config| {
            config.hosted.store = Store::Folder(root.join("store"));
            config.hosted.index = root.join("index");
            if is_eager {
                config.hosted.eager = vec!["public".to_owned()];
            }
        })
    };
    let proxy = with(false).await;
    for id in ["a", "b", "c"] {
        upload(&proxy, id, &samples::jpeg(60, 40), false).await;
    }
    proxy.stop().await;
    let proxy = with(true).await;
    for id in ["a", "b", "c"] {
        wait_for(&proxy, id, |record| {
            record.renditions.len() == RENDITIONS / 2
        })
        .await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn nothing_of_a_deleted_or_replaced_image_stays_reachable() {
    let (proxy, folder) = start_eager().await;
    let cache = proxy.folder().with_file_name("cache");
    let url = "/cdn-cgi/imagedelivery/main/cat/hero";
    let avif = [("accept", "image/avif,image/webp")];
    let old = samples::jpeg(240, 160);
    let record = upload(&proxy, "cat", &old, false).await;
    wait_for(&proxy, "cat", |record| {
        record.renditions.len() == RENDITIONS
    })
    .await;
    let first = proxy.get_with(url, &avif).await;
    first.assert_size(120, 80);
    let new = samples::jpeg(160, 240);
    let facts = proxy
        .pipeline()
        .inspect(new.clone().into())
        .await
        .expect("a picture");
    let replaced = hosted(&proxy).replace(&record.id, "b.jpg".to_owned(), spooled(&new), facts);
    replaced.await.expect("it is stored");
    proxy.get_with(url, &avif).await.assert_size(120, 180);
    wait_for(&proxy, "cat", |record| {
        record.renditions.len() == RENDITIONS
    })
    .await;
    let stored = folder.path().join("store/renditions/cat/-/hero.webp");
    assert_eq!(
        samples::size_of(&std::fs::read(stored).expect("it is stored")),
        (120, 180)
    );
    eventually("the old picture is gone", async || {
        !holds(&cache, &first.body)
    })
    .await;
    eventually("the old original is gone", async || !holds(&cache, &old)).await;

    hosted(&proxy)
        .delete(&record.id)
        .await
        .expect("it is deleted");
    proxy.get_with(url, &avif).await.assert_error(404, 9431);
    eventually("the new original is gone", async || !holds(&cache, &new)).await;
    proxy.stop().await;
}
