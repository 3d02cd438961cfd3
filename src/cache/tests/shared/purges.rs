//! A purge of one replica reaches the bucket and the other replicas, also if they are slow, broken or restarted meanwhile.

use std::fs;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::entry::EntryKey;
use crate::cache::tests::bucket::{Mood, TestBucket};
use crate::cache::tests::shared::{eventually, object, render, replica, replica_at, stats};
use crate::cache::tests::sources::{Origin, fetched, get};
use crate::cache::tests::{files, folder, purge};
use crate::cache::{CacheStatus, Purge, PurgeError, RenditionKey, SourceKey, Target, Tier};
use crate::freshness::Tag;

fn of_source(number: u64) -> RenditionKey {
    RenditionKey::numbered_of(&SourceKey::numbered(number), 0, number)
}

#[tokio::test]
async fn a_dead_bucket_stops_neither_the_start_nor_a_purge() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    bucket.set(Mood::Refusing(503));
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    assert!(stats(&one).purges_failing);
    get(&one, &origin, fetched("one", "", Duration::ZERO)).await;
    get(&other, &origin, fetched("one", "", Duration::ZERO)).await;
    origin.asked();
    let error = one
        .purge(vec![Purge::hard(Target::Source(SourceKey::numbered(1)))])
        .await
        .expect_err("the purge cannot be published");
    assert!(matches!(error, PurgeError::Shared(_)), "{error}");
    let here = get(&one, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(here.outcome, CacheStatus::Miss);

    bucket.set(Mood::Fine);
    // Each replica polls for purges by itself.
    eventually("the other replica knows of the purge", async || {
        let found = get(&other, &origin, fetched("two", "", Duration::ZERO)).await;
        found.outcome != CacheStatus::Hit(Tier::Memory)
    })
    .await;
    assert!(!stats(&one).purges_failing);
}

#[tokio::test]
async fn a_purge_of_one_reaches_the_others_and_the_bucket() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    for target in [
        Target::Source(SourceKey::numbered(1)),
        Target::Prefix("https://b.com".to_owned()),
        Target::Everything,
    ] {
        let first = get(&one, &origin, fetched("one", "", Duration::ZERO)).await;
        let key = RenditionKey::numbered_of(&SourceKey::numbered(1), first.record.epoch, 1);
        render(&one, key, b"picture").await;
        one.flush().await;
        get(&other, &origin, fetched("never", "", Duration::ZERO)).await;
        origin.asked();
        purge(&one, target.clone(), false).await;
        other.catch_up().await;
        eventually("what was purged is deleted", async || {
            bucket.named(&EntryKey::rendition(key).to_string()).len()
                + bucket.named("record-").len()
                == 0
        })
        .await;
        let again = get(&other, &origin, fetched("two", "", Duration::ZERO)).await;
        assert_eq!(again.outcome, CacheStatus::Miss, "{target:?}");
        assert_eq!(origin.asked(), [None]);
        other.flush().await;
        // Both replicas use the same keys.
        let found = get(&one, &origin, fetched("never", "", Duration::ZERO)).await;
        assert_eq!(
            (found.outcome, found.record.epoch),
            (CacheStatus::Hit(Tier::Shared), again.record.epoch)
        );
        assert!(again.record.epoch > first.record.epoch);
        purge(&one, Target::Everything, false).await;
        other.catch_up().await;
        eventually("nothing is left", async || {
            bucket.named("record-").is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn a_purge_leaves_other_sources_and_new_renditions() {
    let bucket = TestBucket::start().await;
    let one = replica(&bucket).await;
    render(&one, of_source(1), b"picture").await;
    render(&one, of_source(2), b"picture").await;
    let later = RenditionKey::numbered_of(&SourceKey::numbered(1), u64::MAX, 1);
    render(&one, later, b"picture").await;
    one.flush().await;
    purge(&one, Target::Source(SourceKey::numbered(1)), false).await;
    eventually("what was purged is deleted", async || {
        bucket
            .named(&EntryKey::rendition(of_source(1)).to_string())
            .is_empty()
    })
    .await;
    object(&bucket, of_source(2));
    object(&bucket, later);
}

#[tokio::test]
async fn a_purged_rendition_is_deleted_from_the_bucket_before_others_learn_of_the_purge() {
    let (bucket, key) = (TestBucket::start().await, of_source(1));
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    render(&one, key, b"picture").await;
    one.flush().await;
    render(&other, key, b"never").await;
    let target = Target::Renditions {
        source: SourceKey::numbered(1),
        keys: vec![key],
    };
    purge(&one, target, false).await;
    assert_eq!(bucket.named("rendition-").len(), 0);
    other.catch_up().await;
    let again = render(&other, key, b"picture").await;
    assert_eq!(again.outcome, CacheStatus::Miss);
}

#[tokio::test]
async fn a_restart_knows_what_others_purged_without_the_bucket() {
    let (bucket, place, origin) = (TestBucket::start().await, folder(), Origin::default());
    let other = replica_at(&bucket, place.path()).await;
    get(&other, &origin, fetched("one", "", Duration::ZERO)).await;
    other.flush().await;
    // The disk of a replica that was stopped before it could delete anything.
    let kept = folder();
    for path in files(&place.path().join("sources")) {
        let to = kept.path().join(
            path.strip_prefix(place.path())
                .expect("it is below the folder"),
        );
        fs::create_dir_all(to.parent().expect("it has one"))
            .expect("the test may write to its folder");
        fs::copy(&path, to).expect("the test may write to its folder");
    }
    let one = replica(&bucket).await;
    purge(&one, Target::Everything, false).await;
    other.catch_up().await;
    fs::copy(place.path().join("purges"), kept.path().join("purges"))
        .expect("the test may write to its folder");
    bucket.set(Mood::Refusing(503));
    origin.asked();
    let restarted = replica_at(&bucket, kept.path()).await;
    let found = get(&restarted, &origin, fetched("two", "", Duration::ZERO)).await;
    assert_eq!(
        (found.outcome, origin.asked()),
        (CacheStatus::Miss, vec![None])
    );
}

#[tokio::test]
async fn nothing_in_the_bucket_is_used_before_its_purges_are_known() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let one = replica(&bucket).await;
    let first = get(&one, &origin, fetched("one", "", Duration::ZERO)).await;
    one.flush().await;
    bucket.set(Mood::Refusing(503));
    let other = replica(&bucket).await;
    // So that this replica does not poll.
    let unknowing = other.backlog.lock().await;
    bucket.set(Mood::Fine);
    origin.asked();
    let key = SourceKey::numbered(1);
    assert_eq!(other.find_shared_record(&key).await, None);
    let found = get(&other, &origin, fetched("two", "no-store", Duration::ZERO)).await;
    assert_eq!(
        (found.outcome, origin.asked()),
        (CacheStatus::Miss, vec![None])
    );
    other.flush().await;
    let again = get(&one, &origin, fetched("never", "", Duration::ZERO)).await;
    assert_eq!(again.outcome, CacheStatus::Hit(Tier::Memory));
    one.insert_record(key, &first.record).await;
    one.flush().await;
    drop(unknowing);
    other.catch_up().await;
    assert_eq!(other.find_shared_record(&key).await, Some(first.record));
}

#[tokio::test]
async fn a_purged_rendition_that_was_about_to_be_written_does_not_get_to_the_bucket() {
    let bucket = TestBucket::start().await;
    let one = replica(&bucket).await;
    let key = of_source(1);
    let shared = one.shared.as_ref().expect("a shared tier");
    // Behind many other changes: nothing is written before the first await.
    for number in (1..=10).rev() {
        let entry = EntryKey::rendition(of_source(number));
        shared.put(entry, Vec::new(), Bytes::from_static(b"picture"));
    }
    let target = Target::Renditions {
        source: SourceKey::numbered(1),
        keys: vec![key],
    };
    purge(&one, target, false).await;
    one.flush().await;
    assert_eq!(bucket.named("rendition-").len(), 9);
    assert!(one.find(key).await.is_none());
}

#[tokio::test]
async fn a_restart_publishes_what_could_not_be_published_before() {
    for soft in [false, true] {
        let (bucket, place, origin) = (TestBucket::start().await, folder(), Origin::default());
        let one = replica_at(&bucket, place.path()).await;
        let other = replica(&bucket).await;
        get(&other, &origin, fetched("one", "", Duration::ZERO)).await;
        bucket.set(Mood::Refusing(503));
        let target = Target::Source(SourceKey::numbered(1));
        let purge = Purge { target, soft };
        let error = one
            .purge(vec![purge])
            .await
            .expect_err("the purge cannot be published");
        assert!(matches!(error, PurgeError::Shared(_)), "{error}");
        drop(one);
        bucket.set(Mood::Fine);
        let one = replica_at(&bucket, place.path()).await;
        one.catch_up().await;
        other.catch_up().await;
        let record = other.get_record(&SourceKey::numbered(1)).await;
        let fresh = record.is_some_and(|record| record.freshness.is_fresh(other.clock.now()));
        assert!(!fresh, "soft: {soft}");
        // It is published once only.
        drop(one);
        let generation = other.purges.generation();
        let one = replica_at(&bucket, place.path()).await;
        one.catch_up().await;
        other.catch_up().await;
        assert_eq!(other.purges.generation(), generation);
    }
}

#[tokio::test]
async fn a_purge_of_another_replica_is_seen_after_one_that_could_not_be_published() {
    let (bucket, origin) = (TestBucket::start().await, Origin::default());
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    one.catch_up().await;
    // The clock of this replica is behind.
    other.clock.advance(-600);
    bucket.set(Mood::Refusing(503));
    let tag = Tag::new("unrelated").expect("a tag");
    let error = one.purge(vec![Purge::hard(Target::Tag(tag))]).await;
    assert!(matches!(error, Err(PurgeError::Shared(_))));
    get(&one, &origin, fetched("one", "", Duration::ZERO)).await;
    bucket.set(Mood::Fine);
    purge(&other, Target::Source(SourceKey::numbered(1)), true).await;
    eventually("it is heard", async || {
        one.catch_up().await;
        let record = one.get_record(&SourceKey::numbered(1)).await;
        !record.is_some_and(|record| record.freshness.is_fresh(one.clock.now()))
    })
    .await;
}

#[tokio::test]
async fn any_number_of_purges_in_one_call_reaches_the_others() {
    let bucket = TestBucket::start().await;
    let (one, other) = (replica(&bucket).await, replica(&bucket).await);
    // Together they are longer than the largest object that is read.
    let prefix = |number| format!("https://b.com/{number:03}/{}", "x".repeat(8000));
    let purges = (0..600).map(|number| Purge::hard(Target::Prefix(prefix(number))));
    one.purge(purges.collect()).await.expect("the bucket works");
    other.catch_up().await;
    assert_eq!(other.purges.events().len(), 600);
}
