//! The memory tier: bounded by bytes, keys and bookkeeping counted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::cache::StoreSize;
use crate::cache::key::ContentHash;
use crate::cache::key::RenditionKey;
use crate::cache::key::SourceId;
use crate::cache::key::SourceKey;
use crate::cache::rendition::Rendition;
use crate::cache::source_record::SourceRecord;

/// What one entry costs on top of itself: key, counters and queue nodes.
const ENTRY_OVERHEAD: usize = 256;

/// For all records of sources, in bytes: some 30 000 of them.
const RECORDS: u64 = 16 << 20;

/// For all sources just fetched or read, in bytes.
const RECENT: u64 = 64 << 20;

/// The widths of one picture are asked for within seconds of each other.
const RECENT_IDLE: Duration = Duration::from_secs(30);

pub(crate) struct Memory {
    renditions: Cache<RenditionKey, Arc<Rendition>>,
    records: Cache<SourceKey, Arc<SourceRecord>>,
    /// Bytes of sources that are about to be asked for again, and on their way to the disk. Least recently used goes first: a frequency-based policy
    /// would turn away exactly the new ones.
    recent: Cache<(SourceId, ContentHash), Recent>,
    /// Whether there may be any.
    has_recent: AtomicBool,
}

/// Bytes that are let go of at once when they are evicted: the cache may keep what holds them for a while.
type Recent = Arc<Mutex<Option<Bytes>>>;

fn let_go(recent: &Recent) {
    recent.lock().unwrap_or_else(PoisonError::into_inner).take();
}

impl Memory {
    /// `renditions`: bytes for all renditions together.
    pub(crate) fn new(renditions: u64) -> Self {
        Memory {
            renditions: Cache::builder()
                .max_capacity(renditions)
                .weigher(|_, rendition: &Arc<Rendition>| weight(rendition.weight()))
                .build(),
            records: Cache::builder()
                .max_capacity(RECORDS)
                .weigher(|_, record: &Arc<SourceRecord>| weight(record.weight()))
                .build(),
            recent: Cache::builder()
                .max_capacity(RECENT)
                .weigher(|_, recent: &Recent| {
                    let bytes = recent.lock().unwrap_or_else(PoisonError::into_inner);
                    weight(bytes.as_ref().map_or(0, Bytes::len))
                })
                .eviction_policy(EvictionPolicy::lru())
                .eviction_listener(|_, recent: Recent, _| let_go(&recent))
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

    /// Lets go of the bytes of all sources, because somebody waits for the memory.
    pub(crate) fn remove_source_bytes(&self) {
        if self.has_recent.swap(false, Ordering::SeqCst) {
            for (_, recent) in &self.recent {
                let_go(&recent);
            }
            self.recent.invalidate_all();
        }
    }

    /// The sources whose records are here and do as asked.
    pub(crate) fn sources_where(
        &self,
        met: impl Fn(&SourceKey, &SourceRecord) -> bool,
    ) -> HashSet<SourceId> {
        let records = self.records.iter();
        records
            .filter(|(key, record)| met(key, record))
            .map(|(key, _)| key.id())
            .collect()
    }

    /// Keeps nothing of these sources.
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

    /// Keeps nothing.
    pub(crate) fn clear(&self) {
        self.renditions.invalidate_all();
        self.records.invalidate_all();
        self.recent.invalidate_all();
    }

    /// Catches up with what moka put off, so that [`renditions`](Self::renditions) and [`sources`](Self::sources) are exact.
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

/// moka weighs in `u32`: what is heavier weighs as much as can be said, which is more than any sensible budget.
fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(ENTRY_OVERHEAD)).unwrap_or(u32::MAX)
}
