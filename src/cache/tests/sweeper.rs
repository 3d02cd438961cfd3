//! The sweeper: what was purged is deleted from disk and from the bucket, in the background and in few passes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use tokio::runtime::Handle;

use crate::cache::tests::bucket::{Mood, TestBucket};
use crate::cache::tests::shared::replica_at;
use crate::cache::tests::{
    TestError, config, eventually, folder, key_of, open, open_with, purge, render,
};
use crate::cache::{Cache, CachedSource, DiskStats, Purge, SourceName, Target};
use crate::freshness::{Freshness, Rules, Tag, Tags, Validators};
use crate::source::{FetchOutcome, FetchedSource};

/// Longer than two delays of the second sweep.
const SECOND_SWEEP_DELAY: Duration = Duration::from_secs(41 * 60);

/// Fetches a source that has its number as a tag.
async fn get(cache: &Arc<Cache>, number: u64) -> CachedSource {
    let mut headers = HeaderMap::new();
    let tag = HeaderValue::from_str(&format!("t{number}")).expect("plain text");
    headers.insert(HeaderName::from_static("cache-tag"), tag);
    let answer = FetchOutcome::Fetched(FetchedSource {
        bytes: Bytes::from("bytes"),
        validators: Validators::default(),
        freshness: Freshness::of(&headers, cache.clock.now(), &Rules::default()),
        tags: Tags::of(&headers, &[]),
    });
    let fetch = move |_| std::future::ready(Ok::<_, TestError>(answer));
    cache
        .get_or_fetch(&SourceName::numbered(number), fetch)
        .await
        .expect("the origin answers")
}

/// Stores sources and one rendition of each, on disk only.
async fn fill(cache: &Arc<Cache>, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        let found = get(cache, number).await;
        render(cache, key_of(number, &found), b"picture").await;
    }
    cache.flush().await;
    cache.memory.clear();
}

fn tag(number: u64) -> Target {
    Target::Tag(Tag::new(&format!("t{number}")).expect("a tag"))
}

/// How many renditions, and how many records and sources, are on disk.
fn held(cache: &Cache) -> (u64, u64) {
    let stats = cache.stats();
    let entries = |disk: Option<DiskStats>| disk.expect("a disk tier").held.entries;
    (entries(stats.disk_renditions), entries(stats.disk_sources))
}

#[tokio::test(start_paused = true)]
async fn many_purges_need_few_passes_and_leave_nothing_that_they_match() {
    let place = folder();
    let cache = open(place.path()).await;
    fill(&cache, 0..61).await;
    assert_eq!(held(&cache), (61, 122));
    for number in 0..20 {
        purge(
            &cache,
            Target::Source(SourceName::numbered(number).key),
            false,
        )
        .await;
        let address = SourceName::numbered(20 + number).address;
        purge(&cache, Target::Prefix(address.to_string()), false).await;
        purge(&cache, tag(40 + number), false).await;
    }
    eventually("only the others are left", async || held(&cache) == (1, 2)).await;
    let first = cache.sweeps.passes();
    assert!(first <= 6, "{first} passes for 60 purges");
    assert_eq!(
        get(&cache, 60).await.bytes,
        None,
        "the record is still stored"
    );
    let before = cache.sweeps.passes();
    tokio::time::sleep(SECOND_SWEEP_DELAY).await;
    let again = cache.sweeps.passes() - before;
    assert!(
        (1..=2).contains(&again),
        "{again} passes for the second sweep of 60 purges"
    );
    assert_eq!(held(&cache), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_written_late_is_swept_in_the_end() {
    for target in [
        Target::Source(SourceName::numbered(1).key),
        Target::Prefix("https://b.com/1.jpg".to_owned()),
        tag(1),
        Target::Everything,
    ] {
        let place = folder();
        let cache = open(place.path()).await;
        let found = get(&cache, 1).await;
        let key = key_of(1, &found);
        fill(&cache, 1..2).await;
        purge(&cache, target.clone(), false).await;
        eventually("it is deleted", async || held(&cache) == (0, 0)).await;
        // The render began before the purge.
        render(&cache, key, b"picture").await;
        let newer = get(&cache, 1).await;
        render(&cache, key_of(1, &newer), b"picture").await;
        cache.flush().await;
        assert_eq!(held(&cache), (2, 2), "{target:?}");
        tokio::time::sleep(SECOND_SWEEP_DELAY).await;
        eventually("the late one is deleted", async || held(&cache) == (1, 2)).await;
        assert!(cache.find(key_of(1, &newer)).await.is_some(), "{target:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_ends_with_the_cache() {
    let metrics = Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let place = folder();
    let cache = open(place.path()).await;
    fill(&cache, 1..3).await;
    purge(&cache, tag(1), false).await;
    eventually("one is left", async || held(&cache) == (1, 2)).await;
    drop(cache);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(metrics.num_alive_tasks(), before);
}

#[tokio::test]
async fn a_dead_bucket_does_not_delay_the_sweep_of_the_disk() {
    let (bucket, place) = (TestBucket::start().await, folder());
    let cache = replica_at(&bucket, place.path()).await;
    fill(&cache, 0..10).await;
    bucket.set(Mood::Refusing(503));
    for number in 0..9 {
        let source = Target::Source(SourceName::numbered(number).key);
        let told = cache.purge(vec![Purge::hard(source)]).await;
        assert!(told.is_err(), "the purge cannot be published");
    }
    eventually("one is left on disk", async || held(&cache) == (1, 2)).await;
    assert!(bucket.named("rendition-").len() >= 9, "the bucket is dead");
}

#[tokio::test]
async fn many_purges_of_one_replica_are_swept_from_the_bucket() {
    let (bucket, place) = (TestBucket::start().await, folder());
    let cache = replica_at(&bucket, place.path()).await;
    fill(&cache, 0..10).await;
    assert_eq!(bucket.named("rendition-").len(), 10);
    let purges = (0..9).map(|number| match number % 3 {
        0 => tag(number),
        1 => Target::Source(SourceName::numbered(number).key),
        _ => Target::Prefix(SourceName::numbered(number).address.to_string()),
    });
    let purges = purges.map(Purge::hard).collect();
    cache.purge(purges).await.expect("the bucket works");
    eventually("one is left in the bucket", async || {
        let left = |kind| bucket.named(kind).len();
        (left("rendition-"), left("record-")) == (1, 1)
    })
    .await;
}

/// A source that is fetched during a pass keeps its bytes, which only their time distinguishes from the old ones.
#[tokio::test]
async fn what_is_stored_during_a_pass_stays() {
    let place = folder();
    let cache = open_with(&config(place.path())).await;
    fill(&cache, 1..2).await;
    let disk = cache.sources.as_ref().expect("a disk tier");
    let began = disk.now();
    let all = |until| -> usize {
        let shards = (0..=u8::MAX).map(|shard| disk.keys(shard, until, |_| true).len());
        shards.sum()
    };
    assert_eq!(all(began), 2);
    fill(&cache, 2..3).await;
    assert_eq!((all(began), all(u64::MAX)), (2, 4));
    let found = get(&cache, 1).await;
    let source = SourceName::numbered(1).key;
    let bytes = cache.source_bytes(&source, &found.record).await;
    assert!(bytes.is_some(), "it is on disk");
    assert_eq!(all(began), 0);
}
