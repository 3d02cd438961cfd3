//! Which objects of the bucket are to be deleted after purges.

use std::collections::HashMap;

use crate::cache::key::SourceId;

/// How many sources are told apart. Beyond that, all sources are swept.
const MAX_SOURCES: usize = 100_000;

/// Sources, or all sources (`None`), each with the number of the last hard purge that matched it.
#[derive(Default)]
pub(super) struct SweepTargets(HashMap<Option<SourceId>, u64>);

impl SweepTargets {
    /// Adds targets. Of two purges of one source, the later counts.
    pub(super) fn add(&mut self, purges: HashMap<Option<SourceId>, u64>) {
        for (source, number) in purges {
            let known = self.0.entry(source).or_default();
            *known = number.max(*known);
        }
        if self.0.len() > MAX_SOURCES {
            let last = self.0.values().copied().max().unwrap_or_default();
            self.0 = HashMap::from([(None, last)]);
        }
    }

    /// The targets, without those that a later purge of all sources includes.
    pub(super) fn into_purges(mut self) -> HashMap<Option<SourceId>, u64> {
        if let Some(everything) = self.0.get(&None).copied() {
            self.0
                .retain(|source, number| source.is_none() || *number > everything);
        }
        self.0
    }
}
