//! Records that were needed lately, for the path of pictures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::hosted::id::ImageId;
use crate::hosted::record::Record;

/// What all records in memory may take together, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// What a record takes beside its texts, about.
const RECORD_BYTES: usize = 1024;

/// Records in memory.
pub(super) struct Memory {
    records: Cache<ImageId, Entry>,
}

#[derive(Clone)]
struct Entry {
    record: Arc<Record>,
    etag: Arc<str>,
    checked: Instant,
}

impl Memory {
    pub(super) fn new() -> Self {
        let weigh = |id: &ImageId, entry: &Entry| {
            let record = &entry.record;
            let meta: usize = record
                .meta
                .iter()
                .map(|(name, value)| name.len() + value.to_string().len())
                .sum();
            let creator = record.creator.as_ref().map_or(0, String::len);
            let bytes = RECORD_BYTES
                + 2 * id.as_str().len()
                + meta
                + creator
                + 256 * record.renditions.len();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Memory {
            records: Cache::builder()
                .max_capacity(MAX_BYTES)
                .weigher(weigh)
                .build(),
        }
    }

    /// A record, tombstones included, if the store need not be asked again. It is used for the time `ttl`; `None`: always, because nobody else
    /// changes it.
    pub(super) fn fresh(&self, id: &ImageId, ttl: Option<Duration>) -> Option<Arc<Record>> {
        let entry = self.records.get(id)?;
        let is_fresh = ttl.is_none_or(|ttl| entry.checked.elapsed() < ttl);
        is_fresh.then_some(entry.record)
    }

    /// A record and its tag, however old.
    pub(super) fn any(&self, id: &ImageId) -> Option<(Arc<Record>, Arc<str>)> {
        let entry = self.records.get(id)?;
        Some((entry.record, entry.etag))
    }

    /// Whether the store has not been asked for so long.
    pub(super) fn is_older(&self, id: &ImageId, age: Duration) -> bool {
        let entry = self.records.get(id);
        entry.is_none_or(|entry| entry.checked.elapsed() >= age)
    }

    /// Keeps a record that the store has had since `checked`.
    pub(super) fn insert(&self, record: Arc<Record>, etag: Arc<str>, checked: Instant) {
        let id = record.id.clone();
        let entry = Entry {
            record,
            etag,
            checked,
        };
        self.records.insert(id, entry);
    }

    pub(super) fn remove(&self, id: &ImageId) {
        self.records.invalidate(id);
    }
}
