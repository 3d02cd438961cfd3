//! How a purge reaches every tier, and every process that shares one.

pub(crate) mod invalidations;
pub(crate) mod journal;
pub(crate) mod log;
pub(crate) mod sweeper;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::bucket::BucketError;
use crate::cache::Cache;
use crate::cache::entry::EntryKey;
use crate::cache::purge::invalidations::Invalidations;
use crate::cache::purge::log::Purge;
use crate::cache::purge::log::PurgeEvent;
use crate::cache::purge::log::Target;
use crate::cache::tier::shared::PublishResult;
use crate::cache::tier::shared::RemotePurges;

/// How often the purges of others are looked for.
const EVERY: Duration = Duration::from_secs(2);

/// PurgeLog that are published in one object, and that wait to be published before they become one of everything, in number.
const PORTION: usize = 500;
const MOST_UNPUBLISHED: usize = 10_000;

/// How long a start waits for a bucket that does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A purge that holds here and now, but may not hold everywhere or for ever.
#[derive(Debug)]
pub enum PurgeError {
    /// It could not be written down: a restart would forget it.
    Journal(std::io::Error),
    /// The other replicas could not be told. They will be, when the bucket that they share answers again.
    Shared(BucketError),
}

/// What is to be told when the shared bucket answers again.
#[derive(Default)]
pub(crate) struct PublishBacklog {
    unpublished: Vec<Purge>,
}

impl PublishBacklog {
    fn owe(&mut self, purges: Vec<Purge>) {
        self.unpublished.extend(purges);
        if self.unpublished.len() > MOST_UNPUBLISHED {
            // Too much is purged rather than too little.
            self.unpublished = vec![Purge::hard(Target::Everything)];
        }
    }
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
    /// Takes back what the purges name. When this returns, nothing that was fetched before is answered with again, by this process, and others know of
    /// it; what lies on disk and in the shared bucket is then deleted behind it.
    ///
    /// # Errors
    /// [`PurgeError`] says what a purge that was done here lacks.
    pub async fn purge(self: &Arc<Self>, purges: Vec<Purge>) -> Result<(), PurgeError> {
        if purges.is_empty() {
            return Ok(());
        }
        let mut purging = self.purging.lock().await;
        // What another process has purged meanwhile comes first, and has the lower number.
        self.read_journal().await;
        let mut done = Ok(());
        // In portions, because an object has a largest size.
        for portion in purges.chunks(PORTION) {
            let seen_to = self.see_to(portion).await;
            if let Err(PurgeError::Shared(_)) = seen_to {
                purging.owe(portion.to_vec());
                if let Some(journal) = &self.journal
                    && let Err(error) = journal.append_unpublished(portion.to_vec()).await
                {
                    tracing::warn!(%error, "cannot record purges that other replicas do not know of yet");
                }
            }
            done = done.and(seen_to);
        }
        done
    }

    /// Learns what was purged before, for as long as a bucket may be waited for, and goes on to learn what others purge.
    pub(crate) async fn begin(self: &Arc<Self>) {
        {
            let mut purging = self.purging.lock().await;
            self.read_journal().await;
            if let Some(journal) = self.journal.as_ref().filter(|_| self.shared.is_some()) {
                purging.owe(journal.unpublished().await);
            }
        }
        if self.shared.is_some() {
            // In a task of its own, so that what it has heard by then is not lost.
            let cache = Arc::clone(self);
            let first = tokio::spawn(async move { cache.catch_up().await });
            if tokio::time::timeout(PATIENCE, first).await.is_err() {
                tracing::warn!(
                    "cannot read the purges in the shared bucket yet, starting without them"
                );
            }
        }
        self.watch();
    }

    /// Learns of the purges that others saw to, and tells those that they do not know yet.
    pub(crate) async fn catch_up(self: &Arc<Self>) {
        let mut purging = self.purging.lock().await;
        self.read_journal().await;
        let Some(shared) = &self.shared else { return };
        let RemotePurges { events, late } = shared.purges.news(self.purges.generation()).await;
        self.apply_news(events).await;
        shared.purges.note_applied();
        for late in late {
            if self.see_to(&late.purges).await.is_ok() {
                shared.purges.retract(late).await;
            }
        }
        if !purging.unpublished.is_empty() && !shared.purges.is_failing() {
            while !purging.unpublished.is_empty() {
                let count = purging.unpublished.len().min(PORTION);
                let portion: Vec<Purge> = purging.unpublished.drain(..count).collect();
                if let Err(PurgeError::Shared(_)) = self.see_to(&portion).await {
                    purging.unpublished.splice(..0, portion);
                    break;
                }
            }
            if let Some(journal) = self
                .journal
                .as_ref()
                .filter(|_| purging.unpublished.is_empty())
            {
                journal.clear_unpublished().await;
            }
        }
    }

    /// Catches up every now and then, for as long as there is a cache.
    fn watch(self: &Arc<Self>) {
        if self.journal.is_none() && self.shared.is_none() {
            return;
        }
        let cache = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(cache) = cache.upgrade() else { return };
                cache.catch_up().await;
            }
        });
    }

    /// For whoever holds `purging`: nobody appends while it is shortened.
    async fn read_journal(self: &Arc<Self>) {
        let Some(journal) = &self.journal else { return };
        let mut doomed = Invalidations::default();
        for event in journal.news().await {
            doomed.add(self.apply(event).await.unwrap_or_default());
        }
        self.sweeper.add(doomed);
        journal.shorten(self.purges.events()).await;
    }

    /// What others published. A restart must not need the bucket to know of it.
    async fn apply_news(self: &Arc<Self>, events: Vec<PurgeEvent>) {
        let (mut unknown, mut doomed) = (Vec::new(), Invalidations::default());
        for event in events {
            if let Some(more) = self.apply(event.clone()).await {
                doomed.add(more);
                unknown.push(event);
            }
        }
        self.sweeper.add(doomed);
        if let Some(journal) = &self.journal
            && !unknown.is_empty()
            && let Err(error) = journal.append(unknown).await
        {
            tracing::warn!(%error, "cannot record the purges of other replicas");
        }
    }

    /// Tells the others of purges where there are any, and does what they ask for here.
    async fn see_to(self: &Arc<Self>, purges: &[Purge]) -> Result<(), PurgeError> {
        let mut published = Ok(());
        let mut events = Vec::with_capacity(purges.len());
        if let Some(shared) = &self.shared {
            // Before others learn of it: who asks the bucket after that must not find them.
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
        let mut doomed = Invalidations::default();
        if events.is_empty() {
            for purge in purges {
                let event = self.purges.next(purge.clone(), self.clock.now());
                doomed.add(self.apply(event.clone()).await.unwrap_or_default());
                events.push(event);
            }
        } else {
            for event in &events {
                doomed.add(self.apply(event.clone()).await.unwrap_or_default());
            }
        }
        self.sweeper.add(doomed.asked_here());
        let written = match &self.journal {
            Some(journal) => journal.append(events).await,
            None => Ok(()),
        };
        published.and(written.map_err(PurgeError::Journal))
    }

    /// What an event leaves to be deleted; `None` where it was known already.
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
        let mut doomed = Invalidations::default();
        if !purge.is_hard() {
            return Some(doomed);
        }
        doomed.add_event(&event);
        match &purge.target {
            Target::Everything => self.memory.clear(),
            Target::Source(key) => {
                let source = HashSet::from([key.id()]);
                self.memory.remove_sources(&source).await;
            }
            _ => {
                let met = self
                    .memory
                    .sources_where(|key, record| purge.meets(key, &record.address, &record.tags));
                self.memory.remove_sources(&met).await;
                for source in met {
                    doomed.add_source(source, event.number);
                }
            }
        }
        Some(doomed)
    }
}
