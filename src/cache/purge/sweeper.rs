//! The sweeper: deletes what hard purges have removed, in the background. None of it is served any more; it is deleted to free its space, and because
//! operators must be able to say that it is gone.
//!
//! Each cache has one sweeper, which makes one pass at a time for everything that was purged since the pass before: however many purges there are,
//! entries are listed and records are read once. It works in small batches with pauses longer than the work, so that it does not slow down requests.

use std::collections::HashMap;
use std::future;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cache::entry::{EntryKey, EntryKind};
use crate::cache::key::{ContentHash, SourceId};
use crate::cache::purge::invalidations::Invalidations;
use crate::cache::state::Cache;
use crate::cache::tier::disk::Disk;

/// All work that started before a purge is over after this time.
const SECOND_SWEEP_DELAY: Duration = Duration::from_secs(20 * 60);

/// The pause between two passes is as long as the first of them took, within these limits.
const MIN_PASS_PAUSE: Duration = Duration::from_secs(1);
const MAX_PASS_PAUSE: Duration = Duration::from_secs(60);

/// How many records are read, or entries deleted, between two pauses.
const BATCH: usize = 32;

/// The pause after a batch, as a multiple of the time of the batch, and its limit: if a disk hangs, that does not mean that it is busy.
const PAUSE_FACTOR: u32 = 3;
const MAX_BATCH_PAUSE: Duration = Duration::from_secs(10);

/// What was swept and is to be swept again when all work that started before the purge is over: such work may still store entries, although nobody
/// asks for their keys.
///
/// There is one timer. What is added while it runs is swept after the next one, so after at most twice the delay.
#[derive(Default)]
struct SecondSweep {
    due: Option<Instant>,
    next: Invalidations,
    later: Invalidations,
}

impl SecondSweep {
    fn add(&mut self, swept: Invalidations, now: Instant) {
        if swept.is_empty() {
            return;
        }
        match self.due {
            Some(_) => self.later.add(swept),
            None => {
                self.next = swept;
                self.due = Some(now + SECOND_SWEEP_DELAY);
            }
        }
        if self.next.is_over_limit() || self.later.is_over_limit() {
            // Entries that are stored after this stay until they are evicted, but are not served.
            self.due = Some(now);
        }
    }

    /// What is to be swept again now.
    fn take(&mut self, now: Instant) -> Invalidations {
        if self.due.is_none_or(|due| now < due) {
            return Invalidations::default();
        }
        let taken = std::mem::replace(&mut self.next, std::mem::take(&mut self.later));
        self.due = match &self.next {
            next if next.is_empty() => None,
            next if next.is_over_limit() => Some(now),
            _ => Some(now + SECOND_SWEEP_DELAY),
        };
        taken
    }

    async fn until_due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => future::pending().await,
        }
    }
}

/// Sweeps when it is woken or when a second sweep is due, for as long as there is a cache.
pub(crate) async fn keep_sweeping(cache: Weak<Cache>, mut wake_ups: mpsc::Receiver<()>) {
    let mut second_sweep = SecondSweep::default();
    loop {
        tokio::select! {
            () = second_sweep.until_due() => {}
            signal = wake_ups.recv() => if signal.is_none() { return }
        }
        let started = Instant::now();
        if pass(&cache, &mut second_sweep).await.is_none() {
            return;
        }
        sleep(started.elapsed().clamp(MIN_PASS_PAUSE, MAX_PASS_PAUSE)).await;
    }
}

/// Makes one pass. `None`, here and below, if the cache is gone.
async fn pass(cache: &Weak<Cache>, second_sweep: &mut SecondSweep) -> Option<()> {
    let mut fresh = cache.upgrade()?.sweeps.take();
    let again = second_sweep.take(Instant::now());
    tracing::debug!("deleting what was purged");
    sweep(cache, &mut fresh, again).await?;
    second_sweep.add(fresh, Instant::now());
    Some(())
}

/// Deletes from disk what hard purges have removed, but nothing that was stored after them, and does the same in the shared bucket for purges that
/// this replica was asked for. Sources that records add to `fresh` are swept again, too.
async fn sweep(cache: &Weak<Cache>, fresh: &mut Invalidations, again: Invalidations) -> Option<()> {
    let mut invalidations = again;
    invalidations.add(fresh.clone());
    if invalidations.is_empty() {
        // An earlier pass has already taken the work of this signal.
        return Some(());
    }
    for tier in TIERS {
        let flushed = tier(&*cache.upgrade()?).map(Disk::flush);
        if let Some(flushed) = flushed {
            // Writes that are queued must be on disk before the sweep.
            flushed.await;
        }
    }
    let now = sources(&*cache.upgrade()?).map_or(0, Disk::now);
    let newer = read_records(cache, &mut invalidations, fresh).await?;
    if let Some(shared) = &cache.upgrade()?.shared {
        shared.sweep(invalidations.bucket_targets());
    }
    if invalidations.matches_no_key() {
        return Some(());
    }
    // The key of a rendition has the number of the purge that it was made after.
    let is_older = |entry: &EntryKey| entry.epoch() < invalidations.last_purge(entry);
    remove(cache, renditions, u64::MAX, is_older, &invalidations).await?;
    // The keys of sources do not. Bytes that a newer record points to stay, and so does what was stored or used since the beginning of the pass.
    let is_purged = |entry: &EntryKey| {
        let newer = newer.get(&entry.source());
        let newer = newer.map(|version| EntryKey::source_bytes(entry.source(), *version));
        invalidations.last_purge(entry) > 0 && newer.as_ref() != Some(entry)
    };
    remove(cache, sources, now, is_purged, &invalidations).await
}

/// One of the two disk stores.
type DiskSelector = fn(&Cache) -> Option<&Disk>;

const TIERS: [DiskSelector; 2] = [renditions, sources];

fn renditions(cache: &Cache) -> Option<&Disk> {
    cache.renditions.as_ref()
}

fn sources(cache: &Cache) -> Option<&Disk> {
    cache.sources.as_ref()
}

/// Adds the sources whose records match. Returns the versions of sources that were fetched after their purge.
async fn read_records(
    cache: &Weak<Cache>,
    invalidations: &mut Invalidations,
    fresh: &mut Invalidations,
) -> Option<HashMap<SourceId, ContentHash>> {
    let mut newer = HashMap::new();
    for shard in 0..=u8::MAX {
        let entries = keys(cache, sources, shard, u64::MAX, |entry| {
            let may_be_met = invalidations.needs_records() || invalidations.last_purge(entry) > 0;
            entry.kind() == EntryKind::Record && may_be_met
        })?;
        for batch in entries.chunks(BATCH) {
            let started = Instant::now();
            let records = sources(&*cache.upgrade()?).map(|disk| disk.records(batch.to_vec()));
            let Some(records) = records else { break };
            for (key, record) in records.await {
                invalidations.add_source_of(&key, &record);
                fresh.add_source_of(&key, &record);
                if record.generation >= invalidations.last_purge(&EntryKey::record(key)) {
                    newer.insert(key.id(), record.version);
                }
            }
            pause_after(started).await;
        }
        tokio::task::yield_now().await;
    }
    Some(newer)
}

/// Removes the entries that match and were neither written nor used after `until`.
async fn remove(
    cache: &Weak<Cache>,
    tier: DiskSelector,
    until: u64,
    matches: impl Fn(&EntryKey) -> bool,
    invalidations: &Invalidations,
) -> Option<()> {
    for shard in 0..=u8::MAX {
        let entries = keys(cache, tier, shard, until, &matches)?;
        for batch in entries.chunks(BATCH) {
            let started = Instant::now();
            let flushed = {
                let cache = cache.upgrade()?;
                let Some(disk) = tier(&cache) else { break };
                for entry in batch {
                    match entry.kind() {
                        // A newer record may be queued under the same key.
                        EntryKind::Record => {
                            disk.remove_older(*entry, invalidations.last_purge(entry))
                                .await
                        }
                        _ => disk.remove_queued(*entry).await,
                    }
                }
                disk.flush()
            };
            // Waits until the deletions are done, so that they leave space in the queue for requests.
            flushed.await;
            pause_after(started).await;
        }
        tokio::task::yield_now().await;
    }
    Some(())
}

fn keys(
    cache: &Weak<Cache>,
    tier: DiskSelector,
    shard: u8,
    until: u64,
    matches: impl Fn(&EntryKey) -> bool,
) -> Option<Vec<EntryKey>> {
    let cache = cache.upgrade()?;
    let keys = tier(&cache).map(|disk| disk.keys(shard, until, matches));
    Some(keys.unwrap_or_default())
}

async fn pause_after(started: Instant) {
    sleep(
        started
            .elapsed()
            .saturating_mul(PAUSE_FACTOR)
            .min(MAX_BATCH_PAUSE),
    )
    .await;
}

#[cfg(test)]
mod tests {
    use super::Duration;
    use super::EntryKey;
    use super::Instant;
    use super::Invalidations;
    use super::SECOND_SWEEP_DELAY;
    use super::SecondSweep;
    use crate::cache::SourceKey;

    fn of_source(number: u64) -> Invalidations {
        let mut invalidations = Invalidations::default();
        invalidations.add_source(SourceKey::numbered(number).id(), number);
        invalidations
    }

    fn holds(invalidations: &Invalidations, number: u64) -> bool {
        invalidations.last_purge(&EntryKey::record(SourceKey::numbered(number))) > 0
    }

    #[tokio::test(start_paused = true)]
    async fn no_source_is_swept_again_too_early() {
        let (mut second_sweep, start) = (SecondSweep::default(), Instant::now());
        let second = Duration::from_secs(1);
        second_sweep.add(of_source(1), start);
        second_sweep.add(of_source(2), start + second);
        second_sweep.add(of_source(3), start + SECOND_SWEEP_DELAY - second);
        assert!(
            second_sweep
                .take(start + SECOND_SWEEP_DELAY - second)
                .is_empty()
        );
        let taken = second_sweep.take(start + SECOND_SWEEP_DELAY);
        assert!(holds(&taken, 1) && !holds(&taken, 2));
        assert!(
            second_sweep
                .take(start + SECOND_SWEEP_DELAY + second)
                .is_empty()
        );
        let taken = second_sweep.take(start + 2 * SECOND_SWEEP_DELAY);
        assert!(holds(&taken, 2) && holds(&taken, 3));
        assert!(second_sweep.due.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_sources_are_swept_early() {
        let (mut second_sweep, start) = (SecondSweep::default(), Instant::now());
        let mut many = Invalidations::default();
        for number in 1..=100_001 {
            many.add_source(SourceKey::numbered(number).id(), number);
        }
        second_sweep.add(of_source(1), start);
        second_sweep.add(many, start);
        assert!(holds(&second_sweep.take(start), 1));
        assert!(holds(&second_sweep.take(start), 100_001));
        second_sweep.add(of_source(2), start);
        assert!(second_sweep.take(start).is_empty(), "a few have time");
    }
}
