//! Limits log lines that clients can cause to one a second. A client that fills the log would hide other lines, and fill the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two lines of a kind.
const PAUSE: Duration = Duration::from_secs(1);

/// The rate of log lines of one kind.
#[derive(Debug, Default)]
pub(crate) struct LogRate(Mutex<RateState>);

#[derive(Debug, Default)]
struct RateState {
    last: Option<Instant>,
    left_out: u64,
}

impl LogRate {
    /// Whether a line may be written now. If so, returns how many lines were left out since the last one.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = state
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < PAUSE);
        if is_early {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::LogRate;

    #[test]
    fn one_line_a_second_is_written_and_the_others_are_counted() {
        let rate = LogRate::default();
        let start = Instant::now();
        let written: Vec<u64> = (0..35)
            .filter_map(|tenths| rate.admit_at(start + Duration::from_millis(tenths * 100)))
            .collect();
        assert_eq!(written, [0, 9, 9, 9]);
    }
}
