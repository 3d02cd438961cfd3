//! What all requests of one fetch share.

use hyper::header::HeaderValue;

use crate::deadline::Deadline;
use crate::source::config::Config;
use crate::source::error::{BusyReason, FetchStage, SourceError};
use crate::source::file_kind::Sniff;
use crate::source::memory::{Reservation, SourceMemory};
use crate::source::rules::SourceRules;

/// What all requests of one fetch share, redirects and retries included.
#[derive(Clone, Copy)]
pub(super) struct FetchContext<'a> {
    pub(super) config: &'a Config,
    pub(super) memory: &'a SourceMemory,
    pub(super) rules: &'a SourceRules,
    pub(super) deadline: Deadline,
    pub(super) sniff: Sniff,
    /// The `Authorization` header for the origin.
    pub(super) authorization: Option<&'a HeaderValue>,
}

impl FetchContext<'_> {
    /// The size of the largest source, in bytes.
    pub(super) fn max_bytes(&self) -> u64 {
        self.memory.largest()
    }

    /// Waits for so many bytes of memory until the deadline.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<Reservation, SourceError> {
        let reservation = self.memory.reserve(bytes);
        let reservation = self.deadline.bound(FetchStage::Body, reservation).await;
        reservation.map_err(|_| SourceError::Busy(BusyReason::Memory))
    }
}
