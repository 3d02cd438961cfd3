//! Limits of fetches: how many run at once, how much memory they hold, and which ones wait.

use std::time::{Duration, Instant};

use safelight::config::Config;
use tokio::task::JoinHandle;

use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::proxy::{TestProxy, allowed, setting, zone};
use crate::support::reply::Reply;
use crate::support::{eventually, samples};

const MIB: usize = 1 << 20;

const RESERVED: &str = "safelight_source_reserved_bytes";
const IN_FLIGHT: &str = "safelight_source_fetches_in_flight";
const REFUSALS: &str = "safelight_source_refusals_total";

/// A picture followed by unused bytes, `length` bytes together.
fn padded(length: usize) -> Vec<u8> {
    let mut bytes = samples::png(32, 24);
    bytes.resize(length, 0);
    bytes
}

/// Limits the memory of sources to 8 MiB, of which 2 MiB are reserved for small ones.
fn narrow(config: &mut Config) {
    config.limits.source_bytes = setting("4 MiB");
    config.fetch.memory = setting("8 MiB");
    config.fetch.idle_timeout = setting("600 ms");
}

async fn in_front_of(origin: &TestOrigin, change: impl FnOnce(&mut Config)) -> TestProxy {
    let zone = zone(&origin.url(""));
    TestProxy::start(|config| {
        config.zone.origin = zone;
        narrow(config);
        change(config);
    })
    .await
}

fn target(name: &str) -> String {
    format!("/cdn-cgi/image/width=16/{name}")
}

fn asking(proxy: &TestProxy, name: &str) -> JoinHandle<Reply> {
    let (client, target) = (proxy.client().clone(), target(name));
    tokio::spawn(async move { client.get(&target).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_large_sources_at_once_hold_no_more_than_their_memory() {
    let origin = TestOrigin::with("*", padded(3 * MIB / 2)).await;
    let proxy = in_front_of(&origin, |_| ()).await;
    let asked: Vec<_> = (0..40)
        .map(|number| asking(&proxy, &format!("{number}.png")))
        .collect();
    let mut most = 0.0_f64;
    while !asked.iter().all(JoinHandle::is_finished) {
        most = most.max(proxy.metrics().sum(RESERVED, &[]));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(most > 1.0e6 && most <= 8.0 * 1_048_576.0, "{most}");
    for reply in asked {
        reply.await.expect("no panic").assert_size(16, 12);
    }
    assert_eq!(proxy.metrics().sum(REFUSALS, &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_fetch_frees_its_memory_and_small_sources_do_not_wait_for_it() {
    let origin = TestOrigin::with("/small.png", samples::png(32, 24)).await;
    // Their content length is 3 MiB.
    origin.serve("/a.png", Answer::stalls_after(padded(3 * MIB / 2)));
    origin.serve("/b.png", Answer::stalls_after(padded(3 * MIB / 2)));
    origin.serve("/large.png", padded(3 * MIB));
    let proxy = in_front_of(&origin, |_| ()).await;
    let stalled = [asking(&proxy, "a.png"), asking(&proxy, "b.png")];
    eventually("all memory for large sources is taken", async || {
        proxy.metrics().sum(RESERVED, &[]) >= 6.0 * 1_048_576.0
    })
    .await;
    let large = asking(&proxy, "large.png");
    eventually("the third is asked for", async || {
        origin.hits("/large.png") == 1
    })
    .await;
    proxy.get(&target("small.png")).await.assert_size(16, 12);
    assert!(stalled.iter().all(|stalled| !stalled.is_finished()));
    for stalled in stalled {
        stalled.await.expect("no panic").assert_error(524, 9504);
    }
    large.await.expect("no panic").assert_size(16, 12);
}

#[tokio::test]
async fn cached_sources_are_removed_when_a_fetch_waits_for_memory() {
    let origin = TestOrigin::with("/a.png", padded(3 * MIB)).await;
    origin.serve("/b.png", padded(4 * MIB));
    let proxy = in_front_of(&origin, |_| ()).await;
    let begun = Instant::now();
    // Each is cached for a while after its use, and all together are too large.
    for name in ["a.png", "b.png"] {
        proxy.get(&target(name)).await.assert_size(16, 12);
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_file_in_a_folder_waits_for_memory_too() {
    let proxy = TestProxy::start(narrow).await;
    for name in ["a.png", "b.png", "c.png"] {
        std::fs::write(proxy.folder().join(name), padded(4 * MIB)).expect("a folder");
    }
    let asked = ["a.png", "b.png", "c.png"].map(|name| asking(&proxy, name));
    for reply in asked {
        reply.await.expect("no panic").assert_size(16, 12);
    }
    let reserved = proxy.metrics().sum(RESERVED, &[]);
    assert!(reserved <= 4.0 * 1_048_576.0, "{reserved}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_without_waiting_clients_frees_its_memory() {
    let gate = Gate::closed();
    let origin = TestOrigin::start().await;
    let answer = Answer::file(padded(3 * MIB)).with("cache-control", "no-store");
    origin.serve("/a.png", answer.behind(&gate));
    let proxy = in_front_of(&origin, |_| ()).await;
    let asked = asking(&proxy, "a.png");
    eventually("it is asked for", async || origin.hits("/a.png") == 1).await;
    asked.abort();
    assert!(asked.await.is_err());
    gate.open();
    eventually("nothing is held", async || {
        let metrics = proxy.metrics();
        metrics.sum(RESERVED, &[]) == 0.0 && metrics.sum(IN_FLIGHT, &[]) == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_per_origin_are_limited_and_other_origins_do_not_wait() {
    let gate = Gate::closed();
    let slow = TestOrigin::with("*", Answer::file(samples::png(32, 24)).behind(&gate)).await;
    let quick = TestOrigin::with("*", samples::png(32, 24)).await;
    let entries = allowed(&[quick.authority()]);
    let proxy = in_front_of(&slow, |config| {
        config.sources.allowed = entries;
        config.fetch.concurrency = 3.try_into().expect("not zero");
        config.fetch.connections_per_origin = 2.try_into().expect("not zero");
    })
    .await;
    let asked: Vec<_> = (0..6)
        .map(|number| asking(&proxy, &format!("{number}.png")))
        .collect();
    eventually("four wait for their turn", async || {
        proxy.metrics().sum(IN_FLIGHT, &[("state", "waiting")]) == 4.0
    })
    .await;
    for number in 0..5 {
        let name = quick.url(&format!("/{number}.png"));
        proxy.get(&target(&name)).await.assert_size(16, 12);
    }
    assert_eq!(slow.asked().len(), 2);
    assert_eq!(proxy.metrics().sum(IN_FLIGHT, &[("state", "running")]), 2.0);
    gate.open();
    for reply in asked {
        reply.await.expect("no panic").assert_size(16, 12);
    }
    assert_eq!(slow.asked().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_waits_too_long_for_its_turn_is_answered_with_retry_after() {
    let gate = Gate::closed();
    let origin = TestOrigin::with("*", Answer::file(samples::png(32, 24)).behind(&gate)).await;
    for (reason, concurrency, per_origin) in [("fetches", 1, 9), ("connections", 9, 1)] {
        let proxy = in_front_of(&origin, |config| {
            config.fetch.first_byte_timeout = setting("600 ms");
            config.fetch.total_timeout = setting("1 s");
            config.fetch.concurrency = concurrency.try_into().expect("not zero");
            config.fetch.connections_per_origin = per_origin.try_into().expect("not zero");
        })
        .await;
        // The first runs until it times out, then the second; the third has waited too long by then.
        let names = ["a.png", "b.png", "c.png"];
        let mut replies = Vec::new();
        for asked in names.map(|name| asking(&proxy, name)) {
            replies.push(asked.await.expect("no panic"));
        }
        let (busy, slow): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 503);
        assert_eq!((busy.len(), slow.len()), (1, 2));
        busy[0]
            .assert_error(503, 9522)
            .assert_header("retry-after", "5");
        for reply in slow {
            reply.assert_error(524, 9504);
        }
        let refusals = proxy.metrics().sum(REFUSALS, &[("reason", reason)]);
        assert_eq!(refusals, 1.0);
    }
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_source_is_served_when_a_fetch_gets_no_turn() {
    let origin = TestOrigin::start().await;
    let gate = Gate::closed();
    let kept = |etag: &str| {
        Answer::file(samples::png(32, 24))
            .with("etag", etag)
            .with("cache-control", "max-age=0, stale-if-error=3600")
    };
    origin.serve("/a.png", kept("\"one\""));
    let proxy = in_front_of(&origin, |config| {
        config.cache.min_ttl = setting("0 s");
        config.fetch.first_byte_timeout = setting("600 ms");
        config.fetch.total_timeout = setting("1 s");
        config.fetch.concurrency = 1.try_into().expect("not zero");
    })
    .await;
    proxy.get(&target("a.png")).await.assert_size(16, 12);
    origin.serve("*", Answer::file(samples::png(32, 24)).behind(&gate));
    let slow: Vec<_> = ["x.png", "y.png", "z.png"]
        .map(|name| asking(&proxy, name))
        .into();
    eventually("somebody has the turn", async || {
        proxy.metrics().sum(IN_FLIGHT, &[("state", "waiting")]) == 2.0
    })
    .await;
    proxy.get(&target("a.png")).await.assert_size(16, 12);
    gate.open();
    for slow in slow {
        slow.await.expect("no panic");
    }
}
