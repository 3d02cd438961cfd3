//! Origins with unusual responses that browsers accept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::source::FetchOutcome;
use crate::source::tests::origin::{TestOrigin, answer, say, target};
use crate::source::tests::{TestSources, allowing, bucket, config, no_zone, world};

async fn content(world: &TestSources, url: &Url) -> String {
    let source = world.allowlist.approve(url).expect("it is allowed");
    match world.sources.fetch(&source, None).await {
        Ok(FetchOutcome::Fetched(fetched)) => String::from_utf8_lossy(&fetched.bytes).into_owned(),
        other => panic!("{url}: expected content, got {other:?}"),
    }
}

/// Keeps a connection open, and closes it at the next request without a response, like an origin whose idle timeout ends just then.
async fn close_at_reuse(mut socket: TcpStream, asked: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    for round in 0..2 {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            match socket.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        asked.fetch_add(1, Ordering::Relaxed);
        if round == 0 {
            let _ = socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ncat")
                .await;
        }
    }
}

#[tokio::test]
async fn a_request_on_a_closed_connection_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let accepting = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(close_at_reuse(socket, Arc::clone(&counted)));
        }
    });
    let world = world(&config(), no_zone(), &[address.to_string()], &[]);
    let url = Url::parse(&format!("http://{address}/cat.jpg")).expect("a URL");
    for _ in 0..4 {
        assert_eq!(content(&world, &url).await, "cat");
    }
    // Every second request uses a pooled connection, and is sent again.
    assert!(asked.load(Ordering::Relaxed) > 4);
    accepting.abort();
}

#[tokio::test]
async fn a_request_without_a_response_is_sent_at_most_twice() {
    let origin = TestOrigin::start(|_| Vec::new()).await;
    let world = allowing(&config(), &origin);
    let source = world
        .allowlist
        .approve(&origin.url("/cat.jpg"))
        .expect("it is allowed");
    assert!(world.sources.fetch(&source, None).await.is_err());
    assert_eq!(origin.heads().len(), 2);
}

#[tokio::test]
async fn header_lines_that_browsers_accept_are_accepted() {
    for line in [
        "X-Space : before the colon",
        "X-Folded: a\r\n  b",
        "Set-Cookie: a=\x01b",
        "X-Deleted: \x7F",
        "no colon at all",
        "X-Name: caf\u{e9}",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n{line}\r\n\r\ncat");
        let origin = TestOrigin::start(move |_| say(head.clone())).await;
        let world = allowing(&config(), &origin);
        assert_eq!(content(&world, &origin.url("/cat.jpg")).await, "cat");
        let of_bucket =
            crate::source::tests::world(&config(), no_zone(), &[], &[bucket(&origin.url(""))]);
        let object = origin.url("/my-bucket/cat.jpg");
        assert_eq!(content(&of_bucket, &object).await, "cat");
    }
}

#[tokio::test]
async fn a_location_outside_ascii_keeps_its_bytes() {
    let locations: [(&[u8], &str); 4] = [
        // In UTF-8 and in Latin-1.
        (b"/caf\xC3\xA9.jpg", "/caf%C3%A9.jpg"),
        (b"/caf\xE9.jpg?n=\xFC", "/caf%E9.jpg?n=%FC"),
        (b"/two words.jpg", "/two%20words.jpg"),
        (b"/a+b%2Bc%25.jpg?s=%3D+", "/a+b%2Bc%25.jpg?s=%3D+"),
    ];
    for (location, asked) in locations {
        let origin = TestOrigin::start(move |head| match target(head) {
            "/from" => {
                let head = b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: ";
                say([&head[..], location, b"\r\n\r\n"].concat())
            }
            _ => answer(200, "", b"cat"),
        })
        .await;
        let world = allowing(&config(), &origin);
        assert_eq!(content(&world, &origin.url("/from")).await, "cat");
        let heads = origin.heads();
        assert_eq!(target(heads.last().expect("two were sent")), asked);
    }
}

#[tokio::test]
async fn a_bucket_may_answer_without_a_length() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"1\"\r\n\r\n2\r\nca\r\n1\r\nt\r\n0\r\n\r\n";
    let to_the_end = "HTTP/1.0 200 OK\r\nETag: \"1\"\r\n\r\ncat";
    for head in [chunks, to_the_end] {
        let origin = TestOrigin::start(move |_| say(head)).await;
        let world = world(&config(), no_zone(), &[], &[bucket(&origin.url(""))]);
        let url = origin.url("/my-bucket/cat.jpg");
        assert_eq!(content(&world, &url).await, "cat", "{head}");
    }
    // Content that breaks off is an error.
    let broken = chunks.trim_end_matches("0\r\n\r\n");
    let origin = TestOrigin::start(move |_| say(broken)).await;
    let world = world(&config(), no_zone(), &[], &[bucket(&origin.url(""))]);
    let source = world
        .allowlist
        .approve(&origin.url("/my-bucket/cat.jpg"))
        .expect("it is allowed");
    assert!(world.sources.fetch(&source, None).await.is_err());
}
