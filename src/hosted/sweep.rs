//! Removes what is no longer needed: files that no record has, tombstones, drafts that expired, and old entries of the log.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::hosted::clock::now_ms;
use crate::hosted::error::HostedError;
use crate::hosted::images::{Hosted, parse};
use crate::hosted::keys;
use crate::hosted::record::State;
use crate::hosted::store::{Fetched, Listed};
use crate::hosted::write::tombstone;

/// A younger file may belong to a record that is still being written.
pub(super) const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// How long tombstones and entries of the log are kept.
const HISTORY_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Hosted {
    /// Removes what is no longer needed; of files without a record those that are older than `orphan_age`.
    pub(super) async fn sweep(&self, orphan_age: Duration) -> Result<(), HostedError> {
        self.sweep_drafts().await?;
        self.sweep_tombstones().await?;
        self.sweep_log().await?;
        for folder in [keys::ORIGINALS, keys::RENDITIONS] {
            self.sweep_files(folder, orphan_age).await?;
        }
        Ok(())
    }

    async fn sweep_drafts(&self) -> Result<(), HostedError> {
        let before = now_ms() / 1000;
        for id in self.index.expired_drafts(before).await? {
            let swept = self.change_any_record(&id, |record| {
                let is_expired = record.state == State::Draft && record.is_gone(before);
                Ok(is_expired.then(|| tombstone(record)))
            });
            match swept.await {
                Ok(_) | Err(HostedError::NotFound | HostedError::Busy) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn sweep_tombstones(&self) -> Result<(), HostedError> {
        let before = now_ms().saturating_sub(milliseconds(HISTORY_AGE));
        for id in self.index.tombstones(before).await? {
            let name = self.name(&id);
            let _held = self.locks.lock(&name).await;
            let found = self.read_record(&id, &name).await?;
            let is_old = found.is_some_and(|(record, _)| {
                record.state == State::Deleted && record.uploaded < before
            });
            if is_old {
                self.objects.delete(vec![keys::record(&name)]).await?;
                self.memory.remove(&id);
                self.index.remove(name).await?;
            }
        }
        Ok(())
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
        let mut list = self.objects.list(folder, None);
        while let Some(page) = list.next().await? {
            for listed in page {
                if is_older(&listed, age) && self.is_orphan(&listed.key).await? {
                    self.stats.orphans.fetch_add(1, Ordering::Relaxed);
                    self.objects.delete(vec![listed.key]).await?;
                }
            }
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
