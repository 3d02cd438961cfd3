//! The scan after a store is activated: counts the entries on disk, and removes everything else.
//!
//! Reads go on during a scan. Writes wait for its end, because until then nobody knows how much space is used.

use std::io;
use std::sync::atomic::Ordering;

use crate::cache::tier::disk::store::Store;

/// Scans a store once. Ends early if the store is closed.
pub(crate) fn scan(store: &Store) {
    match scan_shards(store) {
        Ok(true) => {
            let held = store.stats().held;
            tracing::info!(
                store = store.name,
                entries = held.entries,
                bytes = held.bytes,
                "disk cache scanned"
            );
        }
        Ok(false) => {}
        Err(error) => store.note_failed_scan(&error),
    }
}

/// Whether the scan was completed.
fn scan_shards(store: &Store) -> io::Result<bool> {
    store.layout.remove_old_files()?;
    for shard in 0..=u8::MAX {
        if store.stopping.load(Ordering::Relaxed) {
            return Ok(false);
        }
        store.index_shard(shard)?;
    }
    store.complete().map(|()| true)
}
