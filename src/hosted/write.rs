//! How records are changed: original, record, in a bucket an entry of the log, index; then it is acknowledged. A record is written only if it is as it
//! was read.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use ulid::Ulid;

use crate::hosted::clock::now_ms;
use crate::hosted::error::HostedError;
use crate::hosted::fault;
use crate::hosted::id::ImageId;
use crate::hosted::images::{Hosted, parse};
use crate::hosted::keys;
use crate::hosted::record::{Facts, Original, Record};
use crate::hosted::spool::SpooledFile;
use crate::hosted::store::{Condition, Put};
use crate::hosted::tombstone::is_swept_soon;

/// How often a record is read and written again when others change it at the same time.
const TRIES: u32 = 5;
/// How long it may take at most to delete a tombstone after a look at it.
const SWEEP_TIME: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });

/// A record before a change and after it.
pub(super) struct Change {
    pub(super) before: Arc<Record>,
    pub(super) after: Arc<Record>,
}

impl Hosted {
    /// Does work to its end, even if the client is gone meanwhile.
    pub(super) async fn to_the_end<T: Send + 'static>(
        work: impl Future<Output = Result<T, HostedError>> + Send + 'static,
    ) -> Result<T, HostedError> {
        match tokio::spawn(work).await {
            Ok(done) => done,
            Err(lost) => Err(HostedError::Store(lost.to_string())),
        }
    }

    /// Stores an upload under a new key.
    pub(super) async fn store_original(
        &self,
        name: &str,
        spooled: SpooledFile,
        facts: Facts,
    ) -> Result<Original, HostedError> {
        let key = keys::original(name, &facts.extension);
        self.objects
            .put_file(&key, spooled.file, spooled.bytes)
            .await?;
        fault::point("after-original");
        Ok(Original {
            key,
            bytes: spooled.bytes,
            sha256: spooled.sha256,
            facts,
        })
    }

    /// Stores the record of a new image. A tombstone or a draft that expired gives way.
    pub(super) async fn add_record(
        self: &Arc<Self>,
        record: Record,
    ) -> Result<Arc<Record>, HostedError> {
        let name = self.name(&record.id);
        let _held = self.locks.lock(&name).await;
        let mut replaced: Option<Arc<str>> = None;
        let mut may_be_swept = false;
        for attempt in 0..TRIES {
            let condition = match &replaced {
                None => Condition::Absent,
                Some(etag) => Condition::Matches(etag),
            };
            if let Put::Stored(etag) = self.put_record(&record, &name, condition).await? {
                let added = self.finish(record, etag, &name).await;
                if may_be_swept && let Ok(record) = &added {
                    tokio::spawn(keep(Arc::downgrade(self), Arc::clone(record)));
                }
                return added;
            }
            replaced = match self.read_record(&record.id, &name).await? {
                Some((found, etag)) if found.is_gone(now_ms() / 1000) => {
                    may_be_swept = self.is_shared() && is_swept_soon(&found);
                    Some(etag)
                }
                Some(_) => return Err(HostedError::Exists),
                None => None,
            };
            self.wait_for_others(attempt).await;
        }
        Err(HostedError::Busy)
    }

    /// Reads a record, changes it, and writes it if it is still the same; again if not. `change` says `None` where nothing is to be done, and never
    /// sees what is gone.
    pub(super) async fn change_record(
        &self,
        id: &ImageId,
        change: impl Fn(&Record) -> Result<Option<Record>, HostedError> + Send + Sync,
    ) -> Result<Option<Change>, HostedError> {
        self.change_any_record(id, |record| match record.is_gone(now_ms() / 1000) {
            true => Err(HostedError::NotFound),
            false => change(record),
        })
        .await
    }

    /// As [`Hosted::change_record`], for what is gone as well.
    pub(super) async fn change_any_record(
        &self,
        id: &ImageId,
        change: impl Fn(&Record) -> Result<Option<Record>, HostedError> + Send + Sync,
    ) -> Result<Option<Change>, HostedError> {
        let name = self.name(id);
        let _held = self.locks.lock(&name).await;
        let mut found = self.load(id, &name).await?;
        for attempt in 0..TRIES {
            let (before, etag) = found.ok_or(HostedError::NotFound)?;
            let Some(mut after) = change(&before)? else {
                return Ok(None);
            };
            after.rev = Ulid::generate().to_string();
            let put = self
                .put_record(&after, &name, Condition::Matches(&etag))
                .await?;
            if let Put::Stored(etag) = put {
                let after = self.finish(after, etag, &name).await?;
                return Ok(Some(Change { before, after }));
            }
            self.wait_for_others(attempt).await;
            found = self.read_record(id, &name).await?;
        }
        Err(HostedError::Busy)
    }

    /// Writes a record.
    async fn put_record(
        &self,
        record: &Record,
        name: &str,
        condition: Condition<'_>,
    ) -> Result<Put, HostedError> {
        self.check_open()?;
        let json =
            serde_json::to_vec(record).map_err(|error| HostedError::Store(error.to_string()))?;
        // What cannot be read again must not be stored: metadata that is nested too deeply, for example.
        parse(name, &json)?;
        let key = keys::record(name);
        self.objects
            .put_surely(&key, Bytes::from(json), condition)
            .await
    }

    /// What follows when a record is stored. The caller holds the lock of the image.
    async fn finish(
        &self,
        record: Record,
        etag: String,
        name: &str,
    ) -> Result<Arc<Record>, HostedError> {
        fault::point("after-record");
        let record = Arc::new(record);
        let (etag, checked) = (Arc::from(etag), Instant::now());
        let logged = self.log_change(&record.id).await;
        fault::point("after-log");
        self.note(Arc::clone(&record), &etag, name, checked).await;
        fault::point("after-index");
        logged.map(|_| record)
    }

    /// Tells other processes of a change. A folder has one process.
    async fn log_change(&self, id: &ImageId) -> Result<(), HostedError> {
        if !self.is_in_bucket() {
            return Ok(());
        }
        let entry = keys::log_entry(now_ms());
        self.tail.skip(&entry);
        let body = Bytes::from(json!({ "id": id }).to_string());
        let put = self.objects.put(&entry, body, Condition::Always).await;
        put.map(|_| ())
    }

    async fn keep_now(&self, record: &Arc<Record>) -> Result<(), HostedError> {
        let name = self.name(&record.id);
        let _held = self.locks.lock(&name).await;
        if self.read_record(&record.id, &name).await?.is_some() {
            return Ok(());
        }
        tracing::warn!(id = %record.id, "an image was swept away with the tombstone that it has replaced, and is stored again");
        if let Put::Stored(etag) = self.put_record(record, &name, Condition::Absent).await? {
            self.finish(Record::clone(record), etag, &name).await?;
        }
        Ok(())
    }

    /// Waits a little, and longer each time, so that writers who met once do not meet again.
    async fn wait_for_others(&self, attempt: u32) {
        self.stats.retries.fetch_add(1, Ordering::Relaxed);
        let jitter = u64::try_from(Ulid::generate().random() % 20).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis((jitter + 5) << attempt)).await;
    }

    /// Removes files of a record that has changed, unless the image still has them.
    pub(super) async fn remove_files(&self, of: &Record) {
        let name = self.name(&of.id);
        let _held = self.locks.lock(&name).await;
        let Ok(now) = self.load(&of.id, &name).await else {
            // The sweeper will find them.
            return;
        };
        let now = now.map(|(record, _)| record);
        let files = of.files().map(str::to_owned);
        let removed: Vec<String> = files
            .filter(|key| now.as_ref().is_none_or(|now| !now.has_file(key)))
            .collect();
        self.remove_keys(removed).await;
    }

    /// Removes files that no record has.
    pub(super) async fn remove_keys(&self, removed: Vec<String>) {
        if let Err(error) = self.objects.delete(removed).await {
            tracing::debug!(%error, "files of an image could not be removed now, and will be later");
        }
    }
}

/// Stores the record of an image once more if another process sweeps it away with the tombstone that it has replaced.
async fn keep(hosted: Weak<Hosted>, record: Arc<Record>) {
    tokio::time::sleep(SWEEP_TIME).await;
    if let Some(hosted) = hosted.upgrade()
        && let Err(error) = hosted.keep_now(&record).await
    {
        tracing::warn!(id = %record.id, %error, "nobody knows whether an image was swept away with the tombstone that it has replaced");
    }
}
