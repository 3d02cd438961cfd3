//! The process is killed in the middle of a write, again and again.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::process::Command;

use crate::bucket;
use crate::bucket::{AddressingStyle, Credentials};
use crate::hosted::fault;
use crate::hosted::keys;
use crate::hosted::tests::bucket::Server;
use crate::hosted::tests::s3;
use crate::hosted::tests::s3::S3Server;
use crate::hosted::tests::{config, files, id, names, open, upload};
use crate::hosted::{Config, Hosted, Store};

/// The folder that the child writes to. Without it there is nothing to do for it.
const FOLDER: &str = "SAFELIGHT_TEST_FOLDER";
/// The point at which the child is killed.
const FAULT: &str = "SAFELIGHT_TEST_FAULT";
/// The endpoint of the bucket that the child writes to, in place of the folder, and the folder with its index.
const ENDPOINT: &str = "SAFELIGHT_TEST_ENDPOINT";
const INDEX: &str = "SAFELIGHT_TEST_INDEX";
/// How many times the child is killed at each point: in a folder, and in a bucket, where this variable may say more.
const ROUNDS: usize = 20;
const ROUNDS_IN_BUCKET: usize = 10;
const MORE_ROUNDS: &str = "SAFELIGHT_CRASH_ROUNDS";
/// The steps of a write.
const POINTS: [&str; 4] = ["after-original", "after-record", "after-log", "after-index"];

/// Writes until it is killed, and notes what was acknowledged.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the parent sets them")]
async fn child() {
    let (Some(folder), Ok(point)) = (env::var_os(FOLDER), env::var(FAULT)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let hosted = match (env::var(ENDPOINT), env::var_os(INDEX)) {
        (Ok(endpoint), Some(index)) => open_bucket(Path::new(&index), &endpoint).await,
        _ => open(&config(&folder)).await,
    };
    for round in 0..3 {
        if round == 2 {
            *fault::AT.lock().expect("no panic") = Some(point.clone());
        }
        let name = format!("{point}/{}", ulid::Ulid::generate());
        upload(&hosted, &name, &name).await.expect("stored");
        let acknowledged = folder.join("acknowledged").join(name.replace('/', " "));
        std::fs::write(acknowledged, "").expect("noted");
        if round == 1 {
            // What is deleted and acknowledged stays so.
            hosted.delete(&id(&name)).await.expect("deleted");
            let gone = folder.join("deleted").join(name.replace('/', " "));
            std::fs::write(gone, "").expect("noted");
        }
    }
}

/// Hosted images in a bucket that others may write to as well.
async fn open_bucket(index: &Path, endpoint: &str) -> Arc<Hosted> {
    let section = bucket::Config {
        name: "images".to_owned(),
        bucket: "images".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: endpoint.to_owned(),
        style: AddressingStyle::Path,
        credentials: Credentials::Static {
            key: s3::ACCESS_KEY.to_owned(),
            secret: s3::SECRET_KEY.to_owned(),
        },
    };
    let config = Config {
        store: Store::Bucket {
            name: "images".to_owned(),
            prefix: "hosted".to_owned(),
        },
        index: index.to_owned(),
        replicas: true,
        ..Config::default()
    };
    let opened = Hosted::open(&config, &[section]).await;
    let hosted = opened.expect("a usable bucket").expect("a store");
    while !hosted.stats.is_reconciled.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    hosted
}

async fn kill_at(folder: &Path, point: &str, bucket: Option<(&str, &Path)>) {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--exact", "hosted::tests::crash::child"])
        .env(FOLDER, folder)
        .env(FAULT, point);
    if let Some((endpoint, index)) = bucket {
        command.env(ENDPOINT, endpoint).env(INDEX, index);
    }
    let output = command.output().await.expect("it runs");
    assert_eq!(output.status.signal(), Some(9), "{output:?}");
}

/// A folder in which the child notes what was acknowledged.
fn notes() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for noted in ["acknowledged", "deleted"] {
        std::fs::create_dir(folder.path().join(noted)).expect("made");
    }
    folder
}

/// The names that the child noted.
fn noted(folder: &Path, kind: &str) -> Vec<String> {
    let files = files(&folder.join(kind));
    let names = files
        .iter()
        .map(|file| file.rsplit('/').next().unwrap_or_default());
    names.map(|name| name.replace(' ', "/")).collect()
}

/// Asserts that what was acknowledged is there, and what was deleted is not. Returns the names of all images, after a sweep.
async fn assert_whole(folder: &Path, hosted: &Arc<Hosted>, rounds: usize) -> Vec<String> {
    let (acknowledged, deleted) = (noted(folder, "acknowledged"), noted(folder, "deleted"));
    assert_eq!(deleted.len(), rounds);
    let listed = names(hosted).await;
    for name in &acknowledged {
        let is_deleted = deleted.contains(name);
        assert_eq!(listed.contains(name), !is_deleted, "{name}");
        let found = hosted.find(&id(name)).await.expect("asked");
        assert_eq!(found.is_some(), !is_deleted, "{name}");
        let Some(found) = found else { continue };
        let original = found.original.as_ref().expect("a file");
        assert_eq!(hosted.read(&original.key).await.expect("a file"), *name);
    }
    hosted.sweep(Duration::ZERO).await.expect("swept");
    assert_eq!(names(hosted).await, listed);
    listed
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_left_over() {
    let folder = notes();
    for _ in 0..ROUNDS {
        for point in POINTS.into_iter().chain(["in-write"]) {
            kill_at(folder.path(), point, None).await;
        }
    }
    let hosted = open(&config(folder.path())).await;
    let rounds = (POINTS.len() + 1) * ROUNDS;
    let listed = assert_whole(folder.path(), &hosted, rounds).await;
    assert_eq!(
        files(&folder.path().join("store/originals")).len(),
        listed.len()
    );
    assert_eq!(files(&folder.path().join("store/tmp")), [""; 0]);
    drop(hosted);
    std::fs::remove_dir_all(folder.path().join("index")).expect("removed");
    assert_eq!(names(&*open(&config(folder.path())).await).await, listed);
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how long the test runs")]
async fn a_bucket_loses_nothing_either() {
    let server = S3Server::start().await;
    let endpoint = match server.knows_conditions() {
        true => {
            server.put("images", "other", "x").await;
            server.endpoint().to_owned()
        }
        // The server within this process is not one for conditions.
        false => Server::start_named("images").await.1.endpoint,
    };
    let rounds = env::var(MORE_ROUNDS).ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS_IN_BUCKET);
    let folder = notes();
    let index = |point: &str| folder.path().join("index").join(point);
    for _ in 0..rounds {
        // Servers that share the bucket, each with an index of its own, which it has again in the next round.
        let killed = POINTS.map(|point| {
            let index = index(point);
            let (folder, endpoint) = (folder.path(), endpoint.as_str());
            async move { kill_at(folder, point, Some((endpoint, &index))).await }
        });
        join_all(killed).await;
    }
    let hosted = open_bucket(&index("after-log"), &endpoint).await;
    let listed = assert_whole(folder.path(), &hosted, POINTS.len() * rounds).await;
    let mut originals = 0;
    let mut list = hosted.objects.list(keys::ORIGINALS, None);
    while let Some(page) = list.next().await.expect("a list") {
        originals += page.len();
    }
    assert_eq!(originals, listed.len());
    drop(list);
    drop(hosted);
    for index in [index("after-index"), index("new")] {
        let again = open_bucket(&index, &endpoint).await;
        assert_eq!(names(&again).await, listed);
    }
}
