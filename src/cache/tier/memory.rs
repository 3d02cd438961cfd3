//! The memory tier, bounded by bytes. Keys and bookkeeping are counted.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::cache::key::{ContentHash, RenditionKey, SourceId, SourceKey};
use crate::cache::rendition::Rendition;
use crate::cache::source_record::SourceRecord;
use crate::cache::stats::StoreSize;

/// The overhead of one entry: key, counters and queue nodes.
const ENTRY_OVERHEAD: usize = 256;

/// For all records of sources, in bytes: about 30 000 records.
const MAX_RECORD_BYTES: u64 = 16 << 20;

/// For the bytes of all sources that were just fetched or read: a quarter of what renditions have, within these limits.
const RECENT_BYTES: RangeInclusive<u64> = 8 << 20..=64 << 20;

/// The widths of one picture are usually requested within seconds of each other.
const RECENT_IDLE: Duration = Duration::from_secs(30);

pub(crate) struct Memory {
    renditions: Cache<RenditionKey, Arc<Rendition>>,
    records: Cache<SourceKey, Arc<SourceRecord>>,
    /// Bytes of sources that will probably be used again soon, or that are being written to disk. The least recently used are evicted first, because
    /// a policy by frequency would not admit new ones.
    recent: Cache<(SourceId, ContentHash), RecentBytes>,
    /// Whether `recent` may contain anything.
    has_recent: AtomicBool,
}

/// The bytes are freed when they are evicted, although moka may hold the entry for a while.
type RecentBytes = Arc<Mutex<Option<Bytes>>>;

fn drop_bytes(recent: &RecentBytes) {
    recent.lock().unwrap_or_else(PoisonError::into_inner).take();
}

impl Memory {
    /// `renditions` is the budget for all renditions, in bytes.
    pub(crate) fn new(renditions: u64) -> Self {
        Memory {
            renditions: Cache::builder()
                .max_capacity(renditions)
                .weigher(|_, rendition: &Arc<Rendition>| weight(rendition.weight()))
                .build(),
            records: Cache::builder()
                .max_capacity(MAX_RECORD_BYTES)
                .weigher(|_, record: &Arc<SourceRecord>| weight(record.weight()))
                .build(),
            recent: Cache::builder()
                .max_capacity((renditions / 4).clamp(*RECENT_BYTES.start(), *RECENT_BYTES.end()))
                .weigher(|_, recent: &RecentBytes| {
                    let bytes = recent.lock().unwrap_or_else(PoisonError::into_inner);
                    weight(bytes.as_ref().map_or(0, Bytes::len))
                })
                .eviction_policy(EvictionPolicy::lru())
                .eviction_listener(|_, recent: RecentBytes, _| drop_bytes(&recent))
                .time_to_idle(RECENT_IDLE)
                .build(),
            has_recent: AtomicBool::new(false),
        }
    }

    pub(crate) async fn rendition(&self, key: &RenditionKey) -> Option<Arc<Rendition>> {
        self.renditions.get(key).await
    }

    pub(crate) async fn insert_rendition(&self, key: RenditionKey, rendition: Arc<Rendition>) {
        self.renditions.insert(key, rendition).await;
    }

    pub(crate) async fn remove_rendition(&self, key: &RenditionKey) {
        self.renditions.invalidate(key).await;
    }

    pub(crate) async fn record(&self, key: &SourceKey) -> Option<Arc<SourceRecord>> {
        self.records.get(key).await
    }

    pub(crate) async fn insert_record(&self, key: SourceKey, record: Arc<SourceRecord>) {
        self.records.insert(key, record).await;
    }

    pub(crate) async fn remove_record(&self, key: &SourceKey) {
        self.records.invalidate(key).await;
    }

    pub(crate) async fn source_bytes(
        &self,
        source: SourceId,
        version: ContentHash,
    ) -> Option<Bytes> {
        let recent = self.recent.get(&(source, version)).await?;
        let bytes = recent.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.clone()
    }

    pub(crate) async fn insert_source_bytes(
        &self,
        source: SourceId,
        version: ContentHash,
        bytes: Bytes,
    ) {
        let recent = Arc::new(Mutex::new(Some(bytes)));
        self.recent.insert((source, version), recent).await;
        self.has_recent.store(true, Ordering::SeqCst);
    }

    /// Frees the bytes of all sources, because a request waits for memory.
    pub(crate) fn remove_source_bytes(&self) {
        if self.has_recent.swap(false, Ordering::SeqCst) {
            for (_, recent) in &self.recent {
                drop_bytes(&recent);
            }
            self.recent.invalidate_all();
        }
    }

    /// The sources whose records match.
    pub(crate) fn sources_where(
        &self,
        matches: impl Fn(&SourceKey, &SourceRecord) -> bool,
    ) -> HashSet<SourceId> {
        let records = self.records.iter();
        records
            .filter(|(key, record)| matches(key, record))
            .map(|(key, _)| key.id())
            .collect()
    }

    /// Removes everything of these sources.
    pub(crate) async fn remove_sources(&self, sources: &HashSet<SourceId>) {
        for (key, _) in &self.renditions {
            if sources.contains(&key.source()) {
                self.renditions.invalidate(&*key).await;
            }
        }
        for (key, _) in &self.records {
            if sources.contains(&key.id()) {
                self.records.invalidate(&*key).await;
            }
        }
        for (key, _) in &self.recent {
            if sources.contains(&key.0) {
                self.recent.invalidate(&*key).await;
            }
        }
    }

    /// Removes everything.
    pub(crate) fn clear(&self) {
        self.renditions.invalidate_all();
        self.records.invalidate_all();
        self.recent.invalidate_all();
    }

    /// Does the work that moka has postponed, so that [`renditions`](Self::renditions) and [`sources`](Self::sources) are exact.
    pub(crate) async fn settle(&self) {
        self.renditions.run_pending_tasks().await;
        self.records.run_pending_tasks().await;
        self.recent.run_pending_tasks().await;
    }

    pub(crate) fn renditions(&self) -> StoreSize {
        StoreSize {
            entries: self.renditions.entry_count(),
            bytes: self.renditions.weighted_size(),
        }
    }

    pub(crate) fn sources(&self) -> StoreSize {
        StoreSize {
            entries: self.records.entry_count(),
            bytes: self.records.weighted_size() + self.recent.weighted_size(),
        }
    }
}

/// moka counts in `u32`: a larger entry counts as the largest number, which is more than any sensible budget.
fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(ENTRY_OVERHEAD)).unwrap_or(u32::MAX)
}
