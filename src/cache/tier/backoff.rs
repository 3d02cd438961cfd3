//! The pauses between tries of something that fails.

use std::time::Duration;

/// A pause that doubles with each failure, up to a longest one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pause: Duration,
    longest: Duration,
}

impl Backoff {
    /// The pause after a first failure.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Backoff {
            pause: first,
            longest,
        }
    }

    pub(crate) fn pause(self) -> Duration {
        self.pause
    }

    /// The pause after one more failure.
    pub(crate) fn doubled(self) -> Self {
        Backoff {
            pause: (self.pause * 2).min(self.longest),
            ..self
        }
    }
}
