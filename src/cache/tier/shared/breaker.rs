//! A circuit breaker: after several failures in a row nothing is tried for a while, and then one try, which nobody should wait for, decides whether
//! it closes again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::bucket::BucketError;
use crate::cache::tier::backoff::Backoff;

/// So many failures in a row open the breaker. It is a small number, because as many requests may each wait for a timeout before.
const FAILURE_THRESHOLD: u32 = 3;

/// The pauses before the next try: from one second to one minute.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

pub(crate) struct Breaker {
    /// What fails, for the log.
    what: &'static str,
    state: Mutex<BreakerState>,
}

#[derive(Clone, Copy, Debug)]
enum BreakerState {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        backoff: Backoff,
    },
    /// One try is under way.
    HalfOpen {
        backoff: Backoff,
    },
}

/// Permission to try.
#[derive(Debug)]
pub(crate) enum Admission {
    Pass(Permit),
    /// The only try for now. It belongs in the background.
    Probe(Permit),
}

/// The right to one try, which ends with its result. Without a result, another try may follow at once.
pub(crate) struct Permit {
    breaker: Arc<Breaker>,
    reported: bool,
}

impl fmt::Debug for Permit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Permit({})", self.breaker.what)
    }
}

impl Breaker {
    pub(crate) fn new(what: &'static str) -> Arc<Self> {
        Arc::new(Breaker {
            what,
            state: Mutex::new(BreakerState::Closed { failures: 0 }),
        })
    }

    /// `None` while the breaker is open, and while another try decides whether it closes.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Admission> {
        let permit = || Permit {
            breaker: Arc::clone(self),
            reported: false,
        };
        let mut state = self.lock();
        match *state {
            BreakerState::Closed { .. } => Some(Admission::Pass(permit())),
            BreakerState::Open { until, backoff } if Instant::now() >= until => {
                *state = BreakerState::HalfOpen { backoff };
                Some(Admission::Probe(permit()))
            }
            BreakerState::Open { .. } | BreakerState::HalfOpen { .. } => None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(*self.lock(), BreakerState::Closed { .. })
    }

    /// Whether [`enter`](Self::enter) would return a permit.
    pub(crate) fn would_admit(&self) -> bool {
        match *self.lock() {
            BreakerState::Closed { .. } => true,
            BreakerState::Open { until, .. } => Instant::now() >= until,
            BreakerState::HalfOpen { .. } => false,
        }
    }

    fn succeed(&self) {
        let mut state = self.lock();
        let was_open = !matches!(*state, BreakerState::Closed { .. });
        *state = BreakerState::Closed { failures: 0 };
        drop(state);
        if was_open {
            tracing::info!("{} works again", self.what);
        }
    }

    fn fail(&self, error: &BucketError) {
        let mut state = self.lock();
        let open = |backoff: Backoff| BreakerState::Open {
            until: Instant::now() + backoff.pause(),
            backoff,
        };
        let opens = match *state {
            BreakerState::Closed { failures } if failures + 1 < FAILURE_THRESHOLD => {
                *state = BreakerState::Closed {
                    failures: failures + 1,
                };
                false
            }
            BreakerState::Closed { .. } => {
                *state = open(BACKOFF);
                true
            }
            BreakerState::HalfOpen { backoff } => {
                *state = open(backoff.doubled());
                false
            }
            // The try began before the breaker opened.
            BreakerState::Open { .. } => false,
        };
        drop(state);
        if opens && error.is_for_operator() {
            tracing::error!(%error, "{} fails: the shared cache is not used for this", self.what);
        } else if opens {
            tracing::warn!(%error, "{} fails: the shared cache is not used for this for a while", self.what);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    pub(crate) fn succeeded(mut self) {
        self.reported = true;
        self.breaker.succeed();
    }

    pub(crate) fn failed(mut self, error: &BucketError) {
        self.reported = true;
        self.breaker.fail(error);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if let BreakerState::HalfOpen { backoff } = *state
            && !self.reported
        {
            *state = BreakerState::Open {
                until: Instant::now(),
                backoff,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Admission;
    use super::Breaker;
    use super::FAILURE_THRESHOLD;
    use crate::bucket::{BucketError, BucketProblem};

    fn timeout() -> BucketError {
        BucketError {
            bucket: "shared".to_owned(),
            problem: BucketProblem::Timeout,
        }
    }

    fn fail(breaker: &Arc<Breaker>) {
        match breaker.enter() {
            Some(Admission::Pass(permit) | Admission::Probe(permit)) => permit.failed(&timeout()),
            None => panic!("it is open"),
        }
    }

    async fn pause(seconds: u64) {
        tokio::time::advance(Duration::from_millis(1000 * seconds + 1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_only_after_failures_in_a_row() {
        let breaker = Breaker::new("it");
        for _ in 0..10 {
            for _ in 1..FAILURE_THRESHOLD {
                fail(&breaker);
            }
            let Some(Admission::Pass(permit)) = breaker.enter() else {
                panic!("it is open");
            };
            permit.succeeded();
        }
        for _ in 0..FAILURE_THRESHOLD {
            assert!(!breaker.is_open());
            fail(&breaker);
        }
        assert!(breaker.is_open() && breaker.enter().is_none() && !breaker.would_admit());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_there_is_one_try_at_a_time() {
        let breaker = Breaker::new("it");
        for _ in 0..FAILURE_THRESHOLD {
            fail(&breaker);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            pause(seconds - 1).await;
            assert!(breaker.enter().is_none(), "before {seconds} s");
            pause(1).await;
            let Some(Admission::Probe(probe)) = breaker.enter() else {
                panic!("nobody may try after {seconds} s");
            };
            assert!(breaker.enter().is_none(), "two at once");
            probe.failed(&timeout());
            assert!(breaker.enter().is_none(), "right after a failure");
        }
        pause(60).await;
        let Some(Admission::Probe(probe)) = breaker.enter() else {
            panic!("nobody may try");
        };
        probe.succeeded();
        assert!(!breaker.is_open());
        for _ in 1..FAILURE_THRESHOLD {
            fail(&breaker);
            assert!(!breaker.is_open(), "failures before it closed count");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_try_without_a_result_another_may_follow() {
        let breaker = Breaker::new("it");
        for _ in 0..FAILURE_THRESHOLD {
            fail(&breaker);
        }
        pause(1).await;
        drop(breaker.enter());
        assert!(matches!(breaker.enter(), Some(Admission::Probe(_))));
    }
}
