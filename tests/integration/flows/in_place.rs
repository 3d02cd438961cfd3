//! What is sent in the place of a picture that cannot be made.

use std::time::{Duration, Instant};

use hyper::Method;
use safelight::policy::Originals;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::{FLOWS, proxy_with, with_flows};
use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::reply::Reply;
use crate::support::{eventually, samples};

const DOCUMENT: &str = "Notes, and not a picture.";

/// A document with the headers of an origin.
fn document() -> Answer {
    Answer::file(DOCUMENT)
        .with("content-type", "text/plain")
        .with("etag", "\"document\"")
        .with("cache-control", "public, max-age=777")
        .with("vary", "Accept-Encoding")
}

/// A file that begins as a JPEG does, and is none.
fn broken() -> Vec<u8> {
    let mut bytes = samples::jpeg(64, 48);
    bytes.truncate(200);
    bytes.resize(600, 0);
    bytes
}

#[track_caller]
fn assert_in_place(reply: &Reply, bytes: impl AsRef<[u8]>, number: u16, reason: &str) {
    reply
        .assert_status(200)
        .assert_header("cf-resized", &format!("err={number}"))
        .assert_header_has(
            "warning",
            &format!("cf-images 299 \"sent as it is: {reason}"),
        )
        .assert_header_has("server-timing", "flow;desc=\"/")
        .assert_header("cache-status", "safelight; fwd=bypass; detail=original");
    assert!(reply.body == bytes.as_ref(), "other bytes: {reply}");
}

#[tokio::test]
async fn what_is_no_picture_is_sent_as_it_is() {
    let origin = TestOrigin::with("/uploads/a.txt", document()).await;
    origin.serve("/auto/a.txt", document());
    let proxy = proxy_with(&origin, |_| {}).await;
    let reply = proxy.get("/uploads/a.txt?width=400&v=1").await;
    assert_in_place(&reply, DOCUMENT, 9412, "the source is");
    reply
        .assert_header("content-type", "text/plain")
        .assert_header("etag", "\"document\"")
        .assert_header("cache-control", "public, max-age=777")
        .assert_header("vary", "Accept-Encoding");
    assert_eq!(origin.last().target, "/uploads/a.txt?v=1");
    // A picture at this URL would depend on `Accept`.
    let reply = proxy.get("/auto/a.txt").await;
    reply.assert_header("vary", "Accept-Encoding, Accept");
    let head = proxy
        .client()
        .send(Method::HEAD, "/uploads/a.txt?v=1", &[])
        .await;
    head.assert_status(200)
        .assert_header("cf-resized", "err=9412");
    assert!(head.body.is_empty());
    let metrics = proxy.metrics();
    let labels = [("flow", "/uploads/**"), ("result", "original")];
    assert_eq!(metrics.sum("safelight_flow_requests_total", &labels), 2.0);
    let labels = [("outcome", "original"), ("status", "200")];
    assert_eq!(metrics.sum("safelight_requests_total", &labels), 3.0);
    let labels = [("code", "not-an-image")];
    assert_eq!(metrics.sum("safelight_errors_total", &labels), 3.0);
}

#[tokio::test]
async fn that_a_source_is_no_picture_is_remembered() {
    let origin = TestOrigin::with("/uploads/a.txt", document()).await;
    let proxy = proxy_with(&origin, |_| {}).await;
    for _ in 0..4 {
        assert_in_place(&proxy.get("/uploads/a.txt").await, DOCUMENT, 9412, "");
    }
    // Once to see what it is, and once for each request.
    assert_eq!(origin.hits("/uploads/a.txt"), 5);
    // Another width is another request, of the same source.
    assert_in_place(
        &proxy.get("/uploads/a.txt?width=9").await,
        DOCUMENT,
        9412,
        "",
    );
    assert_eq!(origin.hits("/uploads/a.txt"), 6);
}

#[tokio::test]
async fn a_broken_picture_is_sent_as_it_is() {
    let origin = TestOrigin::with("/uploads/a.jpg", broken()).await;
    for originals in [Originals::All, Originals::Pictures] {
        let proxy = proxy_with(&origin, |config| config.zone.originals = Some(originals)).await;
        let reply = proxy.get("/uploads/a.jpg").await;
        assert_in_place(&reply, broken(), 9516, "the source is damaged");
        assert_ne!(reply.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn what_is_too_large_is_sent_as_it_is() {
    let origin = TestOrigin::with("/uploads/a.png", samples::png(600, 400)).await;
    let picture = samples::png(600, 400);
    let proxy = proxy_with(&origin, |config| {
        config.limits.source_bytes = setting("1 KiB")
    })
    .await;
    let reply = proxy.get("/uploads/a.png").await;
    assert_in_place(&reply, &picture, 9402, "the source is larger than");
    let proxy = proxy_with(&origin, |config| config.limits.source_pixels = 100).await;
    let reply = proxy.get("/uploads/a.png").await;
    assert_in_place(&reply, &picture, 9413, "");
    let proxy = proxy_with(&origin, |config| {
        config.limits.render_memory = setting("1 MiB");
    })
    .await;
    let reply = proxy.get("/uploads/a.png").await;
    assert_in_place(&reply, &picture, 9413, "");
}

#[tokio::test]
async fn options_that_are_an_error_in_a_url_lead_to_the_original() {
    let picture = samples::jpeg(64, 48);
    let origin = TestOrigin::with("*", picture.clone()).await;
    let proxy = proxy_with(&origin, |_| {}).await;
    for (query, number, reason) in [
        ("quality=0", 9401, "option `quality` must be a whole number"),
        ("format=exe", 9401, "'exe' is not a supported output format"),
        (
            "width=99999",
            9413,
            "option `width` times `dpr` must be at most",
        ),
    ] {
        let reply = proxy.get(&format!("/uploads/a.jpg?{query}&v=1")).await;
        assert_in_place(&reply, &picture, number, reason);
        assert_eq!(origin.last().target, "/uploads/a.jpg?v=1");
        assert_ne!(reply.header("cache-control"), "no-store");
    }
    let strict = proxy_with(&origin, |config| config.policy.strict = true).await;
    let reply = strict.get("/uploads/a.jpg?width=x").await;
    assert_in_place(&reply, &picture, 9401, "strict mode: width must be");
}

#[tokio::test]
async fn a_drawing_that_must_be_pixels_is_sent_as_it_is_in_a_sandbox() {
    let drawing = "<svg xmlns='http://www.w3.org/2000/svg' width='4' height='4'/>";
    let answer = Answer::file(drawing).with("content-type", "image/svg+xml");
    let origin = TestOrigin::with("/uploads/a.svg", answer).await;
    let proxy = proxy_with(&origin, |_| {}).await;
    let reply = proxy.get("/uploads/a.svg").await;
    assert_in_place(&reply, drawing, 9412, "the source is SVG");
    reply.assert_header_has("content-security-policy", "sandbox");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_sends_originals_that_nobody_keeps() {
    let slow = samples::laborious();
    let origin = TestOrigin::with("/slow.jpg", slow.clone()).await;
    origin.serve(
        "/uploads/a.jpg",
        Answer::file(slow.clone())
            .with("cache-control", "public, max-age=777")
            .with("expires", "Thu, 01 Jan 2099 00:00:00 GMT")
            .with("age", "7"),
    );
    let proxy = proxy_with(&origin, |config| {
        config.limits.workers = 1;
        config.limits.queue = 0;
    })
    .await;
    let client = proxy.client().clone();
    let worker = tokio::spawn(async move {
        let target = format!("/cdn-cgi/image/{}/slow.jpg", samples::LABORIOUS);
        client.get(&target).await
    });
    eventually("the worker is busy", async || {
        proxy.metrics().sum("safelight_cpu_jobs", &[]) > 0.0
    })
    .await;
    let target = "/uploads/a.jpg?format=avif&quality=95";
    let reply = proxy.get(target).await;
    assert_in_place(&reply, &slow, 9522, "too busy");
    reply
        .assert_header("cache-control", "no-store")
        .assert_no_header("age")
        .assert_no_header("expires");
    worker.await.expect("no panic").assert_status(200);
    // The same request is a picture as soon as there is time for one.
    let reply = proxy.get(target).await;
    reply.assert_header("content-type", "image/avif");
    reply.assert_header_has("cf-resized", "internal=ok/m");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_takes_too_long_is_sent_as_it_is() {
    let slow = samples::laborious();
    let origin = TestOrigin::with("/uploads/a.jpg", slow.clone()).await;
    let proxy = proxy_with(&origin, |config| {
        config.server.request_timeout = setting("600 ms");
    })
    .await;
    for _ in 0..2 {
        let reply = proxy.get("/uploads/a.jpg?format=avif&quality=95").await;
        assert_in_place(&reply, &slow, 9529, "");
        reply.assert_header("cache-control", "no-store");
    }
    eventually("the worker has ended", async || {
        proxy.metrics().sum("safelight_cpu_jobs", &[]) == 0.0
    })
    .await;
}

#[tokio::test]
async fn ranges_and_conditions_hold_for_the_original_too() {
    let origin = TestOrigin::with("/uploads/a.txt", document()).await;
    let proxy = proxy_with(&origin, |_| {}).await;
    proxy.get("/uploads/a.txt").await.assert_status(200);
    proxy
        .get_with("/uploads/a.txt", &[("range", "bytes=1-3")])
        .await;
    let asked = origin.last();
    assert_eq!(asked.headers["range"], "bytes=1-3");
    proxy
        .get_with("/uploads/a.txt", &[("if-none-match", "\"document\"")])
        .await;
    assert_eq!(origin.last().headers["if-none-match"], "\"document\"");
    // A picture of a flow has a tag of its own.
    origin.serve("/uploads/a.jpg", samples::jpeg(64, 48));
    let known = [("if-none-match", "\"document\"")];
    proxy
        .get_with("/uploads/a.jpg", &known)
        .await
        .assert_size(64, 48);
}

#[tokio::test]
async fn an_original_that_cannot_be_had_is_an_error() {
    let origin = TestOrigin::start().await;
    origin.serve("/uploads/failing.jpg", Answer::status(500));
    origin.serve("/uploads/secret.jpg", Answer::status(401));
    let proxy = proxy_with(&origin, |_| {}).await;
    // What is not there may be the target of a redirect, so that it is asked for as an original as well.
    for (path, status, number, most) in [
        ("/uploads/missing.jpg", 404, 9404, 2),
        ("/uploads/failing.jpg", 502, 9509, 1),
        ("/uploads/secret.jpg", 403, 9408, 2),
        ("/uploads/..%2f..%2fetc%2fpasswd", 403, 9419, 0),
    ] {
        let reply = proxy.get(path).await;
        reply.assert_error(status, number);
        reply.assert_header_has("server-timing", "flow;desc=\"/uploads/**\"");
        assert!(origin.hits(path) <= most, "{path}");
    }
    let labels = [("flow", "/uploads/**"), ("result", "error")];
    let count = proxy
        .metrics()
        .sum("safelight_flow_requests_total", &labels);
    assert_eq!(count, 4.0);
    // `onerror` does not redirect to the URL itself.
    let text = "[[flow]]\nmatch = ['/a/**']\noptions = 'width=8,onerror=redirect'";
    let proxy = proxy_with(&origin, |config| with_flows(config, text)).await;
    proxy.get("/a/missing.jpg").await.assert_error(404, 9404);
}

/// Relative links in a page only work at the page's own path, wherever the redirect leads.
#[tokio::test]
async fn redirects_that_lead_to_no_picture_are_passed_on() {
    let origin = TestOrigin::start().await;
    origin.serve("/uploads/page", document());
    for (from, to) in [
        ("/uploads/a", "/uploads/page"),
        ("/uploads/b", "/uploads/missing"),
        ("/uploads/c", "/uploads/c"),
    ] {
        origin.serve(from, Answer::redirect(302, to));
        let proxy = proxy_with(&origin, |_| {}).await;
        let reply = proxy.get(from).await;
        reply.assert_status(302).assert_header("location", to);
    }
}

#[tokio::test]
async fn without_originals_the_error_is_that_of_the_url() {
    let origin = TestOrigin::with("/uploads/a.txt", document()).await;
    origin.serve("/uploads/a.jpg", samples::jpeg(64, 48));
    let proxy = proxy_with(&origin, |config| {
        config.zone.originals = Some(Originals::None)
    })
    .await;
    proxy
        .get("/uploads/a.jpg?width=16")
        .await
        .assert_size(16, 12);
    proxy.get("/uploads/a.txt").await.assert_error(415, 9412);
    proxy
        .get("/uploads/a.jpg?quality=0")
        .await
        .assert_error(400, 9401);
    proxy
        .get("/other/a.jpg")
        .await
        .assert_status(404)
        .assert_no_header("cf-resized");
    let via = [("via", "1.1 image-resizing")];
    proxy
        .get_with("/uploads/a.jpg", &via)
        .await
        .assert_status(404);
    let reply = proxy
        .client()
        .send(Method::POST, "/uploads/a.jpg", &[])
        .await;
    reply.assert_error(405, 9424);
}

#[tokio::test]
async fn where_only_pictures_are_served_nothing_else_is_exposed() {
    let origin = TestOrigin::with("/uploads/a.txt", document()).await;
    let proxy = proxy_with(&origin, |config| {
        config.zone.originals = Some(Originals::Pictures);
    })
    .await;
    let reply = proxy.get("/uploads/a.txt").await;
    reply.assert_status(404);
    assert!(!reply.text().contains("Notes"), "{reply}");
}

/// Its bytes may be whole by now, and then the next answer is made of them.
#[tokio::test]
async fn a_picture_in_place_is_cached_for_no_longer_than_its_error() {
    let origin = TestOrigin::start().await;
    let lasting = |bytes: &[u8], mime: &str| {
        Answer::file(bytes.to_vec())
            .with("content-type", mime)
            .with("cache-control", "public, max-age=31536000, immutable")
            .with("expires", "Thu, 01 Jan 2099 00:00:00 GMT")
    };
    origin.serve(
        "/uploads/a.png",
        lasting(&samples::png(90, 90)[..60], "image/png"),
    );
    origin.serve("/uploads/a.css", lasting(b"a{}", "text/css"));
    let cut =
        || Answer::file(samples::png(90, 90)[..60].to_vec()).with("content-type", "image/png");
    for (path, control) in [
        ("/uploads/short.png", "max-age=5"),
        ("/uploads/private.png", "private, max-age=99"),
    ] {
        origin.serve(path, cut().with("cache-control", control));
    }
    let proxy = proxy_with(&origin, |_| {}).await;
    // What the origin says is never made longer.
    let short = proxy.get("/uploads/short.png").await;
    short.assert_header("cache-control", "public, max-age=5");
    let private = proxy.get("/uploads/private.png").await;
    private.assert_header("cache-control", "no-store");
    let reply = proxy.get("/uploads/a.png").await;
    reply.assert_header("cache-control", "public, max-age=60");
    reply.assert_no_header("expires");
    let reply = proxy.get("/uploads/a.css").await;
    reply.assert_header("cache-control", "public, max-age=31536000, immutable");
}

#[tokio::test]
async fn image_proxies_get_the_original() {
    let picture = samples::jpeg(64, 48);
    let answer = Answer::file(picture.clone()).with("content-type", "image/jpeg");
    let origin = TestOrigin::with("*", answer).await;
    let proxy = proxy_with(&origin, |_| {}).await;
    for via in [
        "1.1 image-resizing",
        "1.1 safelight",
        "2 a, 1.1 Image-Resizing",
    ] {
        // Once the picture is remembered as well.
        proxy.get("/uploads/a.jpg?width=8").await.assert_size(8, 6);
        let reply = proxy
            .get_with("/uploads/a.jpg?width=8", &[("via", via)])
            .await;
        reply.assert_size(64, 48);
        reply.assert_no_header("cf-resized");
        reply.assert_header("vary", "Via");
        assert!(reply.body == picture, "{via}");
        assert_eq!(origin.last().target, "/uploads/a.jpg?width=8");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_this_server_is_no_loop() {
    // The zone's address leads to the proxy.
    let relay = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = relay.local_addr().expect("it is bound");
    let own = zone(&format!("http://{address}"));
    let proxy = TestProxy::start(|config| {
        with_flows(config, FLOWS);
        config.zone.origin = own;
    })
    .await;
    let target = proxy.client().address();
    let relaying = tokio::spawn(async move {
        while let Ok((mut client, _)) = relay.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(target).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    let started = Instant::now();
    let reply = proxy.get("/uploads/a.jpg").await;
    reply.assert_status(508);
    assert!(started.elapsed() < Duration::from_secs(8), "{reply}");
    relaying.abort();
}
