//! What one client may take, and that clients take turns.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use safelight::clients;
use safelight::config::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::proxy::{TestProxy, setting};
use crate::support::slow::{narrow, stream, streams};
use crate::support::{bounded, eventually, samples};

/// A section `[clients]` in which this machine is a trusted proxy.
fn limits(text: &str) -> clients::Config {
    let section = format!("[clients]\ntrusted_proxies = ['127.0.0.1']\n{text}");
    Config::parse(&section, []).expect("right settings").clients
}

/// A proxy with these limits, and a picture in its zone.
async fn proxy(text: &str, change: impl FnOnce(&mut Config)) -> TestProxy {
    let clients = limits(text);
    let proxy = TestProxy::start(|config| {
        config.clients = clients;
        change(config);
    })
    .await;
    fs::write(proxy.folder().join("a.jpg"), samples::jpeg(64, 48)).expect("a fresh folder");
    proxy
}

fn target(width: u32) -> String {
    format!("/cdn-cgi/image/width={width}/a.jpg")
}

#[tokio::test]
async fn a_client_may_cause_so_many_misses_and_as_many_hits_as_it_likes() {
    let proxy = proxy("misses_per_minute = 2\nmiss_burst = 3", |_| {}).await;
    let get = |width, client: &'static str| {
        let proxy = &proxy;
        async move {
            let headers = [("x-forwarded-for", client)];
            proxy.get_with(&target(width), &headers).await
        }
    };
    for width in [10, 11, 12] {
        get(width, "203.0.113.1").await.assert_status(200);
    }
    let refused = get(13, "203.0.113.1").await;
    refused.assert_error(429, 9422);
    let wait: u32 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    // What was made before is free, whoever asks.
    for client in ["203.0.113.1", "203.0.113.1", "203.0.113.2"] {
        for width in [10, 11, 12] {
            get(width, client).await.assert_status(200);
        }
    }
    // Nobody escapes by writing another address before the one that the proxy adds.
    for forged in ["198.51.100.7, 203.0.113.1", "unknown, 203.0.113.1"] {
        get(13, forged).await.assert_error(429, 9422);
    }
    get(13, "203.0.113.2").await.assert_status(200);
    // All addresses of a /64 are one client.
    for (last, width) in [(1, 20), (2, 21), (3, 22)] {
        let client: &'static str = ["2001:db8::1", "2001:db8::2:2", "2001:db8::3:3:3"][last - 1];
        get(width, client).await.assert_status(200);
    }
    get(23, "2001:db8::ffff").await.assert_error(429, 9422);
    get(23, "2001:db8:0:1::1").await.assert_status(200);
    // Nobody in particular has no limit.
    for width in 30..36 {
        proxy.get(&target(width)).await.assert_status(200);
    }
    let errors = [("code", "client-misses")];
    assert_eq!(proxy.metrics().sum("safelight_errors_total", &errors), 4.0);
}

#[tokio::test]
async fn sources_that_do_not_exist_are_misses_as_well() {
    let proxy = proxy(
        "misses_per_minute = 1\nmiss_burst = 2\nheader = 'forwarded'",
        |_| {},
    )
    .await;
    let headers = [
        ("forwarded", "for=203.0.113.1"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    for (name, status) in [("x", 404), ("y", 404), ("z", 429)] {
        let target = format!("/cdn-cgi/image/width=10/{name}.jpg");
        proxy
            .get_with(&target, &headers)
            .await
            .assert_status(status);
    }
}

/// Sends a request as a client with this address, and reads the first line of the answer.
async fn ask_as(stream: &mut TcpStream, client: &str, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\nx-forwarded-for: {client}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut line = [0; 12];
    let read = bounded("an answer", stream.read_exact(&mut line)).await;
    read.expect("an answer");
    String::from_utf8_lossy(&line).into_owned()
}

/// A file that no socket takes at once.
fn write_large(proxy: &TestProxy) {
    let mut large = samples::jpeg(64, 48);
    large.resize(8 << 20, 0);
    fs::write(proxy.folder().join("large.jpg"), large).expect("a fresh folder");
}

const OK: &str = "HTTP/1.1 200";

#[tokio::test]
async fn a_client_may_have_so_many_requests_at_once() {
    let proxy = proxy("requests = 2", |_| {}).await;
    write_large(&proxy);
    let address = proxy.client().address();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut slow = narrow(address).await;
        assert_eq!(ask_as(&mut slow, "203.0.113.1", "/large.jpg").await, OK);
        held.push(slow);
    }
    let mine = [("x-forwarded-for", "203.0.113.1")];
    let refused = proxy.get_with(&target(10), &mine).await;
    refused
        .assert_error(429, 9422)
        .assert_header("retry-after", "5");
    let other = [("x-forwarded-for", "203.0.113.2")];
    proxy.get_with(&target(10), &other).await.assert_status(200);
    drop(held);
    eventually("its places are free again", async || {
        proxy.get_with(&target(10), &mine).await.status == 200
    })
    .await;
}

/// 1,024 slow readers could take all places for originals, as long as they needed: the write timeout asks for next to nothing.
#[tokio::test]
async fn slow_readers_leave_originals_to_others() {
    let proxy = proxy("", |config| {
        config.fetch.concurrency = std::num::NonZeroUsize::new(10).expect("not zero");
    })
    .await;
    write_large(&proxy);
    let address = proxy.client().address();
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..12 {
        let mut slow = narrow(address).await;
        match ask_as(&mut slow, "203.0.113.1", "/large.jpg")
            .await
            .as_str()
        {
            OK => held.push(slow),
            _ => refused += 1,
        }
    }
    assert_eq!((held.len(), refused), (8, 4));
    let mut other = narrow(address).await;
    assert_eq!(ask_as(&mut other, "203.0.113.2", "/large.jpg").await, OK);
    let mut third = narrow(address).await;
    assert_eq!(ask_as(&mut third, "203.0.113.3", "/large.jpg").await, OK);
}

/// Who asks for many new sizes does not delay another's first.
#[tokio::test(flavor = "multi_thread")]
async fn clients_take_turns() {
    let proxy = proxy("", |config| config.limits.workers = 1).await;
    let picture = samples::jpeg(1600, 1200);
    fs::write(proxy.folder().join("big.jpg"), picture).expect("a fresh folder");
    let address = proxy.client().address();
    let done = Arc::new(Mutex::new(Vec::new()));
    let mut requests = JoinSet::new();
    let ask = |requests: &mut JoinSet<()>, client: &'static str, number: u32| {
        let done = Arc::clone(&done);
        requests.spawn(async move {
            let (width, quality) = (800 + number / 2, 70 + number % 2);
            let target = format!("/cdn-cgi/image/width={width},quality={quality}/big.jpg");
            let headers = [("x-forwarded-for", client)];
            let reply = Client::new(address).get_with(&target, &headers).await;
            // The greedy one does not get all places of the queue.
            if client == OTHER || reply.status != 503 {
                reply.assert_status(200);
                done.lock().await.push(client);
            }
        });
    };
    const GREEDY: &str = "203.0.113.1";
    const OTHER: &str = "203.0.113.2";
    for number in 0..1000 {
        ask(&mut requests, GREEDY, number);
    }
    eventually("many of them wait", async || {
        let waiting = [("state", "waiting")];
        proxy.metrics().sum("safelight_cpu_jobs", &waiting) >= 100.0
    })
    .await;
    ask(&mut requests, OTHER, 1000);
    while !done.lock().await.contains(&OTHER) {
        let ended = bounded("an answer", requests.join_next()).await;
        ended.expect("one is left").expect("no panic");
    }
    let place = done.lock().await.iter().position(|client| *client == OTHER);
    assert!(place.is_some_and(|place| place < 15), "{place:?} of 1001");
    requests.abort_all();
}

/// A header of the PROXY protocol for a client, and a request behind it.
async fn proxied(address: SocketAddr, client: [u8; 4]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([10, 0, 0, 1, 0xd4, 0x31, 0, 80]);
    stream.write_all(&header).await.expect("it reads");
    stream
}

/// The first line of the answer to a request; empty where the connection is closed.
async fn first_line(stream: &mut TcpStream) -> String {
    let request = format!("GET {} HTTP/1.1\r\nhost: h\r\n\r\n", target(10));
    // The other side may have closed it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut line = [0; 12];
    match bounded("an answer or an end", stream.read_exact(&mut line)).await {
        Ok(_) => String::from_utf8_lossy(&line).into_owned(),
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn a_load_balancer_says_whose_a_connection_is() {
    let proxy = proxy("proxy_protocol = true\nconnections = 2", |_| {}).await;
    let address = proxy.client().address();
    let mut held = Vec::new();
    for (client, line) in [
        ([203, 0, 113, 1], OK),
        ([203, 0, 113, 1], OK),
        ([203, 0, 113, 1], ""),
        ([203, 0, 113, 2], OK),
    ] {
        let mut stream = proxied(address, client).await;
        assert_eq!(first_line(&mut stream).await, line, "{client:?}");
        held.push(stream);
    }
    held.truncate(1);
    eventually("a place is free again", async || {
        let mut stream = proxied(address, [203, 0, 113, 1]).await;
        first_line(&mut stream).await == OK
    })
    .await;
    // Without the header, or with another one.
    let mut plain = TcpStream::connect(address).await.expect("it listens");
    assert_eq!(first_line(&mut plain).await, "");
    let refused = proxy
        .metrics()
        .sum("safelight_connections_refused_total", &[]);
    assert!(refused >= 2.0, "{refused}");
}

#[tokio::test]
async fn a_stranger_cannot_say_whose_a_connection_is() {
    let proxy = TestProxy::start(|config| {
        config.clients = limits("proxy_protocol = true");
        let others = Config::parse("[clients]\ntrusted_proxies = ['192.0.2.1']", []);
        config.clients.trusted_proxies = others.expect("a network").clients.trusted_proxies;
    })
    .await;
    let mut stream = proxied(proxy.client().address(), [203, 0, 113, 1]).await;
    assert_eq!(first_line(&mut stream).await, "");
}

#[tokio::test]
async fn a_connection_of_http_2_ends_after_its_time_and_its_streams() {
    let proxy = proxy("", |config| {
        config.server.connection_age = setting("300 ms")
    })
    .await;
    write_large(&proxy);
    let mut sender = streams(proxy.client().address(), 65_535).await;
    let long = stream(&mut sender, "/large.jpg").await;
    let mut is_refused = false;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let request = Request::get(format!("http://h{}", target(10))).body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.expect("a request"));
        is_refused = bounded("an answer or a refusal", answer).await.is_err();
        if is_refused {
            break;
        }
    }
    assert!(is_refused, "new streams are begun for ever");
    // What was asked for before arrives all the same.
    let body = bounded("the body", long.into_body().collect()).await;
    assert_eq!(body.expect("all of it").to_bytes().len(), 8 << 20);
    // One of HTTP/1.1 as well, although it is asked again and again.
    let mut stream = TcpStream::connect(proxy.client().address())
        .await
        .expect("it listens");
    let mut ended = false;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if first_line(&mut stream).await.is_empty() {
            ended = true;
            break;
        }
        let mut rest = [0; 4096];
        let _ = stream.try_read(&mut rest);
    }
    assert!(ended, "it never ends");
}
