//! Resolved requests are remembered, and never used for a request with another meaning.

use safelight::config::Config;

use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::samples;

fn remembered(proxy: &TestProxy) -> f64 {
    proxy.metrics().sum("safelight_requests_remembered", &[])
}

#[tokio::test]
async fn requests_that_differ_are_resolved_separately() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(64, 48)).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        // An interim picture would change its tag.
        config.cache.interim_ttl = setting("0 s");
    })
    .await;
    let target =
        "/cdn-cgi/image/width=auto,wbreakpoints=16;32;48,wdesktop=24,wmobile=20,format=auto/a.jpg";
    let clients = [
        (&[][..], "image/jpeg", 24),
        (&[("accept", "image/webp")], "image/webp", 24),
        (&[("accept", "image/avif")], "image/avif", 24),
        (&[("user-agent", "an iPhone")], "image/jpeg", 20),
        (&[("viewport-width", "33")], "image/jpeg", 48),
        (&[("sec-ch-viewport-width", "21")], "image/jpeg", 32),
    ];
    for round in 0..3 {
        for (headers, mime, width) in clients {
            let reply = proxy.get_with(target, headers).await;
            reply.assert_size(width, width * 3 / 4);
            reply.assert_header("content-type", mime);
            // A precondition does not change which picture is requested.
            let etag = reply.header("etag");
            let again = [headers, &[("if-none-match", &etag)]].concat();
            proxy.get_with(target, &again).await.assert_status(304);
        }
        let looping = [("via", "1.1 image-resizing")];
        proxy
            .get_with(target, &looping)
            .await
            .assert_error(508, 9403);
        assert_eq!(remembered(&proxy), clients.len() as f64, "round {round}");
    }
}

#[tokio::test]
async fn failed_requests_are_not_remembered() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(64, 48)).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.errors.not_found = setting("0 s");
    })
    .await;
    for target in [
        "/cdn-cgi/image/a.jpg",
        "/cdn-cgi/image/width=16/http://elsewhere.test/a.jpg",
        "/cdn-cgi/image/width=99999/a.jpg",
        "/cdn-cgi/image/width=16/cdn-cgi/image/width=16/a.jpg",
    ] {
        for _ in 0..2 {
            let status = proxy.get(target).await.status;
            assert!(status >= 400, "{target}: {status}");
        }
    }
    assert_eq!(remembered(&proxy), 0.0);
    // A source that does not exist may appear later; the request itself stays the same.
    proxy.get("/cdn-cgi/image/width=16/b.jpg").await;
    origin.serve("/b.jpg", Answer::file(samples::jpeg(64, 48)));
    let reply = proxy.get("/cdn-cgi/image/width=16/b.jpg").await;
    reply.assert_size(16, 12);
    assert_eq!(remembered(&proxy), 1.0);
}

#[tokio::test]
async fn headers_of_a_changed_source_are_not_remembered() {
    const TARGET: &str = "/cdn-cgi/image/width=16/a.jpg";
    let answer = |width, control| {
        Answer::file(samples::jpeg(width, 48))
            .with("cache-control", control)
            .with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
    };
    let origin = TestOrigin::with("/a.jpg", answer(64, "max-age=0")).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config: &mut Config| {
        config.zone.origin = zone;
        config.cache.min_ttl = setting("0 s");
    })
    .await;
    let first = proxy.get(TARGET).await;
    first.assert_size(16, 12);
    first.assert_header("cache-control", "public, max-age=0");
    origin.serve("/a.jpg", answer(32, "max-age=77"));
    let second = proxy.get(TARGET).await;
    second.assert_size(16, 24);
    second.assert_header("cache-control", "public, max-age=77");
    assert_ne!(first.header("etag"), second.header("etag"));
    assert_eq!(remembered(&proxy), 1.0);
}
