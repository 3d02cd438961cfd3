//! A slow bucket delays a request by one timeout in all, however many entries it reads, and a healthy bucket is used by every read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::tests::bucket::{Mood, TestBucket};
use crate::cache::tests::sources::{Origin, fetched, get};
use crate::cache::tests::{Rendered, config, rendition, source_memory};
use crate::cache::wait_budget::WaitBudget;
use crate::cache::{Cache, CacheStatus, Config, RenditionKey, SharedConfig, SharedStats, Tier};
use crate::units::Seconds;

const TIMEOUT: Duration = Duration::from_secs(20);

async fn replica(bucket: &TestBucket) -> Arc<Cache> {
    let config = Config {
        shared: SharedConfig {
            bucket: "shared".to_owned(),
            timeout: Seconds::new(TIMEOUT.as_secs()),
            ..SharedConfig::default()
        },
        ..config(Path::new(""))
    };
    Cache::open(&config, &[bucket.config()], None, source_memory())
        .await
        .expect("sound settings")
}

/// The reads of a request for a picture that has an interim rendition and a saliency map: four, if nothing is stored here.
async fn request(cache: &Arc<Cache>, origin: &Origin, number: u64) -> [Option<CacheStatus>; 4] {
    let work = async {
        let source = get(cache, origin, fetched("one", "", Duration::ZERO)).await;
        let better = cache.find(RenditionKey::numbered(number)).await;
        let (quick, look) = (
            RenditionKey::numbered(number + 1),
            RenditionKey::numbered(number + 2),
        );
        let within = Arc::clone(cache);
        let render = async move {
            let render = async move { Rendered::Ok(rendition(&look, b"look")) };
            let looked = within.get_or_render(look, true, render).await?;
            let made = if looked.outcome == CacheStatus::Miss {
                &b"made"[..]
            } else {
                b"made of what was found"
            };
            Rendered::Ok(rendition(&quick, made))
        };
        let found = cache.get_or_render(quick, true, render).await;
        let found = found.expect("the render succeeds");
        let looked = cache.get(&look).await.map(|found| found.outcome);
        [
            Some(source.outcome),
            better.map(|found| found.outcome),
            Some(found.outcome),
            looked,
        ]
    };
    cache.within_wait_budget(work).await
}

fn stats(cache: &Cache) -> SharedStats {
    cache.stats().shared.expect("a shared tier")
}

/// From here on the clock moves only when everything waits for it.
fn hang(bucket: &TestBucket) -> Instant {
    bucket.set(Mood::Slow(Duration::from_secs(3600)));
    tokio::time::pause();
    Instant::now()
}

const MADE: [Option<CacheStatus>; 4] = [
    Some(CacheStatus::Miss),
    None,
    Some(CacheStatus::Miss),
    Some(CacheStatus::Hit(Tier::Memory)),
];

#[tokio::test]
async fn a_slow_bucket_costs_a_request_one_timeout_in_all() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let one = replica(&bucket).await;
    let begun = hang(&bucket);
    assert_eq!(request(&one, &origin, 1).await, MADE);
    let waited = begun.elapsed();
    assert!(waited < TIMEOUT + Duration::from_millis(5), "{waited:?}");
    assert_eq!((stats(&one).timeouts, stats(&one).skipped_reads), (1, 3));
    // The next request has its own wait budget.
    assert_eq!(
        one.within_wait_budget(one.find(RenditionKey::numbered(9)))
            .await
            .map(|_| ()),
        None
    );
    assert_eq!(stats(&one).timeouts, 2);
}

#[tokio::test]
async fn requests_that_join_a_flight_wait_no_longer_than_alone() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let one = replica(&bucket).await;
    let begun = hang(&bucket);
    let (first, second) = tokio::join!(request(&one, &origin, 1), request(&one, &origin, 11));
    let waited = begun.elapsed();
    assert!(waited < TIMEOUT + Duration::from_millis(5), "{waited:?}");
    assert_eq!((first[2], second[2]), (MADE[2], MADE[2]));
    assert_eq!((stats(&one).timeouts, stats(&one).skipped_reads), (1, 6));
}

#[tokio::test]
async fn every_read_of_a_request_uses_a_healthy_bucket() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    assert_eq!(request(&one, &origin, 1).await, MADE);
    one.flush().await;
    // Only the saliency map is left, so that there is something to render.
    one.remove(RenditionKey::numbered(2)).await;
    one.flush().await;
    let found = request(&other, &origin, 1).await;
    assert_eq!(found[0], Some(CacheStatus::Hit(Tier::Shared)));
    assert_eq!(found[2], Some(CacheStatus::Miss));
    let made = other
        .get(&RenditionKey::numbered(2))
        .await
        .expect("just made");
    assert_eq!(made.rendition.bytes, &b"made of what was found"[..]);
    assert_eq!((stats(&other).hits, stats(&other).misses), (2, 2));
    assert_eq!(
        (stats(&other).timeouts, stats(&other).skipped_reads),
        (0, 0)
    );
}

#[tokio::test]
async fn a_read_that_had_less_time_does_not_count_against_the_bucket() {
    let bucket = TestBucket::start().await;
    let one = replica(&bucket).await;
    hang(&bucket);
    for number in 0..10 {
        let wait_budget = WaitBudget::new(TIMEOUT / 2);
        let found =
            WaitBudget::scope(Some(wait_budget), one.find(RenditionKey::numbered(number))).await;
        assert!(found.is_none());
    }
    assert_eq!(stats(&one).timeouts, 10);
    assert!(!stats(&one).reading_open);
}
