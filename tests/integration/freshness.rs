//! Freshness: how long sources and errors are cached, and what clients are told about it, whatever origins send.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use safelight::bucket;
use safelight::bucket::{AddressingStyle, Credentials};
use safelight::source::RuleConfig;

use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, allowed, setting, zone};
use crate::support::raw_origin::{Act, RawOrigin};
use crate::support::reply::Reply;
use crate::support::s3::S3Server;
use crate::support::{eventually, samples};

fn target(source: &str) -> String {
    format!("/cdn-cgi/image/width=16/{source}")
}

/// Parses `[[cache.rule]]` sections.
#[track_caller]
fn rules(text: &str) -> Vec<RuleConfig> {
    #[derive(serde::Deserialize)]
    struct Section {
        rule: Vec<RuleConfig>,
    }
    let section: Section = toml::from_str(text).expect("rules");
    section.rule
}

/// The `max-age` and the `Age` of an answer, in seconds.
#[track_caller]
fn life(reply: &Reply) -> (u64, u64) {
    let control = reply.header("cache-control");
    let life = control
        .split(", ")
        .find_map(|directive| directive.strip_prefix("max-age="))
        .unwrap_or_else(|| panic!("no life: {reply}"));
    let age = reply.header("age");
    (
        life.parse().expect("whole seconds"),
        age.parse().expect("whole seconds"),
    )
}

#[tokio::test]
async fn every_origin_may_have_its_own_min_max_and_default_ttl() {
    let origin = TestOrigin::start().await;
    let other = TestOrigin::start().await;
    for (path, control) in [
        ("/short.png", "max-age=60"),
        ("/long.png", "max-age=864000"),
        ("/silent.png", "public"),
        ("/never.png", "no-store"),
    ] {
        for origin in [&origin, &other] {
            let answer = Answer::file(samples::png(32, 24)).with("cache-control", control);
            origin.serve(path, answer.clone());
            origin.serve(&format!("/themes{path}"), answer);
        }
    }
    let text = format!(
        "[[rule]]\nsources = [\"{0}/themes\"]\nmin_ttl = \"2 h\"\ndefault_ttl = \"3 h\"\nmax_ttl = \"4 h\"\n\
         [[rule]]\nsources = [\"x.test\", \"{0}\"]\nmin_ttl = \"0 s\"\ndefault_ttl = \"5 min\"\n\
         [[rule]]\nsources = [\"{0}/themes\", \"zone\"]\nmin_ttl = \"9 h\"\n",
        origin.authority()
    );
    let entries = allowed(&[origin.authority(), other.authority()]);
    let proxy = TestProxy::start(|config| {
        config.sources.allowed = entries;
        config.cache.rule = rules(&text);
    })
    .await;
    std::fs::write(proxy.folder().join("a.png"), samples::png(32, 24)).expect("a folder");
    for (source, seconds) in [
        (origin.url("/themes/short.png"), 2 * 3600),
        (origin.url("/themes/silent.png"), 3 * 3600),
        (origin.url("/themes/long.png"), 4 * 3600),
        (origin.url("/short.png"), 60),
        (origin.url("/silent.png"), 300),
        (origin.url("/long.png"), 864_000),
        (other.url("/themes/short.png"), 3600),
        (other.url("/silent.png"), 3600),
        (other.url("/long.png"), 864_000),
        ("a.png".to_owned(), 9 * 3600),
    ] {
        let reply = proxy.get(&target(&source)).await;
        assert_eq!(life(&reply).0, seconds, "{source}");
    }
    // No rule makes a source storable that must not be stored.
    for path in ["/themes/never.png", "/never.png"] {
        let reply = proxy.get(&target(&origin.url(path))).await;
        reply.assert_header("cache-control", "private, no-store");
    }
}

fn bucket(server: &S3Server, name: &str) -> bucket::Config {
    bucket::Config {
        name: name.to_owned(),
        bucket: name.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: server.endpoint().to_owned(),
        style: AddressingStyle::Path,
        credentials: Credentials::Static {
            key: server.access_key().to_owned(),
            secret: server.secret_key().to_owned(),
        },
    }
}

#[tokio::test]
async fn every_bucket_may_have_rules_of_its_own() {
    let server = S3Server::start().await;
    for bucket in ["private", "other"] {
        server.put(bucket, "a.png", samples::png(32, 24)).await;
    }
    let proxy = TestProxy::start(|config| {
        config.bucket = ["private", "other"]
            .map(|name| bucket(&server, name))
            .to_vec();
        config.cache.rule = rules("[[rule]]\nsources = [\"bucket:other\"]\nmin_ttl = \"2 h\"\n");
    })
    .await;
    for (bucket, seconds) in [("private", 3600), ("other", 7200)] {
        let source = format!("{}/{bucket}/a.png", server.endpoint());
        let reply = proxy.get(&target(&source)).await;
        reply.assert_size(16, 12);
        assert_eq!(life(&reply).0, seconds, "{bucket}");
    }
}

#[tokio::test]
async fn contradicting_headers_lead_to_a_defined_freshness() {
    let picture = samples::png(32, 24);
    let origin = RawOrigin::start(Vec::new()).await;
    let entries = allowed(&[origin.authority()]);
    let proxy = TestProxy::start(|config| {
        config.sources.allowed = entries;
        config.cache.min_ttl = setting("1 min");
    })
    .await;
    let length = format!("content-length: {}", picture.len());
    for (index, (lines, control)) in [
        (
            &["cache-control: max-age=900", "cache-control: max-age=300"][..],
            "public, max-age=300",
        ),
        (
            &["expires: 0", "cache-control: max-age=300"],
            "public, max-age=300",
        ),
        (
            &[
                "cache-control: public, max-age=9999",
                "cache-control: no-store",
            ],
            "private, no-store",
        ),
        (
            &["cache-control: PRIVATE=\"x, max-age=7\", immutable"],
            "private, no-store",
        ),
        (
            &["cache-control: max-age=-5, s-maxage=soon"],
            "public, max-age=60",
        ),
        (
            &[
                "expires: tomorrow",
                "expires: Fri, 31 Dec 9999 23:59:59 GMT",
            ],
            "public, max-age=60",
        ),
        (
            &[
                "cache-control: max-age=300",
                "age: 99999999999999999999",
                "age: -1",
            ],
            "public, max-age=300",
        ),
        (
            &[
                "date: Thu, 01 Jan 1970 00:00:00 GMT",
                "expires: Thu, 01 Jan 1970 00:10:00 GMT",
            ],
            "public, max-age=600",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let lines: Vec<&str> = lines.iter().copied().chain([length.as_str()]).collect();
        origin.play(vec![Act::head(200, &lines), Act::say(picture.clone())]);
        let reply = proxy
            .get(&target(&origin.url(&format!("/{index}.png"))))
            .await;
        reply
            .assert_size(16, 12)
            .assert_header("cache-control", control);
    }
}

#[tokio::test]
async fn a_response_that_is_not_as_announced_is_an_error_and_not_cached() {
    let picture = Bytes::from(samples::png(64, 64));
    let half = picture.slice(..picture.len() / 2);
    let length = |length: usize| {
        Act::head(
            200,
            &[
                &format!("content-length: {length}"),
                "cache-control: max-age=86400",
            ],
        )
    };
    let short = Duration::from_millis(5);
    let chunked = Act::head(200, &["transfer-encoding: chunked"]);
    let rows: [(&str, Vec<Act>, u16, u16); 8] = [
        (
            "reset within the content",
            vec![length(picture.len()), Act::Say(half.clone()), Act::Reset],
            502,
            9402,
        ),
        ("reset before the head", vec![Act::Reset], 502, 9402),
        (
            "shorter than it said",
            vec![length(picture.len() + 1), Act::Say(picture.clone())],
            502,
            9402,
        ),
        (
            "half a chunk",
            vec![chunked, Act::say("ffff\r\n"), Act::Say(half.clone())],
            502,
            9402,
        ),
        (
            "silence within the content",
            vec![length(picture.len()), Act::Say(half.clone()), Act::Silence],
            524,
            9504,
        ),
        (
            "drips for ever",
            vec![
                length(1 << 20),
                Act::Drip(vec![b'x'; 1 << 20].into(), short),
            ],
            524,
            9504,
        ),
        (
            "a 304 that nobody asked for",
            vec![Act::head(
                304,
                &["etag: \"a\"", "cache-control: max-age=86400"],
            )],
            502,
            9505,
        ),
        (
            "no HTTP",
            vec![Act::say("SSH-2.0-OpenSSH_9.9\r\n")],
            502,
            9402,
        ),
    ];
    let origin = RawOrigin::start(Vec::new()).await;
    let entries = allowed(&[origin.authority()]);
    let proxy = TestProxy::start(|config| {
        config.sources.allowed = entries;
        config.fetch.first_byte_timeout = setting("500 ms");
        config.fetch.idle_timeout = setting("500 ms");
        config.fetch.total_timeout = setting("2 s");
    })
    .await;
    for (index, (name, script, status, number)) in rows.into_iter().enumerate() {
        let target = target(&origin.url(&format!("/{index}.png")));
        origin.play(script);
        let asked = origin.asked();
        let reply = proxy.get(&target).await;
        assert_eq!(
            (reply.status, origin.asked() > asked),
            (status, true),
            "{name}"
        );
        reply
            .assert_error(status, number)
            .assert_header("cache-control", "no-store")
            .assert_no_header("age");
        origin.play(vec![length(picture.len()), Act::Say(picture.clone())]);
        let reply = proxy.get(&target).await;
        assert_eq!(reply.status, 200, "{name}: it recovers at once");
    }
}

#[tokio::test]
async fn bytes_after_the_content_length_are_ignored() {
    let picture = samples::png(32, 24);
    let length = format!("content-length: {}", picture.len());
    let script = vec![
        Act::head(200, &[&length]),
        Act::say(picture),
        Act::say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
    ];
    let origin = RawOrigin::start(script).await;
    let entries = allowed(&[origin.authority()]);
    let proxy = TestProxy::start(|config| config.sources.allowed = entries).await;
    for path in ["/a.png", "/b.png", "/c.png"] {
        let reply = proxy.get(&target(&origin.url(path))).await;
        reply.assert_size(16, 12);
    }
}

#[tokio::test]
async fn a_304_to_every_request_renews_known_sources_and_is_an_error_for_unknown_ones() {
    let picture = samples::png(32, 24);
    let length = format!("content-length: {}", picture.len());
    let lines = [
        length.as_str(),
        "etag: \"v1\"",
        "cache-control: max-age=0, must-revalidate",
    ];
    let origin = RawOrigin::start(vec![Act::head(200, &lines), Act::say(picture)]).await;
    let entries = allowed(&[origin.authority()]);
    let proxy = TestProxy::start(|config| {
        config.sources.allowed = entries;
        config.cache.min_ttl = setting("0 s");
    })
    .await;
    let known = target(&origin.url("/a.png"));
    proxy.get(&known).await.assert_size(16, 12);
    let control = "cache-control: max-age=7200";
    origin.play(vec![Act::head(304, &["etag: \"v2\"", control])]);
    let asked = origin.asked();
    let reply = proxy.get(&known).await;
    reply.assert_size(16, 12);
    assert_eq!(life(&reply).0, 7200, "the terms are those of the 304");
    proxy.get(&known).await.assert_size(16, 12);
    assert_eq!(origin.asked(), asked + 1, "it is fresh now");
    let reply = proxy.get(&target(&origin.url("/b.png"))).await;
    reply.assert_error(502, 9505);
}

#[tokio::test]
async fn errors_say_for_how_long_they_may_be_cached() {
    let origin = TestOrigin::start().await;
    origin.serve("/a.png", samples::png(32, 24));
    origin.serve("/text", Answer::file("no picture"));
    origin.serve(
        "/secret",
        Answer::file("no picture").with("cache-control", "private"),
    );
    origin.serve("/damaged", samples::png(32, 24)[..60].to_vec());
    for status in [400, 401, 403, 408, 429, 500, 503] {
        origin.serve(&format!("/{status}"), Answer::status(status));
    }
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.source_bytes = setting("64 KiB");
        config.limits.output_side = setting("100");
        config.cache.errors.not_found = setting("11 s");
        config.cache.errors.options = setting("12 min");
        config.cache.errors.source = setting("13 s");
    })
    .await;
    origin.serve("/large", vec![0; (64 << 10) + 1]);
    let (not_found, options, source, never) = (
        "public, max-age=11",
        "public, max-age=720",
        "public, max-age=13",
        "no-store",
    );
    for (asked, number, control) in [
        ("width=16/missing.png", 9404, not_found),
        ("blur=300/a.png", 9401, options),
        ("format=mp4/a.png", 9401, options),
        ("width=101/a.png", 9413, options),
        ("width=16/ftp://h/a.png", 9406, options),
        ("width=16/..%2f..%2fa.png", 9419, options),
        ("width=16/text", 9412, source),
        ("width=16/damaged", 9516, source),
        ("width=16/large", 9402, source),
        // The origin forbids to store it.
        ("width=16/secret", 9412, never),
        ("width=16/400", 9519, never),
        ("width=16/401", 9408, never),
        ("width=16/403", 9408, never),
        ("width=16/408", 9408, never),
        ("width=16/429", 9408, never),
        ("width=16/500", 9509, never),
        ("width=16/503", 9509, never),
        ("width=16/http://elsewhere.test/a.png", 9401, never),
        ("width=16/cdn-cgi/image/width=8/a.png", 9403, never),
    ] {
        let target = format!("/cdn-cgi/image/{asked}");
        let reply = proxy.get(&target).await;
        reply
            .assert_header("cf-resized", &format!("err={number}"))
            .assert_header("cache-control", control);
        let head = proxy.client().send(Method::HEAD, &target, &[]).await;
        head.assert_header("cache-control", control);
    }
    // A redirect is not cached, because the next try may succeed.
    for asked in ["missing.png", "text"] {
        let target = format!("/cdn-cgi/image/width=16,onerror=redirect/{asked}");
        let reply = proxy.get(&target).await;
        reply
            .assert_status(307)
            .assert_header("cache-control", "no-store");
    }
}

#[tokio::test]
async fn ttls_of_errors_may_be_zero() {
    let proxy = TestProxy::start(|config| {
        config.cache.errors.not_found = setting("0 s");
        config.cache.errors.options = setting("500 ms");
    })
    .await;
    for asked in ["width=16/missing.png", "blur=300/a.png"] {
        let reply = proxy.get(&format!("/cdn-cgi/image/{asked}")).await;
        reply.assert_header("cache-control", "no-store");
    }
}

/// A proxy whose zone is this origin. Sources expire at once, and may be used while stale for the given times. It has no disk cache, because
/// entries are removed from disk with a delay.
async fn always_stale(origin: &RawOrigin, revalidating: &str, on_error: &str) -> TestProxy {
    let zone = zone(&origin.url(""));
    TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.disk.path = PathBuf::new();
        config.cache.min_ttl = setting("0 s");
        config.cache.stale_while_revalidate = setting(revalidating);
        config.cache.stale_if_error = setting(on_error);
        config.fetch.first_byte_timeout = setting("500 ms");
        config.fetch.idle_timeout = setting("500 ms");
    })
    .await
}

/// A complete answer with these lines in its head.
fn answer(picture: &Bytes, lines: &[&str]) -> Vec<Act> {
    let length = format!("content-length: {}", picture.len());
    let lines: Vec<&str> = lines.iter().copied().chain([length.as_str()]).collect();
    vec![Act::head(200, &lines), Act::Say(picture.clone())]
}

#[tokio::test]
async fn stale_pictures_are_served_at_once_and_revalidated_in_the_background() {
    let old = Bytes::from(samples::png(32, 24));
    let new = Bytes::from(samples::png(32, 32));
    let origin = RawOrigin::start(answer(&old, &["etag: \"v1\""])).await;
    let proxy = always_stale(&origin, "1 h", "0 s").await;
    let target = target("a.png");
    let first = proxy.get(&target).await;
    first.assert_size(16, 12);

    origin.play(answer(
        &new,
        &["etag: \"v2\"", "cache-control: max-age=7200"],
    ));
    let reply = proxy.get(&target).await;
    reply
        .assert_size(16, 12)
        .assert_header_has("cache-status", "detail=stale-while-revalidate");
    let (life, age) = life(&reply);
    assert!(age >= life, "nobody keeps it: {reply}");
    assert!(
        !reply.header("cache-control").contains("stale"),
        "the operator's word is for the operator's proxy: {reply}"
    );
    eventually("the new one is there", async || {
        let reply = proxy.get(&target).await;
        reply.header("etag") != first.header("etag")
    })
    .await;
    let reply = proxy.get(&target).await;
    reply
        .assert_size(16, 16)
        .assert_header("cache-control", "public, max-age=7200");
    assert_eq!(origin.asked(), 2, "once for all who asked meanwhile");
}

#[tokio::test]
async fn a_stale_picture_is_served_however_the_origin_fails() {
    let picture = Bytes::from(samples::png(64, 64));
    let half = picture.slice(..picture.len() / 2);
    let length = Act::head(200, &[&format!("content-length: {}", picture.len())]);
    for (name, script) in [
        ("500", vec![Act::head(500, &["content-length: 0"])]),
        ("503", vec![Act::head(503, &["content-length: 0"])]),
        ("429", vec![Act::head(429, &["content-length: 0"])]),
        (
            "reset within the content",
            vec![length.clone(), Act::Say(half.clone()), Act::Reset],
        ),
        ("shorter than it said", vec![length.clone(), Act::Say(half)]),
        ("silence within the content", vec![length, Act::Silence]),
        ("silence", vec![Act::Silence]),
        ("no HTTP", vec![Act::say("SSH-2.0-OpenSSH_9.9\r\n")]),
    ] {
        let origin = RawOrigin::start(answer(&picture, &["etag: \"v1\""])).await;
        let proxy = always_stale(&origin, "0 s", "1 h").await;
        let target = target("a.png");
        let first = proxy.get(&target).await;
        first.assert_size(16, 16);
        origin.play(script);
        let reply = proxy.get(&target).await;
        assert_eq!(reply.status, 200, "{name}");
        reply.assert_header_has("cache-status", "detail=stale-if-error");
        assert!(reply.body == first.body, "{name}");
        let (life, age) = life(&reply);
        assert!(age >= life, "{name}: nobody keeps it: {reply}");
        let etag = first.header("etag");
        let held = proxy.get_with(&target, &[("if-none-match", &etag)]).await;
        held.assert_status(304)
            .assert_header_has("cache-status", "detail=stale-if-error");
    }
}

#[tokio::test]
async fn client_errors_of_the_origin_are_sent_even_if_a_stale_picture_is_cached() {
    let picture = Bytes::from(samples::png(32, 24));
    for (status, told) in [(404, 404), (410, 404), (403, 403)] {
        let origin = RawOrigin::start(answer(&picture, &["etag: \"v1\""])).await;
        let proxy = always_stale(&origin, "0 s", "1 h").await;
        proxy.get(&target("a.png")).await.assert_size(16, 12);
        origin.play(vec![Act::head(status, &["content-length: 0"])]);
        proxy.get(&target("a.png")).await.assert_status(told);
        // After that, no stale picture is served any more.
        origin.play(vec![Act::Reset]);
        let reply = proxy.get(&target("a.png")).await;
        assert_ne!(reply.status, 200, "{status}: {reply}");
    }
}

#[tokio::test]
async fn must_revalidate_and_no_cache_forbid_stale_answers() {
    let picture = Bytes::from(samples::png(32, 24));
    for (control, status) in [
        ("max-age=0, must-revalidate", 502),
        ("no-cache", 502),
        ("max-age=0, stale-if-error=0", 502),
        ("max-age=0, must-revalidate, stale-if-error=60", 200),
        ("s-maxage=0", 200),
    ] {
        let line = format!("cache-control: {control}");
        let origin = RawOrigin::start(answer(&picture, &["etag: \"v1\"", &line])).await;
        let proxy = always_stale(&origin, "0 s", "1 h").await;
        proxy.get(&target("a.png")).await.assert_size(16, 12);
        origin.play(vec![Act::head(500, &["content-length: 0"])]);
        let reply = proxy.get(&target("a.png")).await;
        assert_eq!(reply.status, status, "{control}: {reply}");
    }
}

#[tokio::test]
async fn a_cached_error_is_sent_again_with_its_age() {
    let origin = TestOrigin::start().await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| config.zone.origin = zone).await;
    let first = proxy.get(&target("none.png")).await;
    first.assert_error(404, 9404).assert_no_header("age");
    let again = proxy.get(&target("none.png")).await;
    again
        .assert_error(404, 9404)
        .assert_header("cache-status", "safelight; hit; detail=error");
    assert!(life(&again).1 < 10, "{again}");
    assert_eq!(origin.hits("/none.png"), 1);
}

#[tokio::test]
async fn origins_can_limit_how_long_their_errors_are_cached() {
    let origin = TestOrigin::start().await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.errors.not_found = setting("1 min");
    })
    .await;
    let mut number = 0;
    let mut told = async |status: u16, control: &str| {
        number += 1;
        let name = format!("{number}.png");
        let answer = Answer::status(status).with("cache-control", control);
        origin.serve(&format!("/{name}"), answer);
        proxy.get(&target(&name)).await.assert_status(404);
        let again = proxy.get(&target(&name)).await;
        again.assert_status(404);
        (origin.hits(&format!("/{name}")), again)
    };
    for (status, control) in [
        (404, "no-store"),
        (410, "private, max-age=60"),
        (404, "max-age=0"),
    ] {
        let (asked, again) = told(status, control).await;
        assert_eq!(asked, 2, "{control}");
        again.assert_header("cache-control", "no-store");
    }
    for (control, seconds) in [("max-age=40", 40), ("max-age=1000", 60), ("public", 60)] {
        let (asked, again) = told(404, control).await;
        assert_eq!((asked, life(&again).0), (1, seconds), "{control}");
    }
}
