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
use super::source_record::SourceRecord;

/// How often the purges of others are looked for.
const EVERY: Duration = Duration::from_secs(2);

/// After how long nothing is under way any more that began before a purge.
const AFTERMATH: Duration = Duration::from_secs(5 * 60);

/// A purge that holds here and now, but may not hold everywhere or for ever.
#[derive(Debug)]
pub enum PurgeError {
    /// It could not be written down: a restart would forget it.
    Journal(std::io::Error),
}

impl fmt::Display for PurgeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PurgeError::Journal(error) => write!(
                out,
                "purged, but not on record: a restart would bring back what is on disk ({error})"
            ),
        }
    }
}

impl std::error::Error for PurgeError {}

impl Cache {
    /// Takes back what the purges name. When this returns, nothing that was fetched before is answered with again, by this process; what lies on
    /// disk is then deleted behind it.
    ///
    /// # Errors
    /// [`PurgeError`] says what a purge that was done here lacks.
    pub async fn purge(self: &Arc<Self>, purges: Vec<Purge>) -> Result<(), PurgeError> {
        let mut events = Vec::with_capacity(purges.len());
        for purge in purges {
            let event = self.purges.next(purge, self.clock.now());
            self.apply(event.clone()).await;
            events.push(event);
        }
        match &self.journal {
            Some(journal) => journal.append(events).await.map_err(PurgeError::Journal),
            None => Ok(()),
        }
    }

    /// Learns of the purges that others saw to.
    pub(super) async fn catch_up(self: &Arc<Self>) {
        let Some(journal) = &self.journal else { return };
        for event in journal.news().await {
            self.apply(event).await;
        }
        journal.shorten(self.purges.events()).await;
    }

    /// Catches up every now and then, for as long as there is a cache.
    pub(super) fn watch(self: &Arc<Self>) {
        if self.journal.is_none() {
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

    async fn apply(self: &Arc<Self>, event: Event) {
        if !self.purges.learn(event.clone()) {
            return;
        }
        let purge = event.purge.clone();
        if let Target::Renditions { keys, .. } = &purge.target {
            for key in keys {
                self.forget(*key).await;
            }
        }
        if !purge.is_hard() {
            return;
        }
        match &purge.target {
            Target::Everything => self.memory.forget_all(),
            Target::Source(key) => {
                self.memory.forget_sources(&HashSet::from([key.id()])).await;
            }
            _ => {
                let met = self
                    .memory
                    .sources_where(|key, record| purge.meets(key, &record.address, &record.tags));
                self.memory.forget_sources(&met).await;
            }
        }
        let cache = Arc::downgrade(self);
        tokio::spawn(async move {
            // Twice: what was under way lands under a key that nobody asks for, but it lands.
            for pause in [Duration::ZERO, AFTERMATH] {
                tokio::time::sleep(pause).await;
                let Some(cache) = cache.upgrade() else { return };
                cache.sweep(&event).await;
            }
        });
    }

    /// Deletes from disk what a hard purge leaves nothing of, and nothing that came after it. Nobody would be answered with it any more: this is
    /// for the room it takes, and for those who must be able to say that it is gone.
    async fn sweep(&self, event: &Event) {
        // What is on its way to the disk gets there first.
        self.flush().await;
        let (met, newer) = self.met_on_disk(event).await;
        let is_doomed = |entry: &EntryKey| {
            let source = entry.source();
            let is_met = event.purge.target == Target::Everything || met.contains(&source);
            is_met
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
