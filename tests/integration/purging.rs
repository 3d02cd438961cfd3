//! Purging: purged pictures are gone, wherever they were cached and whatever was in flight; and only operators can purge.

use std::path::Path;

use hyper::Method;
use safelight::admin::Token;
use safelight::config::Config;

use crate::support::client::Client;
use crate::support::origin::{Answer, Asked, Gate, TestOrigin};
use crate::support::process::Process;
use crate::support::proxy::{TOKEN, TestProxy, allowed, setting, zone};
use crate::support::reply::Reply;
use crate::support::{bounded, eventually, process, samples};

const TARGET: &str = "/cdn-cgi/image/width=160,format=webp/uploads/a.png";
const OTHER: &str = "/cdn-cgi/image/width=80,format=png-force/uploads/a.png";
const PATH: &str = "/uploads/a.png";

/// The picture before it changes, with its tag.
fn old() -> Answer {
    Answer::file(samples::png(320, 240)).with("etag", "\"old\"")
}

/// The picture after it has changed.
fn new() -> Answer {
    Answer::file(samples::png(320, 160)).with("etag", "\"new\"")
}

fn conditions(asked: &Asked) -> Vec<String> {
    ["if-none-match", "if-modified-since"]
        .iter()
        .filter_map(|name| asked.headers.get(*name))
        .map(|value| value.to_str().expect("our own").to_owned())
        .collect()
}

/// Every way to name the picture with all of its renditions.
const NAMES: [&str; 11] = [
    r#"{"source":"/uploads/a.png"}"#,
    r#"{"source":"https://www.shop.com/uploads/a.png"}"#,
    r#"{"sources":["/uploads/b.png","zone:/uploads/a.png"]}"#,
    r#"{"source":"https://www.shop.com/cdn-cgi/image/width=1/uploads/a.png"}"#,
    r#"{"source":"/cdn-cgi/image/width=1/https://www.shop.com/uploads/a.png"}"#,
    r#"{"prefix":"/uploads"}"#,
    r#"{"prefix":"www.shop.com/uploads/"}"#,
    r#"{"prefix":"/cdn-cgi/image/width=160/uploads/"}"#,
    r#"{"prefix":"/cdn-cgi/image/"}"#,
    r#"{"everything":true}"#,
    r#"{"everything":true,"tag":"t"}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_purge_removes_everything_however_the_picture_is_named() {
    let origin = TestOrigin::with(PATH, old()).await;
    for body in NAMES {
        origin.serve(PATH, old());
        let proxy = TestProxy::in_front_of(&origin).await;
        let before = proxy.get(TARGET).await;
        before.assert_size(160, 120);
        proxy.get(OTHER).await.assert_size(80, 60);
        origin.serve(PATH, new());
        let kept = proxy.get(TARGET).await;
        assert!(kept.body == before.body, "not asked for again yet");
        let asked = origin.asked().len();
        proxy.purge(body).await;
        proxy.get(TARGET).await.assert_size(160, 80);
        assert_eq!(conditions(&origin.last()), [""; 0], "{body}");
        proxy.get(OTHER).await.assert_size(80, 40);
        assert_eq!(origin.asked().len(), asked + 1, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_purge_revalidates_and_keeps_an_unchanged_picture() {
    let origin = TestOrigin::with(PATH, old()).await;
    for body in NAMES {
        let proxy = TestProxy::in_front_of(&origin).await;
        let before = [proxy.get(TARGET).await, proxy.get(OTHER).await];
        let asked = origin.asked().len();
        let body = body.replace('}', r#","soft":true}"#);
        proxy.purge(&body).await;
        proxy.get(TARGET).await.assert_status(200);
        // A stale picture may be served while it is revalidated.
        eventually("the origin is asked", async || origin.asked().len() > asked).await;
        assert_eq!(conditions(&origin.last()), ["\"old\""], "{body}");
        eventually("it is fresh again", async || {
            let status = proxy.get(TARGET).await.header("cache-status");
            status == "safelight; hit; detail=memory"
        })
        .await;
        let after = [proxy.get(TARGET).await, proxy.get(OTHER).await];
        for (before, after) in before.iter().zip(&after) {
            after.assert_header("etag", &before.header("etag"));
            assert!(before.body == after.body, "{body}");
        }
        assert_eq!(origin.asked().len(), asked + 1, "{body}");
        assert_eq!(proxy.renders(), 2.0, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_purge_finds_a_picture_that_changed() {
    let origin = TestOrigin::with(PATH, old()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    proxy.get(TARGET).await.assert_size(160, 120);
    origin.serve(PATH, new());
    proxy
        .purge(r#"{"source":"/uploads/a.png","soft":true}"#)
        .await;
    eventually("the new picture", async || {
        samples::size_of(&proxy.get(TARGET).await.body) == (160, 80)
    })
    .await;
    assert_eq!(conditions(&origin.last()), ["\"old\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pictures_stay() {
    let origin = TestOrigin::with(PATH, old()).await;
    origin.serve("/uploads-old/b.png", old());
    let proxy = TestProxy::in_front_of(&origin).await;
    let other = "/cdn-cgi/image/width=160,format=webp/uploads-old/b.png";
    proxy.get(TARGET).await.assert_status(200);
    proxy.get(other).await.assert_status(200);
    for body in [
        r#"{"source":"/uploads/a.png"}"#,
        r#"{"prefix":"/uploads"}"#,
        r#"{"tag":"t"}"#,
    ] {
        proxy.purge(body).await;
        let hit = "safelight; hit; detail=memory";
        proxy.get(other).await.assert_header("cache-status", hit);
    }
    assert_eq!(origin.hits("/uploads-old/b.png"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_by_tag_removes_tagged_sources_and_no_others() {
    let origin = TestOrigin::with(PATH, old().with("cache-tag", "Shoes, summer")).await;
    let kept = "/cdn-cgi/image/width=160,format=webp/b.png";
    origin.serve("/b.png", old().with("cache-tag", "shoes-2"));
    let proxy = TestProxy::in_front_of(&origin).await;
    proxy.get(TARGET).await.assert_size(160, 120);
    proxy.get(kept).await.assert_status(200);
    origin.serve(PATH, new().with("cache-tag", "shoes"));
    for tag in ["winter", "shoe", "shoes-22"] {
        proxy.purge(&format!(r#"{{"tag":"{tag}"}}"#)).await;
        proxy.get(TARGET).await.assert_size(160, 120);
    }
    proxy.purge(r#"{"tag":"shoes"}"#).await;
    proxy.get(TARGET).await.assert_size(160, 80);
    assert_eq!(conditions(&origin.last()), [""; 0]);
    origin.serve(PATH, old().with("cache-tag", "shoes"));
    proxy.purge(r#"{"tags":["SHOES","x"],"soft":true}"#).await;
    eventually("the picture of before", async || {
        samples::size_of(&proxy.get(TARGET).await.body) == (160, 120)
    })
    .await;
    assert_eq!(conditions(&origin.last()), ["\"new\""]);
    assert_eq!(origin.hits("/b.png"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_of_other_origins_are_purged_by_url_and_by_prefix() {
    let origin = TestOrigin::start().await;
    let authority = origin.authority();
    let proxy = TestProxy::start(|config| {
        config.sources.allowed = allowed(std::slice::from_ref(&authority))
    })
    .await;
    let target = format!("/cdn-cgi/image/width=160,format=webp/{}", origin.url(PATH));
    for body in [
        format!(r#"{{"source":"{}"}}"#, origin.url(PATH)),
        format!(r#"{{"source":"{authority}{PATH}"}}"#),
        format!(r#"{{"prefix":"{}"}}"#, origin.url("/uploads")),
        format!(r#"{{"prefix":"{authority}/uploads/"}}"#),
        format!(r#"{{"prefix":"{authority}"}}"#),
        format!(r#"{{"url":"{target}"}}"#),
    ] {
        origin.serve(PATH, old());
        proxy.purge(r#"{"everything":true}"#).await;
        proxy.get(&target).await.assert_size(160, 120);
        origin.serve(PATH, new());
        proxy.purge(&body).await;
        eventually("the new picture", async || {
            samples::size_of(&proxy.get(&target).await.body) == (160, 80)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_by_exact_url_applies_to_every_client_and_to_no_other_url() {
    let origin = TestOrigin::with(PATH, old()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let target = "/cdn-cgi/image/width=160,format=auto/uploads/a.png";
    let accepts = ["*/*", "image/webp", "image/avif,image/webp"];
    for accept in accepts {
        proxy
            .get_with(target, &[("accept", accept)])
            .await
            .assert_status(200);
    }
    proxy.get(OTHER).await.assert_status(200);
    assert_eq!(proxy.renders(), 4.0);
    let reply = proxy.purge(&format!(r#"{{"url":"{target}"}}"#)).await;
    // JPEG, WebP and AVIF, and the interim rendition of each.
    assert!(reply.text().contains(r#""sources":[]"#), "{reply}");
    // Stale, so that it is revalidated.
    proxy.get(OTHER).await.assert_status(200);
    assert_eq!(proxy.renders(), 4.0, "the other one stayed");
    eventually("the origin is asked", async || origin.hits(PATH) == 2).await;
    assert_eq!(conditions(&origin.last()), ["\"old\""]);
    for accept in accepts {
        proxy
            .get_with(target, &[("accept", accept)])
            .await
            .assert_status(200);
    }
    assert_eq!(proxy.renders(), 7.0, "each was made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_by_a_url_that_depends_on_client_hints_purges_its_source() {
    let origin = TestOrigin::with(PATH, old()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let target = "/cdn-cgi/image/width=auto,format=webp/uploads/a.png";
    let small = [("sec-ch-viewport-width", "320")];
    proxy.get_with(target, &small).await.assert_size(320, 240);
    let reply = proxy.purge(&format!(r#"{{"url":"{target}"}}"#)).await;
    assert!(reply.text().contains("client hints"), "{reply}");
    origin.serve(PATH, new());
    proxy.get_with(target, &small).await.assert_size(320, 160);
}

/// A request whose answer, the picture before it changes, is in flight.
async fn in_flight(proxy: &TestProxy, origin: &TestOrigin) -> tokio::task::JoinHandle<Reply> {
    let address = proxy.client().address();
    let asked = tokio::spawn(async move { Client::new(address).get(TARGET).await });
    eventually("the origin is asked", async || origin.hits(PATH) == 1).await;
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_in_flight_during_a_purge_is_not_cached() {
    for body in NAMES {
        let folder = tempfile::tempdir().expect("a folder");
        let gate = Gate::closed();
        let origin = TestOrigin::with(PATH, old().behind(&gate)).await;
        let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| ()).await;
        let first = in_flight(&proxy, &origin).await;
        origin.serve(PATH, new());
        proxy.purge(body).await;
        let during = proxy.get(TARGET).await;
        during.assert_size(160, 80);
        gate.open();
        // A request from before the purge may get the old picture.
        bounded("an answer", first)
            .await
            .expect("no panic")
            .assert_status(200);
        let after = proxy.get(TARGET).await;
        assert!(after.body == during.body, "{body}: it came back");
        proxy.stop().await;
        let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| ()).await;
        let restarted = proxy.get(TARGET).await;
        assert!(
            restarted.body == during.body,
            "{body}: it came back from disk"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_render_in_flight_during_a_purge_is_not_cached() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = "/cdn-cgi/image/format=avif/a.jpg";
    let origin = TestOrigin::with("/a.jpg", samples::laborious()).await;
    let at_once = |config: &mut Config| config.cache.interim_ttl = setting("0 s");
    let proxy = TestProxy::keeping_in(folder.path(), &origin, at_once).await;
    let address = proxy.client().address();
    let first = tokio::spawn(async move { Client::new(address).get(target).await });
    eventually("it is being made", async || {
        proxy
            .metrics()
            .sum("safelight_cpu_jobs", &[("state", "running")])
            > 0.0
    })
    .await;
    origin.serve("/a.jpg", samples::jpeg(96, 64));
    proxy.purge(r#"{"source":"/a.jpg"}"#).await;
    proxy.get(target).await.assert_size(96, 64);
    let first = bounded("an answer", first).await.expect("no panic");
    let (width, height) = samples::LABORIOUS_SIZE;
    first.assert_size(width, height);
    proxy.get(target).await.assert_size(96, 64);
    proxy.stop().await;
    let proxy = TestProxy::keeping_in(folder.path(), &origin, at_once).await;
    proxy.get(target).await.assert_size(96, 64);
}

/// Whether any file below a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        // The file may be deleted at this moment.
        let content = std::fs::read(&path).unwrap_or_default();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_files_are_deleted_from_disk() {
    let origin = TestOrigin::start().await;
    for body in NAMES {
        let folder = tempfile::tempdir().expect("a folder");
        let source = samples::png(320, 240);
        origin.serve(PATH, source.clone());
        origin.serve("/kept.png", samples::png(64, 48));
        let proxy = TestProxy::keeping_in(folder.path(), &origin, |_| ()).await;
        let rendition = proxy.get(TARGET).await.body;
        let kept = "/cdn-cgi/image/width=16,format=webp/kept.png";
        let kept = proxy.get(kept).await.body;
        let on_disk = |bytes: &[u8]| holds(folder.path(), &bytes[bytes.len() / 2..]);
        eventually("it is on disk", async || {
            on_disk(&source) && on_disk(&rendition) && on_disk(&kept)
        })
        .await;
        proxy.purge(body).await;
        eventually("it is deleted", async || {
            !on_disk(&source) && !on_disk(&rendition)
        })
        .await;
        let takes_all = body.contains("everything") || body.contains("/cdn-cgi/image/\"");
        if !takes_all {
            assert!(on_disk(&kept), "{body}: the other picture is gone");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_purged() {
    let origin = TestOrigin::with(PATH, old()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    proxy.get(TARGET).await.assert_status(200);
    let body = r#"{"everything":true,"purge_everything":true}"#;
    let paths = ["/purge", "/client/v4/zones/z/purge_cache"];
    for path in paths {
        for value in [
            "",
            "Bearer",
            "Bearer wrong",
            "Basic YTpi",
            "Bearer a-token-for-test",
        ] {
            let headers = [("authorization", value)];
            let headers = if value.is_empty() {
                &[][..]
            } else {
                &headers[..]
            };
            let reply = proxy.admin().post(path, headers, body).await;
            reply
                .assert_status(401)
                .assert_header("www-authenticate", "Bearer")
                .assert_header("content-type", "application/json")
                .assert_keeps_quiet_about(&[TOKEN]);
            assert!(reply.text().contains(r#""success":false"#), "{reply}");
        }
        let reply = proxy.get(path).await;
        reply.assert_status(404);
    }
    let hit = "safelight; hit; detail=memory";
    proxy.get(TARGET).await.assert_header("cache-status", hit);

    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.admin.token = Token::default();
    })
    .await;
    for path in paths {
        for headers in [&[][..], &[("authorization", "Bearer ")]] {
            let reply = proxy.admin().post(path, headers, body).await;
            reply
                .assert_status(403)
                .assert_no_header("www-authenticate");
            assert!(reply.text().contains("SAFELIGHT__ADMIN__TOKEN"), "{reply}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_no_purge_gets_an_explanation() {
    let proxy = TestProxy::start(|_| ()).await;
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    let admin = proxy.admin();
    for (body, part) in [
        ("", "the body must be a JSON object"),
        ("{}", "must name something to purge"),
        (r#"{"sauce":"/a"}"#, "field `sauce` does not exist"),
        (r#"{"source":7}"#, "field `source` must be a string"),
        (
            r#"{"source":"ftp://b.com/a"}"#,
            "`source`: must be a URL with `http://`",
        ),
        (
            r#"{"source":"bucket:x/a"}"#,
            "`source`: must name a [[bucket]]",
        ),
        (
            r#"{"prefix":"/a?b"}"#,
            "`prefix`: must end before the query",
        ),
        (r#"{"tag":" "}"#, "`tag`: a tag must be 1 to 1024"),
        (r#"{"url":"/a.jpg"}"#, "`url`: must be a transformation URL"),
        (
            r#"{"url":"/cdn-cgi/image/width=x1/"}"#,
            "`url`: a source is needed",
        ),
        (
            r#"{"url":"/cdn-cgi/image/format=tiff/a.jpg"}"#,
            "`url`: 'tiff' is not a supported output format",
        ),
    ] {
        let reply = admin.post("/purge", &headers, body).await;
        reply.assert_status(400);
        assert!(reply.text().contains(part), "no `{part}` in {reply}");
    }
    let secret = r#"{"source":"https://u:hunter2@b.com/a"}"#;
    let reply = admin.post("/purge", &headers, secret).await;
    reply
        .assert_status(400)
        .assert_keeps_quiet_about(&["hunter2"]);
    // If a part of a call is wrong, nothing is purged.
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("safelight_purges_total", &[]), 0.0);

    let long = format!(r#"{{"source":"/{}"}}"#, "a".repeat(1 << 20));
    let reply = admin.post("/purge", &headers, &long).await;
    reply.assert_status(413);
    let get = admin.send(Method::GET, "/purge", &headers).await;
    get.assert_status(405).assert_header("allow", "POST");
    let post = admin.send(Method::POST, "/metrics", &headers).await;
    post.assert_status(405).assert_header("allow", "GET, HEAD");
}

#[tokio::test]
async fn purges_are_logged_and_counted() {
    let proxy = TestProxy::start(|_| ()).await;
    let body = r#"{"source":["/a.jpg","/a.jpg"],"prefix":"/b/","tags":["Cats"],"soft":true}"#;
    let reply = proxy.purge(body).await;
    let text = r#"{"everything":false,"notes":[],"prefixes":["zone:/b/"],"renditions":0,"soft":true,"sources":["zone:/a.jpg"],"success":true,"tags":["cats"]}"#;
    assert_eq!(reply.text().trim(), text);
    let metrics = proxy.metrics();
    for (target, count) in [("source", 2.0), ("prefix", 1.0), ("tag", 1.0), ("url", 0.0)] {
        let labels = [("target", target), ("kind", "soft")];
        assert_eq!(metrics.sum("safelight_purges_total", &labels), count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_calls_of_cloudflare_work_here() {
    let origin = TestOrigin::start().await;
    let zone = zone(&origin.url(""));
    let authority = origin.authority();
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.sources.allowed = allowed(&[authority]);
    })
    .await;
    let authorization = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    let path = "/client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/purge_cache";
    for body in [
        r#"{"purge_everything":true}"#,
        r#"{"files":["https://www.shop.com/uploads/a.png"]}"#,
        r#"{"files":[{"url":"http://www.shop.com/uploads/a.png","headers":{"Origin":"https://x"}}]}"#,
        r#"{"files":["https://www.shop.com/cdn-cgi/image/width=9/uploads/a.png"]}"#,
        r#"{"hosts":["www.shop.com"]}"#,
        r#"{"prefixes":["www.shop.com/uploads"]}"#,
    ] {
        origin.serve(PATH, old());
        proxy.purge(r#"{"everything":true}"#).await;
        proxy.get(TARGET).await.assert_size(160, 120);
        origin.serve(PATH, new());
        let reply = proxy.admin().post(path, &headers, body).await;
        reply.assert_status(200);
        let expected = r#"{"errors":[],"messages":[],"result":{"id":"023e105f4ecef8ad9ca31a8372d0c353"},"success":true}"#;
        assert_eq!(reply.text().trim(), expected, "{body}");
        proxy.get(TARGET).await.assert_size(160, 80);
        assert_eq!(conditions(&origin.last()), [""; 0], "{body}");
    }
    let reply = proxy
        .admin()
        .post(path, &headers, r#"{"tags":["t"]}"#)
        .await;
    reply.assert_status(200);
    for (body, expected) in [
        ("{", r#""code":6007"#),
        ("{}", r#""code":1012"#),
        (r#"{"files":["ftp://x/a"]}"#, r#""code":1012"#),
    ] {
        let reply = proxy.admin().post(path, &headers, body).await;
        reply.assert_status(400);
        let text = reply.text();
        assert!(
            text.contains(expected) && text.contains(r#""result":null"#),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_purges_a_running_server() {
    let origin = TestOrigin::with(PATH, old()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!(
        "[zone]\norigin = '{}'\n[cache.disk]\npath = '{}'\n[admin]\ntoken = 'correct-horse-battery'\n",
        origin.url(""),
        folder.path().join("cache").display()
    );
    let server = Process::start(&settings).await;
    server.client.get(TARGET).await.assert_size(160, 120);
    origin.serve(PATH, new());
    let admin = format!("http://{}", server.admin.address());
    let token = [("SAFELIGHT__ADMIN__TOKEN", "correct-horse-battery")];
    let purge = async |arguments: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["purge"], arguments].concat();
        let output = process::run(folder.path(), &arguments, variables).await;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        (output.status.code().expect("it ended"), text)
    };

    let (code, text) = purge(&["--admin", &admin, "--source", PATH], &[]).await;
    assert!(code == 1 && text.contains("a token is needed"), "{text}");
    let wrong = [("SAFELIGHT__ADMIN__TOKEN", "wrong-horse-battery")];
    let (code, text) = purge(&["--admin", &admin, "--source", PATH], &wrong).await;
    assert!(
        code == 1 && text.contains("does not take this token"),
        "{text}"
    );
    assert!(!text.contains("wrong-horse-battery"), "{text}");
    let (code, text) = purge(&["--admin", "127.0.0.1:1", "--everything"], &token).await;
    assert!(code == 1 && text.contains("cannot be reached"), "{text}");
    let (code, text) = purge(&["--admin", &admin, "--source", "ftp://x/a"], &token).await;
    assert!(
        code == 1 && text.contains("`source`: must be a URL"),
        "{text}"
    );
    let public = format!("http://{}", server.client.address());
    let (code, text) = purge(&["--admin", &public, "--everything"], &token).await;
    assert!(
        code == 1 && text.contains("not the admin listener"),
        "{text}"
    );
    let (code, text) = purge(&["--admin", &admin], &token).await;
    assert!(code == 2 && text.contains("--everything"), "{text}");
    server.client.get(TARGET).await.assert_size(160, 120);

    let settings = format!(
        "[admin]\nlisten = '{}'\ntoken = 'correct-horse-battery'\n",
        server.admin.address()
    );
    std::fs::write(folder.path().join("config.toml"), settings).expect("a folder");
    let arguments = ["--source", PATH, "--tag", "Cats", "--prefix", "/x/"];
    let (code, text) = purge(&arguments, &[]).await;
    let expected =
        "purged: source zone:/uploads/a.png\npurged: prefix zone:/x/\npurged: tag cats\n";
    assert_eq!((code, text.as_str()), (0, expected));
    server.client.get(TARGET).await.assert_size(160, 80);
    let (code, text) = purge(&["--everything", "--soft"], &[]).await;
    assert_eq!((code, text.as_str()), (0, "made stale: everything\n"));
    eventually("the purges are logged", async || {
        server.log().matches(" purged ").count() == 4
    })
    .await;
    let log = server.log();
    assert!(!log.contains("correct-horse-battery"), "{log}");
}
