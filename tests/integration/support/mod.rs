//! What the tests use: a proxy, scripted origins, a bucket server, the real binary, pictures, and a client.

pub mod client;
pub mod collector;
pub mod long;
pub mod memory_s3;
pub mod metrics;
pub mod origin;
pub mod process;
pub mod proxy;
pub mod raw_origin;
pub mod reply;
pub mod s3;
pub mod samples;
pub mod site;
pub mod slow;

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest wait. Only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The result of `work`. If it hangs, the test fails and says what it waited for.
#[track_caller]
pub fn bounded<T>(what: &str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(outcome) => outcome,
            Err(_) => panic!("{caller}: {what} took longer than {PATIENCE:?}"),
        }
    }
}

/// Waits until a condition holds, by checking it again and again.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(Instant::now() < end, "{caller}: never so: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Deletes the bytes of sources and leaves their records, as an eviction may.
pub fn forget_bytes(sources: &Path) {
    let mut deleted = 0;
    for shard in std::fs::read_dir(sources).expect("a store") {
        let shard = shard.expect("a readable folder").path();
        let Ok(entries) = std::fs::read_dir(shard) else {
            continue;
        };
        for entry in entries {
            let entry = entry.expect("a readable folder");
            if entry.file_name().to_string_lossy().starts_with("source-") {
                std::fs::remove_file(entry.path()).expect("a file of ours");
                deleted += 1;
            }
        }
    }
    assert_eq!(deleted, 1);
}
