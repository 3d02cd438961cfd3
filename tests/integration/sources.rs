//! Where sources may come from, and how failures to get them are answered.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::signer::Signer;
use safelight::bucket;
use safelight::bucket::{AddressingStyle, Credentials};
use tokio::net::TcpSocket;

use crate::support::client::Client;
use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::proxy::{TestProxy, allowed, setting, zone};
use crate::support::s3::S3Server;
use crate::support::samples;

/// A proxy whose zone is an empty folder, which may fetch from this origin, with short timeouts.
async fn allowing(origin: &TestOrigin) -> TestProxy {
    let entries = allowed(&[origin.authority()]);
    TestProxy::start(|config| {
        config.sources.allowed = entries;
        config.fetch.first_byte_timeout = setting("500 ms");
        config.fetch.idle_timeout = setting("500 ms");
    })
    .await
}

fn target(source: &str) -> String {
    format!("/cdn-cgi/image/width=16/{source}")
}

#[tokio::test]
async fn a_folder_is_a_zone() {
    let proxy = TestProxy::start(|_| ()).await;
    let folder = proxy.folder();
    std::fs::create_dir(folder.join("sub")).expect("a folder");
    std::fs::write(folder.join("sub/a b.png"), samples::png(32, 24)).expect("a folder");
    std::fs::write(folder.join(".hidden.png"), samples::png(32, 24)).expect("a folder");
    std::fs::write(
        folder.parent().expect("it has one").join("up.png"),
        samples::png(32, 24),
    )
    .expect("a folder");
    proxy
        .get(&target("sub/a%20b.png"))
        .await
        .assert_size(16, 12);
    for source in [
        "none.png",
        "sub",
        "sub/",
        ".hidden.png",
        "../up.png",
        "%2e%2e/up.png",
    ] {
        proxy.get(&target(source)).await.assert_error(404, 9404);
    }
    for source in ["..%2fup.png", "sub%2f..%2f..%2fup.png"] {
        proxy.get(&target(source)).await.assert_error(403, 9419);
    }
}

#[tokio::test]
async fn a_file_is_cached_once_whatever_the_query() {
    let proxy = TestProxy::start(|_| ()).await;
    std::fs::write(proxy.folder().join("a.png"), samples::png(32, 24)).expect("a folder");
    for query in ["", "?v=1", "?v=2&w=3", "?"] {
        let reply = proxy.get(&target(&format!("a.png{query}"))).await;
        reply.assert_size(16, 12);
    }
    let fetches = "safelight_source_fetches_total";
    assert_eq!(proxy.metrics().sum(fetches, &[]), 1.0);
    assert_eq!(proxy.renders(), 1.0);
    // A purge of any of the spellings finds it.
    proxy.purge(r#"{"source":"/a.png?v=9"}"#).await;
    proxy.get(&target("a.png?v=1")).await.assert_size(16, 12);
    assert_eq!(proxy.metrics().sum(fetches, &[]), 2.0);
    let url = format!(r#"{{"url":"{}"}}"#, target("a.png?v=7"));
    proxy.purge(&url).await;
    proxy.get(&target("a.png")).await.assert_size(16, 12);
    assert_eq!(proxy.renders(), 3.0);
}

#[tokio::test]
async fn compressed_sources_and_sources_from_upstream_caches_work() {
    let png = samples::png(32, 24);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&png).expect("a vector takes all");
    let packed = packed.finish().expect("a vector takes all");
    let range = format!("bytes 0-{}/{}", png.len() - 1, png.len());
    let part = format!("bytes 0-{}/{}", png.len() - 1, png.len() + 1);
    let origin = TestOrigin::start().await;
    origin.serve(
        "/gzip.png",
        Answer::file(packed.clone()).with("content-encoding", "gzip"),
    );
    origin.serve(
        "/broken.png",
        Answer::file(png.clone()).with("content-encoding", "gzip"),
    );
    origin.serve("/203.png", Answer::file(png.clone()).answering(203));
    origin.serve(
        "/206.png",
        Answer::file(png.clone())
            .answering(206)
            .with("content-range", range),
    );
    origin.serve(
        "/part.png",
        Answer::file(png).answering(206).with("content-range", part),
    );
    // A drawing that is compressed without a `Content-Encoding`.
    origin.serve("/packed.svg", packed);
    let proxy = TestProxy::in_front_of(&origin).await;
    for name in ["gzip.png", "203.png", "206.png"] {
        proxy.get(&target(name)).await.assert_size(16, 12);
    }
    for name in ["broken.png", "part.png"] {
        proxy.get(&target(name)).await.assert_error(502, 9505);
    }
    proxy
        .get(&target("packed.svg"))
        .await
        .assert_error(415, 9412);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_does_not_lead_out_of_the_folder() {
    let proxy = TestProxy::start(|_| ()).await;
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("a.png"), samples::png(32, 24)).expect("a folder");
    let link = proxy.folder().join("link.png");
    std::os::unix::fs::symlink(outside.path().join("a.png"), link).expect("a folder");
    proxy.get(&target("link.png")).await.assert_error(404, 9404);
}

#[tokio::test]
async fn an_http_origin_is_a_zone_and_its_path_is_a_prefix() {
    let origin = TestOrigin::with("*", samples::png(32, 24)).await;
    let zone = zone(&origin.url("/base/path/"));
    let proxy = TestProxy::start(|config| config.zone.origin = zone).await;
    proxy.get(&target("a.png?v=1")).await.assert_size(16, 12);
    assert_eq!(origin.last().target, "/base/path/a.png?v=1");
}

#[tokio::test]
async fn sources_that_are_not_allowed_are_refused_without_a_request() {
    let origin = TestOrigin::with("*", samples::png(32, 24)).await;
    let entries = allowed(&[
        format!("{}/themes", origin.authority()),
        "b.test".to_owned(),
        "*.c.test".to_owned(),
    ]);
    let proxy = TestProxy::start(|config| config.sources.allowed = entries).await;
    let port = origin.authority().rsplit(':').next().map(str::to_owned);
    let port = port.expect("an address has one");
    for source in [
        origin.url("/media/themes/a.png"),
        origin.url("/themesque/a.png"),
        origin.url("/themes/..%2f../a.png"),
        origin.url("/themes/../a.png"),
        format!("http://localhost:{port}/themes/a.png"),
        "http://127.0.0.1/themes/a.png".to_owned(),
        "http://a.b.test/a.png".to_owned(),
        "http://b.test.evil.test/a.png".to_owned(),
        "http://evilc.test/a.png".to_owned(),
        "http://b.test:8080/a.png".to_owned(),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let reply = proxy.get(&target(&source)).await;
        reply.assert_error(403, 9401);
        assert_eq!(
            reply.text(),
            "ERROR 9401: Transformation origin is not in allowed origins list\n",
            "{source}"
        );
    }
    assert_eq!(origin.asked().len(), 0);
    proxy
        .get(&target(&origin.url("/themes/a.png")))
        .await
        .assert_size(16, 12);
}

#[tokio::test]
async fn an_allowed_origin_at_a_private_address_is_refused_until_private_networks_are_open() {
    let origin = TestOrigin::with("*", samples::png(32, 24)).await;
    let port = origin.authority().rsplit(':').next().map(str::to_owned);
    let port = port.expect("an address has one");
    let entries = || {
        allowed(&[
            origin.authority(),
            format!("localhost:{port}"),
            format!("[::ffff:127.0.0.1]:{port}"),
        ])
    };
    let sources = [
        origin.url("/a.png"),
        format!("http://localhost:{port}/a.png"),
        format!("http://[::ffff:7f00:1]:{port}/a.png"),
        format!("http://0x7f000001:{port}/a.png"),
    ];
    let entries_now = entries();
    let closed = TestProxy::start(|config| {
        config.sources.allowed = entries_now;
        config.fetch.private_networks = false;
    })
    .await;
    for source in &sources {
        let reply = closed.get(&target(source)).await;
        reply
            .assert_error(403, 9401)
            .assert_keeps_quiet_about(&["private_networks"]);
    }
    assert_eq!(origin.asked().len(), 0, "nobody was asked");
    let entries_now = entries();
    let open = TestProxy::start(|config| config.sources.allowed = entries_now).await;
    open.get(&target(&sources[0])).await.assert_size(16, 12);
}

#[tokio::test]
async fn redirects_are_followed_to_allowed_origins() {
    let picture = samples::png(32, 24);
    let origin = TestOrigin::with("/end.png", picture.clone()).await;
    let other = TestOrigin::with("/other.png", picture).await;
    for (path, status, to) in [
        ("/301", 301, "/end.png".to_owned()),
        ("/302", 302, origin.url("/end.png")),
        ("/303", 303, "end.png".to_owned()),
        ("/307", 307, "/301".to_owned()),
        ("/308", 308, format!("//{}/end.png", origin.authority())),
        ("/elsewhere", 302, other.url("/other.png")),
        (
            "/metadata",
            302,
            "http://169.254.169.254/latest/".to_owned(),
        ),
        ("/file", 302, "file:///etc/passwd".to_owned()),
        (
            "/credentials",
            302,
            format!("http://u:p@{}/end.png", origin.authority()),
        ),
    ] {
        origin.serve(path, Answer::redirect(status, to));
    }
    origin.serve("/nowhere", Answer::status(302));
    let proxy = allowing(&origin).await;
    for path in ["/301", "/302", "/303", "/307", "/308"] {
        let reply = proxy.get(&target(&origin.url(path))).await;
        reply.assert_size(16, 12);
    }
    for (path, status, number) in [
        ("/elsewhere", 403, 9401),
        ("/metadata", 403, 9401),
        ("/credentials", 403, 9401),
        ("/file", 400, 9420),
        ("/nowhere", 400, 9420),
    ] {
        let reply = proxy.get(&target(&origin.url(path))).await;
        reply
            .assert_error(status, number)
            .assert_keeps_quiet_about(&["169.254", "passwd", &other.authority()]);
    }
    assert_eq!(other.asked().len(), 0, "a redirect is no permission");
}

#[tokio::test]
async fn a_redirect_of_the_zone_needs_approval_as_well() {
    let other = TestOrigin::with("/a.png", samples::png(32, 24)).await;
    let origin = TestOrigin::with("/a.png", Answer::redirect(302, other.url("/a.png"))).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    proxy.get(&target("a.png")).await.assert_error(403, 9401);
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let origin = TestOrigin::start().await;
    origin.serve("/a", Answer::redirect(302, "/b"));
    origin.serve("/b", Answer::redirect(302, "/a"));
    let proxy = allowing(&origin).await;
    let reply = proxy.get(&target(&origin.url("/a"))).await;
    reply.assert_error(400, 9421);
    assert_eq!(origin.asked().len(), 6, "the first and five redirects");
}

#[tokio::test]
async fn a_source_of_too_many_bytes_is_refused_with_or_without_content_length() {
    let picture = samples::png(200, 200);
    let origin = TestOrigin::start().await;
    origin.serve("/announced.png", picture.clone());
    origin.serve("/chunked.png", Answer::chunked(picture.clone()));
    origin.serve("/endless.png", Answer::endless());
    origin.serve("/exact.png", samples::png(16, 12));
    let entries = allowed(&[origin.authority()]);
    let limit = samples::png(16, 12).len();
    assert!(limit < picture.len());
    let proxy = TestProxy::start(|config| {
        config.sources.allowed = entries;
        config.limits.source_bytes = setting(&limit.to_string());
    })
    .await;
    for path in ["/announced.png", "/chunked.png", "/endless.png"] {
        let reply = proxy.get(&target(&origin.url(path))).await;
        reply.assert_error(413, 9402);
        assert!(reply.text().contains(&limit.to_string()), "{reply}");
    }
    let exact = proxy.get(&target(&origin.url("/exact.png"))).await;
    exact.assert_size(16, 12);

    std::fs::write(proxy.folder().join("a.png"), picture).expect("a folder");
    proxy.get(&target("a.png")).await.assert_error(413, 9402);
}

#[tokio::test]
async fn a_source_without_content_length_works() {
    let origin = TestOrigin::with("/a.png", Answer::chunked(samples::png(32, 24))).await;
    let proxy = allowing(&origin).await;
    let reply = proxy.get(&target(&origin.url("/a.png"))).await;
    reply.assert_size(16, 12);
}

#[tokio::test]
async fn a_slow_origin_times_out_and_may_recover() {
    let gate = Gate::closed();
    let picture = samples::png(32, 24);
    let origin = TestOrigin::start().await;
    origin.serve("/silent", Answer::file(picture.clone()).behind(&gate));
    origin.serve("/stalled", Answer::stalls_after(picture.clone()));
    let proxy = allowing(&origin).await;
    for path in ["/silent", "/stalled"] {
        let started = Instant::now();
        let reply = proxy.get(&target(&origin.url(path))).await;
        reply.assert_error(524, 9504);
        assert!(started.elapsed() < Duration::from_secs(10), "{path}");
    }
    // The error is not cached.
    for path in ["/silent", "/stalled"] {
        origin.serve(path, picture.clone());
        let reply = proxy.get(&target(&origin.url(path))).await;
        reply.assert_size(16, 12);
    }
}

#[tokio::test]
async fn failures_of_the_origin_have_their_numbers() {
    let origin = TestOrigin::start().await;
    for (path, status) in [
        ("/400", 400),
        ("/401", 401),
        ("/403", 403),
        ("/404", 404),
        ("/408", 408),
        ("/410", 410),
        ("/429", 429),
        ("/500", 500),
        ("/503", 503),
        ("/204", 204),
    ] {
        origin.serve(path, Answer::status(status));
    }
    let picture = samples::png(32, 24);
    origin.serve("/206", Answer::status(206));
    origin.serve("/broken", Answer::breaks_off_after(picture.clone()));
    origin.serve(
        "/text",
        Answer::file("<html>not found</html>").with("content-type", "image/png"),
    );
    origin.serve("/empty", Answer::file(""));
    origin.serve("/damaged", picture[..picture.len() / 2].to_vec());
    origin.serve(
        "/svg",
        Answer::file("<svg xmlns='http://www.w3.org/2000/svg'>"),
    );
    origin.serve("/photoshop", Answer::file(&b"8BPS\0\x01"[..]));
    let proxy = allowing(&origin).await;
    for (path, status, number) in [
        ("/400", 502, 9519),
        ("/401", 403, 9408),
        ("/403", 403, 9408),
        ("/404", 404, 9404),
        ("/408", 408, 9408),
        ("/410", 404, 9404),
        ("/429", 403, 9408),
        ("/500", 502, 9509),
        ("/503", 502, 9509),
        ("/204", 502, 9505),
        ("/206", 502, 9505),
        ("/broken", 502, 9402),
        ("/text", 415, 9412),
        ("/empty", 415, 9412),
        ("/damaged", 422, 9516),
        ("/svg", 422, 9516),
        ("/photoshop", 415, 9520),
    ] {
        let reply = proxy.get(&target(&origin.url(path))).await;
        reply
            .assert_error(status, number)
            .assert_keeps_quiet_about(&["nobody should see"]);
    }
}

#[tokio::test]
async fn an_unreachable_origin_has_its_own_error() {
    let (_held, closed) = closed_port();
    // A label that is too long for DNS, so the look-up fails without a server.
    let unknown = format!("{}.test", "a".repeat(64));
    let entries = allowed(&[closed.clone(), unknown.clone()]);
    let proxy = TestProxy::start(|config| config.sources.allowed = entries).await;
    let refused = proxy.get(&target(&format!("http://{closed}/a.png"))).await;
    refused
        .assert_error(523, 9510)
        .assert_keeps_quiet_about(&[&format!("{closed} ")]);
    let reply = proxy.get(&target(&format!("http://{unknown}/a.png"))).await;
    reply.assert_error(523, 9407);
}

/// An address on which nothing listens, and which no other process can use while the socket is open.
fn closed_port() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    (socket, address.to_string())
}

fn private_bucket(server: &S3Server, secret: &str) -> bucket::Config {
    bucket::Config {
        name: "photos".to_owned(),
        bucket: "private".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: server.endpoint().to_owned(),
        style: AddressingStyle::Path,
        credentials: Credentials::Static {
            key: server.access_key().to_owned(),
            secret: secret.to_owned(),
        },
    }
}

#[tokio::test]
async fn a_private_bucket_is_read_through_the_proxy_and_not_without() {
    let server = S3Server::start().await;
    let picture = samples::jpeg(64, 48);
    server.put("private", "cat.jpg", picture.clone()).await;
    server
        .put("private", "deep/ä b+c%.jpg", picture.clone())
        .await;
    server.put("private", "note.txt", "no picture").await;
    let endpoint = server.endpoint();
    let url = format!("{endpoint}/private/cat.jpg");

    let address = endpoint.trim_start_matches("http://").parse();
    let direct = Client::new(address.expect("an address"));
    direct.get("/private/cat.jpg").await.assert_status(403);

    let bucket = private_bucket(&server, server.secret_key());
    let proxy = TestProxy::start(|config| config.bucket = vec![bucket.clone()]).await;
    let signed = proxy
        .get(&format!("/cdn-cgi/image/width=16,format=webp/{url}"))
        .await;
    signed
        .assert_size(16, 12)
        .assert_header("content-type", "image/webp")
        .assert_header_has("cache-status", "fwd=miss");

    // One object is one cache entry, whatever signature the URL has.
    let presigned = format!("{url}?X-Amz-Signature=stale&X-Amz-Expires=1");
    for source in [
        presigned.clone(),
        presigned
            .replace(':', "%3A")
            .replace('/', "%2F")
            .replace('?', "%3F"),
    ] {
        let again = proxy
            .get(&format!("/cdn-cgi/image/format=webp,width=16/{source}"))
            .await;
        again
            .assert_size(16, 12)
            .assert_header_has("cache-status", "hit");
        assert_eq!(again.header("etag"), signed.header("etag"));
    }
    let deep = format!("{endpoint}/private/deep/%C3%A4%20b+c%25.jpg");
    proxy.get(&target(&deep)).await.assert_size(16, 12);

    let missing = proxy
        .get(&target(&format!("{endpoint}/private/dog.jpg")))
        .await;
    missing.assert_error(404, 9404);
    let text = proxy
        .get(&target(&format!("{endpoint}/private/note.txt")))
        .await;
    text.assert_error(415, 9412);
    // Another bucket of the same service is not configured.
    let other = proxy
        .get(&target(&format!("{endpoint}/public/cat.jpg")))
        .await;
    other.assert_error(403, 9401);

    // The same bucket, configured as the zone.
    let zoned = TestProxy::start(|config| {
        config.zone.origin = zone("bucket:photos");
        config.bucket = vec![bucket];
    })
    .await;
    zoned.get(&target("cat.jpg")).await.assert_size(16, 12);
    zoned
        .get(&target(&url))
        .await
        .assert_header_has("cache-status", "hit");

    // Allowed but not configured: the request has no signature, and the server refuses it.
    let entries = allowed(&[endpoint.trim_start_matches("http://").to_owned()]);
    let bare = TestProxy::start(|config| config.sources.allowed = entries).await;
    bare.get(&target(&url)).await.assert_error(403, 9408);
}

#[tokio::test]
async fn a_presigned_url_of_a_bucket_that_is_not_configured_is_a_plain_source() {
    let server = S3Server::start().await;
    server
        .put("private", "cat.jpg", samples::jpeg(64, 48))
        .await;
    let store = AmazonS3Builder::new()
        .with_endpoint(server.endpoint())
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name("private")
        .with_access_key_id(server.access_key())
        .with_secret_access_key(server.secret_key())
        .build()
        .expect("right settings");
    let presigned = store
        .signed_url(
            hyper::Method::GET,
            &Path::from("cat.jpg"),
            Duration::from_secs(600),
        )
        .await
        .expect("static keys")
        .to_string();
    let authority = server.endpoint().trim_start_matches("http://").to_owned();
    let entries = allowed(&[authority]);
    let proxy = TestProxy::start(|config| config.sources.allowed = entries).await;

    let encoded: String = url::form_urlencoded::byte_serialize(presigned.as_bytes()).collect();
    proxy.get(&target(&encoded)).await.assert_size(16, 12);
    proxy.get(&target(&presigned)).await.assert_size(16, 12);
    let tampered = presigned.replace("X-Amz-Expires=600", "X-Amz-Expires=601");
    assert_ne!(tampered, presigned);
    proxy.get(&target(&tampered)).await.assert_error(403, 9408);

    let closed = TestProxy::start(|_| ()).await;
    closed.get(&target(&encoded)).await.assert_error(403, 9401);
}

#[tokio::test]
async fn a_bucket_with_wrong_keys_is_a_bad_gateway_without_details() {
    let server = S3Server::start().await;
    server
        .put("private", "cat.jpg", samples::jpeg(64, 48))
        .await;
    let secrets = [
        server.access_key().to_owned(),
        "not-the-secret".to_owned(),
        "Signature".to_owned(),
    ];
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let url = format!("{}/private/cat.jpg", server.endpoint());

    let bucket = private_bucket(&server, "not-the-secret");
    let proxy = TestProxy::start(|config| config.bucket = vec![bucket]).await;
    let reply = proxy.get(&target(&url)).await;
    reply
        .assert_error(502, 9505)
        .assert_keeps_quiet_about(&secrets);

    let mut unknown = private_bucket(&server, server.secret_key());
    unknown.credentials = Credentials::Static {
        key: "nobody".to_owned(),
        secret: "not-the-secret".to_owned(),
    };
    let proxy = TestProxy::start(|config| config.bucket = vec![unknown]).await;
    let reply = proxy.get(&target(&url)).await;
    reply
        .assert_error(502, 9505)
        .assert_keeps_quiet_about(&secrets);
}

#[tokio::test]
async fn an_unreachable_bucket_has_its_own_error() {
    let (_held, closed) = closed_port();
    let bucket = bucket::Config {
        name: "photos".to_owned(),
        bucket: "private".to_owned(),
        region: String::new(),
        endpoint: format!("http://{closed}"),
        style: AddressingStyle::Path,
        credentials: Credentials::Anonymous,
    };
    let proxy = TestProxy::start(|config| config.bucket = vec![bucket]).await;
    let reply = proxy
        .get(&target(&format!("http://{closed}/private/a.jpg")))
        .await;
    reply.assert_error(523, 9510);
    let reply = proxy
        .get(&target(&format!("http://{closed}/private/")))
        .await;
    reply.assert_error(403, 9401);
}
