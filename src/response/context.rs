//! What an answer says beside the picture or the error itself.

use std::time::Duration;

use super::representation::RepresentationHeaders;
use crate::cache::{CacheStatus, SourceRecord, Stale};
use crate::transform::Timings;

/// What an answer says about a picture, beside the picture itself.
pub(crate) struct ResponseContext<'a> {
    /// The headers that every answer with this picture has.
    pub representation: &'a RepresentationHeaders,
    /// The source that the picture is made of.
    pub source: &'a SourceRecord,
    /// What the cache had, and how long each step took.
    pub timings: RequestTimings,
    /// For an interim picture, the longest that a client may cache it: a better one follows.
    pub interim: Option<Duration>,
    /// Why the source was used although it was not fresh.
    pub stale: Option<Stale>,
}

/// What the cache had for a request, and how long each step took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTimings {
    /// What the cache had.
    pub outcome: CacheStatus,
    /// Until the source was known.
    pub fetch: Duration,
    /// The steps of the render, if this request made one.
    pub render: Option<Timings>,
    /// From the head of the request until now.
    pub total: Duration,
}

/// For how long clients may cache an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorCaching {
    /// The lifetime of the error, from when it happened. Less than a second means that it is not cached.
    pub life: Duration,
    /// How long ago it happened, where the answer comes from the cache of errors.
    pub age: Option<Duration>,
}
