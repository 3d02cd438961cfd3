//! The shared tier: replicas use the entries of each other, and a bucket that is slow, broken, wrong or gone costs little.

mod purges;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cache::entry::EntryKey;
use crate::cache::tests::bucket::{Mood, TestBucket};
use crate::cache::tests::sources::{HOUR, Origin, fetched, get, not_modified, validators};
use crate::cache::tests::{
    Rendered, config, eventually, folder, only, render, rendition, source_memory,
};
use crate::cache::{
    Cache, CacheError, CacheStatus, Config, RenditionKey, SharedConfig, SharedStats, Tier,
};
use crate::units::Seconds;

pub(crate) fn sharing(place: &Path, timeout: Seconds) -> Config {
    Config {
        shared: SharedConfig {
            bucket: "shared".to_owned(),
            timeout,
            ..SharedConfig::default()
        },
        ..config(place)
    }
}

pub(crate) async fn replica_at(bucket: &TestBucket, place: &Path) -> Arc<Cache> {
    // A long timeout, because machines that run tests are slow.
    let config = sharing(place, Seconds::new(20));
    Cache::open(&config, &[bucket.config()], None, source_memory())
        .await
        .expect("sound settings")
}

async fn replica(bucket: &TestBucket) -> Arc<Cache> {
    replica_at(bucket, Path::new("")).await
}

async fn impatient(bucket: &TestBucket) -> Arc<Cache> {
    let config = sharing(Path::new(""), Seconds::millis(50));
    Cache::open(&config, &[bucket.config()], None, source_memory())
        .await
        .expect("sound settings")
}

fn stats(cache: &Cache) -> SharedStats {
    cache.stats().shared.expect("a shared tier")
}

fn object(bucket: &TestBucket, key: RenditionKey) -> PathBuf {
    only(bucket.named(&EntryKey::rendition(key).to_string()))
}

#[tokio::test]
async fn a_rendition_of_one_replica_is_found_and_stored_by_the_others() {
    let (bucket, place, key) = (
        TestBucket::start().await,
        folder(),
        RenditionKey::numbered(1),
    );
    let (one, other) = (
        replica(&bucket).await,
        replica_at(&bucket, place.path()).await,
    );
    let made = render(&one, key, b"picture").await;
    assert_eq!(made.outcome, CacheStatus::Miss);
    one.flush().await;
    let found = render(&other, key, b"never").await;
    assert_eq!(found.outcome, CacheStatus::Hit(Tier::Shared));
    assert_eq!(found.rendition, made.rendition);
    let again = render(&other, key, b"never").await;
    assert_eq!(again.outcome, CacheStatus::Hit(Tier::Memory));
    assert!(other.close(Duration::from_secs(30)).await);
    drop(other);
    bucket.set(Mood::Refusing(503));
    let restarted = replica_at(&bucket, place.path()).await;
    let kept = render(&restarted, key, b"never").await;
    assert_eq!(kept.outcome, CacheStatus::Hit(Tier::Disk));
    assert_eq!((stats(&one).writes, stats(&one).misses), (1, 1));
}

#[tokio::test]
async fn a_better_rendition_is_found_wherever_it_was_made() {
    let (bucket, key) = (TestBucket::start().await, RenditionKey::numbered(1));
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    render(&one, key, b"picture").await;
    one.flush().await;
    let found = other.find(key).await.expect("the other made it");
    assert_eq!(found.outcome, CacheStatus::Hit(Tier::Shared));
    one.remove(key).await;
    one.flush().await;
    assert_eq!(bucket.named("rendition-").len(), 0);
}

#[tokio::test]
async fn replicas_share_records_and_one_of_them_asks_the_origin() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    let first = get(&one, &origin, fetched("one", "", Duration::ZERO)).await;
    one.flush().await;
    let found = get(&other, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(
        (found.outcome, &found.record),
        (CacheStatus::Hit(Tier::Shared), &first.record)
    );
    assert_eq!(origin.asked(), [None]);
    assert_eq!(
        bucket.named("source-").len(),
        0,
        "the bytes of sources are not shared"
    );
}

#[tokio::test]
async fn what_one_revalidates_is_fresh_for_the_others() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    get(&one, &origin, fetched("one", "max-age=7200", 3 * HOUR)).await;
    one.flush().await;
    let renewed = get(&other, &origin, not_modified("")).await;
    assert_eq!(renewed.outcome, CacheStatus::Revalidated);
    assert_eq!(origin.asked(), [None, Some(validators("\"1\""))]);
    other.flush().await;
    let found = get(&one, &origin, fetched("never", "", Duration::ZERO)).await;
    assert_eq!(
        (found.outcome, &found.record),
        (CacheStatus::Hit(Tier::Shared), &renewed.record)
    );
    let again = get(&one, &origin, fetched("never", "", Duration::ZERO)).await;
    assert_eq!(again.outcome, CacheStatus::Hit(Tier::Memory));
    assert_eq!(origin.asked(), []);
}

#[tokio::test]
async fn what_may_not_be_stored_is_not_written_to_the_bucket() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let one = replica(&bucket).await;
    get(&one, &origin, fetched("one", "no-store", Duration::ZERO)).await;
    let key = RenditionKey::numbered(1);
    let render = async move { Rendered::Ok(rendition(&key, b"picture")) };
    one.get_or_render(key, false, render)
        .await
        .expect("the render succeeds");
    one.flush().await;
    assert_eq!(bucket.named("record-").len(), 0);
    assert_eq!(bucket.named("rendition-").len(), 0);

    get(&one, &origin, fetched("one", "", 3 * HOUR)).await;
    one.flush().await;
    assert_eq!(bucket.named("record-").len(), 1);
    get(&one, &origin, not_modified("no-store")).await;
    one.flush().await;
    assert_eq!(bucket.named("record-").len(), 0);
}

#[tokio::test]
async fn damaged_objects_are_misses_and_are_deleted() {
    let bucket = TestBucket::start().await;
    let one = replica(&bucket).await;
    for number in 1..=4 {
        render(&one, RenditionKey::numbered(number), b"picture").await;
    }
    one.flush().await;
    let path = |number| object(&bucket, RenditionKey::numbered(number));
    let good = fs::read(path(1)).expect("just written");
    let mut flipped = good.clone();
    *flipped.last_mut().expect("it is not empty") ^= 1;
    fs::write(path(1), flipped).expect("the test may write to its file");
    fs::write(path(2), &good[..good.len() - 1]).expect("the test may write to its file");
    fs::write(path(3), &good).expect("the test may write to its file");
    fs::write(path(4), b"").expect("the test may write to its file");
    let other = replica(&bucket).await;
    for number in 1..=4 {
        let found = other.find(RenditionKey::numbered(number)).await;
        assert!(found.is_none(), "{number}");
    }
    other.flush().await;
    assert_eq!(bucket.named("rendition-").len(), 0);
    assert_eq!((stats(&other).corrupt, stats(&other).hits), (4, 0));
}

#[tokio::test]
async fn an_entry_that_was_missing_is_not_read_again_at_once() {
    let (bucket, key) = (TestBucket::start().await, RenditionKey::numbered(1));
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    for _ in 0..10 {
        assert!(one.find(key).await.is_none());
    }
    assert_eq!(stats(&one).misses, 1);
    // What this replica writes is not missing any more.
    render(&one, key, b"picture").await;
    one.flush().await;
    one.memory.clear();
    assert!(one.find(key).await.is_some());
    assert!(other.find(key).await.is_some());
}

#[tokio::test]
async fn a_slow_bucket_is_left_alone_and_used_again_later() {
    let bucket = TestBucket::start().await;
    let one = impatient(&bucket).await;
    bucket.set(Mood::Slow(Duration::from_secs(3600)));
    for number in 0..3 {
        let made = render(&one, RenditionKey::numbered(number), b"picture").await;
        assert_eq!(made.outcome, CacheStatus::Miss);
    }
    assert_eq!(stats(&one).timeouts, 3);
    assert!(stats(&one).reading_open);
    // From now on one read at a time tries the bucket, in the background, and so seldom that most misses do not ask it.
    for number in 100..200 {
        let made = render(&one, RenditionKey::numbered(number), b"picture").await;
        assert_eq!(made.outcome, CacheStatus::Miss);
    }
    assert!(stats(&one).skipped_reads >= 100);
    assert!(stats(&one).timeouts < 10, "{:?}", stats(&one));
    bucket.set(Mood::Fine);
    let mut number = 1000;
    eventually("it is asked again", async || {
        number += 1;
        render(&one, RenditionKey::numbered(number), b"picture").await;
        !stats(&one).reading_open
    })
    .await;
}

#[tokio::test]
async fn a_bucket_without_write_permission_is_still_read() {
    let (bucket, key) = (TestBucket::start().await, RenditionKey::numbered(1));
    let one = replica(&bucket).await;
    render(&one, key, b"picture").await;
    one.flush().await;
    let other = replica(&bucket).await;
    bucket.set(Mood::ReadOnly);
    for number in 2..10 {
        let made = render(&other, RenditionKey::numbered(number), b"picture").await;
        assert_eq!(made.outcome, CacheStatus::Miss);
        other.flush().await;
    }
    let told = stats(&other);
    assert!(told.writing_open && !told.reading_open, "{told:?}");
    assert!(told.write_failures >= 3 && told.skipped_writes > 0);
    let found = render(&other, key, b"never").await;
    assert_eq!(found.outcome, CacheStatus::Hit(Tier::Shared));
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let bucket = TestBucket::start().await;
    let place = folder();
    let sound = sharing(place.path(), Seconds::millis(300));
    let with = |shared| Config {
        shared,
        ..sound.clone()
    };
    for (shared, told) in [
        (
            SharedConfig {
                bucket: "other".to_owned(),
                ..sound.shared.clone()
            },
            "setting `cache.shared.bucket` must be the `name` of a [[bucket]], got `other`",
        ),
        (
            SharedConfig {
                prefix: "a//b".to_owned(),
                ..sound.shared.clone()
            },
            "setting `cache.shared.prefix` must have 1 to 256 bytes and not begin or end with a slash or hold two in a row, got `a//b`",
        ),
        (
            SharedConfig {
                timeout: Seconds::new(0),
                ..sound.shared.clone()
            },
            "setting `cache.shared.timeout` must be longer than 0 s",
        ),
    ] {
        let error: CacheError =
            Cache::open(&with(shared), &[bucket.config()], None, source_memory())
                .await
                .err()
                .expect("it cannot work");
        assert_eq!(error.to_string(), told);
    }
    assert_eq!(bucket.requests(), 0);
}

#[tokio::test]
async fn an_older_record_of_another_replica_replaces_no_newer_one() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    // Stale, but the newest record.
    let held = get(&other, &origin, fetched("two", "max-age=7200", 4 * HOUR)).await;
    other.flush().await;
    // Fresh, but an older record.
    get(&one, &origin, fetched("one", "max-age=86400", 5 * HOUR)).await;
    one.flush().await;
    origin.asked();
    let renewed = get(&other, &origin, not_modified("max-age=86400")).await;
    assert_eq!(
        (renewed.outcome, renewed.record.version),
        (CacheStatus::Revalidated, held.record.version)
    );
    assert_eq!(origin.asked(), [Some(validators("\"1\""))]);
    other.flush().await;
    // A newer record replaces an older one.
    one.clock.advance(20 * 3600);
    let newer = get(&one, &origin, fetched("never", "", Duration::ZERO)).await;
    assert_eq!(
        (newer.outcome, newer.record.version),
        (CacheStatus::Hit(Tier::Shared), held.record.version)
    );
}
