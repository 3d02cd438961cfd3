//! What is counted about hosted images, and how far the index is.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Counts since the start, and what is so now.
#[derive(Debug, Default)]
pub struct Stats {
    /// Writes that were tried again because others changed the record at the same time.
    pub retries: AtomicU64,
    /// How old the last entry of the log was that was followed, in milliseconds.
    pub log_lag: AtomicU64,
    /// The rows of the index.
    pub rows: AtomicU64,
    /// The records that the pass over the store which is under way, or the last one, has looked at.
    pub scanned: AtomicU64,
    /// Whether a pass over the store is under way.
    pub is_scanning: AtomicBool,
    /// Files without an image that were removed.
    pub orphans: AtomicU64,
    /// Whether lists are answered: the index is complete.
    pub can_list: AtomicBool,
    /// Whether another process was seen to write to a store that is said to be for this one alone.
    pub has_other_writers: AtomicBool,
    /// Whether the store has been reached since the start.
    pub(super) is_open: AtomicBool,
    /// Whether the index has all that was in the store at the start.
    pub(super) is_reconciled: AtomicBool,
    /// How many rows could not be written to the index.
    pub(super) lost_rows: AtomicU64,
    /// The number of the last pass over the store.
    pub(super) pass: AtomicI64,
}

impl Stats {
    /// Says whether the index has all that is in the store.
    pub(super) fn believe_index(&self, is_whole: bool) {
        self.can_list.store(is_whole, Ordering::Release);
        self.is_reconciled.store(is_whole, Ordering::Release);
    }
}
