//! A place in the queue for a render whose source has to be fetched first.

use std::fmt;
use std::sync::Arc;

use super::workers::Scheduler;

/// A place in the queue, free again when it is dropped.
pub(crate) struct QueuePlace(Arc<Scheduler>);

impl QueuePlace {
    /// A place that was taken.
    pub(super) fn of(scheduler: &Arc<Scheduler>) -> Self {
        QueuePlace(Arc::clone(scheduler))
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.0.lock().lanes.return_place();
    }
}

impl fmt::Debug for QueuePlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("QueuePlace").finish_non_exhaustive()
    }
}
