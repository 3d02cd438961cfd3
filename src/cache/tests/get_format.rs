//! The format of a stored rendition, which is found without reading the whole entry.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::RenditionKey;
use crate::cache::tests::bucket::{Mood, TestBucket};
use crate::cache::tests::shared::replica_at;
use crate::cache::tests::{entries, folder, in_memory, key, only, open, render, store, unscanned};
use crate::cache::tier::disk::store::ReadResult;
use crate::options::Format;

/// The format of every rendition in these tests.
const KEPT: Option<Format> = Some(Format::Webp);

const CONTENT: &[u8] = &[7; 100_000];

/// Writes one rendition to `place`, ends the cache, and returns the file.
async fn left_behind(place: &Path) -> PathBuf {
    let cache = open(place).await;
    render(&cache, RenditionKey::numbered(1), CONTENT).await;
    assert!(cache.close(Duration::from_secs(60)).await);
    only(entries(&place.join("renditions")))
}

fn flip_last_byte(path: &Path) {
    let mut content = fs::read(path).expect("the test may write to its file");
    *content.last_mut().expect("it is not empty") ^= 1;
    fs::write(path, content).expect("the test may write to its file");
}

#[tokio::test]
async fn the_format_is_read_from_memory() {
    let (cache, key) = (in_memory().await, RenditionKey::numbered(1));
    assert_eq!(cache.get_format(key).await, None);
    render(&cache, key, CONTENT).await;
    assert_eq!(cache.get_format(key).await, KEPT);
    cache.remove(key).await;
    assert_eq!(cache.get_format(key).await, None);
}

#[tokio::test]
async fn the_format_is_read_from_the_first_bytes_on_disk() {
    let place = folder();
    let file = left_behind(place.path()).await;
    flip_last_byte(&file);
    let (cache, key) = (open(place.path()).await, RenditionKey::numbered(1));
    assert_eq!(cache.get_format(key).await, KEPT);
    assert_eq!(cache.get_format(RenditionKey::numbered(2)).await, None);
    cache.flush().await;
    assert_eq!(cache.get_format(key).await, KEPT);
    cache.flush().await;
    assert_eq!(cache.stats().memory_renditions.entries, 0);
    // The damage is found when the rendition is read.
    assert!(cache.find(key).await.is_none());
    cache.flush().await;
    assert_eq!(cache.get_format(key).await, None);
}

#[test]
fn the_format_is_read_from_disk_before_the_scan() {
    let place = folder();
    store(place.path(), 1 << 20).write(&key(1), b"h", b"body");
    let store = unscanned(place.path(), 1 << 20);
    let beginning = |number| store.read_beginning(&key(number), 1);
    assert!(matches!(beginning(1), ReadResult::Found(bytes) if bytes == "h"));
    assert!(matches!(beginning(2), ReadResult::Missing));
}

#[tokio::test]
async fn a_missing_or_truncated_file_has_no_format() {
    for damage in ["deleted", "cut", "emptied", "another's"] {
        let place = folder();
        let file = left_behind(place.path()).await;
        let cache = open(place.path()).await;
        // The file decides, not the index.
        cache.flush().await;
        let content = fs::read(&file).expect("the test may write to its file");
        match damage {
            "deleted" => fs::remove_file(&file),
            "cut" => fs::write(&file, &content[..content.len() - 1]),
            "emptied" => fs::write(&file, b""),
            _ => fs::write(&file, vec![1; content.len()]),
        }
        .expect("the test may write to its file");
        assert_eq!(
            cache.get_format(RenditionKey::numbered(1)).await,
            None,
            "{damage}"
        );
        cache.flush().await;
        let held = cache.stats().disk_renditions.expect("a disk tier").held;
        assert_eq!(held.entries, 0, "{damage}");
        render(&cache, RenditionKey::numbered(1), CONTENT).await;
        cache.flush().await;
        assert!(cache.close(Duration::from_secs(60)).await);
        let cache = open(place.path()).await;
        assert_eq!(
            cache.get_format(RenditionKey::numbered(1)).await,
            KEPT,
            "{damage}"
        );
    }
}

#[tokio::test]
async fn the_format_is_read_from_the_first_bytes_in_the_bucket() {
    let (bucket, place, key) = (
        TestBucket::start().await,
        folder(),
        RenditionKey::numbered(1),
    );
    let one = replica_at(&bucket, Path::new("")).await;
    render(&one, key, CONTENT).await;
    one.flush().await;
    flip_last_byte(&only(bucket.named("rendition-")));
    let other = replica_at(&bucket, place.path()).await;
    assert_eq!(other.get_format(key).await, KEPT);
    other.flush().await;
    let stats = other.stats();
    assert_eq!(stats.memory_renditions.entries, 0);
    let disk = stats.disk_renditions.expect("a disk tier");
    assert_eq!(disk.held.entries, 0);
    assert!(other.find(key).await.is_none(), "it was not read before");
}

#[tokio::test]
async fn a_missing_or_damaged_object_has_no_format() {
    let (bucket, key) = (TestBucket::start().await, RenditionKey::numbered(1));
    let one = replica_at(&bucket, Path::new("")).await;
    render(&one, key, CONTENT).await;
    one.flush().await;
    let object = only(bucket.named("rendition-"));
    let content = fs::read(&object).expect("the test may write to its file");
    for wrong in [&content[..content.len() - 1], &content[..50], b""] {
        fs::write(&object, wrong).expect("the test may write to its file");
        let other = replica_at(&bucket, Path::new("")).await;
        assert_eq!(other.get_format(key).await, None, "{} bytes", wrong.len());
        other.flush().await;
        assert!(!object.exists(), "{} bytes", wrong.len());
    }
    let other = replica_at(&bucket, Path::new("")).await;
    for _ in 0..3 {
        assert_eq!(other.get_format(key).await, None);
    }
    let stats = other.stats().shared.expect("a shared tier");
    assert_eq!(stats.misses, 1, "the missing object is remembered");
    fs::write(&object, &content).expect("the test may write to its folder");
    bucket.set(Mood::Refusing(503));
    let third = replica_at(&bucket, Path::new("")).await;
    assert_eq!(third.get_format(key).await, None);
}
