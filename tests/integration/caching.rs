//! Caching: a picture is rendered once, cached, and revalidated only when it has expired, whatever happens to the disk.
//!
//! The subjects of pingora's cache tests, and the tests here that cover them:
//!
//! | pingora | here |
//! | --- | --- |
//! | lock, lock timeout, lock on error | `two_hundred_clients_cost_one_fetch_and_one_render`, `a_failure_is_sent_to_every_waiting_client_and_not_cached`; `cache::tests::flights` |
//! | lock on what cannot be cached | `a_source_that_must_not_be_stored_is_stored_nowhere` |
//! | stale on error, on network error, in the middle of a body | `freshness::a_stale_picture_is_served_however_the_origin_fails` |
//! | stale while revalidate, many readers, single request | `freshness::stale_pictures_are_served_at_once_and_revalidated_in_the_background`; `cache::tests::stale` |
//! | upstream revalidation, with headers that change | `an_expired_source_is_revalidated_and_its_renditions_stay`, `freshness::a_304_to_every_request_renews_known_sources_and_is_an_error_for_unknown_ones` |
//! | downstream revalidation | `responses::section_6_3_a_client_that_has_the_picture_gets_304` |
//! | vary | `responses::section_4_1_accept_decides_where_format_is_auto_and_vary_says_so`, `remembering::requests_that_differ_are_resolved_separately` |
//! | range | `responses::section_6_3_ranges_are_parts_of_one_picture`, `a_head_or_range_request_caches_the_whole_picture` |
//! | purge, and what is refused | `purging::a_hard_purge_removes_everything_however_the_picture_is_named`, `purging::without_the_token_nothing_is_purged` |
//! | HEAD | `responses::section_6_3_head_is_get_without_the_body`, `a_head_or_range_request_caches_the_whole_picture` |
//! | downstream gone | `the_first_of_two_hundred_clients_may_leave`, `a_picture_is_cached_even_if_every_client_disconnects` |
//! | largest file size | `freshness::a_response_that_is_not_as_announced_is_an_error_and_not_cached`; `source::tests` |

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use safelight::config::Config;
use tokio::task::JoinHandle;

use crate::support::client::Client;
use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::process::Process;
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::reply::Reply;
use crate::support::{bounded, eventually, forget_bytes, samples};

const TARGET: &str = "/cdn-cgi/image/width=160,format=webp/a.png";
const CROWD: usize = 200;

/// Starts clients, each with its own connection, which all wait for one picture that the origin delays.
async fn crowd(proxy: &TestProxy, size: usize) -> Vec<JoinHandle<Reply>> {
    let address = proxy.client().address();
    let waiting = proxy.in_flight();
    let crowd = (0..size)
        .map(|_| tokio::spawn(async move { Client::new(address).get(TARGET).await }))
        .collect();
    let all = waiting + size as f64;
    eventually("everybody waits", async || proxy.in_flight() == all).await;
    crowd
}

async fn behind_a_gate() -> (TestOrigin, Gate, TestProxy) {
    let gate = Gate::closed();
    let answer = Answer::file(samples::png(640, 480)).behind(&gate);
    let origin = TestOrigin::with("/a.png", answer).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    (origin, gate, proxy)
}

async fn assert_served(crowd: Vec<JoinHandle<Reply>>) -> Vec<Reply> {
    let mut replies = Vec::new();
    for asked in crowd {
        let reply = bounded("an answer", asked).await.expect("no panic");
        reply.assert_status(200);
        replies.push(reply);
    }
    replies[0].assert_size(160, 120);
    for reply in &replies {
        assert!(reply.body == replies[0].body, "not the same picture");
    }
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_cost_one_fetch_and_one_render() {
    let (origin, gate, proxy) = behind_a_gate().await;
    let crowd = crowd(&proxy, CROWD).await;
    gate.open();
    let replies = assert_served(crowd).await;
    assert_eq!(replies.len(), CROWD);
    assert_eq!(origin.asked().len(), 1, "requests to the origin");
    assert_eq!(proxy.renders(), 1.0, "renders");
    let first = |reply: &&Reply| reply.header("cache-status") == "safelight; fwd=miss; stored";
    assert!(replies.iter().filter(first).count() <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_two_hundred_clients_may_leave() {
    let (origin, gate, proxy) = behind_a_gate().await;
    let first = crowd(&proxy, 1).await.remove(0);
    eventually("the origin is asked", async || origin.hits("/a.png") == 1).await;
    let others = crowd(&proxy, CROWD - 1).await;
    first.abort();
    eventually("the first is gone", async || {
        proxy.in_flight() == (CROWD - 1) as f64
    })
    .await;
    gate.open();
    let replies = assert_served(others).await;
    assert_eq!(replies.len(), CROWD - 1);
    assert_eq!(origin.asked().len(), 1, "requests to the origin");
    assert_eq!(proxy.renders(), 1.0, "renders");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_cached_even_if_every_client_disconnects() {
    let (origin, gate, proxy) = behind_a_gate().await;
    for client in crowd(&proxy, 5).await {
        client.abort();
    }
    eventually("all are gone", async || proxy.in_flight() == 0.0).await;
    gate.open();
    proxy.get(TARGET).await.assert_size(160, 120);
    assert_eq!(origin.asked().len(), 1);
    assert_eq!(proxy.renders(), 1.0);
}

/// The bytes of the source are not cached: another width fetches the source again although its record is fresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_fetched_again_follows_the_newest_headers_of_its_origin() {
    let private = "private, no-store";
    for (case, width) in [("other bytes", 320), ("the same bytes", 64)] {
        let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
        let folder = tempfile::tempdir().expect("a folder");
        let proxy = on(folder.path(), &origin).await;
        proxy.get("/cdn-cgi/image/width=16/a.png").await;
        proxy.stop().await;
        forget_bytes(&folder.path().join("cache/sources"));
        let proxy = on(folder.path(), &origin).await;
        let now = Answer::file(samples::png(width, 48)).with("cache-control", private);
        origin.serve("/a.png", now);
        let target = "/cdn-cgi/image/width=20/a.png";
        let reply = proxy.get(target).await;
        reply
            .assert_status(200)
            .assert_header("cache-control", private);
        assert!(reply.headers.get("age").is_none(), "{case}");
        assert_eq!(origin.asked().len(), 2, "{case}");
        proxy.get(target).await;
        assert_eq!(origin.asked().len(), 3, "{case}: nothing was kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_or_range_request_caches_the_whole_picture() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let first = "/cdn-cgi/image/width=16/a.png";
    let head = proxy.client().send(Method::HEAD, first, &[]).await;
    head.assert_header("cache-status", "safelight; fwd=miss; stored");
    assert!(head.body.is_empty());
    let whole = proxy.get(first).await;
    whole.assert_header("cache-status", "safelight; hit; detail=memory");
    assert_eq!(whole.body.len().to_string(), head.header("content-length"));

    let second = "/cdn-cgi/image/width=20/a.png";
    let range = [("range", "bytes=10-19")];
    let part = proxy.client().send(Method::GET, second, &range).await;
    part.assert_status(206);
    let whole = proxy.get(second).await;
    whole.assert_header("cache-status", "safelight; hit; detail=memory");
    assert_eq!(part.body, whole.body.slice(10..20));
    assert_eq!(origin.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_sent_to_every_waiting_client_and_not_cached() {
    let gate = Gate::closed();
    let origin = TestOrigin::with("/a.png", Answer::status(500).behind(&gate)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let crowd = crowd(&proxy, 20).await;
    gate.open();
    for asked in crowd {
        bounded("an answer", asked)
            .await
            .expect("no panic")
            .assert_error(502, 9509);
    }
    // A request that came too late to join the flight starts another one, because the failure is not cached.
    let asked = origin.asked().len();
    assert!(asked < 5, "{asked} requests to the origin for 20 askers");
    origin.serve("/a.png", samples::png(640, 480));
    proxy.get(TARGET).await.assert_size(160, 120);
}

/// A proxy in front of an origin. Its disk cache is in a folder that outlives the proxy.
async fn on(folder: &Path, origin: &TestOrigin) -> TestProxy {
    TestProxy::keeping_in(folder, origin, |_| ()).await
}

#[tokio::test]
async fn a_restart_finds_everything_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let proxy = on(folder.path(), &origin).await;
    let miss = proxy.get(TARGET).await;
    miss.assert_size(160, 120)
        .assert_header("cache-status", "safelight; fwd=miss; stored");
    let memory = proxy.get(TARGET).await;
    memory.assert_header("cache-status", "safelight; hit; detail=memory");
    proxy.stop().await;

    let proxy = on(folder.path(), &origin).await;
    let disk = proxy.get(TARGET).await;
    disk.assert_header("cache-status", "safelight; hit; detail=disk");
    let again = proxy.get(TARGET).await;
    again.assert_header("cache-status", "safelight; hit; detail=memory");
    for reply in [&memory, &disk, &again] {
        assert!(reply.body == miss.body);
        for name in ["etag", "content-type", "cache-control", "warning"] {
            assert_eq!(reply.header(name), miss.header(name), "{name}");
        }
    }
    // Another width is rendered from the cached source.
    let other = proxy.get("/cdn-cgi/image/width=80/a.png").await;
    other.assert_size(80, 60);
    assert_eq!(origin.asked().len(), 1, "over both lives");
    assert_eq!(proxy.renders(), 1.0, "in the second life");
    proxy.stop().await;
}

#[tokio::test]
async fn many_widths_of_one_source_cost_one_fetch() {
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    for width in [16, 32, 64, 128] {
        let reply = proxy
            .get(&format!("/cdn-cgi/image/width={width}/a.png"))
            .await;
        reply.assert_size(width, width * 3 / 4);
    }
    assert_eq!(origin.asked().len(), 1);
    assert_eq!(proxy.renders(), 4.0);
}

#[tokio::test]
async fn a_source_that_must_not_be_stored_is_stored_nowhere() {
    for control in ["no-store", "private, max-age=86400"] {
        let folder = tempfile::tempdir().expect("a folder");
        let answer = Answer::file(samples::png(640, 480))
            .with("cache-control", control)
            .with("etag", "\"v1\"");
        let origin = TestOrigin::with("/a.png", answer).await;
        let proxy = on(folder.path(), &origin).await;
        for count in 1..=3 {
            let reply = proxy.get(TARGET).await;
            reply
                .assert_size(160, 120)
                .assert_header("cache-control", "private, no-store")
                .assert_header("cache-status", "safelight; fwd=bypass; detail=no-store");
            assert_eq!(origin.asked().len(), count);
            assert!(!origin.last().headers.contains_key("if-none-match"));
        }
        let kept = |proxy: &TestProxy| proxy.metrics().sum("safelight_cache_entries", &[]);
        assert_eq!(kept(&proxy), 0.0);
        proxy.stop().await;
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_source_that_must_no_longer_be_stored_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = samples::png(640, 480);
    let origin = TestOrigin::with("/a.png", Answer::file(picture.clone())).await;
    let always_stale = |config: &mut Config| config.cache.min_ttl = setting("0 s");
    let proxy = TestProxy::keeping_in(folder.path(), &origin, always_stale).await;
    proxy.get(TARGET).await.assert_size(160, 120);
    origin.serve(
        "/a.png",
        Answer::file(picture).with("cache-control", "no-store"),
    );
    let reply = proxy.get(TARGET).await;
    reply.assert_header("cache-control", "private, no-store");
    proxy.stop().await;

    let proxy = TestProxy::keeping_in(folder.path(), &origin, always_stale).await;
    let asked = origin.asked().len();
    proxy.get(TARGET).await.assert_size(160, 120);
    assert_eq!(origin.asked().len(), asked + 1);
    assert!(!origin.last().headers.contains_key("if-none-match"));
}

/// Every file except lock files.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a folder").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("lock") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn an_expired_source_is_revalidated_and_its_renditions_stay() {
    let origin = TestOrigin::start().await;
    let answer = |version: &str, size| {
        Answer::file(samples::png(size, size))
            .with("etag", version)
            .with("cache-control", "max-age=0")
    };
    origin.serve("/a.png", answer("\"v1\"", 320));
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.min_ttl = setting("0 s");
    })
    .await;
    let first = proxy.get(TARGET).await;
    first.assert_size(160, 160);

    for count in 2..=4 {
        let reply = proxy.get(TARGET).await;
        reply.assert_header_has("cache-status", "hit");
        assert!(reply.body == first.body);
        assert_eq!(origin.asked().len(), count);
        let condition = origin.last().headers.get("if-none-match").cloned();
        assert_eq!(condition.expect("a condition"), "\"v1\"");
    }
    assert_eq!(proxy.renders(), 1.0, "nothing changed, nothing was made");
    let metrics = proxy.metrics();
    assert_eq!(
        metrics.sum(
            "safelight_source_fetches_total",
            &[("result", "not-modified")]
        ),
        3.0
    );

    // A client that has the picture causes a revalidation and no transfer.
    let etag = first.header("etag");
    let reply = proxy.get_with(TARGET, &[("if-none-match", &etag)]).await;
    reply.assert_status(304);
    assert_eq!(origin.asked().len(), 5);

    // Now the source changes.
    origin.serve("/a.png", answer("\"v2\"", 240));
    let changed = proxy.get_with(TARGET, &[("if-none-match", &etag)]).await;
    changed.assert_size(160, 160);
    assert_ne!(changed.header("etag"), etag);
    assert_eq!(proxy.renders(), 2.0);
}

#[tokio::test]
async fn a_source_is_revalidated_when_it_expires_and_not_before() {
    let origin = TestOrigin::start().await;
    let answer = Answer::file(samples::png(320, 240))
        .with("etag", "\"v1\"")
        .with("cache-control", "max-age=2");
    origin.serve("/a.png", answer);
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.min_ttl = setting("1 s");
    })
    .await;
    let first = proxy.get(TARGET).await;
    first.assert_header("cache-control", "public, max-age=2");
    eventually("it is asked about again", async || {
        let reply = proxy.get(TARGET).await;
        let age: u64 = reply.header("age").parse().expect("whole seconds");
        assert!(age < 2, "older than it may be: {reply}");
        origin.hits("/a.png") == 2
    })
    .await;
    assert!(origin.last().headers.contains_key("if-none-match"));
    assert_eq!(proxy.renders(), 1.0);
}

#[tokio::test]
async fn a_disk_that_refuses_every_write_fails_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    // Folders in place of lock files stop all writes, like a read-only disk, but for the user root as well.
    for store in ["renditions", "sources"] {
        let lock = folder.path().join("cache").join(store).join("lock");
        fs::create_dir_all(lock).expect("a folder");
    }
    let proxy = on(folder.path(), &origin).await;
    proxy.get(TARGET).await.assert_size(160, 120);
    proxy
        .get(TARGET)
        .await
        .assert_size(160, 120)
        .assert_header("cache-status", "safelight; hit; detail=memory");
    eventually("the failure is counted", async || {
        let failures = [("event", "write-failure")];
        proxy
            .metrics()
            .sum("safelight_cache_disk_events", &failures)
            > 0.0
    })
    .await;
    for store in ["renditions", "sources"] {
        let off = |reason| {
            let labels = [("store", store), ("reason", reason)];
            proxy.metrics().sum("safelight_cache_disk_off", &labels)
        };
        assert_eq!((off("broken"), off("full")), (1.0, 0.0), "{store}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_cache_folder_that_cannot_be_made_fails_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    fs::write(folder.path().join("cache"), "a file").expect("a folder");
    let proxy = on(folder.path(), &origin).await;
    proxy.get(TARGET).await.assert_size(160, 120);
    proxy
        .get(TARGET)
        .await
        .assert_header_has("cache-status", "detail=memory");
    proxy.stop().await;
}

#[tokio::test]
async fn a_full_disk_fails_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let settings = format!(
        "[zone]\norigin = \"{}\"\n[cache.disk]\npath = \"{}\"\n",
        origin.url(""),
        folder.path().join("cache").display()
    );
    // Eight blocks are 4 KiB: the log of a few requests fits, a picture does not.
    let mut server = Process::start_with_file_limit(&settings, 8).await;
    for width in [160, 161, 162] {
        let target = format!("/cdn-cgi/image/width={width},format=png/a.png");
        let reply = server.client.get(&target).await;
        reply.assert_status(200);
    }
    eventually("the failure is counted", async || {
        let failures = [("event", "write-failure")];
        let metrics = server.metrics().await;
        metrics.sum("safelight_cache_disk_events", &failures) > 0.0
    })
    .await;
    server.terminate().await;
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn damaged_files_are_never_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let proxy = on(folder.path(), &origin).await;
    let first = proxy.get(TARGET).await;
    first.assert_size(160, 120);
    proxy.stop().await;

    type Damage = fn(&Path);
    let damages: [Damage; 4] = [
        |file| {
            let mut bytes = fs::read(file).expect("it is there");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).expect("it is ours");
        },
        |file| {
            let bytes = fs::read(file).expect("it is there");
            fs::write(file, &bytes[..bytes.len() / 2]).expect("it is ours");
        },
        |file| fs::write(file, "").expect("it is ours"),
        |file| fs::remove_file(file).expect("it is ours"),
    ];
    for damage in damages {
        let kept = files(&folder.path().join("cache"));
        assert!(!kept.is_empty());
        for file in &kept {
            damage(file);
        }
        let proxy = on(folder.path(), &origin).await;
        let reply = proxy.get(TARGET).await;
        assert!(reply.body == first.body, "{reply}");
        assert_eq!(reply.header("etag"), first.header("etag"));
        proxy.stop().await;
    }
}

#[tokio::test]
async fn without_a_disk_cache_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let no_disk = |config: &mut Config| config.cache.disk.path = PathBuf::new();
    let proxy = TestProxy::keeping_in(folder.path(), &origin, no_disk).await;
    proxy.get(TARGET).await.assert_size(160, 120);
    proxy
        .get(TARGET)
        .await
        .assert_header_has("cache-status", "detail=memory");
    proxy.stop().await;
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn the_disk_cache_stays_within_its_budget() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(320, 240)).await;
    let budget = 400 << 10;
    let proxy = TestProxy::keeping_in(folder.path(), &origin, |config| {
        config.cache.disk.renditions = setting(&budget.to_string());
    })
    .await;
    for width in 200..240 {
        let target = format!("/cdn-cgi/image/width={width},format=png-force/a.png");
        proxy.get(&target).await.assert_status(200);
    }
    let evictions = [("store", "renditions"), ("event", "eviction")];
    eventually("older pictures make room", async || {
        proxy
            .metrics()
            .sum("safelight_cache_disk_events", &evictions)
            > 0.0
    })
    .await;
    proxy.stop().await;
    let held: u64 = files(&folder.path().join("cache/renditions"))
        .iter()
        .map(|file| fs::metadata(file).expect("it is there").len())
        .sum();
    assert!(held <= budget, "{held} bytes");
    let proxy = on(folder.path(), &origin).await;
    let newest = proxy
        .get("/cdn-cgi/image/width=239,format=png-force/a.png")
        .await;
    newest.assert_header_has("cache-status", "detail=disk");
    bounded("the end", proxy.stop()).await;
}

#[tokio::test]
async fn a_source_that_changes_during_a_render_is_never_served_under_the_old_tag() {
    let origin = TestOrigin::start().await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.min_ttl = setting("0 s");
    })
    .await;
    let mut tags = std::collections::HashMap::new();
    for version in 0..10_u32 {
        let answer = Answer::file(samples::png(100 + version % 3, 80))
            .with("etag", format!("\"v{}\"", version % 3))
            .with("cache-control", "max-age=0");
        origin.serve("/a.png", answer);
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let client = proxy.client().clone();
                tokio::spawn(async move { client.get(TARGET).await })
            })
            .collect();
        for asked in asking {
            let reply = bounded("an answer", asked).await.expect("no panic");
            reply.assert_status(200);
            let known = tags
                .entry(reply.header("etag"))
                .or_insert_with(|| reply.body.clone());
            assert!(*known == reply.body, "one tag, two pictures");
        }
    }
    assert_eq!(tags.len(), 3);
    tokio::time::timeout(Duration::from_secs(30), proxy.stop())
        .await
        .expect("it drains");
}
