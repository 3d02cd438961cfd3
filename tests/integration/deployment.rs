//! What the project ships for operators: the root of its container, and the examples of settings for other programs. A program that is not there
//! is said so, and its test passes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::process::BINARY;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The output of a program; `None` if it is not there.
fn run(command: &mut Command) -> Option<Output> {
    let output = command.current_dir(root()).output();
    if output.is_err() {
        eprintln!("not tested: {command:?} cannot be run here");
    }
    output.ok()
}

#[track_caller]
fn assert_succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of examples");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_name = |character: char| character.is_ascii_lowercase() || character == '_';
    let parts = text.split("safelight_").skip(1).map(|rest| {
        let end = rest.find(|character| !is_name(character));
        &rest[..end.unwrap_or(rest.len())]
    });
    parts
        .map(|name| name.trim_end_matches("_bucket"))
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn dashboards_and_alerts_name_metrics_that_exist() {
    let told = fs::read_to_string(root().join("docs/metrics.md")).expect("a page");
    let told = metrics_in(&told);
    let mut count = 0;
    for path in files_below(&root().join("examples/compose")) {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for name in metrics_in(&text) {
            assert!(
                told.contains(name),
                "{}: no metric `safelight_{name}`",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 15, "{count}");
}

#[test]
fn dashboards_are_json() {
    let path = root().join("examples/compose/grafana/dashboards/safelight.json");
    let text = fs::read_to_string(path).expect("a dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.iter().all(|panel| panel["title"].is_string()));
}

#[test]
fn the_service_of_systemd_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = fs::read_to_string(root().join("examples/systemd/safelight.service"));
    let unit = unit
        .expect("a unit")
        .replace("/usr/local/bin/safelight", "/bin/true");
    let path = folder.path().join("safelight.service");
    fs::write(&path, unit).expect("a fresh folder");
    let Some(output) = run(Command::new("systemd-analyze").arg("verify").arg(&path)) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("safelight.service"), "{said}");
}

#[test]
fn nginx_takes_the_settings_of_its_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = fs::read_to_string(root().join("examples/compose/nginx.conf"));
    let settings = settings.expect("settings of nginx");
    let settings = settings
        .replace("server safelight:8080", "server 127.0.0.1:8080")
        .replace(
            "/var/cache/nginx",
            folder.path().to_str().expect("a plain path"),
        );
    let settings = format!(
        "pid {}/nginx.pid;\nerror_log stderr;\n{settings}",
        folder.path().display()
    );
    let path = folder.path().join("nginx.conf");
    fs::write(&path, settings).expect("a fresh folder");
    let mut command = Command::new("nginx");
    command
        .arg("-t")
        .arg("-c")
        .arg(&path)
        .arg("-p")
        .arg(folder.path());
    if let Some(output) = run(&mut command) {
        assert_succeeded(&output);
    }
}

/// The headers of real browsers, and what a cache in front should ask for.
#[test]
fn the_function_for_cloudfront_has_one_accept_for_each_kind_of_client() {
    let cases = [
        (
            "image/jxl,image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
            "image/jxl,image/avif,image/webp,image/*",
        ),
        (
            "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
            "image/avif,image/webp,image/*",
        ),
        (
            "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
            "image/avif,image/webp,image/*",
        ),
        (
            "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,*/*;q=0.5",
            "image/jxl,image/avif,image/webp,image/*",
        ),
        ("image/webp,image/*,*/*;q=0.8", "image/webp,image/*"),
        ("image/avif;q=0, image/webp", "image/webp,image/*"),
        ("*/*", "image/*"),
        ("", "image/*"),
    ];
    let function = fs::read_to_string(root().join("examples/cdn/cloudfront.js"));
    let function = function.expect("a function");
    let asked = cases.map(|(asked, _)| asked);
    let asked = serde_json::to_string(&asked).expect("texts");
    let script = format!(
        "{function}\nfor (const value of {asked}) {{\n\
         const event = {{ request: {{ headers: {{ accept: {{ value }} }} }} }};\n\
         console.log(handler(event).headers.accept.value);\n}}"
    );
    let Some(output) = run(Command::new("node").arg("-e").arg(script)) else {
        return;
    };
    assert_succeeded(&output);
    let text = String::from_utf8(output.stdout).expect("text");
    let answers: Vec<&str> = text.lines().collect();
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(answers, expected);
}

/// The root of the container, read-only and with a user without rights, serves pictures.
#[test]
fn the_program_runs_without_a_system_around_it() {
    let can_mount = run(Command::new("unshare").args(["--mount", "true"]));
    let is_root = can_mount.is_some_and(|output| output.status.success());
    if !is_root {
        eprintln!("not tested: a container needs root here");
        return;
    }
    let script = root().join("tests/container/check.sh");
    if let Some(output) = run(Command::new(script).arg(BINARY)) {
        assert_succeeded(&output);
    }
}
