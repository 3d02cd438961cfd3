//! What the table says of one error.

use hyper::StatusCode;

/// How an error is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorInfo {
    /// The HTTP status.
    pub status: StatusCode,
    /// Cloudflare's number of the error.
    pub number: u16,
    /// A stable word for clients, logs and metrics.
    pub code: &'static str,
    /// What has to change before the error ends.
    pub class: ErrorCacheClass,
}

/// What has to change before an error ends, which decides for how long it may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCacheClass {
    /// The source must be uploaded.
    NotFound,
    /// The URL must change.
    Options,
    /// The source or the options must change: this source cannot become this picture.
    Source,
    /// The load, the client or the settings must change, so the error is never cached.
    NoStore,
}
