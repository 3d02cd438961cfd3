//! Under which name a browser saves a picture.

use hyper::Method;
use safelight::config::Config;

use crate::support::client::Client;
use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, allowed, zone};
use crate::support::samples;

const NAME: &str = "content-disposition";

/// An origin with a picture at every path, and a proxy with these settings of answers.
async fn world(settings: &str) -> (TestOrigin, TestProxy) {
    let picture = Answer::file(samples::png(64, 48)).with("cache-control", "max-age=86400");
    let origin = TestOrigin::with("*", picture).await;
    let drawing = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>";
    origin.serve("/logo.svg", drawing);
    let response = Config::parse(settings, [])
        .expect("right settings")
        .response;
    let zone = zone(&origin.url(""));
    let entries = allowed(&[origin.authority()]);
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.sources.allowed = entries;
        config.limits.avif_pixels = 100;
        config.response = response;
    })
    .await;
    (origin, proxy)
}

#[tokio::test]
async fn a_picture_is_called_as_its_source_with_its_own_extension() {
    let (origin, proxy) = world("").await;
    let absolute = origin.url("/deep/cat.png?v=1.jpg");
    let encoded = absolute.replace(':', "%3A").replace('/', "%2F");
    let h2 = Client::h2c(proxy.client().address());
    for (target, name) in [
        ("/cdn-cgi/image/width=16/cat.png", "cat.jpg"),
        ("/cdn-cgi/image/width=16,format=webp/cat.png", "cat.webp"),
        ("/cdn-cgi/image/width=8,format=avif/cat.png", "cat.avif"),
        // Too large for AVIF here.
        ("/cdn-cgi/image/width=16,format=avif/cat.png", "cat.webp"),
        ("/cdn-cgi/image/width=16,format=json/cat.png", "cat.json"),
        ("/cdn-cgi/image/width=16,format=auto/logo.svg", "logo.svg"),
        ("/cdn-cgi/image/width=16/deep/cat", "cat.jpg"),
        ("/cdn-cgi/image/width=16/deep/", "image.jpg"),
        ("/cdn-cgi/image/width=16/a.tar.gz?name=b.png", "a.tar.jpg"),
        (
            "/cdn-cgi/image/width=16/folder%2Fmy%20cat.png",
            "my cat.jpg",
        ),
        (
            &format!("/cdn-cgi/image/width=16,format=webp/{absolute}"),
            "cat.webp",
        ),
        (
            &format!("/cdn-cgi/image/width=16,format=webp/{encoded}"),
            "cat.webp",
        ),
        ("/_next/image?url=%2Fdeep%2Fcat.png&w=16&q=75", "cat.jpg"),
    ] {
        let expected = format!("inline; filename=\"{name}\"");
        for _ in ["miss", "hit"] {
            let reply = proxy.get(target).await;
            reply.assert_status(200).assert_header(NAME, &expected);
        }
        let reply = h2.send(Method::HEAD, target, &[]).await;
        reply.assert_status(200).assert_header(NAME, &expected);
    }
}

#[tokio::test]
async fn an_operator_may_have_pictures_saved() {
    let (_origin, proxy) = world("[response]\ndisposition = \"attachment\"\n").await;
    for (target, expected) in [
        (
            "/cdn-cgi/image/width=16/cat.png",
            "attachment; filename=\"cat.jpg\"",
        ),
        (
            "/_next/image?url=/k%C3%A4se.png&w=16&q=75",
            "attachment; filename=\"k_se.jpg\"; filename*=UTF-8''k%C3%A4se.jpg",
        ),
    ] {
        proxy.get(target).await.assert_header(NAME, expected);
    }
}

#[tokio::test]
async fn the_name_is_no_part_of_the_key() {
    let (_origin, proxy) = world("").await;
    let target = |source: &str| format!("/cdn-cgi/image/width=16/{source}");
    let first = proxy.get(&target("cat.png")).await;
    assert_eq!(proxy.renders(), 1.0);
    let (_origin, attaching) = world("[response]\ndisposition = \"attachment\"\n").await;
    let second = attaching.get(&target("cat.png")).await;
    assert_eq!(first.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn no_name_breaks_out_of_its_header() {
    let (_origin, proxy) = world("").await;
    for (source, expected) in [
        (
            "a%22%3B%20filename%3D%22b.exe",
            "inline; filename=\"a_; filename=_b.jpg\"",
        ),
        (
            "a%0D%0ASet-Cookie%3A%20b=c.png",
            "inline; filename=\"a__Set-Cookie_ b=c.jpg\"",
        ),
        ("..%5C..%5Cboot.ini", "inline; filename=\"boot.jpg\""),
        ("cat%E2%80%AEgpj.exe", "inline; filename=\"cat_gpj.jpg\""),
        ("%FF%FE.png", "inline; filename=\"__.jpg\""),
        ("%7F%C2%85.png", "inline; filename=\"__.jpg\""),
        (
            "100%25.png",
            "inline; filename=\"100_.jpg\"; filename*=UTF-8''100%25.jpg",
        ),
    ] {
        let target = format!("/cdn-cgi/image/width=16/{source}");
        let reply = proxy.get(&target).await;
        // Some of these the policy refuses.
        if reply.status == 200 {
            reply
                .assert_header(NAME, expected)
                .assert_no_header("set-cookie");
        } else {
            reply.assert_status(403).assert_no_header(NAME);
        }
    }
    let long = format!("/cdn-cgi/image/width=16/{}.png", "a".repeat(8000));
    let name = format!("inline; filename=\"{}.jpg\"", "a".repeat(200));
    proxy.get(&long).await.assert_header(NAME, &name);
}

#[tokio::test]
async fn only_an_answer_with_a_picture_has_a_name() {
    let (origin, proxy) = world("").await;
    origin.serve("/gone.png", Answer::status(404));
    let target = "/cdn-cgi/image/width=16/cat.png";
    let etag = proxy.get(target).await.header("etag");
    proxy
        .get_with(target, &[("range", "bytes=0-9")])
        .await
        .assert_status(206)
        .assert_header(NAME, "inline; filename=\"cat.jpg\"");
    for (status, target, header) in [
        (304, target, ("if-none-match", etag.as_str())),
        (412, target, ("if-match", "\"x\"")),
        (416, target, ("range", "bytes=99999-")),
        (404, "/cdn-cgi/image/width=16/gone.png", ("x-a", "b")),
    ] {
        proxy
            .get_with(target, &[header])
            .await
            .assert_status(status)
            .assert_no_header(NAME);
    }
}
