//! Originals: what the zone has at paths that are no transformation URLs. How each kind of origin is asked is tested in `source`.

use std::fs;
use std::time::{Duration, Instant};

use hyper::Method;
use safelight::policy::Originals;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::{Client, raw};
use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::{bounded, eventually, samples};

const PAGE: &str = "<!doctype html><title>t</title>";
const DRAWING: &str = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";

/// A proxy in front of a folder with some files.
async fn in_front_of_a_folder(originals: Option<Originals>) -> TestProxy {
    let proxy = TestProxy::start(|config| config.zone.originals = originals).await;
    let folder = proxy.folder();
    let sub = folder.join("a b");
    fs::create_dir_all(&sub).expect("a folder");
    fs::write(sub.join("ü.png"), samples::png(4, 3)).expect("a file");
    fs::write(folder.join("page.html"), PAGE).expect("a file");
    fs::write(folder.join("drawing.svg"), DRAWING).expect("a file");
    fs::write(folder.join("not.png"), "plain text").expect("a file");
    proxy
}

async fn in_front_of(origin: &TestOrigin, originals: Option<Originals>) -> TestProxy {
    let zone = zone(&origin.url(""));
    TestProxy::start(|config| {
        config.zone.origin = zone;
        config.zone.originals = originals;
        config.server.write_timeout = setting("600 ms");
        config.fetch.idle_timeout = setting("2 s");
    })
    .await
}

#[tokio::test]
async fn pictures_are_served_and_nothing_else() {
    let proxy = in_front_of_a_folder(None).await;
    let picture = proxy.get("/a%20b/%C3%BC.png").await;
    picture
        .assert_status(200)
        .assert_header("content-type", "image/png")
        .assert_header("x-content-type-options", "nosniff")
        .assert_header("accept-ranges", "bytes")
        .assert_header("cache-status", "safelight; fwd=bypass; detail=original")
        .assert_header_has("server-timing", "fetch;dur=");
    assert!(picture.body == samples::png(4, 3), "other bytes");
    let drawing = proxy.get("/drawing.svg").await;
    drawing
        .assert_status(200)
        .assert_header("content-type", "image/svg+xml")
        .assert_header("x-content-type-options", "nosniff")
        .assert_header_has("content-security-policy", "sandbox");
    assert_eq!(drawing.text(), DRAWING);
    for hidden in ["/page.html", "/not.png", "/a%20b", "/a%20b/", "/", "/none"] {
        for method in [Method::GET, Method::HEAD] {
            let reply = proxy.client().send(method, hidden, &[]).await;
            reply
                .assert_status(404)
                .assert_header("cf-resized", "err=9404");
            reply.assert_no_header("last-modified");
        }
        let conditions = [("if-none-match", "*"), ("range", "bytes=1-")];
        for condition in conditions {
            proxy
                .get_with(hidden, &[condition])
                .await
                .assert_status(404);
        }
    }
}

#[tokio::test]
async fn everything_is_served_where_an_operator_says_so() {
    let proxy = in_front_of_a_folder(Some(Originals::All)).await;
    let page = proxy.get("/page.html").await;
    page.assert_status(200)
        .assert_header("content-type", "text/html; charset=utf-8")
        .assert_header("x-content-type-options", "nosniff")
        .assert_no_header("content-security-policy");
    assert_eq!(page.text(), PAGE);
    proxy.get("/not.png").await.assert_status(200);
    for missing in [
        "/",
        "/a%20b",
        "/a%20b/",
        "/none",
        "/..%2f..%2fetc/passwd",
        "/.hidden",
    ] {
        let reply = proxy.get(missing).await;
        assert!(matches!(reply.status, 403 | 404), "{reply}");
    }
}

#[tokio::test]
async fn originals_are_saved_where_an_operator_says_so() {
    let proxy = TestProxy::start(|config| {
        let section = "disposition = 'attachment'";
        config.response = toml::from_str(section).expect("a setting");
        config.zone.originals = Some(Originals::All);
    })
    .await;
    fs::write(proxy.folder().join("cat.png"), samples::png(4, 3)).expect("a file");
    fs::write(proxy.folder().join("page.html"), PAGE).expect("a file");
    let reply = proxy.get("/cat.png").await;
    reply.assert_header("content-disposition", "attachment; filename=\"cat.png\"");
    let page = proxy.get("/page.html").await;
    page.assert_status(200)
        .assert_no_header("content-disposition");
}

#[tokio::test]
async fn nothing_is_served_where_an_operator_says_so() {
    let proxy = in_front_of_a_folder(Some(Originals::None)).await;
    let reply = proxy.get("/a%20b/%C3%BC.png").await;
    reply.assert_status(404).assert_no_header("cf-resized");
    proxy
        .get("/cdn-cgi/image/width=2/a%20b/%C3%BC.png")
        .await
        .assert_status(200);
}

#[tokio::test]
async fn heads_conditions_and_ranges_are_answered() {
    let proxy = in_front_of_a_folder(None).await;
    let target = "/a%20b/%C3%BC.png";
    let whole = proxy.get(target).await;
    let length = whole.body.len();
    let head = proxy.client().send(Method::HEAD, target, &[]).await;
    head.assert_status(200)
        .assert_header("content-length", &length.to_string());
    assert!(head.body.is_empty());
    let etag = whole.header("etag");
    let unchanged = proxy.get_with(target, &[("if-none-match", &etag)]).await;
    unchanged.assert_status(304).assert_header("etag", &etag);
    let part = proxy.get_with(target, &[("range", "bytes=3-9")]).await;
    part.assert_status(206)
        .assert_header("content-range", &format!("bytes 3-9/{length}"));
    assert_eq!(part.body, whole.body[3..10]);
    let beyond = proxy.get_with(target, &[("range", "bytes=99999-")]).await;
    beyond
        .assert_status(416)
        .assert_header("content-range", &format!("bytes */{length}"));
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let reply = proxy.client().send(method, target, &[]).await;
        reply
            .assert_status(405)
            .assert_header_has("allow", "GET, HEAD");
    }
}

#[tokio::test]
async fn headers_of_the_origin_are_passed_on_but_no_cookies() {
    let origin = TestOrigin::start().await;
    let kept = [
        ("content-type", "text/css"),
        ("etag", "\"x\""),
        ("last-modified", "Sun, 01 Nov 2026 10:00:00 GMT"),
        ("cache-control", "max-age=7"),
        ("content-language", "de"),
    ];
    let mut answer = Answer::file("a{}")
        .with("set-cookie", "a=b")
        .with("x-powered-by", "a secret")
        .with("server", "nginx");
    for (name, value) in kept {
        answer = answer.with(name, value);
    }
    origin.serve("/a.css", answer);
    let proxy = in_front_of(&origin, Some(Originals::All)).await;
    let headers = [
        ("cookie", "session=1"),
        ("authorization", "Bearer secret"),
        ("referer", "https://a.test/"),
        ("x-forwarded-for", "10.0.0.1"),
        ("via", "1.1 nginx"),
    ];
    let reply = proxy.get_with("/a.css?v=1&v=2", &headers).await;
    reply.assert_status(200);
    assert_eq!(reply.text(), "a{}");
    for (name, value) in kept {
        reply.assert_header(name, value);
    }
    for name in ["set-cookie", "x-powered-by", "server"] {
        reply.assert_no_header(name);
    }
    let asked = origin.last();
    assert_eq!(asked.target, "/a.css?v=1&v=2");
    for name in ["cookie", "authorization", "referer", "x-forwarded-for"] {
        assert!(!asked.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_zone_that_is_this_server_ends_in_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let zone = zone(&format!("http://{address}"));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.zone.originals = Some(Originals::All);
    })
    .await;
    // The zone's address leads to the proxy.
    let own = proxy.client().address();
    let relay = tokio::net::TcpListener::bind(address)
        .await
        .expect("it is free again");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = relay.accept().await {
            let mut server = TcpStream::connect(own).await.expect("it listens");
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    for target in ["/a.png", "/cdn-cgi/image/width=2/a.png"] {
        let reply = proxy.get(target).await;
        assert!(matches!(reply.status, 502 | 508), "{reply}");
    }
    let requests = proxy.metrics().sum("safelight_requests_total", &[]);
    assert!(requests < 20.0, "{requests} requests");
}

#[tokio::test]
async fn originals_are_counted_and_logged_as_such() {
    let proxy = in_front_of_a_folder(None).await;
    proxy.get("/a%20b/%C3%BC.png").await.assert_status(200);
    let labels = [("outcome", "original"), ("status", "200")];
    let counted = proxy.metrics().sum("safelight_requests_total", &labels);
    assert_eq!(counted, 1.0);
}

#[tokio::test]
async fn a_transformation_that_fails_redirects_to_the_original() {
    let proxy = in_front_of_a_folder(None).await;
    fs::write(proxy.folder().join("cut.png"), &samples::png(90, 90)[..60]).expect("a file");
    let reply = proxy
        .get("/cdn-cgi/image/width=2,onerror=redirect/cut.png")
        .await;
    reply
        .assert_status(307)
        .assert_header("location", "/cut.png");
    let original = proxy.get("/cut.png").await;
    original
        .assert_status(200)
        .assert_header("content-type", "image/png");
}

/// An answer of a hundred megabytes, of which each piece is made when it is asked for.
fn long() -> Answer {
    Answer::endless()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_vanish_let_go_of_their_origin() {
    let origin = TestOrigin::with("/long.bin", long()).await;
    let proxy = in_front_of(&origin, Some(Originals::All)).await;
    let before = proxy.metrics().sum("safelight_connections", &[]);
    for _ in 0..20 {
        let mut stream = TcpStream::connect(proxy.client().address())
            .await
            .expect("it listens");
        stream
            .write_all(b"GET /long.bin HTTP/1.1\r\nhost: h\r\n\r\n")
            .await
            .expect("it reads");
        let mut piece = [0; 4096];
        bounded("a piece", stream.read_exact(&mut piece))
            .await
            .expect("it arrives");
    }
    eventually("nothing is held", async || {
        let metrics = proxy.metrics();
        metrics.sum("safelight_connections", &[]) <= before
            && metrics.sum("safelight_source_fetches_in_flight", &[]) == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_nothing_are_cut_off() {
    let origin = TestOrigin::with("/long.bin", long()).await;
    let proxy = in_front_of(&origin, Some(Originals::All)).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(32 << 10).expect("a size");
    let mut stream = socket
        .connect(proxy.client().address())
        .await
        .expect("it listens");
    stream
        .write_all(b"GET /long.bin HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .expect("it reads");
    eventually("it is served", async || {
        proxy
            .metrics()
            .sum("safelight_source_fetches_in_flight", &[])
            > 0.0
    })
    .await;
    let begun = Instant::now();
    eventually("it is cut off", async || {
        proxy
            .metrics()
            .sum("safelight_source_fetches_in_flight", &[])
            == 0.0
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{begun:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_breaks_off_is_seen_by_the_client() {
    let origin = TestOrigin::start().await;
    // More than the origin buffers, which would otherwise close the connection before it has sent a byte.
    origin.serve("/broken.bin", Answer::breaks_off_after(vec![7; 2_000_000]));
    origin.serve("/stalled.bin", Answer::stalls_after(vec![7; 100_000]));
    let proxy = in_front_of(&origin, Some(Originals::All)).await;
    let address = proxy.client().address();
    for target in ["/broken.bin", "/stalled.bin"] {
        for client in [Client::new(address), Client::h2c(address)] {
            let reply = client.try_send(Method::GET, target, &[]).await;
            let status = reply.map(|reply| reply.status);
            assert!(status.is_err(), "{target}: {status:?}");
        }
        let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answer = raw(address, request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(
            !answer.ends_with(b"0\r\n\r\n"),
            "{target}: told as complete"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_pauses_for_less_than_its_timeout_is_waited_for() {
    // The write timeout of clients is shorter than the pause.
    let origin = TestOrigin::start().await;
    origin.serve(
        "/slow.bin",
        Answer::slow(vec![7; 5000], Duration::from_millis(1200)),
    );
    let proxy = in_front_of(&origin, Some(Originals::All)).await;
    let address = proxy.client().address();
    for client in [Client::new(address), Client::h2c(address)] {
        let reply = client.get("/slow.bin").await;
        reply.assert_status(200);
        assert_eq!(reply.body.len(), 5000);
    }
}

#[tokio::test]
async fn metadata_is_removed_on_the_way() {
    /// An EXIF block with the orientation 6, and a text that nobody should see.
    const EXIF: &[u8] =
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0 51 degrees north";
    let plain = samples::jpeg(40, 30);
    let length = u16::try_from(EXIF.len() + 2).expect("a short segment");
    let app1 = [&[0xFF, 0xE1], &length.to_be_bytes()[..], EXIF].concat();
    let photo = [&plain[..2], &app1, &plain[2..]].concat();
    let avif = b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf and no more";
    let origin = TestOrigin::start().await;
    let tagged = |content: Vec<u8>| Answer::file(content).with("etag", "\"1\"");
    origin.serve("/photo.jpg", tagged(photo.clone()));
    origin.serve("/photo.avif", tagged(avif.to_vec()));
    origin.serve("/page.html", tagged(PAGE.into()));
    let coded = Answer::file("a photo within").with("content-encoding", "compress");
    origin.serve("/coded", coded);
    let zone = zone(&origin.url(""));
    for originals in [Originals::Pictures, Originals::All] {
        let zone = zone.clone();
        let proxy = TestProxy::start(|config| {
            config.zone.origin = zone;
            config.zone.originals = Some(originals);
            config.zone.strip = true;
        })
        .await;
        // A range of what is sent would be another one of what the origin has.
        for range in [
            &[][..],
            &[("range", "bytes=0-9")],
            &[("if-none-match", "\"1\"")],
        ] {
            let reply = proxy.get_with("/photo.jpg", range).await;
            reply
                .assert_status(200)
                .assert_header("etag", "W/\"1-stripped\"")
                .assert_no_header("content-length");
            let has = |text: &[u8]| reply.body.windows(text.len()).any(|part| part == text);
            assert!(!has(b"51 degrees") && has(&EXIF[..26]), "{reply}");
            assert_eq!(reply.body.len(), photo.len() - b" 51 degrees north".len());
            // As it is shown: on its side.
            assert_eq!(samples::size_of(&reply.body), (30, 40));
        }
        let again = proxy.get_with("/photo.jpg", &[("if-none-match", "W/\"1-stripped\"")]);
        again
            .await
            .assert_status(304)
            .assert_header("etag", "W/\"1-stripped\"");
        let head = proxy.client().send(Method::HEAD, "/photo.jpg", &[]).await;
        head.assert_status(200)
            .assert_header("etag", "W/\"1-stripped\"")
            .assert_no_header("content-length");
        // Its metadata would stay.
        proxy.get("/photo.avif").await.assert_error(415, 9520);
        let coded = proxy.get("/coded").await;
        match originals {
            Originals::All => drop(coded.assert_error(415, 9520)),
            _ => drop(coded.assert_error(502, 9505)),
        }
        let page = proxy.get("/page.html").await;
        match originals {
            Originals::All => assert_eq!(page.text(), PAGE),
            _ => drop(page.assert_status(404)),
        }
    }
}
