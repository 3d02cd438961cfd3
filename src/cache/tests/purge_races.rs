//! Ways in which something that was purged might come back: answers that were under way, disks that were off, purges that were folded.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::cache::purge::log::{MAX_EVENTS, PurgeEvent};
use crate::cache::tests::sources::{HOUR, Origin, fetched, get, not_modified, validators};
use crate::cache::tests::{
    FlightResult, Rendered, TestError, folder, in_memory, no_flights, open, purge, render,
};
use crate::cache::{
    Cache, CacheStatus, CachedSource, DiskFault, Purge, PurgeError, RenditionKey, SourceName,
    SourceRecord, Stale, Target, Tier,
};
use crate::freshness::{Tag, Validators};
use crate::source::FetchOutcome;

fn this() -> Target {
    Target::Source(SourceName::numbered(1).key)
}

/// Purges other sources, so many times.
fn purge_others(cache: &Cache, count: usize) {
    for number in 0..count {
        let tag = Tag::new(&format!("t{number}")).expect("a tag");
        let purge = Purge::hard(Target::Tag(tag));
        let event = cache.purges.next(purge, cache.clock.now());
        assert!(cache.purges.learn(event));
    }
}

/// Parses the stored form of a record, as if it had been on disk until now, and stores it again.
async fn find_again(cache: &Cache, record: &Arc<SourceRecord>) {
    let key = SourceName::numbered(1).key;
    let stored = record.to_stored().expect("plain data");
    let found = SourceRecord::from_stored(&stored).expect("it may be stored");
    cache.memory.insert_record(key, Arc::new(found)).await;
}

async fn get_failing(cache: &Arc<Cache>, status: u32) -> FlightResult<CachedSource> {
    let fetch = move |_| std::future::ready(Err(TestError::Broken(status)));
    cache.get_or_fetch(&SourceName::numbered(1), fetch).await
}

#[tokio::test]
async fn after_old_purges_were_folded_a_source_is_fetched_without_validators() {
    for soft in [false, true] {
        let (cache, origin) = (in_memory().await, Origin::default());
        let before = get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
        purge(&cache, this(), soft).await;
        purge_others(&cache, MAX_EVENTS);
        assert!(cache.purges.events().len() < MAX_EVENTS);
        origin.asked();
        // Nobody knows any more whether the purge was hard: the source is not served stale, and no "not modified" can renew it.
        find_again(&cache, &before.record).await;
        assert!(get_failing(&cache, 503).await.is_err(), "soft: {soft}");
        find_again(&cache, &before.record).await;
        let after = get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
        assert_eq!(after.outcome, CacheStatus::Miss, "soft: {soft}");
        assert_eq!(origin.asked(), [None], "soft: {soft}");
        let again = get(&cache, &origin, fetched("never", "", Duration::ZERO)).await;
        assert_eq!(
            again.outcome,
            CacheStatus::Hit(Tier::Memory),
            "soft: {soft}"
        );
    }
}

#[tokio::test]
async fn recent_purges_stay_hard_or_soft_after_old_ones_were_folded() {
    for soft in [false, true] {
        let (cache, origin) = (in_memory().await, Origin::default());
        purge_others(&cache, MAX_EVENTS + 1);
        // After the purges that were folded into one.
        let record = get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
        purge_others(&cache, 10);
        let kept = get(&cache, &origin, fetched("never", "", Duration::ZERO)).await;
        assert_eq!(
            kept.outcome,
            CacheStatus::Hit(Tier::Memory),
            "it does not count as purged"
        );
        purge(&cache, this(), soft).await;
        purge_others(&cache, 10);
        find_again(&cache, &record.record).await;
        let standing = get_failing(&cache, 503).await;
        no_flights(&cache).await;
        assert_eq!(standing.is_ok(), soft);
        if soft {
            let standing = standing.expect("just seen");
            assert_eq!(standing.stale, Some(Stale::Revalidating));
            cache.clock.advance(10);
            origin.asked();
            get(&cache, &origin, not_modified("")).await;
            no_flights(&cache).await;
            assert_eq!(origin.asked(), [Some(validators("\"1\""))]);
        } else {
            origin.asked();
            get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
            assert_eq!(origin.asked(), [None]);
        }
        let again = get(&cache, &origin, fetched("never", "", Duration::ZERO)).await;
        assert_eq!(
            (again.outcome, again.stale),
            (CacheStatus::Hit(Tier::Memory), None)
        );
    }
}

/// Asks an origin that answers when the test allows it.
fn ask(
    cache: &Arc<Cache>,
    answer: Result<FetchOutcome, TestError>,
) -> (
    JoinHandle<FlightResult<CachedSource>>,
    Arc<Notify>,
    Arc<Notify>,
) {
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (cache, tell, gate) = (Arc::clone(cache), Arc::clone(&asked), Arc::clone(&go_on));
    let fetch = move |_: Option<Validators>| async move {
        tell.notify_one();
        gate.notified().await;
        answer
    };
    let asking =
        tokio::spawn(async move { cache.get_or_fetch(&SourceName::numbered(1), fetch).await });
    (asking, asked, go_on)
}

#[tokio::test]
async fn a_not_modified_that_arrives_after_a_purge_does_not_renew_the_record() {
    for soft in [false, true] {
        for target in [this(), Target::Everything] {
            let place = folder();
            let (cache, origin) = (open(place.path()).await, Origin::default());
            get(&cache, &origin, fetched("one", "", 3 * HOUR)).await;
            cache.flush().await;
            origin.asked();
            let (asking, asked, go_on) = ask(&cache, Ok(not_modified("")));
            asked.notified().await;
            purge(&cache, target.clone(), soft).await;
            go_on.notify_one();
            let own = asking.await.expect("no panic").expect("the origin answers");
            assert_eq!(
                own.outcome,
                CacheStatus::Revalidated,
                "for the request before the purge"
            );
            for memory in [true, false] {
                if !memory {
                    cache.flush().await;
                    cache.memory.clear();
                }
                let record = cache.get_record(&SourceName::numbered(1).key).await;
                let is_fresh =
                    record.is_some_and(|record| record.freshness.is_fresh(cache.clock.now()));
                assert!(!is_fresh, "soft: {soft}, memory: {memory}, {target:?}");
            }
            get(&cache, &origin, fetched("two", "", Duration::ZERO)).await;
            no_flights(&cache).await;
            let known = soft.then(|| validators("\"1\""));
            assert_eq!(origin.asked(), [known], "soft: {soft}, {target:?}");
            let after = get(&cache, &origin, fetched("never", "", Duration::ZERO)).await;
            let bytes = cache
                .source_bytes(&SourceName::numbered(1).key, &after.record)
                .await;
            assert_eq!(bytes, Some(Bytes::from("two")), "soft: {soft}");
        }
    }
}

#[tokio::test]
async fn an_error_that_arrives_after_a_purge_is_not_stored() {
    let (cache, origin) = (in_memory().await, Origin::default());
    let (asking, asked, go_on) = ask(&cache, Err(TestError::Broken(404)));
    asked.notified().await;
    purge(&cache, this(), false).await;
    go_on.notify_one();
    assert!(asking.await.expect("no panic").is_err());
    let after = get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
    assert_eq!(after.outcome, CacheStatus::Miss);
}

#[tokio::test]
async fn a_failed_render_is_tried_again_after_a_purge() {
    let (cache, key) = (in_memory().await, RenditionKey::numbered(1));
    let fail = async || {
        let render = async { Rendered::Err(TestError::Broken(415).into()) };
        let failed = cache.get_or_render(key, true, render).await;
        failed.expect_err("it fails").since
    };
    assert_eq!(fail().await, None);
    assert!(fail().await.is_some(), "told again");
    purge(&cache, this(), false).await;
    assert_eq!(fail().await, None, "tried again");
}

/// A folder of a disk that can be removed and brought back.
struct Removable {
    folder: TempDir,
}

impl Removable {
    fn new() -> Self {
        Removable { folder: folder() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn away(&self) -> PathBuf {
        self.folder.path().join("away")
    }

    fn take_away(&self) {
        fs::rename(self.path(), self.away()).expect("the test may write to its folders");
        fs::write(self.path(), "in the way").expect("the test may write to its folder");
    }

    fn bring_back(&self) {
        fs::remove_file(self.path()).expect("the test may write to its file");
        fs::rename(self.away(), self.path()).expect("the test may write to its folders");
    }
}

fn fault(cache: &Cache) -> [Option<DiskFault>; 2] {
    let stats = cache.stats();
    [stats.disk_renditions, stats.disk_sources].map(|disk| disk.expect("a disk tier").fault)
}

/// Returns when both stores are off, or both in use.
async fn until(cache: &Arc<Cache>, off: bool) {
    for number in 1000.. {
        if fault(cache).map(|fault| fault.is_some()) == [off; 2] {
            return;
        }
        render(cache, RenditionKey::numbered(number), b"picture").await;
        let name = SourceName::numbered(number);
        let answer = fetched("other", "", Duration::ZERO);
        let fetch = move |_| std::future::ready(Ok::<_, TestError>(answer));
        cache.get_or_fetch(&name, fetch).await.expect("it answers");
        cache.flush().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_while_the_disk_is_off_does_not_come_back() {
    for status in [200, 404] {
        let (disk, origin) = (Removable::new(), Origin::default());
        let cache = open(&disk.path()).await;
        let terms = "max-age=7200, stale-while-revalidate=0, stale-if-error=864000";
        get(&cache, &origin, fetched("one", terms, 3 * HOUR)).await;
        cache.flush().await;
        disk.take_away();
        until(&cache, true).await;
        // Its origin does not have it any more, or does not allow it to be stored any more.
        if status == 404 {
            assert!(get_failing(&cache, 404).await.is_err());
        } else {
            let found = get(&cache, &origin, not_modified("no-store")).await;
            assert_eq!(found.outcome, CacheStatus::Revalidated);
        }
        cache.flush().await;
        disk.bring_back();
        until(&cache, false).await;
        cache.memory.clear();
        let key = SourceName::numbered(1).key;
        assert_eq!(cache.get_record(&key).await, None, "{status}");
        drop(cache);
        let cache = open(&disk.path()).await;
        cache.flush().await;
        assert_eq!(cache.get_record(&key).await, None, "{status}, later");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_purged_while_the_disk_is_off_does_not_come_back() {
    let (disk, origin) = (Removable::new(), Origin::default());
    let cache = open(&disk.path()).await;
    let first = get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
    let name = SourceName::numbered(1);
    let key = RenditionKey::numbered_in(&name.key, first.record.state());
    render(&cache, key, b"picture").await;
    cache.flush().await;
    disk.take_away();
    until(&cache, true).await;
    let error = cache
        .purge(vec![Purge::hard(this())])
        .await
        .expect_err("it cannot be written down");
    assert!(matches!(error, PurgeError::Journal(_)), "{error}");
    disk.bring_back();
    until(&cache, false).await;
    cache.memory.clear();
    let again = get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
    assert_eq!(again.outcome, CacheStatus::Miss);
    let newer = RenditionKey::numbered_in(&name.key, again.record.state());
    assert_ne!(newer, key);
    assert!(cache.find(newer).await.is_none());
}

#[tokio::test]
async fn an_entry_that_is_removed_before_it_is_written_is_not_found() {
    for status in [200, 404] {
        let (place, origin) = (folder(), Origin::default());
        let cache = open(place.path()).await;
        cache.flush().await;
        let key = SourceName::numbered(1).key;
        let disk = cache.sources.as_ref().expect("a disk tier");
        for full in [false, true] {
            let body = Bytes::from_static(b"x");
            let others = if full { 1021 } else { 10 };
            get(&cache, &origin, fetched("one", "", 3 * HOUR)).await;
            cache.memory.clear();
            // There is one thread, so nothing is written before the next await, or everything that waits is written before this.
            for number in 0..others {
                disk.put(crate::cache::tests::key(number), Vec::new(), body.clone());
            }
            if status == 404 {
                assert!(get_failing(&cache, 404).await.is_err());
            } else {
                get(&cache, &origin, fetched("two", "no-store", Duration::ZERO)).await;
            }
            for _ in 0..200 {
                assert_eq!(cache.get_record(&key).await, None, "{status} {full}");
                tokio::task::yield_now().await;
            }
            cache.flush().await;
            assert_eq!(cache.get_record(&key).await, None, "{status} {full}");
            cache.clock.advance(3600);
        }
    }
}

#[tokio::test]
async fn an_entry_that_is_written_after_its_removal_is_found() {
    let (place, origin) = (folder(), Origin::default());
    let cache = open(place.path()).await;
    for _ in 0..10 {
        get(&cache, &origin, fetched("one", "", 3 * HOUR)).await;
        get(&cache, &origin, fetched("two", "no-store", Duration::ZERO)).await;
        let last = get(&cache, &origin, fetched("three", "", Duration::ZERO)).await;
        cache.flush().await;
        cache.memory.clear();
        let kept = cache.get_record(&SourceName::numbered(1).key).await;
        assert_eq!(kept, Some(last.record));
        purge(&cache, this(), false).await;
    }
}

#[tokio::test]
async fn a_source_that_a_clock_ahead_may_have_purged_is_not_served_stale() {
    let (cache, origin) = (in_memory().await, Origin::default());
    get(&cache, &origin, fetched("one", "", Duration::ZERO)).await;
    let later = cache.clock.now() + HOUR;
    let purge = Purge {
        target: Target::Everything,
        soft: true,
    };
    let event = cache.purges.next(purge, later);
    let folded = true;
    assert!(cache.purges.learn(PurgeEvent { folded, ..event }));
    assert!(get_failing(&cache, 503).await.is_err());
}
