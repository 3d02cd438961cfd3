//! Times as HTTP counts and writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest time that is not "for ever", in seconds: 68 years, the limit of RFC 9111 section 1.2.2.
pub(super) const FOREVER: u64 = 1 << 31;

/// Reads a date of a header field.
pub(super) fn parse_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

/// A date for a header field. `None` before 1970 and after the year 9999, which HTTP cannot write.
pub fn http_date(time: SystemTime) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since.as_secs() < YEAR_10000).then(|| httpdate::fmt_http_date(time))
}

/// Whole seconds, at most [`FOREVER`].
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs().min(FOREVER)
}

/// Whole seconds since 1970.
pub(super) fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |duration| duration.as_secs())
}
