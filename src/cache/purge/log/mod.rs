//! The purge log: the purges of operators, in the order of their numbers.
//!
//! The numbers of purges only grow. Every record of a source has the number of the last purge that was known when its fetch began. So what was
//! fetched before a purge can be told from what was fetched after it, wherever it is and however late it arrives: in memory, on disk, in the shared
//! bucket, in a fetch that is under way. A hard purge removes what it matches: sources are fetched again, and their renditions get new keys, so that
//! nobody asks for those that were made before. A soft purge makes what it matches stale.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::Serialize;

use crate::cache::key::{RenditionKey, SourceKey, SourceName};
use crate::cache::source_record::SourceRecord;
use crate::freshness::Tag;

/// How many events are told apart. Of more, the older half is replaced by one that matches everything: that costs fetches, but no purge is lost.
pub(crate) const MAX_EVENTS: usize = 10_000;

/// The largest number of an event: a time in the year 5138.
pub(crate) const MAX_NUMBER: u64 = 100_000_000_000_000;

/// What to purge, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// What is purged.
    pub target: Target,
    /// A soft purge: what it matches becomes stale and is revalidated, and may be served stale where that is allowed.
    #[serde(default)]
    pub soft: bool,
}

/// What to purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One source and all its renditions.
    Source(SourceKey),
    /// Some renditions of a source, which itself becomes stale. There is no difference between hard and soft here, because renditions have no
    /// freshness of their own.
    Renditions {
        /// The source of the renditions.
        source: SourceKey,
        /// The renditions.
        keys: Vec<RenditionKey>,
    },
    /// Sources whose address begins with this text, up to the end of a path segment.
    Prefix(String),
    /// Sources with this tag.
    Tag(Tag),
    /// Every source.
    Everything,
}

/// A purge with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PurgeEvent {
    /// Larger than the numbers of all earlier purges. Usually milliseconds since 1970, so that numbers grow even if earlier ones are forgotten.
    pub(crate) number: u64,
    /// The time of the purge, in seconds since 1970.
    pub(crate) at: u64,
    #[serde(flatten)]
    pub(crate) purge: Purge,
    /// True if the event replaces older ones, some of them hard: what it matches must be fetched again and must not be served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) folded: bool,
}

/// What the purges since the fetch of a record mean for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PurgeEffect {
    Unaffected,
    /// Stale since this time.
    Stale(SystemTime),
    /// It may have been purged by a hard purge at or before this time.
    Uncertain(SystemTime),
    Removed,
}

/// All purges that are known.
#[derive(Default)]
pub(crate) struct PurgeLog {
    /// The number of the last purge.
    generation: AtomicU64,
    /// In the order of their numbers.
    events: RwLock<Vec<PurgeEvent>>,
}

impl Purge {
    /// A hard purge.
    pub fn hard(target: Target) -> Self {
        Purge {
            target,
            soft: false,
        }
    }

    /// Whether it matches a source with this key, this address and these tags.
    pub(crate) fn matches(&self, key: &SourceKey, address: &str, tags: &[Tag]) -> bool {
        match &self.target {
            Target::Source(source) | Target::Renditions { source, .. } => source == key,
            Target::Prefix(prefix) => starts_with_segments(address, prefix),
            Target::Tag(tag) => tags.contains(tag),
            Target::Everything => true,
        }
    }

    /// Whether it removes what it matches.
    pub(crate) fn is_hard(&self) -> bool {
        !self.soft && !matches!(self.target, Target::Renditions { .. })
    }
}

/// Whether an address begins with a prefix that ends at the end of a segment.
fn starts_with_segments(address: &str, prefix: &str) -> bool {
    address
        .strip_prefix(prefix)
        .is_some_and(|rest| ends_at_segment(prefix, rest))
}

/// Whether a segment ends where an address is split into `prefix` and `rest`.
fn ends_at_segment(prefix: &str, rest: &str) -> bool {
    prefix.ends_with(['/', ':']) || rest.is_empty() || rest.starts_with(['/', '?'])
}

/// All prefixes that an address [starts with](starts_with_segments).
pub(crate) fn prefixes_of(address: &str) -> impl Iterator<Item = &str> {
    (0..=address.len())
        .filter_map(|end| address.split_at_checked(end))
        .filter(|(prefix, rest)| ends_at_segment(prefix, rest))
        .map(|(prefix, _)| prefix)
}

impl PurgeEvent {
    pub(crate) fn time(&self) -> SystemTime {
        UNIX_EPOCH
            .checked_add(Duration::from_secs(self.at))
            .unwrap_or(UNIX_EPOCH)
    }
}

impl PurgeLog {
    /// The number of the last purge.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// An event for a purge at the time `now`, with a number above all others.
    pub(crate) fn next(&self, purge: Purge, now: SystemTime) -> PurgeEvent {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        PurgeEvent {
            number: self.next_number(now),
            at: since_epoch.as_secs(),
            purge,
            folded: false,
        }
    }

    /// A number above those of all known purges.
    pub(crate) fn next_number(&self, now: SystemTime) -> u64 {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX / 2);
        millis.max(self.generation().saturating_add(1))
    }

    /// Adds an event. Returns false if it is known already, or if its number is impossible.
    pub(crate) fn learn(&self, event: PurgeEvent) -> bool {
        // Numbers are times, or slightly higher. After a number far in the future, all later purges would have no effect.
        if event.number > MAX_NUMBER {
            return false;
        }
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        let number = event.number;
        let place = events.partition_point(|known| known.number <= number);
        if events[..place]
            .iter()
            .rev()
            .take_while(|known| known.number == number)
            .any(|known| *known == event)
        {
            return false;
        }
        events.insert(place, event);
        if events.len() > MAX_EVENTS {
            let last = events[MAX_EVENTS / 2].clone();
            events.drain(..=MAX_EVENTS / 2);
            events.insert(
                0,
                PurgeEvent {
                    folded: true,
                    purge: Purge {
                        target: Target::Everything,
                        soft: true,
                    },
                    ..last
                },
            );
        }
        // Set after the event is added, so that whoever reads the number finds the event.
        self.generation.fetch_max(number, Ordering::AcqRel);
        true
    }

    /// All known events, in the order of their numbers.
    pub(crate) fn events(&self) -> Vec<PurgeEvent> {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        events.clone()
    }

    /// What the purges mean for a record. Cheap if nothing was purged since its last check.
    pub(crate) fn check(&self, key: &SourceKey, record: &SourceRecord) -> PurgeEffect {
        let generation = self.generation();
        let checked_until = record.checked_until();
        if checked_until >= generation {
            return PurgeEffect::Unaffected;
        }
        let mut check = PurgeEffect::Unaffected;
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        let later = events.partition_point(|event| event.number <= checked_until);
        for event in &events[later..] {
            if event.purge.matches(key, &record.address, &record.tags) {
                if event.purge.is_hard() {
                    return PurgeEffect::Removed;
                }
                check = match check {
                    _ if event.folded => PurgeEffect::Uncertain(event.time()),
                    PurgeEffect::Uncertain(at) => PurgeEffect::Uncertain(at),
                    _ => PurgeEffect::Stale(event.time()),
                };
            }
        }
        if check == PurgeEffect::Unaffected {
            record.set_checked_until(generation);
        }
        check
    }

    /// The number of the last purge, up to `generation`, that removed a source or may have removed it; zero if there was none.
    pub(crate) fn epoch(&self, name: &SourceName, tags: &[Tag], generation: u64) -> u64 {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        let last = events.iter().rev().find(|event| {
            event.number <= generation
                && (event.purge.is_hard() || event.folded)
                && event.purge.matches(&name.key, &name.address, tags)
        });
        last.map_or(0, |event| event.number)
    }
}

#[cfg(test)]
mod tests;
