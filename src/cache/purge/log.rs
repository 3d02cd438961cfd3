//! PurgeLog: what operators take back.
//!
//! A purge is an event with a number, and numbers only grow. Every record of a source says which number was the last when its fetch began, so
//! whatever was fetched before a purge is told from what came after it, wherever it lies and however late it arrives: in memory, on disk, in the
//! shared bucket, in a fetch that is under way. What a hard purge leaves nothing of is missing from then on, and what is made of it, or was
//! about to be, has a key that nobody asks for any more; a soft purge makes it stale.

use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;

use crate::cache::key::RenditionKey;
use crate::cache::key::SourceKey;
use crate::cache::key::SourceName;
use crate::cache::source_record::SourceRecord;
use crate::freshness::Tag;

/// Events that are told apart. Of more, the older half becomes one that meets everything: that costs fetches from origins, and forgets nothing.
pub(crate) const MOST: usize = 10_000;

/// The largest number of an event: in the year 5138.
pub(crate) const FARTHEST: u64 = 100_000_000_000_000;

/// What is to be taken back, and how thoroughly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    pub target: Target,
    /// It becomes stale instead of missing: its origin is asked whether it changed, and it may stand in where stale answers may.
    #[serde(default)]
    pub soft: bool,
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One source, with all its renditions.
    Source(SourceKey),
    /// Some renditions of a source, which itself becomes stale. Hard and soft are the same: a rendition has no life of its own.
    Renditions {
        source: SourceKey,
        keys: Vec<RenditionKey>,
    },
    /// Sources whose address begins so, up to the end of a segment of its path.
    Prefix(String),
    /// Sources that carry this tag.
    Tag(Tag),
    /// Every source.
    Everything,
}

/// A purge that took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PurgeEvent {
    /// Larger than those of all purges before. Milliseconds since 1970 where the clock allows, so that numbers grow even where those before are
    /// forgotten.
    pub number: u64,
    /// When, in seconds since 1970.
    pub at: u64,
    #[serde(flatten)]
    pub purge: Purge,
    /// Stands for older ones, hard ones among them: what it meets may be used for nothing but to be fetched anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folded: bool,
}

/// What the purges since its fetch began say of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PurgeEffect {
    Holds,
    /// Since then.
    Stale(SystemTime),
    /// It may have been purged, and it may not.
    Doubtful(SystemTime),
    Gone,
}

/// All purges that are known.
#[derive(Default)]
pub(crate) struct PurgeLog {
    /// The number of the last one.
    generation: AtomicU64,
    /// By number.
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

    /// Whether it takes a source back that is known by this name and these tags.
    pub(crate) fn meets(&self, key: &SourceKey, address: &str, tags: &[Tag]) -> bool {
        match &self.target {
            Target::Source(source) | Target::Renditions { source, .. } => source == key,
            Target::Prefix(prefix) => begins(address, prefix),
            Target::Tag(tag) => tags.contains(tag),
            Target::Everything => true,
        }
    }

    /// Whether nothing is left of what it meets.
    pub(crate) fn is_hard(&self) -> bool {
        !self.soft && !matches!(self.target, Target::Renditions { .. })
    }
}

/// Whether an address begins with a prefix that ends where one of its segments does.
fn begins(address: &str, prefix: &str) -> bool {
    address
        .strip_prefix(prefix)
        .is_some_and(|rest| is_cut_well(prefix, rest))
}

/// Whether an address that is cut in two is cut where one of its segments ends.
fn is_cut_well(prefix: &str, rest: &str) -> bool {
    prefix.ends_with(['/', ':']) || rest.is_empty() || rest.starts_with(['/', '?'])
}

/// All prefixes that an address [begins] with.
pub(crate) fn prefixes_of(address: &str) -> impl Iterator<Item = &str> {
    (0..=address.len())
        .filter_map(|end| address.split_at_checked(end))
        .filter(|(prefix, rest)| is_cut_well(prefix, rest))
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

    /// An event that comes after all that are known, as one that took place `now`.
    pub(crate) fn next(&self, purge: Purge, now: SystemTime) -> PurgeEvent {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        PurgeEvent {
            number: self.next_number(now),
            at: since_epoch.as_secs(),
            purge,
            folded: false,
        }
    }

    /// A number above those of all that are known.
    pub(crate) fn next_number(&self, now: SystemTime) -> u64 {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX / 2);
        millis.max(self.generation().saturating_add(1))
    }

    /// Takes an event in. Says whether it was new, and a number that there can be.
    pub(crate) fn learn(&self, event: PurgeEvent) -> bool {
        // PurgeNumbers are times, and at most a few more than that. One that is far ahead would make all that come after it mean nothing.
        if event.number > FARTHEST {
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
        if events.len() > MOST {
            let last = events[MOST / 2].clone();
            events.drain(..=MOST / 2);
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
        // Behind the event: who sees the number finds what it stands for.
        self.generation.fetch_max(number, Ordering::AcqRel);
        true
    }

    /// All that are told apart, by number.
    pub(crate) fn events(&self) -> Vec<PurgeEvent> {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        events.clone()
    }

    /// What became of a record. At no cost where nothing was purged since it was last asked about.
    pub(crate) fn verdict(&self, key: &SourceKey, record: &SourceRecord) -> PurgeEffect {
        let generation = self.generation();
        let judged = record.checked_until();
        if judged >= generation {
            return PurgeEffect::Holds;
        }
        let mut verdict = PurgeEffect::Holds;
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        let later = events.partition_point(|event| event.number <= judged);
        for event in &events[later..] {
            if event.purge.meets(key, &record.address, &record.tags) {
                if event.purge.is_hard() {
                    return PurgeEffect::Gone;
                }
                verdict = match verdict {
                    _ if event.folded => PurgeEffect::Doubtful(event.time()),
                    PurgeEffect::Doubtful(at) => PurgeEffect::Doubtful(at),
                    _ => PurgeEffect::Stale(event.time()),
                };
            }
        }
        if verdict == PurgeEffect::Holds {
            record.set_checked_until(generation);
        }
        verdict
    }

    /// The number of the last purge that left nothing of a source, or may have, of those up to `generation`; nought where there was none.
    pub(crate) fn epoch(&self, name: &SourceName, tags: &[Tag], generation: u64) -> u64 {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        let met = events.iter().rev().find(|event| {
            event.number <= generation
                && (event.purge.is_hard() || event.folded)
                && event.purge.meets(&name.key, &name.address, tags)
        });
        met.map_or(0, |event| event.number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::SystemTime;
    use std::time::UNIX_EPOCH;

    use super::MOST;
    use super::Purge;
    use super::PurgeEffect;
    use super::PurgeEvent;
    use super::PurgeLog;
    use super::SourceName;
    use super::Tag;
    use super::Target;
    use super::begins;
    use super::prefixes_of;
    use crate::cache::RenditionKey;
    use crate::cache::SourceKey;
    use crate::cache::SourceRecord;
    use crate::cache::tests;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    }

    fn tag(text: &str) -> Tag {
        Tag::new(text).expect("a tag")
    }

    fn record(number: u64, tags: &[&str], generation: u64) -> SourceRecord {
        let name = SourceName::numbered(number);
        let mut record = tests::record(&name, b"bytes", now(), generation);
        record.tags = tags.iter().map(|text| tag(text)).collect();
        record
    }

    fn purged(purges: &PurgeLog, target: Target, soft: bool) -> u64 {
        let event = purges.next(Purge { target, soft }, now());
        let number = event.number;
        assert!(purges.learn(event));
        number
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        for (address, prefix, meets) in [
            ("https://b.com/a/b.jpg", "https://b.com/a", true),
            ("https://b.com/a/b.jpg", "https://b.com/a/", true),
            ("https://b.com/a", "https://b.com/a", true),
            ("https://b.com/a?x=1", "https://b.com/a", true),
            ("https://b.com/ab", "https://b.com/a", false),
            ("https://b.com.evil/a", "https://b.com", false),
            ("https://b.com/a", "https://b.com/a/", false),
            ("bucket:photos/a.jpg", "bucket:photos", true),
            ("zone:/a.jpg", "zone:", true),
        ] {
            assert_eq!(begins(address, prefix), meets, "{address} {prefix}");
            let listed = prefixes_of(address).any(|known| known == prefix);
            assert_eq!(listed, meets, "{address} {prefix}");
        }
    }

    #[test]
    fn a_purge_meets_what_was_fetched_before_it_and_nothing_after() {
        let key = SourceKey::numbered(1);
        let targets = [
            Target::Source(key),
            Target::Prefix("https://b.com".to_owned()),
            Target::Tag(tag("cats")),
            Target::Everything,
        ];
        for target in targets {
            let purges = PurgeLog::default();
            let before = record(1, &["cats"], purges.generation());
            assert_eq!(purges.verdict(&key, &before), PurgeEffect::Holds);
            purged(&purges, target.clone(), false);
            assert_eq!(
                purges.verdict(&key, &before),
                PurgeEffect::Gone,
                "{target:?}"
            );
            let after = record(1, &["cats"], purges.generation());
            assert_eq!(
                purges.verdict(&key, &after),
                PurgeEffect::Holds,
                "{target:?}"
            );
        }
    }

    #[test]
    fn a_purge_of_something_else_leaves_a_record_alone() {
        let purges = PurgeLog::default();
        let kept = record(1, &["cats"], 0);
        for target in [
            Target::Source(SourceKey::numbered(2)),
            Target::Prefix("https://c.com".to_owned()),
            Target::Tag(tag("dogs")),
        ] {
            purged(&purges, target, false);
        }
        assert_eq!(
            purges.verdict(&SourceKey::numbered(1), &kept),
            PurgeEffect::Holds
        );
        assert_eq!(kept.checked_until(), purges.generation());
    }

    #[test]
    fn soft_purges_and_purges_of_renditions_make_stale_and_hard_ones_win() {
        let (purges, key) = (PurgeLog::default(), SourceKey::numbered(1));
        let kept = record(1, &[], 0);
        let keys = vec![RenditionKey::numbered(1)];
        purged(&purges, Target::Renditions { source: key, keys }, false);
        assert_eq!(purges.verdict(&key, &kept), PurgeEffect::Stale(now()));
        purged(&purges, Target::Source(key), true);
        assert_eq!(purges.verdict(&key, &kept), PurgeEffect::Stale(now()));
        let name = SourceName::numbered(1);
        assert_eq!(purges.epoch(&name, &[], u64::MAX), 0);
        let number = purged(&purges, Target::Everything, false);
        assert_eq!(purges.verdict(&key, &kept), PurgeEffect::Gone);
        assert_eq!(purges.epoch(&name, &[], u64::MAX), number);
        assert_eq!(purges.epoch(&name, &[], number - 1), 0);
    }

    #[test]
    fn numbers_grow_whatever_the_clock_does() {
        let purges = PurgeLog::default();
        let first = purged(&purges, Target::Everything, true);
        let event = purges.next(
            Purge::hard(Target::Everything),
            UNIX_EPOCH + Duration::from_secs(1),
        );
        assert!(event.number > first);
        assert!(purges.learn(event.clone()) && !purges.learn(event));
    }

    #[test]
    fn what_is_too_much_to_tell_apart_makes_everything_doubtful() {
        let (purges, key) = (PurgeLog::default(), SourceKey::numbered(1));
        let kept = record(1, &[], 0);
        let name = SourceName::numbered(1);
        let first = PurgeEvent {
            number: 1,
            at: 1,
            purge: Purge::hard(Target::Source(key)),
            folded: false,
        };
        assert!(purges.learn(first));
        assert_eq!(purges.epoch(&name, &[], u64::MAX), 1);
        for number in 2..=MOST as u64 + 1 {
            purges.learn(PurgeEvent {
                number,
                at: 1,
                purge: Purge::hard(Target::Tag(tag(&format!("t{number}")))),
                folded: false,
            });
        }
        assert!(purges.events().len() <= MOST / 2 + 1);
        assert!(matches!(
            purges.verdict(&key, &kept),
            PurgeEffect::Doubtful(_)
        ));
        // What was made before the first one has a key that nobody asks for again.
        assert!(purges.epoch(&name, &[], u64::MAX) > 1);
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let keys = vec![RenditionKey::numbered(1), RenditionKey::numbered(2)];
        let source = SourceKey::numbered(1);
        for target in [
            Target::Source(source),
            Target::Renditions { source, keys },
            Target::Prefix("zone:/a".to_owned()),
            Target::Tag(tag("t")),
            Target::Everything,
        ] {
            let event = PurgeLog::default().next(Purge { target, soft: true }, now());
            let text = serde_json::to_string(&event).expect("plain data");
            let read: PurgeEvent = serde_json::from_str(&text).expect("just written");
            assert_eq!(read, event, "{text}");
        }
    }
}
