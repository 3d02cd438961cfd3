//! What purges do to stored entries, to work under way, and to later requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use hyper::HeaderMap;
use tokio::sync::Notify;

use crate::cache::tests::{
    TestError, config, eventually, files, folder, in_memory, key_of, no_flights, open, purge,
    render, source_memory,
};
use crate::cache::{
    Cache, CacheStatus, CachedSource, DiskStats, RenditionKey, SourceName, Stale, Target,
};
use crate::freshness::{Freshness, Rules, Tag, Tags, Validators};
use crate::source::{FetchOutcome, FetchedSource};

fn fetched(cache: &Cache, content: &'static str) -> FetchOutcome {
    FetchOutcome::Fetched(FetchedSource {
        bytes: Bytes::from_static(content.as_bytes()),
        validators: Validators {
            etag: Some("\"1\"".to_owned()),
            last_modified: None,
        },
        freshness: Freshness::of(&HeaderMap::new(), cache.clock.now(), &Rules::default()),
        tags: Tags::default(),
    })
}

async fn get(cache: &Arc<Cache>, number: u64, content: &'static str) -> CachedSource {
    let answer = fetched(cache, content);
    let fetch = move |_| std::future::ready(Ok::<_, TestError>(answer));
    cache
        .get_or_fetch(&SourceName::numbered(number), fetch)
        .await
        .expect("the origin answers")
}

#[tokio::test]
async fn a_hard_purge_removes_what_it_matches_from_memory_and_disk() {
    let name = SourceName::numbered(1);
    for target in [
        Target::Source(name.key),
        Target::Prefix("https://b.com/1.jpg".to_owned()),
        Target::Everything,
    ] {
        let place = folder();
        let cache = open(place.path()).await;
        let first = get(&cache, 1, "one").await;
        let key = key_of(1, &first);
        render(&cache, key, b"picture").await;
        get(&cache, 2, "other").await;
        cache.flush().await;
        let everything = target == Target::Everything;
        purge(&cache, target.clone(), false).await;
        assert!(cache.get(&key).await.is_none(), "{target:?}");
        let again = get(&cache, 1, "one").await;
        assert_eq!(again.outcome, CacheStatus::Miss, "{target:?}");
        assert_ne!(again.record.epoch, first.record.epoch);
        let newer = key_of(1, &again);
        assert_eq!(newer.etag(), key.etag(), "equal bytes have equal tags");
        let anew = render(&cache, newer, b"picture").await;
        assert_eq!(anew.outcome, CacheStatus::Miss, "{target:?}");
        let other = get(&cache, 2, "other").await;
        assert_eq!(other.outcome == CacheStatus::Miss, everything, "{target:?}");
        cache.flush().await;
        let held = || {
            cache
                .stats()
                .disk_renditions
                .expect("a disk tier")
                .held
                .entries
        };
        eventually("nothing is left of it", async || held() <= 1).await;
    }
}

#[tokio::test]
async fn the_sweeper_leaves_what_was_stored_after_the_purge() {
    for target in [
        Target::Source(SourceName::numbered(1).key),
        Target::Everything,
    ] {
        let place = folder();
        let cache = open(place.path()).await;
        let first = get(&cache, 1, "one").await;
        render(&cache, key_of(1, &first), b"picture").await;
        // Before the sweeper could start.
        purge(&cache, target, false).await;
        let second = get(&cache, 1, "two").await;
        let key = key_of(1, &second);
        render(&cache, key, b"picture").await;
        cache.flush().await;
        let entries = || {
            let stats = cache.stats();
            let entries = |disk: Option<DiskStats>| disk.expect("a disk tier").held.entries;
            (entries(stats.disk_renditions), entries(stats.disk_sources))
        };
        eventually("what came before is deleted", async || entries() == (1, 2)).await;
        cache.memory.clear();
        assert_eq!(get(&cache, 1, "never").await.record, second.record);
        assert!(cache.find(key).await.is_some());
        let bytes = cache
            .source_bytes(&SourceName::numbered(1).key, &second.record)
            .await;
        assert_eq!(bytes, Some(Bytes::from("two")));
    }
}

#[tokio::test]
async fn a_purge_is_still_in_force_after_a_restart() {
    let place = folder();
    let cache = open(place.path()).await;
    let first = get(&cache, 1, "one").await;
    render(&cache, key_of(1, &first), b"picture").await;
    cache.flush().await;
    let copy = folder();
    for from in files(place.path()) {
        let to = copy
            .path()
            .join(from.strip_prefix(place.path()).expect("below it"));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder to write to");
        std::fs::copy(&from, &to).expect("a folder to write to");
    }
    purge(
        &cache,
        Target::Tag(Tag::new("unrelated").expect("a tag")),
        false,
    )
    .await;
    purge(&cache, Target::Source(SourceName::numbered(1).key), false).await;
    drop(cache);
    // As if the process had been killed before it deleted anything.
    std::fs::copy(place.path().join("purges"), copy.path().join("purges"))
        .expect("the purge is on record");
    let cache = open(copy.path()).await;
    assert_eq!(get(&cache, 1, "one").await.outcome, CacheStatus::Miss);
}

#[tokio::test]
async fn a_fetch_and_a_render_that_began_before_a_purge_do_not_undo_it() {
    let cache = in_memory().await;
    let name = SourceName::numbered(1);
    let go_on = Arc::new(Notify::new());
    let (slow, gate) = (Arc::clone(&cache), Arc::clone(&go_on));
    let answer = fetched(&cache, "old");
    let fetching = tokio::spawn(async move {
        let fetch = move |_| async move {
            gate.notified().await;
            Ok::<_, TestError>(answer)
        };
        slow.get_or_fetch(&SourceName::numbered(1), fetch).await
    });
    while cache.stats().flights == 0 {
        tokio::task::yield_now().await;
    }
    purge(&cache, Target::Source(name.key), false).await;
    // A request after the purge does not join a flight that began before it.
    let newer = get(&cache, 1, "new").await;
    assert_eq!(newer.bytes, Some(Bytes::from("new")));
    go_on.notify_one();
    let older = fetching
        .await
        .expect("no panic")
        .expect("the requests before the purge get it");
    assert_eq!(older.bytes, Some(Bytes::from("old")));
    render(&cache, key_of(1, &older), b"picture").await;
    let now = get(&cache, 1, "never").await;
    assert_eq!(now.record, newer.record);
    assert!(cache.get(&key_of(1, &now)).await.is_none());
}

#[tokio::test]
async fn after_a_soft_purge_the_source_is_stale_and_revalidated() {
    let cache = in_memory().await;
    let first = get(&cache, 1, "one").await;
    render(&cache, key_of(1, &first), b"picture").await;
    purge(&cache, Target::Everything, true).await;
    let asked = Arc::new(AtomicU32::new(0));
    let (count, freshness) = (Arc::clone(&asked), first.record.freshness.clone());
    let fetch = move |known: Option<Validators>| {
        assert_eq!(known, Some(first.record.validators.clone()));
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, TestError>(FetchOutcome::NotModified {
            freshness,
            validators: Validators::default(),
            tags: Tags::default(),
        }))
    };
    let found = cache
        .get_or_fetch(&SourceName::numbered(1), fetch)
        .await
        .expect("the origin answers");
    // Where stale answers are allowed, one is served while the source is revalidated.
    assert!(
        found.outcome == CacheStatus::Revalidated || found.stale == Some(Stale::Revalidating),
        "{found:?}"
    );
    no_flights(&cache).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let after = get(&cache, 1, "never").await;
    assert_eq!(after.stale, None);
    assert!(cache.get(&key_of(1, &after)).await.is_some());
}

#[tokio::test]
async fn renditions_can_be_purged_without_their_source() {
    let place = folder();
    let cache = open(place.path()).await;
    let first = get(&cache, 1, "one").await;
    let (one, other) = (
        key_of(1, &first),
        RenditionKey::numbered_of(&SourceName::numbered(1).key, 0, 9),
    );
    render(&cache, one, b"picture").await;
    render(&cache, other, b"picture").await;
    cache.flush().await;
    let target = Target::Renditions {
        source: SourceName::numbered(1).key,
        keys: vec![one],
    };
    purge(&cache, target, false).await;
    cache.flush().await;
    assert!(cache.find(one).await.is_none());
    assert!(cache.find(other).await.is_some());
}

#[tokio::test]
async fn another_process_with_the_same_folder_learns_of_a_purge() {
    let place = folder();
    let cache = open(place.path()).await;
    // The process that takes over, which has no disk until the other has ended.
    let other = Cache::open(&config(place.path()), &[], None, source_memory())
        .await
        .expect("sound settings");
    get(&other, 1, "one").await;
    purge(&cache, Target::Everything, false).await;
    other.catch_up().await;
    assert_eq!(get(&other, 1, "one").await.outcome, CacheStatus::Miss);
}
