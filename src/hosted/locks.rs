//! Changes of one image, in this process, wait for each other.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Images with the same remainder of their hash share a lock.
const LOCKS: usize = 1024;

/// A lock for each image, about.
pub(super) struct Locks(Vec<Arc<Mutex<()>>>);

impl Default for Locks {
    fn default() -> Self {
        Locks((0..LOCKS).map(|_| Arc::default()).collect())
    }
}

impl Locks {
    /// Waits for the lock of an image, by its name in keys of the store.
    pub(super) async fn lock(&self, key: &str) -> Option<OwnedMutexGuard<()>> {
        let mut hash = DefaultHasher::new();
        key.hash(&mut hash);
        let at = usize::try_from(hash.finish() % LOCKS as u64).unwrap_or(0);
        let lock = self.0.get(at)?;
        Some(Arc::clone(lock).lock_owned().await)
    }
}
