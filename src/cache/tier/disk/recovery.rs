//! The look around after a store is taken up: counts what is on disk, and removes what is no entry.
//!
//! Reads go on beside it. Writes wait for its end: until then nobody knows how many bytes are there.

use std::io;
use std::sync::atomic::Ordering;

use crate::cache::tier::disk::store::Store;

/// Scans a store once. Ends early when the store is closed.
pub(crate) fn scan(store: &Store) {
    match look(store) {
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

/// Whether it came to the end.
fn look(store: &Store) -> io::Result<bool> {
    store.place.remove_former()?;
    for shard in 0..=u8::MAX {
        if store.stopping.load(Ordering::Relaxed) {
            return Ok(false);
        }
        store.adopt_shard(shard)?;
    }
    store.complete().map(|()| true)
}
