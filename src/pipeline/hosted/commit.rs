//! What an upload costs on its way into the store: a bucket takes it as a whole, from memory; a folder piece by piece.

use crate::deadline::Stage;
use crate::pipeline::Pipeline;
use crate::pipeline::hosted::inspect::{InspectError, TIMEOUT, busy};
use crate::pipeline::workers::Urgency;
use crate::source::{BusyReason, Reservation};
use tokio::sync::OwnedSemaphorePermit;

/// The most uploads that are sent to a bucket at once: the way there is shared, and what is on it is in memory.
pub(crate) const MAX_COMMITS: usize = 4;

/// The right to hold an upload in memory, until it is dropped.
pub(crate) struct CommitPermit {
    _permit: OwnedSemaphorePermit,
    _memory: Reservation,
}

impl Pipeline {
    /// Waits until so many bytes may be sent to the store. They are of the memory that sources share. `None` where the store needs none.
    ///
    /// # Errors
    /// [`InspectError::Failed`] where that takes too long.
    pub(crate) async fn permit_commit(
        &self,
        bytes: u64,
    ) -> Result<Option<CommitPermit>, InspectError> {
        let is_bucket = self.hosted().is_some_and(|hosted| hosted.is_in_bucket());
        if !is_bucket {
            return Ok(None);
        }
        let wait = async {
            // Never closed.
            let permit = self.commit_permits.clone().acquire_owned().await.ok()?;
            let memory = self.source_memory.reserve(bytes).await;
            Some(CommitPermit {
                _permit: permit,
                _memory: memory,
            })
        };
        let urgency = Urgency::foreground(TIMEOUT);
        let waited = urgency.deadline.bound(Stage::Fetch, wait).await;
        waited.map_err(|_| busy(BusyReason::Memory))
    }
}
