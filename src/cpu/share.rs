//! The share of the processors' time that background jobs may take while clients wait: a bucket that fills with CPU time.

use std::time::{Duration, Instant};

/// How many seconds of its rate the bucket holds. A quiet time is followed by so much background work at most.
const BURST_SECS: f64 = 10.0;

/// CPU time that may be spent.
pub(super) struct Share {
    /// The seconds of CPU time that each second adds: a part of all processors together.
    rate: f64,
    /// In seconds. Below zero after a job that took more than there was: the next one waits until that is made up for.
    balance: f64,
    updated: Instant,
}

impl Share {
    pub(super) fn new(percent: u8, workers: usize, now: Instant) -> Self {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
        Share {
            rate: f64::from(workers) * f64::from(percent.min(100)) / 100.0,
            balance: 0.0,
            updated: now,
        }
    }

    /// How many threads can use it up.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the number of workers"
    )]
    pub(super) fn threads(&self) -> usize {
        self.rate.ceil() as usize
    }

    /// Whether a job may start now.
    pub(super) fn is_open(&mut self, now: Instant) -> bool {
        self.earn(now);
        self.balance > 0.0
    }

    /// How long it takes until a job may start, if none starts before. `None`: no job ever may.
    pub(super) fn opens_after(&mut self, now: Instant) -> Option<Duration> {
        /// So that the balance is surely above zero then.
        const MARGIN: Duration = Duration::from_millis(1);
        self.earn(now);
        let lacking = Duration::try_from_secs_f64((-self.balance).max(0.0) / self.rate);
        lacking.ok().map(|lacking| lacking.saturating_add(MARGIN))
    }

    /// Takes time out. It may be more than there is.
    pub(super) fn spend(&mut self, time: Duration) {
        self.balance -= time.as_secs_f64();
    }

    /// Gives time back.
    pub(super) fn give_back(&mut self, time: Duration) {
        self.balance += time.as_secs_f64();
    }

    fn earn(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated);
        self.updated = self.updated.max(now);
        let earned = self.balance + elapsed.as_secs_f64() * self.rate;
        self.balance = earned.min(BURST_SECS * self.rate);
    }
}
