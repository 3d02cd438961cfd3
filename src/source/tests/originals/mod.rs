//! Originals from origins of every kind, over real sockets and files.

use std::time::Duration;

use futures_util::StreamExt;
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use url::Url;

use crate::policy::{ApprovedSource, ZoneOrigin};
use crate::source::tests::origin::{Action, TestOrigin, header, say};
use crate::source::tests::{TestSources, bucket, config, no_zone, world};
use crate::source::{Original, OriginalRequest, SourceError};

mod answers;
mod folder;
mod pictures;
mod redirects;
mod slow;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// What is asked.
#[derive(Clone, Default)]
struct Ask {
    headers: HeaderMap,
    head_only: bool,
    pictures_only: bool,
}

impl Ask {
    fn get(lines: &[(HeaderName, &str)]) -> Self {
        let lines = lines.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("the tables hold header values");
            (name.clone(), value)
        });
        Ask {
            headers: lines.collect(),
            ..Ask::default()
        }
    }

    fn head(self) -> Self {
        Ask {
            head_only: true,
            ..self
        }
    }

    fn picture(self) -> Self {
        Ask {
            pictures_only: true,
            ..self
        }
    }
}

/// An original that has been read to its end.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    length: Option<u64>,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("ASCII"))
    }
}

async fn start(
    world: &TestSources,
    source: &ApprovedSource,
    ask: Ask,
) -> Result<Original, SourceError> {
    let request = OriginalRequest {
        headers: ask.headers,
        head_only: ask.head_only,
        pictures_only: ask.pictures_only,
        via: None,
    };
    world.sources.original(source, request).await
}

async fn read(original: Original) -> Result<Reply, SourceError> {
    let Original {
        status,
        headers,
        mut body,
        length,
    } = original;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    assert!(body.next().await.is_none(), "it stays at its end");
    let stated = headers.get(CONTENT_LENGTH);
    let stated = stated.map(|value| value.to_str().expect("a number").parse().expect("a number"));
    assert_eq!(stated, length);
    Ok(Reply {
        status: status.as_u16(),
        headers,
        length,
        body: bytes,
    })
}

async fn ask(world: &TestSources, url: &Url, ask: Ask) -> Result<Reply, SourceError> {
    let source = world.allowlist.approve(url).expect("it is allowed");
    read(start(world, &source, ask).await?).await
}

/// Three ways to the same origin: allowed, the zone, and a bucket.
fn worlds(origin: &TestOrigin) -> [TestSources; 3] {
    let zone = ZoneOrigin::Http(origin.url(""));
    [
        world(&config(), no_zone(), &[origin.authority()], &[]),
        world(&config(), zone, &[], &[]),
        world(&config(), no_zone(), &[], &[bucket(&origin.url(""))]),
    ]
}

/// The answers of all three to one request for `/my-bucket/file`.
async fn ask_all(origin: &TestOrigin, asked: &Ask) -> [Result<Reply, SourceError>; 3] {
    let url = origin.url("/my-bucket/file");
    let [allowed, zone, bucket] = worlds(origin);
    [
        ask(&allowed, &url, asked.clone()).await,
        ask(&zone, &url, asked.clone()).await,
        ask(&bucket, &url, asked.clone()).await,
    ]
}

/// A response, without content for HEAD.
fn respond(head: &str, status: u16, headers: &str, body: &[u8]) -> Vec<Action> {
    let length = match status {
        304 => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let text = format!("HTTP/1.1 {status} X\r\n{length}{headers}\r\n");
    let has_body = !head.starts_with("HEAD ") && status != 304;
    say([text.as_bytes(), if has_body { body } else { b"" }].concat())
}

/// An origin that understands `Range` and `If-None-Match`, but not `If-Range`.
fn serve(head: &str, etag: &str, body: &[u8]) -> Vec<Action> {
    let validators = format!("ETag: {etag}\r\nLast-Modified: {DATE}\r\n");
    if header(head, "if-none-match").is_some_and(|tag| tag == etag) {
        return respond(head, 304, &validators, b"");
    }
    let range = header(head, "range").and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return respond(head, 200, &validators, body);
    };
    let end = body.len();
    let (first, last) = match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => (first, usize::min(last + 1, end)),
        (Ok(first), Err(_)) => (first, end),
        (Err(_), Ok(count)) => (end.saturating_sub(count), end),
        (Err(_), Err(_)) => (end, end),
    };
    if first >= last {
        let headers = format!("Content-Range: bytes */{end}\r\n");
        return respond(head, 416, &headers, b"");
    }
    let headers = format!(
        "{validators}Content-Range: bytes {first}-{}/{end}\r\n",
        last - 1
    );
    respond(head, 206, &headers, &body[first..last])
}

/// A picture of so many bytes, by what the tests take for one.
fn picture(length: usize) -> Vec<u8> {
    let pattern = (0..=250_u8).cycle().skip(1);
    pattern.take(length).collect()
}

/// HTML of so many bytes.
fn page(length: usize) -> Vec<u8> {
    let mut page = picture(length);
    page[..6].copy_from_slice(b"<html>");
    page
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
