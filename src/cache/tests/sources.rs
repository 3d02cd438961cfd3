//! Sources that are fresh, stale, renewed, or may not be stored.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, HeaderValue};

use crate::cache::tests::{
    Rendered, TestError, entries, folder, in_memory, only, open, render, rendition,
};
use crate::cache::{
    Cache, CacheStatus, CachedSource, ContentHash, FlightLost, RenditionKey, SourceKey, SourceName,
    Tier,
};
use crate::freshness::{Freshness, Rules, Tags, Validators};
use crate::source::{FetchOutcome, FetchedSource};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// The freshness of a response that was received `ago` with this `Cache-Control`.
fn freshness(cache_control: &'static str, ago: Duration) -> Freshness {
    let mut headers = HeaderMap::new();
    if !cache_control.is_empty() {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    }
    Freshness::of(&headers, SystemTime::now() - ago, &Rules::default())
}

pub(crate) fn validators(etag: &str) -> Validators {
    Validators {
        etag: Some(etag.to_owned()),
        last_modified: None,
    }
}

pub(crate) fn fetched(
    content: &'static str,
    cache_control: &'static str,
    ago: Duration,
) -> FetchOutcome {
    FetchOutcome::Fetched(FetchedSource {
        bytes: Bytes::from_static(content.as_bytes()),
        validators: validators("\"1\""),
        freshness: freshness(cache_control, ago),
        tags: Tags::default(),
    })
}

pub(crate) fn not_modified(cache_control: &'static str) -> FetchOutcome {
    FetchOutcome::NotModified {
        freshness: freshness(cache_control, Duration::ZERO),
        validators: Validators::default(),
        tags: Tags::default(),
    }
}

/// An origin with one answer, which records the validators of each request.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    asked: Arc<Mutex<Vec<Option<Validators>>>>,
}

impl Origin {
    fn answering(
        &self,
        answer: FetchOutcome,
    ) -> impl FnOnce(Option<Validators>) -> std::future::Ready<Result<FetchOutcome, TestError>> + use<>
    {
        let asked = Arc::clone(&self.asked);
        move |known| {
            asked.lock().expect("no test panics here").push(known);
            std::future::ready(Ok(answer))
        }
    }

    pub(crate) fn asked(&self) -> Vec<Option<Validators>> {
        std::mem::take(&mut *self.asked.lock().expect("no test panics here"))
    }
}

pub(crate) async fn get(cache: &Arc<Cache>, origin: &Origin, answer: FetchOutcome) -> CachedSource {
    let fetch = origin.answering(answer);
    cache
        .get_or_fetch(&SourceName::numbered(1), fetch)
        .await
        .expect("the origin answers")
}

#[tokio::test]
async fn a_fresh_source_is_not_asked_for_again() {
    let (cache, origin) = (in_memory().await, Origin::default());
    let first = get(
        &cache,
        &origin,
        fetched("one", "max-age=86400", Duration::ZERO),
    )
    .await;
    assert_eq!(
        (first.outcome, first.bytes),
        (CacheStatus::Miss, Some(Bytes::from("one")))
    );
    assert_eq!(
        (first.record.version, first.record.len),
        (ContentHash::of(b"one"), 3)
    );
    let second = get(&cache, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(
        (second.outcome, second.record),
        (CacheStatus::Hit(Tier::Memory), first.record)
    );
    assert_eq!(origin.asked(), [None]);
}

#[tokio::test]
async fn a_not_modified_renews_an_expired_record_and_touches_no_byte() {
    let place = folder();
    let (cache, origin) = (open(place.path()).await, Origin::default());
    let first = get(&cache, &origin, fetched("one", "max-age=7200", 3 * HOUR)).await;
    cache.flush().await;
    let inodes = || -> Vec<u64> {
        let inode = |path: &PathBuf| fs::metadata(path).expect("just written").ino();
        let entries = entries(&place.path().join("sources"));
        entries.iter().map(inode).collect()
    };
    let before = inodes();
    let renewed = get(&cache, &origin, not_modified("")).await;
    assert_eq!(renewed.outcome, CacheStatus::Revalidated);
    assert_eq!(
        (renewed.record.version, renewed.bytes.clone()),
        (first.record.version, None)
    );
    assert_eq!(renewed.record.validators, first.record.validators);
    assert_eq!(renewed.record.freshness.lifetime(), 2 * HOUR);
    assert!(renewed.record.freshness.is_fresh(SystemTime::now()));
    assert_eq!(origin.asked(), [None, Some(validators("\"1\""))]);

    let third = get(&cache, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(
        (third.outcome, &third.record),
        (CacheStatus::Hit(Tier::Memory), &renewed.record)
    );
    assert_eq!(
        cache
            .source_bytes(&SourceKey::numbered(1), &third.record)
            .await,
        Some(Bytes::from("one"))
    );
    cache.flush().await;
    let after = inodes();
    assert_eq!(after.len(), 2, "the record and the bytes");
    assert_eq!(
        after.iter().filter(|file| before.contains(file)).count(),
        1,
        "the bytes stayed, the record is new"
    );
}

#[tokio::test]
async fn a_changed_source_replaces_an_expired_record() {
    let (cache, origin) = (in_memory().await, Origin::default());
    get(&cache, &origin, fetched("one", "", 3 * HOUR)).await;
    let changed = get(&cache, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(changed.record.version, ContentHash::of(b"two"));
    let kept = get(&cache, &origin, fetched("three", "", Duration::ZERO)).await;
    assert_eq!(
        (kept.outcome, kept.record.version),
        (CacheStatus::Hit(Tier::Memory), ContentHash::of(b"two"))
    );
}

#[tokio::test]
async fn a_source_without_validators_is_fetched_unconditionally() {
    let (cache, origin) = (in_memory().await, Origin::default());
    let FetchOutcome::Fetched(bare) = fetched("one", "", 3 * HOUR) else {
        unreachable!("built above")
    };
    let bare = FetchedSource {
        validators: Validators::default(),
        ..bare
    };
    get(&cache, &origin, FetchOutcome::Fetched(bare)).await;
    get(&cache, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(origin.asked(), [None, None]);
}

#[tokio::test]
async fn an_unexpected_not_modified_is_an_error() {
    let (cache, origin) = (in_memory().await, Origin::default());
    let key = SourceName::numbered(1);
    let error = cache
        .get_or_fetch(&key, origin.answering(not_modified("")))
        .await
        .expect_err("nothing to renew");
    assert_eq!(*error.error, TestError::Lost(FlightLost::NothingToRenew));
    let error = cache
        .refetch(&key, origin.answering(not_modified("")))
        .await
        .expect_err("nothing to renew");
    assert_eq!(*error.error, TestError::Lost(FlightLost::NothingToRenew));
}

#[tokio::test]
async fn what_may_not_be_stored_is_returned_and_not_stored() {
    for refusal in ["no-store", "private, max-age=86400"] {
        let place = folder();
        let (cache, origin) = (open(place.path()).await, Origin::default());
        let found = get(&cache, &origin, fetched("one", refusal, Duration::ZERO)).await;
        assert_eq!(found.bytes, Some(Bytes::from("one")));
        let key = RenditionKey::numbered(1);
        let render = async move { Rendered::Ok(rendition(&key, b"picture")) };
        cache
            .get_or_render(key, false, render)
            .await
            .expect("the render succeeds");
        cache.flush().await;
        assert_eq!(entries(&place.path().join("sources")).len(), 0);
        assert_eq!(entries(&place.path().join("renditions")).len(), 0);
        let stats = cache.stats();
        assert_eq!(
            (
                stats.memory_sources.entries,
                stats.memory_renditions.entries
            ),
            (0, 0)
        );
        assert_eq!(
            cache
                .source_bytes(&SourceKey::numbered(1), &found.record)
                .await,
            None
        );
        get(&cache, &origin, fetched("one", refusal, Duration::ZERO)).await;
        assert_eq!(origin.asked(), [None, None]);
    }
}

#[tokio::test]
async fn a_source_that_may_no_longer_be_stored_leaves_no_record() {
    let place = folder();
    let (cache, origin) = (open(place.path()).await, Origin::default());
    get(&cache, &origin, fetched("one", "", 3 * HOUR)).await;
    cache.flush().await;
    get(&cache, &origin, not_modified("no-store")).await;
    cache.flush().await;
    origin.asked();
    drop(cache);
    let cache = open(place.path()).await;
    get(&cache, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(origin.asked(), [None]);
}

#[tokio::test]
async fn an_error_does_not_remove_the_stale_record() {
    let (cache, origin) = (in_memory().await, Origin::default());
    let terms = "max-age=7200, stale-if-error=0";
    get(&cache, &origin, fetched("one", terms, 3 * HOUR)).await;
    let fail = |_| std::future::ready(Err(TestError::Broken(503)));
    let error = cache
        .get_or_fetch(&SourceName::numbered(1), fail)
        .await
        .expect_err("the origin fails");
    assert_eq!(*error.error, TestError::Broken(503));
    get(&cache, &origin, not_modified("")).await;
    assert_eq!(origin.asked(), [None, Some(validators("\"1\""))]);
}

#[tokio::test]
async fn a_record_and_its_bytes_survive_a_restart() {
    let place = folder();
    let origin = Origin::default();
    let cache = open(place.path()).await;
    let first = get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
    cache.flush().await;
    drop(cache);
    let cache = open(place.path()).await;
    let found = get(&cache, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(
        (found.outcome, &found.record),
        (CacheStatus::Hit(Tier::Disk), &first.record)
    );
    assert_eq!(
        cache
            .source_bytes(&SourceKey::numbered(1), &found.record)
            .await,
        Some(Bytes::from("one"))
    );
    assert_eq!(origin.asked(), [None]);
}

#[tokio::test]
async fn missing_bytes_are_fetched_once_without_validators() {
    let place = folder();
    let origin = Origin::default();
    let cache = open(place.path()).await;
    get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
    cache.flush().await;
    drop(cache);
    let sources = place.path().join("sources");
    let is_bytes = |path: &PathBuf| fs::read(path).expect("just written").ends_with(b"one");
    let bytes = only(entries(&sources).into_iter().filter(is_bytes).collect());
    fs::remove_file(bytes).expect("the test may write to its file");

    let (cache, key) = (open(place.path()).await, SourceName::numbered(1));
    let found = get(&cache, &origin, fetched("never", "", Duration::ZERO)).await;
    assert!(matches!(found.outcome, CacheStatus::Hit(_)));
    assert_eq!(
        cache
            .source_bytes(&SourceKey::numbered(1), &found.record)
            .await,
        None
    );
    let again = cache.bytes_or_fetch(
        &key,
        found.clone(),
        origin.answering(fetched("two", "", Duration::ZERO)),
    );
    let again = again.await.expect("the origin answers");
    assert_eq!(
        (again.bytes, again.record.version),
        (Bytes::from("two"), ContentHash::of(b"two"))
    );
    assert_eq!(origin.asked(), [None, None]);

    let latecomer = cache.refetch(&key, origin.answering(fetched("three", "", Duration::ZERO)));
    assert_eq!(latecomer.await.expect("kept").bytes, "two");
    let now = get(&cache, &origin, fetched("four", "", Duration::ZERO)).await;
    assert_eq!(now.record.version, ContentHash::of(b"two"));
    assert_eq!(origin.asked(), []);
}

#[tokio::test]
async fn a_rendition_of_other_bytes_than_its_key_says_is_not_stored() {
    let (cache, key, newer) = (
        in_memory().await,
        RenditionKey::numbered(1),
        RenditionKey::numbered(2),
    );
    let work = async move { Rendered::Ok(rendition(&newer, b"newer")) };
    let found = cache
        .get_or_render(key, true, work)
        .await
        .expect("the render succeeds");
    assert_eq!(found.rendition.bytes, "newer");
    let found = render(&cache, key, b"older").await;
    assert_eq!(
        (found.outcome, &found.rendition.bytes[..]),
        (CacheStatus::Miss, &b"older"[..])
    );
}

#[tokio::test]
async fn sources_read_from_disk_are_counted_and_freed_when_memory_is_needed() {
    let place = folder();
    let content = Box::leak("x".repeat(2 << 20).into_boxed_str());
    let origin = Origin::default();
    let cache = open(place.path()).await;
    get(&cache, &origin, fetched(content, "", Duration::ZERO)).await;
    cache.flush().await;
    // Without the memory tier, the bytes come from disk.
    cache.memory.clear();
    cache.memory.settle().await;
    let name = SourceName::numbered(1);
    let record = get(&cache, &origin, fetched(content, "", Duration::ZERO)).await;
    let record = record.record;
    let memory = cache.source_memory.clone();
    assert_eq!(memory.reserved(), 0);
    let bytes = cache.source_bytes(&name.key, &record).await;
    assert_eq!(bytes.map(|bytes| bytes.len()), Some(2 << 20));
    // Stored for the next requests, and counted until memory is needed.
    assert_eq!(memory.reserved(), 2 << 20);
    let again = cache.source_bytes(&name.key, &record).await;
    assert_eq!(memory.reserved(), 2 << 20);
    let all = memory.reserve(u64::MAX);
    let all = tokio::time::timeout(Duration::from_millis(50), all).await;
    assert!(all.is_err(), "somebody still holds it");
    drop(again);
    assert_eq!(memory.reserved(), 0);
    assert_eq!(origin.asked().len(), 1);
}
