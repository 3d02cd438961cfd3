//! Threads for blocking calls to the file system, with a limit of their own.

use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::source::error::SourceError;

/// Files that are opened or read at once: a quarter of the threads for blocking calls.
pub(super) const MAX_READERS: usize = 128;

/// A permit for each reader. A disk or file server that hangs keeps its threads even if nobody waits for them any more, and must not use up the
/// threads that others need.
#[derive(Clone)]
pub(in crate::source) struct Readers(Arc<Semaphore>);

impl Readers {
    pub(super) fn new() -> Self {
        Readers(Arc::new(Semaphore::new(MAX_READERS)))
    }

    /// Runs blocking calls on a thread for them, with a permit.
    #[expect(
        clippy::disallowed_methods,
        reason = "file system calls, at most `MAX_READERS` at once"
    )]
    pub(in crate::source) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let lost = |lost: JoinError| SourceError::Unreadable(lost.into());
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let permit = permit.map_err(|closed| SourceError::Unreadable(io::Error::other(closed)))?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(lost)?
    }

    /// The permits that are free.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.0.available_permits()
    }
}
