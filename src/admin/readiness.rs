//! Whether this server takes new requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this server takes new requests, which `/readyz` reports.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Sets it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
