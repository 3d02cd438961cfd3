//! One flight per key, whatever happens to the requests that wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};

use crate::cache::tests::{FlightResult, Rendered, TestError, in_memory, render, rendition};
use crate::cache::{
    Cache, CacheStatus, CacheableError, CachedRendition, ErrorTtls, FlightError, FlightLost,
    Rendition, RenditionKey, Tier,
};

/// A render that counts its calls, reports that it has begun, and continues when the test allows it.
#[derive(Default)]
struct Gate {
    calls: AtomicU32,
    begun: Notify,
    go_on: Notify,
}

impl Gate {
    async fn render(self: Arc<Self>, key: RenditionKey) -> Rendered {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
        self.go_on.notified().await;
        Ok(rendition(&key, b"picture"))
    }
}

fn ask(
    cache: &Arc<Cache>,
    gate: &Arc<Gate>,
    key: RenditionKey,
    keep: bool,
) -> JoinHandle<FlightResult<CachedRendition>> {
    let (cache, gate) = (Arc::clone(cache), Arc::clone(gate));
    tokio::spawn(async move { cache.get_or_render(key, keep, gate.render(key)).await })
}

/// Lets every task run until it waits: these tests have one thread.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn two_hundred_requests_cost_one_render() {
    for keep in [true, false] {
        let (cache, gate, key) = (
            in_memory().await,
            Arc::new(Gate::default()),
            RenditionKey::numbered(1),
        );
        let askers: Vec<_> = (0..200).map(|_| ask(&cache, &gate, key, keep)).collect();
        settle().await;
        assert_eq!(cache.stats().flights, 1);
        gate.go_on.notify_one();
        let mut outcomes = Vec::new();
        for asker in askers {
            let found = asker
                .await
                .expect("no request panics")
                .expect("the render succeeds");
            assert_eq!(found.rendition.bytes, "picture");
            outcomes.push(found.outcome);
        }
        assert_eq!(gate.calls.load(Ordering::SeqCst), 1);
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| **outcome == CacheStatus::Miss)
                .count(),
            1
        );
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| **outcome == CacheStatus::Coalesced)
                .count(),
            199
        );
        assert_eq!(cache.stats().flights, 0);
    }
}

#[tokio::test]
async fn a_flight_goes_on_when_its_first_request_goes_away() {
    let (cache, gate, key) = (
        in_memory().await,
        Arc::new(Gate::default()),
        RenditionKey::numbered(1),
    );
    let first = ask(&cache, &gate, key, true);
    gate.begun.notified().await;
    let others: Vec<_> = (0..199).map(|_| ask(&cache, &gate, key, true)).collect();
    settle().await;
    first.abort();
    assert!(first.await.expect_err("just aborted").is_cancelled());
    gate.go_on.notify_one();
    for other in others {
        let found = other
            .await
            .expect("no request panics")
            .expect("the render succeeds");
        assert_eq!(found.outcome, CacheStatus::Coalesced);
    }
    assert_eq!(gate.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_flight_that_all_requests_have_left_still_stores_its_result() {
    let (cache, gate, key) = (
        in_memory().await,
        Arc::new(Gate::default()),
        RenditionKey::numbered(1),
    );
    let only = ask(&cache, &gate, key, true);
    gate.begun.notified().await;
    only.abort();
    gate.go_on.notify_one();
    settle().await;
    let found = ask(&cache, &gate, key, true)
        .await
        .expect("no request panics")
        .expect("kept");
    assert_eq!(found.outcome, CacheStatus::Hit(Tier::Memory));
}

#[tokio::test]
async fn a_panic_is_an_error_for_all_requests_and_frees_the_key() {
    let (cache, key) = (in_memory().await, RenditionKey::numbered(1));
    let crash = |cache: &Arc<Cache>| {
        let cache = Arc::clone(cache);
        let render = async {
            yield_now().await;
            panic!("a render that panics, as this test wants it to")
        };
        tokio::spawn(async move {
            cache
                .get_or_render::<TestError, Rendition, _>(key, true, render)
                .await
        })
    };
    let askers: Vec<_> = (0..5).map(|_| crash(&cache)).collect();
    for asker in askers {
        let error = asker
            .await
            .expect("no request panics")
            .expect_err("the render panics");
        assert_eq!(*error.error, TestError::Lost(FlightLost::Crashed));
    }
    assert_eq!(cache.stats().flights, 0);
    let found = render(&cache, key, b"picture").await;
    assert_eq!(found.outcome, CacheStatus::Miss);
}

#[tokio::test]
async fn an_error_is_returned_to_each_request_and_not_stored() {
    let (cache, key) = (in_memory().await, RenditionKey::numbered(1));
    let calls = Arc::new(AtomicU32::new(0));
    let ask = || {
        let (cache, calls) = (Arc::clone(&cache), Arc::clone(&calls));
        let render = async move {
            yield_now().await;
            Rendered::Err(FlightError::from(TestError::Broken(
                calls.fetch_add(1, Ordering::SeqCst),
            )))
        };
        tokio::spawn(async move { cache.get_or_render(key, true, render).await })
    };
    for round in 0..2 {
        let askers: Vec<_> = (0..5).map(|_| ask()).collect();
        for asker in askers {
            let error = asker
                .await
                .expect("no request panics")
                .expect_err("the render fails");
            assert_eq!(*error.error, TestError::Broken(round));
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn callers_with_different_error_types_have_separate_flights() {
    struct Other;
    impl From<FlightLost> for Other {
        fn from(_: FlightLost) -> Self {
            Other
        }
    }
    impl CacheableError for Other {
        fn is_outage(&self) -> bool {
            false
        }

        fn ttl(&self, _: &ErrorTtls) -> Duration {
            Duration::ZERO
        }
    }
    let (cache, gate, key) = (
        in_memory().await,
        Arc::new(Gate::default()),
        RenditionKey::numbered(1),
    );
    let waiting = ask(&cache, &gate, key, true);
    gate.begun.notified().await;
    let render = async move { Result::<_, FlightError<Other>>::Ok(rendition(&key, b"picture")) };
    assert!(cache.get_or_render(key, true, render).await.is_ok());
    gate.go_on.notify_one();
    assert!(waiting.await.expect("no request panics").is_ok());
}

#[tokio::test]
async fn different_keys_have_separate_flights() {
    let (cache, gate) = (in_memory().await, Arc::new(Gate::default()));
    let first = ask(&cache, &gate, RenditionKey::numbered(1), true);
    gate.begun.notified().await;
    let found = render(&cache, RenditionKey::numbered(2), b"other").await;
    assert_eq!(found.rendition.bytes, "other");
    gate.go_on.notify_one();
    assert!(first.await.expect("no request panics").is_ok());
}

#[tokio::test(start_paused = true)]
async fn work_that_never_ends_is_given_up_and_frees_the_key() {
    let (cache, key) = (in_memory().await, RenditionKey::numbered(1));
    let askers: Vec<_> = (0..5)
        .map(|_| {
            let cache = Arc::clone(&cache);
            let never = std::future::pending::<Rendered>();
            tokio::spawn(async move { cache.get_or_render(key, true, never).await })
        })
        .collect();
    for asker in askers {
        let failed = asker.await.expect("no request panics");
        let failed = failed.expect_err("it never ends");
        assert_eq!(*failed.error, TestError::Lost(FlightLost::Overdue));
    }
    assert_eq!(cache.stats().flights, 0);
    let found = render(&cache, key, b"picture").await;
    assert_eq!(found.outcome, CacheStatus::Miss);
}
