//! Originals of 500 MiB, whole and in parts, for fast clients and slow ones at once, by the real binary: its memory does not grow with them.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::net::TcpStream;

use crate::support::long::{Download, LongOrigin, part, write};
use crate::support::process::Process;
use crate::support::s3::S3Server;
use crate::support::slow::{narrow, stream, streams};
use crate::support::{bounded, eventually};

const LENGTH: u64 = 500 << 20;
/// What is uploaded first is shorter.
const UPLOADED: u64 = 100 << 20;
/// How many clients read slowly meanwhile, of HTTP/1 and as streams of HTTP/2 each.
const SLOW: u64 = 8;
/// How much memory all of them together may take, in kB: some hundred KiB each.
const MOST: u64 = 20 << 10;

fn settings(zone: &str) -> String {
    format!("[zone]\norigin = \"{zone}\"\noriginals = \"all\"\n[cache.disk]\npath = \"\"\n")
}

/// A reader that goes on slowly until it is told to stop.
async fn read_slowly(
    address: SocketAddr,
    target: String,
    first: u64,
    end: u64,
    stop: Arc<AtomicBool>,
) {
    let mut download = Download::begin(narrow(address).await, &target, first, end).await;
    while !stop.load(Ordering::Relaxed) && download.read(16 << 10).await > 0 {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// The same as streams of one connection.
async fn read_streams_slowly(address: SocketAddr, target: String, stop: Arc<AtomicBool>) {
    let mut sender = streams(address, 65_535).await;
    let mut bodies = Vec::new();
    for _ in 0..SLOW {
        bodies.push(stream(&mut sender, &target).await.into_body());
    }
    while !stop.load(Ordering::Relaxed) {
        for body in &mut bodies {
            let frame = bounded("a frame", body.frame()).await;
            frame.expect("it goes on").expect("it goes on");
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Reads everything once while others read slowly, and asserts how much memory that takes.
async fn measure(what: &str, server: &Process, target: &str, length: u64) {
    let address = server.client.address();
    let connect = async || TcpStream::connect(address).await.expect("it listens");
    // What is set up once is set up.
    let warm = 4 << 20;
    Download::begin(connect().await, target, 0, warm)
        .await
        .read_to_end()
        .await;
    let id = server.id();
    // The peak begins anew.
    fs::write(format!("/proc/{id}/clear_refs"), "5").expect("a process of our own");
    let before = server.memory("VmRSS:");
    let stop = Arc::new(AtomicBool::new(false));
    let mut slow = Vec::new();
    for index in 0..SLOW {
        let first = length / SLOW * index;
        let (target, stop) = (target.to_owned(), Arc::clone(&stop));
        slow.push(tokio::spawn(read_slowly(
            address, target, first, length, stop,
        )));
    }
    let streams = read_streams_slowly(address, target.to_owned(), Arc::clone(&stop));
    slow.push(tokio::spawn(streams));
    let mut whole = Download::begin(connect().await, target, 0, length).await;
    whole.read_to_end().await;
    for index in 0..20 {
        let first = (length / 21 * (index + 1)) | 1;
        let last = first + 70_000;
        let range = format!("bytes={first}-{last}");
        let reply = server.client.get_with(target, &[("range", &range)]).await;
        reply.assert_status(206);
        assert!(reply.body == part(first, last + 1 - first), "{range}");
    }
    stop.store(true, Ordering::Relaxed);
    for reader in slow {
        bounded("a slow reader", reader).await.expect("right bytes");
    }
    let (after, peak) = (server.memory("VmRSS:"), server.memory("VmHWM:"));
    eprintln!(
        "{what}, {} MiB: {before} kB before, {peak} kB at most, {after} kB after",
        length >> 20
    );
    assert!(peak < before + MOST, "{what}: {before} kB, then {peak} kB");
    eventually("nothing is held", async || {
        let metrics = server.metrics().await;
        metrics.sum("safelight_source_fetches_in_flight", &[]) == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_takes_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("long.bin"), LENGTH);
    let zone = format!("file:{}", folder.path().display());
    let server = Process::start(&settings(&zone)).await;
    measure("folder", &server, "/long.bin", LENGTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_of_a_server_takes_no_memory() {
    let origin = LongOrigin::start(LENGTH).await;
    let server = Process::start(&settings(&origin.url())).await;
    measure("HTTP", &server, "/long.bin", LENGTH).await;
    eventually("no transfer is left", async || origin.transfers() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_object_takes_no_memory() {
    let bucket = S3Server::start().await;
    bucket.put("long", "long.bin", part(0, UPLOADED)).await;
    let settings = format!(
        "{}[[bucket]]\nname = \"long\"\nbucket = \"long\"\nregion = \"us-east-1\"\nendpoint = \"{}\"\nstyle = \"path\"\ncredentials = {{ key = \"{}\", secret = \"{}\" }}\n",
        settings("bucket:long"),
        bucket.endpoint(),
        bucket.access_key(),
        bucket.secret_key(),
    );
    let server = Process::start(&settings).await;
    measure("bucket", &server, "/long.bin", UPLOADED).await;
}
