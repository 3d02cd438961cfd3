//! Purges: how one reaches every tier, and every process that shares a tier.

pub(crate) mod backlog;
pub(crate) mod invalidations;
pub(crate) mod journal;
pub(crate) mod log;
pub(crate) mod sweeper;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::bucket::BucketError;
use crate::cache::entry::EntryKey;
use crate::cache::purge::invalidations::Invalidations;
use crate::cache::purge::log::{Purge, PurgeEvent, Target};
use crate::cache::state::Cache;
use crate::cache::tier::shared::purge_log::{PublishResult, RemotePurges};

/// How often the purges of other processes and replicas are read.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How many purges are published in one object.
const BATCH: usize = 500;

/// How long a start waits for the purges in the shared bucket.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// An error of a purge that is applied here, but not everywhere or not after a restart.
#[derive(Debug)]
pub enum PurgeError {
    /// The purge could not be written to the journal: a restart would forget it.
    Journal(std::io::Error),
    /// The purge could not be published. It will be when the shared bucket answers again.
    Shared(BucketError),
}

impl fmt::Display for PurgeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PurgeError::Journal(error) => write!(
                out,
                "purged, but not recorded: after a restart the entries on disk would be used again ({error})"
            ),
            PurgeError::Shared(error) => write!(
                out,
                "purged on this server, and on others only when the shared bucket answers again ({error})"
            ),
        }
    }
}

impl std::error::Error for PurgeError {}

impl Cache {
    /// Applies purges. When this returns, this process serves nothing that was fetched before and that the purges match, and the other replicas have
    /// been told. What is on disk and in the shared bucket is deleted later, in the background.
    ///
    /// # Errors
    /// [`PurgeError`] says which part of a purge failed.
    pub async fn purge(self: &Arc<Self>, purges: Vec<Purge>) -> Result<(), PurgeError> {
        if purges.is_empty() {
            return Ok(());
        }
        let mut backlog = self.backlog.lock().await;
        // Purges of other processes that were recorded before come first, so that they have lower numbers.
        self.read_journal().await;
        let mut done = Ok(());
        // In batches, because objects have a largest size.
        for batch in purges.chunks(BATCH) {
            let outcome = self.publish_and_apply(batch).await;
            if let Err(PurgeError::Shared(_)) = outcome {
                backlog.push(batch.to_vec());
                if let Some(journal) = &self.journal
                    && let Err(error) = journal.append_unpublished(batch.to_vec()).await
                {
                    tracing::warn!(%error, "cannot record purges that other replicas do not know of yet");
                }
            }
            done = done.and(outcome);
        }
        done
    }

    /// Reads the purges of the journal and of the shared bucket, and starts the task that goes on to read them. A slow bucket is not waited for.
    pub(crate) async fn start_purges(self: &Arc<Self>) {
        {
            let mut backlog = self.backlog.lock().await;
            self.read_journal().await;
            if let Some(journal) = self.journal.as_ref().filter(|_| self.shared.is_some()) {
                backlog.push(journal.unpublished().await);
            }
        }
        if self.shared.is_some() {
            // A separate task, so that a timeout does not lose what has been read.
            let cache = Arc::clone(self);
            let first = tokio::spawn(async move { cache.catch_up().await });
            if tokio::time::timeout(START_TIMEOUT, first).await.is_err() {
                tracing::warn!(
                    "cannot read the purges in the shared bucket yet, starting without them"
                );
            }
        }
        self.poll_purges();
    }

    /// Applies the purges of other processes and replicas, and publishes those that could not be published before.
    pub(crate) async fn catch_up(self: &Arc<Self>) {
        let mut backlog = self.backlog.lock().await;
        self.read_journal().await;
        let Some(shared) = &self.shared else { return };
        let RemotePurges { events, late } = shared.purges.poll(self.purges.generation()).await;
        self.apply_news(events).await;
        shared.purges.mark_loaded();
        for late in late {
            if self.publish_and_apply(&late.purges).await.is_ok() {
                shared.purges.retract(late).await;
            }
        }
        if !backlog.unpublished.is_empty() && !shared.purges.is_failing() {
            while !backlog.unpublished.is_empty() {
                let count = backlog.unpublished.len().min(BATCH);
                let batch: Vec<Purge> = backlog.unpublished.drain(..count).collect();
                if let Err(PurgeError::Shared(_)) = self.publish_and_apply(&batch).await {
                    backlog.unpublished.splice(..0, batch);
                    break;
                }
            }
            if let Some(journal) = self
                .journal
                .as_ref()
                .filter(|_| backlog.unpublished.is_empty())
            {
                journal.clear_unpublished().await;
            }
        }
    }

    /// Starts to read the purges of others at regular times, for as long as there is a cache.
    fn poll_purges(self: &Arc<Self>) {
        if self.journal.is_none() && self.shared.is_none() {
            return;
        }
        let cache = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                let Some(cache) = cache.upgrade() else { return };
                cache.catch_up().await;
            }
        });
    }

    /// The caller holds the lock on `backlog`, so that no purge of this process is appended while the journal is compacted.
    async fn read_journal(self: &Arc<Self>) {
        let Some(journal) = &self.journal else { return };
        let mut invalidations = Invalidations::default();
        for event in journal.read_new().await {
            invalidations.add(self.apply(event).await.unwrap_or_default());
        }
        self.start_sweep(invalidations);
        journal.compact(self.purges.events()).await;
    }

    /// Applies the events of other replicas, and records them, so that a restart knows of them without the bucket.
    async fn apply_news(self: &Arc<Self>, events: Vec<PurgeEvent>) {
        let (mut unknown, mut invalidations) = (Vec::new(), Invalidations::default());
        for event in events {
            if let Some(more) = self.apply(event.clone()).await {
                invalidations.add(more);
                unknown.push(event);
            }
        }
        self.start_sweep(invalidations);
        if let Some(journal) = &self.journal
            && !unknown.is_empty()
            && let Err(error) = journal.append(unknown).await
        {
            tracing::warn!(%error, "cannot record the purges of other replicas");
        }
    }

    /// Publishes purges if there is a shared tier, then applies them here and records them.
    async fn publish_and_apply(self: &Arc<Self>, purges: &[Purge]) -> Result<(), PurgeError> {
        let mut published = Ok(());
        let mut events = Vec::with_capacity(purges.len());
        if let Some(shared) = &self.shared {
            // Removed before other replicas know of the purge: whoever then asks the bucket must not find them.
            let keys = purges.iter().filter_map(|purge| match &purge.target {
                Target::Renditions { keys, .. } => Some(keys),
                _ => None,
            });
            let keys: Vec<_> = keys.flatten().copied().map(EntryKey::rendition).collect();
            if !keys.is_empty() {
                shared.remove_now(&keys).await;
            }
            let (known, now) = (self.purges.generation(), self.clock.now());
            let first = self.purges.next_number(now);
            let PublishResult { news, own } =
                shared.purges.publish(purges, first, known, now).await;
            self.apply_news(news).await;
            match own {
                Ok(own) => events = own,
                Err(error) => published = Err(PurgeError::Shared(error)),
            }
        }
        let mut invalidations = Invalidations::default();
        if events.is_empty() {
            for purge in purges {
                let event = self.purges.next(purge.clone(), self.clock.now());
                invalidations.add(self.apply(event.clone()).await.unwrap_or_default());
                events.push(event);
            }
        } else {
            for event in &events {
                invalidations.add(self.apply(event.clone()).await.unwrap_or_default());
            }
        }
        self.start_sweep(invalidations.mark_requested());
        let written = match &self.journal {
            Some(journal) => journal.append(events).await,
            None => Ok(()),
        };
        published.and(written.map_err(PurgeError::Journal))
    }

    /// Applies an event in memory, and returns what is to be deleted from the other tiers; `None` if the event is known already.
    async fn apply(&self, event: PurgeEvent) -> Option<Invalidations> {
        if !self.purges.learn(event.clone()) {
            return None;
        }
        let purge = &event.purge;
        if let Target::Renditions { keys, .. } = &purge.target {
            for key in keys {
                self.remove_locally(*key).await;
            }
        }
        let mut invalidations = Invalidations::default();
        if !purge.is_hard() {
            return Some(invalidations);
        }
        invalidations.add_event(&event);
        match &purge.target {
            Target::Everything => self.memory.clear(),
            Target::Source(key) => {
                let source = HashSet::from([key.id()]);
                self.memory.remove_sources(&source).await;
            }
            _ => {
                let matching = self
                    .memory
                    .sources_where(|key, record| purge.matches(key, &record.address, &record.tags));
                self.memory.remove_sources(&matching).await;
                for source in matching {
                    invalidations.add_source(source, event.number);
                }
            }
        }
        Some(invalidations)
    }

    /// Starts to delete from disk and from the shared bucket, in the background, what these purges have removed.
    fn start_sweep(&self, invalidations: Invalidations) {
        if !invalidations.is_empty() {
            self.sweeps.add(|waiting| {
                waiting.add(invalidations);
                waiting.fold();
            });
        }
    }
}
