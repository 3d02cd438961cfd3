//! Purges in the bucket, so that every replica learns of each within seconds.
//!
//! What one publishes is one object, `purges/<number, 20 digits>-<random, 16 hex digits>`: the events of one call, a line each, numbered in a row;
//! the name has the last number. No store's conditional writes are needed, only that a listing shows what was written before it began (which S3,
//! SeaweedFS and Garage promise). Three rules keep numbers and time in step:
//!
//! - A publisher writes its object first and lists then. If it finds one, known or not, that is numbered as high as its own first event or higher, it
//!   writes its object again, with numbers above all it found, deletes the first one, and lists again. It applies what it found before its own, and
//!   its own last.
//! - So of two events, the later in number is written while the earlier can be seen: any listing that shows the later one shows the earlier one, and
//!   every replica learns events in the order of their numbers. Whatever was fetched before a replica learns of an event has a lower generation.
//!   (Deleted before it is written again, an object that some have seen would for a moment be seen by nobody who takes a number.)
//! - Every replica lists every two seconds, beginning a minute before the highest number that it knows. What it finds there that is new and
//!   numbered below what it knows (its publisher died between writing and writing again, a clock is far behind, or this one gave out a number that it
//!   could not publish) is applied, and, if it is still there at the next look, published again under a number above all. That purges some things
//!   twice, and misses nothing.
//!
//! A purge whose publication failed holds here, and is published again until that succeeds. When there are more than 10,000 objects, the older half
//! becomes one soft purge of everything, numbered as the last of them: what memory does with its events as well.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Mutex;

use super::purge_objects::PurgeObjects;
use super::purge_objects::name_of;
use super::purge_objects::number_of;
use super::purge_objects::random;
use crate::bucket::Bucket;
use crate::bucket::BucketError;
use crate::cache::purge::Event;
use crate::cache::purge::MOST;
use crate::cache::purge::Purge;
use crate::cache::purge::Target;

/// How far before the highest known number is looked for what came late. Numbers are milliseconds, so this is a minute.
const OVERLAP: u64 = 60_000;

/// How often one publishes again because others came in between.
const TRIES: u32 = 10;

/// Events that are read at once.
const READERS: usize = 16;

pub(in crate::cache) struct SharedPurges {
    objects: PurgeObjects,
    /// Objects that there may be before the older half becomes one.
    most: usize,
    state: Mutex<State>,
    is_failing: AtomicBool,
    is_loaded: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Names of objects whose events are known.
    seen: BTreeSet<String>,
    /// Whether all that there is was looked at once.
    is_loaded: bool,
    /// What came late at the last look.
    late: BTreeSet<String>,
    /// Whether this one published since the last look at how many there are.
    has_published: bool,
}

/// What others published.
#[derive(Debug, Default)]
pub(in crate::cache) struct News {
    /// By number.
    pub events: Vec<Event>,
    pub late: Vec<Late>,
}

/// What came late, is known by now, and must be published again.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cache) struct Late {
    name: String,
    pub purges: Vec<Purge>,
}

/// What came of publishing.
pub(in crate::cache) struct Published {
    /// What others published before, by number: to be applied first.
    pub news: Vec<Event>,
    /// As they are known to all.
    pub own: Result<Vec<Event>, BucketError>,
}

impl SharedPurges {
    /// `folder` begins the names of all objects here.
    pub(super) fn new(bucket: Arc<Bucket>, folder: String) -> Self {
        SharedPurges {
            objects: PurgeObjects::new(bucket, folder),
            most: MOST,
            state: Mutex::default(),
            is_failing: AtomicBool::new(false),
            is_loaded: AtomicBool::new(false),
        }
    }

    /// Publishes purges under numbers above all that there are: `first`, if it is. `known` is the highest number that this replica knows.
    pub(in crate::cache) async fn publish(
        &self,
        purges: &[Purge],
        mut first: u64,
        known: u64,
        now: SystemTime,
    ) -> Published {
        let mut state = self.state.lock().await;
        let mut news = Vec::new();
        let mut before: Option<String> = None;
        let own = async {
            for tries in 0..TRIES {
                // So that two that met do not meet again.
                tokio::time::sleep(Duration::from_millis(random() % 20 * u64::from(tries))).await;
                let own = numbered(purges, first, now);
                let last = own.last().map_or(first, |event| event.number);
                let name = name_of(last);
                self.objects.write(&name, &own).await?;
                if let Some(before) = before.take() {
                    self.objects.delete(&before).await?;
                }
                news.extend(self.look(&mut state, Some(&name), known).await?.events);
                let highest = state.seen.last().and_then(|name| number_of(name));
                match highest.filter(|highest| *highest >= first) {
                    None => {
                        state.seen.insert(name);
                        state.has_published = true;
                        return Ok(own);
                    }
                    Some(highest) => {
                        before = Some(name);
                        first = highest.max(last) + 1;
                    }
                }
            }
            Err(self
                .objects
                .broken("others published at the same time, again and again"))
        }
        .await;
        Published { news, own }
    }

    /// What others published since the last look. `known` is the highest number that this replica knows.
    pub(in crate::cache) async fn news(&self, known: u64) -> News {
        let mut state = self.state.lock().await;
        let looked = match self.look(&mut state, None, known).await {
            Ok(news) => {
                // What is new is known by now, whatever becomes of what is old.
                if let Err(error) = self.shorten(&mut state).await {
                    tracing::debug!(%error, "the purges in the shared bucket stay as many as they are");
                }
                Ok(news)
            }
            Err(error) => Err(error),
        };
        let was_failing = self.is_failing.swap(looked.is_err(), Ordering::Relaxed);
        match looked {
            Ok(news) => {
                if was_failing {
                    tracing::info!("purges of other replicas can be looked for again");
                }
                news
            }
            Err(error) => {
                if !was_failing {
                    tracing::error!(%error, "cannot look for purges of other replicas, trying on");
                }
                News::default()
            }
        }
    }

    /// Deletes what came late, after it was published again.
    pub(in crate::cache) async fn retract(&self, late: Late) {
        if let Err(error) = self.objects.delete(&late.name).await {
            tracing::debug!(%error, "an event that came late stays where it is");
        }
    }

    /// What was new at the last look is applied by now.
    pub(in crate::cache) fn note_applied(&self) {
        if !self.is_failing() {
            self.is_loaded.store(true, Ordering::Release);
        }
    }

    /// Whether it is known what was purged before the start.
    pub(in crate::cache) fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// Whether the last look failed.
    pub(in crate::cache) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Looks at everything that is new, but for what is called `own`. What cannot be read is new at the next look.
    async fn look(
        &self,
        state: &mut State,
        own: Option<&str>,
        known: u64,
    ) -> Result<News, BucketError> {
        let highest = state.seen.last().and_then(|name| number_of(name));
        let begin = highest.filter(|_| state.is_loaded).map(|highest| {
            // What came late is looked at once more, however late that was.
            let late = state.late.first().and_then(|name| number_of(name));
            let begin = highest.saturating_sub(OVERLAP);
            format!("{:020}", late.map_or(begin, |late| late.min(begin)))
        });
        let mut listed = self.objects.names(begin.as_deref()).await?;
        if let Some(own) = own {
            listed.remove(own);
        }
        let unknown: Vec<String> = listed.difference(&state.seen).cloned().collect();
        let mut reading = stream::iter(unknown)
            .map(async |name| (self.objects.read(&name).await, name))
            .buffered(READERS);
        let mut found = BTreeMap::new();
        while let Some((events, name)) = reading.next().await {
            if let Some(events) = events? {
                found.insert(name, events);
            }
        }
        drop(reading);

        let mut news = News::default();
        if own.is_none() {
            // Known since the last look, and read again: there are few, and never for long.
            for name in state.late.intersection(&listed) {
                if let Some(events) = self.objects.read(name).await? {
                    let purges = events.into_iter().map(|event| event.purge).collect();
                    let name = name.clone();
                    news.late.push(Late { name, purges });
                }
            }
            state.late.clear();
        }
        let known = highest.unwrap_or_default().max(known);
        for (name, events) in found {
            // What stands for many was put where they were.
            let is_late = |event: &Event| event.number <= known && !event.folded;
            if state.is_loaded && events.first().is_some_and(is_late) {
                state.late.insert(name.clone());
            }
            state.seen.insert(name);
            news.events.extend(events);
        }
        // What was deleted is not counted any more.
        let begin = begin.unwrap_or_default();
        state
            .seen
            .retain(|name| *name <= begin || listed.contains(name));
        state.is_loaded = true;
        news.events.sort_by_key(|event| event.number);
        Ok(news)
    }

    /// Makes one soft purge of everything of the older half, where there are too many.
    async fn shorten(&self, state: &mut State) -> Result<(), BucketError> {
        let is_due = state.seen.len() > self.most && std::mem::take(&mut state.has_published);
        if !is_due {
            return Ok(());
        }
        let count = state.seen.len() - self.most / 2;
        let older: Vec<String> = state.seen.iter().take(count).cloned().collect();
        let Some(number) = older.last().and_then(|name| number_of(name)) else {
            return Ok(());
        };
        let event = Event {
            number,
            at: number / 1000,
            purge: Purge {
                target: Target::Everything,
                soft: true,
            },
            folded: true,
        };
        let name = name_of(number);
        self.objects.write(&name, &[event]).await?;
        self.objects.delete_many(&older).await?;
        for name in &older {
            state.seen.remove(name);
        }
        state.seen.insert(name);
        Ok(())
    }
}

fn numbered(purges: &[Purge], first: u64, now: SystemTime) -> Vec<Event> {
    let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let numbers = first..;
    numbers
        .zip(purges)
        .map(|(number, purge)| Event {
            number,
            at,
            purge: purge.clone(),
            folded: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;
    use std::time::SystemTime;
    use std::time::UNIX_EPOCH;

    use super::Event;
    use super::Purge;
    use super::SharedPurges;
    use super::Target;
    use super::number_of;
    use crate::bucket::Bucket;
    use crate::cache::shared::TIMEOUTS;
    use crate::cache::tests::bucket::Mood;
    use crate::cache::tests::bucket::TestBucket;
    use crate::freshness::Tag;

    const NOW: u64 = 1_767_225_600;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn purges_in(bucket: &TestBucket) -> SharedPurges {
        let bucket = Bucket::open(&bucket.config(), TIMEOUTS).expect("the settings are right");
        SharedPurges::new(Arc::new(bucket), "safelight/purges/".to_owned())
    }

    fn tags(tags: &[&str]) -> Vec<Purge> {
        let tags = tags
            .iter()
            .map(|tag| Target::Tag(Tag::new(tag).expect("a tag")));
        tags.map(Purge::hard).collect()
    }

    fn event(number: u64, tag: &str) -> Event {
        Event {
            number,
            at: NOW,
            purge: tags(&[tag]).remove(0),
            folded: false,
        }
    }

    async fn put(purges: &SharedPurges, event: Event) {
        let name = format!("{:020}-{:016x}", event.number, 7);
        let written = purges.objects.write(&name, &[event]).await;
        written.expect("the bucket works");
    }

    #[tokio::test]
    async fn what_one_publishes_the_others_hear_once() {
        let bucket = TestBucket::start().await;
        let (one, other) = (purges_in(&bucket), purges_in(&bucket));
        assert_eq!(other.news(0).await.events, []);
        let published = one.publish(&tags(&["a", "b"]), 1000, 0, now()).await;
        let own = published.own.expect("the bucket works");
        assert_eq!(own, [event(1000, "a"), event(1001, "b")]);
        assert_eq!(other.news(0).await.events, own);
        assert_eq!(other.news(0).await.events, []);
        assert_eq!(one.news(0).await.events, [], "its own are no news");
        assert_eq!(purges_in(&bucket).news(0).await.events, own, "a new one");
    }

    #[tokio::test]
    async fn who_finds_a_number_as_high_as_its_own_takes_one_above_all() {
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
        let found = one.news(0).await.events;
        let numbers: Vec<u64> = found.iter().map(|event| event.number).collect();
        assert_eq!(
            numbers,
            [500, 1001, 9000, 9001, 9002],
            "nothing is left of the first try"
        );
    }

    /// Each learns of all, in the order of their numbers, its own included.
    #[tokio::test(flavor = "multi_thread")]
    async fn many_publishers_at_once_end_with_one_order() {
        let bucket = TestBucket::start().await;
        let mut publishing = Vec::new();
        for who in 0..4_u64 {
            let purges = purges_in(&bucket);
            publishing.push(tokio::spawn(async move {
                let mut learned = Vec::new();
                for turn in 0..4 {
                    let highest = learned.last().map_or(0, |event: &Event| event.number);
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
        let finally = purges_in(&bucket).news(0).await.events;
        assert_eq!(finally.len(), 16);
        for (purges, learned) in &mut all {
            let news = purges.news(0).await;
            assert_eq!(news.late, []);
            learned.extend(news.events);
            // First tries, which were seen for a moment, come in any order.
            learned.retain(|event| finally.contains(event));
            assert_eq!(*learned, finally);
        }
    }

    #[tokio::test]
    async fn what_comes_late_is_heard_and_published_again_if_it_stays() {
        let bucket = TestBucket::start().await;
        let (one, other) = (purges_in(&bucket), purges_in(&bucket));
        let published = one.publish(&tags(&["a"]), 100_000, 0, now()).await;
        published.own.expect("the bucket works");
        put(&one, event(99_990, "late")).await;
        let news = one.news(0).await;
        assert_eq!(
            (news.events, news.late),
            (vec![event(99_990, "late")], vec![])
        );
        let mut late = one.news(0).await.late;
        assert_eq!(late.len(), 1);
        assert_eq!(late[0].purges, tags(&["late"]));
        one.retract(late.remove(0)).await;
        let news = one.news(0).await;
        assert!(news.events.is_empty() && news.late.is_empty());
        // Whoever comes later hears what is left.
        assert_eq!(other.news(0).await.events, [event(100_000, "a")]);
    }

    #[tokio::test]
    async fn garbage_among_the_events_costs_nothing_else() {
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
        assert_eq!(purges.news(0).await.events, [event(8, "a")]);
        assert_eq!(purges.news(0).await.events, []);
        assert_eq!(number_of("00000000000000000007-x"), None);
    }

    #[tokio::test]
    async fn too_many_become_one_soft_purge_of_everything_and_the_newer_half() {
        let bucket = TestBucket::start().await;
        let (mut one, other) = (purges_in(&bucket), purges_in(&bucket));
        one.most = 10;
        for number in 1..=11 {
            let published = one.publish(&tags(&["a"]), number, 0, now()).await;
            published.own.expect("the bucket works");
        }
        assert_eq!(one.news(0).await.events, []);
        let left = other.news(0).await.events;
        let everything = Purge {
            target: Target::Everything,
            soft: true,
        };
        assert_eq!((left[0].number, &left[0].purge), (6, &everything));
        let numbers: Vec<u64> = left.iter().map(|event| event.number).collect();
        assert_eq!(numbers, [6, 7, 8, 9, 10, 11]);
        assert_eq!(one.news(0).await.events, [], "it knows its own");
    }

    #[tokio::test]
    async fn what_is_numbered_below_a_number_that_was_never_published_comes_late() {
        let bucket = TestBucket::start().await;
        let (one, other) = (purges_in(&bucket), purges_in(&bucket));
        assert_eq!(one.news(0).await.events, []);
        let published = other.publish(&tags(&["a"]), 1000, 0, now()).await;
        published.own.expect("the bucket works");
        let news = one.news(2000).await;
        assert_eq!((news.events, news.late), (vec![event(1000, "a")], vec![]));
        let late = one.news(2000).await.late;
        assert_eq!(late.len(), 1);
        assert_eq!(late[0].purges, tags(&["a"]));
    }

    #[tokio::test]
    async fn what_stands_for_many_is_not_published_again() {
        let bucket = TestBucket::start().await;
        let (mut one, other) = (purges_in(&bucket), purges_in(&bucket));
        one.most = 10;
        for number in 1..=11 {
            let published = one.publish(&tags(&["a"]), number, 0, now()).await;
            published.own.expect("the bucket works");
        }
        assert_eq!(other.news(0).await.events.len(), 11);
        one.news(0).await;
        let folded = other.news(0).await.events;
        assert!(folded.len() == 1 && folded[0].folded, "{folded:?}");
        assert_eq!(other.news(0).await.late, []);
    }

    #[tokio::test]
    async fn nothing_is_loaded_before_it_is_applied() {
        let bucket = TestBucket::start().await;
        let one = purges_in(&bucket);
        bucket.set(Mood::Refusing(503));
        one.news(0).await;
        one.note_applied();
        assert!(!one.is_loaded(), "there was nothing to apply");
        bucket.set(Mood::Fine);
        one.news(0).await;
        assert!(!one.is_loaded());
        one.note_applied();
        assert!(one.is_loaded());
    }
}
