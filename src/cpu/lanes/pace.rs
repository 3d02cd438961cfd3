//! How long jobs take, compared with their estimates: by that the estimates of waiting jobs are corrected, on a slower or a busier machine.

use std::time::Duration;

/// Estimates below this say little: what a job costs beside its work is as much.
const LEAST: Duration = Duration::from_millis(2);

/// How much of the pace is that of the last job.
const WEIGHT: f64 = 1.0 / 16.0;

/// A machine is never taken for faster than half of its estimates, or slower than eight times: then the estimates are wrong, and not the machine.
const SLOWEST: f64 = 8.0;
const FASTEST: f64 = 0.5;

/// The time of jobs over their estimates, on average.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace(f64);

impl Default for Pace {
    fn default() -> Self {
        Pace(1.0)
    }
}

impl Pace {
    /// Takes account of a job that has ended.
    pub(super) fn record(&mut self, estimate: Duration, time: Duration) {
        if estimate < LEAST {
            return;
        }
        let ratio = (time.as_secs_f64() / estimate.as_secs_f64()).clamp(FASTEST, SLOWEST);
        self.0 += (ratio - self.0) * WEIGHT;
    }

    /// How long a job will take that was estimated so.
    pub(super) fn of(self, estimate: Duration) -> Duration {
        Duration::try_from_secs_f64(estimate.as_secs_f64() * self.0).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_pace_follows_what_jobs_take() {
        let mut pace = Pace::default();
        assert_eq!(pace.of(SECOND), SECOND);
        for _ in 0..100 {
            pace.record(SECOND, 3 * SECOND);
        }
        let slow = pace.of(SECOND).as_secs_f64();
        assert!((2.9..=3.0).contains(&slow), "{slow}");
        for _ in 0..100 {
            pace.record(SECOND, SECOND);
        }
        let usual = pace.of(SECOND).as_secs_f64();
        assert!((1.0..1.1).contains(&usual), "{usual}");
    }

    #[test]
    fn no_job_counts_for_more_than_it_can_tell() {
        let mut pace = Pace::default();
        pace.record(Duration::from_micros(1), SECOND);
        assert_eq!(pace.of(SECOND), SECOND);
        for _ in 0..1000 {
            pace.record(SECOND, 3600 * SECOND);
        }
        assert!(pace.of(SECOND) <= 8 * SECOND);
        for _ in 0..1000 {
            pace.record(SECOND, Duration::ZERO);
        }
        assert!(pace.of(SECOND) >= SECOND / 2);
        assert_eq!(pace.of(Duration::MAX), pace.of(Duration::MAX));
    }
}
