//! What the cache returns.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::rendition::Rendition;
use crate::cache::source_record::SourceRecord;
use crate::cache::stats::{CacheStatus, Stale, Tier};

/// A source, as the cache found it.
#[derive(Clone, Debug)]
pub struct CachedSource {
    /// Its record.
    pub record: Arc<SourceRecord>,
    /// Present if the source was just fetched; else [`Cache::bytes_or_fetch`](crate::cache::Cache::bytes_or_fetch) returns them.
    pub bytes: Option<Bytes>,
    /// How the cache came by it.
    pub outcome: CacheStatus,
    /// Why it is used although it is stale; `None` if it is fresh.
    pub stale: Option<Stale>,
}

impl CachedSource {
    pub(crate) fn hit(record: Arc<SourceRecord>, tier: Tier, stale: Option<Stale>) -> Self {
        CachedSource {
            record,
            bytes: None,
            outcome: CacheStatus::Hit(tier),
            stale,
        }
    }
}

/// A record of a source with the bytes that it describes.
#[derive(Clone, Debug)]
pub struct SourceBytes {
    /// The state of the source.
    pub record: Arc<SourceRecord>,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A rendition, as the cache found it.
#[derive(Clone, Debug)]
pub struct CachedRendition {
    /// The rendition.
    pub rendition: Arc<Rendition>,
    /// How the cache came by it.
    pub outcome: CacheStatus,
    /// The record of its source, if that is not the record that the request asked with.
    pub source: Option<Arc<SourceRecord>>,
}

impl CachedRendition {
    pub(crate) fn hit(rendition: Arc<Rendition>, tier: Tier) -> Self {
        CachedRendition {
            rendition,
            outcome: CacheStatus::Hit(tier),
            source: None,
        }
    }
}

/// A rendition that was just made.
#[derive(Debug)]
pub struct RenderOutput {
    /// The rendition.
    pub rendition: Rendition,
    /// The record of its source, if the source had to be fetched again.
    pub source: Option<Arc<SourceRecord>>,
}

impl From<Rendition> for RenderOutput {
    fn from(rendition: Rendition) -> Self {
        RenderOutput {
            rendition,
            source: None,
        }
    }
}
