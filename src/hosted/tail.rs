//! How far this process has followed the log of changes. Names of entries have the time of the clock of the process that wrote them, so entries of the
//! last minutes are looked at again, and those that are known are left out.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::hosted::keys;

/// How far the clocks of two processes may differ.
const SKEW_MS: u64 = 5 * 60_000;
/// For how long a list is answered without asking for new entries.
const MAX_AGE: Duration = Duration::from_secs(2);

/// How far the log was followed.
pub(super) struct Tail {
    /// Entries that are known, of the last minutes.
    known: Mutex<BTreeSet<String>>,
    /// Up to where and when the log was read. Who reads it holds this.
    pub(super) cursor: tokio::sync::Mutex<Cursor>,
}

/// Up to where the log was read, and when.
pub(super) struct Cursor {
    at: Option<Instant>,
    /// The time of the newest entry, in milliseconds.
    newest: u64,
}

impl Cursor {
    /// Whether it is time to ask again.
    pub(super) fn is_old(&self) -> bool {
        self.at.is_none_or(|at| at.elapsed() > MAX_AGE)
    }

    /// Whether nobody has asked yet.
    pub(super) fn is_new(&self) -> bool {
        self.at.is_none()
    }

    /// Where entries that may be new begin: some minutes before the newest entry, or before now if a clock is ahead.
    pub(super) fn from(&self, now_ms: u64) -> String {
        keys::log_at(self.newest.min(now_ms).saturating_sub(SKEW_MS))
    }

    /// Notes that all entries were followed that were there at `at`.
    pub(super) fn set(&mut self, at: Instant, newest: u64) {
        self.at = Some(at);
        self.newest = self.newest.max(newest);
    }
}

impl Tail {
    /// All that happened before `now_ms` is found in another way.
    pub(super) fn new(now_ms: u64) -> Self {
        Tail {
            known: Mutex::default(),
            cursor: tokio::sync::Mutex::new(Cursor {
                at: None,
                newest: now_ms,
            }),
        }
    }

    /// Notes an entry that needs no following: this process wrote it, or followed it.
    pub(super) fn skip(&self, entry: &str) {
        self.known().insert(entry.to_owned());
    }

    /// Whether an entry is known.
    pub(super) fn is_known(&self, entry: &str) -> bool {
        self.known().contains(entry)
    }

    /// Forgets entries before `from`, which are not listed again.
    pub(super) fn forget_before(&self, from: &str) {
        let mut known = self.known();
        *known = known.split_off(from);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_slow_clocks_are_listed_again() {
        let tail = Tail::new(10_000_000);
        let mut cursor = tail.cursor.try_lock().expect("free");
        assert!(cursor.is_old());
        assert_eq!(cursor.from(10_000_000), keys::log_at(9_700_000));
        cursor.set(Instant::now(), 10_100_000);
        assert!(!cursor.is_old());
        assert_eq!(cursor.from(20_000_000), keys::log_at(9_800_000));
        // A clock that is an hour ahead does not hide what others write.
        cursor.set(Instant::now(), 13_600_000);
        assert_eq!(cursor.from(10_200_000), keys::log_at(9_900_000));
        tail.skip("log/0000009700000-a");
        tail.skip("log/0000009900001-b");
        tail.forget_before(&cursor.from(10_200_000));
        assert!(!tail.is_known("log/0000009700000-a"));
        assert!(tail.is_known("log/0000009900001-b"));
    }
}
