//! Objects of a bucket with keys of every kind, through every spelling of their URLs.

use hyper::Method;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use safelight::bucket;
use safelight::bucket::{AddressingStyle, Credentials};
use safelight::policy::Originals;
use serde_json::json;

use crate::support::client;
use crate::support::memory_s3::MemoryS3;
use crate::support::origin::TestOrigin;
use crate::support::proxy::{TestProxy, allowed, zone};
use crate::support::s3::S3Server;
use crate::support::samples;

/// What `encodeURIComponent` of JavaScript keeps.
const IN_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// What signatures of S3 keep in a path.
const IN_SIGNED_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// Keys that every S3 server keeps apart.
const KEYS: [&str; 9] = [
    "plain.png",
    "a b.png",
    "\u{fc}ml\u{e4}ut.png",
    "a+b&c=d.png",
    "100%.png",
    "%2e.png",
    "it's \"quoted\" ~(1)*!.png",
    "\u{1f600}/what?#.png",
    " spaces at both ends ",
];
/// Keys with empty segments, and what URL parsers could misread.
const ODD_KEYS: [&str; 6] = [
    "/lead.png",
    "//lead.png",
    "b//c.png",
    "trail/",
    "a\\b.png",
    "...",
];

fn component(text: &str) -> String {
    utf8_percent_encode(text, IN_COMPONENT).to_string()
}

/// The key as the path of a URL, with its slashes as they are.
fn path(key: &str) -> String {
    key.split('/').map(component).collect::<Vec<_>>().join("/")
}

fn photos(endpoint: &str, key: &str, secret: &str) -> bucket::Config {
    bucket::Config {
        name: "photos".to_owned(),
        bucket: "private".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: endpoint.to_owned(),
        style: AddressingStyle::Path,
        credentials: Credentials::Static {
            key: key.to_owned(),
            secret: secret.to_owned(),
        },
    }
}

/// A proxy whose zone is the bucket.
async fn in_front_of(bucket: bucket::Config) -> TestProxy {
    TestProxy::start(|config| {
        config.zone.origin = zone("bucket:photos");
        config.bucket = vec![bucket];
    })
    .await
}

/// URLs of an object at a server on `localhost:PORT`.
fn urls(port: u16, key: &str) -> Vec<String> {
    let bases = [
        format!("http://localhost:{port}/private"),
        format!("http://private.localhost:{port}"),
    ];
    let [in_path, _] = &bases;
    let mut urls = Vec::new();
    for base in &bases {
        urls.push(format!("{base}/{}", path(key)));
        urls.push(format!("{base}/{}", component(key)));
    }
    let url = format!("{in_path}/{}", path(key));
    urls.push(format!("{url}?X-Amz-Signature=stale&X-Amz-Expires=1"));
    urls.push(component(&url));
    urls.push(url.replace('%', "%25").replace('/', "%2F"));
    urls.push(component(&url).replace("%2F", "/"));
    // As somebody wrote it who knows of no encoding. Some characters mean something else in a URL, and spaces around one are no part of it.
    if !key.contains(['%', '?', '#', '\\']) && key.trim_end() == key {
        urls.push(component(&format!("{in_path}/{key}")));
    }
    urls
}

/// Paths of an object on the zone. The slashes in front of a path are no part of it, so those of the key must be encoded.
fn paths(key: &str) -> Vec<String> {
    let mut paths = vec![component(key), format!("/{}", component(key))];
    if !key.starts_with('/') {
        paths.push(path(key));
    }
    paths
}

fn target(source: &str) -> String {
    format!("/cdn-cgi/image/width=16/{source}")
}

/// Every spelling of an object leads to one entry of the cache and one request, and a purge of each spelling removes it.
async fn check(proxy: &TestProxy, port: u16, key: &str) {
    let mut sources = urls(port, key);
    sources.extend(paths(key));
    let first = proxy.get(&target(&sources[0])).await;
    first.assert_size(16, 12);
    for source in &sources {
        let reply = proxy.get(&target(source)).await;
        reply
            .assert_size(16, 12)
            .assert_header_has("cache-status", "hit");
        assert_eq!(reply.header("etag"), first.header("etag"), "{source}");
    }
    let mut names = urls(port, key);
    names.extend(paths(key).iter().map(|path| format!("zone:/{path}")));
    names.push(format!("bucket:photos/{key}"));
    names.extend(sources.iter().map(|source| target(source)));
    for name in names {
        proxy.purge(&json!({ "source": name }).to_string()).await;
        let reply = proxy.get(&target(&sources[0])).await;
        reply.assert_size(16, 12);
        let status = reply.header("cache-status");
        assert!(
            !status.contains("hit"),
            "{key} is still there after a purge of {name}: {status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_read_and_purged_by_every_spelling() {
    let server = MemoryS3::start().await;
    let port = server.port();
    let endpoint = format!("http://localhost:{port}");
    let proxy = in_front_of(photos(&endpoint, server.access_key(), server.secret_key())).await;
    for (number, key) in KEYS.into_iter().chain(ODD_KEYS).enumerate() {
        let width = 32 + 2 * u32::try_from(number).expect("a few");
        server.put(key, samples::png(width, width * 3 / 4));
        let request = format!("GET /private/{}", utf8_percent_encode(key, IN_SIGNED_PATH));
        for source in [&urls(port, key)[0], &paths(key)[0]] {
            proxy.get(&target(source)).await.assert_size(16, 12);
            assert_eq!(server.take_asked(), [request.as_str()], "{source}");
            proxy.purge(r#"{"everything":true}"#).await;
        }
        check(&proxy, port, key).await;
        let asked = server.take_asked();
        assert!(asked.iter().all(|asked| *asked == request), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_mistaken_for_another() {
    let server = MemoryS3::start().await;
    let endpoint = format!("http://localhost:{}", server.port());
    for (number, key) in ["lead.png", "/lead.png", "b/c.png", "b//c.png", "b/c.png/"]
        .iter()
        .enumerate()
    {
        let width = 40 + 40 * u32::try_from(number).expect("a few");
        server.put(key, samples::png(width, 30));
    }
    let proxy = in_front_of(photos(&endpoint, server.access_key(), server.secret_key())).await;
    let base = format!("{endpoint}/private");
    for (source, width) in [
        ("lead.png".to_owned(), 40),
        // The slashes in front of a path are no part of it, however many they are.
        ("/lead.png".to_owned(), 40),
        ("//lead.png".to_owned(), 40),
        ("%2Flead.png".to_owned(), 80),
        (format!("{base}/lead.png"), 40),
        (format!("{base}//lead.png"), 80),
        (format!("{base}/%2Flead.png"), 80),
        (format!("{base}%2Flead.png"), 0),
        ("b/c.png".to_owned(), 120),
        ("b//c.png".to_owned(), 160),
        ("b/%2Fc.png".to_owned(), 160),
        ("b%2F%2Fc.png".to_owned(), 160),
        (format!("{base}/b/c.png"), 120),
        (format!("{base}/b//c.png"), 160),
        ("b/c.png/".to_owned(), 200),
        ("b/./c.png".to_owned(), 120),
        ("b/x/..//c.png".to_owned(), 160),
        ("b///c.png".to_owned(), 0),
    ] {
        let reply = proxy
            .get(&format!("/cdn-cgi/image/fit=scale-down/{source}"))
            .await;
        match width {
            0 => assert_ne!(reply.status, 200, "{source}"),
            width => {
                reply.assert_size(width, 30);
            }
        }
    }
    for source in [
        "b%2F..%2Flead.png",
        "b%2F.%2Fc.png",
        "%2F..%2Flead.png",
        "b%0A.png",
    ] {
        proxy.get(&target(source)).await.assert_error(403, 9419);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_are_read_from_a_real_server() {
    let server = S3Server::start().await;
    let port = server.endpoint().rsplit(':').next().map(str::parse);
    let port: u16 = port.and_then(Result::ok).expect("an address has one");
    let endpoint = format!("http://localhost:{port}");
    let proxy = in_front_of(photos(&endpoint, server.access_key(), server.secret_key())).await;
    let mut keys = KEYS.to_vec();
    // Plain files cannot have such names.
    if server.keeps_every_key() {
        keys.extend(["/lead.png", "b//c.png"]);
    }
    for key in keys {
        server.put("private", key, samples::png(32, 24)).await;
        check(&proxy, port, key).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_are_warmed() {
    let server = MemoryS3::start().await;
    let endpoint = format!("http://localhost:{}", server.port());
    let proxy = in_front_of(photos(&endpoint, server.access_key(), server.secret_key())).await;
    let keys = ["/lead.png", "b//c.png", "trail/", "a b \u{fc}%2F.png"];
    for key in keys {
        server.put(key, samples::png(32, 24));
    }
    let mut sources: Vec<String> = keys
        .iter()
        .map(|key| format!("bucket:photos/{key}"))
        .collect();
    server.put("d \u{fc}.png", samples::png(32, 24));
    sources.push(component(&format!("{endpoint}/private/d \u{fc}.png")));
    let body = json!({ "sources": sources, "options": "width=16", "accept": "webp" });
    let reply = proxy.warm(&body.to_string()).await;
    reply.assert_status(200);
    assert_eq!(reply.text().matches("made").count(), 5, "{}", reply.text());
    let paths = keys
        .iter()
        .map(|key| component(key))
        .chain(["d%20%C3%BC.png".to_owned()]);
    for path in paths {
        let reply = proxy.get(&target(&path)).await;
        reply
            .assert_size(16, 12)
            .assert_header_has("cache-status", "hit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn originals_have_keys_of_every_kind() {
    let server = MemoryS3::start().await;
    let endpoint = format!("http://localhost:{}", server.port());
    let bucket = photos(&endpoint, server.access_key(), server.secret_key());
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone("bucket:photos");
        config.zone.originals = Some(Originals::All);
        config.bucket = vec![bucket];
    })
    .await;
    for key in KEYS.into_iter().chain(ODD_KEYS) {
        server.put(key, format!("the content of {key}"));
        let signed = utf8_percent_encode(key, IN_SIGNED_PATH);
        for method in [Method::GET, Method::HEAD] {
            let reply = proxy
                .client()
                .send(method.clone(), &format!("/{}", component(key)), &[])
                .await;
            reply.assert_status(200);
            assert_eq!(server.take_asked(), [format!("{method} /private/{signed}")]);
            if method == Method::GET {
                assert_eq!(reply.text(), format!("the content of {key}"));
            }
        }
    }
}

#[tokio::test]
async fn an_http_origin_gets_empty_segments_as_they_are() {
    let origin = TestOrigin::with("*", samples::png(32, 24)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    for (source, asked) in [
        ("b//c.png", "/b//c.png"),
        ("b///c.png?x=//", "/b///c.png?x=//"),
        ("trail.png/", "/trail.png/"),
        ("%2Flead.png", "/%2Flead.png"),
        // The slashes in front of a path are no part of it.
        ("//lead.png", "/lead.png"),
    ] {
        proxy.get(&target(source)).await.assert_size(16, 12);
        assert_eq!(origin.last().target, asked, "{source}");
    }
    let entries = allowed(&[origin.authority()]);
    let proxy = TestProxy::start(|config| config.sources.allowed = entries).await;
    for path in ["/b//c.png", "//lead.png", "/trail.png/"] {
        proxy
            .get(&target(&origin.url(path)))
            .await
            .assert_size(16, 12);
        assert_eq!(origin.last().target, path);
    }
    let written = component(&origin.url("/a b \u{fc}.png?v=c d"));
    proxy.get(&target(&written)).await.assert_size(16, 12);
    assert_eq!(origin.last().target, "/a%20b%20%C3%BC.png?v=c%20d");
}

#[tokio::test]
async fn what_comes_raw_is_refused_whatever_is_around_it() {
    let origin = TestOrigin::with("*", samples::png(32, 24)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    for source in [
        "\u{fc}.png".to_owned(),
        origin.url("/\u{fc}.png"),
        format!("{}\u{fc}.png", component(&origin.url("/"))),
        format!("{}?v=\u{fc}", component(&origin.url("/a.png"))),
    ] {
        let target = target(&source);
        let head = format!("GET {target} HTTP/1.1\r\nHost: zone.test\r\nConnection: close\r\n\r\n");
        let reply = client::raw(proxy.client().address(), head.as_bytes()).await;
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.starts_with("HTTP/1.1 403 "), "{source}: {reply}");
        assert!(reply.contains("9406"), "{source}: {reply}");
    }
    assert_eq!(origin.asked().len(), 0);
}
