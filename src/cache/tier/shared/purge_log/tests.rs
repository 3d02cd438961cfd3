//! The protocol of published purges, with a bucket.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bucket::Bucket;
use crate::cache::purge::log::MAX_NUMBER;
use crate::cache::tests::bucket::{Mood, TestBucket};
use crate::cache::tier::shared::TIMEOUTS;
use crate::cache::tier::shared::purge_log::{Purge, PurgeEvent, SharedPurgeLog, Target, number_of};
use crate::freshness::Tag;

const NOW: u64 = 1_767_225_600;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn purges_in(bucket: &TestBucket) -> SharedPurgeLog {
    let bucket = Bucket::open(&bucket.config(), TIMEOUTS).expect("the settings are right");
    SharedPurgeLog::new(Arc::new(bucket), "safelight/purges/".to_owned())
}

fn tags(tags: &[&str]) -> Vec<Purge> {
    let tags = tags
        .iter()
        .map(|tag| Target::Tag(Tag::new(tag).expect("a tag")));
    tags.map(Purge::hard).collect()
}

fn event(number: u64, tag: &str) -> PurgeEvent {
    PurgeEvent {
        number,
        at: NOW,
        purge: tags(&[tag]).remove(0),
        folded: false,
    }
}

async fn put(purges: &SharedPurgeLog, event: PurgeEvent) {
    let name = format!("{:020}-{:016x}", event.number, 7);
    let written = purges.objects.write(&name, &[event]).await;
    written.expect("the bucket works");
}

/// Publishes more objects than may stay in the bucket.
async fn publish_too_many(purges: &mut SharedPurgeLog) {
    purges.max_objects = 10;
    for number in 1..=11 {
        let published = purges.publish(&tags(&["a"]), number, 0, now()).await;
        published.own.expect("the bucket works");
    }
}

#[tokio::test]
async fn what_one_publishes_the_others_read_once() {
    let bucket = TestBucket::start().await;
    let (one, other) = (purges_in(&bucket), purges_in(&bucket));
    assert_eq!(other.poll(0).await.events, []);
    let published = one.publish(&tags(&["a", "b"]), 1000, 0, now()).await;
    let own = published.own.expect("the bucket works");
    assert_eq!(own, [event(1000, "a"), event(1001, "b")]);
    assert_eq!(other.poll(0).await.events, own);
    assert_eq!(other.poll(0).await.events, []);
    assert_eq!(one.poll(0).await.events, [], "its own are no news");
    assert_eq!(purges_in(&bucket).poll(0).await.events, own, "a new one");
}

#[tokio::test]
async fn a_publisher_that_finds_its_own_number_takes_a_higher_one() {
    let bucket = TestBucket::start().await;
    let (one, other) = (purges_in(&bucket), purges_in(&bucket));
    put(&one, event(500, "earlier")).await;
    put(&one, event(1001, "same")).await;
    put(&one, event(9000, "later")).await;
    let published = other.publish(&tags(&["a", "b"]), 1000, 0, now()).await;
    let numbers: Vec<u64> = published.news.iter().map(|event| event.number).collect();
    assert_eq!(numbers, [500, 1001, 9000], "applied before its own");
    let own = published.own.expect("the bucket works");
    assert_eq!(own, [event(9001, "a"), event(9002, "b")]);
    let found = one.poll(0).await.events;
    let numbers: Vec<u64> = found.iter().map(|event| event.number).collect();
    assert_eq!(
        numbers,
        [500, 1001, 9000, 9001, 9002],
        "nothing is left of the first try"
    );
}

#[tokio::test]
async fn an_object_with_an_impossible_number_is_ignored() {
    let bucket = TestBucket::start().await;
    let one = purges_in(&bucket);
    for number in [MAX_NUMBER + 1, 10_u64.pow(17), u64::MAX] {
        put(&one, event(number, "stray")).await;
    }
    let stray = "+0000000000000000009-0000000000000007";
    let written = one.objects.write(stray, &[event(9, "stray")]).await;
    written.expect("the bucket works");
    let published = one.publish(&tags(&["a"]), 1000, 0, now()).await;
    assert_eq!(published.news, []);
    assert_eq!(published.own.expect("published"), [event(1000, "a")]);
    assert_eq!(purges_in(&bucket).poll(0).await.events, [event(1000, "a")]);
}

#[tokio::test]
async fn a_purge_that_cannot_have_the_highest_number_fails() {
    let bucket = TestBucket::start().await;
    let one = purges_in(&bucket);
    put(&one, event(MAX_NUMBER, "last")).await;
    let published = one.publish(&tags(&["a"]), 1000, 0, now()).await;
    let error = published.own.expect_err("there is no number for it");
    assert!(error.to_string().contains("delete it"), "{error}");
}

/// Each publisher learns of all events, its own included, in the order of their numbers.
#[tokio::test(flavor = "multi_thread")]
async fn many_publishers_agree_on_one_order() {
    let bucket = TestBucket::start().await;
    let mut publishing = Vec::new();
    for who in 0..4_u64 {
        let purges = purges_in(&bucket);
        publishing.push(tokio::spawn(async move {
            let mut learned = Vec::new();
            for turn in 0..4 {
                let highest = learned.last().map_or(0, |event: &PurgeEvent| event.number);
                // Clocks that differ, and some that stand still.
                let first = (1000 + who * 3).max(highest + 1);
                let purge = tags(&[&format!("{who}-{turn}")]);
                let published = purges.publish(&purge, first, 0, now()).await;
                learned.extend(published.news);
                learned.extend(published.own.expect("the bucket works"));
            }
            (purges, learned)
        }));
    }
    let mut all = Vec::new();
    for replica in publishing {
        let (purges, learned) = replica.await.expect("no panic");
        all.push((purges, learned));
    }
    let finally = purges_in(&bucket).poll(0).await.events;
    assert_eq!(finally.len(), 16);
    for (purges, learned) in &mut all {
        let news = purges.poll(0).await;
        assert_eq!(news.late, []);
        learned.extend(news.events);
        // The first objects of publishers, which existed for a moment, are learned of in any order.
        learned.retain(|event| finally.contains(event));
        assert_eq!(*learned, finally);
    }
}

#[tokio::test]
async fn a_late_object_is_applied_and_published_again_if_it_stays() {
    let bucket = TestBucket::start().await;
    let (one, other) = (purges_in(&bucket), purges_in(&bucket));
    let published = one.publish(&tags(&["a"]), 100_000, 0, now()).await;
    published.own.expect("the bucket works");
    put(&one, event(99_990, "late")).await;
    let news = one.poll(0).await;
    assert_eq!(
        (news.events, news.late),
        (vec![event(99_990, "late")], vec![])
    );
    let mut late = one.poll(0).await.late;
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].purges, tags(&["late"]));
    one.retract(late.remove(0)).await;
    let news = one.poll(0).await;
    assert!(news.events.is_empty() && news.late.is_empty());
    // A replica that starts later reads what is left.
    assert_eq!(other.poll(0).await.events, [event(100_000, "a")]);
}

#[tokio::test]
async fn garbage_among_the_events_is_skipped() {
    let bucket = TestBucket::start().await;
    let purges = purges_in(&bucket);
    for (name, content) in [
        ("notes.txt", &b"mine"[..]),
        ("00000000000000000007-0000000000000007", b"\xff\n{}"),
    ] {
        let put = purges.objects.put(name, content.to_vec());
        put.await.expect("the bucket works");
    }
    put(&purges, event(8, "a")).await;
    assert_eq!(purges.poll(0).await.events, [event(8, "a")]);
    assert_eq!(purges.poll(0).await.events, []);
    assert_eq!(number_of("00000000000000000007-x"), None);
}

#[tokio::test]
async fn the_older_half_of_too_many_objects_becomes_one_soft_purge() {
    let bucket = TestBucket::start().await;
    let (mut one, other) = (purges_in(&bucket), purges_in(&bucket));
    publish_too_many(&mut one).await;
    assert_eq!(one.poll(0).await.events, []);
    let left = other.poll(0).await.events;
    let everything = Purge {
        target: Target::Everything,
        soft: true,
    };
    assert_eq!((left[0].number, &left[0].purge), (6, &everything));
    let numbers: Vec<u64> = left.iter().map(|event| event.number).collect();
    assert_eq!(numbers, [6, 7, 8, 9, 10, 11]);
    assert_eq!(one.poll(0).await.events, [], "it knows its own");
}

#[tokio::test]
async fn a_number_below_one_that_was_never_published_is_late() {
    let bucket = TestBucket::start().await;
    let (one, other) = (purges_in(&bucket), purges_in(&bucket));
    assert_eq!(one.poll(0).await.events, []);
    let published = other.publish(&tags(&["a"]), 1000, 0, now()).await;
    published.own.expect("the bucket works");
    let news = one.poll(2000).await;
    assert_eq!((news.events, news.late), (vec![event(1000, "a")], vec![]));
    let late = one.poll(2000).await.late;
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].purges, tags(&["a"]));
}

#[tokio::test]
async fn a_folded_event_is_not_published_again() {
    let bucket = TestBucket::start().await;
    let (mut one, other) = (purges_in(&bucket), purges_in(&bucket));
    publish_too_many(&mut one).await;
    assert_eq!(other.poll(0).await.events.len(), 11);
    one.poll(0).await;
    let folded = other.poll(0).await.events;
    assert!(folded.len() == 1 && folded[0].folded, "{folded:?}");
    assert_eq!(other.poll(0).await.late, []);
}

#[tokio::test]
async fn purges_are_loaded_when_they_are_applied() {
    let bucket = TestBucket::start().await;
    let one = purges_in(&bucket);
    bucket.set(Mood::Refusing(503));
    one.poll(0).await;
    one.mark_loaded();
    assert!(!one.is_loaded(), "there was nothing to apply");
    bucket.set(Mood::Fine);
    one.poll(0).await;
    assert!(!one.is_loaded());
    one.mark_loaded();
    assert!(one.is_loaded());
}
