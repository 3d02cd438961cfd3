//! Removes what is no longer needed: files that no record has, tombstones, drafts that expired, and old entries of the log.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::hosted::clock::now_ms;
use crate::hosted::error::HostedError;
use crate::hosted::id::ImageId;
use crate::hosted::images::{Hosted, parse};
use crate::hosted::keys;
use crate::hosted::record::State;
use crate::hosted::store::{Fetched, Listed};
use crate::hosted::tombstone::{HISTORY_AGE, tombstone};

/// A younger file may belong to a record that is still being written.
pub(super) const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// How many failures in a row are those of objects. More are those of the store.
const FAILURES: usize = 5;

/// Failures of a step of a sweep. That of one object, such as a damaged record, does not end it.
#[derive(Default)]
struct Failures {
    in_a_row: usize,
}

impl Failures {
    /// Lets an outcome pass. An error is logged, and returned where there are too many in a row.
    fn pass<T>(&mut self, outcome: Result<T, HostedError>) -> Result<Option<T>, HostedError> {
        match outcome {
            Ok(outcome) => {
                self.in_a_row = 0;
                Ok(Some(outcome))
            }
            Err(error) if self.in_a_row < FAILURES => {
                self.in_a_row += 1;
                tracing::warn!(%error, "something of hosted images that is no longer needed is left where it is");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Records that nobody needs any more.
#[derive(Clone, Copy)]
enum Unneeded {
    /// Drafts that expired before this time, in seconds.
    Drafts(u64),
    /// Tombstones that are older than this time, in milliseconds.
    Tombstones(u64),
}

impl Hosted {
    /// Removes what is no longer needed; of files without a record those that are older than `orphan_age`. What cannot be removed keeps nothing else.
    pub(super) async fn sweep(&self, orphan_age: Duration) -> Result<(), HostedError> {
        let now = now_ms();
        let old = now.saturating_sub(milliseconds(HISTORY_AGE));
        let drafts = self.sweep_records(Unneeded::Drafts(now / 1000)).await;
        let tombstones = self.sweep_records(Unneeded::Tombstones(old)).await;
        let log = self.sweep_log().await;
        let originals = self.sweep_files(keys::ORIGINALS, orphan_age).await;
        let renditions = self.sweep_files(keys::RENDITIONS, orphan_age).await;
        drafts
            .and(tombstones)
            .and(log)
            .and(originals)
            .and(renditions)
    }

    /// Removes all records of a kind, some of them at a time, until none goes away any more.
    async fn sweep_records(&self, kind: Unneeded) -> Result<(), HostedError> {
        let mut failures = Failures::default();
        loop {
            let listed = match kind {
                Unneeded::Drafts(before) => self.index.expired_drafts(before).await?,
                Unneeded::Tombstones(before) => self.index.tombstones(before).await?,
            };
            let mut are_gone = 0;
            for id in listed {
                let swept = match kind {
                    Unneeded::Drafts(before) => self.sweep_draft(&id, before).await,
                    Unneeded::Tombstones(before) => self.sweep_tombstone(&id, before).await,
                };
                are_gone += usize::from(failures.pass(swept)?.unwrap_or(false));
            }
            if are_gone == 0 {
                return Ok(());
            }
        }
    }

    /// Returns whether the draft is gone.
    async fn sweep_draft(&self, id: &ImageId, before: u64) -> Result<bool, HostedError> {
        let swept = self.change_any_record(id, |record| {
            let is_expired = record.state == State::Draft && record.is_gone(before);
            Ok(is_expired.then(|| tombstone(record)))
        });
        match swept.await {
            Ok(swept) => Ok(swept.is_some()),
            Err(HostedError::NotFound | HostedError::Busy) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the tombstone is gone.
    async fn sweep_tombstone(&self, id: &ImageId, before: u64) -> Result<bool, HostedError> {
        let name = self.name(id);
        let _held = self.locks.lock(&name).await;
        let Some((record, _)) = self.read_record(id, &name).await? else {
            return Ok(true);
        };
        let is_old = record.state == State::Deleted && record.uploaded < before;
        if is_old {
            self.objects.delete(vec![keys::record(&name)]).await?;
            self.memory.remove(id);
            self.index.remove(name).await?;
        }
        Ok(is_old)
    }

    /// Removes old entries of the log. In a folder, which older versions gave a log as well, nobody reads it, so all of them are old.
    async fn sweep_log(&self) -> Result<(), HostedError> {
        let age = match self.is_in_bucket() {
            true => milliseconds(HISTORY_AGE),
            false => 0,
        };
        let before = now_ms().saturating_sub(age);
        let mut list = self.objects.list(keys::LOG, None);
        while let Some(page) = list.next().await? {
            let keys = page.into_iter().map(|listed| listed.key);
            let is_old = |key: &String| keys::time_of_log_entry(key).is_some_and(|at| at < before);
            self.objects.delete(keys.filter(is_old).collect()).await?;
        }
        Ok(())
    }

    async fn sweep_files(&self, folder: &str, age: Duration) -> Result<(), HostedError> {
        let mut failures = Failures::default();
        let mut list = self.objects.list(folder, None);
        while let Some(page) = list.next().await? {
            for listed in page {
                if is_older(&listed, age) {
                    failures.pass(self.sweep_file(listed.key).await)?;
                }
            }
        }
        Ok(())
    }

    async fn sweep_file(&self, key: String) -> Result<(), HostedError> {
        if self.is_orphan(&key).await? {
            self.stats.orphans.fetch_add(1, Ordering::Relaxed);
            self.objects.delete(vec![key]).await?;
        }
        Ok(())
    }

    /// Whether no record has this file. The index alone is not believed.
    async fn is_orphan(&self, key: &str) -> Result<bool, HostedError> {
        let Some(name) = keys::name_of_file(key) else {
            return Ok(false);
        };
        let row = self.index.get_key(name).await?;
        if row.is_some_and(|row| row.record.has_file(key)) {
            return Ok(false);
        }
        let _held = self.locks.lock(name).await;
        match self.objects.get(&keys::record(name), None).await? {
            // A record that cannot be read may have it.
            Fetched::Object(bytes, _) => {
                let record = parse(name, &bytes);
                Ok(record.is_ok_and(|record| !record.has_file(key)))
            }
            Fetched::Missing | Fetched::Same => Ok(true),
        }
    }
}

fn is_older(listed: &Listed, age: Duration) -> bool {
    let modified = listed.modified;
    modified.is_some_and(|modified| {
        SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|passed| passed >= age)
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
