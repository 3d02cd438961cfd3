//! Deletes from the bucket what hard purges leave nothing of: one source after the other, by one task, however many purges there are.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::bucket::BucketError;
use crate::cache::entry::EntryKey;
use crate::cache::entry::EntryKind;
use crate::cache::key::SourceId;
use crate::cache::source_record::SourceRecord;
use crate::cache::tier::shared::Inner;
use crate::cache::tier::shared::LARGEST;
use crate::cache::tier::shared::Shared;
use crate::cache::tier::shared::count;
use crate::cache::tier::shared::envelope;
use crate::cache::tier::shared::read_object;

/// When deleting is tried, and tried again. What fails to the last is given up, until it is asked for anew.
const ATTEMPTS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(60),
];

/// Sources that fail in a row before the others are not tried either.
const ENOUGH: u32 = 3;

/// Sources that wait before they become all of them.
const MOST: usize = 100_000;

/// Sources, or all of them (`None`), each with the number of the last hard purge that met it.
type SweepTargets = HashMap<Option<SourceId>, u64>;

pub(crate) struct Sweeper {
    waiting: Mutex<SweepTargets>,
    wake: mpsc::Sender<()>,
}

impl Sweeper {
    /// With what [`keep_sweeping`] waits for.
    pub(crate) fn new() -> (Self, mpsc::Receiver<()>) {
        let (wake, woken) = mpsc::channel(1);
        let sweeper = Sweeper {
            waiting: Mutex::default(),
            wake,
        };
        (sweeper, woken)
    }

    fn add(&self, doomed: SweepTargets) {
        let mut waiting = self.waiting();
        for (source, number) in doomed {
            let known = waiting.entry(source).or_default();
            *known = number.max(*known);
        }
        if waiting.len() > MOST {
            let last = waiting.values().copied().max().unwrap_or_default();
            *waiting = HashMap::from([(None, last)]);
        }
    }

    fn take(&self) -> SweepTargets {
        let mut doomed = std::mem::take(&mut *self.waiting());
        if let Some(everything) = doomed.get(&None).copied() {
            doomed.retain(|source, number| source.is_none() || *number > everything);
        }
        doomed
    }

    fn waiting(&self) -> MutexGuard<'_, SweepTargets> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Has deleted what was made of sources before hard purges, with nobody waiting for it.
    pub(crate) fn sweep(&self, doomed: SweepTargets) {
        if !doomed.is_empty() {
            let sweeper = &self.inner.sweeper;
            sweeper.add(doomed);
            // Where that is full, it is about to wake.
            let _ = sweeper.wake.try_send(());
        }
    }
}

/// Sweeps whenever there is something to sweep, for as long as there is a tier.
pub(crate) async fn keep_sweeping(tier: Weak<Inner>, mut woken: mpsc::Receiver<()>) {
    while woken.recv().await.is_some() {
        let mut left = SweepTargets::new();
        for wait in ATTEMPTS {
            tokio::time::sleep(wait).await;
            let Some(swept) = sweep_all(&tier, left).await else {
                return;
            };
            let Err(SweepError { doomed, error }) = swept else {
                break;
            };
            tracing::warn!(%error, sources = doomed.len(), "cannot delete purged entries from the shared cache; they are not served");
            left = doomed;
        }
    }
}

/// What could not be deleted, and the last reason.
struct SweepError {
    doomed: SweepTargets,
    error: BucketError,
}

/// One attempt at what is left of the one before and all that came since; `None` if the tier is gone.
async fn sweep_all(tier: &Weak<Inner>, left: SweepTargets) -> Option<Result<(), SweepError>> {
    let doomed = {
        let tier = tier.upgrade()?;
        // What is on its way to the bucket gets there first.
        tier.queue.flush().await;
        tier.sweeper.add(left);
        tier.sweeper.take()
    };
    let (mut unswept, mut last, mut in_a_row) = (SweepTargets::new(), None, 0);
    for (source, number) in doomed {
        if in_a_row == ENOUGH {
            unswept.insert(source, number);
            continue;
        }
        let tier = tier.upgrade()?;
        match tier.sweep(source, number).await {
            Ok(()) => in_a_row = 0,
            Err(error) => {
                count(&tier.counts.write_failures);
                unswept.insert(source, number);
                last = Some(error);
                in_a_row += 1;
            }
        }
    }
    Some(match last {
        Some(error) => Err(SweepError {
            doomed: unswept,
            error,
        }),
        None => Ok(()),
    })
}

impl Inner {
    async fn sweep(&self, source: Option<SourceId>, number: u64) -> Result<(), BucketError> {
        let folder = match source {
            Some(source) => format!("{}{source}/", self.folder),
            None => self.folder.clone(),
        };
        let mut after: Option<String> = None;
        loop {
            let page = self.bucket.list(&folder, after.as_deref()).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let mut doomed = Vec::new();
            for name in page {
                if self.is_older(&name, number).await? {
                    doomed.push(name);
                }
            }
            self.bucket.delete(doomed).await?;
        }
    }

    /// Whether an object was made before a hard purge that met its source. What is understood by nobody was, too.
    async fn is_older(&self, name: &str, number: u64) -> Result<bool, BucketError> {
        let key = name.rsplit('/').next().and_then(|key| key.parse().ok());
        let Some(key) = key else { return Ok(true) };
        if EntryKey::kind(key) != EntryKind::Record {
            return Ok(key.epoch() < number);
        }
        let content = match read_object(&self.bucket, name, LARGEST).await {
            Ok(content) => content,
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        };
        let record = envelope::open(key, content).await;
        let record = record.and_then(|body| SourceRecord::from_stored(&body));
        Ok(record.is_none_or(|record| record.generation < number))
    }
}
