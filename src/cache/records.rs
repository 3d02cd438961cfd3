//! Records of sources: where they are looked for, kept and forgotten, and what purges leave of them.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::Cache;
use crate::cache::entry::EntryKey;
use crate::cache::key::SourceKey;
use crate::cache::purge::log::PurgeEffect;
use crate::cache::source_record::SourceRecord;
use crate::cache::stats::Tier;

impl Cache {
    /// What is kept of a source without its bytes, fresh or stale: nobody is asked.
    pub async fn get_record(&self, key: &SourceKey) -> Option<Arc<SourceRecord>> {
        Some(self.find_record(key).await?.0)
    }

    pub(crate) async fn find_record(&self, key: &SourceKey) -> Option<(Arc<SourceRecord>, Tier)> {
        if let Some(record) = self.memory.record(key).await
            && let Some(record) = self.after_purges(key, record).await
        {
            return Some((record, Tier::Memory));
        }
        let disk = self.sources.as_ref()?;
        let entry = EntryKey::record(*key);
        let stored = disk.get(entry).await?;
        let record = disk.readable(entry, SourceRecord::from_stored(&stored))?;
        let record = self.after_purges(key, Arc::new(record)).await?;
        self.memory.insert_record(*key, Arc::clone(&record)).await;
        Some((record, Tier::Disk))
    }

    /// The record that another replica made or renewed, as the purges since have left it.
    pub(crate) async fn in_shared(&self, key: &SourceKey) -> Option<Arc<SourceRecord>> {
        // Before it is known what was purged, nothing there can be trusted.
        let shared = self
            .shared
            .as_ref()
            .filter(|shared| shared.purges.is_loaded())?;
        let entry = EntryKey::record(*key);
        let stored = shared.get(entry).await?;
        let record = shared.readable(entry, SourceRecord::from_stored(&stored))?;
        let generation = self.purges.generation();
        match self.purges.verdict(key, &record) {
            PurgeEffect::Holds => Some(Arc::new(record)),
            PurgeEffect::Stale(at) => Some(Arc::new(record.ended(at, generation))),
            PurgeEffect::Doubtful(_) => None,
            PurgeEffect::Gone => {
                shared.remove(entry);
                None
            }
        }
    }

    /// A kept record as the purges since have left it.
    pub(crate) async fn after_purges(
        &self,
        key: &SourceKey,
        record: Arc<SourceRecord>,
    ) -> Option<Arc<SourceRecord>> {
        // Before the look: one that comes during it is looked at next time.
        let generation = self.purges.generation();
        match self.purges.verdict(key, &record) {
            PurgeEffect::Holds => Some(record),
            PurgeEffect::Stale(at) => {
                let ended = Arc::new(record.ended(at, generation));
                self.memory.insert_record(*key, Arc::clone(&ended)).await;
                Some(ended)
            }
            PurgeEffect::Doubtful(at) => {
                let distrusted = Arc::new(record.distrusted(at, generation));
                self.memory
                    .insert_record(*key, Arc::clone(&distrusted))
                    .await;
                Some(distrusted)
            }
            PurgeEffect::Gone => {
                // Another replica may have shared a newer one.
                self.remove_record_locally(key).await;
                None
            }
        }
    }

    /// Keeps a record, or sees to it that none is left of a source that may no longer be stored.
    pub(crate) async fn insert_record(&self, key: SourceKey, record: &Arc<SourceRecord>) {
        let stored = self.insert_record_locally(key, record).await;
        if let Some(shared) = &self.shared {
            let entry = EntryKey::record(key);
            match stored {
                Some(stored) => shared.put(entry, Vec::new(), stored),
                None => shared.remove(entry),
            }
        }
    }

    /// Keeps a record in this process and on its disk, if it may be stored; says how it is written.
    pub(crate) async fn insert_record_locally(
        &self,
        key: SourceKey,
        record: &Arc<SourceRecord>,
    ) -> Option<Bytes> {
        let stored = record
            .to_stored()
            .filter(|_| record.freshness.is_storable());
        match &stored {
            Some(stored) => {
                self.memory.insert_record(key, Arc::clone(record)).await;
                if let Some(disk) = &self.sources {
                    disk.put(EntryKey::record(key), Vec::new(), stored.clone());
                }
            }
            None => self.remove_record_locally(&key).await,
        }
        stored
    }

    pub(crate) async fn remove_record(&self, key: &SourceKey) {
        self.remove_record_locally(key).await;
        if let Some(shared) = &self.shared {
            shared.remove(EntryKey::record(*key));
        }
    }

    pub(crate) async fn remove_record_locally(&self, key: &SourceKey) {
        self.memory.remove_record(key).await;
        if let Some(disk) = &self.sources {
            disk.remove(EntryKey::record(*key));
        }
    }
}
