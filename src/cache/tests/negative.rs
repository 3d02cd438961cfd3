//! Errors that are answered again from the cache, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cache::tests::{FlightResult, Rendered, TestError, in_memory};
use crate::cache::{
    Cache, CachedRendition, CachedSource, FlightError, Purge, RenditionKey, SourceName, Target,
};
use crate::freshness::Tag;

async fn fetch(
    cache: &Arc<Cache>,
    status: u32,
    tries: &Arc<AtomicU32>,
) -> FlightResult<CachedSource> {
    let tries = Arc::clone(tries);
    let fetch = move |_| {
        tries.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err(TestError::Broken(status)))
    };
    cache.get_or_fetch(&SourceName::numbered(1), fetch).await
}

async fn render(
    cache: &Arc<Cache>,
    status: u32,
    tries: &Arc<AtomicU32>,
) -> FlightResult<CachedRendition> {
    let tries = Arc::clone(tries);
    let render = async move {
        tries.fetch_add(1, Ordering::SeqCst);
        Rendered::Err(FlightError::from(TestError::Broken(status)))
    };
    cache
        .get_or_render(RenditionKey::numbered(1), true, render)
        .await
}

#[tokio::test]
async fn a_missing_source_is_asked_for_again_after_its_ttl() {
    let (cache, tries) = (in_memory().await, Arc::default());
    let first = fetch(&cache, 404, &tries).await.expect_err("it fails");
    assert_eq!(first.since, None);
    cache.clock.advance(4);
    let second = fetch(&cache, 404, &tries)
        .await
        .expect_err("the error is answered again");
    assert!(second.since.is_some());
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    cache.clock.advance(7);
    let third = fetch(&cache, 404, &tries)
        .await
        .expect_err("it fails again");
    assert_eq!(third.since, None);
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_outage_is_not_answered_again() {
    let (cache, tries) = (in_memory().await, Arc::default());
    for _ in 0..3 {
        fetch(&cache, 503, &tries).await.expect_err("it fails");
        render(&cache, 503, &tries).await.expect_err("it fails");
    }
    assert_eq!(tries.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_failed_render_is_not_tried_again_at_once() {
    let (cache, tries) = (in_memory().await, Arc::default());
    for _ in 0..3 {
        render(&cache, 415, &tries).await.expect_err("it fails");
    }
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    cache.clock.advance(61);
    render(&cache, 415, &tries)
        .await
        .expect_err("it fails again");
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn after_a_purge_or_with_a_clock_set_back_it_is_tried_again() {
    let (cache, tries) = (in_memory().await, Arc::default());
    fetch(&cache, 404, &tries).await.expect_err("it fails");
    let purge = Purge::hard(Target::Tag(Tag::new("anything").expect("a tag")));
    cache
        .purge(vec![purge])
        .await
        .expect("there is no journal to fail");
    fetch(&cache, 404, &tries)
        .await
        .expect_err("it fails again");
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    cache.clock.advance(-3600);
    fetch(&cache, 404, &tries)
        .await
        .expect_err("it fails again");
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}
