use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::deadline::Deadline;
use crate::source::config::Config;
use crate::source::context::FetchContext;
use crate::source::error::SourceError;
use crate::source::file_kind::FileKind;
use crate::source::folder::FolderOrigin;
use crate::source::folder::file::relative;
use crate::source::folder::readers::MAX_READERS;
use crate::source::memory::SourceMemory;
use crate::source::outcome::FetchOutcome;
use crate::source::rules::SourceRules;

async fn fetch(root: &Path, path: &str) -> Result<FetchOutcome, SourceError> {
    fetch_within(&FolderOrigin::new(root), path, Duration::from_secs(5)).await
}

async fn fetch_within(
    folder: &FolderOrigin,
    path: &str,
    total: Duration,
) -> Result<FetchOutcome, SourceError> {
    let context = FetchContext {
        config: &Config::default(),
        memory: &SourceMemory::new(8000, 1000),
        rules: &SourceRules::default(),
        deadline: Deadline::after(total),
        sniff: |_| FileKind::Picture("image/test"),
        authorization: None,
    };
    folder.fetch(path, None, context).await
}

#[track_caller]
fn content(answer: Result<FetchOutcome, SourceError>) -> Vec<u8> {
    match answer {
        Ok(FetchOutcome::Fetched(fetched)) => fetched.bytes.to_vec(),
        other => panic!("expected a file, got {other:?}"),
    }
}

fn folder() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(root.path().join("sub")).expect("a folder within");
    for name in ["cat.jpg", "sub/a b é.jpg", ".hidden", "100%.jpg", "a+b.jpg"] {
        fs::write(root.path().join(name), name).expect("a file within");
    }
    root
}

#[tokio::test]
async fn names_are_decoded_once() {
    let root = folder();
    for (path, name) in [
        ("/cat.jpg", "cat.jpg"),
        ("/c%61t.jpg", "cat.jpg"),
        ("/sub/a%20b%20%C3%A9.jpg", "sub/a b é.jpg"),
        ("/100%25.jpg", "100%.jpg"),
        ("/a+b.jpg", "a+b.jpg"),
    ] {
        assert_eq!(
            content(fetch(root.path(), path).await),
            name.as_bytes(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn nothing_else_is_found() {
    let root = folder();
    let long = format!("/{}", "x".repeat(5000));
    for path in [
        "",
        "/",
        "cat.jpg",
        "//cat.jpg",
        "/cat.jpg/",
        "/cat.jpg/x",
        "/sub",
        "/sub/",
        "/sub//cat.jpg",
        "/./cat.jpg",
        "/%2e/cat.jpg",
        "/sub/../cat.jpg",
        "/sub/%2e%2e/cat.jpg",
        "/sub%2F..%2Fcat.jpg",
        "/..%2f..%2fetc%2fpasswd",
        "/%2Fetc%2Fpasswd",
        "/.hidden",
        "/%2Ehidden",
        "/cat.jpg%00",
        "/%00",
        "/%FF",
        "/c%2561t.jpg",
        long.as_str(),
    ] {
        let answer = fetch(root.path(), path).await;
        assert!(
            matches!(answer, Err(SourceError::NotFound { .. })),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn links_stay_inside() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    fs::write(outside.path().join("secret"), "secret").expect("a file outside");
    let root = folder();
    symlink(outside.path().join("secret"), root.path().join("file.jpg")).expect("a link to a file");
    symlink(outside.path(), root.path().join("dir")).expect("a link to a folder");
    symlink("loop", root.path().join("loop")).expect("a link to itself");
    symlink("nowhere", root.path().join("dangling")).expect("a link to nothing");
    for path in ["/file.jpg", "/dir/secret", "/loop", "/dangling"] {
        let answer = fetch(root.path(), path).await;
        assert!(
            matches!(answer, Err(SourceError::NotFound { .. })),
            "{path}: {answer:?}"
        );
    }
    symlink("cat.jpg", root.path().join("inside.jpg")).expect("a link within");
    assert_eq!(content(fetch(root.path(), "/inside.jpg").await), b"cat.jpg");
}

#[tokio::test]
async fn a_sibling_whose_name_only_begins_alike_is_outside() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let root = parent.path().join("photos");
    fs::create_dir(&root).expect("the folder");
    fs::create_dir(parent.path().join("photos-private")).expect("its sibling");
    fs::write(parent.path().join("photos-private/x"), "x").expect("a file outside");
    symlink("../photos-private/x", root.join("x")).expect("a link");
    assert!(matches!(
        fetch(&root, "/x").await,
        Err(SourceError::NotFound { .. })
    ));
}

#[tokio::test]
async fn the_folder_itself_may_be_a_link_that_moves() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    for release in ["one", "two"] {
        fs::create_dir(parent.path().join(release)).expect("a release");
        fs::write(parent.path().join(release).join("x"), release).expect("a file");
    }
    let current = parent.path().join("current");
    symlink("one", &current).expect("a link");
    assert_eq!(content(fetch(&current, "/x").await), b"one");
    fs::remove_file(&current).expect("the old link goes");
    symlink("two", &current).expect("the new link comes");
    assert_eq!(content(fetch(&current, "/x").await), b"two");
}

#[tokio::test]
async fn pipes_sockets_and_devices_are_not_found() {
    let root = folder();
    let pipe = root.path().join("pipe.jpg");
    let made = Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let _socket = UnixListener::bind(root.path().join("socket.jpg")).expect("a socket");
    for path in ["/pipe.jpg", "/socket.jpg"] {
        let answer = tokio::time::timeout(Duration::from_secs(2), fetch(root.path(), path)).await;
        let answer = answer.expect("nothing waits for a writer");
        assert!(
            matches!(answer, Err(SourceError::NotFound { .. })),
            "{path}: {answer:?}"
        );
    }
    let zero = fetch(Path::new("/dev"), "/zero").await;
    assert!(
        matches!(zero, Err(SourceError::NotFound { .. })),
        "{zero:?}"
    );
}

#[tokio::test]
async fn a_missing_folder_is_not_a_missing_file() {
    let answer = fetch(Path::new("/nonexistent/folder"), "/x").await;
    assert!(
        matches!(answer, Err(SourceError::Unreadable(_))),
        "{answer:?}"
    );
}

#[test]
fn every_segment_of_a_path_is_one_plain_name() {
    assert_eq!(relative("/a/b.jpg").as_deref(), Some(Path::new("a/b.jpg")));
    assert_eq!(relative("/a...b").as_deref(), Some(Path::new("a...b")));
    assert_eq!(relative("/..a"), None);
}

#[test]
fn a_read_that_hangs_keeps_its_permit_and_readers_are_bounded() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let root = folder();
        let folder = FolderOrigin::new(root.path());
        let (answer, silence) = mpsc::channel::<()>();
        let hanging = folder.readers.run(move || {
            // Ends when the sender is dropped.
            let _ = silence.recv();
            Ok(())
        });
        let wait = Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, hanging).await.is_err());
        let answers = (0..MAX_READERS + 10).map(|_| fetch_within(&folder, "/cat.jpg", wait));
        for answer in join_all(answers).await {
            assert!(matches!(answer, Err(SourceError::Timeout(_))), "{answer:?}");
        }
        assert_eq!(folder.readers.free(), 0);
        drop(answer);
        let answer = fetch_within(&folder, "/cat.jpg", Duration::from_secs(5)).await;
        assert_eq!(content(answer), b"cat.jpg");
    });
}
