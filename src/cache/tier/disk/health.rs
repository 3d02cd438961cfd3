//! Whether a store is in use: what turned it off, and how long until it is tried again.

use std::io;
use std::time::Duration;
use std::time::Instant;

/// How long a store rests when it first fails, and before each look at a folder that another process uses.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// And at most: each failure in a row doubles it.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A failure within this time of the last one is of the same row.
const ROW: Duration = Duration::from_secs(60);

/// Why a store is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Another process uses the folder.
    Locked,
    /// The folder is not there, and cannot be made.
    Gone,
    /// Nothing may be written.
    ReadOnly,
    /// Nothing more fits, however much is evicted.
    Full,
    /// The disk fails.
    Broken,
    /// The disk takes longer than making a thing anew would.
    Slow,
}

impl DiskFault {
    pub const ALL: [DiskFault; 6] = [
        DiskFault::Locked,
        DiskFault::Gone,
        DiskFault::ReadOnly,
        DiskFault::Full,
        DiskFault::Broken,
        DiskFault::Slow,
    ];

    /// The word for labels and log lines.
    pub const fn word(self) -> &'static str {
        match self {
            DiskFault::Locked => "locked",
            DiskFault::Gone => "gone",
            DiskFault::ReadOnly => "read-only",
            DiskFault::Full => "full",
            DiskFault::Broken => "broken",
            DiskFault::Slow => "slow",
        }
    }

    /// `None` for what says nothing of the disk: one entry could not be written or read, the next one may be.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(DiskFault::Full),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Some(DiskFault::ReadOnly)
            }
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::StaleNetworkFileHandle => Some(DiskFault::Gone),
            io::ErrorKind::FileTooLarge
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::Interrupted
            | io::ErrorKind::OutOfMemory => None,
            _ => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE) => None,
                _ => Some(DiskFault::Broken),
            },
        }
    }

    /// Whether what is there can still be read.
    fn allows_reads(self) -> bool {
        matches!(self, DiskFault::ReadOnly | DiskFault::Full)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    On,
    Off(DiskFault),
    /// For good.
    Closed,
}

pub(crate) struct Health {
    state: State,
    pause: Duration,
    last_failure: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Health {
            state: State::Starting,
            pause: FIRST_PAUSE,
            last_failure: None,
        }
    }
}

impl Health {
    pub(crate) fn may_read(&self) -> bool {
        match self.state {
            State::On => true,
            State::Off(trouble) => trouble.allows_reads(),
            State::Starting | State::Closed => false,
        }
    }

    pub(crate) fn may_write(&self) -> bool {
        self.state == State::On
    }

    /// Deleting needs no room.
    pub(crate) fn may_delete(&self) -> bool {
        matches!(self.state, State::On | State::Off(DiskFault::Full))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    pub(crate) fn trouble(&self) -> Option<DiskFault> {
        match self.state {
            State::Off(trouble) => Some(trouble),
            State::Starting | State::On | State::Closed => None,
        }
    }

    /// How long to wait before the next try, counted from the last one.
    pub(crate) fn pause(&self) -> Duration {
        self.pause
    }

    /// A store that was in use has failed. Says whether that is news: of many who fail at once, one turns it off.
    pub(crate) fn fail(&mut self, trouble: DiskFault) -> bool {
        if self.state != State::On {
            return false;
        }
        self.turn_off(trouble);
        true
    }

    /// A try to take it up has failed. Says whether the reason is news.
    pub(crate) fn stay_off(&mut self, trouble: DiskFault) -> bool {
        if self.is_closed() {
            return false;
        }
        let is_news = self.state != State::Off(trouble);
        self.turn_off(trouble);
        is_news
    }

    /// Says whether it was off because of some trouble.
    pub(crate) fn turn_on(&mut self) -> bool {
        let was_off = matches!(self.state, State::Off(_));
        if !self.is_closed() {
            self.state = State::On;
        }
        was_off
    }

    pub(crate) fn close(&mut self) {
        self.state = State::Closed;
    }

    fn turn_off(&mut self, trouble: DiskFault) {
        self.state = State::Off(trouble);
        let now = Instant::now();
        let in_a_row = self
            .last_failure
            .is_some_and(|last| now.duration_since(last) < ROW + self.pause);
        self.last_failure = Some(now);
        // Whoever holds the lock may let go of it at any time, and looking costs next to nothing.
        self.pause = match trouble {
            DiskFault::Locked => FIRST_PAUSE,
            _ if in_a_row => (self.pause * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::DiskFault;
    use super::Health;
    use super::LONGEST_PAUSE;

    #[test]
    fn errors_are_told_apart_by_what_they_say_of_the_disk() {
        for (number, trouble) in [
            (libc::ENOSPC, Some(DiskFault::Full)),
            (libc::EDQUOT, Some(DiskFault::Full)),
            (libc::EROFS, Some(DiskFault::ReadOnly)),
            (libc::EACCES, Some(DiskFault::ReadOnly)),
            (libc::EPERM, Some(DiskFault::ReadOnly)),
            (libc::ENOENT, Some(DiskFault::Gone)),
            (libc::ENOTDIR, Some(DiskFault::Gone)),
            (libc::ESTALE, Some(DiskFault::Gone)),
            (libc::EIO, Some(DiskFault::Broken)),
            (libc::ENODEV, Some(DiskFault::Broken)),
            (libc::EFBIG, None),
            (libc::EMFILE, None),
            (libc::EISDIR, None),
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(DiskFault::of(&error), trouble, "{error}");
        }
    }

    #[test]
    fn failures_in_a_row_have_growing_pauses() {
        let mut health = Health::default();
        assert!(!health.may_read() && !health.may_write());
        health.turn_on();
        assert!(health.may_read() && health.may_write());
        assert!(health.fail(DiskFault::Broken));
        assert!(!health.fail(DiskFault::Broken), "that is known");
        assert!(!health.may_read() && !health.may_write());
        let mut pauses = vec![health.pause().as_secs()];
        for _ in 0..10 {
            assert!(!health.stay_off(DiskFault::Broken));
            pauses.push(health.pause().as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(health.pause(), LONGEST_PAUSE);
        // What works for a moment and fails again gets no new start.
        assert!(health.turn_on());
        assert!(health.fail(DiskFault::Full));
        assert_eq!(health.pause(), LONGEST_PAUSE);
        assert!(health.may_read() && !health.may_write());
    }

    #[test]
    fn a_lock_is_looked_at_every_second() {
        let mut health = Health::default();
        for _ in 0..5 {
            health.stay_off(DiskFault::Locked);
            assert_eq!(health.pause(), Duration::from_secs(1));
        }
        assert!(!health.may_read());
    }

    #[test]
    fn what_is_closed_stays_so() {
        let mut health = Health::default();
        health.turn_on();
        health.close();
        health.turn_on();
        assert!(!health.fail(DiskFault::Broken) && !health.stay_off(DiskFault::Broken));
        assert!(!health.may_read() && !health.may_write() && health.trouble().is_none());
    }
}
