//! Files and SQLite, away from the threads that answer requests.

use crate::hosted::error::HostedError;

/// Does work that waits for the disk on a thread of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "file system calls and SQLite, which are short"
)]
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostedError> + Send + 'static,
) -> Result<T, HostedError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(lost) => Err(HostedError::Store(lost.to_string())),
    }
}
