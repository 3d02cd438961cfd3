//! The cache itself: its tiers, and what its methods share. The methods are in the files of what they are about.

use tokio::sync::Mutex;

use crate::cache::clock::Clock;
use crate::cache::config::ErrorTtls;
use crate::cache::negative::{Moment, NegativeCache};
use crate::cache::purge::backlog::PublishBacklog;
use crate::cache::purge::invalidations::Invalidations;
use crate::cache::purge::journal::Journal;
use crate::cache::purge::log::PurgeLog;
use crate::cache::single_flight::Flights;
use crate::cache::sweep_queue::SweepQueue;
use crate::cache::tier::disk::Disk;
use crate::cache::tier::memory::Memory;
use crate::cache::tier::shared::SharedTier;
use crate::source::SourceMemory;

/// All tiers of the cache, and every fetch and render that is under way.
pub struct Cache {
    pub(super) memory: Memory,
    pub(super) source_memory: SourceMemory,
    /// The disk tier of renditions.
    pub(super) renditions: Option<Disk>,
    /// The disk tier of sources and their records.
    pub(super) sources: Option<Disk>,
    pub(super) shared: Option<SharedTier>,
    pub(super) flights: Flights,
    pub(super) negative: NegativeCache,
    pub(super) error_ttls: ErrorTtls,
    pub(super) purges: PurgeLog,
    /// `None` without a disk tier: purges are then forgotten when the process ends, as is everything that they could apply to.
    pub(super) journal: Option<Journal>,
    /// Locked while purges are applied, so that they are applied in the order of their numbers.
    pub(super) backlog: Mutex<PublishBacklog>,
    pub(super) sweeps: SweepQueue<Invalidations>,
    pub(super) clock: Clock,
}

impl Cache {
    /// Now, for work that began when the last purge had the number `generation`.
    pub(super) fn moment(&self, generation: u64) -> Moment {
        Moment {
            time: self.clock.now(),
            generation,
        }
    }
}
