//! How a purge reaches every tier, and every process that shares one.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Cache;
use super::entry::EntryKey;
use super::entry::Kind;
use super::key::SourceId;
use super::key::Version;
use super::purge::Event;
use super::purge::Purge;
use super::purge::Target;
use super::shared::News;
use super::shared::Published;
use super::source_record::SourceRecord;
use crate::bucket::BucketError;

/// How often the purges of others are looked for.
const EVERY: Duration = Duration::from_secs(2);

/// After how long nothing is under way any more that began before a purge.
const AFTERMATH: Duration = Duration::from_secs(5 * 60);

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
pub(super) struct Purging {
    unpublished: Vec<Purge>,
}

/// Which replica a purge was asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Here,
    Elsewhere,
}

impl fmt::Display for PurgeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PurgeError::Journal(error) => write!(
                out,
                "purged, but not on record: a restart would bring back what is on disk ({error})"
            ),
            PurgeError::Shared(error) => write!(
                out,
                "purged here, and elsewhere only when the shared bucket answers again ({error})"
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
        let done = self.see_to(&purges).await;
        if let Err(PurgeError::Shared(_)) = done {
            purging.unpublished.extend(purges);
        }
        done
    }

    /// Learns what was purged before, for as long as a bucket may be waited for, and goes on to learn what others purge.
    pub(super) async fn begin(self: &Arc<Self>) {
        self.read_journal().await;
        if self.shared.is_some() {
            // In a task of its own, so that what it has heard by then is not lost.
            let cache = Arc::clone(self);
            let first = tokio::spawn(async move { cache.catch_up().await });
            if tokio::time::timeout(PATIENCE, first).await.is_err() {
                tracing::warn!(
                    "the shared bucket does not tell yet what was purged, starting without"
                );
            }
        }
        self.watch();
    }

    /// Learns of the purges that others saw to, and tells those that they do not know yet.
    pub(super) async fn catch_up(self: &Arc<Self>) {
        self.read_journal().await;
        let Some(shared) = &self.shared else { return };
        let mut purging = self.purging.lock().await;
        let News { events, late } = shared.purges.news().await;
        self.apply_news(events).await;
        for late in late {
            if self.see_to(&late.purges).await.is_ok() {
                shared.purges.retract(late).await;
            }
        }
        if !purging.unpublished.is_empty() && !shared.purges.is_failing() {
            let again = std::mem::take(&mut purging.unpublished);
            if let Err(PurgeError::Shared(_)) = self.see_to(&again).await {
                purging.unpublished = again;
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

    async fn read_journal(self: &Arc<Self>) {
        let Some(journal) = &self.journal else { return };
        for event in journal.news().await {
            self.apply(event, Taken::Elsewhere).await;
        }
        journal.shorten(self.purges.events()).await;
    }

    /// What others published. A restart must not need the bucket to know of it.
    async fn apply_news(self: &Arc<Self>, events: Vec<Event>) {
        let mut unknown = Vec::new();
        for event in events {
            if self.apply(event.clone(), Taken::Elsewhere).await {
                unknown.push(event);
            }
        }
        if let Some(journal) = &self.journal
            && !unknown.is_empty()
            && let Err(error) = journal.append(unknown).await
        {
            tracing::warn!(%error, "purges of other replicas cannot be written down");
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
            let (first, now) = (self.purges.next_number(self.clock.now()), self.clock.now());
            let Published { news, own } = shared.purges.publish(purges, first, now).await;
            self.apply_news(news).await;
            match own {
                Ok(own) => events = own,
                Err(error) => published = Err(PurgeError::Shared(error)),
            }
        }
        if events.is_empty() {
            for purge in purges {
                let event = self.purges.next(purge.clone(), self.clock.now());
                self.apply(event.clone(), Taken::Here).await;
                events.push(event);
            }
        } else {
            for event in &events {
                self.apply(event.clone(), Taken::Here).await;
            }
        }
        let written = match &self.journal {
            Some(journal) => journal.append(events).await,
            None => Ok(()),
        };
        published.and(written.map_err(PurgeError::Journal))
    }

    /// Says whether the event was new.
    async fn apply(self: &Arc<Self>, event: Event, taken: Taken) -> bool {
        if !self.purges.learn(event.clone()) {
            return false;
        }
        let purge = event.purge.clone();
        if let Target::Renditions { keys, .. } = &purge.target {
            for key in keys {
                self.forget_here(*key).await;
            }
        }
        if !purge.is_hard() {
            return true;
        }
        let in_memory = match &purge.target {
            Target::Everything => HashSet::new(),
            Target::Source(key) => HashSet::from([key.id()]),
            _ => self
                .memory
                .sources_where(|key, record| purge.meets(key, &record.address, &record.tags)),
        };
        match &purge.target {
            Target::Everything => self.memory.forget_all(),
            _ => self.memory.forget_sources(&in_memory).await,
        }
        let cache = Arc::downgrade(self);
        tokio::spawn(async move {
            // Twice: what was under way lands under a key that nobody asks for, but it lands.
            for pause in [Duration::ZERO, AFTERMATH] {
                tokio::time::sleep(pause).await;
                let Some(cache) = cache.upgrade() else { return };
                cache.sweep(&event, &in_memory, taken).await;
            }
        });
        true
    }

    /// Deletes from disk what a hard purge leaves nothing of, and nothing that came after it; and from the shared bucket, if it is this replica that the
    /// purge was asked of, what it knows of that. Nobody would be answered with it any more: this is for the room it takes, and for those who must
    /// be able to say that it is gone.
    async fn sweep(&self, event: &Event, in_memory: &HashSet<SourceId>, taken: Taken) {
        // What is on its way to the disk gets there first.
        self.flush().await;
        let (met, newer) = self.met_on_disk(event).await;
        let is_of_all = event.purge.target == Target::Everything;
        let is_doomed = |entry: &EntryKey| {
            let source = entry.source();
            (is_of_all || met.contains(&source))
                && match entry.kind() {
                    Kind::Rendition => entry.epoch() < event.number,
                    Kind::Record => !newer.contains_key(&source),
                    Kind::SourceBytes => newer
                        .get(&source)
                        .is_none_or(|version| *entry != EntryKey::source_bytes(source, *version)),
                }
        };
        for disk in [&self.renditions, &self.sources].into_iter().flatten() {
            for entry in disk.keys(is_doomed) {
                disk.remove_in_turn(entry).await;
            }
        }
        let Some(shared) = self.shared.as_ref().filter(|_| taken == Taken::Here) else {
            return;
        };
        if is_of_all {
            shared.sweep(None, event.number).await;
            return;
        }
        for source in met.union(in_memory) {
            shared.sweep(Some(*source), event.number).await;
        }
    }

    /// The sources that a purge meets, as far as the disk knows, and the state of those that were fetched since.
    async fn met_on_disk(&self, event: &Event) -> (HashSet<SourceId>, HashMap<SourceId, Version>) {
        let (mut met, mut newer) = (HashSet::new(), HashMap::new());
        let target = match &event.purge.target {
            Target::Source(key) => Some(key.id()),
            _ => None,
        };
        met.extend(target);
        let Some(disk) = &self.sources else {
            return (met, newer);
        };
        let records = disk.keys(|entry| {
            entry.kind() == Kind::Record && target.is_none_or(|source| source == entry.source())
        });
        for entry in records {
            let stored = disk.get(entry).await;
            let record = stored.and_then(|stored| SourceRecord::from_stored(&stored));
            let Some((key, record)) = entry.source_key().zip(record) else {
                continue;
            };
            if event.purge.meets(&key, &record.address, &record.tags) {
                met.insert(key.id());
                if record.generation >= event.number {
                    newer.insert(key.id(), record.version);
                }
            }
        }
        (met, newer)
    }
}
