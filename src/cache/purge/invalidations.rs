//! What hard purges leave to be deleted: a list that grows with what they name, not with how many there are.

use std::collections::HashMap;

use crate::cache::entry::EntryKey;
use crate::cache::key::SourceId;
use crate::cache::key::SourceKey;
use crate::cache::purge::log;
use crate::cache::purge::log::PurgeEvent;
use crate::cache::purge::log::Target;
use crate::cache::source_record::SourceRecord;
use crate::freshness::Tag;

/// Sources that are told apart: a few megabytes of them.
const MOST_SOURCES: usize = 100_000;

/// Prefixes and tags that are told apart.
const MOST_NAMES: usize = log::MOST;

/// The numbers of the last hard purges that met something; nought where none did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PurgeNumbers {
    /// Of all: what this process keeps goes.
    any: u64,
    /// Of those that this replica was asked for: what the shared bucket keeps goes, too.
    own: u64,
}

impl PurgeNumbers {
    fn raise(&mut self, other: PurgeNumbers) {
        self.any = self.any.max(other.any);
        self.own = self.own.max(other.own);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Invalidations {
    everything: PurgeNumbers,
    sources: HashMap<SourceId, PurgeNumbers>,
    /// These and tags stand for sources that only records tell.
    prefixes: HashMap<String, PurgeNumbers>,
    tags: HashMap<Tag, PurgeNumbers>,
}

impl Invalidations {
    /// What an event names, but for single renditions.
    pub(crate) fn add_event(&mut self, event: &PurgeEvent) {
        if !event.purge.is_hard() {
            return;
        }
        let numbers = PurgeNumbers {
            any: event.number,
            own: 0,
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

    /// A source that the purge of this number met.
    pub(crate) fn add_source(&mut self, source: SourceId, number: u64) {
        self.raise_source(
            source,
            PurgeNumbers {
                any: number,
                own: 0,
            },
        );
    }

    /// The same, asked for of this replica.
    pub(crate) fn asked_here(mut self) -> Self {
        let sources = self.sources.values_mut();
        let named = self.prefixes.values_mut().chain(self.tags.values_mut());
        for numbers in sources.chain(named).chain([&mut self.everything]) {
            numbers.own = numbers.any;
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
        self.names_no_entry() && !self.asks_for_records()
    }

    /// Whether there is no entry that it can tell by its key.
    pub(crate) fn names_no_entry(&self) -> bool {
        self.everything.any == 0 && self.sources.is_empty()
    }

    /// Whether only records tell all that it means.
    pub(crate) fn asks_for_records(&self) -> bool {
        !self.prefixes.is_empty() || !self.tags.is_empty()
    }

    pub(crate) fn is_too_much(&self) -> bool {
        self.sources.len() > MOST_SOURCES || self.prefixes.len() + self.tags.len() > MOST_NAMES
    }

    /// Becomes everything where it is too much to tell apart: that costs fetches and renders, and spares nothing that was purged.
    pub(crate) fn fold(&mut self) {
        if !self.is_too_much() {
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

    /// The number of the last purge that met an entry; nought where none did.
    pub(crate) fn number(&self, entry: &EntryKey) -> u64 {
        let met = self.sources.get(&entry.source()).copied();
        met.unwrap_or_default().any.max(self.everything.any)
    }

    /// Adds the source of a record, if it is one that prefixes or tags stand for.
    pub(crate) fn look_at(&mut self, key: &SourceKey, record: &SourceRecord) {
        let mut met = PurgeNumbers::default();
        if !self.prefixes.is_empty() {
            for numbers in
                log::prefixes_of(&record.address).filter_map(|prefix| self.prefixes.get(prefix))
            {
                met.raise(*numbers);
            }
        }
        for numbers in record.tags.iter().filter_map(|tag| self.tags.get(tag)) {
            met.raise(*numbers);
        }
        if met.any > 0 {
            self.raise_source(key.id(), met);
        }
    }

    /// What is to be deleted from the shared bucket, each with the number of the last purge that met it: sources, and `None` for all of them.
    pub(crate) fn own(&self) -> HashMap<Option<SourceId>, u64> {
        let sources = self.sources.iter();
        let sources = sources.map(|(source, numbers)| (Some(*source), numbers.own));
        sources
            .chain([(None, self.everything.own)])
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
    use super::MOST_NAMES;
    use super::PurgeEvent;
    use super::SourceKey;
    use super::Tag;
    use super::Target;
    use crate::cache::Purge;
    use crate::cache::SourceName;
    use crate::cache::SourceRecord;
    use crate::cache::tests;

    fn event(number: u64, target: Target) -> PurgeEvent {
        PurgeEvent {
            number,
            at: 1,
            purge: Purge::hard(target),
            folded: false,
        }
    }

    fn doomed(events: &[PurgeEvent]) -> Invalidations {
        let mut doomed = Invalidations::default();
        for event in events {
            doomed.add_event(event);
        }
        doomed
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
    fn the_last_purge_that_met_a_source_counts() {
        let key = SourceKey::numbered(1);
        let mut doomed = doomed(&[
            event(7, Target::Source(key)),
            event(5, Target::Source(key)),
            event(3, Target::Everything),
        ]);
        assert_eq!(doomed.number(&entry(1)), 7);
        assert_eq!(doomed.number(&entry(2)), 3);
        doomed.add_event(&event(9, Target::Everything));
        assert_eq!(doomed.number(&entry(1)), 9);
    }

    #[test]
    fn records_tell_what_prefixes_and_tags_stand_for() {
        let mut doomed = doomed(&[
            event(1, Target::Prefix("https://b.com".to_owned())),
            event(2, Target::Prefix("https://b.com/2.jpg".to_owned())),
            event(3, Target::Prefix("https://b.com/2".to_owned())),
            event(4, tag("cats")),
        ]);
        assert!(doomed.names_no_entry() && doomed.asks_for_records());
        for (number, tags, met) in [
            (1, &["dogs"][..], 1),
            (2, &[][..], 2),
            (3, &["dogs", "cats"][..], 4),
        ] {
            doomed.look_at(&SourceKey::numbered(number), &record(number, tags));
            assert_eq!(doomed.number(&entry(number)), met, "{number}");
        }
        assert_eq!(doomed.number(&entry(4)), 0, "nobody looked at it");
    }

    #[test]
    fn the_bucket_loses_what_this_replica_was_asked_for() {
        let (one, other) = (SourceKey::numbered(1), SourceKey::numbered(2));
        let mut both = doomed(&[event(1, Target::Source(one)), event(2, tag("cats"))]).asked_here();
        both.add(doomed(&[
            event(5, Target::Source(one)),
            event(6, Target::Source(other)),
            event(7, Target::Everything),
        ]));
        both.look_at(&SourceKey::numbered(3), &record(3, &["cats"]));
        let third = SourceKey::numbered(3).id();
        assert_eq!(
            both.own(),
            HashMap::from([(Some(one.id()), 1), (Some(third), 2)])
        );
        assert_eq!(both.number(&entry(1)), 7);
    }

    #[test]
    fn what_is_too_much_to_tell_apart_becomes_everything() {
        let tags = |count: usize| {
            let tags = (1..=count).map(|number| event(number as u64, tag(&format!("t{number}"))));
            tags.collect::<Vec<_>>()
        };
        let mut few = doomed(&tags(MOST_NAMES));
        few.fold();
        assert_eq!(few.number(&entry(1)), 0);
        let mut many = doomed(&tags(MOST_NAMES + 1)).asked_here();
        many.fold();
        let number = MOST_NAMES as u64 + 1;
        assert_eq!(many.number(&entry(1)), number);
        assert_eq!(many.own(), HashMap::from([(None, number)]));
        assert!(!many.asks_for_records());
    }

    #[test]
    fn soft_purges_doom_nothing() {
        let mut event = event(1, Target::Everything);
        event.purge.soft = true;
        assert!(doomed(&[event]).is_empty());
    }
}
