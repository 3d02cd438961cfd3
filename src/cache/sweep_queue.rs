//! Work that waits for one background task.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

/// What waits for a sweeper, merged into one value, and the signal that wakes the sweeper. However often something is added, the sweeper takes all of
/// it at once.
pub(crate) struct SweepQueue<T> {
    waiting: Mutex<T>,
    wake: mpsc::Sender<()>,
    passes: AtomicU64,
}

impl<T: Default> SweepQueue<T> {
    /// An empty queue, and the signals that its sweeper waits for. They end when the queue is dropped.
    pub(crate) fn new() -> (Self, mpsc::Receiver<()>) {
        let (wake, wake_ups) = mpsc::channel(1);
        let queue = SweepQueue {
            waiting: Mutex::default(),
            wake,
            passes: AtomicU64::new(0),
        };
        (queue, wake_ups)
    }

    /// Adds work with `merge` and wakes the sweeper.
    pub(crate) fn add(&self, merge: impl FnOnce(&mut T)) {
        merge(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // A full channel means that the sweeper is about to wake anyway.
        let _ = self.wake.try_send(());
    }

    /// Everything that waits, for one pass of the sweeper.
    pub(crate) fn take(&self) -> T {
        self.passes.fetch_add(1, Ordering::Relaxed);
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of passes that have begun until now.
    #[cfg(test)]
    pub(crate) fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }
}
