//! Stale sources, while they are revalidated and when their origin fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use tokio::sync::Semaphore;

use crate::cache::tests::{FlightResult, TestError, folder, in_memory, no_flights, open};
use crate::cache::{Cache, CacheStatus, CachedSource, SourceName, Stale, Tier};
use crate::freshness::{Freshness, Rules, Tags, Validators};
use crate::source::{FetchOutcome, FetchedSource};

const HOUR: i64 = 60 * 60;

/// Fresh for two hours, then served stale for one hour while it is revalidated, or for four hours if the origin fails.
const WINDOWS: &str = "max-age=7200, stale-while-revalidate=3600, stale-if-error=14400";

/// So many permits let every request pass.
const ALL: usize = 1000;

/// An origin that does not allow stale answers when it fails.
const NEVER_ON_ERROR: &str = "max-age=7200, stale-while-revalidate=3600, stale-if-error=0";

/// An origin that answers when the test allows it, with its state at that time.
struct Origin {
    cache: Arc<Cache>,
    asked: AtomicU32,
    /// The status of its answers: from 400 on they are errors.
    status: AtomicU32,
    gate: Semaphore,
    windows: &'static str,
}

impl Origin {
    fn of(cache: &Arc<Cache>) -> Arc<Self> {
        Origin::allowing(WINDOWS, cache)
    }

    fn allowing(windows: &'static str, cache: &Arc<Cache>) -> Arc<Self> {
        Arc::new(Origin {
            cache: Arc::clone(cache),
            asked: AtomicU32::new(0),
            status: AtomicU32::new(200),
            gate: Semaphore::new(ALL),
            windows,
        })
    }

    async fn answer(self: Arc<Self>, known: Option<Validators>) -> Result<FetchOutcome, TestError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let _permit = self.gate.acquire().await.expect("the gate is never closed");
        let status = self.status.load(Ordering::SeqCst);
        if status >= 400 {
            return Err(TestError::Broken(status));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.windows));
        let freshness = Freshness::of(&headers, self.cache.clock.now(), &Rules::default());
        let validators = Validators {
            etag: Some("\"1\"".to_owned()),
            last_modified: None,
        };
        if status == 304 && known.is_some() {
            return Ok(FetchOutcome::NotModified {
                freshness,
                validators,
                tags: Tags::default(),
            });
        }
        Ok(FetchOutcome::Fetched(FetchedSource {
            bytes: Bytes::from(format!("state {asked}")),
            validators,
            freshness,
            tags: Tags::default(),
        }))
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn now_answers(&self, status: u32) {
        self.status.store(status, Ordering::SeqCst);
    }
}

async fn get(origin: &Arc<Origin>) -> FlightResult<CachedSource> {
    let (cache, origin) = (Arc::clone(&origin.cache), Arc::clone(origin));
    let fetch = move |known| origin.answer(known);
    cache.get_or_fetch(&SourceName::numbered(1), fetch).await
}

async fn found(origin: &Arc<Origin>) -> (CacheStatus, Option<Stale>) {
    let found = get(origin).await.expect("something is stored");
    (found.outcome, found.stale)
}

#[tokio::test]
async fn a_stale_source_is_served_at_once_and_revalidated_once() {
    let cache = in_memory().await;
    let origin = Origin::of(&cache);
    get(&origin).await.expect("the origin answers");
    cache.clock.advance(2 * HOUR + 1);
    origin.now_answers(304);
    let closed = origin
        .gate
        .acquire_many(ALL.try_into().expect("a small number"))
        .await
        .expect("the gate is never closed");
    for _ in 0..50 {
        assert_eq!(
            found(&origin).await,
            (CacheStatus::Hit(Tier::Memory), Some(Stale::Revalidating))
        );
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.asked(), 2, "fifty requests start one revalidation");
    drop(closed);
    no_flights(&cache).await;
    assert_eq!(found(&origin).await, (CacheStatus::Hit(Tier::Memory), None));
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn after_its_stale_time_a_source_waits_for_its_origin() {
    let cache = in_memory().await;
    let origin = Origin::of(&cache);
    get(&origin).await.expect("the origin answers");
    cache.clock.advance(3 * HOUR + 1);
    origin.now_answers(304);
    assert_eq!(found(&origin).await, (CacheStatus::Revalidated, None));
    cache.clock.advance(3 * HOUR + 1);
    origin.now_answers(200);
    assert_eq!(found(&origin).await, (CacheStatus::Miss, None));
}

#[tokio::test]
async fn a_source_is_served_stale_and_its_failed_origin_is_not_asked_for_a_moment() {
    let cache = in_memory().await;
    let origin = Origin::of(&cache);
    get(&origin).await.expect("the origin answers");
    cache.clock.advance(4 * HOUR);
    origin.now_answers(503);
    for _ in 0..20 {
        assert_eq!(
            found(&origin).await,
            (CacheStatus::Hit(Tier::Memory), Some(Stale::OriginFailed))
        );
    }
    assert_eq!(origin.asked(), 2, "not once for each");
    cache.clock.advance(10);
    assert_eq!(found(&origin).await.1, Some(Stale::OriginFailed));
    assert_eq!(origin.asked(), 3);
    cache.clock.advance(10);
    origin.now_answers(304);
    assert_eq!(found(&origin).await, (CacheStatus::Revalidated, None));

    // Stale for too long.
    cache.clock.advance(6 * HOUR + 1);
    origin.now_answers(503);
    let failed = get(&origin).await.expect_err("nothing may be served stale");
    assert_eq!(*failed.error, TestError::Broken(503));
    origin.now_answers(200);
    assert_eq!(found(&origin).await, (CacheStatus::Miss, None));
}

#[tokio::test]
async fn a_failed_revalidation_leaves_the_stale_record() {
    for windows in [WINDOWS, NEVER_ON_ERROR] {
        let cache = in_memory().await;
        let origin = Origin::allowing(windows, &cache);
        get(&origin).await.expect("the origin answers");
        cache.clock.advance(2 * HOUR + 1);
        origin.now_answers(500);
        for _ in 0..3 {
            assert_eq!(found(&origin).await.0, CacheStatus::Hit(Tier::Memory));
            no_flights(&cache).await;
        }
        assert_eq!(origin.asked(), 2, "it is not asked again for a moment");
    }
}

#[tokio::test]
async fn a_failed_origin_is_asked_again_if_nothing_can_be_served_stale() {
    let cache = in_memory().await;
    let origin = Origin::of(&cache);
    get(&origin).await.expect("the origin answers");
    cache.clock.advance(4 * HOUR);
    origin.now_answers(503);
    assert_eq!(found(&origin).await.1, Some(Stale::OriginFailed));
    cache.memory.clear();
    origin.now_answers(200);
    assert_eq!(found(&origin).await, (CacheStatus::Miss, None));
}

#[tokio::test]
async fn a_source_that_its_origin_has_deleted_is_not_served_stale() {
    let place = folder();
    let cache = open(place.path()).await;
    let origin = Origin::of(&cache);
    get(&origin).await.expect("the origin answers");
    cache.flush().await;
    cache.clock.advance(4 * HOUR);
    origin.now_answers(404);
    let failed = get(&origin).await.expect_err("it is gone");
    assert_eq!(*failed.error, TestError::Broken(404));
    cache.flush().await;
    cache.clock.advance(60);
    origin.now_answers(503);
    let failed = get(&origin).await.expect_err("nothing is left of it");
    assert_eq!(*failed.error, TestError::Broken(503));
}

#[tokio::test]
async fn a_stale_source_on_disk_is_served_after_a_restart() {
    let place = folder();
    let cache = open(place.path()).await;
    let origin = Origin::of(&cache);
    get(&origin).await.expect("the origin answers");
    cache.flush().await;
    drop((cache, origin));
    let cache = open(place.path()).await;
    cache.clock.advance(4 * HOUR);
    let origin = Origin::of(&cache);
    origin.now_answers(503);
    let answer = get(&origin)
        .await
        .expect("the record on disk is served stale");
    assert_eq!(
        (answer.outcome, answer.stale),
        (CacheStatus::Hit(Tier::Disk), Some(Stale::OriginFailed))
    );
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_fresh_for_ever() {
    let cache = in_memory().await;
    let origin = Origin::of(&cache);
    get(&origin).await.expect("the origin answers");
    // A year back: the record comes from the future, and is revalidated.
    cache.clock.advance(-365 * 24 * HOUR);
    origin.now_answers(304);
    no_flights(&cache).await;
    get(&origin).await.expect("the origin answers");
    no_flights(&cache).await;
    assert_eq!(origin.asked(), 2);
    cache.clock.advance(2 * 365 * 24 * HOUR);
    assert_eq!(found(&origin).await, (CacheStatus::Revalidated, None));
}
