//! `safelight check` as people run it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::process::{Process, run};
use crate::support::samples;

/// Runs it in a folder, and returns its exit code, its output and its errors.
async fn check(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["check"], arguments].concat();
    let output = run(folder, &arguments, &[("HOME", "/nowhere")]).await;
    (
        output.status.code().expect("it ended"),
        String::from_utf8(output.stdout).expect("text"),
        String::from_utf8(output.stderr).expect("text"),
    )
}

#[tokio::test]
async fn it_needs_no_server_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("photos")).expect("a fresh folder");
    let url = "/cdn-cgi/image/w=640,f=auto/cat.jpg";
    let (code, out, err) = check(
        folder.path(),
        &["--zone", "photos", "--accept", "webp", url],
    )
    .await;
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "URL          a transformation URL\n",
        "options      format=auto,width=640\n",
        "source       zone:/cat.jpg\n",
        "allowed by   zone.origin\n",
        "makes        webp; 640 wide, fit scale-down; quality 85\n",
        "vary         Accept\n",
        "picture key  not known before the source is",
    ] {
        assert!(out.contains(line), "{line} is missing:\n{out}");
    }
    let made = fs::read_dir(folder.path()).expect("the folder").count();
    let inside = fs::read_dir(folder.path().join("photos"))
        .expect("it")
        .count();
    assert_eq!((made, inside), (1, 0));
}

#[tokio::test]
async fn the_exit_code_says_whether_it_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let zone = folder.path().display();
    fs::write(
        folder.path().join("config.toml"),
        format!("[zone]\norigin = 'file:{zone}'\n[sources]\nallowed = ['b.test']\n[policy]\nstrict = true\n"),
    )
    .expect("a fresh folder");
    let url = |source: &str| format!("/cdn-cgi/image/width=8/{source}");
    for (url, arguments, expected, word) in [
        (
            url("https://b.test/a.jpg"),
            &[][..],
            0,
            "sources.allowed, entry 1",
        ),
        (url("https://c.test/a.jpg"), &[], 1, "sources.allowed"),
        (
            url("https://c.test/a.jpg"),
            &["--allow", "c.test"],
            0,
            "entry 1",
        ),
        (
            "/cdn-cgi/image/width=8,blur=0.5/a.jpg".to_owned(),
            &[],
            1,
            "policy.strict",
        ),
        ("/a.jpg".to_owned(), &[], 0, "passed on as it is"),
        (
            "cat.jpg".to_owned(),
            &[],
            2,
            "must have a host or begin with `/`",
        ),
        (
            url("a.jpg"),
            &["--config", "none.toml"],
            2,
            "cannot be read",
        ),
        (
            url("a.jpg"),
            &["--zone", "none"],
            2,
            "must be an existing folder",
        ),
    ] {
        let (code, out, err) = check(folder.path(), &[&[url.as_str()], arguments].concat()).await;
        assert_eq!(code, expected, "{url}: {out}{err}");
        assert!(format!("{out}{err}").contains(word), "{url}: {out}{err}");
    }
    let (_, out, _) = check(folder.path(), &["--json", &url("https://c.test/a.jpg")]).await;
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["refusal"]["status"], 403);
    assert_eq!(report["picture"], Value::Null);
}

#[tokio::test]
async fn a_running_server_tells_what_is_cached() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.png"), samples::png(64, 48)).expect("a fresh folder");
    let token = "correct-horse-battery";
    let settings = format!(
        "[zone]\norigin = 'file:{}'\n[cache.disk]\npath = ''\n[admin]\ntoken = '{token}'\n",
        folder.path().display()
    );
    let server = Process::start(&settings).await;
    let url = "/cdn-cgi/image/width=16/a.png";
    server.client.get(url).await.assert_status(200);
    let admin = format!("http://{}", server.admin.address());
    let arguments = ["check", "--admin", &admin, "--accept", "none", url];
    let asked = run(
        folder.path(),
        &arguments,
        &[("SAFELIGHT__ADMIN__TOKEN", token)],
    )
    .await;
    let out = String::from_utf8_lossy(&asked.stdout);
    assert!(
        asked.status.success(),
        "{out}{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    assert!(
        out.contains("source       zone:/a.png (in memory)"),
        "{out}"
    );
    assert!(out.contains("quality 85 (in memory)"), "{out}");
    let refused = run(folder.path(), &arguments, &[]).await;
    let err = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{err}");
    assert!(err.contains("does not take this token"), "{err}");
}
