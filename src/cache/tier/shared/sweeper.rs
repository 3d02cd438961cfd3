//! Deletes from the bucket what hard purges have removed: one source after the other, in one task, however many purges there are.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::bucket::BucketError;
use crate::cache::entry::{EntryKey, EntryKind};
use crate::cache::key::SourceId;
use crate::cache::source_record::SourceRecord;
use crate::cache::tier::shared::envelope;
use crate::cache::tier::shared::object::read_object;
use crate::cache::tier::shared::store::{MAX_ENTRY_BYTES, SharedStore, count};

/// The waits before each attempt to delete. What the last attempt cannot delete is given up until it is purged again.
const ATTEMPTS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(60),
];

/// After this many failed sources in a row, an attempt ends.
const MAX_FAILURES_IN_A_ROW: u32 = 3;

/// Sweeps when it is woken, for as long as there is a tier.
pub(super) async fn keep_sweeping(tier: Weak<SharedStore>, mut wake_ups: mpsc::Receiver<()>) {
    while wake_ups.recv().await.is_some() {
        let mut left = HashMap::new();
        for wait in ATTEMPTS {
            tokio::time::sleep(wait).await;
            let Some(swept) = sweep_all(&tier, left).await else {
                return;
            };
            let Err(SweepError { unswept, error }) = swept else {
                break;
            };
            tracing::warn!(%error, sources = unswept.len(), "cannot delete purged entries from the shared cache; they are not served");
            left = unswept;
        }
    }
}

/// What could not be deleted, and the last reason.
struct SweepError {
    unswept: HashMap<Option<SourceId>, u64>,
    error: BucketError,
}

/// One attempt to delete what the attempt before left and everything that was added since; `None` if the tier is gone.
async fn sweep_all(
    tier: &Weak<SharedStore>,
    left: HashMap<Option<SourceId>, u64>,
) -> Option<Result<(), SweepError>> {
    let targets = {
        let tier = tier.upgrade()?;
        // Writes that are on their way must arrive before the sweep.
        tier.queue.flush().await;
        let mut targets = tier.sweeps.take();
        targets.add(left);
        targets.into_purges()
    };
    let (mut unswept, mut last, mut in_a_row) = (HashMap::new(), None, 0);
    for (source, number) in targets {
        if in_a_row == MAX_FAILURES_IN_A_ROW {
            unswept.insert(source, number);
            continue;
        }
        let tier = tier.upgrade()?;
        match tier.sweep(source, number).await {
            Ok(()) => in_a_row = 0,
            Err(error) => {
                count(&tier.counters.write_failures);
                unswept.insert(source, number);
                last = Some(error);
                in_a_row += 1;
            }
        }
    }
    Some(match last {
        Some(error) => Err(SweepError { unswept, error }),
        None => Ok(()),
    })
}

impl SharedStore {
    /// Deletes what was made of a source, or of all sources, before the purge of this number.
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
            let mut older = Vec::new();
            for name in page {
                if self.is_older(&name, number).await? {
                    older.push(name);
                }
            }
            self.bucket.delete(older).await?;
        }
    }

    /// Whether an object was made before the purge of this number. An object that cannot be parsed counts as older.
    async fn is_older(&self, name: &str, number: u64) -> Result<bool, BucketError> {
        let key = name.rsplit('/').next().and_then(|key| key.parse().ok());
        let Some(key) = key else { return Ok(true) };
        if EntryKey::kind(key) != EntryKind::Record {
            return Ok(key.epoch() < number);
        }
        let content = match read_object(&self.bucket, name, MAX_ENTRY_BYTES).await {
            Ok(content) => content,
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        };
        let record = envelope::open(key, content).await;
        let record = record.and_then(|body| SourceRecord::from_stored(&body));
        Ok(record.is_none_or(|record| record.generation < number))
    }
}
