//! Places in the queue that are held for renders whose cost is not known, because their source is not there.
//!
//! Such a render is taken for a large one, since most of the work is in those. It may be a small one, for which there is room while none is left for large
//! ones. So some are tried all the same, as many as are worth it: each small render that is found pays for a few trials, and time pays for one now and then.
//! None is tried where a small one would be late as well.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::clients::ClientId;

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
    /// How many each client holds, those that hold none left out.
    held: HashMap<Option<ClientId>, u32>,
    /// The time of a render as estimated, on average.
    usual: Duration,
    /// The same of small renders alone.
    usual_small: Duration,
    /// The same of all renders, where large ones count as nothing: what those with a place add to the wait of small ones.
    small_part: Duration,
    trials: f64,
    updated: Option<Instant>,
}

/// Renders that are not in the queue yet, and come before a job.
#[derive(Clone, Copy, Default)]
pub(super) struct Ahead {
    /// The places that they hold.
    pub(super) places: usize,
    /// Those of the client of the job among them.
    pub(super) own: usize,
    /// For how long they will keep all threads.
    pub(super) delay: Duration,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            held: HashMap::new(),
            usual: Duration::ZERO,
            usual_small: Duration::ZERO,
            small_part: Duration::ZERO,
            trials: 1.0,
            updated: None,
        }
    }
}

impl Places {
    /// How many are held.
    pub(super) fn held(&self) -> u32 {
        self.held
            .values()
            .fold(0, |sum, held| sum.saturating_add(*held))
    }

    /// How many a client holds.
    pub(super) fn held_by(&self, client: Option<ClientId>) -> u32 {
        self.held.get(&client).copied().unwrap_or(0)
    }

    /// How many renders that have a place come before one more of a client: its own, and as many of each other client, since they take turns.
    pub(super) fn count_before(&self, client: Option<ClientId>) -> u32 {
        let own = self.held_by(client);
        self.held.iter().fold(0u32, |sum, (other, held)| {
            let before = match *other == client {
                true => own,
                false => (*held).min(own.saturating_add(1)),
            };
            sum.saturating_add(before)
        })
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
    pub(super) fn hold(&mut self, client: Option<ClientId>) {
        let held = self.held.entry(client).or_default();
        *held = held.saturating_add(1);
    }

    /// Gives a place back.
    pub(super) fn give_back(&mut self, client: Option<ClientId>) {
        if let Some(held) = self.held.get_mut(&client) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held.remove(&client);
            }
        }
    }

    /// The time of a render as estimated, on average.
    pub(super) fn usual(&self) -> Duration {
        self.usual
    }

    /// The time of a small render as estimated, on average.
    pub(super) fn usual_small(&self) -> Duration {
        self.usual_small
    }

    /// How much of the time of a render is that of a small one, on average.
    pub(super) fn small_part(&self) -> Duration {
        self.small_part
    }

    /// Takes account of the estimate of a render whose source was read.
    pub(super) fn record(&mut self, estimate: Duration, is_small: bool) {
        self.usual = average(self.usual, estimate);
        if is_small {
            self.usual_small = average(self.usual_small, estimate);
            self.small_part = average(self.small_part, estimate);
            self.earn(TRIALS);
        } else {
            self.small_part = average(self.small_part, Duration::ZERO);
        }
    }

    fn earn(&mut self, trials: f64) {
        self.trials = (self.trials + trials).min(MOST_TRIALS);
    }
}

/// The average of times, of which `next` is the last.
fn average(before: Duration, next: Duration) -> Duration {
    before.saturating_mul(WEIGHT - 1).saturating_add(next) / WEIGHT
}
