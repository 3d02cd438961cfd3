//! Clients that send requests and do not read the answers, and clients that open too many connections.

use std::io::Cursor;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use image::ImageFormat;
use image::Rgb;
use image::RgbImage;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::origin::TestOrigin;
use crate::support::process::Process;
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::slow::{ask, is_cut_short, narrow, stream, streams};
use crate::support::{bounded, eventually, samples};

/// A target that is answered with the unchanged source.
const LARGE: &str = "/cdn-cgi/image/width=4000,format=png-force/large.png";
const SMALL: &str = "/cdn-cgi/image/width=4000,format=png-force/small.png";
/// More bytes than the socket buffers of both sides hold.
const LARGE_BYTES: usize = 7_000_000;

/// A picture that no format makes smaller.
fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let picture = RgbImage::from_fn(width, height, |_, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [red, green, blue, ..] = state.to_le_bytes();
        Rgb([red, green, blue])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .expect("memory");
    bytes.into_inner()
}

async fn origin() -> TestOrigin {
    let origin = TestOrigin::with("/large.png", noise(2000, 1200)).await;
    origin.serve("/small.png", noise(400, 300));
    origin
}

async fn proxy(write_timeout: &str, drain_timeout: &str) -> (TestProxy, TestOrigin) {
    let origin = origin().await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.server.write_timeout = setting(write_timeout);
        config.server.drain_timeout = setting(drain_timeout);
    })
    .await;
    proxy.get(LARGE).await.assert_size(2000, 1200);
    proxy.get(SMALL).await.assert_size(400, 300);
    (proxy, origin)
}

fn connections(proxy: &TestProxy) -> f64 {
    proxy.metrics().sum("safelight_connections", &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_reads_nothing_is_closed() {
    let (proxy, _origin) = proxy("600 ms", "30 s").await;
    let before = connections(&proxy);
    let mut stuck = Vec::new();
    for _ in 0..5 {
        let mut stream = narrow(proxy.client().address()).await;
        ask(&mut stream, LARGE).await;
        stuck.push(stream);
    }
    eventually("all are taken", async || {
        connections(&proxy) == before + 5.0
    })
    .await;
    let begun = Instant::now();
    eventually("none is left", async || connections(&proxy) <= before).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{begun:?}");
    // The unsent bytes are freed as well.
    for mut stream in stuck {
        let mut rest = Vec::new();
        let ended = bounded("the end", stream.read_to_end(&mut rest)).await;
        assert!(ended.is_err() && rest.len() < LARGE_BYTES, "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_the_whole_body() {
    let (proxy, _origin) = proxy("600 ms", "30 s").await;
    let mut stream = narrow(proxy.client().address()).await;
    ask(&mut stream, LARGE).await;
    let begun = Instant::now();
    let mut read = 0;
    let mut piece = vec![0; 96 << 10];
    while read < LARGE_BYTES {
        let taken = bounded("a piece", stream.read(&mut piece)).await;
        let taken = taken.expect("it goes on");
        assert!(taken > 0, "closed after {read} bytes");
        read += taken;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(1200), "not slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_window_stays_closed_is_reset_and_its_connection_stays_open() {
    let (proxy, _origin) = proxy("600 ms", "30 s").await;
    // The window is closed from the beginning, after a byte, and after some bytes.
    for window in [0, 1, 20_000, 65_535] {
        let mut sender = streams(proxy.client().address(), window).await;
        let mut stuck = Vec::new();
        for target in [SMALL, LARGE] {
            for _ in 0..10 {
                stuck.push(stream(&mut sender, target).await);
            }
        }
        // hyper checks every 600 ms, and resets streams that made no progress since.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        for answer in stuck {
            assert!(is_cut_short(answer).await, "window {window}: not reset");
        }
        stream(&mut sender, "/cdn-cgi/image/width=1,format=json/small.png").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_stream_gets_the_whole_body() {
    let (proxy, _origin) = proxy("600 ms", "30 s").await;
    let whole = proxy.get(SMALL).await.body;
    for window in [65_535, 1 << 20] {
        let mut sender = streams(proxy.client().address(), window).await;
        let mut body = stream(&mut sender, SMALL).await.into_body();
        let begun = Instant::now();
        let mut read = Vec::new();
        while let Some(frame) = bounded("a frame", body.frame()).await {
            let frame = frame.expect("it goes on").into_data().expect("data");
            read.extend_from_slice(&frame);
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
        assert!(read == whole, "not what HTTP/1 gets");
        assert!(begun.elapsed() > Duration::from_millis(1200), "not slow");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_closes_connections_that_read_nothing() {
    let (proxy, _origin) = proxy("1 h", "500 ms").await;
    let mut stuck = narrow(proxy.client().address()).await;
    ask(&mut stuck, LARGE).await;
    let mut sender = streams(proxy.client().address(), 1).await;
    let stuck_stream = stream(&mut sender, LARGE).await;
    let begun = Instant::now();
    let pipeline = std::sync::Arc::clone(proxy.pipeline());
    proxy.stop().await;
    eventually("no connection is left", async || {
        let text = pipeline.metrics_text();
        text.contains("safelight_connections 0\n")
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(is_cut_short(stuck_stream).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_does_not_wait_for_clients_that_read_nothing() {
    let origin = origin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!(
        "[server]\nwrite_timeout = \"1 s\"\ndrain_timeout = \"10 min\"\n[zone]\norigin = \"{}\"\n[cache.disk]\npath = \"{}\"\n",
        origin.url(""),
        folder.path().display()
    );
    let mut server = Process::start(&settings).await;
    let address = server.client.address();
    server.client.get(LARGE).await.assert_status(200);
    let mut stuck = narrow(address).await;
    ask(&mut stuck, LARGE).await;
    let mut sender = streams(address, 1).await;
    let _stuck_stream = stream(&mut sender, LARGE).await;
    server.terminate().await;
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_descriptors_idle_clients_leave_some_for_admin_and_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let photos = folder.path().join("photos");
    std::fs::create_dir(&photos).expect("a folder");
    std::fs::write(photos.join("a.png"), samples::png(64, 48)).expect("a folder");
    let settings = format!(
        "[server]\nheader_timeout = \"60 s\"\n[zone]\norigin = \"file:{}\"\n[cache.disk]\npath = \"{}\"\n",
        photos.display(),
        folder.path().join("cache").display()
    );
    let server = Process::start_with_open_files(&settings, 64).await;
    let target = "/cdn-cgi/image/width=16/a.png";
    server.client.get(target).await.assert_size(16, 12);
    let mut idle = Vec::new();
    for _ in 0..100 {
        let stream = TcpStream::connect(server.client.address()).await;
        idle.push(stream.expect("it listens"));
    }
    eventually("as many are taken as may be", async || {
        server.metrics().await.sum("safelight_connections", &[]) == 32.0
    })
    .await;
    // New connections work too, not only the one that is open already.
    for _ in 0..5 {
        let fresh = crate::support::client::Client::new(server.admin.address());
        fresh.get("/healthz").await.assert_status(200);
    }
    let log = server.log();
    assert!(log.contains("fewer connections are accepted"), "{log}");
    assert!(
        log.contains("wanted=10000") && log.contains("connections=32"),
        "{log}"
    );
    assert!(
        log.matches("cannot accept a connection").count() < 5,
        "{log}"
    );
    drop(idle);
    let fresh = crate::support::client::Client::new(server.client.address());
    let target = "/cdn-cgi/image/width=17/a.png";
    fresh.get(target).await.assert_size(17, 13);
}
