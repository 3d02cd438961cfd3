//! Purges in the bucket, so that every replica learns of each within seconds.
//!
//! What one publishes is one object, `purges/<number, 20 digits>-<random, 16 hex digits>`: the events of one call, a line each, numbered in a row;
//! the name has the last number. No store's conditional writes are needed, only that a listing shows what was written before it began (which S3,
//! SeaweedFS and Garage promise). Three rules keep numbers and time in step:
//!
//! - A publisher writes its object first and lists then. If it finds one, known or not, that is numbered as high as its own first event or higher, it
//!   deletes its object and writes it again with numbers above all it found. It applies what it found before its own, and its own last.
//! - So of two events, the later in number is written while the earlier can be seen: any listing that shows the later one shows the earlier one, and
//!   every replica learns events in the order of their numbers. Whatever was fetched before a replica learns of an event has a lower generation.
//! - Every replica lists every two seconds, beginning a minute before the highest number that it knows. What it finds there that is new and
//!   numbered below what it knows (its publisher died between writing and writing again, or a clock is far behind) is applied, and, if it is still there at
//!   the next look, published again under a number above all. That purges some things twice, and misses nothing.
//!
//! A purge whose publication failed holds here, and is published again until that succeeds. When there are more than 10,000 objects, the older half
//! becomes one soft purge of everything, numbered as the last of them: what memory does with its events as well.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::read_object;
use crate::bucket::Bucket;
use crate::bucket::BucketError;
use crate::bucket::BucketProblem;
use crate::cache::purge::Event;
use crate::cache::purge::MOST;
use crate::cache::purge::Purge;
use crate::cache::purge::Target;

/// How long one request may take. Nobody but an operator waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far before the highest known number is looked for what came late. Numbers are milliseconds, so this is a minute.
const OVERLAP: u64 = 60_000;

/// How often one publishes again because others came in between.
const TRIES: u32 = 10;

/// Events that are read at once.
const READERS: usize = 16;

/// Longest object that is read, in bytes: some ten thousand purges.
const LONGEST: u64 = 4 << 20;

pub(in crate::cache) struct SharedPurges {
    bucket: Arc<Bucket>,
    /// Ends with a slash.
    folder: String,
    state: Mutex<State>,
    is_failing: AtomicBool,
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
            bucket,
            folder,
            state: Mutex::default(),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Publishes purges under numbers above all that there are: `first`, if it is.
    pub(in crate::cache) async fn publish(
        &self,
        purges: &[Purge],
        mut first: u64,
        now: SystemTime,
    ) -> Published {
        let mut state = self.state.lock().await;
        let mut news = Vec::new();
        let own = async {
            for tries in 0..TRIES {
                // So that two that met do not meet again.
                tokio::time::sleep(Duration::from_millis(random() % 20 * u64::from(tries))).await;
                let own = numbered(purges, first, now);
                let last = own.last().map_or(first, |event| event.number);
                let name = format!("{last:020}-{:016x}", random());
                self.bounded(self.bucket.put(&self.key(&name), vec![lines(&own).into()]))
                    .await?;
                news.extend(self.look(&mut state, Some(&name)).await?.events);
                let highest = state.seen.last().and_then(|name| number_of(name));
                match highest.filter(|highest| *highest >= first) {
                    None => {
                        state.seen.insert(name);
                        state.has_published = true;
                        return Ok(own);
                    }
                    Some(highest) => {
                        self.bounded(self.bucket.delete(vec![self.key(&name)]))
                            .await?;
                        first = highest + 1;
                    }
                }
            }
            Err(self.broken("others published at the same time, again and again"))
        }
        .await;
        Published { news, own }
    }

    /// What others published since the last look.
    pub(in crate::cache) async fn news(&self) -> News {
        let mut state = self.state.lock().await;
        let looked = match self.look(&mut state, None).await {
            Ok(news) => self.shorten(&mut state).await.map(|()| news),
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
        let deleted = self
            .bounded(self.bucket.delete(vec![self.key(&late.name)]))
            .await;
        if let Err(error) = deleted {
            tracing::debug!(%error, "an event that came late stays where it is");
        }
    }

    /// Whether the last look failed.
    pub(in crate::cache) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Looks at everything that is new, but for what is called `own`. What cannot be read is new at the next look.
    async fn look(&self, state: &mut State, own: Option<&str>) -> Result<News, BucketError> {
        let highest = state.seen.last().and_then(|name| number_of(name));
        let begin = highest
            .filter(|_| state.is_loaded)
            .map(|highest| format!("{:020}", highest.saturating_sub(OVERLAP)));
        let mut listed = BTreeSet::new();
        let mut after = begin.as_deref().map(|begin| self.key(begin));
        loop {
            let list = self.bucket.list(&self.folder, after.as_deref());
            let page = self.bounded(list).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            let names = page.iter().filter_map(|key| key.strip_prefix(&self.folder));
            listed.extend(
                names
                    .filter(|name| number_of(name).is_some() && Some(*name) != own)
                    .map(str::to_owned),
            );
        }
        let unknown: Vec<String> = listed.difference(&state.seen).cloned().collect();
        let mut reading = stream::iter(unknown)
            .map(async |name| (self.read(&name).await, name))
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
                if let Some(events) = self.read(name).await? {
                    let purges = events.into_iter().map(|event| event.purge).collect();
                    let name = name.clone();
                    news.late.push(Late { name, purges });
                }
            }
            state.late.clear();
        }
        for (name, events) in found {
            if state.is_loaded && highest.is_some() && number_of(&name) <= highest {
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

    /// The events of an object; `None` if it is gone.
    async fn read(&self, name: &str) -> Result<Option<Vec<Event>>, BucketError> {
        let key = self.key(name);
        match self.bounded(read_object(&self.bucket, &key, LONGEST)).await {
            Ok(text) => {
                let lines = text.split(|byte| *byte == b'\n');
                let lines = lines.filter(|line| !line.is_empty());
                let events: Vec<Event> = lines
                    .filter_map(|line| serde_json::from_slice(line).ok())
                    .collect();
                if events.is_empty() {
                    tracing::warn!(
                        name,
                        "an object among the purges holds none that is understood"
                    );
                }
                Ok(Some(events))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes one soft purge of everything of the older half, where there are too many.
    async fn shorten(&self, state: &mut State) -> Result<(), BucketError> {
        let is_due = state.seen.len() > MOST && std::mem::take(&mut state.has_published);
        if !is_due {
            return Ok(());
        }
        let count = state.seen.len() - MOST / 2;
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
        };
        let name = format!("{number:020}-{:016x}", random());
        let text = lines(&[event]).into();
        self.bounded(self.bucket.put(&self.key(&name), vec![text]))
            .await?;
        let keys = older.iter().map(|name| self.key(name)).collect();
        // Thousands at once take their time.
        self.bucket.delete(keys).await?;
        for name in &older {
            state.seen.remove(name);
        }
        state.seen.insert(name);
        Ok(())
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        match timeout(PATIENCE, work).await {
            Ok(done) => done,
            Err(_) => Err(BucketError {
                bucket: self.bucket.name().to_owned(),
                problem: BucketProblem::Timeout,
            }),
        }
    }

    fn broken(&self, reason: &str) -> BucketError {
        BucketError {
            bucket: self.bucket.name().to_owned(),
            problem: BucketProblem::BrokenOff(reason.to_owned()),
        }
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
        })
        .collect()
}

fn lines(events: &[Event]) -> Vec<u8> {
    let mut text = Vec::new();
    for event in events {
        // Plain data: this cannot fail.
        if serde_json::to_writer(&mut text, event).is_ok() {
            text.push(b'\n');
        }
    }
    text
}

/// The number in a name; `None` if it is no name of ours.
fn number_of(name: &str) -> Option<u64> {
    let (number, random) = name.split_once('-')?;
    let is_ours = number.len() == 20 && random.len() == 16;
    number.parse().ok().filter(|_| is_ours)
}

/// The standard library seeds these from the system.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
