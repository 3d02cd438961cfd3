//! The disk tier in the cache: restarts, and disks that do not work.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::entry::EntryKey;
use crate::cache::tests::{
    config, entries, folder, only, open, open_with, render, rendition, source_memory, store,
};
use crate::cache::tier::disk::layout::PREFIX_LEN;
use crate::cache::{
    Cache, CacheStatus, Config, ContentHash, DiskConfig, DiskFault, DiskStats, MemoryConfig,
    RenditionKey, SourceKey, Tier,
};
use crate::units::{AutoByteSize, ByteSize};

fn renditions(cache: &Cache) -> DiskStats {
    cache.stats().disk_renditions.expect("a disk tier")
}

/// A cache with a small budget for renditions on disk.
async fn open_small(path: &Path, renditions: &str) -> Arc<Cache> {
    let disk = DiskConfig {
        renditions: renditions.parse().expect("a size"),
        ..config(path).disk
    };
    let config = Config {
        disk,
        ..Config::default()
    };
    open_with(&config).await
}

/// Writes one rendition to `place`, ends the cache, and returns the file.
async fn left_behind(place: &Path) -> PathBuf {
    let cache = open(place).await;
    render(&cache, RenditionKey::numbered(1), b"picture").await;
    assert!(cache.close(Duration::from_secs(60)).await);
    place.join("renditions")
}

#[tokio::test]
async fn a_rendition_survives_a_restart() {
    let place = folder();
    left_behind(place.path()).await;
    let (cache, key) = (open(place.path()).await, RenditionKey::numbered(1));
    let found = render(&cache, key, b"never").await;
    assert_eq!(found.outcome, CacheStatus::Hit(Tier::Disk));
    assert_eq!(*found.rendition, rendition(&key, b"picture"));
    assert_eq!(
        render(&cache, key, b"never").await.outcome,
        CacheStatus::Hit(Tier::Memory)
    );
}

#[tokio::test]
async fn corrupt_content_is_a_miss_and_is_replaced() {
    let place = folder();
    let store = left_behind(place.path()).await;
    let content = only(entries(&store));
    let mut bytes = fs::read(&content).expect("just written");
    *bytes.last_mut().expect("a header at least") ^= 1;
    fs::write(&content, bytes).expect("the test may write to its file");

    let (cache, key) = (open(place.path()).await, RenditionKey::numbered(1));
    assert_eq!(
        render(&cache, key, b"picture anew").await.outcome,
        CacheStatus::Miss
    );
    cache.flush().await;
    let stats = renditions(&cache);
    assert_eq!((stats.corrupt, stats.held.entries), (1, 1));
    drop(cache);
    let cache = open(place.path()).await;
    let found = render(&cache, key, b"never").await;
    assert_eq!(
        (found.outcome, &found.rendition.bytes[..]),
        (CacheStatus::Hit(Tier::Disk), &b"picture anew"[..])
    );
}

#[tokio::test]
async fn a_truncated_file_is_a_miss_and_is_replaced() {
    let place = folder();
    let store = left_behind(place.path()).await;
    let file = only(entries(&store));
    let whole = fs::read(&file).expect("just written");
    assert_eq!(whole.len(), PREFIX_LEN + 25 + 7);
    for cut in [0, 1, 40, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..cut]).expect("the test may write to its file");
        let cache = open(place.path()).await;
        let found = render(&cache, RenditionKey::numbered(1), b"picture").await;
        assert_eq!(found.outcome, CacheStatus::Miss, "{cut} bytes");
        assert!(cache.close(Duration::from_secs(60)).await);
        let cache = open(place.path()).await;
        let found = render(&cache, RenditionKey::numbered(1), b"never").await;
        assert_eq!(found.outcome, CacheStatus::Hit(Tier::Disk), "{cut} bytes");
        assert_eq!(fs::read(only(entries(&store))).ok().as_ref(), Some(&whole));
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_parsed_is_a_miss_and_is_replaced() {
    let place = folder();
    let (path, key) = (
        left_behind(place.path()).await,
        EntryKey::rendition(RenditionKey::numbered(1)),
    );
    // A valid entry of the store whose body is not a rendition.
    let forger = store(&path, 1 << 20);
    forger.remove(&key);
    forger.write(&key, b"", b"???");
    drop(forger);

    let cache = open(place.path()).await;
    let found = render(&cache, RenditionKey::numbered(1), b"anew").await;
    assert_eq!(found.outcome, CacheStatus::Miss);
    cache.flush().await;
    assert_eq!(renditions(&cache).corrupt, 1);
    drop(cache);
    let cache = open(place.path()).await;
    let found = render(&cache, RenditionKey::numbered(1), b"never").await;
    assert_eq!(found.rendition.bytes, "anew");
}

/// Renders one rendition and asks new caches for it, until one of them reads it from disk.
async fn eventually_kept(cache: &Arc<Cache>, place: &Path) {
    for number in 1000.. {
        render(cache, RenditionKey::numbered(number), b"picture").await;
        cache.flush().await;
        if entries(&place.join("renditions")).len() > 1 {
            return;
        }
        // The store is tried again.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_in_place_of_the_folder_turns_the_disk_tier_off_until_it_is_removed() {
    let place = folder();
    let path = place.path().join("cache");
    fs::write(&path, "in the way").expect("the test may write to its folder");
    let cache = open(&path).await;
    assert_eq!(renditions(&cache).fault, Some(DiskFault::NotAFolder));
    let found = render(&cache, RenditionKey::numbered(1), b"picture").await;
    assert_eq!(found.outcome, CacheStatus::Miss);
    let found = render(&cache, RenditionKey::numbered(1), b"never").await;
    assert_eq!(found.outcome, CacheStatus::Hit(Tier::Memory));
    cache.flush().await;
    assert_eq!(renditions(&cache).skipped_writes, 1);

    fs::remove_file(&path).expect("the test may write to its file");
    eventually_kept(&cache, &path).await;
    assert_eq!(renditions(&cache).fault, None);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_written_turns_only_the_disk_tier_off() {
    let place = folder();
    let store = place.path().join("renditions");
    // This test may run as a user who can write to every folder. Nobody can write to a folder as if it were a file.
    fs::create_dir_all(store.join("lock")).expect("the test may write to its folder");
    let cache = open(place.path()).await;
    for number in 0..3 {
        let found = render(&cache, RenditionKey::numbered(number), b"picture").await;
        assert_eq!(found.outcome, CacheStatus::Miss);
        let found = render(&cache, RenditionKey::numbered(number), b"never").await;
        assert_eq!(found.outcome, CacheStatus::Hit(Tier::Memory));
    }
    cache.flush().await;
    let stats = renditions(&cache);
    assert_eq!(
        (stats.fault, stats.held.entries),
        (Some(DiskFault::Broken), 0)
    );
    assert!(
        stats.write_failures > 0 && stats.skipped_writes == 3,
        "{stats:?}"
    );

    fs::remove_dir(store.join("lock")).expect("the test may write to its folder");
    eventually_kept(&cache, place.path()).await;
    assert_eq!(renditions(&cache).fault, None);
}

#[tokio::test(start_paused = true)]
async fn a_folder_deleted_while_in_use_is_a_miss_and_is_made_again() {
    let place = folder();
    let store = left_behind(place.path()).await;
    let (cache, key) = (open(place.path()).await, RenditionKey::numbered(1));
    // The scan may be removing files meanwhile.
    while store.exists() {
        let _ = fs::remove_dir_all(&store);
    }
    assert_eq!(
        render(&cache, key, b"anew").await.outcome,
        CacheStatus::Miss
    );
    eventually_kept(&cache, place.path()).await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_in_use_is_used_when_the_other_process_ends() {
    let place = folder();
    let first = open(place.path()).await;
    let second = Cache::open(&config(place.path()), &[], None, source_memory())
        .await
        .expect("sound settings");
    assert_eq!(renditions(&second).fault, Some(DiskFault::Locked));
    let found = render(&second, RenditionKey::numbered(1), b"picture").await;
    assert_eq!(found.outcome, CacheStatus::Miss);
    render(&first, RenditionKey::numbered(2), b"picture").await;
    assert!(first.close(Duration::from_secs(60)).await);
    eventually_kept(&second, place.path()).await;
    let found = render(&second, RenditionKey::numbered(2), b"never").await;
    assert_eq!(found.outcome, CacheStatus::Hit(Tier::Disk));
}

#[tokio::test]
async fn entries_that_memory_serves_are_not_evicted_from_disk_first() {
    let place = folder();
    let cache = open_small(place.path(), "1 MiB").await;
    render(&cache, RenditionKey::numbered(0), b"hot").await;
    for number in 1..200 {
        render(&cache, RenditionKey::numbered(number), &[7; 10_000]).await;
        cache.flush().await;
        let found = render(&cache, RenditionKey::numbered(0), b"never").await;
        assert_eq!(found.outcome, CacheStatus::Hit(Tier::Memory));
    }
    assert!(renditions(&cache).evictions > 0);
    assert!(cache.close(Duration::from_secs(60)).await);
    let cache = open(place.path()).await;
    let found = render(&cache, RenditionKey::numbered(0), b"never").await;
    assert_eq!(found.outcome, CacheStatus::Hit(Tier::Disk));
}

#[tokio::test]
async fn an_entry_larger_than_the_store_is_skipped_and_counted() {
    let place = folder();
    let cache = open_small(place.path(), "64 KiB").await;
    render(&cache, RenditionKey::numbered(1), &[7; 100_000]).await;
    render(&cache, RenditionKey::numbered(2), &[7; 10_000]).await;
    cache.flush().await;
    let stats = cache.stats().disk_renditions.expect("a disk tier");
    assert_eq!((stats.skipped_writes, stats.held.entries), (1, 1));
}

#[tokio::test]
async fn the_queue_of_the_disk_is_bounded() {
    let place = folder();
    let cache = open(place.path()).await;
    let half = Bytes::from(vec![1; 40 << 20]);
    let source = SourceKey::numbered(1).id();
    let disk = cache.sources.as_ref().expect("a disk tier");
    // There is one thread, so nothing is written before the first await.
    for number in 0..3 {
        disk.put(
            EntryKey::source_bytes(source, ContentHash::of(&[number])),
            Vec::new(),
            half.clone(),
        );
    }
    assert_eq!(disk.stats().skipped_writes, 2);
    cache.flush().await;
    disk.put(
        EntryKey::source_bytes(source, ContentHash::of(&[9])),
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
        renditions: AutoByteSize::Fixed(ByteSize::mib(1)),
    };
    let config = Config {
        memory: small,
        ..config(Path::new(""))
    };
    let cache = Cache::open(&config, &[], None, source_memory())
        .await
        .expect("sound settings");
    for number in 0..100 {
        render(&cache, RenditionKey::numbered(number), &[7; 50_000]).await;
    }
    cache.flush().await;
    let held = cache.stats().memory_renditions;
    assert!(held.bytes <= 1 << 20 && held.entries >= 10, "{held:?}");
}
