//! Work that may block, off the threads that serve requests.

/// Inputs up to this length, in bytes, are hashed by the task itself; longer ones on a thread for blocking work.
const MAX_INLINE_BYTES: usize = 256 << 10;

/// Runs work that may block on a thread for it. `None` if the work panicked, or if the process is shutting down.
#[expect(
    clippy::disallowed_methods,
    reason = "file system calls and hashing; each caller limits how many of these run at once"
)]
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Hashes `length` bytes: here if they are few, else on a thread for blocking work.
pub(crate) async fn hash<T: Send + 'static>(
    length: usize,
    work: impl Fn() -> T + Clone + Send + 'static,
) -> T {
    if length > MAX_INLINE_BYTES
        && let Some(hash) = blocking(work.clone()).await
    {
        return hash;
    }
    work()
}
