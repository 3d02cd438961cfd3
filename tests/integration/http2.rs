//! Clients that abuse HTTP/2, written frame by frame. Whatever they send, other clients are answered, and the connection leaves nothing behind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use safelight::policy::Originals;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::long;
use crate::support::proxy::{TestProxy, setting};
use crate::support::{eventually, samples};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How long other clients may wait meanwhile, on a busy machine.
const WAIT: Duration = Duration::from_secs(10);

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

/// The HPACK encoding of a GET request, without the dynamic table.
fn get(path: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("short");
        assert!(length < 127, "longer ones are written otherwise");
        [&[length], text.as_bytes()].concat()
    };
    // The static table has the method GET, the scheme http, and the names of authority and path.
    [&[0x82, 0x86, 0x01][..], &text("h"), &[0x04], &text(path)].concat()
}

/// The stream number of the n-th request.
fn stream(index: u32) -> u32 {
    1 + 2 * index
}

/// A request for a picture that is not cached.
fn miss(index: u32) -> Vec<u8> {
    let (width, quality) = (1 + index % 30, 1 + index / 30 % 100);
    get(&format!(
        "/cdn-cgi/image/width={width},quality={quality}/a.png"
    ))
}

/// The error codes of the GOAWAY frames among these bytes.
fn goodbyes(mut said: &[u8]) -> Vec<u32> {
    let mut codes = Vec::new();
    while let Some((head, rest)) = said.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((content, next)) = rest.split_at_checked(length) else {
            break;
        };
        if head[3] == GOAWAY
            && let Some((_, code)) = content.split_first_chunk::<4>()
            && let Some(code) = code.first_chunk()
        {
            codes.push(u32::from_be_bytes(*code));
        }
        said = next;
    }
    codes
}

/// Sends frames until the other side closes the connection, and reads everything that comes back. Returns whether the other side closed it.
async fn send(address: SocketAddr, frames: impl Iterator<Item = Vec<u8>>) -> bool {
    let connection = TcpStream::connect(address).await.expect("it listens");
    let (mut reading, mut writing) = connection.into_split();
    let listening = tokio::spawn(async move {
        let mut said = Vec::new();
        let _ = reading.read_to_end(&mut said).await;
        said
    });
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    preface.extend(frame(SETTINGS, 0, 0, &[]));
    writing.write_all(&preface).await.expect("it reads");
    let started = Instant::now();
    let mut is_ended = false;
    for frame in frames {
        // A server that no longer reads counts as one that has closed the connection.
        let written = timeout(Duration::from_secs(2), writing.write_all(&frame)).await;
        if !matches!(written, Ok(Ok(()))) || started.elapsed() > WAIT {
            is_ended = true;
            break;
        }
    }
    let _ = writing.shutdown().await;
    let said = timeout(WAIT, listening).await;
    let said = said.ok().and_then(Result::ok).unwrap_or_default();
    is_ended || goodbyes(&said).iter().any(|&code| code != 0)
}

async fn proxy() -> TestProxy {
    let proxy = TestProxy::start(|config| {
        config.zone.originals = Some(Originals::All);
        config.server.write_timeout = setting("1 s");
    })
    .await;
    std::fs::write(proxy.folder().join("a.png"), samples::png(32, 24)).expect("a folder");
    long::write(&proxy.folder().join("long.bin"), 20 << 20);
    proxy
}

/// Sends frames, and asserts that other clients are answered meanwhile and that nothing of the connection is left. Returns whether the server
/// closed the connection.
async fn outlive(what: &str, frames: impl Iterator<Item = Vec<u8>> + Send + 'static) -> bool {
    let proxy = proxy().await;
    let address = proxy.client().address();
    let abuse = tokio::spawn(send(address, frames));
    while !abuse.is_finished() {
        let asked = Instant::now();
        proxy
            .get("/cdn-cgi/image/width=16/a.png")
            .await
            .assert_size(16, 12);
        assert!(asked.elapsed() < WAIT, "{what}: {:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let is_ended = abuse.await.expect("no panic");
    proxy
        .get("/cdn-cgi/image/width=15/a.png")
        .await
        .assert_status(200);
    eventually("nothing is in flight", async || proxy.in_flight() == 0.0).await;
    eventually("no fetch is in flight", async || {
        proxy
            .metrics()
            .sum("safelight_source_fetches_in_flight", &[])
            == 0.0
    })
    .await;
    eventually("the abuser is gone", async || {
        // The test's own client keeps its connection.
        proxy.metrics().sum("safelight_connections", &[]) <= 1.0
    })
    .await;
    is_ended
}

#[tokio::test]
async fn streams_that_are_reset_at_once_cost_others_nothing() {
    // CVE-2023-44487.
    let resets = (0..3000).map(|index| {
        let asked = frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream(index),
            &miss(index),
        );
        [asked, frame(RST_STREAM, 0, stream(index), &[0, 0, 0, 8])].concat()
    });
    outlive("rapid reset", resets).await;
}

#[tokio::test]
async fn originals_that_are_reset_at_once_or_never_read_leave_nothing() {
    let resets = (0..3000).map(|index| {
        let head = get("/long.bin");
        let asked = frame(HEADERS, END_STREAM | END_HEADERS, stream(index), &head);
        [asked, frame(RST_STREAM, 0, stream(index), &[0, 0, 0, 8])].concat()
    });
    outlive("rapid reset of originals", resets).await;
    // The windows of all streams are shut, and far more of them are wanted than there may be.
    let shut = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let asked = (0..1000).map(|index| {
        let head = get("/long.bin");
        frame(HEADERS, END_STREAM | END_HEADERS, stream(index), &head)
    });
    outlive("shut windows", std::iter::once(shut).chain(asked)).await;
}

#[tokio::test]
async fn a_client_that_makes_the_server_reset_streams_is_disconnected() {
    // CVE-2025-8671: a window that grows by nothing is an error of the stream.
    let resets = (0..3000).map(|index| {
        let asked = frame(HEADERS, END_HEADERS, stream(index), &miss(index));
        [asked, frame(WINDOW_UPDATE, 0, stream(index), &[0; 4])].concat()
    });
    assert!(outlive("made you reset", resets).await);
}

#[tokio::test]
async fn endless_headers_end_the_connection() {
    // The CONTINUATION flood of 2024, with fields and without.
    let begun = || frame(HEADERS, END_STREAM, 1, &get("/"));
    let fields = frame(CONTINUATION, 0, 1, &b"\0\x01x\x01y".repeat(2000));
    let full = std::iter::once(begun()).chain(std::iter::repeat_n(fields, 2000));
    assert!(outlive("full continuations", full).await);
    let nothing = frame(CONTINUATION, 0, 1, &[]).repeat(100);
    let empty = std::iter::once(begun()).chain(std::iter::repeat_n(nothing, 1000));
    assert!(outlive("empty continuations", empty).await);
}

#[tokio::test]
async fn headers_that_grow_when_decompressed_are_bounded() {
    // One field of 4 kB is stored in the table; each following byte repeats it.
    let field = [&[0x40, 1, b'x', 0x7F, 0xA1, 0x1E][..], &[b'y'; 4000]].concat();
    let requests = (0..20).map(move |index| {
        let content = [get("/"), field.clone(), vec![0xBE; 12_000]].concat();
        frame(HEADERS, END_STREAM | END_HEADERS, stream(index), &content)
    });
    outlive("HPACK bomb", requests).await;
}

#[tokio::test]
async fn frames_that_ask_for_nothing_are_bounded() {
    // CVE-2019-9512 and its siblings; empty DATA as in RUSTSEC-2026-0258.
    let window = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    let begun = frame(
        HEADERS,
        END_HEADERS,
        1,
        &get("/cdn-cgi/image/width=16/a.png"),
    );
    let data = frame(DATA, 0, 1, &[]);
    let floods = [
        ("settings", Vec::new(), frame(SETTINGS, 0, 0, &[])),
        ("pings", Vec::new(), frame(PING, 0, 0, &[0; 8])),
        ("windows", Vec::new(), window),
        (
            "priorities",
            Vec::new(),
            frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]),
        ),
        ("empty data", begun, data),
        ("unknown frames", Vec::new(), frame(0x70, 0, 0, &[0; 100])),
    ];
    for (what, first, repeated) in floods {
        let frames = std::iter::repeat_n(repeated.repeat(100), 500);
        outlive(what, std::iter::once(first).chain(frames)).await;
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection() {
    let asked = get("/cdn-cgi/image/width=16/a.png");
    let most = frame(WINDOW_UPDATE, 0, 0, &[0x7F, 0xFF, 0xFF, 0xFF]);
    let mut huge = frame(DATA, 0, 1, &[0; 1000]);
    huge[..3].copy_from_slice(&[0xFF; 3]);
    let pushed = [&[0, 0, 0, 2][..], &asked].concat();
    for (what, frames) in [
        ("a window beyond its limit", most.repeat(2)),
        ("a frame of 16 MB", huge),
        ("data for no stream", frame(DATA, 0, 0, b"x")),
        (
            "a stream of the server",
            frame(HEADERS, END_STREAM | END_HEADERS, 2, &asked),
        ),
        (
            "a push from a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &pushed),
        ),
        ("settings of half a number", frame(SETTINGS, 0, 0, &[0; 5])),
        (
            "fields that nobody can unpack",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xFF; 40]),
        ),
    ] {
        assert!(outlive(what, std::iter::once(frames)).await, "{what}");
    }
}
