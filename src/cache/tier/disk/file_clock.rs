//! The modification times of the files of a store: they tell the next process in which order entries were used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// In microseconds since 1970: the year 2255. A later time comes from a wrong clock, and not every file system can store it.
const MAX_TIME: u64 = 1 << 53;

/// Gives each file a time later than those of all files before, so that their order survives a clock that is set back.
#[derive(Default)]
pub(crate) struct FileClock {
    /// The latest time of any file, in microseconds since 1970.
    latest: AtomicU64,
}

impl FileClock {
    /// The current time of the system, or just after the latest time of any file if that is later.
    pub(crate) fn next(&self) -> SystemTime {
        let now = micros(SystemTime::now()).unwrap_or(0);
        let next = |last: u64| now.max(last.saturating_add(1));
        let time = self
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            })
            .map_or(now, next);
        UNIX_EPOCH + Duration::from_micros(time)
    }

    /// Takes note of the time of a file that was found, and returns it in microseconds since 1970: zero where the file has no sensible time.
    pub(crate) fn observe(&self, modified: Option<SystemTime>) -> u64 {
        let time = modified.and_then(micros).unwrap_or(0);
        self.latest.fetch_max(time, Ordering::Relaxed);
        time
    }
}

/// `None` for a time that no correct clock shows.
fn micros(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_micros())
        .ok()
        .filter(|micros| *micros < MAX_TIME)
}
