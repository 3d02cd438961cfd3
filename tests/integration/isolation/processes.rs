//! The processes themselves: the same pictures as from threads, how long they live, and what they hold.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use image::{ImageFormat, RgbImage};
use safelight::config::Config;
use safelight::pipeline::{Pipeline, PipelineError};
use safelight::worker::Isolation;

use super::{faulty, isolated};
use crate::support::origin::TestOrigin;
use crate::support::process::{Process, settings};
use crate::support::proxy::{TestProxy, zone};
use crate::support::{eventually, samples};

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
pub fn workers_of(server: u32) -> Vec<u32> {
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

pub async fn process(origin: &TestOrigin, cache: &tempfile::TempDir) -> Process {
    Process::start(&isolated_settings(origin, cache)).await
}

fn isolated_settings(origin: &TestOrigin, cache: &tempfile::TempDir) -> String {
    let settings = settings(origin, cache.path());
    let isolation = "[limits]\nisolation = \"process\"\n[fetch]\nprivate_networks = true\n[server]\nrequest_timeout = \"4 s\"\n";
    format!("{settings}{isolation}")
}

/// Shows something where tests have no right to raise limits.
#[tokio::test]
async fn a_limit_of_the_length_of_files_ends_no_picture() {
    let origin = TestOrigin::with("/good.jpg", samples::jpeg(80, 60)).await;
    let cache = tempfile::tempdir().expect("a temporary folder");
    let settings = isolated_settings(&origin, &cache);
    // 4 MiB.
    let server = Process::start_with_file_limit(&settings, 8192).await;
    let reply = server.client.get("/cdn-cgi/image/width=30/good.jpg").await;
    reply.assert_status(200);
}

/// How many files a process may have open.
fn most_files_of(id: u32) -> Option<usize> {
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).ok()?;
    let mut lines = limits.lines();
    let files = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    files.split_whitespace().next()?.parse().ok()
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
    for id in &workers {
        // Standard input, output and error, the socket, and the file for answers.
        let open = fs::read_dir(format!("/proc/{id}/fd")).expect("it runs");
        let count = open.count();
        assert!(count <= 6, "{id}");
        // And three that come with a job. Others could be kept. One may have been started just now.
        eventually("it has given up the rest", async || {
            most_files_of(*id).is_some_and(|most| most <= 8)
        })
        .await;
    }
    server.kill().await;
    busy.abort();
    eventually("all workers are gone", async || {
        let is_there = |id: &u32| fs::exists(format!("/proc/{id}")).unwrap_or(true);
        !workers.iter().any(is_there)
    })
    .await;
}

#[tokio::test]
async fn a_process_that_grows_is_replaced() {
    for fault in ["leak", "share"] {
        let origin = TestOrigin::with("/grows.jpg", faulty(fault, 0)).await;
        let proxy = isolated(&origin).await;
        for width in 10..16 {
            let target = format!("/cdn-cgi/image/width={width}/grows.jpg");
            proxy.get(&target).await.assert_status(200);
        }
        // The first process, the one that is ready beside it, and one more.
        eventually("it is replaced", async || {
            proxy.metrics().sum("safelight_worker_starts", &[]) > 2.5
        })
        .await;
        let failures = proxy.metrics().sum("safelight_worker_failures", &[]);
        assert!(failures < 0.5, "{fault}: {failures}");
    }
}

#[tokio::test]
async fn good_pictures_wear_no_process_out() {
    let origin = TestOrigin::with("/good.png", samples::png(1600, 1200)).await;
    origin.serve(
        "/drawing.svg",
        "<svg xmlns='http://www.w3.org/2000/svg' width='900' height='600'><circle r='300' fill='red'/></svg>",
    );
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone(&origin.url(""));
        config.limits.isolation = Isolation::Process;
        config.limits.rasterize_svg = true;
    })
    .await;
    for width in 900..910 {
        for (name, format) in [("good.png", "jpeg"), ("drawing.svg", "webp")] {
            let target = format!("/cdn-cgi/image/width={width},format={format}/{name}");
            proxy.get(&target).await.assert_status(200);
        }
    }
    let starts = proxy.metrics().sum("safelight_worker_starts", &[]);
    // One is used, and another one is ready; so it is with idle work.
    assert!(starts < 4.5, "{starts}");
}

/// The file is mapped by the process beside the pixels, and is larger than what a process may take unasked.
#[tokio::test]
async fn a_very_large_file_leaves_room_for_its_pixels() {
    let mut file = Cursor::new(Vec::new());
    RgbImage::new(4800, 4800)
        .write_to(&mut file, ImageFormat::Tiff)
        .expect("a TIFF in memory");
    let origin = TestOrigin::with("/large.tiff", file.into_inner()).await;
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone(&origin.url(""));
        config.limits.isolation = Isolation::Process;
    })
    .await;
    let reply = proxy.get("/cdn-cgi/image/width=40/large.tiff").await;
    reply.assert_size(40, 40);
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_waits_costs_no_request() {
    let origin = TestOrigin::with("/good.jpg", samples::jpeg(80, 60)).await;
    let cache = tempfile::tempdir().expect("a temporary folder");
    let server = process(&origin, &cache).await;
    for width in 20..24 {
        let workers = workers_of(server.id());
        for id in &workers {
            let kill = std::process::Command::new("kill")
                .args(["-9", &id.to_string()])
                .status();
            assert!(kill.expect("there is a kill").success());
        }
        eventually("they have ended", async || {
            // All its threads, not the first one alone.
            let has_ended = |id: &u32| {
                let tasks = fs::read_dir(format!("/proc/{id}/task"));
                let stat = fs::read_to_string(format!("/proc/{id}/stat"));
                tasks.map_or(0, |tasks| tasks.count()) <= 1
                    && stat.map_or(true, |stat| stat.contains(") Z "))
            };
            workers.iter().all(has_ended)
        })
        .await;
        let target = format!("/cdn-cgi/image/width={width}/good.jpg");
        server.client.get(&target).await.assert_status(200);
    }
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
    let Err(error) = without_program(Isolation::Process).await else {
        panic!("there is no such program");
    };
    let error = error.to_string();
    assert!(error.contains("limits.isolation"), "{error}");
    assert!(error.contains("\"thread\""), "{error}");
}

#[tokio::test]
async fn where_no_process_can_be_started_pictures_are_made_in_threads() {
    for isolation in [Isolation::Auto, Isolation::Thread] {
        let pipeline = without_program(isolation).await.expect("threads will do");
        let metrics = pipeline.metrics_text();
        let layer = r#"safelight_worker_confinement{layer="process"} 0"#;
        assert!(metrics.contains(layer), "{isolation:?}: {metrics}");
    }
}

async fn without_program(isolation: Isolation) -> Result<Arc<Pipeline>, PipelineError> {
    let origin = TestOrigin::start().await;
    let mut config = Config::default();
    config.zone.origin = zone(&origin.url(""));
    config.limits.isolation = isolation;
    config.cache.disk.path = PathBuf::new();
    let mut settings = config.pipeline();
    settings.worker_program = Some("/does/not/exist".into());
    Pipeline::open(settings).await
}
