//! Headers of answers, ranges, preconditions, client hints, and errors.

use std::time::{Duration, SystemTime};

use hyper::Method;

use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, zone};
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
async fn section_6_1_a_picture_has_every_header_it_should() {
    let (_origin, proxy) = world().await;
    let reply = proxy.get("/cdn-cgi/image/width=16,format=webp/a.png").await;
    reply
        .assert_size(16, 12)
        .assert_header("content-type", "image/webp")
        .assert_header("content-length", &reply.body.len().to_string())
        .assert_header("accept-ranges", "bytes")
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
async fn a_hit_says_so_and_has_the_same_headers() {
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
async fn section_4_1_formats_have_their_types() {
    let (origin, proxy) = world().await;
    origin.serve("/alpha.png", samples::translucent_png(64, 48));
    for (options, source, mime) in [
        ("width=16", "a.png", "image/jpeg"),
        ("width=16", "alpha.png", "image/png"),
        ("width=16,format=jpeg", "alpha.png", "image/jpeg"),
        ("width=16,format=baseline-jpeg", "a.png", "image/jpeg"),
        ("width=16,format=webp", "a.png", "image/webp"),
        ("width=16,format=avif", "a.png", "image/avif"),
        ("width=16,format=png", "a.png", "image/jpeg"),
        ("width=16,format=png", "alpha.png", "image/png"),
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
async fn section_4_1_accept_decides_where_format_is_auto_and_vary_says_so() {
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
async fn section_6_3_a_client_that_has_the_picture_gets_304() {
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
async fn not_modified_needs_no_render_even_if_nothing_was_rendered_yet() {
    let (origin, proxy) = world().await;
    let target = "/cdn-cgi/image/width=16/a.png";
    let etag = proxy.get(target).await.header("etag");
    let fresh = TestProxy::in_front_of(&origin).await;
    let reply = fresh.get_with(target, &[("if-none-match", &etag)]).await;
    reply
        .assert_status(304)
        .assert_header("etag", &etag)
        .assert_header("cf-resized", "internal=ok/m");
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
    // Options that mean the same lead to the same tag.
    let spelled = proxy.get("/cdn-cgi/image/h=,q=85,dpr=2,w=8/a.png").await;
    let plain = proxy.get("/cdn-cgi/image/width=16,quality=85/a.png").await;
    assert_eq!(spelled.header("etag"), plain.header("etag"));
}

#[tokio::test]
async fn section_6_3_head_is_get_without_the_body() {
    let (origin, proxy) = world().await;
    origin.serve("/text", Answer::file("no picture"));
    for target in [
        "/cdn-cgi/image/width=16,format=auto/a.png",
        "/cdn-cgi/image/width=16/missing.png",
        "/cdn-cgi/image/width=16/text",
        "/cdn-cgi/image/nonsense/a.png",
    ] {
        // From here on the answers come from the cache.
        proxy.get(target).await;
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
async fn section_6_1_cache_control_is_the_origins_with_a_min_ttl_of_an_hour() {
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
async fn age_includes_the_age_that_the_origin_sent() {
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
async fn section_6_1_deviations_from_the_options_have_warnings() {
    let (_origin, proxy) = world().await;
    for (options, warning) in [
        (
            "width=16,fit=cover",
            "cover fit mode needs both width and height",
        ),
        ("width=4,dpr=4", "dpr"),
        ("width=abc,height=12", "width"),
        ("width=16,fit=inside", "fit"),
        ("width=16,gravity=face,height=16,fit=cover", "gravity"),
        ("width=16,format=png", "JPEG vs PNG selection is automatic"),
        ("width=16,upscale=generate", "upscale"),
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
async fn section_7_errors_have_a_number_and_a_sentence_and_reveal_nothing_internal() {
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
async fn text_from_the_client_is_escaped_in_errors() {
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

/// The client hints of a phone with a narrow screen and a slow connection.
const HINTS: [(&str, &str); 4] = [
    ("sec-ch-viewport-width", "28"),
    ("user-agent", "Mozilla/5.0 (Linux; Android 14)"),
    ("ect", "2g"),
    ("accept", "image/webp"),
];
const HINTED: &str =
    "width=auto,wbreakpoints=16;32;48,wdesktop=24,wmobile=20,quality=90,scq=10,format=auto";
const VARY: &str = "Accept, Sec-CH-Viewport-Width, User-Agent, RTT, Save-Data, ECT, Downlink";

#[tokio::test]
async fn section_2_22_the_viewport_decides_where_width_is_auto() {
    let (_origin, proxy) = world().await;
    let auto = "/cdn-cgi/image/width=auto,wbreakpoints=16;32;48,wdesktop=24,wmobile=20/a.png";
    let vary = "Sec-CH-Viewport-Width, Viewport-Width, User-Agent";
    for (headers, width, vary) in [
        (&[][..], 24, vary),
        (&[("user-agent", "an iPhone")], 20, vary),
        (&[("viewport-width", "33")], 48, vary),
        (
            &[("sec-ch-viewport-width", "17"), ("viewport-width", "48")],
            32,
            "Sec-CH-Viewport-Width, User-Agent",
        ),
        (
            &[("sec-ch-viewport-width", "9999")],
            48,
            "Sec-CH-Viewport-Width, User-Agent",
        ),
        (&[("sec-ch-viewport-width", "wide")], 24, vary),
    ] {
        let reply = proxy.get_with(auto, headers).await;
        reply
            .assert_size(width, width * 3 / 4)
            .assert_header("vary", vary)
            .assert_no_header("warning")
            .assert_no_header("accept-ch");
    }
    // The same width is the same picture, whatever led to it.
    let asked = [("sec-ch-viewport-width", "30")];
    let auto = proxy.get_with(auto, &asked).await;
    let fixed = proxy.get("/cdn-cgi/image/width=32/a.png").await;
    assert_eq!(auto.header("etag"), fixed.header("etag"));
    fixed.assert_header("cache-status", "safelight; hit; detail=memory");
}

#[tokio::test]
async fn section_2_23_a_slow_connection_gets_its_own_quality() {
    let (_origin, proxy) = world().await;
    let etag = async |options: &str, headers: &[(&str, &str)]| {
        let target = format!("/cdn-cgi/image/width=32,{options}/a.png");
        let reply = proxy.get_with(&target, headers).await;
        reply.assert_size(32, 24);
        (reply.header("etag"), reply.header("vary"))
    };
    let vary = "RTT, Save-Data, ECT, Downlink";
    let (low, _) = etag("quality=10", &[]).await;
    let (high, none) = etag("quality=90", &[("save-data", "on")]).await;
    assert_eq!(none, "");
    for slow in [
        ("rtt", "151"),
        ("save-data", "on"),
        ("ect", "3g"),
        ("downlink", "4.9"),
    ] {
        let found = etag("quality=90,scq=10", &[slow]).await;
        assert_eq!(found, (low.clone(), vary.to_owned()), "{slow:?}");
    }
    for fast in [
        ("rtt", "150"),
        ("save-data", "off"),
        ("ect", "4g"),
        ("downlink", "5"),
        ("downlink", "slow"),
    ] {
        let found = etag("quality=90,scq=10", &[fast]).await;
        assert_eq!(found, (high.clone(), vary.to_owned()), "{fast:?}");
    }
}

#[tokio::test]
async fn vary_is_the_same_on_every_kind_of_answer() {
    let (origin, proxy) = world().await;
    origin.serve("/text", Answer::file("no picture"));
    let target = format!("/cdn-cgi/image/{HINTED}/a.png");
    let ask = async |target: &str, more: &[(&str, &str)]| {
        let headers: Vec<_> = HINTS.iter().chain(more).copied().collect();
        proxy.get_with(target, &headers).await
    };
    let whole = ask(&target, &[]).await;
    whole.assert_size(32, 24).assert_header("vary", VARY);
    let etag = whole.header("etag");
    for (status, more) in [
        (206, ("range", "bytes=0-3")),
        (416, ("range", "bytes=999999-")),
        (304, ("if-none-match", etag.as_str())),
        (412, ("if-match", "\"other\"")),
    ] {
        let reply = ask(&target, &[more]).await;
        reply.assert_status(status).assert_header("vary", VARY);
    }
    for (source, status) in [("text", 415), ("missing.png", 404)] {
        let target = format!("/cdn-cgi/image/{HINTED}/{source}");
        let reply = ask(&target, &[]).await;
        reply.assert_status(status).assert_header("vary", VARY);
        let target = format!("/cdn-cgi/image/{HINTED},onerror=redirect/{source}");
        let reply = ask(&target, &[]).await;
        reply.assert_status(307).assert_header("vary", VARY);
    }
    // Refused before the fetch: the width follows from the viewport, and is too large.
    let wide = "/cdn-cgi/image/width=auto,wbreakpoints=16;99999/a.png";
    let reply = ask(wide, &[("viewport-width", "5")]).await;
    reply
        .assert_error(403, 9413)
        .assert_header("vary", "Sec-CH-Viewport-Width, User-Agent");
}

#[tokio::test]
async fn section_6_3_ranges_are_parts_of_one_picture() {
    let (_origin, proxy) = world().await;
    let target = "/cdn-cgi/image/width=32/a.png";
    // The first range request renders the picture, the next ones find it in memory.
    let first = proxy.get_with(target, &[("range", "bytes=0-9")]).await;
    first.assert_header("cache-status", "safelight; fwd=miss; stored");
    let whole = proxy.get(target).await;
    whole
        .assert_size(32, 24)
        .assert_header("accept-ranges", "bytes");
    let length = whole.body.len();
    for (range, part) in [
        ("bytes=0-9", 0..10),
        ("bytes=5-5", 5..6),
        ("bytes=10-", 10..length),
        ("bytes=-10", length - 10..length),
        ("bytes=0-999999", 0..length),
    ] {
        let reply = proxy.get_with(target, &[("range", range)]).await;
        let last = part.end - 1;
        reply
            .assert_status(206)
            .assert_header(
                "content-range",
                &format!("bytes {}-{last}/{length}", part.start),
            )
            .assert_header("content-length", &part.len().to_string())
            .assert_header("accept-ranges", "bytes");
        for name in ["etag", "content-type", "cache-control", "last-modified"] {
            assert_eq!(reply.header(name), whole.header(name), "{name} of {reply}");
        }
        assert!(reply.body[..] == whole.body[part], "{range}");
    }
    let reply = proxy.get_with(target, &[("range", "bytes=999999-")]).await;
    reply
        .assert_status(416)
        .assert_header("content-range", &format!("bytes */{length}"))
        .assert_header("content-length", "0")
        .assert_header("cache-control", "no-store")
        .assert_no_header("content-type");
    for range in ["bytes=0-4,10-14", "bytes=9-5", "lines=1-2", "nonsense"] {
        let reply = proxy.get_with(target, &[("range", range)]).await;
        reply.assert_size(32, 24).assert_no_header("content-range");
    }
    let range = [("range", "bytes=0-9")];
    let head = proxy.client().send(Method::HEAD, target, &range).await;
    head.assert_status(200)
        .assert_no_header("content-range")
        .assert_header("content-length", &length.to_string());
    assert_eq!(proxy.renders(), 1.0);
}

#[tokio::test]
async fn section_6_3_if_range_must_match_the_picture() {
    let (_origin, proxy) = world().await;
    let target = "/cdn-cgi/image/width=32/a.png";
    let etag = proxy.get(target).await.header("etag");
    for (condition, status) in [
        (etag.clone(), 206),
        (MODIFIED.to_owned(), 200),
        (format!("W/{etag}"), 200),
        ("\"other\"".to_owned(), 200),
        ("Sun, 06 Nov 1994 08:49:38 GMT".to_owned(), 200),
        ("nonsense".to_owned(), 200),
    ] {
        let headers = [("range", "bytes=0-9"), ("if-range", condition.as_str())];
        let reply = proxy.get_with(target, &headers).await;
        reply.assert_status(status);
    }
    // Preconditions are evaluated before ranges.
    let headers = [("range", "bytes=0-9"), ("if-none-match", etag.as_str())];
    proxy.get_with(target, &headers).await.assert_status(304);
}

#[tokio::test]
async fn section_6_3_if_match_must_match_the_picture() {
    let (_origin, proxy) = world().await;
    let target = "/cdn-cgi/image/width=32/a.png";
    let etag = proxy.get(target).await.header("etag");
    let early = "Sun, 06 Nov 1994 08:49:36 GMT";
    for (name, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", "*", 200),
        ("if-match", "\"other\"", 412),
        ("if-unmodified-since", MODIFIED, 200),
        ("if-unmodified-since", early, 412),
    ] {
        let reply = proxy.get_with(target, &[(name, value)]).await;
        reply.assert_status(status);
        if status == 412 {
            reply
                .assert_header("etag", &etag)
                .assert_header("cache-control", "no-store")
                .assert_header("content-length", "0")
                .assert_no_header("content-type");
        }
    }
    let both = [("if-match", "\"other\""), ("if-none-match", etag.as_str())];
    proxy.get_with(target, &both).await.assert_status(412);
}

#[tokio::test]
async fn section_2_15_onerror_redirect_sends_the_client_to_the_source() {
    let (origin, proxy) = world().await;
    origin.serve("/text", Answer::file("no picture"));
    let own = proxy.client().address();
    let other = origin.url("/text");
    for (options, source, number, location) in [
        ("width=16", "text?v=1", 9412, "/text?v=1".to_owned()),
        ("width=16", "missing.png", 9404, "/missing.png".to_owned()),
        ("width=99999", "a.png", 9413, "/a.png".to_owned()),
        ("blur=300", "a.png", 9401, "/a.png".to_owned()),
        ("format=mp4", "a%20b.png", 9401, "/a%20b.png".to_owned()),
        (
            "width=16",
            &format!("http://{own}/text"),
            9412,
            "/text".to_owned(),
        ),
        (
            "width=16",
            &format!("http://{own}//text"),
            9412,
            "/text".to_owned(),
        ),
    ] {
        let reply = proxy
            .get(&format!(
                "/cdn-cgi/image/{options},onerror=redirect/{source}"
            ))
            .await;
        reply
            .assert_status(307)
            .assert_header("location", &location)
            .assert_header("cf-resized", &format!("err={number}"))
            .assert_header("cache-control", "no-store")
            .assert_header("content-type", "text/plain; charset=utf-8")
            .assert_header("content-length", &reply.body.len().to_string())
            .assert_no_header("retry-after");
        assert!(reply.text().starts_with(&format!("ERROR {number}: ")));
        let plain = proxy
            .get(&format!("/cdn-cgi/image/{options}/{source}"))
            .await;
        plain.assert_no_header("location");
        assert_eq!(plain.header("cf-resized"), reply.header("cf-resized"));
    }
    for (source, status, number) in [
        (other.as_str(), 415, 9412),
        ("http://elsewhere.test/a.png", 403, 9401),
        ("cdn-cgi/image/width=8/a.png", 508, 9403),
        ("%63dn-cgi/image/width=8/a.png", 508, 9403),
        ("cdn-cgi/./image/width=8/a.png", 508, 9403),
        ("..%2f..%2fa.png", 403, 9419),
        ("ftp://h/a.png", 403, 9406),
    ] {
        let target = format!("/cdn-cgi/image/width=16,onerror=redirect/{source}");
        let reply = proxy.get(&target).await;
        reply
            .assert_error(status, number)
            .assert_no_header("location");
    }
    let via = [("via", "1.1 image-resizing")];
    let target = "/cdn-cgi/image/width=16,onerror=redirect/text";
    let reply = proxy.get_with(target, &via).await;
    reply.assert_error(508, 9403).assert_no_header("location");
    // A picture that can be rendered is not redirected.
    proxy
        .get("/cdn-cgi/image/width=16,onerror=redirect/a.png")
        .await
        .assert_size(16, 12)
        .assert_no_header("location");
    let head = proxy.client().send(Method::HEAD, target, &[]).await;
    head.assert_status(307).assert_header("location", "/text");
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn strict_mode_reports_every_option_without_effect() {
    let (origin, _) = world().await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.policy.strict = true;
    })
    .await;
    proxy
        .get("/cdn-cgi/image/width=16,format=auto,onerror=redirect/a.png")
        .await
        .assert_size(16, 12);
    let reply = proxy
        .get("/cdn-cgi/image/w=16,width=8,height=,bogus=1,fit=inside,q=abc,dpr=9,gravity=face,onerror=redirect/a.png")
        .await;
    reply.assert_error(400, 9401).assert_no_header("location");
    for reason in [
        "`width` is given twice",
        "`height` is empty",
        "`bogus` is unknown",
        "got inside: ignored",
        "got abc: ignored",
        "dpr > 3 should never be used",
        "gravity=face has no effect yet",
        "`gravity` counts only where",
    ] {
        assert!(reply.text().contains(reason), "{reason}: {reply}");
    }
    let many = "unknown=1,".repeat(2000);
    let reply = proxy.get(&format!("/cdn-cgi/image/{many}w=5/a.png")).await;
    reply.assert_error(400, 9401);
    assert!(reply.body.len() < 3000, "{}", reply.body.len());
}
