//! Errors about settings that the cache cannot work with.

use std::fmt;
use std::time::Duration;

/// Why the cache could not be opened. A disk that cannot be used is no such error: the cache then works without it, and writes to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheError {
    /// A shortest life that is longer than the longest.
    MinAboveMax {
        /// The setting `min_ttl`.
        min_ttl: Duration,
        /// The setting `max_ttl`.
        max_ttl: Duration,
    },
    /// There is no `[[bucket]]` with this name.
    NoSuchBucket(String),
    /// No key of a bucket can begin with this prefix.
    UnusablePrefix(String),
    /// The timeout of the shared tier is zero.
    ZeroTimeout,
    /// Why the bucket of the shared tier cannot be used.
    Shared(String),
}

impl fmt::Display for CacheError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheError::MinAboveMax { min_ttl, max_ttl } => write!(
                out,
                "setting `cache.min_ttl` must not exceed `cache.max_ttl` ({} s), got {} s",
                max_ttl.as_secs(),
                min_ttl.as_secs()
            ),
            CacheError::NoSuchBucket(name) => write!(
                out,
                "setting `cache.shared.bucket` must be the `name` of a [[bucket]], got `{name}`"
            ),
            CacheError::UnusablePrefix(prefix) => write!(
                out,
                "setting `cache.shared.prefix` must have 1 to 256 bytes and not begin or end with a slash or hold two in a row, got `{prefix}`"
            ),
            CacheError::ZeroTimeout => {
                out.write_str("setting `cache.shared.timeout` must be longer than 0 s")
            }
            CacheError::Shared(reason) => write!(out, "setting `cache.shared.bucket`: {reason}"),
        }
    }
}

impl std::error::Error for CacheError {}
