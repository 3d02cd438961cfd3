//! `safelight warm` as operators run it: with lists, sitemaps and buckets, against a server in another process.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::process::Command;

use crate::support::memory_s3::MemoryS3;
use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::process::Process;
use crate::support::s3::S3Server;
use crate::support::{bounded, eventually, process, samples};

const AVIF: (&str, &str) = ("accept", "image/avif,image/webp");

/// Runs `safelight warm` in a folder, and returns its exit code, its standard output and its standard error.
async fn warm(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["warm"], arguments].concat();
    let output = process::run(folder, &arguments, &[]).await;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code().expect("it ended"),
        text(output.stdout),
        text(output.stderr),
    )
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    let parent = path.parent().expect("it is in a folder");
    std::fs::create_dir_all(parent).expect("a temporary folder");
    std::fs::write(path, content).expect("a temporary folder");
}

/// Settings for commands in the folder, and for a server with the same sections.
async fn serve(folder: &Path, sections: &str) -> Process {
    let settings = format!(
        "{sections}\n[cache.disk]\npath = '{}'\n[admin]\ntoken = 'correct-horse-battery'\n",
        folder.join("cache").display()
    );
    let server = Process::start(&settings).await;
    let address = server.admin.address();
    let settings =
        format!("{sections}\n[admin]\nlisten = '{address}'\ntoken = 'correct-horse-battery'\n");
    write(folder, "config.toml", settings);
    server
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_keys_of_every_kind_is_warmed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let bucket = MemoryS3::start().await;
    for key in [
        "/lead.jpg",
        "b//c.jpg",
        "b/c.jpg",
        "d \u{fc}&+%2F.jpg",
        " e.jpg",
    ] {
        bucket.put(key, samples::jpeg(64, 48));
    }
    // The console of S3 marks folders so.
    for key in ["b/", "jpg/"] {
        bucket.put(key, "");
    }
    let sections = format!(
        "[zone]\norigin = 'bucket:photos'\n[[bucket]]\nname = 'photos'\nbucket = 'private'\nendpoint = 'http://127.0.0.1:{}'\nstyle = 'path'\ncredentials = {{ key = '{}', secret = '{}' }}",
        bucket.port(),
        bucket.access_key(),
        bucket.secret_key(),
    );
    let server = serve(folder, &sections).await;
    let arguments = ["--bucket=photos", "--options=width=16"];
    let (code, stdout, stderr) = warm(folder, &arguments).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    for path in [
        "%2Flead.jpg",
        "b//c.jpg",
        "b/c.jpg",
        "d%20%C3%BC&+%252F.jpg",
        "%20e.jpg",
    ] {
        let reply = server
            .client
            .get(&format!("/cdn-cgi/image/width=16/{path}"))
            .await;
        reply
            .assert_status(200)
            .assert_header("cache-status", "safelight; hit; detail=memory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_a_sitemap_and_a_bucket_are_warmed_and_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let bucket = S3Server::start().await;
    bucket
        .put("private", "cats/1 a.jpg", samples::jpeg(64, 48))
        .await;
    bucket.put("private", "cats/note.txt", "no picture").await;
    bucket
        .put("private", "dogs/2.jpg", samples::jpeg(64, 48))
        .await;
    for name in ["a.jpg", "b.jpg"] {
        write(folder, &format!("zone/{name}"), samples::jpeg(64, 48));
    }
    let sections = format!(
        "[zone]\norigin = 'file:{}'\n[[bucket]]\nname = 'photos'\nbucket = 'private'\nendpoint = '{}'\nstyle = 'path'\ncredentials = {{ key = '{}', secret = '{}' }}",
        folder.join("zone").display(),
        bucket.endpoint(),
        bucket.access_key(),
        bucket.secret_key(),
    );
    let server = serve(folder, &sections).await;
    write(
        folder,
        "sitemap.xml",
        "<urlset><url><loc>https://www.shop.com/page</loc><image><loc>https://www.shop.com/a.jpg</loc></image></url><url><loc>https://www.shop.com/missing.jpg</loc></url></urlset>",
    );
    write(
        folder,
        "presets.txt",
        "# sizes\nwidth=32,format=auto\nwidth=16,format=jpeg\n",
    );
    write(folder, "list.txt", "# more\n/b.jpg\n/b.jpg\n");
    let arguments = [
        "--file=list.txt",
        "--sitemap=sitemap.xml",
        "--bucket=photos/cats/",
        "--presets=presets.txt",
        "--accept=avif",
        "--host=www.shop.com",
        "--state=state",
    ];
    let (code, stdout, stderr) = warm(folder, &arguments).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert_has(
        &stdout,
        &[
            "warmed 4 of 4 sources: 6 made, 0 in the cache already, 2 failed\n",
            "run the same command again to do the rest\n",
        ],
    );
    let failed = "failed: https://www.shop.com/missing.jpg: the source was not found\n";
    assert_eq!(stderr, failed);

    let object = format!("{}/private/cats/1%20a.jpg", bucket.endpoint());
    for source in ["a.jpg", "b.jpg", &object] {
        for options in ["width=32,format=auto", "width=16,format=jpeg"] {
            let target = format!("/cdn-cgi/image/{options}/{source}");
            let reply = server.client.get_with(&target, &[AVIF]).await;
            reply
                .assert_status(200)
                .assert_header("cache-status", "safelight; hit; detail=memory");
        }
    }

    let (code, stdout, stderr) = warm(folder, &arguments).await;
    assert_eq!((code, stderr.as_str()), (1, failed));
    assert_has(
        &stdout,
        &[
            "warmed 1 of 1 sources: 0 made, 0 in the cache already, 2 failed\n",
            "3 more sources were done before, according to the state file\n",
        ],
    );
    // Without the state file the server is asked for every source, and renders nothing that it has.
    let (code, stdout, stderr) = warm(folder, &[&arguments[..1], &arguments[2..6]].concat()).await;
    let expected = "warmed 2 of 2 sources: 0 made, 4 in the cache already, 0 failed\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, expected, ""));
    // Other options start from the beginning.
    let other = ["/a.jpg", "--options=width=8", "--state=state"];
    let (code, stdout, _) = warm(folder, &other).await;
    let expected = "warmed 1 of 1 sources: 3 made, 0 in the cache already, 0 failed\n";
    assert_eq!((code, stdout.as_str()), (0, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_sitemaps_is_followed_and_each_source_is_fetched_once() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    origin.serve("/b.png", samples::png(64, 48));
    let index = format!(
        "<sitemapindex><sitemap><loc>{}</loc></sitemap></sitemapindex>",
        origin.url("/1.xml.gz")
    );
    origin.serve("/index.xml", index.into_bytes());
    let pictures = format!(
        "<urlset><url><loc>x</loc><image:image><image:loc>{}</image:loc></image:image></url><url><loc>{}</loc></url></urlset>",
        origin.url("/a.jpg"),
        origin.url("/b.png")
    );
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(pictures.as_bytes()).expect("memory");
    origin.serve("/1.xml.gz", encoder.finish().expect("memory"));
    let other =
        "<sitemapindex><sitemap><loc>http://other.test/1.xml</loc></sitemap></sitemapindex>";
    origin.serve("/other.xml", other.as_bytes().to_vec());

    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = serve(folder, &format!("[zone]\norigin = '{}'", origin.url(""))).await;
    let sitemap = format!("--sitemap={}", origin.url("/index.xml"));
    let options = [
        "--options=width=32,format=auto",
        "--options=width=64,format=auto",
    ];
    let arguments = [&[sitemap.as_str()], &options[..]].concat();
    let (code, stdout, stderr) = warm(folder, &arguments).await;
    let expected = "warmed 2 of 2 sources: 12 made, 0 in the cache already, 0 failed\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, expected, ""));
    for accept in [
        "image/jxl,image/avif,image/webp",
        "image/avif,image/webp",
        "*/*",
    ] {
        let target = "/cdn-cgi/image/width=64,format=auto/a.jpg";
        let reply = server.client.get_with(target, &[("accept", accept)]).await;
        reply.assert_header("cache-status", "safelight; hit; detail=memory");
    }
    assert_eq!((origin.hits("/a.jpg"), origin.hits("/b.png")), (1, 1));

    let other = format!("--sitemap={}", origin.url("/other.xml"));
    let (code, _, stderr) = warm(folder, &[&other, "--options=width=9"]).await;
    assert_eq!(code, 2);
    assert_has(
        &stderr,
        &["names `http://other.test/1.xml` on another host"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_in_the_arguments_are_reported_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "zone/a.jpg", samples::jpeg(64, 48));
    let zone = format!("[zone]\norigin = 'file:{}'", folder.join("zone").display());
    let server = serve(folder, &zone).await;
    write(folder, "bad.xml", "<urlset><url>");
    write(folder, "empty.txt", "# nothing\n");
    write(folder, "long.txt", "a".repeat(10_000));
    write(folder, "photo.jpg", b"\xff\xd8\n");
    for (arguments, part) in [
        (
            vec!["/a.jpg", "--options=wideness=8"],
            "options `wideness=8`: ",
        ),
        (
            vec!["--file=long.txt", "--options=width=8"],
            "a source must be at most 8192 bytes long",
        ),
        (
            vec!["/a.jpg", "--presets=empty.txt"],
            "must have options on a line",
        ),
        (
            vec!["/a.jpg", "--presets=none.txt"],
            "`none.txt` cannot be read",
        ),
        (
            vec!["--sitemap=bad.xml", "--options=width=8"],
            "the sitemap `bad.xml`: ends early",
        ),
        (
            vec!["--bucket=photos", "--options=width=8"],
            "`--bucket` must begin with the `name`",
        ),
        (
            vec!["/a.jpg", "--options=width=8", "--state=photo.jpg"],
            "`--state` must name a file",
        ),
        (
            vec!["/a.jpg", "--options=width=8", "--admin=127.0.0.1:1"],
            "cannot be reached",
        ),
        (
            vec!["/a.jpg", "--options=width=8", "--accept=jpeg"],
            "[possible values: jxl, avif, webp, none]",
        ),
        (vec!["/a.jpg"], "--options"),
        (vec!["--options=width=8"], "--sitemap"),
    ] {
        let (code, stdout, stderr) = warm(folder, &arguments).await;
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert_has(&stderr, &[part]);
        assert!(!stderr.contains("correct-horse-battery"), "{stderr}");
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("safelight_prepared_total", &[]), 0.0);
    // A host that may be another name of the zone.
    let foreign = ["https://www.shop.com/a.jpg", "--options=width=8"];
    let (code, stdout, stderr) = warm(folder, &foreign).await;
    assert_eq!(code, 1);
    assert_has(&stdout, &["hint: ", "`--host`"]);
    assert_has(
        &stderr,
        &["failed: https://www.shop.com/a.jpg: Transformation origin"],
    );
}

/// The report of a server about one source.
const LINE: &str =
    r#"{"source":"/a.jpg","renditions":[{"options":"width=8","accept":"avif","result":"made"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_is_asked_again() {
    let gate = Gate::closed();
    let server = TestOrigin::with("/warm", Answer::file("").behind(&gate)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!(
        "[admin]\nlisten = '{}'\ntoken = 'a-token-for-tests'\n",
        server.authority()
    );
    write(folder.path(), "config.toml", settings);
    let commanding = warm(folder.path(), &["/a.jpg", "--options=width=8"]);
    let telling = async {
        eventually("the first call", async || server.hits("/warm") == 1).await;
        server.serve("/warm", Answer::status(503));
        gate.open();
        eventually("the second call", async || server.hits("/warm") == 2).await;
        server.serve("/warm", Answer::file(LINE));
    };
    let ((code, stdout, stderr), ()) = tokio::join!(commanding, telling);
    let expected = "warmed 1 of 1 sources: 1 made, 0 in the cache already, 0 failed\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, expected, ""));
    assert_eq!(server.hits("/warm"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_with_a_report_and_how_to_resume() {
    let gates = [Gate::closed(), Gate::closed(), Gate::closed()];
    let server = TestOrigin::with("/warm", Answer::file("").behind(&gates[0])).await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!(
        "[admin]\nlisten = '{}'\ntoken = 'a-token-for-tests'\n",
        server.authority()
    );
    write(folder.path(), "config.toml", settings);
    let arguments = ["/a.jpg", "/b.jpg", "--options=width=8", "--parallel=1"];
    let child = Command::new(process::BINARY)
        .arg("warm")
        .args(arguments)
        .arg("--state=state")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary was built");
    // The options are checked, the first source is finished, and the second one hangs.
    for (at, gate) in gates.iter().enumerate() {
        eventually("a call", async || server.hits("/warm") == at + 1).await;
        if let Some(next) = gates.get(at + 1) {
            server.serve("/warm", Answer::file(LINE).behind(next));
            gate.open();
        }
    }
    let id = child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(sent.expect("there is a kill").success());
    let output = bounded("the end", child.wait_with_output()).await;
    let output = output.expect("it is ours");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert_has(
        &stdout,
        &[
            "warmed 1 of 2 sources: 1 made, 0 in the cache already, 0 failed\n",
            "stopped: interrupted\n",
            "run the same command again to do the rest\n",
        ],
    );
    let state = std::fs::read_to_string(folder.path().join("state")).expect("it was written");
    let done: Vec<&str> = state.lines().skip(1).collect();
    assert!(done.len() == 1 && done[0].ends_with(" /a.jpg"), "{state}");
}
