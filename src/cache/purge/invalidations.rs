//! What hard purges have removed and the sweeper has to delete. The size of the list depends on the number of targets, not on the number of purges.

use std::collections::HashMap;

use crate::cache::entry::EntryKey;
use crate::cache::key::{SourceId, SourceKey};
use crate::cache::purge::log;
use crate::cache::purge::log::{PurgeEvent, Target};
use crate::cache::source_record::SourceRecord;
use crate::freshness::Tag;

/// How many sources are told apart: a few megabytes.
const MAX_SOURCES: usize = 100_000;

/// How many prefixes and tags are told apart.
const MAX_NAMES: usize = log::MAX_EVENTS;

/// The numbers of the last hard purges of a target; zero if there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PurgeNumbers {
    /// Of all purges: entries of this process are deleted.
    any: u64,
    /// Of purges that this replica was asked for: entries in the shared bucket are deleted, too.
    requested: u64,
}

impl PurgeNumbers {
    fn raise(&mut self, other: PurgeNumbers) {
        self.any = self.any.max(other.any);
        self.requested = self.requested.max(other.requested);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Invalidations {
    everything: PurgeNumbers,
    sources: HashMap<SourceId, PurgeNumbers>,
    /// The sources of prefixes and tags are known from records only.
    prefixes: HashMap<String, PurgeNumbers>,
    tags: HashMap<Tag, PurgeNumbers>,
}

impl Invalidations {
    /// Adds the target of an event, unless the target is single renditions.
    pub(crate) fn add_event(&mut self, event: &PurgeEvent) {
        if !event.purge.is_hard() {
            return;
        }
        let numbers = PurgeNumbers {
            any: event.number,
            requested: 0,
        };
        match &event.purge.target {
            Target::Everything => self.everything.raise(numbers),
            Target::Source(key) => self.raise_source(key.id(), numbers),
            Target::Prefix(prefix) => {
                let known = self.prefixes.entry(prefix.clone()).or_default();
                known.raise(numbers);
            }
            Target::Tag(tag) => self.tags.entry(tag.clone()).or_default().raise(numbers),
            Target::Renditions { .. } => {}
        }
    }

    /// Adds a source that the purge of this number matched.
    pub(crate) fn add_source(&mut self, source: SourceId, number: u64) {
        self.raise_source(
            source,
            PurgeNumbers {
                any: number,
                requested: 0,
            },
        );
    }

    /// Marks all targets as purged on request of this replica.
    pub(crate) fn mark_requested(mut self) -> Self {
        let sources = self.sources.values_mut();
        let named = self.prefixes.values_mut().chain(self.tags.values_mut());
        for numbers in sources.chain(named).chain([&mut self.everything]) {
            numbers.requested = numbers.any;
        }
        self
    }

    pub(crate) fn add(&mut self, other: Invalidations) {
        self.everything.raise(other.everything);
        for (source, numbers) in other.sources {
            self.raise_source(source, numbers);
        }
        for (prefix, numbers) in other.prefixes {
            self.prefixes.entry(prefix).or_default().raise(numbers);
        }
        for (tag, numbers) in other.tags {
            self.tags.entry(tag).or_default().raise(numbers);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.matches_no_key() && !self.needs_records()
    }

    /// Whether no entry matches by its key alone.
    pub(crate) fn matches_no_key(&self) -> bool {
        self.everything.any == 0 && self.sources.is_empty()
    }

    /// Whether records are needed to find all matching entries.
    pub(crate) fn needs_records(&self) -> bool {
        !self.prefixes.is_empty() || !self.tags.is_empty()
    }

    pub(crate) fn is_over_limit(&self) -> bool {
        self.sources.len() > MAX_SOURCES || self.prefixes.len() + self.tags.len() > MAX_NAMES
    }

    /// Replaces too many targets by everything. That costs fetches and renders, but leaves nothing that was purged.
    pub(crate) fn fold(&mut self) {
        if !self.is_over_limit() {
            return;
        }
        let mut everything = self.everything;
        let sources = self.sources.values();
        let named = self.prefixes.values().chain(self.tags.values());
        for numbers in sources.chain(named) {
            everything.raise(*numbers);
        }
        *self = Invalidations {
            everything,
            ..Invalidations::default()
        };
    }

    /// The number of the last purge that matches an entry; zero if there is none.
    pub(crate) fn last_purge(&self, entry: &EntryKey) -> u64 {
        let matched = self.sources.get(&entry.source()).copied();
        matched.unwrap_or_default().any.max(self.everything.any)
    }

    /// Adds the source of a record, if its address or its tags match.
    pub(crate) fn add_source_of(&mut self, key: &SourceKey, record: &SourceRecord) {
        let mut matched = PurgeNumbers::default();
        if !self.prefixes.is_empty() {
            for numbers in
                log::prefixes_of(&record.address).filter_map(|prefix| self.prefixes.get(prefix))
            {
                matched.raise(*numbers);
            }
        }
        for numbers in record.tags.iter().filter_map(|tag| self.tags.get(tag)) {
            matched.raise(*numbers);
        }
        if matched.any > 0 {
            self.raise_source(key.id(), matched);
        }
    }

    /// What to delete from the shared bucket, each with the number of its last purge: sources, or all sources (`None`).
    pub(crate) fn bucket_targets(&self) -> HashMap<Option<SourceId>, u64> {
        let sources = self.sources.iter();
        let sources = sources.map(|(source, numbers)| (Some(*source), numbers.requested));
        sources
            .chain([(None, self.everything.requested)])
            .filter(|(_, number)| *number > 0)
            .collect()
    }

    fn raise_source(&mut self, source: SourceId, numbers: PurgeNumbers) {
        self.sources.entry(source).or_default().raise(numbers);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::UNIX_EPOCH;

    use super::EntryKey;
    use super::Invalidations;
    use super::MAX_NAMES;
    use super::PurgeEvent;
    use super::SourceKey;
    use super::Tag;
    use super::Target;
    use crate::cache::{Purge, SourceName, SourceRecord, tests};

    fn event(number: u64, target: Target) -> PurgeEvent {
        PurgeEvent {
            number,
            at: 1,
            purge: Purge::hard(target),
            folded: false,
        }
    }

    fn invalidations(events: &[PurgeEvent]) -> Invalidations {
        let mut invalidations = Invalidations::default();
        for event in events {
            invalidations.add_event(event);
        }
        invalidations
    }

    fn tag(text: &str) -> Target {
        Target::Tag(Tag::new(text).expect("a tag"))
    }

    fn record(number: u64, tags: &[&str]) -> SourceRecord {
        let mut record = tests::record(&SourceName::numbered(number), b"bytes", UNIX_EPOCH, 0);
        let tags = tags.iter().map(|text| Tag::new(text).expect("a tag"));
        record.tags = tags.collect();
        record
    }

    fn entry(number: u64) -> EntryKey {
        EntryKey::record(SourceKey::numbered(number))
    }

    #[test]
    fn the_last_purge_that_matches_a_source_counts() {
        let key = SourceKey::numbered(1);
        let mut invalidations = invalidations(&[
            event(7, Target::Source(key)),
            event(5, Target::Source(key)),
            event(3, Target::Everything),
        ]);
        assert_eq!(invalidations.last_purge(&entry(1)), 7);
        assert_eq!(invalidations.last_purge(&entry(2)), 3);
        invalidations.add_event(&event(9, Target::Everything));
        assert_eq!(invalidations.last_purge(&entry(1)), 9);
    }

    #[test]
    fn the_sources_of_prefixes_and_tags_are_found_by_records() {
        let mut invalidations = invalidations(&[
            event(1, Target::Prefix("https://b.com".to_owned())),
            event(2, Target::Prefix("https://b.com/2.jpg".to_owned())),
            event(3, Target::Prefix("https://b.com/2".to_owned())),
            event(4, tag("cats")),
        ]);
        assert!(invalidations.matches_no_key() && invalidations.needs_records());
        for (number, tags, matched) in [
            (1, &["dogs"][..], 1),
            (2, &[][..], 2),
            (3, &["dogs", "cats"][..], 4),
        ] {
            invalidations.add_source_of(&SourceKey::numbered(number), &record(number, tags));
            assert_eq!(
                invalidations.last_purge(&entry(number)),
                matched,
                "{number}"
            );
        }
        assert_eq!(
            invalidations.last_purge(&entry(4)),
            0,
            "no record has its tags"
        );
    }

    #[test]
    fn only_purges_of_this_replica_are_swept_from_the_bucket() {
        let (one, other) = (SourceKey::numbered(1), SourceKey::numbered(2));
        let mut both =
            invalidations(&[event(1, Target::Source(one)), event(2, tag("cats"))]).mark_requested();
        both.add(invalidations(&[
            event(5, Target::Source(one)),
            event(6, Target::Source(other)),
            event(7, Target::Everything),
        ]));
        both.add_source_of(&SourceKey::numbered(3), &record(3, &["cats"]));
        let third = SourceKey::numbered(3).id();
        assert_eq!(
            both.bucket_targets(),
            HashMap::from([(Some(one.id()), 1), (Some(third), 2)])
        );
        assert_eq!(both.last_purge(&entry(1)), 7);
    }

    #[test]
    fn too_many_targets_become_everything() {
        let tags = |count: usize| {
            let tags = (1..=count).map(|number| event(number as u64, tag(&format!("t{number}"))));
            tags.collect::<Vec<_>>()
        };
        let mut few = invalidations(&tags(MAX_NAMES));
        few.fold();
        assert_eq!(few.last_purge(&entry(1)), 0);
        let mut many = invalidations(&tags(MAX_NAMES + 1)).mark_requested();
        many.fold();
        let number = MAX_NAMES as u64 + 1;
        assert_eq!(many.last_purge(&entry(1)), number);
        assert_eq!(many.bucket_targets(), HashMap::from([(None, number)]));
        assert!(!many.needs_records());
    }

    #[test]
    fn soft_purges_invalidate_nothing() {
        let mut event = event(1, Target::Everything);
        event.purge.soft = true;
        assert!(invalidations(&[event]).is_empty());
    }
}
