//! Originals from a folder.

use std::fs;
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use hyper::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use tempfile::TempDir;

use crate::policy::{ApprovedSource, ZoneOrigin};
use crate::source::tests::originals::{Ask, DATE, Reply, page, picture, read, start};
use crate::source::tests::{TestSources, config, test_sources_with_rules, world};
use crate::source::{RuleConfig, SourceError};

fn of_folder(root: &Path) -> TestSources {
    world(&config(), ZoneOrigin::Folder(root.to_owned()), &[], &[])
}

fn approve(world: &TestSources, path: &str) -> ApprovedSource {
    world.allowlist.approve_zone(path).expect("it is approved")
}

async fn ask(world: &TestSources, path: &str, ask: Ask) -> Result<Reply, SourceError> {
    read(start(world, &approve(world, path), ask).await?).await
}

/// A folder with one file, modified on [`DATE`].
fn folder(name: &str, content: &[u8]) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    put(&root.path().join(name), content);
    root
}

fn put(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("a file");
    let date = httpdate::parse_http_date(DATE).expect("a date");
    let file = File::options().write(true).open(path).expect("the file");
    file.set_modified(date).expect("a date");
}

#[tokio::test]
async fn a_file_is_sent_with_its_validators() {
    let file = picture(700_000);
    let root = folder("cat.jpg", &file);
    let world = of_folder(root.path());
    for pictures_only in [false, true] {
        let asked = Ask {
            pictures_only,
            ..Ask::default()
        };
        for asked in [asked.clone(), asked.head()] {
            let head_only = asked.head_only;
            let reply = ask(&world, "/cat.jpg", asked).await.expect("a file");
            assert_eq!((reply.status, reply.length), (200, Some(700_000)));
            assert!(reply.body == if head_only { &[] } else { &file[..] });
            let media_type = if pictures_only {
                "image/test"
            } else {
                "image/jpeg"
            };
            for (name, value) in [
                ("content-type", media_type),
                ("accept-ranges", "bytes"),
                ("last-modified", DATE),
                ("etag", "\"2ebc98a1-0-aae60\""),
                ("cache-control", "public, max-age=3600"),
            ] {
                assert_eq!(reply.header(name), value, "{name}");
            }
            assert_eq!(reply.headers.len(), 6);
        }
    }
}

#[tokio::test]
async fn the_rules_of_the_operator_say_how_long_a_file_is_fresh() {
    let root = folder("cat.jpg", b"cat");
    let rule: RuleConfig =
        toml::from_str("sources = [\"zone\"]\ndefault_ttl = \"2 h\"").expect("a rule");
    let zone = ZoneOrigin::Folder(root.path().to_owned());
    let world = test_sources_with_rules(&config(), zone, &[], &[], &[rule]);
    let reply = ask(&world, "/cat.jpg", Ask::default())
        .await
        .expect("a file");
    assert_eq!(reply.header("cache-control"), "public, max-age=7200");
}

#[tokio::test]
async fn a_date_of_the_future_is_not_sent() {
    let root = folder("cat.jpg", b"cat");
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let file = File::options()
        .write(true)
        .open(root.path().join("cat.jpg"))
        .expect("the file");
    file.set_modified(tomorrow).expect("a date");
    let reply = ask(&of_folder(root.path()), "/cat.jpg", Ask::default())
        .await
        .expect("a file");
    let sent = httpdate::parse_http_date(reply.header("last-modified")).expect("a date");
    assert!(sent <= SystemTime::now());
}

#[tokio::test]
async fn conditions_and_ranges_are_evaluated() {
    const ETAG: &str = "\"2ebc98a1-0-186a0\"";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    let file = picture(100_000);
    let root = folder("cat.jpg", &file);
    let world = of_folder(root.path());
    let none: &[u8] = &[];
    let rows: Vec<(Vec<_>, u16, &[u8])> = vec![
        (vec![(IF_NONE_MATCH, ETAG)], 304, none),
        (vec![(IF_NONE_MATCH, "*")], 304, none),
        (vec![(IF_NONE_MATCH, "\"x\"")], 200, &file),
        (
            vec![(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, DATE)],
            200,
            &file,
        ),
        (vec![(IF_MODIFIED_SINCE, DATE)], 304, none),
        (vec![(IF_MODIFIED_SINCE, EARLIER)], 200, &file),
        (vec![(IF_MATCH, ETAG)], 200, &file),
        (vec![(IF_MATCH, "\"x\"")], 412, none),
        (vec![(IF_UNMODIFIED_SINCE, EARLIER)], 412, none),
        (vec![(RANGE, "bytes=0-0")], 206, &file[..1]),
        (
            vec![(RANGE, "bytes=70000-70009")],
            206,
            &file[70_000..70_010],
        ),
        (vec![(RANGE, "bytes=99990-")], 206, &file[99_990..]),
        (vec![(RANGE, "bytes=-10")], 206, &file[99_990..]),
        (vec![(RANGE, "bytes=-999999")], 206, &file),
        (vec![(RANGE, "bytes=5-999999")], 206, &file[5..]),
        (vec![(RANGE, "bytes=100000-")], 416, none),
        (vec![(RANGE, "bytes=-0")], 416, none),
        (vec![(RANGE, "bytes=0-1,3-4")], 200, &file),
        (vec![(RANGE, "lines=0-1")], 200, &file),
        (
            vec![(RANGE, "bytes=0-1"), (IF_RANGE, ETAG)],
            206,
            &file[..2],
        ),
        (
            vec![(RANGE, "bytes=0-1"), (IF_RANGE, DATE)],
            206,
            &file[..2],
        ),
        (vec![(RANGE, "bytes=0-1"), (IF_RANGE, "\"x\"")], 200, &file),
        (vec![(RANGE, "bytes=0-1"), (IF_RANGE, EARLIER)], 200, &file),
        (vec![(RANGE, "bytes=0-1"), (IF_NONE_MATCH, ETAG)], 304, none),
    ];
    for (lines, status, expected) in rows {
        for pictures_only in [false, true] {
            let asked = Ask {
                pictures_only,
                ..Ask::get(&lines)
            };
            let reply = ask(&world, "/cat.jpg", asked).await.expect("an answer");
            assert_eq!(reply.status, status, "{lines:?}");
            assert!(reply.body == expected, "{lines:?}");
            let has_content = matches!(status, 200 | 206);
            let length = has_content.then_some(expected.len() as u64);
            assert_eq!(reply.length, length, "{lines:?}");
            assert_eq!(reply.header("content-type").is_empty(), !has_content);
            let is_cacheable = has_content || status == 304;
            assert_eq!(reply.header("cache-control").is_empty(), !is_cacheable);
            let range = reply.header("content-range");
            match status {
                206 => {
                    let first = file
                        .windows(expected.len())
                        .position(|part| part == expected);
                    let first = match lines[0].1 {
                        "bytes=0-0" | "bytes=0-1" | "bytes=-999999" => 0,
                        "bytes=5-999999" => 5,
                        "bytes=70000-70009" => 70_000,
                        _ => first.map_or(0, |_| 99_990),
                    };
                    let last = first + expected.len() - 1;
                    assert_eq!(range, format!("bytes {first}-{last}/100000"));
                }
                416 => assert_eq!(range, "bytes */100000"),
                _ => assert_eq!(range, ""),
            }
        }
    }
    let head = ask(&world, "/cat.jpg", Ask::get(&[(RANGE, "bytes=0-0")]).head()).await;
    let head = head.expect("a header");
    assert_eq!((head.status, head.length), (200, Some(100_000)));
}

#[tokio::test]
async fn names_tell_the_media_types_of_all_files() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let world = of_folder(root.path());
    for (name, media_type, coding) in [
        ("page.html", "text/html; charset=utf-8", ""),
        ("style.CSS", "text/css; charset=utf-8", ""),
        ("app.js", "text/javascript; charset=utf-8", ""),
        ("notes.txt", "text/plain; charset=utf-8", ""),
        ("data.json", "application/json", ""),
        ("photo.avif", "image/avif", ""),
        ("photo.webp", "image/webp", ""),
        ("drawing.svg", "image/svg+xml", ""),
        ("drawing.svgz", "image/svg+xml", "gzip"),
        ("film.mp4", "video/mp4", ""),
        ("font.woff2", "font/woff2", ""),
        ("paper.pdf", "application/pdf", ""),
        ("README", "application/octet-stream", ""),
        ("file.unknown-extension", "application/octet-stream", ""),
    ] {
        put(&root.path().join(name), b"<html>");
        let reply = ask(&world, &format!("/{name}"), Ask::default()).await;
        let reply = reply.expect("a file");
        assert_eq!(reply.header("content-type"), media_type, "{name}");
        assert_eq!(reply.header("content-encoding"), coding, "{name}");
        assert_eq!(reply.body, b"<html>");
    }
}

#[tokio::test]
async fn what_is_no_picture_is_missing_in_every_way() {
    let root = folder("page.jpg", &page(90_000));
    put(&root.path().join("empty.jpg"), b"");
    let declaration = [b"<?xml version='1.0'?>", &picture(90_000)[..]].concat();
    put(&root.path().join("feed.svg"), &declaration);
    put(&root.path().join("paper.jpg"), b"%PDF-1.7");
    let world = of_folder(root.path());
    for name in ["/page.jpg", "/empty.jpg", "/feed.svg", "/paper.jpg"] {
        for lines in [
            vec![],
            vec![(IF_NONE_MATCH, "*")],
            vec![(IF_MODIFIED_SINCE, DATE)],
            vec![(IF_MATCH, "\"x\"")],
            vec![(RANGE, "bytes=80000-80001")],
            vec![(RANGE, "bytes=999999-")],
            vec![(RANGE, "bytes=0-0")],
        ] {
            let asked = Ask::get(&lines).picture();
            for asked in [asked.clone(), asked.head()] {
                let reply = ask(&world, name, asked).await;
                assert!(
                    matches!(reply, Err(SourceError::NotFound { negative_ttl: None })),
                    "{name} {lines:?}: {reply:?}"
                );
            }
        }
    }
    let prologue = [
        b"<?xml version='1.0'?><!-- ",
        &picture(50_000)[..],
        b"--><svg>",
    ]
    .concat();
    put(&root.path().join("drawing.html"), &prologue);
    let reply = ask(&world, "/drawing.html", Ask::default().picture()).await;
    assert_eq!(
        reply.expect("a drawing").header("content-type"),
        "image/svg+xml"
    );
}

#[tokio::test]
async fn nothing_else_is_found() {
    let outside = folder("secret.jpg", b"secret");
    let root = folder("cat.jpg", b"cat");
    let inside = root.path();
    fs::create_dir(inside.join("sub")).expect("a folder");
    put(&inside.join(".hidden.jpg"), b"hidden");
    put(&inside.join("sub/.htaccess"), b"hidden");
    symlink(outside.path().join("secret.jpg"), inside.join("link.jpg")).expect("a link");
    symlink(outside.path(), inside.join("out")).expect("a link");
    symlink("loop.jpg", inside.join("loop.jpg")).expect("a link");
    let _socket = UnixListener::bind(inside.join("socket.jpg")).expect("a socket");
    let pipe = Command::new("mkfifo").arg(inside.join("pipe.jpg")).status();
    assert!(pipe.expect("mkfifo runs").success());
    let world = of_folder(inside);
    for path in [
        "/",
        "/sub",
        "/sub/",
        "/cat.jpg/",
        "/sub//cat.jpg",
        "/.hidden.jpg",
        "/%2Ehidden.jpg",
        "/sub/.htaccess",
        "/link.jpg",
        "/out/secret.jpg",
        "/loop.jpg",
        "/socket.jpg",
        "/pipe.jpg",
        "/%FF",
        "/cat.jpg%2F..%2Fcat.jpg/x",
    ] {
        let Ok(source) = world.allowlist.approve_zone(path) else {
            continue;
        };
        for asked in [
            Ask::default(),
            Ask::default().head(),
            Ask::default().picture(),
        ] {
            let answer = start(&world, &source, asked);
            let answer = tokio::time::timeout(Duration::from_secs(2), answer).await;
            assert!(
                matches!(
                    answer.expect("nothing waits"),
                    Err(SourceError::NotFound { negative_ttl: None })
                ),
                "{path}"
            );
        }
    }
    symlink("cat.jpg", inside.join("alias.jpg")).expect("a link");
    let reply = ask(&world, "/alias.jpg", Ask::default()).await;
    assert_eq!(reply.expect("it stays inside").body, b"cat");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_is_an_error() {
    let content = picture(1 << 20);
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("shrinks", |path| {
            let file = File::options().write(true).open(path).expect("the file");
            file.set_len(600_000).expect("less");
        }),
        ("grows", |path| {
            let mut file = File::options().append(true).open(path).expect("the file");
            file.write_all(b"more").expect("more");
        }),
        ("is overwritten", |path| {
            fs::write(path, picture(1 << 20)).expect("another");
        }),
    ];
    for (what, change) in changes {
        let root = folder("film.mp4", &content);
        let path = root.path().join("film.mp4");
        let world = of_folder(root.path());
        let source = approve(&world, "/film.mp4");
        let original = start(&world, &source, Ask::default()).await;
        let mut body = original.expect("a file").body;
        let first = body.next().await.expect("a piece").expect("a piece");
        assert!(first == content[..first.len()]);
        change(&path);
        let rest: Vec<_> = body.collect().await;
        let error = rest.last().expect("an error");
        assert!(
            matches!(error, Err(SourceError::BrokenOff(_))),
            "{what}: {error:?}"
        );
        assert_eq!(world.sources.fetches().running, 0);
    }
    // A new file in its place leaves the old one as it is.
    let root = folder("film.mp4", &content);
    let world = of_folder(root.path());
    let source = approve(&world, "/film.mp4");
    let original = start(&world, &source, Ask::default())
        .await
        .expect("a file");
    put(&root.path().join("new.mp4"), b"new");
    fs::rename(root.path().join("new.mp4"), root.path().join("film.mp4")).expect("a new file");
    assert!(read(original).await.expect("the old file").body == content);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_large_file_is_sent_in_constant_memory() {
    const LENGTH: u64 = 500 << 20;
    fn memory() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number
            .and_then(|number| number.parse().ok())
            .expect("a number")
    }
    let root = tempfile::tempdir().expect("a temporary folder");
    let path = root.path().join("film.mp4");
    let mut file = File::create(&path).expect("a file");
    file.set_len(LENGTH).expect("a sparse file");
    file.seek(SeekFrom::Start(LENGTH - 4)).expect("its end");
    file.write_all(b"last").expect("a few bytes");
    drop(file);
    let world = of_folder(root.path());
    let source = approve(&world, "/film.mp4");
    let original = start(&world, &source, Ask::default())
        .await
        .expect("a file");
    assert_eq!(original.length, Some(LENGTH));
    let before = memory();
    let (mut body, mut length, mut last) = (original.body, 0, Vec::new());
    while let Some(piece) = body.next().await {
        let piece = piece.expect("a piece");
        assert!(piece.len() <= 256 << 10);
        length += piece.len() as u64;
        last = piece[piece.len() - 4..].to_vec();
    }
    assert_eq!((length, &last[..]), (LENGTH, &b"last"[..]));
    let grown = memory().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB");
    let asked = Ask::get(&[(RANGE, "bytes=524287996-")]);
    let reply = ask(&world, "/film.mp4", asked).await.expect("the end");
    assert_eq!(reply.body, b"last");
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_no_reader() {
    let root = folder("film.mp4", &picture(1 << 20));
    let world = of_folder(root.path());
    let source = approve(&world, "/film.mp4");
    let mut held = Vec::new();
    // More than there are readers.
    for _ in 0..200 {
        let asked = start(&world, &source, Ask::default());
        let mut original = asked.await.expect("a file");
        original
            .body
            .next()
            .await
            .expect("a piece")
            .expect("a piece");
        held.push(original);
    }
    let begun = SystemTime::now();
    let reply = ask(&world, "/film.mp4", Ask::default()).await;
    assert_eq!(reply.expect("a file").body.len(), 1 << 20);
    assert!(
        begun
            .elapsed()
            .is_ok_and(|time| time < Duration::from_secs(2))
    );
    let fetched = world.sources.fetch(&source, None).await;
    fetched.expect("pictures are fetched meanwhile");
}
