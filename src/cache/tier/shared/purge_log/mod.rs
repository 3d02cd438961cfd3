//! PurgeLog in the bucket, so that every replica learns of each within seconds.
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

use crate::bucket::Bucket;
use crate::bucket::BucketError;
use crate::cache::purge::log::FARTHEST;
use crate::cache::purge::log::MOST;
use crate::cache::purge::log::Purge;
use crate::cache::purge::log::PurgeEvent;
use crate::cache::purge::log::Target;
use crate::cache::tier::shared::purge_objects::PurgeObjects;
use crate::cache::tier::shared::purge_objects::name_of;
use crate::cache::tier::shared::purge_objects::number_of;
use crate::cache::tier::shared::purge_objects::random;

/// How far before the highest known number is looked for what came late. PurgeNumbers are milliseconds, so this is a minute.
const OVERLAP: u64 = 60_000;

/// How often one publishes again because others came in between.
const TRIES: u32 = 10;

/// Events that are read at once.
const READERS: usize = 16;

pub(crate) struct SharedPurges {
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
pub(crate) struct RemotePurges {
    /// By number.
    pub events: Vec<PurgeEvent>,
    pub late: Vec<LatePurges>,
}

/// What came late, is known by now, and must be published again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LatePurges {
    name: String,
    pub purges: Vec<Purge>,
}

/// What came of publishing.
pub(crate) struct PublishResult {
    /// What others published before, by number: to be applied first.
    pub news: Vec<PurgeEvent>,
    /// As they are known to all.
    pub own: Result<Vec<PurgeEvent>, BucketError>,
}

impl SharedPurges {
    /// `folder` begins the names of all objects here.
    pub(crate) fn new(bucket: Arc<Bucket>, folder: String) -> Self {
        SharedPurges {
            objects: PurgeObjects::new(bucket, folder),
            most: MOST,
            state: Mutex::default(),
            is_failing: AtomicBool::new(false),
            is_loaded: AtomicBool::new(false),
        }
    }

    /// Publishes purges under numbers above all that there are: `first`, if it is. `known` is the highest number that this replica knows.
    pub(crate) async fn publish(
        &self,
        purges: &[Purge],
        mut first: u64,
        known: u64,
        now: SystemTime,
    ) -> PublishResult {
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
                if last > FARTHEST {
                    return Err(self.objects.broken(
                        "an object in the purge folder of the shared bucket has the largest possible number, so that no purge can follow it: delete it",
                    ));
                }
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
                .broken("other servers published purges at the same time, too many times in a row"))
        }
        .await;
        PublishResult { news, own }
    }

    /// What others published since the last look. `known` is the highest number that this replica knows.
    pub(crate) async fn news(&self, known: u64) -> RemotePurges {
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
                    tracing::error!(%error, "cannot look for purges of other replicas, still trying");
                }
                RemotePurges::default()
            }
        }
    }

    /// Deletes what came late, after it was published again.
    pub(crate) async fn retract(&self, late: LatePurges) {
        if let Err(error) = self.objects.delete(&late.name).await {
            tracing::debug!(%error, "an event that came late stays where it is");
        }
    }

    /// What was new at the last look is applied by now.
    pub(crate) fn note_applied(&self) {
        if !self.is_failing() {
            self.is_loaded.store(true, Ordering::Release);
        }
    }

    /// Whether it is known what was purged before the start.
    pub(crate) fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// Whether the last look failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Looks at everything that is new, but for what is called `own`. What cannot be read is new at the next look.
    async fn look(
        &self,
        state: &mut State,
        own: Option<&str>,
        known: u64,
    ) -> Result<RemotePurges, BucketError> {
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

        let mut news = RemotePurges::default();
        if own.is_none() {
            // Known since the last look, and read again: there are few, and never for long.
            for name in state.late.intersection(&listed) {
                if let Some(events) = self.objects.read(name).await? {
                    let purges = events.into_iter().map(|event| event.purge).collect();
                    let name = name.clone();
                    news.late.push(LatePurges { name, purges });
                }
            }
            state.late.clear();
        }
        let known = highest.unwrap_or_default().max(known);
        for (name, events) in found {
            // What stands for many was put where they were.
            let is_late = |event: &PurgeEvent| event.number <= known && !event.folded;
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
        let event = PurgeEvent {
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

fn numbered(purges: &[Purge], first: u64, now: SystemTime) -> Vec<PurgeEvent> {
    let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let numbers = first..;
    numbers
        .zip(purges)
        .map(|(number, purge)| PurgeEvent {
            number,
            at,
            purge: purge.clone(),
            folded: false,
        })
        .collect()
}

#[cfg(test)]
mod tests;
