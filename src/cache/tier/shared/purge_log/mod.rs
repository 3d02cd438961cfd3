//! The purges in the shared bucket, so that every replica learns of each within seconds.
//!
//! The purges of one call are one object, `purges/<number, 20 digits>-<random, 16 hex digits>`, with one line for each event. Events are numbered in
//! a row, and the name has the number of the last. No conditional writes are needed, only that a listing shows everything that was written before it
//! began, as S3, SeaweedFS and Garage promise. Three rules keep numbers in the order of time:
//!
//! - A publisher first writes its object and then lists. If it finds another object, known or not, with a number equal to that of its own first event
//!   or higher, it writes its object again, with numbers above all that it found, deletes the first object, and lists again. It applies the events
//!   that it found before its own.
//! - So of two events, the later in number is written while the earlier can be listed: any listing that shows the later one shows the earlier one,
//!   and every replica learns of events in the order of their numbers. What was fetched before a replica learns of an event has a lower generation.
//!   (If the first object were deleted before it is written again, an event that some replicas know would be invisible for a moment to a publisher
//!   that chooses a number.)
//! - Every replica lists every two seconds, beginning one minute before the highest number that it knows. It may find a new object with a number
//!   below the highest that it knows, because its publisher died before it could write it again, because a clock is far behind, or because this
//!   replica used a number that it could not publish. The events are then applied, and if the object is still there at the next listing, they are
//!   published again with a number above all others. So a few events are applied twice, and none is missed.
//!
//! A purge that could not be published is applied here, and is published again until that succeeds. Of more than 10,000 objects, the older half is
//! replaced by one soft purge of everything, with the number of the last of them, as in the purge log in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Mutex;

use crate::bucket::{Bucket, BucketError};
use crate::cache::purge::log::{MAX_EVENTS, MAX_NUMBER, Purge, PurgeEvent, Target};
use crate::cache::tier::shared::purge_objects::{PurgeObjects, name_of, number_of, random};

/// How far before the highest known number a listing begins, so that late objects are found. Numbers are milliseconds, so this is one minute.
const OVERLAP: u64 = 60_000;

/// How often a publisher tries again because other objects were published at the same time.
const MAX_TRIES: u32 = 32;

/// How many objects are read at once.
const MAX_READS: usize = 16;

pub(crate) struct SharedPurgeLog {
    objects: PurgeObjects,
    /// How many objects there may be before the older half is replaced by one.
    max_objects: usize,
    state: Mutex<ListState>,
    is_failing: AtomicBool,
    is_loaded: AtomicBool,
}

#[derive(Default)]
struct ListState {
    /// The names of objects whose events are known.
    seen: BTreeSet<String>,
    /// Whether everything was listed once.
    is_loaded: bool,
    /// Late objects of the last listing.
    late: BTreeSet<String>,
    /// Whether this replica has published since it last checked the number of objects.
    has_published: bool,
}

/// The purges that other replicas have published.
#[derive(Debug, Default)]
pub(crate) struct RemotePurges {
    /// In the order of their numbers.
    pub(crate) events: Vec<PurgeEvent>,
    pub(crate) late: Vec<LatePurges>,
}

/// Purges in a late object, which are applied already and must be published again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LatePurges {
    name: String,
    pub(crate) purges: Vec<Purge>,
}

/// The result of publishing.
pub(crate) struct PublishResult {
    /// Events that others published before, in the order of their numbers. They must be applied first.
    pub(crate) news: Vec<PurgeEvent>,
    /// The published events, with their final numbers.
    pub(crate) own: Result<Vec<PurgeEvent>, BucketError>,
}

impl SharedPurgeLog {
    /// The names of all objects begin with `folder`.
    pub(crate) fn new(bucket: Arc<Bucket>, folder: String) -> Self {
        SharedPurgeLog {
            objects: PurgeObjects::new(bucket, folder),
            max_objects: MAX_EVENTS,
            state: Mutex::default(),
            is_failing: AtomicBool::new(false),
            is_loaded: AtomicBool::new(false),
        }
    }

    /// Publishes purges with numbers above those of all other purges, from `first` if possible. `known` is the highest number that this replica
    /// knows.
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
            for tries in 0..MAX_TRIES {
                // A random wait, so that two publishers that met do not meet again.
                tokio::time::sleep(Duration::from_millis(random() % 20 * u64::from(tries))).await;
                let own = numbered(purges, first, now);
                let last = own.last().map_or(first, |event| event.number);
                let name = name_of(last);
                if last > MAX_NUMBER {
                    return Err(self.objects.broken(
                        "an object in the purge folder of the shared bucket has the largest possible number, so that no purge can follow it: delete it",
                    ));
                }
                self.objects.write(&name, &own).await?;
                if let Some(before) = before.take() {
                    self.objects.delete(&before).await?;
                }
                news.extend(self.list_new(&mut state, Some(&name), known).await?.events);
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

    /// The events that others have published since the last listing. `known` is the highest number that this replica knows.
    pub(crate) async fn poll(&self, known: u64) -> RemotePurges {
        let mut state = self.state.lock().await;
        let looked = match self.list_new(&mut state, None, known).await {
            Ok(news) => {
                // The new events count, even if old ones cannot be replaced.
                if let Err(error) = self.compact(&mut state).await {
                    tracing::debug!(%error, "cannot replace the older purges in the shared bucket by one");
                }
                Ok(news)
            }
            Err(error) => Err(error),
        };
        let was_failing = self.is_failing.swap(looked.is_err(), Ordering::Relaxed);
        match looked {
            Ok(news) => {
                if was_failing {
                    tracing::info!("the purges of other replicas can be listed again");
                }
                news
            }
            Err(error) => {
                if !was_failing {
                    tracing::error!(%error, "cannot list the purges of other replicas, still trying");
                }
                RemotePurges::default()
            }
        }
    }

    /// Deletes a late object after its purges were published again.
    pub(crate) async fn retract(&self, late: LatePurges) {
        if let Err(error) = self.objects.delete(&late.name).await {
            tracing::debug!(%error, "cannot delete an object whose purges were published again");
        }
    }

    /// Called after the events of the last listing were applied.
    pub(crate) fn mark_loaded(&self) {
        if !self.is_failing() {
            self.is_loaded.store(true, Ordering::Release);
        }
    }

    /// Whether all purges before the start are known.
    pub(crate) fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// Whether the last listing failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Reads all new objects except `own`. An object that cannot be read is new again at the next listing.
    async fn list_new(
        &self,
        state: &mut ListState,
        own: Option<&str>,
        known: u64,
    ) -> Result<RemotePurges, BucketError> {
        let highest = state.seen.last().and_then(|name| number_of(name));
        let begin = highest.filter(|_| state.is_loaded).map(|highest| {
            // Late objects are listed once more, however low their numbers are.
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
            .buffered(MAX_READS);
        let mut found = BTreeMap::new();
        while let Some((events, name)) = reading.next().await {
            if let Some(events) = events? {
                found.insert(name, events);
            }
        }
        drop(reading);

        let mut news = RemotePurges::default();
        if own.is_none() {
            // Late objects of the last listing are read again: there are few, and they do not stay for long.
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
            // A folded event has the place of those that it replaced, and is never late.
            let is_late = |event: &PurgeEvent| event.number <= known && !event.folded;
            if state.is_loaded && events.first().is_some_and(is_late) {
                state.late.insert(name.clone());
            }
            state.seen.insert(name);
            news.events.extend(events);
        }
        // Deleted objects do not count any more.
        let begin = begin.unwrap_or_default();
        state
            .seen
            .retain(|name| *name <= begin || listed.contains(name));
        state.is_loaded = true;
        news.events.sort_by_key(|event| event.number);
        Ok(news)
    }

    /// Replaces the older half by one soft purge of everything if there are too many objects.
    async fn compact(&self, state: &mut ListState) -> Result<(), BucketError> {
        let is_due =
            state.seen.len() > self.max_objects && std::mem::take(&mut state.has_published);
        if !is_due {
            return Ok(());
        }
        let count = state.seen.len() - self.max_objects / 2;
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
