//! Originals for clients that are slow or vanish, and from origins that are slow, vanish or break the rules: nothing is held, and nothing is left.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::Method;
use safelight::config::Config;
use safelight::policy::Originals;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Client, raw};
use crate::support::long;
use crate::support::long::{Download, LongOrigin, part};
use crate::support::origin::{Answer, TestOrigin};
use crate::support::process::Process;
use crate::support::proxy::{TestProxy, allowed, setting, zone};
use crate::support::raw_origin::{Act, RawOrigin};
use crate::support::slow::{ask, is_cut_short, narrow, stream, streams};
use crate::support::{bounded, eventually, samples};

/// More than all buffers of sockets hold.
const LENGTH: u64 = 200 << 20;
/// What the buffers of the sockets between an origin and a client that reads nothing hold at most, with room to spare.
const BUFFERED: u64 = 48 << 20;

async fn in_front_of(origin: &str, change: impl FnOnce(&mut Config)) -> TestProxy {
    let zone = zone(origin);
    TestProxy::start(|config| {
        config.zone.origin = zone;
        config.zone.originals = Some(Originals::All);
        config.server.write_timeout = setting("600 ms");
        config.fetch.idle_timeout = setting("2 s");
        change(config);
    })
    .await
}

fn gauge(proxy: &TestProxy, name: &str) -> f64 {
    proxy.metrics().sum(name, &[])
}

/// Waits until nothing is left of a transfer.
async fn all_quiet(proxy: &TestProxy) {
    eventually("no fetch is left", async || {
        gauge(proxy, "safelight_source_fetches_in_flight") == 0.0
    })
    .await;
    eventually("no request is left", async || proxy.in_flight() == 0.0).await;
}

/// Waits until the origin sends nothing any more.
async fn let_go(origin: &LongOrigin) {
    eventually("no transfer is left", async || origin.transfers() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_client_takes_is_asked_for() {
    let origin = LongOrigin::start(LENGTH).await;
    let proxy = in_front_of(&origin.url(), |config| {
        config.server.write_timeout = setting("1 h");
    })
    .await;
    let address = proxy.client().address();
    let mut stuck = narrow(address).await;
    ask(&mut stuck, "/long.bin").await;
    let mut sender = streams(address, 65_535).await;
    let _stuck_stream = stream(&mut sender, "/long.bin").await;
    eventually("both are sent", async || origin.transfers() == 2).await;
    let mut made = u64::MAX;
    eventually("no more is made", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::mem::replace(&mut made, origin.made()) == origin.made()
    })
    .await;
    assert!(made < 2 * BUFFERED, "{made} bytes");
    drop((stuck, sender, _stuck_stream));
    let_go(&origin).await;
    all_quiet(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_the_whole_original() {
    let origin = LongOrigin::start(LENGTH).await;
    let proxy = in_front_of(&origin.url(), |_| ()).await;
    let (first, end) = (LENGTH / 3, LENGTH / 3 + (8 << 20));
    let stream = narrow(proxy.client().address()).await;
    let mut download = Download::begin(stream, "/long.bin", first, end).await;
    let begun = Instant::now();
    while download.read(96 << 10).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(1200), "not slow");
    let_go(&origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_read_nothing_are_reset_and_others_of_their_connection_go_on() {
    let origin = LongOrigin::start(LENGTH).await;
    let proxy = in_front_of(&origin.url(), |_| ()).await;
    for window in [0, 1, 20_000, 65_535] {
        let mut sender = streams(proxy.client().address(), window).await;
        let mut stuck = Vec::new();
        for _ in 0..30 {
            stuck.push(stream(&mut sender, "/long.bin").await);
        }
        assert!(origin.transfers() > 0, "window {window}");
        let_go(&origin).await;
        for answer in stuck {
            assert!(is_cut_short(answer).await, "window {window}: not reset");
        }
        let other = stream(&mut sender, "/other.bin").await;
        drop((other, sender));
        let_go(&origin).await;
    }
    all_quiet(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_reads_nothing_does_not_hold_back_the_others() {
    let length = 4 << 20;
    let origin = LongOrigin::start(length).await;
    let proxy = in_front_of(&origin.url(), |config| {
        config.server.write_timeout = setting("1 h");
    })
    .await;
    let mut sender = streams(proxy.client().address(), 65_535).await;
    let mut stuck = Vec::new();
    for _ in 0..20 {
        stuck.push(stream(&mut sender, "/long.bin").await);
    }
    let whole = stream(&mut sender, "/other.bin").await.into_body();
    let whole = bounded("the end", whole.collect()).await;
    assert!(whole.expect("it goes on").to_bytes() == part(0, length));
    drop((stuck, sender));
    let_go(&origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_vanish_in_the_middle_let_go_of_their_origin() {
    let origin = LongOrigin::start(LENGTH).await;
    let proxy = in_front_of(&origin.url(), |config| {
        config.server.write_timeout = setting("1 h");
    })
    .await;
    let address = proxy.client().address();
    // Streams that are reset one by one, whose connection stays.
    let mut sender = streams(address, 65_535).await;
    for _ in 0..30 {
        let mut body = stream(&mut sender, "/long.bin").await.into_body();
        let frame = bounded("a frame", body.frame()).await;
        assert!(frame.is_some_and(|frame| frame.is_ok()));
    }
    let_go(&origin).await;
    // All of a connection at once.
    let mut bodies = Vec::new();
    for _ in 0..30 {
        bodies.push(stream(&mut sender, "/long.bin").await.into_body());
    }
    drop((sender, bodies));
    let_go(&origin).await;
    // Connections that are reset.
    let mut downloads = Vec::new();
    for _ in 0..30 {
        let stream = narrow(address).await;
        stream.set_zero_linger().expect("a socket");
        let mut download = Download::begin(stream, "/long.bin", 7, LENGTH).await;
        download.read(9000).await;
        downloads.push(download);
    }
    assert_eq!(origin.transfers(), 30);
    drop(downloads);
    let_go(&origin).await;
    all_quiet(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_while_its_origin_is_silent_lets_go_of_it() {
    let origin = TestOrigin::start().await;
    origin.serve("/stalled.bin", Answer::stalls_after(vec![7; 100_000]));
    let proxy = in_front_of(&origin.url(""), |config| {
        config.fetch.idle_timeout = setting("10 min");
    })
    .await;
    let address = proxy.client().address();
    let mut sender = streams(address, 1 << 20).await;
    let mut body = stream(&mut sender, "/stalled.bin").await.into_body();
    let frame = bounded("a frame", body.frame()).await;
    assert!(frame.is_some_and(|frame| frame.is_ok()));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    ask(&mut stream, "/stalled.bin").await;
    let mut piece = [0; 4096];
    bounded("a piece", stream.read_exact(&mut piece))
        .await
        .expect("it arrives");
    assert_eq!(gauge(&proxy, "safelight_source_fetches_in_flight"), 2.0);
    drop((stream, body, sender));
    all_quiet(&proxy).await;
}

/// The timeout is for a pause, not for the whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_drips_is_waited_for_and_each_byte_is_passed_on_at_once() {
    let head = Act::head(200, &["content-length: 12", "content-type: text/plain"]);
    let drip = Act::Drip("twelve bytes".into(), Duration::from_millis(300));
    let origin = RawOrigin::start(vec![head, drip]).await;
    let proxy = in_front_of(&origin.url(""), |config| {
        config.fetch.idle_timeout = setting("900 ms");
        config.fetch.total_timeout = setting("2 s");
    })
    .await;
    let address = proxy.client().address();
    let mut sender = streams(address, 1 << 20).await;
    let begun = Instant::now();
    let mut body = stream(&mut sender, "/slow.txt").await.into_body();
    let first = bounded("a frame", body.frame()).await;
    assert!(first.is_some_and(|frame| frame.is_ok()));
    assert!(begun.elapsed() < Duration::from_secs(2), "held back");
    let rest = bounded("the end", body.collect()).await;
    assert_eq!(rest.expect("it goes on").to_bytes(), "welve bytes");
    assert!(begun.elapsed() > Duration::from_secs(3), "not slow");
    let reply = Client::new(address).get("/slow.txt").await;
    assert_eq!(reply.text(), "twelve bytes");
    all_quiet(&proxy).await;
}

/// An origin that gives no answer is an error, in time.
#[tokio::test(flavor = "multi_thread")]
async fn an_origin_without_an_answer_is_an_error_and_nothing_is_left() {
    let origin = RawOrigin::start(Vec::new()).await;
    let proxy = in_front_of(&origin.url(""), |config| {
        config.fetch.first_byte_timeout = setting("500 ms");
    })
    .await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
    let endless = format!("{head}{}", "x: y\r\n".repeat(200_000));
    for (what, script, status) in [
        ("closed", vec![], 502),
        ("reset", vec![Act::Reset], 502),
        ("no HTTP", vec![Act::say("SSH-2.0-OpenSSH_9.2\r\n")], 502),
        ("half a head", vec![Act::say(head)], 502),
        ("a head without an end", vec![Act::say(endless)], 502),
        ("silent", vec![Act::Silence], 524),
        (
            "silent in its head",
            vec![Act::say(head), Act::Silence],
            524,
        ),
        (
            "a head that drips",
            vec![Act::Drip(head.into(), Duration::from_millis(50))],
            524,
        ),
    ] {
        origin.play(script);
        let begun = Instant::now();
        for method in [Method::GET, Method::HEAD] {
            let client = Client::new(proxy.client().address());
            let range = [("range", "bytes=1-2")];
            for headers in [&[][..], &range] {
                let reply = client.send(method.clone(), "/a.txt", headers).await;
                assert_eq!(reply.status, status, "{what}: {reply}");
                reply.assert_header("cache-control", "no-store");
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
    }
    // The length of an answer to HEAD is only passed on.
    for lengths in [
        &["content-length: -5"][..],
        &["content-length: 5", "content-length: 6"],
    ] {
        origin.play(vec![Act::head(200, lengths), Act::say("right")]);
        let reply = proxy.get("/a.txt").await;
        assert_eq!(reply.status, 502, "{lengths:?}: {reply}");
    }
    all_quiet(&proxy).await;
}

/// Whether a client sees that what it got is not all.
async fn is_seen_as_broken(proxy: &TestProxy, target: &str) -> bool {
    let address = proxy.client().address();
    let mut seen = true;
    for client in [Client::new(address), Client::h2c(address)] {
        let reply = client.try_send(Method::GET, target, &[]).await;
        // What breaks before the head can be told by a status.
        seen &= reply.map_or(true, |reply| reply.status >= 500);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_early_never_looks_complete() {
    let origin = RawOrigin::start(Vec::new()).await;
    let proxy = in_front_of(&origin.url(""), |_| ()).await;
    let length = Act::head(200, &["content-length: 100000"]);
    let chunked = Act::head(200, &["transfer-encoding: chunked"]);
    let unknown = Act::head(200, &["connection: close"]);
    let half = || Act::say(vec![7; 50_000]);
    let chunk = |rest: &str| Act::say(format!("5\r\nabcde\r\n{rest}"));
    for (what, script) in [
        ("of half a length", vec![length.clone(), half()]),
        ("of no length", vec![length.clone()]),
        ("reset", vec![length, half(), Act::Reset]),
        ("without the last chunk", vec![chunked.clone(), chunk("")]),
        ("in a chunk", vec![chunked.clone(), chunk("9\r\nabc")]),
        ("in the size of a chunk", vec![chunked.clone(), chunk("9")]),
        (
            "in a chunk of no size",
            vec![chunked.clone(), chunk("x\r\n")],
        ),
        (
            "reset in a chunk",
            vec![chunked, chunk("9\r\nabc"), Act::Reset],
        ),
        ("reset before its end", vec![unknown, half(), Act::Reset]),
    ] {
        origin.play(script);
        let is_seen = is_seen_as_broken(&proxy, "/a.bin").await;
        assert!(is_seen, "{what}: looks complete");
    }
    all_quiet(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let head = Act::head(200, &["content-type: text/plain"]);
    let origin = RawOrigin::start(vec![head, Act::say("to the end")]).await;
    let proxy = in_front_of(&origin.url(""), |_| ()).await;
    let address = proxy.client().address();
    for client in [Client::new(address), Client::h2c(address)] {
        let reply = client.get("/a.txt").await;
        reply.assert_status(200).assert_no_header("content-length");
        assert_eq!(reply.text(), "to the end");
    }
    // Without chunks the end of the connection is the end of the answer.
    let answer = raw(address, b"GET /a.txt HTTP/1.0\r\nhost: h\r\n\r\n").await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.ends_with("\r\n\r\nto the end"), "{answer}");
}

/// What follows an answer is no answer to another request.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_origin_sends_beyond_its_length_reaches_nobody() {
    let smuggled = "HTTP/1.1 200 X\r\ncontent-length: 6\r\n\r\nforged";
    let origin = RawOrigin::start(Vec::new()).await;
    let proxy = in_front_of(&origin.url(""), |_| ()).await;
    let address = proxy.client().address();
    let clients = [Client::new(address), Client::h2c(address)];
    // All of it in one write: what comes later could be the answer to a later request.
    let length = format!("HTTP/1.1 200 X\r\ncontent-length: 5\r\n\r\nright{smuggled}");
    let chunks = format!("5\r\nright\r\n0\r\n\r\n{smuggled}");
    let chunked = format!("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    for answer in [length.clone(), chunked] {
        origin.play(vec![Act::say(answer)]);
        for client in &clients {
            for _ in 0..3 {
                let reply = client.get("/a.txt").await;
                reply.assert_status(200);
                assert_eq!(reply.text(), "right");
            }
        }
    }
    // The answer to HEAD has no content, whatever follows it.
    origin.play(vec![Act::say(length)]);
    for client in &clients {
        let head = client.send(Method::HEAD, "/a.txt", &[]).await;
        head.assert_status(200).assert_header("content-length", "5");
        assert_eq!(client.get("/a.txt").await.text(), "right");
    }
    all_quiet(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_row_on_one_connection_are_answered_in_turn() {
    let length = 3 << 20;
    let origin = LongOrigin::start(length).await;
    let proxy = in_front_of(&origin.url(), |_| ()).await;
    let one = "GET /long.bin HTTP/1.1\r\nhost: h\r\n\r\n";
    let last = "GET /long.bin HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let requests = format!("{one}{one}{last}");
    let answers = raw(proxy.client().address(), requests.as_bytes()).await;
    let all = usize::try_from(3 * length).expect("it fits");
    let heads = answers.len().checked_sub(all).expect("all of them");
    assert!(heads < 3 * 1000, "{heads} bytes more");
    all_quiet(&proxy).await;
}

fn settings(zone: &str, server: &str) -> String {
    format!(
        "[server]\n{server}\n[zone]\norigin = \"{zone}\"\noriginals = \"all\"\n[cache.disk]\npath = \"\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_transfers_that_go_on() {
    let origin = LongOrigin::start(LENGTH).await;
    let settings = settings(&origin.url(), "drain_timeout = \"10 min\"");
    let mut server = Process::start(&settings).await;
    let address = server.client.address();
    let slow = narrow(address).await;
    let mut download = Download::begin(slow, "/long.bin", 0, 30 << 20).await;
    let mut sender = streams(address, 65_535).await;
    let mut body = stream(&mut sender, "/other.bin").await.into_body();
    server.terminate().await;
    eventually("nothing new is taken", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    download.read_to_end().await;
    // A stream goes on as well, and ends when its client has had enough.
    for _ in 0..100 {
        let frame = bounded("a frame", body.frame()).await;
        assert!(frame.is_some_and(|frame| frame.is_ok()));
    }
    drop((body, sender));
    assert!(server.ended().await.success(), "{}", server.log());
    let_go(&origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_that_outlast_the_drain_are_cut_off_visibly() {
    let origin = LongOrigin::start(LENGTH).await;
    let limits = "drain_timeout = \"400 ms\"\nwrite_timeout = \"1 h\"";
    let mut server = Process::start(&settings(&origin.url(), limits)).await;
    let address = server.client.address();
    let mut stuck = narrow(address).await;
    ask(&mut stuck, "/long.bin").await;
    let mut sender = streams(address, 65_535).await;
    let stuck_stream = stream(&mut sender, "/long.bin").await;
    eventually("both are sent", async || origin.transfers() == 2).await;
    let begun = Instant::now();
    server.terminate().await;
    assert!(server.ended().await.success(), "{}", server.log());
    assert!(begun.elapsed() < Duration::from_secs(10), "{begun:?}");
    let_go(&origin).await;
    let mut rest = Vec::new();
    let _ = bounded("the end", stuck.read_to_end(&mut rest)).await;
    assert!((rest.len() as u64) < LENGTH);
    assert!(is_cut_short(stuck_stream).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_downloads_up_to_the_limit_of_connections_keep_others_out_no_longer_than_they_read() {
    let origin = LongOrigin::start(LENGTH).await;
    let proxy = in_front_of(&origin.url(), |config| {
        config.server.connections = 8.try_into().expect("not zero");
    })
    .await;
    let address = proxy.client().address();
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = narrow(address).await;
        ask(&mut stream, "/long.bin").await;
        slow.push(stream);
    }
    eventually("all are sent", async || origin.transfers() == 8).await;
    // Nobody reads: they are cut off, and one that waits gets its turn.
    let begun = Instant::now();
    let late = TcpStream::connect(address).await.expect("it listens");
    let mut late = Download::begin(late, "/long.bin", 0, 1 << 20).await;
    late.read_to_end().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{begun:?}");
    drop((late, slow));
    let_go(&origin).await;
    all_quiet(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_up_to_their_limit_leave_room_for_transformations() {
    let origin = LongOrigin::start(LENGTH).await;
    let pictures = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let entry = allowed(&[pictures.authority()]);
    let proxy = in_front_of(&origin.url(), |config| {
        config.fetch.concurrency = 8.try_into().expect("not zero");
        config.fetch.connections_per_origin = 8.try_into().expect("not zero");
        config.server.write_timeout = setting("1 h");
        config.fetch.total_timeout = setting("1 s");
        config.sources.allowed = entry;
    })
    .await;
    let address = proxy.client().address();
    let mut slow = Vec::new();
    for _ in 0..12 {
        let mut stream = narrow(address).await;
        ask(&mut stream, "/long.bin").await;
        slow.push(stream);
    }
    eventually("some are sent", async || origin.transfers() >= 4).await;
    let target = format!("/cdn-cgi/image/width=16/{}", pictures.url("/a.png"));
    proxy.get(&target).await.assert_size(16, 12);
    // Those without a turn are told so.
    eventually("those that are sent are left", async || {
        proxy.in_flight() == 0.0 || origin.transfers() == 4
    })
    .await;
    let reply = proxy.get("/long.bin").await;
    assert_eq!(reply.status, 503, "{reply}");
    drop(slow);
    let_go(&origin).await;
    all_quiet(&proxy).await;
    let stream = TcpStream::connect(address).await.expect("it listens");
    let mut late = Download::begin(stream, "/long.bin", 0, 1 << 20).await;
    late.read_to_end().await;
}

/// Begins a transfer over a new connection, and breaks it off.
async fn break_off(server: &Process, index: usize, target: &str) {
    let address = server.client.address();
    if index.is_multiple_of(3) {
        let mut sender = streams(address, 65_535).await;
        let mut body = stream(&mut sender, target).await.into_body();
        let _ = bounded("a frame", body.frame()).await;
        return;
    }
    let mut stream = narrow(address).await;
    ask(&mut stream, target).await;
    let mut piece = [0; 2000];
    bounded("a piece", stream.read_exact(&mut piece))
        .await
        .expect("it arrives");
    if index % 3 == 1 {
        stream.set_zero_linger().expect("a socket");
    }
}

/// Breaks off a thousand transfers, and asserts that they leave nothing behind.
async fn break_off_many(server: &Process, targets: &[&str]) {
    let turn = async |from: usize, to: usize| {
        for index in from..to {
            break_off(server, index, targets[index % targets.len()]).await;
        }
        eventually("nothing is held", async || {
            let metrics = server.metrics().await;
            metrics.sum("safelight_source_fetches_in_flight", &[]) == 0.0
                && metrics.sum("safelight_connections", &[]) <= 1.0
        })
        .await;
    };
    turn(0, 100).await;
    let (before, memory) = (server.descriptors(), server.memory("VmRSS:"));
    turn(100, 1100).await;
    eventually("as many descriptors as before", async || {
        server.descriptors() <= before + 8
    })
    .await;
    let grown = server.memory("VmRSS:").saturating_sub(memory);
    assert!(grown < 16 << 10, "{grown} kB more than {memory} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_broken_transfers_leave_no_descriptor() {
    let origin = LongOrigin::start(LENGTH).await;
    let server = Process::start(&settings(&origin.url(), "")).await;
    break_off_many(&server, &["/long.bin"]).await;
    let_go(&origin).await;
    // Connections that were broken off are not kept for later.
    eventually("none is left", async || origin.connections() <= 8).await;

    let folder = tempfile::tempdir().expect("a folder");
    long::write(&folder.path().join("long.bin"), LENGTH);
    let zone = format!("file:{}", folder.path().display());
    let server = Process::start(&settings(&zone, "")).await;
    break_off_many(&server, &["/long.bin"]).await;
    let is_open = |path: &Path| path.ends_with("long.bin");
    let open = fs::read_dir(format!("/proc/{}/fd", server.id())).expect("Linux");
    let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    assert_eq!(open.filter(|path| is_open(path)).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_broken_answers_of_an_origin_leave_no_descriptor() {
    let head = Act::head(200, &["content-length: 6000"]);
    let origin = RawOrigin::start(vec![head, Act::say(vec![7; 3000])]).await;
    let server = Process::start(&settings(&origin.url(""), "")).await;
    let break_many = async |times: usize| {
        for _ in 0..times {
            let reply = server
                .client
                .try_send(Method::GET, "/broken.bin", &[])
                .await;
            assert!(reply.is_err(), "looks complete");
        }
        eventually("nothing is held", async || {
            let metrics = server.metrics().await;
            metrics.sum("safelight_source_fetches_in_flight", &[]) == 0.0
                && metrics.sum("safelight_connections", &[]) <= 1.0
        })
        .await;
    };
    break_many(100).await;
    let before = server.descriptors();
    break_many(1000).await;
    eventually("as many descriptors as before", async || {
        server.descriptors() <= before + 8
    })
    .await;
}

/// Serves a file that is changed in the middle of a transfer.
async fn changed_while_it_is_sent(change: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("long.bin");
    long::write(&path, LENGTH);
    let zone = format!("file:{}", folder.path().display());
    let proxy = in_front_of(&zone, |_| ()).await;
    let mut stream = narrow(proxy.client().address()).await;
    ask(&mut stream, "/long.bin").await;
    let mut piece = [0; 4096];
    bounded("a piece", stream.read_exact(&mut piece))
        .await
        .expect("it arrives");
    change(&path);
    let mut rest = Vec::new();
    let _ = bounded("the end", stream.read_to_end(&mut rest)).await;
    assert!((rest.len() as u64) < LENGTH - 4096, "looks complete");
    all_quiet(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_sent_is_cut_off() {
    changed_while_it_is_sent(|path| {
        let file = fs::File::options().write(true).open(path);
        file.expect("a file").set_len(9_000_000).expect("a file");
    })
    .await;
    changed_while_it_is_sent(|path| {
        let mut file = fs::File::options().append(true).open(path).expect("a file");
        std::io::Write::write_all(&mut file, b"more").expect("a file");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_while_it_is_sent_is_sent_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("long.bin");
    let length = 40 << 20;
    long::write(&path, length);
    let zone = format!("file:{}", folder.path().display());
    let proxy = in_front_of(&zone, |_| ()).await;
    let stream = narrow(proxy.client().address()).await;
    let mut download = Download::begin(stream, "/long.bin", 0, length).await;
    download.read(4096).await;
    fs::write(folder.path().join("new"), "short").expect("a file");
    fs::rename(folder.path().join("new"), &path).expect("a file");
    download.read_to_end().await;
    let reply = proxy.get("/long.bin").await;
    assert_eq!(reply.text(), "short");
}

/// Half of a request, and nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_slowly_has_the_time_of_any_client() {
    let origin = LongOrigin::start(LENGTH).await;
    let proxy = in_front_of(&origin.url(), |config| {
        config.server.header_timeout = setting("400 ms");
    })
    .await;
    let mut stream = TcpStream::connect(proxy.client().address())
        .await
        .expect("it listens");
    stream
        .write_all(b"GET /long.bin HTTP/1.1\r\nhost")
        .await
        .expect("it reads");
    let mut answer = Vec::new();
    let _ = bounded("the end", stream.read_to_end(&mut answer)).await;
    assert_eq!(origin.made(), 0);
}
