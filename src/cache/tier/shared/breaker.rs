//! A circuit breaker: what failed several times in a row is left alone for a while, and then tried by one who does not wait for it.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use crate::bucket::BucketError;

/// NegativeCache in a row that are enough. As many requests may wait in vain one after the other, so they must be few.
const ENOUGH: u32 = 3;

/// The first pause, and the longest; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(crate) struct Breaker {
    /// What it is that fails, for the log.
    what: &'static str,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        pause: Duration,
    },
    /// One tries again.
    HalfOpen {
        pause: Duration,
    },
}

/// Who may try.
#[derive(Debug)]
pub(crate) enum Admission {
    Pass(Permit),
    /// The only one for now: better in the background.
    Probe(Permit),
}

/// The right to one try, whose outcome is told. Untold, it leaves all as it was.
pub(crate) struct Permit {
    breaker: Arc<Breaker>,
    told: bool,
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
            state: Mutex::new(State::Closed { failures: 0 }),
        })
    }

    /// `None` while it is open, and while somebody else tries whether it may close.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Admission> {
        let pass = || Permit {
            breaker: Arc::clone(self),
            told: false,
        };
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Some(Admission::Pass(pass())),
            State::Open { until, pause } if Instant::now() >= until => {
                *state = State::HalfOpen { pause };
                Some(Admission::Probe(pass()))
            }
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(*self.lock(), State::Closed { .. })
    }

    /// Whether [`enter`](Self::enter) would let anybody through.
    pub(crate) fn lets_through(&self) -> bool {
        match *self.lock() {
            State::Closed { .. } => true,
            State::Open { until, .. } => Instant::now() >= until,
            State::HalfOpen { .. } => false,
        }
    }

    fn succeed(&self) {
        let mut state = self.lock();
        let was_open = !matches!(*state, State::Closed { .. });
        *state = State::Closed { failures: 0 };
        drop(state);
        if was_open {
            tracing::info!("{} works again", self.what);
        }
    }

    fn fail(&self, error: &BucketError) {
        let mut state = self.lock();
        let open = |pause| State::Open {
            until: Instant::now() + pause,
            pause,
        };
        let opens = match *state {
            State::Closed { failures } if failures + 1 < ENOUGH => {
                *state = State::Closed {
                    failures: failures + 1,
                };
                false
            }
            State::Closed { .. } => {
                *state = open(FIRST_PAUSE);
                true
            }
            State::HalfOpen { pause } => {
                *state = open((pause * 2).min(LONGEST_PAUSE));
                false
            }
            // Begun before it opened.
            State::Open { .. } => false,
        };
        drop(state);
        if opens && error.is_for_operator() {
            tracing::error!(%error, "{} fails: the shared cache is not used for this", self.what);
        } else if opens {
            tracing::warn!(%error, "{} fails: the shared cache is not used for this for a while", self.what);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    pub(crate) fn succeeded(mut self) {
        self.told = true;
        self.breaker.succeed();
    }

    pub(crate) fn failed(mut self, error: &BucketError) {
        self.told = true;
        self.breaker.fail(error);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if let State::HalfOpen { pause } = *state
            && !self.told
        {
            *state = State::Open {
                until: Instant::now(),
                pause,
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
    use super::ENOUGH;
    use crate::bucket::BucketError;
    use crate::bucket::BucketProblem;

    fn timeout() -> BucketError {
        BucketError {
            bucket: "shared".to_owned(),
            problem: BucketProblem::Timeout,
        }
    }

    fn fail(breaker: &Arc<Breaker>) {
        match breaker.enter() {
            Some(Admission::Pass(pass) | Admission::Probe(pass)) => pass.failed(&timeout()),
            None => panic!("it is open"),
        }
    }

    async fn pause(seconds: u64) {
        tokio::time::advance(Duration::from_millis(1000 * seconds + 1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_only() {
        let breaker = Breaker::new("it");
        for _ in 0..10 {
            for _ in 1..ENOUGH {
                fail(&breaker);
            }
            let Some(Admission::Pass(pass)) = breaker.enter() else {
                panic!("it is open");
            };
            pass.succeeded();
        }
        for _ in 0..ENOUGH {
            assert!(!breaker.is_open());
            fail(&breaker);
        }
        assert!(breaker.is_open() && breaker.enter().is_none() && !breaker.lets_through());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_one_tries_at_a_time() {
        let breaker = Breaker::new("it");
        for _ in 0..ENOUGH {
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
        for _ in 1..ENOUGH {
            fail(&breaker);
            assert!(!breaker.is_open(), "failures before it closed count");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_given_up_leaves_the_next_one_to_others() {
        let breaker = Breaker::new("it");
        for _ in 0..ENOUGH {
            fail(&breaker);
        }
        pause(1).await;
        drop(breaker.enter());
        assert!(matches!(breaker.enter(), Some(Admission::Probe(_))));
    }
}
