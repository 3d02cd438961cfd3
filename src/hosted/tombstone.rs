//! What stays of an image that is deleted, for a while: others learn from it that the image is gone.

use std::time::Duration;

use crate::hosted::clock::now_ms;
use crate::hosted::record::{Record, State};

/// How long tombstones and entries of the log are kept.
pub(super) const HISTORY_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far the clocks of two processes may differ, and more.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Whether a process may find that this tombstone is old, now or soon.
pub(super) fn is_swept_soon(record: &Record) -> bool {
    let age = now_ms().saturating_sub(record.uploaded);
    record.state == State::Deleted && u128::from(age) > (HISTORY_AGE - CLOCK_SKEW).as_millis()
}

/// What stays of an image that is deleted.
pub(super) fn tombstone(record: &Record) -> Record {
    Record {
        v: record.v,
        rev: String::new(),
        id: record.id.clone(),
        state: State::Deleted,
        filename: None,
        creator: None,
        meta: serde_json::Map::new(),
        require_signed_urls: false,
        uploaded: now_ms(),
        expires: None,
        original: None,
        renditions: Vec::new(),
        upload: None,
    }
}
