//! What an answer says about itself.

use std::time::Duration;
use std::time::SystemTime;

use hyper::Method;

use crate::support::origin::Answer;
use crate::support::origin::TestOrigin;
use crate::support::proxy::TestProxy;
use crate::support::reply::Reply;
use crate::support::samples;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn picture() -> Answer {
    Answer::file(samples::png(64, 48))
        .with("cache-control", "public, max-age=86400")
        .with("etag", "\"v1\"")
        .with("last-modified", MODIFIED)
}

async fn world() -> (TestOrigin, TestProxy) {
    let origin = TestOrigin::with("/a.png", picture()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    (origin, proxy)
}

#[tokio::test]
async fn a_picture_has_every_header_it_should() {
    let (_origin, proxy) = world().await;
    let reply = proxy.get("/cdn-cgi/image/width=16,format=webp/a.png").await;
    reply
        .assert_size(16, 12)
        .assert_header("content-type", "image/webp")
        .assert_header("content-length", &reply.body.len().to_string())
        .assert_header("cache-control", "public, max-age=86400")
        .assert_header("last-modified", MODIFIED)
        .assert_header("cache-status", "safelight; fwd=miss; stored")
        .assert_header("x-content-type-options", "nosniff")
        .assert_header_has("content-security-policy", "default-src 'none'")
        .assert_header_has("content-security-policy", "sandbox")
        .assert_header_has("cf-resized", "internal=ok/m ")
        .assert_header_has("cf-resized", &format!(" l={}", reply.body.len()))
        .assert_no_header("vary")
        .assert_no_header("warning")
        .assert_no_header("set-cookie");
    let etag = reply.header("etag");
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    assert_ne!(etag, "\"v1\"", "the tag of a rendition is not its source's");
    let age: u64 = reply.header("age").parse().expect("whole seconds");
    assert!(age < 60);
    let date = httpdate::parse_http_date(&reply.header("date")).expect("a date");
    let off = SystemTime::now().duration_since(date).unwrap_or_default();
    assert!(off < Duration::from_secs(60));
    for step in ["fetch", "decode", "resize", "encode", "cache"] {
        let timing = reply.header("server-timing");
        let duration: f64 = timing
            .split(", ")
            .find_map(|entry| entry.strip_prefix(step)?.strip_prefix(";dur="))
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("no {step} in {timing}"));
        assert!((0.0..60_000.0).contains(&duration), "{timing}");
    }
}

#[tokio::test]
async fn a_hit_says_so_and_keeps_the_rest() {
    let (_origin, proxy) = world().await;
    let target = "/cdn-cgi/image/width=16,format=webp/a.png";
    let miss = proxy.get(target).await;
    let hit = proxy.get(target).await;
    hit.assert_header("cache-status", "safelight; hit; detail=memory")
        .assert_header_has("cf-resized", "internal=ram/h ");
    for name in [
        "etag",
        "content-type",
        "content-length",
        "cache-control",
        "last-modified",
    ] {
        assert_eq!(hit.header(name), miss.header(name), "{name}");
    }
    assert_eq!(hit.body, miss.body);
    let timing = hit.header("server-timing");
    assert!(!timing.contains("encode"), "nothing was rendered: {timing}");
}

#[tokio::test]
async fn formats_have_their_types() {
    let (origin, proxy) = world().await;
    origin.serve("/alpha.png", samples::translucent_png(64, 48));
    for (options, source, mime) in [
        ("width=16", "a.png", "image/jpeg"),
        ("width=16", "alpha.png", "image/png"),
        ("width=16,format=jpeg", "alpha.png", "image/jpeg"),
        ("width=16,format=baseline-jpeg", "a.png", "image/jpeg"),
        ("width=16,format=webp", "a.png", "image/webp"),
        ("width=16,format=avif", "a.png", "image/avif"),
        ("width=16,format=png", "a.png", "image/png"),
        ("width=16,format=png-force", "alpha.png", "image/png"),
    ] {
        let reply = proxy
            .get(&format!("/cdn-cgi/image/{options}/{source}"))
            .await;
        reply
            .assert_size(16, 12)
            .assert_header("content-type", mime);
    }
}

#[tokio::test]
async fn accept_decides_where_format_is_auto_and_vary_says_so() {
    let (_origin, proxy) = world().await;
    let auto = "/cdn-cgi/image/width=16,format=auto/a.png";
    for (accept, mime) in [
        ("image/avif,image/webp,image/*,*/*;q=0.8", "image/avif"),
        ("image/webp,*/*", "image/webp"),
        ("image/avif;q=0,image/webp", "image/webp"),
        ("*/*", "image/jpeg"),
        ("", "image/jpeg"),
    ] {
        let reply = proxy.get_with(auto, &[("accept", accept)]).await;
        reply
            .assert_size(16, 12)
            .assert_header("content-type", mime)
            .assert_header("vary", "Accept");
    }
    let none = proxy.get(auto).await;
    none.assert_header("content-type", "image/jpeg")
        .assert_header("vary", "Accept");

    let accept = [("accept", "image/avif,image/webp")];
    let fixed = proxy
        .get_with("/cdn-cgi/image/width=16/a.png", &accept)
        .await;
    fixed
        .assert_header("content-type", "image/jpeg")
        .assert_no_header("vary");
    let fixed = proxy
        .get_with(
            "/cdn-cgi/image/width=16,format=webp/a.png",
            &[("accept", "image/avif")],
        )
        .await;
    fixed
        .assert_header("content-type", "image/webp")
        .assert_no_header("vary");
}

#[tokio::test]
async fn vary_is_on_errors_and_on_not_modified_as_well() {
    let (origin, proxy) = world().await;
    origin.serve("/text", Answer::file("no picture"));
    for source in ["missing.png", "text", "http://elsewhere.test/a.png"] {
        let auto = proxy
            .get(&format!("/cdn-cgi/image/format=auto/{source}"))
            .await;
        let fixed = proxy
            .get(&format!("/cdn-cgi/image/format=webp/{source}"))
            .await;
        assert!(auto.status >= 400, "{auto}");
        assert_eq!(auto.status, fixed.status);
        fixed.assert_no_header("vary");
        if !source.starts_with("http") {
            auto.assert_header("vary", "Accept");
        }
    }
    for (options, vary) in [("format=auto", "Accept"), ("format=webp", "")] {
        let target = format!("/cdn-cgi/image/{options}/a.png");
        let first = proxy.get(&target).await;
        let second = proxy
            .get_with(&target, &[("if-none-match", &first.header("etag"))])
            .await;
        second.assert_status(304).assert_header("vary", vary);
    }
}

#[tokio::test]
async fn a_client_that_has_the_picture_is_told_so() {
    let (_origin, proxy) = world().await;
    let target = "/cdn-cgi/image/width=16,format=auto/a.png";
    let first = proxy.get(target).await;
    let etag = first.header("etag");
    let renders = proxy.renders();
    for condition in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"other\", {etag}"),
        "*".to_owned(),
    ] {
        let reply = proxy
            .get_with(target, &[("if-none-match", &condition)])
            .await;
        assert_not_modified(&reply, &first);
    }
    let since = [("if-modified-since", MODIFIED)];
    assert_not_modified(&proxy.get_with(target, &since).await, &first);
    assert_eq!(proxy.renders(), renders, "none of these made a picture");

    for headers in [
        &[("if-none-match", "\"other\"")][..],
        &[("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")],
        &[
            ("if-none-match", "\"other\""),
            ("if-modified-since", MODIFIED),
        ],
    ] {
        proxy.get_with(target, headers).await.assert_size(16, 12);
    }
}

#[track_caller]
fn assert_not_modified(reply: &Reply, first: &Reply) {
    reply
        .assert_status(304)
        .assert_no_header("content-type")
        .assert_header("x-content-type-options", "nosniff");
    assert!(reply.body.is_empty());
    for name in ["etag", "cache-control", "vary", "last-modified"] {
        assert_eq!(reply.header(name), first.header(name), "{name} of {reply}");
    }
}

#[tokio::test]
async fn not_modified_needs_no_render_even_where_nothing_was_rendered_yet() {
    let (origin, proxy) = world().await;
    let target = "/cdn-cgi/image/width=16/a.png";
    let etag = proxy.get(target).await.header("etag");
    let fresh = TestProxy::in_front_of(&origin).await;
    let reply = fresh.get_with(target, &[("if-none-match", &etag)]).await;
    reply.assert_status(304).assert_header("etag", &etag);
    assert_eq!(fresh.renders(), 0.0);
}

#[tokio::test]
async fn different_pictures_have_different_tags() {
    let (origin, proxy) = world().await;
    origin.serve("/b.png", picture());
    let mut tags = Vec::new();
    for target in [
        "/cdn-cgi/image/width=16/a.png",
        "/cdn-cgi/image/width=17/a.png",
        "/cdn-cgi/image/width=16,format=webp/a.png",
        "/cdn-cgi/image/width=16,quality=50/a.png",
        "/cdn-cgi/image/width=16/b.png",
    ] {
        tags.push(proxy.get(target).await.header("etag"));
    }
    let count = tags.len();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count);
    // The same thing in other words is the same thing.
    let spelled = proxy.get("/cdn-cgi/image/h=,q=85,dpr=2,w=8/a.png").await;
    let plain = proxy.get("/cdn-cgi/image/width=16/a.png").await;
    assert_eq!(spelled.header("etag"), plain.header("etag"));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let (origin, proxy) = world().await;
    origin.serve("/text", Answer::file("no picture"));
    for target in [
        "/cdn-cgi/image/width=16,format=auto/a.png",
        "/cdn-cgi/image/width=16/missing.png",
        "/cdn-cgi/image/width=16/text",
        "/cdn-cgi/image/nonsense/a.png",
    ] {
        let head = proxy.client().send(Method::HEAD, target, &[]).await;
        let get = proxy.get(target).await;
        assert!(head.body.is_empty());
        assert_eq!(head.status, get.status);
        assert_eq!(get.header("content-length"), get.body.len().to_string());
        let names = |reply: &Reply| {
            let mut names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&head), names(&get));
        for name in [
            "content-length",
            "content-type",
            "etag",
            "cache-control",
            "vary",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name} of {target}");
        }
    }
    let etag = proxy
        .get("/cdn-cgi/image/width=16/a.png")
        .await
        .header("etag");
    let reply = proxy
        .client()
        .send(
            Method::HEAD,
            "/cdn-cgi/image/width=16/a.png",
            &[("if-none-match", &etag)],
        )
        .await;
    reply.assert_status(304);
}

#[tokio::test]
async fn cache_control_is_the_origins_with_a_floor_of_an_hour() {
    let (origin, proxy) = world().await;
    let restrictive = "cf-images 299 \"cache-control is too restrictive\"";
    for (path, said, expected, warning) in [
        ("/none", "", "public, max-age=3600", ""),
        ("/day", "max-age=86400", "public, max-age=86400", ""),
        ("/hour", "max-age=3600", "public, max-age=3600", ""),
        (
            "/short",
            "max-age=1800",
            "public, max-age=3600",
            restrictive,
        ),
        (
            "/zero",
            "max-age=0, must-revalidate",
            "public, max-age=3600",
            restrictive,
        ),
        ("/no-cache", "no-cache", "public, max-age=3600", restrictive),
        (
            "/shared",
            "max-age=60, s-maxage=7200",
            "public, max-age=7200",
            "",
        ),
        (
            "/immutable",
            "public, max-age=31536000, immutable",
            "public, max-age=31536000, immutable",
            "",
        ),
        (
            "/forever",
            "max-age=99999999999",
            "public, max-age=31536000",
            "",
        ),
        (
            "/private",
            "private, max-age=86400",
            "private, no-store",
            "",
        ),
        ("/no-store", "no-store", "private, no-store", ""),
    ] {
        let answer = Answer::file(samples::png(8, 8));
        let answer = if said.is_empty() {
            answer
        } else {
            answer.with("cache-control", said)
        };
        origin.serve(path, answer);
        let reply = proxy.get(&format!("/cdn-cgi/image/width=4{path}")).await;
        reply
            .assert_size(4, 4)
            .assert_header("cache-control", expected)
            .assert_header("warning", warning);
    }
}

#[tokio::test]
async fn age_counts_from_what_the_origin_said() {
    let (origin, proxy) = world().await;
    let aged = picture().with("age", "1000");
    origin.serve("/aged.png", aged);
    let reply = proxy.get("/cdn-cgi/image/width=4/aged.png").await;
    let age: u64 = reply.header("age").parse().expect("whole seconds");
    assert!((1000..1060).contains(&age), "{reply}");
    reply.assert_header("cache-control", "public, max-age=86400");
    origin.serve(
        "/none",
        Answer::file(samples::png(8, 8)).with("cache-control", "no-store"),
    );
    let reply = proxy.get("/cdn-cgi/image/width=4/none").await;
    reply
        .assert_no_header("age")
        .assert_header("cache-status", "safelight; fwd=bypass; detail=no-store");
}

#[tokio::test]
async fn what_was_not_done_as_asked_is_warned_of() {
    let (_origin, proxy) = world().await;
    for (options, warning) in [
        (
            "width=16,fit=cover",
            "cover fit mode needs both width and height",
        ),
        ("width=4,dpr=4", "dpr"),
        ("width=abc,height=12", "width"),
        ("width=16,fit=inside", "fit"),
        ("width=16,blur=5", "blur"),
        ("width=16,rotate=90", "rotate"),
        ("width=16,gravity=face,height=16,fit=cover", "gravity"),
        ("width=16,format=json", "format"),
        ("width=16,trim=1;1;1;1", "trim"),
    ] {
        let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.png")).await;
        reply
            .assert_status(200)
            .assert_header_has("warning", "cf-images 299 \"")
            .assert_header_has("warning", warning);
        let again = proxy.get(&format!("/cdn-cgi/image/{options}/a.png")).await;
        assert_eq!(
            again.header("warning"),
            reply.header("warning"),
            "{options}"
        );
    }
}

#[tokio::test]
async fn errors_have_a_number_a_sentence_and_nothing_from_the_inside() {
    let (origin, proxy) = world().await;
    let authority = origin.authority();
    for (source, status, number) in [
        ("missing.png", 404, 9404),
        ("http://elsewhere.test/a.png", 403, 9401),
        ("ftp://x/a.png", 403, 9406),
    ] {
        let reply = proxy
            .get(&format!("/cdn-cgi/image/width=16/{source}"))
            .await;
        reply
            .assert_error(status, number)
            .assert_keeps_quiet_about(&[&authority])
            .assert_header_has("content-security-policy", "default-src 'none'")
            .assert_no_header("etag")
            .assert_no_header("age");
        assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    }
}

#[tokio::test]
async fn what_a_client_wrote_comes_back_harmless() {
    let (_origin, proxy) = world().await;
    let reply = proxy
        .get("/cdn-cgi/image/%3Cscript%3Ealert(1)%3C%2Fscript%3E%0D%0Ax-evil:1/a.png")
        .await;
    reply.assert_error(400, 9401).assert_no_header("x-evil");
    let reply = proxy
        .get("/cdn-cgi/image/width=16,fit=%22%0D%0Ax-evil:%201%5C/a.png")
        .await;
    reply.assert_size(16, 12).assert_no_header("x-evil");
}
