//! Records of sources: how they are looked up, stored and removed, and what purges do to them.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::entry::EntryKey;
use crate::cache::key::SourceKey;
use crate::cache::purge::log::PurgeEffect;
use crate::cache::source_record::SourceRecord;
use crate::cache::state::Cache;
use crate::cache::stats::Tier;

impl Cache {
    /// The stored record of a source, fresh or stale, from memory or disk. The origin is not asked.
    pub async fn get_record(&self, key: &SourceKey) -> Option<Arc<SourceRecord>> {
        Some(self.find_record(key).await?.0)
    }

    pub(crate) async fn find_record(&self, key: &SourceKey) -> Option<(Arc<SourceRecord>, Tier)> {
        if let Some(record) = self.memory.record(key).await
            && let Some(record) = self.apply_purges(key, record).await
        {
            return Some((record, Tier::Memory));
        }
        let disk = self.sources.as_ref()?;
        let entry = EntryKey::record(*key);
        let stored = disk.get(entry).await?;
        let record = disk.parsed_or_remove(entry, SourceRecord::from_stored(&stored))?;
        let record = self.apply_purges(key, Arc::new(record)).await?;
        self.memory.insert_record(*key, Arc::clone(&record)).await;
        Some((record, Tier::Disk))
    }

    /// The record that another replica stored in the shared bucket, after all purges since.
    pub(crate) async fn find_shared_record(&self, key: &SourceKey) -> Option<Arc<SourceRecord>> {
        // Until the purges of other replicas are known, no record in the bucket can be trusted.
        let shared = self
            .shared
            .as_ref()
            .filter(|shared| shared.purges.is_loaded())?;
        let entry = EntryKey::record(*key);
        let stored = shared.get(entry).await?;
        let record = shared.parsed_or_remove(entry, SourceRecord::from_stored(&stored))?;
        let generation = self.purges.generation();
        match self.purges.check(key, &record) {
            PurgeEffect::Unaffected => Some(Arc::new(record)),
            PurgeEffect::Stale(at) => Some(Arc::new(record.ended(at, generation))),
            PurgeEffect::Uncertain(_) => None,
            PurgeEffect::Removed => {
                shared.remove(entry);
                None
            }
        }
    }

    /// A stored record after all purges since: unchanged, stale, or `None` if it was purged.
    pub(crate) async fn apply_purges(
        &self,
        key: &SourceKey,
        record: Arc<SourceRecord>,
    ) -> Option<Arc<SourceRecord>> {
        // Read before the check: a purge that arrives during the check is checked next time.
        let generation = self.purges.generation();
        match self.purges.check(key, &record) {
            PurgeEffect::Unaffected => Some(record),
            PurgeEffect::Stale(at) => {
                let ended = Arc::new(record.ended(at, generation));
                self.memory.insert_record(*key, Arc::clone(&ended)).await;
                Some(ended)
            }
            PurgeEffect::Uncertain(at) => {
                let distrusted = Arc::new(record.distrusted(at, generation));
                self.memory
                    .insert_record(*key, Arc::clone(&distrusted))
                    .await;
                Some(distrusted)
            }
            PurgeEffect::Removed => {
                // The record in the shared bucket stays: another replica may have stored a newer one.
                self.remove_record_locally(key).await;
                None
            }
        }
    }

    /// Stores a record in all tiers, or removes the record of a source that may not be stored any more.
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

    /// Stores a record in memory and on disk if it may be stored, and returns its stored form; else removes it there.
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
