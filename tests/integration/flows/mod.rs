//! Flows: plain URLs that are transformed by rule, and what is sent where there is no picture.

mod in_place;
mod settings;

use hyper::Method;
use safelight::config::Config;
use safelight::policy::Originals;

use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::samples;

/// A flow for uploads and one for everything else.
const FLOWS: &str = r#"
    [[flow]]
    match = ["/uploads/**", "/products/**/*.{jpg,png}"]
    options = "format=webp,quality=80"
    query = ["width", "height", "w", "fit", "format", "quality", "dpr"]

    [[flow]]
    match = ["/auto/**"]
    options = "format=auto"
"#;

fn with_flows(config: &mut Config, text: &str) {
    config.flow = Config::parse(text, []).expect("flows").flow;
    config.zone.originals = Some(Originals::All);
    config.cache.interim_ttl = setting("0 s");
}

async fn proxy_with(origin: &TestOrigin, change: impl FnOnce(&mut Config)) -> TestProxy {
    let zone = zone(&origin.url(""));
    TestProxy::start(|config| {
        config.zone.origin = zone;
        with_flows(config, FLOWS);
        change(config);
    })
    .await
}

/// An origin with a picture of 64 by 48 pixels at every path, behind a proxy with both flows.
async fn world() -> (TestOrigin, TestProxy) {
    let origin = TestOrigin::with("*", samples::jpeg(64, 48)).await;
    let proxy = proxy_with(&origin, |_| {}).await;
    (origin, proxy)
}

#[tokio::test]
async fn a_plain_url_is_the_same_picture_as_its_transformation_url() {
    let (origin, proxy) = world().await;
    let plain = proxy.get("/uploads/a.jpg?width=32&v=1").await;
    plain.assert_size(32, 24);
    plain.assert_header("content-type", "image/webp");
    let target = "/cdn-cgi/image/width=32,format=webp,quality=80/uploads/a.jpg?v=1";
    let other = proxy.get(target).await;
    other.assert_header_has("cache-status", "hit; detail=memory");
    for name in [
        "etag",
        "vary",
        "cache-control",
        "content-type",
        "content-length",
    ] {
        other.assert_header(name, &plain.header(name));
    }
    assert_eq!(plain.body, other.body);
    assert_eq!(origin.asked().len(), 1, "one source");
    assert_eq!(origin.last().target, "/uploads/a.jpg?v=1");
    assert_eq!(proxy.renders(), 1.0, "one render");
    // And the other way round.
    let target = "/cdn-cgi/image/height=12,format=webp,quality=80/products/x/b.png";
    proxy.get(target).await.assert_size(16, 12);
    let plain = proxy.get("/products/x/b.png?height=12").await;
    plain.assert_size(16, 12);
    plain.assert_header_has("cache-status", "hit; detail=memory");
    assert_eq!(proxy.renders(), 2.0);
}

#[tokio::test]
async fn answers_name_their_flow() {
    let (_origin, proxy) = world().await;
    for (target, flow) in [
        ("/uploads/a.jpg", "flow;desc=\"/uploads/**\""),
        ("/products/1/2/a.png", "flow;desc=\"/uploads/**\""),
        ("/auto/a.png", "flow;desc=\"/auto/**\""),
    ] {
        let reply = proxy.get(target).await;
        reply.assert_status(200);
        reply.assert_header_has("server-timing", flow);
        reply.assert_header_has("cf-resized", "internal=ok/m");
        let etag = reply.header("etag");
        let again = [("if-none-match", etag.as_str())];
        let again = proxy.get_with(target, &again).await;
        again.assert_status(304);
        again.assert_header_has("server-timing", flow);
    }
    for target in ["/cdn-cgi/image/width=8/uploads/a.jpg", "/products/a.gif"] {
        let reply = proxy.get(target).await;
        reply.assert_status(200);
        assert!(!reply.header("server-timing").contains("flow"), "{reply}");
    }
    let count = |flow, result| {
        let labels = [("flow", flow), ("result", result)];
        proxy
            .metrics()
            .sum("safelight_flow_requests_total", &labels)
    };
    assert_eq!(count("/uploads/**", "picture"), 4.0);
    assert_eq!(count("/auto/**", "picture"), 2.0);
    assert_eq!(count("/auto/**", "original"), 0.0);
}

#[tokio::test]
async fn a_flow_negotiates_as_its_options_say() {
    let (_origin, proxy) = world().await;
    for (accept, mime) in [
        ("image/avif,image/webp", "image/avif"),
        ("image/webp", "image/webp"),
        ("*/*", "image/jpeg"),
    ] {
        let reply = proxy.get_with("/auto/a.jpg", &[("accept", accept)]).await;
        reply.assert_size(64, 48);
        reply.assert_header("content-type", mime);
        reply.assert_header("vary", "Accept");
    }
    let reply = proxy.get("/uploads/a.jpg").await;
    reply.assert_no_header("vary");
}

#[tokio::test]
async fn a_srcset_by_width_works() {
    let (origin, proxy) = world().await;
    for width in [8, 16, 32] {
        let reply = proxy.get(&format!("/uploads/a.jpg?width={width}")).await;
        reply.assert_size(width, width * 3 / 4);
    }
    let reply = proxy
        .get("/uploads/a.jpg?width=8&height=8&fit=crop&dpr=2")
        .await;
    reply.assert_size(16, 16);
    assert_eq!(origin.asked().len(), 1, "one source for all of them");
    assert_eq!(origin.last().target, "/uploads/a.jpg");
    // What no flow lists stays with the source.
    let reply = proxy.get("/uploads/a.jpg?h=8&blur=9&v=%2f&w=16").await;
    reply.assert_size(16, 12);
    assert_eq!(origin.last().target, "/uploads/a.jpg?h=8&blur=9&v=%2f");
}

#[tokio::test]
async fn a_wrong_value_is_ignored_with_a_warning() {
    let (origin, proxy) = world().await;
    for value in ["x", "0", "16,height=8", "16%2Cblur%3D9", "16/b.jpg"] {
        let reply = proxy.get(&format!("/uploads/a.jpg?width={value}")).await;
        reply.assert_size(64, 48);
        reply.assert_header_has("warning", "width must be a number of pixels");
    }
    assert_eq!(origin.asked().len(), 1);
    let reply = proxy.get("/uploads/a.jpg?width=8&dpr=9").await;
    reply.assert_size(24, 18);
    reply.assert_header_has("warning", "dpr > 3 should never be used");
    // A parameter goes before the option of the flow, without a word.
    let reply = proxy.get("/uploads/a.jpg?format=jpeg").await;
    reply.assert_header("content-type", "image/jpeg");
    reply.assert_no_header("warning");
}

#[tokio::test]
async fn conditions_ranges_and_head_are_as_for_any_picture() {
    let (_origin, proxy) = world().await;
    let whole = proxy.get("/uploads/a.jpg").await;
    let range = [("range", "bytes=2-5")];
    let part = proxy.get_with("/uploads/a.jpg", &range).await;
    part.assert_status(206);
    assert_eq!(part.body, whole.body[2..6]);
    let head = proxy
        .client()
        .send(Method::HEAD, "/uploads/a.jpg", &[])
        .await;
    head.assert_status(200);
    head.assert_header("content-length", &whole.body.len().to_string());
    head.assert_header("etag", &whole.header("etag"));
    assert!(head.body.is_empty());
    let unmet = [("if-match", "\"x\"")];
    proxy
        .get_with("/uploads/a.jpg", &unmet)
        .await
        .assert_status(412);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let reply = proxy.client().send(method, "/uploads/a.jpg", &[]).await;
        reply.assert_error(405, 9424);
        reply.assert_header("allow", "GET, HEAD, OPTIONS");
    }
}

/// A condition that many contents meet is answered by the content that there is.
#[tokio::test]
async fn conditions_are_evaluated_against_what_would_be_sent() {
    const DATE: &str = "Sun, 01 Nov 2026 10:00:00 GMT";
    let dated = |bytes: Vec<u8>| Answer::file(bytes).with("last-modified", DATE);
    let origin = TestOrigin::start().await;
    let page = b"<!doctype html>".to_vec();
    origin.serve("/uploads/page", dated(page).with("etag", "\"page\""));
    origin.serve(
        "/uploads/cut.png",
        dated(samples::png(90, 90)[..60].to_vec()),
    );
    origin.serve("/uploads/a.png", dated(samples::png(64, 48)));
    let proxy = proxy_with(&origin, |_| {}).await;
    let conditions = [
        ("if-modified-since", "Sun, 29 Nov 2026 10:00:00 GMT"),
        ("if-none-match", "*"),
    ];
    for condition in conditions {
        for _ in 0..2 {
            for path in ["/uploads/page", "/uploads/cut.png"] {
                let reply = proxy.get_with(path, &[condition]).await;
                reply.assert_no_header("content-security-policy");
                reply.assert_header_has("cf-resized", "err=");
            }
            let picture = proxy.get_with("/uploads/a.png", &[condition]).await;
            picture.assert_status(304);
        }
    }
    let own = [("if-none-match", "\"page\"")];
    let reply = proxy.get_with("/uploads/page", &own).await;
    reply.assert_status(304).assert_header("etag", "\"page\"");
    let etag = proxy.get("/uploads/a.png").await.header("etag");
    for header in ["if-none-match", "if-match"] {
        let reply = proxy.get_with("/uploads/a.png", &[(header, &etag)]).await;
        assert_eq!(reply.status, if header == "if-match" { 200 } else { 304 });
    }
    let other = proxy
        .get_with("/uploads/a.png", &[("if-match", "\"x\"")])
        .await;
    other.assert_status(412);
}

#[tokio::test]
async fn a_hit_of_a_flow_is_remembered_like_any_other() {
    let (_origin, proxy) = world().await;
    let remembered = || proxy.metrics().sum("safelight_requests_remembered", &[]);
    for _ in 0..3 {
        proxy.get("/uploads/a.jpg").await.assert_status(200);
    }
    assert_eq!(remembered(), 1.0);
    proxy
        .get("/uploads/a.jpg?width=abc")
        .await
        .assert_status(200);
    assert_eq!(remembered(), 2.0);
    // What becomes of a request of an image proxy is not what is remembered.
    let via = [("via", "1.1 image-resizing")];
    proxy.get_with("/uploads/a.jpg", &via).await;
    proxy.get("/uploads/a.jpg?quality=0").await;
    assert_eq!(remembered(), 2.0);
}

#[tokio::test]
async fn purges_take_the_pictures_of_flows() {
    let (origin, proxy) = world().await;
    let target = "/uploads/a.jpg?width=16&v=1";
    let mut expected = 0;
    for body in [
        r#"{"source":"/uploads/a.jpg?v=1"}"#,
        // The URL as its page has it.
        r#"{"source":"https://www.shop.test/uploads/a.jpg?width=16&v=1"}"#,
        r#"{"source":"/uploads/a.jpg?v=1&width=999"}"#,
        r#"{"url":"https://www.shop.test/uploads/a.jpg?width=16&v=1"}"#,
        r#"{"prefix":"/uploads/"}"#,
    ] {
        proxy.get(target).await.assert_size(16, 12);
        proxy
            .get(target)
            .await
            .assert_header_has("cache-status", "hit");
        proxy.purge(body).await;
        let reply = proxy.get(target).await;
        reply.assert_header_has("cache-status", "fwd=miss");
        expected += 1;
        assert_eq!(proxy.renders(), f64::from(expected + 1), "{body}");
    }
    assert!(origin.hits("/uploads/a.jpg") >= 4);
    let token = [("authorization", "Bearer a-token-for-tests")];
    let body = r#"{"url":"/other/a.jpg"}"#;
    let reply = proxy.admin().post("/purge", &token, body).await;
    reply.assert_status(400);
    assert!(reply.text().contains("or one that a flow takes"), "{reply}");
}

#[tokio::test]
async fn drawings_and_animations_are_as_by_a_url() {
    let origin = TestOrigin::with("/auto/a.svg", DRAWING).await;
    origin.serve("/auto/a.gif", samples::gif_of_comments(10));
    let proxy = proxy_with(&origin, |_| {}).await;
    let reply = proxy.get("/auto/a.svg").await;
    reply.assert_status(200);
    reply.assert_header("content-type", "image/svg+xml");
    assert!(!reply.text().contains("script"), "{reply}");
    let by_url = proxy.get("/cdn-cgi/image/format=auto/auto/a.svg").await;
    assert_eq!(by_url.body, reply.body);
    let reply = proxy.get("/auto/a.gif").await;
    let by_url = proxy.get("/cdn-cgi/image/format=auto/auto/a.gif").await;
    reply.assert_status(200);
    assert_eq!(by_url.body, reply.body);
    assert_eq!(proxy.renders(), 2.0);
}

const DRAWING: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">
<script>alert(2)</script><rect width="40" height="20" fill="#ff0000"/></svg>"##;
