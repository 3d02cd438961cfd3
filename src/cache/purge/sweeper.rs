//! The sweeper: deletes what hard purges leave nothing of, behind those who asked for them. Nobody would be answered with it any more: this is for
//! the room it takes, and for those who must be able to say that it is gone.
//!
//! There is one for each cache, and one pass at a time, for all that was purged since the one before: however many purges there are, entries are
//! looked through, and records read, once for all of them. It has time: it works in small portions and rests longer than it works.

use std::collections::HashMap;
use std::future;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;

use crate::cache::Cache;
use crate::cache::entry::EntryKey;
use crate::cache::entry::EntryKind;
use crate::cache::key::ContentHash;
use crate::cache::key::SourceId;
use crate::cache::purge::invalidations::Invalidations;
use crate::cache::tier::disk::Disk;

/// After how long nothing is under way any more that began before a purge.
const AFTERMATH: Duration = Duration::from_secs(20 * 60);

/// Between two passes: as long as the first of them took, within these.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Records that are read, or entries that wait to be deleted, between two rests.
const PORTION: usize = 32;

/// How many times longer than a portion took is rested after it, and how long at most: a disk that hangs is none that is busy.
const REST: u32 = 3;
const LONGEST_REST: Duration = Duration::from_secs(10);

/// What is to be swept, and who is told of it.
pub(crate) struct Sweeper {
    waiting: Mutex<Invalidations>,
    wake: mpsc::Sender<()>,
    passes: AtomicU64,
}

/// What was swept, and is to be swept again when nothing is under way any more that began before it was purged: what lands then lands under a key
/// that nobody asks for, but it lands.
///
/// One timer serves all: what comes while it runs is for the next time, so that it waits up to twice as long.
#[derive(Default)]
struct SecondSweep {
    due: Option<Instant>,
    next: Invalidations,
    later: Invalidations,
}

impl Sweeper {
    /// With what [`keep_sweeping`] waits for.
    pub(crate) fn new() -> (Self, mpsc::Receiver<()>) {
        let (wake, woken) = mpsc::channel(1);
        let sweeper = Sweeper {
            waiting: Mutex::default(),
            wake,
            passes: AtomicU64::new(0),
        };
        (sweeper, woken)
    }

    /// Has swept what is doomed, with nobody waiting for it.
    pub(crate) fn add(&self, doomed: Invalidations) {
        if doomed.is_empty() {
            return;
        }
        {
            let mut waiting = self.waiting();
            waiting.add(doomed);
            waiting.fold();
        }
        // Where that is full, it is about to wake.
        let _ = self.wake.try_send(());
    }

    /// Passes that began until now.
    #[cfg(test)]
    pub(crate) fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Invalidations> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
                self.due = Some(now + AFTERMATH);
            }
        }
        if self.next.is_too_much() || self.later.is_too_much() {
            // What lands after that stays until it is evicted; nobody is answered with it.
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
            next if next.is_too_much() => Some(now),
            _ => Some(now + AFTERMATH),
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

/// Sweeps whenever there is something to sweep, for as long as there is a cache.
pub(crate) async fn keep_sweeping(cache: Weak<Cache>, mut woken: mpsc::Receiver<()>) {
    let mut aftermath = SecondSweep::default();
    loop {
        tokio::select! {
            () = aftermath.until_due() => {}
            woken = woken.recv() => if woken.is_none() { return }
        }
        let began = Instant::now();
        if pass(&cache, &mut aftermath).await.is_none() {
            return;
        }
        sleep(began.elapsed().clamp(PAUSE, LONGEST_PAUSE)).await;
    }
}

/// Sweeps once. `None`, here and below, if the cache is gone.
async fn pass(cache: &Weak<Cache>, aftermath: &mut SecondSweep) -> Option<()> {
    let (mut fresh, number) = {
        let sweeper = &cache.upgrade()?.sweeper;
        let fresh = std::mem::take(&mut *sweeper.waiting());
        (fresh, sweeper.passes.fetch_add(1, Ordering::Relaxed) + 1)
    };
    let again = aftermath.take(Instant::now());
    tracing::debug!(number, "deleting what was purged");
    sweep(cache, &mut fresh, again).await?;
    aftermath.add(fresh, Instant::now());
    Some(())
}

/// Deletes from disk what hard purges leave nothing of, and nothing that came after them; and has deleted from the shared bucket what it knows of
/// that, if it was this replica that they were asked of. What records tell of `fresh` is added to it.
async fn sweep(cache: &Weak<Cache>, fresh: &mut Invalidations, again: Invalidations) -> Option<()> {
    let mut doomed = again;
    doomed.add(fresh.clone());
    if doomed.is_empty() {
        // The pass before was faster than whoever told of it.
        return Some(());
    }
    for tier in TIERS {
        let flushed = tier(&*cache.upgrade()?).map(Disk::flush);
        if let Some(flushed) = flushed {
            // What is on its way to the disk gets there first.
            flushed.await;
        }
    }
    let now = sources(&*cache.upgrade()?).map_or(0, Disk::now);
    let newer = look_through_records(cache, &mut doomed, fresh).await?;
    if let Some(shared) = &cache.upgrade()?.shared {
        shared.sweep(doomed.own());
    }
    if doomed.names_no_entry() {
        return Some(());
    }
    // A key of a rendition tells what it was made before.
    let is_older = |entry: &EntryKey| entry.epoch() < doomed.number(entry);
    remove(cache, renditions, u64::MAX, is_older, &doomed).await?;
    // Those of sources do not: what a record that was read leads to stays, and what came or was asked for meanwhile.
    let is_met = |entry: &EntryKey| {
        let newer = newer.get(&entry.source());
        let newer = newer.map(|version| EntryKey::source_bytes(entry.source(), *version));
        doomed.number(entry) > 0 && newer.as_ref() != Some(entry)
    };
    remove(cache, sources, now, is_met, &doomed).await
}

/// One of the two disk tiers.
type Tier = fn(&Cache) -> Option<&Disk>;

const TIERS: [Tier; 2] = [renditions, sources];

fn renditions(cache: &Cache) -> Option<&Disk> {
    cache.renditions.as_ref()
}

fn sources(cache: &Cache) -> Option<&Disk> {
    cache.sources.as_ref()
}

/// Adds the sources that were purged by what the disk knows of them. Returns the state of those that were fetched since.
async fn look_through_records(
    cache: &Weak<Cache>,
    doomed: &mut Invalidations,
    fresh: &mut Invalidations,
) -> Option<HashMap<SourceId, ContentHash>> {
    let mut newer = HashMap::new();
    for shard in 0..=u8::MAX {
        let entries = keys(cache, sources, shard, u64::MAX, |entry| {
            let may_be_met = doomed.asks_for_records() || doomed.number(entry) > 0;
            entry.kind() == EntryKind::Record && may_be_met
        })?;
        for portion in entries.chunks(PORTION) {
            let began = Instant::now();
            let records = sources(&*cache.upgrade()?).map(|disk| disk.records(portion.to_vec()));
            let Some(records) = records else { break };
            for (key, record) in records.await {
                doomed.look_at(&key, &record);
                fresh.look_at(&key, &record);
                if record.generation >= doomed.number(&EntryKey::record(key)) {
                    newer.insert(key.id(), record.version);
                }
            }
            rest(began).await;
        }
        tokio::task::yield_now().await;
    }
    Some(newer)
}

/// Removes the entries that are asked about and were neither written nor asked for after a moment.
async fn remove(
    cache: &Weak<Cache>,
    tier: Tier,
    until: u64,
    wanted: impl Fn(&EntryKey) -> bool,
    doomed: &Invalidations,
) -> Option<()> {
    for shard in 0..=u8::MAX {
        let entries = keys(cache, tier, shard, until, &wanted)?;
        for portion in entries.chunks(PORTION) {
            let began = Instant::now();
            let flushed = {
                let cache = cache.upgrade()?;
                let Some(disk) = tier(&cache) else { break };
                for entry in portion {
                    match entry.kind() {
                        // A newer one may be on its way to the same place.
                        EntryKind::Record => disk.remove_older(*entry, doomed.number(entry)).await,
                        _ => disk.remove_in_turn(*entry).await,
                    }
                }
                disk.flush()
            };
            // So that those who are served find room in the queue.
            flushed.await;
            rest(began).await;
        }
        tokio::task::yield_now().await;
    }
    Some(())
}

fn keys(
    cache: &Weak<Cache>,
    tier: Tier,
    shard: u8,
    until: u64,
    wanted: impl Fn(&EntryKey) -> bool,
) -> Option<Vec<EntryKey>> {
    let cache = cache.upgrade()?;
    let keys = tier(&cache).map(|disk| disk.keys(shard, until, wanted));
    Some(keys.unwrap_or_default())
}

async fn rest(began: Instant) {
    sleep(began.elapsed().saturating_mul(REST).min(LONGEST_REST)).await;
}

#[cfg(test)]
mod tests {
    use super::AFTERMATH;
    use super::Duration;
    use super::EntryKey;
    use super::Instant;
    use super::Invalidations;
    use super::SecondSweep;
    use crate::cache::SourceKey;

    fn of_source(number: u64) -> Invalidations {
        let mut doomed = Invalidations::default();
        doomed.add_source(SourceKey::numbered(number).id(), number);
        doomed
    }

    fn holds(doomed: &Invalidations, number: u64) -> bool {
        doomed.number(&EntryKey::record(SourceKey::numbered(number))) > 0
    }

    #[tokio::test(start_paused = true)]
    async fn one_timer_serves_all_and_none_is_swept_again_too_early() {
        let (mut aftermath, start) = (SecondSweep::default(), Instant::now());
        let second = Duration::from_secs(1);
        aftermath.add(of_source(1), start);
        aftermath.add(of_source(2), start + second);
        aftermath.add(of_source(3), start + AFTERMATH - second);
        assert!(aftermath.take(start + AFTERMATH - second).is_empty());
        let taken = aftermath.take(start + AFTERMATH);
        assert!(holds(&taken, 1) && !holds(&taken, 2));
        assert!(aftermath.take(start + AFTERMATH + second).is_empty());
        let taken = aftermath.take(start + 2 * AFTERMATH);
        assert!(holds(&taken, 2) && holds(&taken, 3));
        assert!(aftermath.due.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_to_remember_is_swept_early() {
        let (mut aftermath, start) = (SecondSweep::default(), Instant::now());
        let mut many = Invalidations::default();
        for number in 1..=100_001 {
            many.add_source(SourceKey::numbered(number).id(), number);
        }
        aftermath.add(of_source(1), start);
        aftermath.add(many, start);
        assert!(holds(&aftermath.take(start), 1));
        assert!(holds(&aftermath.take(start), 100_001));
        aftermath.add(of_source(2), start);
        assert!(aftermath.take(start).is_empty(), "a few have time");
    }
}
