//! A place in the queue for a render whose source has to be fetched first.

use std::fmt;
use std::sync::Arc;

use super::workers::Scheduler;
use crate::clients::ClientId;

/// A place in the queue, free again when it is dropped.
pub(crate) struct QueuePlace {
    scheduler: Arc<Scheduler>,
    client: Option<ClientId>,
}

impl QueuePlace {
    /// A place that was taken.
    pub(super) fn of(scheduler: &Arc<Scheduler>, client: Option<ClientId>) -> Self {
        QueuePlace {
            scheduler: Arc::clone(scheduler),
            client,
        }
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.scheduler.lock().lanes.return_place(self.client);
    }
}

impl fmt::Debug for QueuePlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("QueuePlace").finish_non_exhaustive()
    }
}
