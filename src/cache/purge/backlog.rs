//! Purges that could not be published yet.

use crate::cache::purge::log::{Purge, Target};

/// How many purges may wait. Beyond that, one purge of everything takes their place.
const MAX_UNPUBLISHED: usize = 10_000;

/// Purges that the other replicas do not know of, to be published when the shared bucket answers again.
#[derive(Default)]
pub(crate) struct PublishBacklog {
    pub(super) unpublished: Vec<Purge>,
}

impl PublishBacklog {
    pub(super) fn push(&mut self, purges: Vec<Purge>) {
        self.unpublished.extend(purges);
        if self.unpublished.len() > MAX_UNPUBLISHED {
            // Purging too much is safe, purging too little is not.
            self.unpublished = vec![Purge::hard(Target::Everything)];
        }
    }
}
