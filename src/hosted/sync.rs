//! How the index follows the store: by a pass over all records at the start and each hour, and, where others write as well, by the log of changes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;

use crate::hosted::clock::now_ms;
use crate::hosted::error::HostedError;
use crate::hosted::id::ImageId;
use crate::hosted::images::{Hosted, parse};
use crate::hosted::keys;
use crate::hosted::store::{Fetched, Listed};
use crate::hosted::sweep::ORPHAN_AGE;

/// How many records are read at the same time.
const READS: usize = 64;
/// How often something may be due.
const TICK: Duration = Duration::from_secs(1);
/// How often the log is followed while nobody asks for lists.
const IDLE: Duration = Duration::from_secs(60);
/// How often the log is followed where nobody else should write.
const LOOK: Duration = Duration::from_secs(15);
/// How often there is a pass over the store, and a sweep.
const PASS: Duration = Duration::from_secs(3600);
/// How long after a failed pass the next one begins.
const RETRY: Duration = Duration::from_secs(15);

/// What an entry of the log says.
#[derive(Deserialize)]
struct LogEntry {
    id: ImageId,
}

impl Hosted {
    /// Starts what is done again and again, until nobody has this any more.
    pub(super) fn start_background(self: &Arc<Self>) {
        tokio::spawn(background(Arc::downgrade(self)));
    }

    /// Compares all records of the store with the index, and reads those that differ.
    pub(super) async fn reconcile(&self) -> Result<(), HostedError> {
        let lost_rows = || self.stats.lost_rows.load(Ordering::Acquire);
        let lost_before = lost_rows();
        let pass = self.index.next_pass().await?;
        self.stats.pass.store(pass, Ordering::Release);
        self.stats.scanned.store(0, Ordering::Relaxed);
        self.stats.is_scanning.store(true, Ordering::Relaxed);
        let done = self.scan(pass).await;
        self.stats.is_scanning.store(false, Ordering::Relaxed);
        done?;
        if lost_rows() == lost_before {
            self.index.set_complete().await?;
            self.stats.believe_index(true);
        }
        // Also in the moment between.
        if lost_rows() != lost_before {
            self.stats.believe_index(false);
            let reason = "rows of the index cannot be written".to_owned();
            return Err(HostedError::Store(reason));
        }
        let rows = self.index.rows().await?;
        self.stats.rows.store(rows, Ordering::Relaxed);
        Ok(())
    }

    /// Reads what other processes wrote since the last time, unless that was a moment ago. A store that is said to be for this process alone should
    /// have nothing of others that is newer than the first look: then it is shared from now on.
    pub(super) async fn follow_log(&self) -> Result<(), HostedError> {
        let mut cursor = self.tail.cursor.lock().await;
        if !cursor.is_old() {
            return Ok(());
        }
        let is_first = cursor.is_new();
        let (at, from) = (Instant::now(), cursor.from(now_ms()));
        let mut entries = Vec::new();
        let mut list = self.objects.list(keys::LOG, Some(&from));
        while let Some(page) = list.next().await? {
            let new = page.into_iter().map(|listed| listed.key);
            entries.extend(new.filter(|key| !self.tail.is_known(key)));
        }
        let times = entries
            .iter()
            .filter_map(|key| keys::time_of_log_entry(key));
        let newest = times.max().unwrap_or(0);
        if !is_first && !entries.is_empty() && !self.is_shared() {
            self.stats.has_other_writers.store(true, Ordering::Release);
            tracing::error!(
                place = self.objects.place(),
                "another process writes hosted images here: set `hosted.replicas = true` in all of them, or give each a store of its own"
            );
        }
        stream::iter(entries)
            .map(|entry| Ok(self.follow(entry)))
            .try_buffer_unordered(READS)
            .try_collect::<()>()
            .await?;
        if newest > 0 {
            let lag = now_ms().saturating_sub(newest);
            self.stats.log_lag.store(lag, Ordering::Relaxed);
        }
        cursor.set(at, newest);
        self.tail.forget_before(&cursor.from(now_ms()));
        Ok(())
    }

    /// Reads the record that an entry of the log tells of.
    async fn follow(&self, entry: String) -> Result<(), HostedError> {
        if let Fetched::Object(bytes, _) = self.objects.get(&entry, None).await? {
            match serde_json::from_slice::<LogEntry>(&bytes) {
                Ok(LogEntry { id }) => self.refresh(self.name(&id)).await?,
                Err(error) => {
                    tracing::warn!(entry, %error, "an entry of the log of hosted images cannot be read")
                }
            }
        }
        self.tail.skip(&entry);
        Ok(())
    }

    async fn scan(&self, pass: i64) -> Result<(), HostedError> {
        let mut list = self.objects.list(keys::RECORDS, None);
        while let Some(page) = list.next().await? {
            let listed: Vec<(String, String)> = page.into_iter().filter_map(name_and_tag).collect();
            let count = listed.len() as u64;
            let others = self.index.mark(listed, pass).await?;
            self.refresh_all(others).await?;
            self.stats.scanned.fetch_add(count, Ordering::Relaxed);
        }
        let unseen = self.index.unseen(pass).await?;
        self.refresh_all(unseen).await
    }

    async fn refresh_all(&self, names: Vec<String>) -> Result<(), HostedError> {
        stream::iter(names)
            .map(|name| Ok(self.refresh(name)))
            .try_buffer_unordered(READS)
            .try_collect::<()>()
            .await
    }

    /// Reads the record of the image with this name in keys, and brings memory and index up to date.
    pub(super) async fn refresh(&self, name: String) -> Result<(), HostedError> {
        let _held = self.locks.lock(&name).await;
        let checked = Instant::now();
        match self.objects.get(&keys::record(&name), None).await? {
            Fetched::Object(bytes, etag) => match parse(&name, &bytes) {
                Ok(record) if self.name(&record.id) == name => {
                    self.note(Arc::new(record), &etag.into(), &name, checked)
                        .await;
                }
                Ok(record) => {
                    tracing::warn!(key = keys::record(&name), id = %record.id, "a record has the key of another image");
                }
                Err(error) => tracing::warn!(%error, "a record is left out"),
            },
            Fetched::Missing | Fetched::Same => self.forget(&name).await?,
        }
        Ok(())
    }
}

fn name_and_tag(listed: Listed) -> Option<(String, String)> {
    let name = keys::name_of_record(&listed.key)?.to_owned();
    Some((name, listed.etag))
}

async fn background(hosted: Weak<Hosted>) {
    while hosted.upgrade().is_some_and(|hosted| !hosted.is_open()) {
        tokio::time::sleep(RETRY).await;
        if let Some(hosted) = hosted.upgrade() {
            hosted.open_later().await;
        }
    }
    let mut next_pass = Instant::now();
    let mut next_settings = Instant::now();
    let mut next_log = Instant::now();
    let mut next_count = next_log + IDLE;
    // Nothing is swept before a pass has been successful.
    let mut next_sweep = None;
    // It may take long, and settings are read again meanwhile.
    let mut sweeping = tokio::spawn(async {});
    loop {
        let Some(hosted) = hosted.upgrade() else {
            return;
        };
        let now = Instant::now();
        let is_lost = !hosted.stats.is_reconciled.load(Ordering::Acquire);
        if now >= next_pass {
            match hosted.reconcile().await {
                Ok(()) => {
                    next_pass = Instant::now() + PASS;
                    next_sweep = Some(next_sweep.unwrap_or(now + PASS / 12));
                }
                Err(error) => {
                    tracing::warn!(%error, "the index of hosted images cannot be brought up to date, and will be later");
                    next_pass = Instant::now() + RETRY;
                }
            }
        } else if is_lost && next_pass > now + RETRY {
            next_pass = now + RETRY;
        }
        if hosted.is_shared() && now >= next_settings {
            next_settings = now + hosted.config.record_ttl.duration().max(TICK);
            if let Err(error) = hosted.account.refresh(&hosted.objects).await {
                tracing::warn!(%error, "the settings of hosted images cannot be read again");
            }
        }
        // A folder is locked.
        if hosted.is_in_bucket() && now >= next_log {
            next_log = now + if hosted.is_shared() { IDLE } else { LOOK };
            if let Err(error) = hosted.follow_log().await {
                tracing::warn!(%error, "the log of hosted images cannot be followed");
            }
        }
        if now >= next_count {
            next_count = now + IDLE;
            hosted.keep_reserve().await;
            if let Ok(rows) = hosted.index.rows().await {
                hosted.stats.rows.store(rows, Ordering::Relaxed);
            }
        }
        if next_sweep.is_some_and(|sweep| now >= sweep) && sweeping.is_finished() {
            next_sweep = Some(now + PASS);
            sweeping = tokio::spawn(sweep(hosted));
        } else {
            drop(hosted);
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn sweep(hosted: Arc<Hosted>) {
    if let Err(error) = hosted.sweep(ORPHAN_AGE).await {
        tracing::warn!(%error, "files of deleted images cannot be removed now");
    }
}
