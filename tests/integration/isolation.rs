//! Worker processes: a picture that makes one crash, hang, eat memory or reach for what is not its own costs one request.
//!
//! The pictures with faults are those of `src/worker/fault.rs`, which release builds do not have.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;

use futures_util::future::join_all;
use futures_util::stream;
use futures_util::stream::StreamExt;
use safelight::worker::Isolation;

use crate::support::origin::TestOrigin;
use crate::support::process::{Process, settings};
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::reply::Reply;
use crate::support::{eventually, samples};

/// A photograph that makes the worker process misbehave.
fn faulty(fault: &str, number: u32) -> Vec<u8> {
    let mut picture = samples::jpeg(60 + number, 40);
    picture.extend_from_slice(format!("SAFELIGHT-FAULT:{fault}").as_bytes());
    picture
}

/// Errors that are kept may be kept by others as well.
#[track_caller]
fn assert_failed(reply: &Reply, status: u16, number: u16) {
    assert_eq!(reply.status, status, "{reply}");
    assert!(
        reply.text().contains(&format!("ERROR {number}:")),
        "{reply}"
    );
}

async fn isolated(origin: &TestOrigin) -> TestProxy {
    let zone = zone(&origin.url(""));
    TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.isolation = Isolation::Process;
        config.server.request_timeout = setting("2 s");
    })
    .await
}

#[tokio::test]
async fn a_fault_costs_one_request() {
    let origin = TestOrigin::start().await;
    origin.serve("/good.jpg", samples::jpeg(80, 60));
    let proxy = isolated(&origin).await;
    let (crash, panic) = ("worker-crash", "crash");
    for (number, (fault, code, kind)) in (0..).zip([
        ("abort", crash, Some("abort")),
        ("stack", crash, Some("abort")),
        ("memory", crash, Some("memory")),
        ("write", crash, Some("crash")),
        ("exit", crash, Some("exit")),
        ("exec", crash, Some("forbidden")),
        // The system says no, and the fault on purpose panics.
        ("file", panic, None),
        ("socket", panic, None),
        ("panic", panic, None),
    ]) {
        let path = format!("/{fault}.jpg");
        origin.serve(&path, faulty(fault, number));
        let reply = proxy.get(&format!("/cdn-cgi/image/width=30{path}")).await;
        assert_failed(&reply, 500, 9523);
        let errors = proxy.metrics();
        assert!(
            errors.sum("safelight_errors_total", &[("code", code)]) >= 1.0,
            "{fault}: {reply}"
        );
        if let Some(kind) = kind {
            let failures = errors.sum("safelight_worker_failures", &[("kind", kind)]);
            assert!(failures >= 1.0, "{fault}");
        }
        let target = format!("/cdn-cgi/image/width={}/good.jpg", 20 + number);
        proxy.get(&target).await.assert_status(200);
    }
    let all = proxy.metrics().sum("safelight_worker_failures", &[]);
    assert!((all - 6.0).abs() < 0.5, "{all}");
}

#[tokio::test]
async fn what_hangs_is_ended_soon_after_its_deadline() {
    let origin = TestOrigin::start().await;
    origin.serve("/good.jpg", samples::jpeg(80, 60));
    origin.serve("/hang.jpg", faulty("hang", 0));
    origin.serve("/spin.jpg", faulty("spin", 1));
    let proxy = isolated(&origin).await;
    for name in ["hang", "spin"] {
        let target = format!("/cdn-cgi/image/width=30/{name}.jpg");
        proxy.get(&target).await.assert_error(504, 9529);
        proxy
            .get(&format!("/cdn-cgi/image/width=3{}/good.jpg", name.len()))
            .await
            .assert_status(200);
    }
    eventually("both are ended", async || {
        let overdue = [("kind", "overdue")];
        proxy.metrics().sum("safelight_worker_failures", &overdue) > 1.5
    })
    .await;
}

#[tokio::test]
async fn a_source_that_ends_two_processes_is_not_tried_again() {
    let origin = TestOrigin::start().await;
    origin.serve("/bad.jpg", faulty("abort", 0));
    origin.serve("/copy.jpg", faulty("abort", 0));
    origin.serve("/good.jpg", samples::jpeg(80, 60));
    let proxy = isolated(&origin).await;
    for (name, width, number) in [
        ("bad", 10, 9523),
        ("bad", 11, 9523),
        ("bad", 12, 9516),
        ("copy", 10, 9516),
    ] {
        let reply = proxy
            .get(&format!("/cdn-cgi/image/width={width}/{name}.jpg"))
            .await;
        let status = if number == 9516 { 422 } else { 500 };
        assert_failed(&reply, status, number);
    }
    let metrics = proxy.metrics();
    let failures = |kind| metrics.sum("safelight_worker_failures", &[("kind", kind)]);
    assert!((failures("abort") - 2.0).abs() < 0.5);
    assert!((failures("blocked") - 2.0).abs() < 0.5);
    // The failure is kept for its URL, so that a third process is not even asked for.
    let reply = proxy.get("/cdn-cgi/image/width=10/bad.jpg").await;
    assert_failed(&reply, 500, 9523);
    let after = proxy.metrics();
    let sum = after.sum("safelight_worker_failures", &[("kind", "abort")]);
    assert!((sum - 2.0).abs() < 0.5);
    let good = proxy.get("/cdn-cgi/image/width=10/good.jpg").await;
    good.assert_status(200);
}

#[tokio::test]
async fn pictures_are_the_same_as_those_of_threads() {
    let origin = TestOrigin::start().await;
    origin.serve("/photo.jpg", samples::jpeg(640, 480));
    origin.serve("/photo.png", samples::png(300, 200));
    origin.serve("/logo.png", samples::translucent_png(120, 90));
    origin.serve("/moving.gif", samples::animated_gif(60, 40, 4));
    origin.serve(
        "/drawing.svg",
        "<svg xmlns='http://www.w3.org/2000/svg' width='90' height='60'><rect width='50' height='40' fill='red'/></svg>",
    );
    origin.serve("/broken.jpg", samples::jpeg(640, 480)[..3000].to_vec());
    origin.serve("/nothing.jpg", "this is no picture at all");
    let threads = TestProxy::start(|config| {
        config.zone.origin = zone(&origin.url(""));
        config.limits.rasterize_svg = true;
    })
    .await;
    let processes = TestProxy::start(|config| {
        config.zone.origin = zone(&origin.url(""));
        config.limits.rasterize_svg = true;
        config.limits.isolation = Isolation::Process;
    })
    .await;
    for name in [
        "photo.jpg",
        "photo.png",
        "logo.png",
        "moving.gif",
        "drawing.svg",
        "broken.jpg",
        "nothing.jpg",
    ] {
        for options in [
            "width=100",
            "width=90,height=90,fit=cover,gravity=auto,format=webp",
            "width=60,format=avif",
            "width=80,format=json",
            "width=50,format=png,trim=border",
            "format=svg",
            "width=40,anim=false,blur=3,sharpen=1,brightness=1.2,rotate=90",
            "width=9999,fit=pad,height=20,background=red",
        ] {
            let target = format!("/cdn-cgi/image/{options}/{name}");
            let (expected, found) = (threads.get(&target).await, processes.get(&target).await);
            assert_eq!(found.status, expected.status, "{target}: {found}");
            assert_eq!(found.body, expected.body, "{target}");
            for header in ["content-type", "warning", "cache-control"] {
                assert_eq!(
                    found.headers.get(header),
                    expected.headers.get(header),
                    "{target}: {header}"
                );
            }
        }
    }
    let failures = processes.metrics().sum("safelight_worker_failures", &[]);
    assert!(failures < 0.5, "{failures}");
}

#[tokio::test]
async fn a_batch_is_made_in_one_process() {
    let origin = TestOrigin::start().await;
    origin.serve("/photo.jpg", samples::jpeg(640, 480));
    let proxy = isolated(&origin).await;
    let body = r#"{"sources": ["/photo.jpg"], "options": ["width=100,format=webp", "width=90,format=png", "width=80,height=80,fit=cover,gravity=auto,format=jpeg"]}"#;
    let reply = proxy.warm(body).await;
    reply.assert_status(200);
    assert!(!reply.text().contains("failed"), "{reply}");
    let before = proxy.renders();
    let reply = proxy
        .get("/cdn-cgi/image/width=90,format=png/photo.jpg")
        .await;
    reply.assert_size(90, 68);
    assert!((proxy.renders() - before).abs() < 0.5);
}

/// The worker processes of a server.
fn workers_of(server: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    processes
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name, which is in brackets: the state, and the parent.
            let (_, rest) = stat.rsplit_once(')')?;
            let parent: u32 = rest.split_whitespace().nth(1)?.parse().ok()?;
            (parent == server).then_some(id)
        })
        .collect()
}

async fn process(origin: &TestOrigin, cache: &tempfile::TempDir) -> Process {
    let settings = settings(origin, cache.path());
    let isolation = "[limits]\nisolation = \"process\"\n[fetch]\nprivate_networks = true\n[server]\nrequest_timeout = \"4 s\"\n";
    Process::start(&format!("{settings}{isolation}")).await
}

#[tokio::test]
async fn no_process_outlives_the_server() {
    let origin = TestOrigin::with("/good.jpg", samples::jpeg(80, 60)).await;
    origin.serve("/spin.jpg", faulty("spin", 0));
    let cache = tempfile::tempdir().expect("a temporary folder");
    let server = process(&origin, &cache).await;
    let reply = server.client.get("/cdn-cgi/image/width=30/good.jpg").await;
    reply.assert_status(200);
    // One of them is busy when the server dies.
    let client = server.client.clone();
    let busy = tokio::spawn(async move {
        let headers = [];
        let _ = client
            .try_send(
                hyper::Method::GET,
                "/cdn-cgi/image/width=30/spin.jpg",
                &headers,
            )
            .await;
    });
    eventually("a worker is busy", async || {
        let busy = [("state", "busy")];
        server
            .metrics()
            .await
            .sum("safelight_worker_processes", &busy)
            > 0.5
    })
    .await;
    let workers = workers_of(server.id());
    assert!(workers.len() >= 2, "{workers:?}");
    server.kill().await;
    busy.abort();
    eventually("all workers are gone", async || {
        let is_there = |id: &u32| fs::exists(format!("/proc/{id}")).unwrap_or(true);
        !workers.iter().any(is_there)
    })
    .await;
}

#[tokio::test]
async fn faults_among_good_pictures_harm_none_of_them() {
    const REQUESTS: u32 = 200;
    const AT_ONCE: usize = 16;
    let faults = [
        "abort", "stack", "memory", "write", "exit", "file", "socket", "exec", "panic",
    ];
    let origin = TestOrigin::with("/good.jpg", samples::jpeg(320, 240)).await;
    for number in (0..REQUESTS).filter(|number| number % 2 == 1) {
        let fault = faults[number as usize / 2 % faults.len()];
        origin.serve(&format!("/{number}.jpg"), faulty(fault, number));
    }
    let cache = tempfile::tempdir().expect("a temporary folder");
    let server = process(&origin, &cache).await;
    let first = server.client.get("/cdn-cgi/image/width=200/good.jpg").await;
    first.assert_size(200, 150);
    let (memory, descriptors) = (server.memory("VmRSS:"), server.descriptors());
    let get = async |number: u32| -> (u32, Reply) {
        let name = if number % 2 == 1 {
            number.to_string()
        } else {
            "good".to_owned()
        };
        let target = format!("/cdn-cgi/image/width={}/{name}.jpg", 20 + number / 2);
        (number, server.client.get(&target).await)
    };
    let replies: Vec<(u32, Reply)> = stream::iter(0..REQUESTS)
        .map(get)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    for (number, reply) in &replies {
        *statuses.entry(reply.status).or_default() += 1;
        if number % 2 == 0 {
            let width = 20 + number / 2;
            assert_eq!(samples::size_of(&reply.body).0, width, "{number}: {reply}");
        } else {
            assert_failed(reply, 500, 9523);
        }
    }
    assert_eq!(statuses, BTreeMap::from([(200, 100), (500, 100)]));
    eventually("nothing is left over", async || {
        let metrics = server.metrics().await;
        let busy = metrics.sum("safelight_worker_processes", &[("state", "busy")]);
        // One for each processor, one for small pictures, and one more; none for idle work.
        let most = std::thread::available_parallelism().map_or(1, |count| count.get()) + 2;
        busy < 0.5
            && workers_of(server.id()).len() <= most
            && server.descriptors() <= descriptors + 4 * most
            && server.memory("VmRSS:") <= memory + (24 << 10)
    })
    .await;
}

#[tokio::test]
async fn idle_processes_are_small() {
    let origin = TestOrigin::with("/good.jpg", samples::jpeg(1600, 1200)).await;
    let cache = tempfile::tempdir().expect("a temporary folder");
    let server = process(&origin, &cache).await;
    let get = |width: u32| {
        let client = server.client.clone();
        async move {
            let target = format!("/cdn-cgi/image/width={width},format=webp/good.jpg");
            client.get(&target).await.assert_status(200);
        }
    };
    join_all((100..108).map(get)).await;
    eventually("they have given memory back", async || {
        workers_of(server.id())
            .iter()
            .all(|&id| private_memory(id) < 15 << 10)
    })
    .await;
}

/// What a process has for itself, in kB.
fn private_memory(id: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    lines
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

#[tokio::test]
async fn a_server_without_processes_says_what_to_do() {
    let origin = TestOrigin::start().await;
    let zone = zone(&origin.url(""));
    let mut config = safelight::config::Config::default();
    config.zone.origin = zone;
    config.limits.isolation = Isolation::Process;
    let folder = tempfile::tempdir().expect("a temporary folder");
    config.cache.disk.path = folder.path().join("cache");
    let mut settings = config.pipeline();
    settings.worker_program = Some("/does/not/exist".into());
    let Err(error) = safelight::pipeline::Pipeline::open(settings).await else {
        panic!("there is no such program");
    };
    let error = error.to_string();
    assert!(error.contains("limits.isolation"), "{error}");
    assert!(error.contains("\"thread\""), "{error}");
}
