//! Records of sources: where they are looked for, kept and forgotten, and what purges leave of them.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::Cache;
use crate::cache::entry::EntryKey;
use crate::cache::key::SourceKey;
use crate::cache::purge::log::Verdict;
use crate::cache::source_record::SourceRecord;
use crate::cache::stats::Tier;

impl Cache {
    /// What is kept of a source without its bytes, fresh or stale: nobody is asked.
    pub async fn kept_record(&self, key: &SourceKey) -> Option<Arc<SourceRecord>> {
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
        self.memory.keep_record(*key, Arc::clone(&record)).await;
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
            Verdict::Holds => Some(Arc::new(record)),
            Verdict::Stale(at) => Some(Arc::new(record.ended(at, generation))),
            Verdict::Doubtful(_) => None,
            Verdict::Gone => {
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
            Verdict::Holds => Some(record),
            Verdict::Stale(at) => {
                let ended = Arc::new(record.ended(at, generation));
                self.memory.keep_record(*key, Arc::clone(&ended)).await;
                Some(ended)
            }
            Verdict::Doubtful(at) => {
                let distrusted = Arc::new(record.distrusted(at, generation));
                self.memory.keep_record(*key, Arc::clone(&distrusted)).await;
                Some(distrusted)
            }
            Verdict::Gone => {
                // Another replica may have shared a newer one.
                self.forget_record_here(key).await;
                None
            }
        }
    }

    /// Keeps a record, or sees to it that none is left of a source that may no longer be stored.
    pub(crate) async fn keep_record(&self, key: SourceKey, record: &Arc<SourceRecord>) {
        let stored = self.keep_record_here(key, record).await;
        if let Some(shared) = &self.shared {
            let entry = EntryKey::record(key);
            match stored {
                Some(stored) => shared.put(entry, Vec::new(), stored),
                None => shared.remove(entry),
            }
        }
    }

    /// Keeps a record in this process and on its disk, if it may be stored; says how it is written.
    pub(crate) async fn keep_record_here(
        &self,
        key: SourceKey,
        record: &Arc<SourceRecord>,
    ) -> Option<Bytes> {
        let stored = record
            .to_stored()
            .filter(|_| record.freshness.is_storable());
        match &stored {
            Some(stored) => {
                self.memory.keep_record(key, Arc::clone(record)).await;
                if let Some(disk) = &self.sources {
                    disk.put(EntryKey::record(key), Vec::new(), stored.clone());
                }
            }
            None => self.forget_record_here(&key).await,
        }
        stored
    }

    pub(crate) async fn forget_record(&self, key: &SourceKey) {
        self.forget_record_here(key).await;
        if let Some(shared) = &self.shared {
            shared.remove(EntryKey::record(*key));
        }
    }

    pub(crate) async fn forget_record_here(&self, key: &SourceKey) {
        self.memory.forget_record(key).await;
        if let Some(disk) = &self.sources {
            disk.remove(EntryKey::record(*key));
        }
    }
}
