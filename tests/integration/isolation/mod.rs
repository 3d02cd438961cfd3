//! Worker processes: a picture that makes one crash, hang, eat memory or reach for what is not its own costs one request.
//!
//! The pictures with faults are those of `src/worker/fault.rs`, which release builds do not have.
#![cfg(target_os = "linux")]

mod processes;
mod signals;

use std::collections::BTreeMap;

use futures_util::stream;
use futures_util::stream::StreamExt;
use safelight::worker::Isolation;

use self::processes::{process, workers_of};
use crate::support::origin::TestOrigin;
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::reply::Reply;
use crate::support::{eventually, samples};

/// A photograph that makes the worker process misbehave when it is rendered.
fn faulty(fault: &str, number: u32) -> Vec<u8> {
    with_fault(samples::jpeg(60 + number, 40), &format!("render:{fault}"))
}

/// A picture that makes the worker process misbehave in a kind of job.
fn with_fault(mut picture: Vec<u8>, fault: &str) -> Vec<u8> {
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
    let faults = [
        ("abort", "abort"),
        ("stack", "abort"),
        ("memory", "memory"),
        ("write", "crash"),
        ("exit", "exit"),
        ("exec", "forbidden"),
        ("signal", "forbidden"),
        ("code", "forbidden"),
        ("nonsense", "nonsense"),
        // Its file for answers may not be longer than an answer.
        ("fill", "forbidden"),
        // It looks as if somebody else had killed it.
        ("close", "nonsense"),
        // The system says no, and the fault on purpose panics.
        #[cfg(not(feature = "heic"))]
        ("thread", "panic"),
        ("file", "panic"),
        ("socket", "panic"),
        ("panic", "panic"),
    ];
    let failures = |kind| {
        let metrics = proxy.metrics();
        metrics.sum("safelight_worker_failures", &[("kind", kind)])
    };
    for (number, (fault, kind)) in (0..).zip(faults) {
        let path = format!("/{fault}.jpg");
        origin.serve(&path, faulty(fault, number));
        let before = failures(kind);
        let reply = proxy.get(&format!("/cdn-cgi/image/width=30{path}")).await;
        assert_failed(&reply, 500, 9523);
        let after = failures(kind);
        assert!((after - before - 1.0).abs() < 0.5, "{fault}: {reply}");
        let target = format!("/cdn-cgi/image/width={}/good.jpg", 20 + number);
        proxy.get(&target).await.assert_status(200);
    }
    let metrics = proxy.metrics();
    let crashes = [("code", "worker-crash")];
    let all = f64::from(u32::try_from(faults.len()).expect("some"));
    for (name, labels) in [
        ("safelight_worker_failures", &[][..]),
        ("safelight_errors_total", &crashes),
    ] {
        let count = metrics.sum(name, labels);
        assert!((count - all).abs() < 0.5, "{name}: {count}");
    }
}

#[tokio::test]
async fn a_fault_in_any_kind_of_job_costs_one_request() {
    let origin = TestOrigin::start().await;
    origin.serve("/good.jpg", samples::jpeg(80, 60));
    let photograph = |fault, number: u32| with_fault(samples::jpeg(90 + number, 60), fault);
    origin.serve("/open.jpg", photograph("open:abort", 0));
    origin.serve("/saliency.jpg", photograph("saliency:abort", 1));
    origin.serve("/batch.jpg", photograph("batch:abort", 2));
    let moving = samples::animated_gif(60, 40, 4);
    origin.serve("/moving.gif", with_fault(moving, "render:abort"));
    let drawing = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='6'><!--SAFELIGHT-FAULT:render:abort--></svg>";
    origin.serve("/drawing.svg", drawing);
    let proxy = isolated(&origin).await;
    for target in [
        "width=30/open.jpg",
        "width=30,height=30,fit=cover,gravity=auto/saliency.jpg",
        "width=30/moving.gif",
        "width=30/drawing.svg",
    ] {
        let reply = proxy.get(&format!("/cdn-cgi/image/{target}")).await;
        assert_failed(&reply, 500, 9523);
    }
    let body = r#"{"sources": ["/batch.jpg", "/good.jpg"], "options": ["width=20,format=png", "width=30,format=png"]}"#;
    let reply = proxy.warm(body).await;
    reply.assert_status(200);
    let text = reply.text();
    assert_eq!(text.matches("worker-crash").count(), 6, "{text}");
    assert_eq!(text.matches("made").count(), 6, "{text}");
    let failures = proxy.metrics().sum("safelight_worker_failures", &[]);
    assert!((failures - 5.0).abs() < 0.5, "{failures}");
    let good = proxy.get("/cdn-cgi/image/width=30/good.jpg").await;
    good.assert_status(200);
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
        // One for each processor, one for small pictures, one more, and one that takes the place of another; none for idle work.
        let most = std::thread::available_parallelism().map_or(1, |count| count.get()) + 3;
        let workers = workers_of(server.id()).len();
        let (memory_now, descriptors_now) = (server.memory("VmRSS:"), server.descriptors());
        // Shown where the test fails. A worker that starts after the first count has four descriptors, and each of the clients one: fewer than faults.
        eprintln!(
            "{busy} busy, {workers} workers, {descriptors} then {descriptors_now} descriptors, {memory} then {memory_now} KiB"
        );
        busy < 0.5
            && workers <= most
            && descriptors_now <= descriptors + 16 * most
            && memory_now <= memory + (48 << 10)
    })
    .await;
}
