//! `safelight images` against a server that is slow, busy or failing, and stopped in the middle of its work.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::support::process::BINARY;
use crate::support::{bounded, eventually, samples};

/// What the server does with a request.
enum Act {
    /// It answers this status, these header lines and this body.
    Answer(u16, &'static str, Vec<u8>),
    /// It sends the beginning of a file, and then nothing more.
    Stall,
    /// It reads no further.
    Ignore,
}

/// The result of a call, as the API answers it.
fn success(result: &Value) -> Act {
    let body = json!({"result": result, "success": true, "errors": [], "messages": []});
    Act::Answer(200, "", body.to_string().into_bytes())
}

fn missing() -> Act {
    failure(404, 5404, "")
}

fn failure(status: u16, code: u32, headers: &'static str) -> Act {
    let errors = [json!({"code": code, "message": "no"})];
    let body = json!({"result": null, "success": false, "errors": errors, "messages": []});
    Act::Answer(status, headers, body.to_string().into_bytes())
}

/// An API that answers by a script, which gets the method and path of a request and how often that was asked before.
struct Api {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    async fn start(script: fn(&str, usize) -> Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let counts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let all = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (all, counts) = (Arc::clone(&all), Arc::clone(&counts));
                tokio::spawn(async move {
                    let _ = serve(stream, script, &all, &counts).await;
                });
            }
        });
        Api { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }

    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg("images")
            .args(arguments)
            .current_dir(folder)
            .env("SAFELIGHT_API", &self.address)
            .env("SAFELIGHT_TOKEN", "a-token-for-the-api")
            .env("TMPDIR", folder.join("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, folder: &Path, arguments: &[&str]) -> Output {
        let output = self.command(folder, arguments).output();
        bounded("a command", output).await.expect("it was built")
    }
}

async fn serve(
    mut stream: TcpStream,
    script: fn(&str, usize) -> Act,
    all: &Mutex<Vec<String>>,
    counts: &Mutex<HashMap<String, usize>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 << 10];
    let head = loop {
        let read = stream.read(&mut piece).await?;
        bytes.extend_from_slice(&piece[..read]);
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        if let Some(end) = end {
            break String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        if read == 0 {
            return Ok(());
        }
    };
    let line = head.lines().next().unwrap_or_default();
    let target = line.replace("/client/v4/accounts/main/images", "");
    let target = target.trim_end_matches(" HTTP/1.1").to_owned();
    all.lock().expect("no panic").push(target.clone());
    let count = {
        let mut counts = counts.lock().expect("no panic");
        let count = counts.entry(target.clone()).or_default();
        *count += 1;
        *count - 1
    };
    match script(&target, count) {
        Act::Ignore => std::future::pending().await,
        Act::Stall => {
            let head =
                "HTTP/1.1 200 X\r\ncontent-type: image/jpeg\r\ncontent-length: 9999\r\n\r\nx";
            stream.write_all(head.as_bytes()).await?;
            std::future::pending().await
        }
        Act::Answer(status, headers, body) => {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().ok())?
            });
            let whole = head.len() + 4 + length.unwrap_or(0);
            while bytes.len() < whole {
                let read = stream.read(&mut piece).await?;
                if read == 0 {
                    break;
                }
                bytes.extend_from_slice(&piece[..read]);
            }
            let head = format!(
                "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await
        }
    }
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("tmp")).expect("a folder");
    fs::create_dir(folder.path().join("photos")).expect("a folder");
    let mut large = samples::jpeg(64, 48);
    large.resize(8 << 20, 0);
    fs::write(folder.path().join("photos/a.jpg"), large).expect("a file");
    folder
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// Presses Ctrl-C once the server has been asked this, and returns what the command said until it ended.
async fn interrupt(api: &Api, child: Child, wanted: &str) -> Output {
    eventually(wanted, async || {
        api.asked().iter().any(|asked| asked == wanted)
    })
    .await;
    let id = child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(sent.expect("there is a kill").success());
    let ended = bounded("the end", child.wait_with_output()).await;
    ended.expect("it ran")
}

fn image(id: &str) -> Value {
    json!({"id": id, "filename": "a.jpg", "meta": {}, "requireSignedURLs": false,
        "uploaded": "2026-01-01T00:00:00.000Z", "variants": []})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_can_be_stopped() {
    let api = Api::start(|target, _| match target {
        "POST /v1" => Act::Ignore,
        _ => missing(),
    })
    .await;
    let folder = folder();
    let mut command = api.command(folder.path(), &["upload", "photos"]);
    let child = command.spawn().expect("it was built");
    let output = interrupt(&api, child, "POST /v1").await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("stopped: interrupted"),
        "{}",
        text(&output)
    );
    assert!(text(&output).contains("run the same command again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_and_an_import_leave_no_half_of_a_file() {
    let api = Api::start(|target, _| match target {
        "GET /v1/whole" | "POST /v1" => missing(),
        "GET /v1/stats" => success(&json!({"count": {"current": 1, "allowed": 1}})),
        "GET /v1/variants" => success(&json!({"variants": {}})),
        "GET /v1/half/blob" => Act::Stall,
        target if target.starts_with("GET /v2") => {
            success(&json!({"images": [image("half")], "continuation_token": null}))
        }
        _ => missing(),
    })
    .await;
    let folder = folder();
    let at = folder.path();
    let mut command = api.command(at, &["export", "out"]);
    let child = command.spawn().expect("it was built");
    let output = interrupt(&api, child, "GET /v1/half/blob").await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let left = fs::read_dir(at.join("out")).expect("a folder");
    let left: Vec<_> = left
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["manifest.json"]);
    let manifest = fs::read_to_string(at.join("out/manifest.json")).expect("a manifest");
    assert!(!manifest.contains("half"), "{manifest}");

    // The same API stands for Cloudflare's as well.
    api.asked.lock().expect("no panic").clear();
    let mut command = api.command(at, &["import", "--from-cloudflare", "main"]);
    command
        .env("CLOUDFLARE_BASE_URL", format!("{}/client/v4", api.address))
        .env("CLOUDFLARE_API_TOKEN", "a-token-for-the-api");
    let child = command.spawn().expect("it was built");
    let output = interrupt(&api, child, "GET /v1/half/blob").await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let left = fs::read_dir(at.join("tmp")).expect("a folder").count();
    assert_eq!(left, 0, "a file for the copy is left");
    assert!(!api.asked().contains(&"POST /v1".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_the_moment_is_sent_again_when_the_server_says() {
    let api = Api::start(|target, count| match (target, count) {
        ("GET /v1/a.jpg", 0) => failure(429, 971, "retry-after: 2\r\n"),
        ("GET /v1/a.jpg", _) => missing(),
        ("POST /v1", 0) => failure(503, 5503, ""),
        ("POST /v1", 1) => failure(500, 5500, ""),
        ("POST /v1", 2) => Act::Answer(502, "", b"<html>".to_vec()),
        ("POST /v1", _) => success(&image("a.jpg")),
        _ => missing(),
    })
    .await;
    let folder = folder();
    let started = Instant::now();
    let output = api.run(folder.path(), &["upload", "photos"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    // What the server says counts, where it is longer than the usual pause.
    assert!(
        started.elapsed() >= Duration::from_secs(2 + 3),
        "{:?}",
        started.elapsed()
    );
    let wanted = [
        "GET /v1/a.jpg",
        "GET /v1/a.jpg",
        "POST /v1",
        "POST /v1",
        "POST /v1",
        "POST /v1",
    ];
    assert_eq!(api.asked(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_not_sent_again() {
    let api = Api::start(|target, _| match target {
        "POST /v1" => failure(413, 5413, ""),
        _ => missing(),
    })
    .await;
    let folder = folder();
    let output = api.run(folder.path(), &["upload", "photos"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("failed: a.jpg: no (error 5413)"),
        "{}",
        text(&output)
    );
    assert_eq!(api.asked(), ["GET /v1/a.jpg", "POST /v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_takes_long_says_what_it_waits_for() {
    let api = Api::start(|_, _| Act::Ignore).await;
    let folder = folder();
    let mut child = api.command(folder.path(), &["list"]).spawn();
    let child = child.as_mut().expect("it was built");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let line = bounded("a line", said.next_line()).await;
    let line = line.expect("it can be read").expect("it is said");
    assert!(line.contains("is slow to answer: waiting"), "{line}");
    assert!(line.contains(&api.address), "{line}");
}
