//! Interim pictures: the first client gets a file that is encoded quickly; the second request starts the upgrade, whose result later ones get.

use tokio::task::JoinSet;

use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::reply::Reply;
use crate::support::{eventually, forget_bytes, samples};

const TARGET: &str = "/cdn-cgi/image/width=480,format=auto/a.jpg";
const ACCEPT: [(&str, &str); 1] = [("accept", "image/avif,image/webp")];

async fn get(proxy: &TestProxy) -> Reply {
    proxy.get_with(TARGET, &ACCEPT).await
}

fn upgrades(proxy: &TestProxy, result: &str) -> f64 {
    proxy
        .metrics()
        .sum("safelight_upgrades_total", &[("result", result)])
}

async fn upgraded(proxy: &TestProxy) {
    eventually("the settled picture is made", async || {
        upgrades(proxy, "made") > 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_request_starts_the_upgrade_that_the_third_gets() {
    for accept in ["image/avif,image/webp", "image/webp"] {
        let format = accept.split(',').next().unwrap_or_default();
        let headers = [("accept", accept)];
        assert_upgrade(format, &headers).await;
    }
}

async fn assert_upgrade(format: &str, accept: &[(&str, &str); 1]) {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let get = async |proxy: &TestProxy| proxy.get_with(TARGET, accept).await;
    let first = get(&proxy).await;
    first
        .assert_header("content-type", format)
        .assert_header(
            "cache-status",
            "safelight; fwd=miss; stored; detail=interim",
        )
        .assert_header("cache-control", "public, max-age=300")
        .assert_no_header("age")
        .assert_size(480, 360);
    let second = get(&proxy).await;
    second
        .assert_header("cache-status", "safelight; hit; detail=interim")
        .assert_header("etag", &first.header("etag"));
    assert!(second.body == first.body);
    upgraded(&proxy).await;
    let third = get(&proxy).await;
    third
        .assert_header("content-type", format)
        .assert_header("cache-status", "safelight; hit; detail=memory")
        .assert_header("cache-control", "public, max-age=3600")
        .assert_size(480, 360);
    assert_ne!(third.header("etag"), first.header("etag"));
    assert!(
        third.body.len() <= first.body.len(),
        "{} bytes after {}",
        third.body.len(),
        first.body.len()
    );
    // A client with the interim picture gets the settled one; a client with the settled one gets 304.
    let conditional = async |etag: String| {
        let headers = [accept[0], ("if-none-match", etag.as_str())];
        proxy.get_with(TARGET, &headers).await
    };
    conditional(first.header("etag")).await.assert_status(200);
    conditional(third.header("etag")).await.assert_status(304);
    assert_eq!(proxy.renders(), 2.0);
    assert_eq!(
        proxy.metrics().sum("safelight_interim_answers_total", &[]),
        2.0
    );
    assert_eq!(origin.hits("/a.jpg"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_start_one_upgrade() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    get(&proxy).await;
    let askers: Vec<_> = (0..60)
        .map(|_| {
            let client = proxy.client().clone();
            tokio::spawn(async move { client.get_with(TARGET, &ACCEPT).await })
        })
        .collect();
    for asker in askers {
        asker.await.expect("no panic").assert_size(480, 360);
    }
    upgraded(&proxy).await;
    for _ in 0..5 {
        get(&proxy)
            .await
            .assert_header("cache-status", "safelight; hit; detail=memory");
    }
    assert_eq!(upgrades(&proxy, "made"), 1.0);
    assert_eq!(proxy.renders(), 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_the_interim_picture_revalidates_and_gets_the_settled_one() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let etag = get(&proxy).await.header("etag");
    let headers = [ACCEPT[0], ("if-none-match", etag.as_str())];
    proxy
        .get_with(TARGET, &headers)
        .await
        .assert_status(304)
        .assert_header("etag", &etag)
        .assert_header("cache-control", "public, max-age=300");
    upgraded(&proxy).await;
    let settled = proxy.get_with(TARGET, &headers).await;
    settled.assert_size(480, 360);
    assert_ne!(settled.header("etag"), etag);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_interim_and_settled_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| {}).await;
    let interim = get(&proxy).await;
    proxy.stop().await;

    let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| {}).await;
    let kept = get(&proxy).await;
    kept.assert_header("cache-status", "safelight; hit; detail=interim")
        .assert_header("etag", &interim.header("etag"));
    upgraded(&proxy).await;
    let settled = get(&proxy).await;
    assert_ne!(settled.header("etag"), interim.header("etag"));
    proxy.stop().await;

    let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| {}).await;
    get(&proxy)
        .await
        .assert_header("cache-status", "safelight; hit; detail=disk")
        .assert_header("etag", &settled.header("etag"));
    assert_eq!(proxy.renders(), 0.0);
    let kept = proxy.metrics();
    let kept = kept.sum(
        "safelight_cache_entries",
        &[("tier", "disk"), ("store", "renditions")],
    );
    assert_eq!(kept, 1.0, "the interim one is gone");
    assert_eq!(origin.asked().len(), 1, "over three lives");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_upgrade_is_made_of_a_source_that_changed_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| {}).await;
    let old = get(&proxy).await;
    old.assert_size(480, 360);
    proxy.stop().await;
    forget_bytes(&folder.path().join("cache/sources"));

    origin.serve("/a.jpg", Answer::file(samples::jpeg(640, 400)));
    let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| {}).await;
    get(&proxy)
        .await
        .assert_header("cache-status", "safelight; hit; detail=interim")
        .assert_header("etag", &old.header("etag"));
    eventually("the change is noticed", async || {
        upgrades(&proxy, "skipped") > 0.0
    })
    .await;
    let new = get(&proxy).await;
    new.assert_size(480, 300).assert_header(
        "cache-status",
        "safelight; fwd=miss; stored; detail=interim",
    );
    assert_eq!(upgrades(&proxy, "made"), 0.0);
    get(&proxy).await.assert_size(480, 300);
    upgraded(&proxy).await;
    get(&proxy).await.assert_size(480, 300);
    proxy.stop().await;
}

/// A proxy with one worker, which so many large pictures keep busy, and the tasks that wait for those.
async fn busy(upgrade_share: u8, pictures: u32) -> (TestOrigin, TestProxy, JoinSet<Reply>) {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    origin.serve("/slow.jpg", samples::laborious());
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.workers = 1;
        config.limits.upgrade_share = upgrade_share;
    })
    .await;
    get(&proxy).await;
    let mut waiting = JoinSet::new();
    for picture in 0..pictures {
        let client = proxy.client().clone();
        let options = format!("width={},format=webp,quality=100", 480 - picture);
        waiting.spawn(async move {
            let target = format!("/cdn-cgi/image/{options}/slow.jpg");
            client.get(&target).await
        });
    }
    eventually("the worker is busy", async || {
        let normal = [("lane", "normal"), ("state", "running")];
        proxy.metrics().sum("safelight_cpu_jobs", &normal) > 0.0
    })
    .await;
    (origin, proxy, waiting)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_requested_again_is_upgraded_although_every_worker_is_busy() {
    let (_origin, proxy, mut waiting) = busy(100, 40).await;
    get(&proxy)
        .await
        .assert_header("cache-status", "safelight; hit; detail=interim");
    upgraded(&proxy).await;
    let queued = [("lane", "normal"), ("state", "waiting")];
    let queued = proxy.metrics().sum("safelight_cpu_jobs", &queued);
    assert!(queued > 0.0, "clients waited all the time");
    get(&proxy)
        .await
        .assert_header("cache-status", "safelight; hit; detail=memory");
    // What nobody waits for any more leaves the queue.
    waiting.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_share_no_upgrade_runs_while_a_request_waits_for_a_worker() {
    let (_origin, proxy, waiting) = busy(0, 1).await;
    get(&proxy)
        .await
        .assert_header("cache-status", "safelight; hit; detail=interim");
    for reply in waiting.join_all().await {
        reply.assert_status(200);
    }
    upgraded(&proxy).await;
    assert_eq!(proxy.renders(), 3.0);
    assert_eq!(upgrades(&proxy, "skipped"), 0.0);
}

#[tokio::test]
async fn interim_answers_can_be_turned_off() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.interim_ttl = setting("0 s");
    })
    .await;
    let first = get(&proxy).await;
    first
        .assert_header("cache-status", "safelight; fwd=miss; stored")
        .assert_header("cache-control", "public, max-age=3600");
    get(&proxy)
        .await
        .assert_header("etag", &first.header("etag"));
    assert_eq!(proxy.renders(), 1.0);
}

#[tokio::test]
async fn other_formats_have_no_interim_pictures() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    // Pictures in other formats, and two so small that full effort is quick.
    for options in [
        "width=480,format=png-force",
        "width=480",
        "width=200,format=avif",
        "width=200,format=webp",
    ] {
        let target = format!("/cdn-cgi/image/{options}/a.jpg");
        for status in ["fwd=miss; stored", "hit; detail=memory"] {
            proxy
                .get(&target)
                .await
                .assert_header("cache-status", &format!("safelight; {status}"))
                .assert_header("cache-control", "public, max-age=3600");
        }
    }
    assert_eq!(proxy.renders(), 4.0);
}
