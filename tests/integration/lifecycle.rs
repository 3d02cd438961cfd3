//! The real binary from its start to its end, by signals and by SIGKILL.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Method;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::client::Client;
use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::process::{Process, settings};
use crate::support::{bounded, eventually, process, samples};

#[tokio::test]
async fn sigterm_ends_the_server_after_the_requests_in_flight() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::closed();
    let answer = Answer::file(samples::png(64, 48)).behind(&gate);
    let origin = TestOrigin::with("/a.png", answer).await;
    let mut server = Process::start(&settings(&origin, folder.path())).await;
    server.admin.get("/readyz").await.assert_status(200);

    let client = server.client.clone();
    let in_flight = tokio::spawn(async move { client.get("/cdn-cgi/image/width=16/a.png").await });
    eventually("the origin is asked", async || origin.hits("/a.png") == 1).await;
    server.terminate().await;
    eventually("it is not ready", async || {
        server.admin.get("/readyz").await.status == 503
    })
    .await;
    server.admin.get("/healthz").await.assert_status(200);
    eventually("nothing new is taken", async || {
        let address = server.client.address();
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    assert!(!in_flight.is_finished());

    gate.open();
    let reply = bounded("the answer", in_flight).await.expect("no panic");
    reply.assert_size(16, 12);
    let status = server.ended().await;
    assert!(status.success(), "{status}: {}", server.log());

    // The picture that was rendered during the shutdown was cached as well.
    let server = Process::start(&settings(&origin, folder.path())).await;
    let reply = server.client.get("/cdn-cgi/image/width=16/a.png").await;
    reply.assert_header("cache-status", "safelight; hit; detail=disk");
    assert_eq!(origin.hits("/a.png"), 1);
}

/// A load balancer sends requests until it has noticed that the server is not ready.
#[tokio::test]
async fn requests_are_answered_between_sigterm_and_the_end_of_the_drain_delay() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("*", samples::png(64, 48)).await;
    let with_delay = |delay: &str| {
        let settings = settings(&origin, folder.path());
        format!("[server]\ndrain_delay = \"{delay}\"\n{settings}")
    };
    let not_ready = async |server: &Process| {
        eventually("it is not ready", async || {
            server.admin.get("/readyz").await.status == 503
        })
        .await;
    };

    let mut server = Process::start(&with_delay("10 min")).await;
    let kept_alive = server.client.get("/cdn-cgi/image/width=16/a.png").await;
    kept_alive.assert_size(16, 12);
    server.terminate().await;
    not_ready(&server).await;
    for width in [16, 20] {
        let target = format!("/cdn-cgi/image/width={width}/a.png");
        let fresh = Client::new(server.client.address());
        fresh.get(&target).await.assert_status(200);
        server.client.get(&target).await.assert_status(200);
    }
    server.admin.get("/healthz").await.assert_status(200);
    // A second signal ends the delay.
    server.terminate().await;
    let status = server.ended().await;
    assert!(status.success(), "{status}: {}", server.log());

    let mut server = Process::start(&with_delay("300 ms")).await;
    server.terminate().await;
    assert!(server.ended().await.success());

    let mut server = Process::start(&with_delay("10 min")).await;
    server.interrupt().await;
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_shutdown() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("*", samples::png(64, 48)).await;
    let mut server = Process::start(&settings(&origin, folder.path())).await;
    let kept_alive = server.client.get("/cdn-cgi/image/width=16/a.png").await;
    kept_alive.assert_size(16, 12);
    let silent = tokio::net::TcpStream::connect(server.client.address()).await;
    let started = std::time::Instant::now();
    server.terminate().await;
    assert!(server.ended().await.success());
    // The drain timeout is 30 s.
    assert!(started.elapsed().as_secs() < 20);
    drop(silent);
}

#[tokio::test]
async fn a_request_that_hangs_delays_the_shutdown_no_longer_than_the_drain_timeout() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::closed();
    let answer = Answer::file(samples::png(64, 48)).behind(&gate);
    let origin = TestOrigin::with("/a.png", answer).await;
    let settings = format!(
        "[server]\ndrain_timeout = \"300 ms\"\n{}",
        settings(&origin, folder.path())
    );
    let mut server = Process::start(&settings).await;
    let client = server.client.clone();
    let in_flight = tokio::spawn(async move {
        client
            .try_send(Method::GET, "/cdn-cgi/image/width=16/a.png", &[])
            .await
    });
    eventually("the origin is asked", async || origin.hits("/a.png") == 1).await;
    server.terminate().await;
    assert!(server.ended().await.success());
    let answer = bounded("the end of it", in_flight).await.expect("no panic");
    assert!(answer.is_err(), "nobody made that picture");
}

#[tokio::test]
async fn a_connection_that_waits_for_a_place_is_served_before_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::closed();
    let answer = Answer::file(samples::png(64, 48)).behind(&gate);
    let origin = TestOrigin::with("/a.png", answer).await;
    let settings = format!(
        "[server]\nconnections = 1\n{}",
        settings(&origin, folder.path())
    );
    let mut server = Process::start(&settings).await;
    let ask = |client: Client| {
        let target = "/cdn-cgi/image/width=16/a.png";
        tokio::spawn(async move { client.try_send(Method::GET, target, &[]).await })
    };
    let first = ask(server.client.clone());
    eventually("the origin is asked", async || origin.hits("/a.png") == 1).await;
    let second = ask(Client::new(server.client.address()));
    // It is accepted, and waits for the place.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    server.terminate().await;
    eventually("nothing new is taken", async || {
        TcpStream::connect(server.client.address()).await.is_err()
    })
    .await;
    gate.open();
    for asked in [first, second] {
        let answer = bounded("the answer", asked).await.expect("no panic");
        answer.expect("its connection stays").assert_size(16, 12);
    }
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn connections_that_wait_for_a_place_do_not_delay_the_shutdown() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::closed();
    let answer = Answer::file(samples::png(64, 48)).behind(&gate);
    let origin = TestOrigin::with("/a.png", answer).await;
    let settings = format!(
        "[server]\nconnections = 1\ndrain_timeout = \"300 ms\"\n{}",
        settings(&origin, folder.path())
    );
    let mut server = Process::start(&settings).await;
    let client = server.client.clone();
    let in_flight = tokio::spawn(async move {
        client
            .try_send(Method::GET, "/cdn-cgi/image/width=16/a.png", &[])
            .await
    });
    eventually("the origin is asked", async || origin.hits("/a.png") == 1).await;
    // The first is accepted and waits for the place, the others wait to be accepted.
    let address = server.client.address().to_string();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let stream = TcpStream::connect(&address).await;
        waiting.push(stream.expect("the system takes it"));
    }
    server.terminate().await;
    assert!(server.ended().await.success());
    let answer = bounded("the end of it", in_flight).await.expect("no panic");
    assert!(answer.is_err(), "nobody made that picture");
}

/// The target of every picture that the rounds request, with its options.
fn targets() -> Vec<(String, String)> {
    let mut targets = Vec::new();
    for source in ["a.jpg", "b.png"] {
        for format in ["jpeg", "webp", "png-force", "avif"] {
            for width in [40, 60, 80, 100, 120, 160, 200] {
                let options = format!("width={width},format={format}");
                targets.push((format!("/cdn-cgi/image/{options}/{source}"), options));
            }
        }
    }
    targets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_writes_serves_correct_pictures_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let sources = [
        ("a.jpg", samples::jpeg(240, 180)),
        ("b.png", samples::png(240, 160)),
    ];
    let origin = TestOrigin::start().await;
    for (name, bytes) in &sources {
        origin.serve(&format!("/{name}"), bytes.clone());
    }
    let fresh: HashMap<String, Vec<u8>> = targets()
        .into_iter()
        .map(|(target, options)| {
            let source = sources.iter().find(|(name, _)| target.ends_with(name));
            let (_, bytes) = source.expect("one of the two");
            (target, samples::rendered(bytes, &options).bytes)
        })
        .collect();
    let fresh = Arc::new(fresh);
    let settings = settings(&origin, folder.path());

    // Each server process runs a little longer, and is killed in the middle of its work.
    let mut hits = 0;
    for enough in [1, 3, 8, 15, 30, 45] {
        let server = Process::start(&settings).await;
        let answered = Arc::new(AtomicUsize::new(0));
        let clients = hammer(&server, &fresh, &answered);
        eventually("enough is answered", async || {
            answered.load(Ordering::Relaxed) >= enough
        })
        .await;
        server.kill().await;
        for client in clients {
            hits += bounded("a client", client).await.expect("right pictures");
        }
    }

    let mut server = Process::start(&settings).await;
    for (target, expected) in fresh.iter() {
        let reply = server.client.get(target).await;
        reply.assert_status(200);
        assert_same_picture(target, &reply.body, expected);
        hits += usize::from(reply.header("cache-status").contains("detail=disk"));
    }
    assert!(
        hits > 0,
        "no life ever found anything that an earlier one had kept"
    );
    server.terminate().await;
    assert!(server.ended().await.success());
}

/// Four clients that request every picture, each in its own order, until the server has been killed. Each returns the number of answers that
/// came from the disk, that is from an earlier process.
fn hammer(
    server: &Process,
    fresh: &Arc<HashMap<String, Vec<u8>>>,
    answered: &Arc<AtomicUsize>,
) -> Vec<JoinHandle<usize>> {
    (0..4)
        .map(|number| {
            let client = server.client.clone();
            let (fresh, answered) = (Arc::clone(fresh), Arc::clone(answered));
            tokio::spawn(async move {
                let mut targets: Vec<_> = fresh.keys().cloned().collect();
                targets.sort();
                let start = number * targets.len() / 4;
                targets.rotate_left(start);
                let mut hits = 0;
                for target in targets {
                    let Ok(reply) = client.try_send(Method::GET, &target, &[]).await else {
                        break;
                    };
                    reply.assert_status(200);
                    assert_same_picture(&target, &reply.body, &fresh[&target]);
                    hits += usize::from(reply.header("cache-status").contains("detail=disk"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                hits
            })
        })
        .collect()
}

#[track_caller]
fn assert_same_picture(target: &str, got: &[u8], expected: &[u8]) {
    if got != expected {
        assert!(
            samples::pixels_of(got) == samples::pixels_of(expected),
            "{target} is not what a fresh render gives"
        );
    }
}

/// As during an update: the new server starts while the old one still answers.
#[tokio::test]
async fn two_servers_on_one_cache_folder_answer_and_the_second_takes_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let settings = settings(&origin, folder.path());
    let target = "/cdn-cgi/image/width=16/a.png";
    let mut first = Process::start(&settings).await;
    first.client.get(target).await.assert_size(16, 12);

    let mut second = Process::start(&settings).await;
    second.client.get(target).await.assert_size(16, 12);
    let locked = [("reason", "locked")];
    let off = async |server: &Process| {
        let metrics = server.metrics().await;
        metrics.sum("safelight_cache_disk_off", &locked)
    };
    assert_eq!((off(&first).await, off(&second).await), (0.0, 2.0));
    for part in [
        format!("process {} uses this folder", first.id()),
        folder.path().join("renditions").display().to_string(),
    ] {
        eventually("the log says so", async || second.log().contains(&part)).await;
    }

    first.terminate().await;
    assert!(first.ended().await.success());
    eventually("the second has the folder", async || {
        off(&second).await == 0.0
    })
    .await;
    assert_eq!(second.log().matches("uses this folder").count(), 2);
    second.terminate().await;
    assert!(second.ended().await.success());
    let third = Process::start(&settings).await;
    let reply = third.client.get(target).await;
    reply.assert_header("cache-status", "safelight; hit; detail=disk");
}

#[tokio::test]
async fn all_errors_in_the_settings_are_reported_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[server]\nlisten = \"nowhere\"\nprefixes = [\"images\"]\nlissten = 1\n[limits]\nsource_bytes = \"12 MB\"\n\
                [defaults]\nquality = 300\n[zone]\norigin = \"ftp://x\"\n[sources]\nallowed = [\"https://b.com\"]\n[cache.disk]\npaht = \"x\"\n\
                [nonsense]\nx = 1\n[[bucket]]\nname = \"b\"\nbucket = \"b\"\ncredentials = { key = \"AK\", secrt = \"hunter2\" }\n";
    std::fs::write(folder.path().join("config.toml"), text).expect("a folder");
    let variables = [("SAFELIGHT__LIMITS__QUEUE", "many")];
    let output = process::run(folder.path(), &["serve"], &variables).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr);
    for part in [
        "server.listen",
        "server.prefixes",
        "lissten",
        "limits.source_bytes",
        "12 MB",
        "defaults.quality",
        "zone.origin",
        "sources.allowed",
        "paht",
        "nonsense",
        "credentials",
        "limits.queue",
    ] {
        assert!(said.contains(part), "{part} is not named:\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    assert!(
        said.lines().all(|line| line.starts_with("safelight: ")),
        "{said}"
    );
}

#[tokio::test]
async fn an_unknown_setting_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("config.toml"),
        "[zone]\norigni = \"file:.\"\n",
    )
    .expect("a folder");
    let output = process::run(folder.path(), &["serve"], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("origni"));

    std::fs::write(folder.path().join("config.toml"), "").expect("a folder");
    let variables = [("SAFELIGHT__ZONE__ORIGNI", "file:.")];
    let output = process::run(folder.path(), &["serve"], &variables).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("origni"));
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound");
    for (text, part) in [
        (
            "[zone]\norigin = \"file:/nonexistent/photos\"\n".to_owned(),
            "/nonexistent/photos",
        ),
        (
            "[zone]\norigin = \"bucket:none\"\n".to_owned(),
            "bucket:none",
        ),
        (
            "[cache]\nmin_ttl = \"2 d\"\nmax_ttl = \"1 d\"\n[zone]\norigin = \"file:.\"\n".to_owned(),
            "cache.min_ttl",
        ),
        (
            "[[cache.rule]]\nsources = [\"zone\", \"bucket:none\"]\n[zone]\norigin = \"file:.\"\n"
                .to_owned(),
            "`cache.rule[0].sources`: `bucket:none` must be",
        ),
        (
            "[[cache.rule]]\nsources = [\"a.com\", \"https://b.com\"]\n".to_owned(),
            "`cache.rule[0].sources[1]`: sources are `zone`",
        ),
        ("[log]\nlevel = \"a=b=c\"\n".to_owned(), "log.level"),
        ("not toml".to_owned(), "not TOML"),
        (
            "[admin]\ntoken = \"too-short-by-1!\"\n".to_owned(),
            "at least 16",
        ),
        (
            "[admin]\nhosts = [\"http://safelight:8081\"]\n".to_owned(),
            "names without scheme",
        ),
        (
            "[[bucket]]\nname = \"b\"\nbucket = \"b\"\nregion = \"eu-west-1\"\n[cache.shared]\nbucket = \"b\"\n[zone]\norigin = \"bucket:b\"\n"
                .to_owned(),
            "cache.shared.bucket",
        ),
        (
            format!(
                "[server]\nlisten = \"{taken}\"\n[zone]\norigin = \"file:.\"\n[cache.disk]\npath = \"\"\n"
            ),
            "server.listen",
        ),
    ] {
        std::fs::write(folder.path().join("config.toml"), &text).expect("a folder");
        let output = process::run(folder.path(), &["serve"], &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}: {said}");
        assert!(said.contains(part), "{part} is not named:\n{said}");
    }
    let output = process::run(folder.path(), &["serve", "--config", "none.toml"], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("none.toml"));
}

#[tokio::test]
async fn environment_variables_override_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("*", samples::png(64, 48)).await;
    let variables = [
        ("SAFELIGHT__SERVER__PREFIXES", "[\"/pictures/\"]"),
        ("SAFELIGHT__LIMITS__OUTPUT_SIDE", "100"),
        ("SAFELIGHT__LOG__FORMAT", "json"),
    ];
    let server = Process::start_with(&settings(&origin, folder.path()), &variables).await;
    let get = async |target: &str| server.client.get(target).await;
    get("/pictures/width=16/a.png").await.assert_size(16, 12);
    // A path like any other, at which the zone has a picture.
    get("/cdn-cgi/image/width=16/a.png")
        .await
        .assert_size(64, 48);
    get("/pictures/width=101/a.png")
        .await
        .assert_error(403, 9413);
    let log = server.log();
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
}

#[tokio::test]
async fn one_picture_is_transformed_without_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("in.png"), samples::png(64, 48)).expect("a folder");
    for (output, options, mime) in [
        ("out.webp", "width=16", "image/webp"),
        ("out.avif", "width=16", "image/avif"),
        ("out.png", "width=16", "image/png"),
        ("out.jpg", "width=16", "image/jpeg"),
        ("out.dat", "width=16,format=webp", "image/webp"),
    ] {
        let arguments = ["transform", "in.png", options, "-o", output];
        let ran = process::run(folder.path(), &arguments, &[]).await;
        assert!(ran.status.success(), "{output}: {ran:?}");
        let made = std::fs::read(path(output)).expect("it was written");
        assert_eq!(samples::mime_of(&made), mime, "{output}");
        assert_eq!(samples::size_of(&made), (16, 12), "{output}");
        assert!(
            String::from_utf8_lossy(&ran.stdout).contains("16x12"),
            "{ran:?}"
        );
    }
    for arguments in [
        ["transform", "none.png", "width=16", "-o", "x.png"],
        ["transform", "in.png", "nonsense", "-o", "x.png"],
        ["transform", "in.png", "width=16", "-o", "none/x.png"],
        ["transform", "out.dat/x", "width=16", "-o", "x.png"],
        ["transform", "in.png", "width=16", "-o", "x.gif"],
        ["transform", "in.png", "width=16", "-o", "x.HEIC"],
    ] {
        let ran = process::run(folder.path(), &arguments, &[]).await;
        assert_eq!(ran.status.code(), Some(1), "{arguments:?}");
        assert!(!path(arguments[4]).exists());
        assert!(ran.stderr.starts_with(b"safelight: "), "{ran:?}");
    }
}

/// What the health checks of containers run.
#[tokio::test]
async fn the_command_line_asks_whether_a_server_is_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("*", samples::png(64, 48)).await;
    let settings = settings(&origin, folder.path());
    let settings = format!("[server]\ndrain_delay = \"10 min\"\n{settings}");
    let mut server = Process::start(&settings).await;
    let admin = server.admin.address().to_string();
    let health = async |arguments: &[&str]| {
        let arguments = [&["health"], arguments].concat();
        let output = process::run(folder.path(), &arguments, &[]).await;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        (output.status.code().expect("it ended"), text)
    };

    assert_eq!(
        health(&["--admin", &admin]).await,
        (0, "ready\n".to_owned())
    );
    server.terminate().await;
    eventually("it is not ready", async || {
        health(&["--admin", &admin]).await.0 == 1
    })
    .await;
    let (code, text) = health(&["--admin", &admin]).await;
    assert!(code == 1 && text.contains("is not ready"), "{text}");
    let (code, text) = health(&["--live", "--admin", &admin]).await;
    assert_eq!((code, text.as_str()), (0, "alive\n"));
    let public = server.client.address().to_string();
    let (code, text) = health(&["--admin", &public]).await;
    assert!(
        code == 1 && text.contains("not the admin listener"),
        "{text}"
    );

    server.terminate().await;
    assert!(server.ended().await.success());
    let (code, text) = health(&["--admin", &admin]).await;
    assert!(code == 1 && text.contains("cannot be reached"), "{text}");
}
