//! Places in the queue that are held for renders whose cost is not known, because their source is not there.
//!
//! Such a render is taken for a large one, since most of the work is in those. It may be a small one, for which there is room while none is left for large
//! ones. So some are tried all the same, as many as are worth it: each small render that is found pays for a few trials, and time pays for one now and then.

use std::time::{Duration, Instant};

/// How much of the usual time of a render is that of the last one.
const WEIGHT: u32 = 8;

/// Trials for each small render that was found.
const TRIALS: f64 = 4.0;

/// The most trials that are saved up.
const MOST_TRIALS: f64 = 8.0;

/// Trials for each second.
const TRIALS_PER_SEC: f64 = 2.0;

/// The places that are held, and what is known of those that came before.
pub(super) struct Places {
    held: u32,
    /// The time of a render as estimated, on average.
    usual: Duration,
    trials: f64,
    updated: Option<Instant>,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            held: 0,
            usual: Duration::ZERO,
            trials: 1.0,
            updated: None,
        }
    }
}

impl Places {
    pub(super) fn held(&self) -> usize {
        usize::try_from(self.held).unwrap_or(usize::MAX)
    }

    /// How long the renders that have a place will take.
    pub(super) fn time(&self) -> Duration {
        self.usual.saturating_mul(self.held)
    }

    /// Whether a render may be tried for which there is no place.
    pub(super) fn try_one(&mut self, now: Instant) -> bool {
        let since = self.updated.replace(now).unwrap_or(now);
        let earned = now.saturating_duration_since(since).as_secs_f64() * TRIALS_PER_SEC;
        self.earn(earned);
        let may_try = self.trials >= 1.0;
        if may_try {
            self.trials -= 1.0;
        }
        may_try
    }

    /// Holds one more place.
    pub(super) fn hold(&mut self) {
        self.held = self.held.saturating_add(1);
    }

    /// Gives a place back.
    pub(super) fn give_back(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// The time of a render as estimated, on average.
    pub(super) fn usual(&self) -> Duration {
        self.usual
    }

    /// Takes account of the estimate of a render whose source was read.
    pub(super) fn record(&mut self, estimate: Duration, is_small: bool) {
        self.usual = self
            .usual
            .saturating_mul(WEIGHT - 1)
            .saturating_add(estimate)
            / WEIGHT;
        if is_small {
            self.earn(TRIALS);
        }
    }

    fn earn(&mut self, trials: f64) {
        self.trials = (self.trials + trials).min(MOST_TRIALS);
    }
}
