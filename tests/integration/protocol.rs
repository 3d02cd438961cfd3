//! HTTP itself: versions, connections, methods, and slow clients.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::Method;
use hyper::Request;
use hyper::Version;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Client, raw};
use crate::support::origin::TestOrigin;
use crate::support::proxy::{TestProxy, setting};
use crate::support::{bounded, eventually, samples};

const TARGET: &str = "/cdn-cgi/image/width=16/a.png";

async fn proxy() -> TestProxy {
    proxy_with_header_timeout("15 s").await
}

async fn proxy_with_header_timeout(timeout: &str) -> TestProxy {
    let proxy = TestProxy::start(|config| config.server.header_timeout = setting(timeout)).await;
    std::fs::write(proxy.folder().join("a.png"), samples::png(32, 24)).expect("a folder");
    proxy
}

#[tokio::test]
async fn both_versions_are_spoken_on_one_port() {
    let proxy = proxy().await;
    let first = proxy.get(TARGET).await;
    let second = Client::h2c(proxy.client().address()).get(TARGET).await;
    first.assert_size(16, 12);
    second.assert_size(16, 12);
    assert_eq!(first.version, Version::HTTP_11);
    assert_eq!(second.version, Version::HTTP_2);
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn one_connection_of_either_version_carries_many_requests() {
    let proxy = proxy().await;
    let stream = TcpStream::connect(proxy.client().address())
        .await
        .expect("it listens");
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .expect("HTTP/1.1");
    tokio::spawn(connection);
    for _ in 0..20 {
        let request = Request::get(TARGET).header("host", "h").body(Empty::new());
        let request = request.expect("a request");
        let reply = sender.send_request(request).await.expect("still open");
        assert_eq!(reply.status(), 200);
        let body = reply.into_body().collect().await.expect("a whole body");
        assert!(!body.to_bytes().is_empty());
    }
    assert_eq!(connections(&proxy), 1.0);
    drop(sender);
    eventually("the connection is gone", async || {
        connections(&proxy) == 0.0
    })
    .await;

    let client = Client::h2c(proxy.client().address());
    let asking: Vec<_> = (1..=20)
        .map(|width| {
            let client = client.clone();
            tokio::spawn(async move {
                let target = format!("/cdn-cgi/image/width={width}/a.png");
                client.get(&target).await.assert_status(200);
            })
        })
        .collect();
    for asked in asking {
        asked.await.expect("every stream is answered");
    }
    assert_eq!(connections(&proxy), 1.0);
}

fn connections(proxy: &TestProxy) -> f64 {
    proxy.metrics().sum("safelight_connections", &[])
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let proxy = proxy().await;
    let one = format!("GET {TARGET} HTTP/1.1\r\nhost: h\r\n\r\n");
    let last = format!("GET {TARGET} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let answer = raw(
        proxy.client().address(),
        format!("{one}{one}{last}").as_bytes(),
    )
    .await;
    let heads = answer
        .windows(12)
        .filter(|window| window == b"HTTP/1.1 200")
        .count();
    assert_eq!(heads, 3);
}

/// The head of an answer to a request with these lines after the first one.
async fn answered(proxy: &TestProxy, first: &str, lines: &str) -> String {
    let request = format!("{first}\r\n{lines}connection: close\r\n\r\n");
    let answer = raw(proxy.client().address(), request.as_bytes()).await;
    let end = answer.iter().position(|&byte| byte == b'\r');
    String::from_utf8_lossy(&answer[..end.unwrap_or(answer.len())]).into_owned()
}

#[tokio::test]
async fn a_request_must_name_exactly_one_host() {
    let proxy = proxy().await;
    let first = format!("GET {TARGET} HTTP/1.1");
    for (lines, status) in [
        ("host: h\r\n", "200 OK"),
        ("", "400 Bad Request"),
        ("host: h\r\nhost: h\r\n", "400 Bad Request"),
        ("host: h\r\nHost: evil\r\n", "400 Bad Request"),
        ("host: a/b\r\n", "400 Bad Request"),
        ("host: u:p@h\r\n", "400 Bad Request"),
        ("host:\r\n", "400 Bad Request"),
    ] {
        let answer = answered(&proxy, &first, lines).await;
        assert_eq!(answer, format!("HTTP/1.1 {status}"), "{lines:?}");
    }
    let absolute = format!("GET http://other.test{TARGET} HTTP/1.1");
    let answer = answered(&proxy, &absolute, "host: h\r\n").await;
    assert_eq!(answer, "HTTP/1.1 200 OK");
    let old = format!("GET {TARGET} HTTP/1.0");
    assert_eq!(answered(&proxy, &old, "").await, "HTTP/1.0 200 OK");
    // Later bytes on the connection are ignored.
    let smuggled =
        format!("GET {TARGET} HTTP/1.1\r\nhost: h\r\nhost: h\r\n\r\n{first}\r\nhost: h\r\n\r\n");
    let answer = raw(proxy.client().address(), smuggled.as_bytes()).await;
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
}

#[tokio::test]
async fn an_http_2_request_must_name_exactly_one_host() {
    let proxy = proxy().await;
    let address = proxy.client().address();
    let client = Client::h2c(address);
    let own = address.to_string();
    client
        .send(Method::GET, TARGET, &[("host", own.as_str())])
        .await
        .assert_size(16, 12);
    let other = client
        .send(Method::GET, TARGET, &[("host", "evil.test")])
        .await;
    other.assert_status(400);
    assert_eq!(other.version, Version::HTTP_2);
}

#[tokio::test]
async fn other_methods_get_405_with_allow() {
    let proxy = proxy().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let reply = proxy.client().send(method, TARGET, &[]).await;
        reply
            .assert_error(405, 9424)
            .assert_header("allow", "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn a_request_body_does_no_harm() {
    let proxy = proxy().await;
    let request = format!(
        "GET {TARGET} HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhelloGET {TARGET} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
    );
    let answer = raw(proxy.client().address(), request.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn an_http_upgrade_is_ignored() {
    let proxy = proxy().await;
    for protocol in ["websocket", "h2c", "TLS/1.0"] {
        let request = format!(
            "GET {TARGET} HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n\
             GET /nowhere HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(proxy.client().address(), request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer);
        // The bytes after it are an ordinary request.
        assert!(text.starts_with("HTTP/1.1 200"), "{protocol}: {text}");
        assert_eq!(text.matches("HTTP/1.1 404").count(), 1, "{protocol}");
        assert!(!text.contains("HTTP/1.1 101"), "{protocol}");
    }
}

#[tokio::test]
async fn clients_that_send_too_little_are_disconnected() {
    let proxy = proxy_with_header_timeout("300 ms").await;
    let address = proxy.client().address();
    for said in [
        // Nothing; the beginning of either version; the preface of HTTP/2 alone; half a head; one complete request and no other.
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /cdn-cgi/image/width=16/a.png HTTP/1.1\r\nhost: h\r\nx: ",
        b"GET /cdn-cgi/image/width=16/a.png HTTP/1.1\r\nhost: h\r\n\r\n",
    ] {
        let started = Instant::now();
        let answer = raw(address, said).await;
        let text = String::from_utf8_lossy(said);
        assert!(started.elapsed() < Duration::from_secs(10), "{text:?}");
        assert_eq!(
            answer.starts_with(b"HTTP/1.1 200"),
            said.ends_with(b"host: h\r\n\r\n"),
            "{text:?}"
        );
    }
    eventually("no connection is left", async || connections(&proxy) == 0.0).await;
}

#[tokio::test]
async fn an_unused_http_2_connection_is_closed_although_its_client_answers_pings() {
    let proxy = proxy_with_header_timeout("300 ms").await;
    let client = Client::h2c(proxy.client().address());
    client.get(TARGET).await.assert_size(16, 12);
    assert_eq!(connections(&proxy), 1.0);
    // The client keeps the connection open, and answers every ping.
    eventually("the connection is closed", async || {
        connections(&proxy) == 0.0
    })
    .await;
    client.get(TARGET).await.assert_size(16, 12);
}

#[tokio::test]
async fn a_slow_head_does_not_extend_the_header_timeout() {
    let proxy = proxy_with_header_timeout("500 ms").await;
    let (mut reading, mut writing) = TcpStream::connect(proxy.client().address())
        .await
        .expect("it listens")
        .into_split();
    let started = Instant::now();
    let trickle = tokio::spawn(async move {
        let start = b"GET /cdn-cgi/image/width=16/a.png HTTP/1.1\r\nx: ";
        for byte in start.iter().chain(std::iter::repeat(&b'x')) {
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    // The connection may be closed or reset.
    let _ = bounded("being cut off", reading.read_to_end(&mut answer)).await;
    trickle.abort();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn slow_connections_do_not_keep_others_waiting() {
    let proxy = proxy().await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(proxy.client().address())
            .await
            .expect("it listens");
        stream.write_all(b"GET /cdn-cgi").await.expect("it reads");
        slow.push(stream);
    }
    proxy.get(TARGET).await.assert_size(16, 12);
}

#[tokio::test]
async fn silent_connections_are_closed_when_others_wait() {
    let origin = TestOrigin::with("*", samples::png(32, 24)).await;
    let zone = crate::support::proxy::zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.server.connections = 5;
        config.server.header_timeout = setting("10 min");
    })
    .await;
    let address = proxy.client().address();
    let mut silent = Vec::new();
    for number in 0..12 {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // Some of them send part of a request, or have been answered before.
        match number % 3 {
            0 => stream.write_all(b"GET /cdn-cgi").await.expect("it reads"),
            1 => {
                let request = format!("GET {TARGET} HTTP/1.1\r\nhost: h\r\n\r\n");
                stream
                    .write_all(request.as_bytes())
                    .await
                    .expect("it reads");
                stream.read_u8().await.expect("an answer");
            }
            _ => {}
        }
        silent.push(stream);
    }
    for width in 1..10 {
        let target = format!("/cdn-cgi/image/width={width}/a.png");
        let client = Client::new(address);
        client.get(&target).await.assert_status(200);
        assert!(connections(&proxy) <= 6.0);
    }
    let mut rest = Vec::new();
    let left = bounded("its end", silent[0].read_to_end(&mut rest)).await;
    assert!(left.is_ok_and(|_| rest.is_empty()), "{rest:?}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let origin = TestOrigin::with("*", samples::png(32, 24)).await;
    let zone = crate::support::proxy::zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.server.connections = 2;
    })
    .await;
    let address = proxy.client().address();
    let first = TcpStream::connect(address).await.expect("it listens");
    let second = TcpStream::connect(address).await.expect("it listens");
    eventually("both are taken", async || connections(&proxy) == 2.0).await;
    let waiting = tokio::spawn(async move { Client::new(address).get(TARGET).await });
    drop(first);
    let reply = bounded("its turn", waiting).await.expect("no panic");
    reply.assert_size(16, 12);
    drop(second);
}
