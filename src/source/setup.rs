//! What keeps [`Sources`](crate::source::Sources) from being built.

use std::fmt;

use crate::bucket::BucketError;
use crate::source::rules::RuleError;

/// A setting that cannot work.
#[derive(Debug)]
pub enum SetupError {
    /// A `[[bucket]]` that cannot be opened.
    Bucket(BucketError),
    /// A `[[cache.rule]]` that contradicts itself or other settings.
    Rule(RuleError),
    /// The zone's folder does not exist.
    NoFolder(String),
    /// The zone's bucket is not configured.
    NoBucket(String),
    /// `fetch.memory` is too small, in bytes.
    Memory {
        /// As configured.
        total: u64,
        /// Twice `limits.source_bytes`.
        min: u64,
    },
    /// `fetch.user_agent` is not a header value.
    UserAgent(String),
    /// The HTTP client cannot be built: the machine has no certificates to check servers with, for example.
    Client(String),
}

impl fmt::Display for SetupError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Bucket(error) => error.fmt(out),
            SetupError::Rule(error) => error.fmt(out),
            SetupError::NoFolder(folder) => write!(
                out,
                "`zone.origin` must name an existing folder, got `{folder}`: set it, or name what is served, as in `safelight serve ./photos`; `file:.` is the folder that the server is started in, `none` is no zone"
            ),
            SetupError::NoBucket(name) => {
                write!(
                    out,
                    "`zone.origin` must name a configured [[bucket]], got `{name}`"
                )
            }
            SetupError::Memory { total, min } => write!(
                out,
                "`fetch.memory` must be at least twice `limits.source_bytes` ({min} bytes), got {total}"
            ),
            SetupError::UserAgent(value) => {
                write!(
                    out,
                    "`fetch.user_agent` must be printable ASCII on one line, got {value:?}"
                )
            }
            SetupError::Client(reason) => write!(out, "the HTTP client cannot start: {reason}"),
        }
    }
}

impl std::error::Error for SetupError {}
