//! Prewarming: pictures are rendered before they are requested, with one fetch and one decode for each source; cached pictures are left alone.

use hyper::Method;
use hyper::Request;
use safelight::admin::Token;
use safelight::error::Error;
use safelight::operator::WarmOutcome;
use safelight::policy::Job;
use safelight::transform::TransformError;
use safelight::worker::Isolation;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::proxy::{TOKEN, TestProxy, allowed, setting, zone};
use crate::support::reply::Reply;
use crate::support::{bounded, eventually, samples};

const ACCEPT: &str = "image/avif,image/webp";

fn job(proxy: &TestProxy, options: &str, source: &str) -> Job {
    let request = Request::get(format!("/cdn-cgi/image/{options}/{source}"))
        .header("host", "img.example.com")
        .header("accept", ACCEPT)
        .body(())
        .expect("a request");
    proxy
        .pipeline()
        .job(&request.into_parts().0)
        .expect("the zone is allowed")
}

async fn prepare(proxy: &TestProxy, jobs: &[Job]) -> Vec<&'static str> {
    let prepared = proxy.pipeline().prepare(jobs).await;
    let word = |prepared: &WarmOutcome| match prepared {
        WarmOutcome::Made => "made",
        WarmOutcome::Kept => "kept",
        WarmOutcome::Unstorable => "unstorable",
        WarmOutcome::Failed(_) => "failed",
    };
    prepared.iter().map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawing_has_the_memory_that_it_turns_out_to_need() {
    let origin = TestOrigin::with("/a.svg", samples::heavy_drawing(4000, 3000)).await;
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone(&origin.url(""));
        config.limits.rasterize_svg = true;
        config.limits.isolation = Isolation::Process;
    })
    .await;
    let jobs = [
        "width=120,format=webp",
        "format=svg",
        "width=90,format=webp",
    ];
    let jobs = jobs.map(|options| job(&proxy, options, "a.svg"));
    assert_eq!(prepare(&proxy, &jobs).await, ["made"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fetch_makes_all_pictures_and_clients_hit_them() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let kept = "width=280,format=jpeg";
    proxy
        .get(&format!("/cdn-cgi/image/{kept}/a.jpg"))
        .await
        .assert_status(200);
    let options = [
        kept,
        "width=320,format=auto",
        "width=320,format=jpeg",
        "width=160,format=webp",
        "width=160,format=auto,fit=cover,height=160,gravity=auto",
        "width=320,format=jpeg",
    ];
    let jobs = options.map(|options| job(&proxy, options, "a.jpg"));
    let expected = ["kept", "made", "made", "made", "made", "made"];
    assert_eq!(prepare(&proxy, &jobs).await, expected);
    assert_eq!(prepare(&proxy, &jobs).await, ["kept"; 6]);
    assert_eq!(origin.hits("/a.jpg"), 1);
    // One render for the client, and four for the other five jobs, of which two are the same.
    assert_eq!(proxy.renders(), 5.0);
    for options in options {
        let target = format!("/cdn-cgi/image/{options}/a.jpg");
        let reply = proxy.get_with(&target, &[("accept", ACCEPT)]).await;
        // It is not an interim picture either.
        reply
            .assert_status(200)
            .assert_header("cache-status", "safelight; hit; detail=memory");
    }
    let metrics = proxy.metrics();
    let prepared = |result| metrics.sum("safelight_prepared_total", &[("result", result)]);
    assert_eq!((prepared("made"), prepared("kept")), (5.0, 7.0));
    assert_eq!(proxy.renders(), 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sources_are_prepared_in_one_call_and_fail_by_themselves() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    origin.serve("/b.jpg", samples::jpeg(80, 60));
    origin.serve("/broken.jpg", b"no picture".to_vec());
    let proxy = TestProxy::in_front_of(&origin).await;
    let jobs = [
        job(&proxy, "width=32", "a.png"),
        job(&proxy, "width=32", "b.jpg"),
        job(&proxy, "width=32", "broken.jpg"),
        job(&proxy, "width=16", "a.png"),
        job(&proxy, "width=16", "missing.jpg"),
        job(&proxy, "width=64,height=9000,fit=pad", "b.jpg"),
        job(&proxy, "width=16,format=json", "b.jpg"),
    ];
    assert_eq!(
        prepare(&proxy, &jobs).await,
        ["made", "made", "failed", "made", "failed", "made", "made"]
    );
    assert_eq!((origin.hits("/a.png"), origin.hits("/b.jpg")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_must_not_be_stored_are_not_prewarmed() {
    let answer = Answer::file(samples::png(64, 48)).with("cache-control", "no-store");
    let origin = TestOrigin::with("/a.png", answer).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let jobs = [job(&proxy, "width=32", "a.png")];
    assert_eq!(prepare(&proxy, &jobs).await, ["unstorable"]);
    assert_eq!(proxy.renders(), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_is_too_costly_does_not_affect_the_others() {
    let origin = TestOrigin::with("/a.png", samples::png(800, 600)).await;
    let zone = zone(&origin.url(""));
    let room = 32;
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.render_memory = setting(&format!("{room} MiB"));
    })
    .await;
    let jobs = [
        job(&proxy, "width=80,format=webp", "a.png"),
        job(&proxy, "width=3000,fit=contain,format=png-force", "a.png"),
        job(&proxy, "width=40,format=webp", "a.png"),
    ];
    let prepared = proxy.pipeline().prepare(&jobs).await;
    let [
        WarmOutcome::Made,
        WarmOutcome::Failed(error),
        WarmOutcome::Made,
    ] = &prepared[..]
    else {
        panic!("{prepared:?}");
    };
    let Error::Transform(TransformError::TooCostly { limit, .. }) = &**error else {
        panic!("{error}");
    };
    assert_eq!(*limit, room << 20);
}

/// Every source with the outcomes of its pictures, in their order.
fn outcomes(reply: &Reply) -> Vec<(String, Vec<String>)> {
    reply
        .assert_status(200)
        .assert_header("content-type", "application/x-ndjson");
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let renditions = line["renditions"].as_array().expect("a list");
        let word = |rendition: &Value| {
            let result = rendition["result"].as_str().expect("a word");
            match rendition["code"].as_str() {
                Some(code) => format!("{result} {code}"),
                None => result.to_owned(),
            }
        };
        let source = line["source"].as_str().expect("a text").to_owned();
        (source, renditions.iter().map(word).collect())
    };
    reply.text().lines().map(line).collect()
}

fn one(source: &str, words: &[&str]) -> (String, Vec<String>) {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    (source.to_owned(), words)
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_prewarmed_for_every_kind_of_client() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    origin.serve("/b.jpg", samples::jpeg(320, 240));
    let proxy = TestProxy::in_front_of(&origin).await;
    let body = r#"{"sources":["/a.jpg","b.jpg"],"options":["width=160,format=auto","width=80,format=jpeg"],"accept":["avif","webp","none"]}"#;
    // A picture that does not depend on the client is rendered once, for the first kind.
    let reply = proxy.warm(body).await;
    let made = ["made"; 6];
    assert_eq!(
        outcomes(&reply),
        [one("/a.jpg", &made), one("b.jpg", &made)]
    );
    // Four pictures of each source.
    assert_eq!(proxy.renders(), 8.0);
    let again = proxy.warm(body).await;
    let kept = ["kept"; 6];
    assert_eq!(
        outcomes(&again),
        [one("/a.jpg", &kept), one("b.jpg", &kept)]
    );
    for accept in ["image/avif,image/webp,*/*", "image/webp,*/*", "*/*"] {
        for options in ["width=160,format=auto", "width=80,format=jpeg"] {
            for source in ["a.jpg", "b.jpg"] {
                let target = format!("/cdn-cgi/image/{options}/{source}");
                let reply = proxy.get_with(&target, &[("accept", accept)]).await;
                reply
                    .assert_status(200)
                    .assert_header("cache-status", "safelight; hit; detail=memory");
            }
        }
    }
    assert_eq!((origin.hits("/a.jpg"), origin.hits("/b.jpg")), (1, 1));
    assert_eq!(proxy.renders(), 8.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_are_named_as_clients_and_sitemaps_name_them_and_fail_by_themselves() {
    let origin = TestOrigin::with("/a b.jpg", samples::jpeg(64, 48)).await;
    origin.serve("/a%20b.jpg", samples::jpeg(64, 48));
    origin.serve("/broken.jpg", b"no picture".to_vec());
    let secret = Answer::file(samples::png(64, 48)).with("cache-control", "no-store");
    origin.serve("/secret.png", secret);
    let zone = zone(&origin.url(""));
    let allowed = allowed(&["b.test".to_owned()]);
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.sources.allowed = allowed;
    })
    .await;
    let names = [
        "/a b.jpg",
        "zone:/a%20b.jpg",
        "https://WWW.shop.com/a%20b.jpg#x",
        "https://www.shop.com/cdn-cgi/image/width=1/a%20b.jpg",
        "/cdn-cgi/image/width=1/https://www.shop.com/a%20b.jpg",
        "/broken.jpg",
        "/missing.jpg",
        "/secret.png",
        "https://c.test/a.jpg",
        "ftp://b.test/a.jpg",
        "https://u:hunter2@b.test/a.jpg",
        "bucket:none/a.jpg",
        "",
        "/a\nb.jpg",
    ];
    let body = serde_json::json!({
        "sources": names, "options": "width=16", "accept": "webp", "host": "www.Shop.com.",
    });
    let reply = proxy.warm(&body.to_string()).await;
    let words = [
        "made",
        "kept",
        "kept",
        "kept",
        "kept",
        "failed not-an-image",
        "failed source-not-found",
        "unstorable",
        "failed source-denied",
        "failed source-url",
        "failed source-url",
        "failed not-found",
        "failed no-source",
        "failed source-url",
    ];
    let results = outcomes(&reply);
    for ((source, found), (name, word)) in results.iter().zip(names.iter().zip(words)) {
        assert_eq!(
            (source.as_str(), &found[..]),
            (*name, &[word.to_owned()][..])
        );
    }
    assert_eq!(results.len(), names.len());
    let line = reply.text().lines().nth(6).map(str::to_owned);
    assert_eq!(
        line.as_deref(),
        Some(
            r#"{"renditions":[{"accept":"webp","code":"source-not-found","error":"the source was not found","options":"width=16","result":"failed","status":404}],"source":"/missing.jpg"}"#
        )
    );
    assert_eq!(origin.hits("/a%20b.jpg"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_with_errors_are_refused_before_anything_is_made() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(64, 48)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    for (options, part) in [
        (r#"["width=16","wideness=16"]"#, "options `wideness=16`: "),
        (
            r#""format=tiff""#,
            "'tiff' is not a supported output format",
        ),
        (
            r#""width=16,quality=excellent""#,
            "options `width=16,quality=excellent`: ",
        ),
        (r#""width""#, "options `width`: "),
        (r#""""#, "options ``: "),
        (r#""width=12000,dpr=3""#, "must be at most"),
        ("[]", "the body must have `options`"),
    ] {
        let body = format!(r#"{{"source":"/a.jpg","options":{options}}}"#);
        let reply = proxy.warm(&body).await;
        reply.assert_status(400);
        let text = reply.text();
        assert!(
            text.contains(part) && text.contains(r#""success":false"#),
            "no `{part}` in {reply}"
        );
    }
    // A call without sources checks the options.
    let reply = proxy.warm(r#"{"options":["width=16,format=auto,quality=75,metadata=none,onerror=redirect,fit=cover,height=9,gravity=auto"]}"#).await;
    assert_eq!(outcomes(&reply), []);
    assert!(origin.asked().is_empty());
    assert_eq!(proxy.renders(), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_without_the_token_or_while_draining() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(64, 48)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let body = r#"{"source":"/a.jpg","options":"width=16"}"#;
    for headers in [vec![], vec![("authorization", "Bearer wrong")]] {
        let reply = proxy.admin().post("/warm", &headers, body).await;
        reply
            .assert_status(401)
            .assert_header("www-authenticate", "Bearer");
    }
    let get = proxy.admin().send(Method::GET, "/warm", &[]).await;
    get.assert_status(405).assert_header("allow", "POST");
    proxy.readiness.set(false);
    proxy.warm(body).await.assert_status(503);
    assert!(origin.asked().is_empty());
    proxy.readiness.set(true);
    let reply = proxy.warm(body).await;
    assert_eq!(outcomes(&reply), [one("/a.jpg", &["made"; 3])]);

    let closed = TestProxy::start(|config| config.admin.token = Token::default()).await;
    closed.warm(body).await.assert_status(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_bounded_and_stop_when_the_client_disconnects() {
    let gate = Gate::closed();
    let answer = Answer::file(samples::jpeg(64, 48)).behind(&gate);
    let origin = TestOrigin::with("/a.jpg", answer).await;
    origin.serve("/b.jpg", samples::jpeg(64, 48));
    origin.serve("/c.jpg", samples::jpeg(64, 48));
    let proxy = TestProxy::in_front_of(&origin).await;
    let body = r#"{"sources":["/a.jpg","/b.jpg"],"options":"width=16,format=webp"}"#;
    let call = format!(
        "POST /warm HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut calls = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(proxy.admin().address())
            .await
            .expect("it listens");
        stream.write_all(call.as_bytes()).await.expect("it reads");
        let mut head = [0; 15];
        bounded("a head", stream.read_exact(&mut head))
            .await
            .expect("it answers");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        calls.push(stream);
    }
    let other = r#"{"source":"/c.jpg","options":"width=16,format=webp"}"#;
    let reply = proxy.warm(other).await;
    reply.assert_status(503);
    assert!(reply.text().contains("too many /warm requests"), "{reply}");
    drop(calls);
    eventually("a place is free", async || {
        proxy.warm(r#"{"options":"width=16"}"#).await.status == 200
    })
    .await;
    gate.open();
    eventually("the others are gone as well", async || {
        outcomes(&proxy.warm(other).await) == [one("/c.jpg", &["kept", "kept", "kept"])]
    })
    .await;
    assert_eq!(origin.hits("/b.jpg"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn prewarmed_pictures_are_found_after_a_restart_and_stay_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let drawing = r#"<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>"#;
    origin.serve("/b.svg", drawing.as_bytes().to_vec());
    let jobs = |proxy: &TestProxy| {
        [
            job(proxy, "width=320,format=webp", "a.jpg"),
            job(proxy, "width=160,format=auto", "a.jpg"),
            job(proxy, "width=320,format=auto", "b.svg"),
            job(proxy, "width=320,format=webp", "b.svg"),
        ]
    };
    let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| ()).await;
    let made = prepare(&proxy, &jobs(&proxy)).await;
    assert_eq!(made, ["made", "made", "made", "failed"]);
    proxy.stop().await;

    let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| ()).await;
    let kept = prepare(&proxy, &jobs(&proxy)).await;
    assert_eq!(kept, ["kept", "kept", "kept", "failed"]);
    assert_eq!(proxy.renders(), 0.0);
    // Clients find the pictures, which were not loaded into memory before.
    let reply = proxy
        .get("/cdn-cgi/image/width=320,format=webp/a.jpg")
        .await;
    reply
        .assert_status(200)
        .assert_header("cache-status", "safelight; hit; detail=disk");
    proxy.stop().await;
}
