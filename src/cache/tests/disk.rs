//! The disk tier behind the cache: restarts, and disks that do not work.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Rendered;
use super::buckets;
use super::config;
use super::contents;
use super::folder;
use super::only;
use super::open;
use super::rendition;
use crate::cache::Cache;
use crate::cache::Config;
use crate::cache::DiskConfig;
use crate::cache::Found;
use crate::cache::Held;
use crate::cache::Key;
use crate::cache::MemoryConfig;
use crate::cache::Outcome;
use crate::cache::SourceKey;
use crate::cache::Tier;
use crate::cache::Version;
use crate::cache::entry::EntryKey;
use crate::units::ByteSize;

async fn render(cache: &Arc<Cache>, key: Key, content: &'static [u8]) -> Found {
    let render = async move { Rendered::Ok(rendition(&key, content)) };
    cache
        .get_or_render(key, true, render)
        .await
        .expect("the render succeeds")
}

/// A cache that has written one rendition to `place` and is gone.
async fn left_behind(place: &Path) -> PathBuf {
    let cache = open(place).await;
    render(&cache, Key::numbered(1), b"picture").await;
    assert!(cache.close(Duration::from_secs(60)).await);
    place.join("renditions")
}

#[tokio::test]
async fn a_rendition_survives_a_restart() {
    let place = folder();
    left_behind(place.path()).await;
    let (cache, key) = (open(place.path()).await, Key::numbered(1));
    let found = render(&cache, key, b"never").await;
    assert_eq!(found.outcome, Outcome::Hit(Tier::Disk));
    assert_eq!(*found.rendition, rendition(&key, b"picture"));
    assert_eq!(
        render(&cache, key, b"never").await.outcome,
        Outcome::Hit(Tier::Memory)
    );
}

#[tokio::test]
async fn corrupt_content_is_a_miss_and_is_replaced() {
    let place = folder();
    let store = left_behind(place.path()).await;
    let content = only(contents(&store));
    let mut bytes = fs::read(&content).expect("just written");
    *bytes.last_mut().expect("a header at least") ^= 1;
    fs::write(&content, bytes).expect("a file of ours");

    let (cache, key) = (open(place.path()).await, Key::numbered(1));
    assert_eq!(
        render(&cache, key, b"picture anew").await.outcome,
        Outcome::Miss
    );
    cache.flush().await;
    let stats = cache.stats().disk_renditions.expect("a disk tier");
    assert_eq!((stats.corrupt, stats.held.entries), (1, 1));
    assert!(!content.exists());
    drop(cache);
    let cache = open(place.path()).await;
    let found = render(&cache, key, b"never").await;
    assert_eq!(
        (found.outcome, &found.rendition.bytes[..]),
        (Outcome::Hit(Tier::Disk), &b"picture anew"[..])
    );
}

#[tokio::test]
async fn a_truncated_index_file_is_a_miss_and_is_replaced() {
    let place = folder();
    let store = left_behind(place.path()).await;
    let bucket = only(buckets(&store));
    let text = fs::read(&bucket).expect("just written");
    for cut in [0, 1, 40, text.len() / 2, text.len() - 1] {
        fs::write(&bucket, &text[..cut]).expect("a file of ours");
        let cache = open(place.path()).await;
        assert_eq!(
            render(&cache, Key::numbered(1), b"picture").await.outcome,
            Outcome::Miss,
            "{cut} bytes"
        );
        cache.flush().await;
        drop(cache);
        let cache = open(place.path()).await;
        assert_eq!(
            render(&cache, Key::numbered(1), b"never").await.outcome,
            Outcome::Hit(Tier::Disk),
            "{cut} bytes"
        );
        assert_eq!(
            only(contents(&store))
                .metadata()
                .expect("just written")
                .len(),
            70 + 25 + 7
        );
    }
}

#[tokio::test]
async fn a_stored_form_of_another_version_is_a_miss_and_is_replaced() {
    let place = folder();
    let (store, key) = (
        left_behind(place.path()).await,
        EntryKey::rendition(Key::numbered(1)),
    );
    // Valid for cacache and for our header, but no rendition.
    let mut content = key.header(3).to_vec();
    content.extend_from_slice(b"???");
    fs::remove_file(only(buckets(&store))).expect("a file of ours");
    cacache::write_sync_with_algo(cacache::Algorithm::Xxh3, &store, key.to_string(), &content)
        .expect("a folder of ours");
    let forged = cacache::metadata_sync(&store, key.to_string())
        .expect("just written")
        .expect("just written");
    let name = cacache::WriteOpts::new()
        .integrity(forged.integrity)
        .size(content.len());
    cacache::index::insert(&store, &key.to_string(), name).expect("a folder of ours");

    let cache = open(place.path()).await;
    assert_eq!(
        render(&cache, Key::numbered(1), b"anew").await.outcome,
        Outcome::Miss
    );
    cache.flush().await;
    assert_eq!(
        cache.stats().disk_renditions.expect("a disk tier").corrupt,
        1
    );
    drop(cache);
    let cache = open(place.path()).await;
    assert_eq!(
        render(&cache, Key::numbered(1), b"never")
            .await
            .rendition
            .bytes,
        "anew"
    );
}

#[tokio::test]
async fn a_folder_that_is_a_file_leaves_memory_only() {
    let place = folder();
    let file = place.path().join("cache");
    fs::write(&file, "in the way").expect("a folder of ours");
    let cache = open(&file).await;
    assert_eq!(cache.stats().disk_renditions, None);
    assert_eq!(
        render(&cache, Key::numbered(1), b"picture").await.outcome,
        Outcome::Miss
    );
    assert_eq!(
        render(&cache, Key::numbered(1), b"never").await.outcome,
        Outcome::Hit(Tier::Memory)
    );
    cache.flush().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_nothing_but_the_disk_tier() {
    let place = folder();
    let store = place.path().join("renditions");
    // Whoever runs this may be allowed to write anywhere; nobody can make a file inside a file.
    fs::create_dir_all(&store).expect("a folder of ours");
    fs::write(store.join("tmp"), "in the way").expect("a folder of ours");
    let cache = open(place.path()).await;
    for number in 0..3 {
        assert_eq!(
            render(&cache, Key::numbered(number), b"picture")
                .await
                .outcome,
            Outcome::Miss
        );
        assert_eq!(
            render(&cache, Key::numbered(number), b"never")
                .await
                .outcome,
            Outcome::Hit(Tier::Memory)
        );
    }
    cache.flush().await;
    let stats = cache.stats().disk_renditions.expect("a disk tier");
    assert_eq!(stats.write_failures, 3);
    assert_eq!((stats.held, contents(&store).len()), (Held::default(), 0));
}

#[tokio::test]
async fn a_folder_deleted_while_in_use_is_a_miss_and_is_made_again() {
    let place = folder();
    let store = left_behind(place.path()).await;
    let (cache, key) = (open(place.path()).await, Key::numbered(1));
    // The scan may be making files meanwhile.
    while store.exists() {
        let _ = fs::remove_dir_all(&store);
    }
    assert_eq!(render(&cache, key, b"anew").await.outcome, Outcome::Miss);
    cache.flush().await;
    drop(cache);
    let cache = open(place.path()).await;
    assert_eq!(render(&cache, key, b"never").await.rendition.bytes, "anew");
}

#[tokio::test]
async fn what_is_larger_than_the_store_is_skipped_and_counted() {
    let place = folder();
    let small = DiskConfig {
        renditions: "64 KiB".parse().expect("a size"),
        ..config(place.path()).disk
    };
    let cache = Cache::open(
        &Config {
            disk: small,
            ..Config::default()
        },
        &[],
    )
    .await
    .expect("sound settings");
    render(&cache, Key::numbered(1), &[7; 100_000]).await;
    render(&cache, Key::numbered(2), &[7; 10_000]).await;
    cache.flush().await;
    let stats = cache.stats().disk_renditions.expect("a disk tier");
    assert_eq!((stats.skipped_writes, stats.held.entries), (1, 1));
}

#[tokio::test]
async fn what_waits_for_the_disk_is_bounded() {
    let place = folder();
    let cache = open(place.path()).await;
    let half = Bytes::from(vec![1; 40 << 20]);
    let source = SourceKey::numbered(1).id();
    let disk = cache.sources.as_ref().expect("a disk tier");
    // One thread: nothing is written before the first await.
    for number in 0..3 {
        disk.put(
            EntryKey::source_bytes(source, Version::of(&[number])),
            Vec::new(),
            half.clone(),
        );
    }
    assert_eq!(disk.stats().skipped_writes, 2);
    cache.flush().await;
    disk.put(
        EntryKey::source_bytes(source, Version::of(&[9])),
        Vec::new(),
        half,
    );
    assert_eq!(disk.stats().skipped_writes, 2);
    cache.flush().await;
    assert_eq!(disk.stats().held.entries, 2);
}

#[tokio::test]
async fn memory_stays_within_its_budget() {
    let small = MemoryConfig {
        renditions: ByteSize::mib(1),
    };
    let config = Config {
        memory: small,
        ..config(Path::new(""))
    };
    let cache = Cache::open(&config, &[]).await.expect("sound settings");
    for number in 0..100 {
        render(&cache, Key::numbered(number), &[7; 50_000]).await;
    }
    cache.flush().await;
    let held = cache.stats().memory_renditions;
    assert!(held.bytes <= 1 << 20 && held.entries >= 10, "{held:?}");
}
