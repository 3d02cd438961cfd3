//! Whether a disk store is in use, which fault turned it off, and when it is tried again.

use std::io;
use std::time::{Duration, Instant};

use crate::cache::tier::backoff::Backoff;

/// The pauses before a store is tried again: from one second to five minutes.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

/// A failure within this time after the end of the pause before it continues the streak, so that the next pause is longer.
const STREAK: Duration = Duration::from_secs(60);

/// Why a store is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Another process uses the folder.
    Locked,
    /// The folder is missing and cannot be created.
    Gone,
    /// The path of the folder, or a part of it, is a file or a link.
    NotAFolder,
    /// Writing is not allowed.
    ReadOnly,
    /// There is no space, however much is evicted.
    Full,
    /// The disk fails.
    Broken,
    /// The disk takes longer than making an entry anew would.
    Slow,
}

impl DiskFault {
    /// Every fault, for metrics.
    pub const ALL: [DiskFault; 7] = [
        DiskFault::Locked,
        DiskFault::Gone,
        DiskFault::NotAFolder,
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
            DiskFault::NotAFolder => "not-a-folder",
            DiskFault::ReadOnly => "read-only",
            DiskFault::Full => "full",
            DiskFault::Broken => "broken",
            DiskFault::Slow => "slow",
        }
    }

    /// `None` for an error that concerns one entry and says nothing about the disk.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(DiskFault::Full),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Some(DiskFault::ReadOnly)
            }
            io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle => {
                Some(DiskFault::Gone)
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                Some(DiskFault::NotAFolder)
            }
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

    /// Whether entries can still be read.
    fn allows_reads(self) -> bool {
        matches!(self, DiskFault::ReadOnly | DiskFault::Full)
    }

    /// Whether the folder that comes back may be another one, so that nothing that the index says is sure any more.
    pub(crate) fn has_lost_folder(self) -> bool {
        matches!(self, DiskFault::Gone | DiskFault::NotAFolder)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HealthState {
    /// Not tried yet.
    Starting,
    On,
    Off(DiskFault),
    /// Closed for good.
    Closed,
}

/// Whether a store is in use, and when it is tried again if not.
pub(crate) struct Health {
    state: HealthState,
    backoff: Backoff,
    last_failure: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Health {
            state: HealthState::Starting,
            backoff: BACKOFF,
            last_failure: None,
        }
    }
}

impl Health {
    pub(crate) fn may_read(&self) -> bool {
        match self.state {
            HealthState::On => true,
            HealthState::Off(fault) => fault.allows_reads(),
            HealthState::Starting | HealthState::Closed => false,
        }
    }

    pub(crate) fn may_write(&self) -> bool {
        self.state == HealthState::On
    }

    /// A full disk allows deletion, which needs no space.
    pub(crate) fn may_delete(&self) -> bool {
        matches!(
            self.state,
            HealthState::On | HealthState::Off(DiskFault::Full)
        )
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state == HealthState::Closed
    }

    pub(crate) fn fault(&self) -> Option<DiskFault> {
        match self.state {
            HealthState::Off(fault) => Some(fault),
            HealthState::Starting | HealthState::On | HealthState::Closed => None,
        }
    }

    /// How long to wait after the last try before the next one.
    pub(crate) fn pause(&self) -> Duration {
        self.backoff.pause()
    }

    /// Turns off a store that was in use. Returns whether it was in use: of several failures at once, the first turns it off.
    pub(crate) fn fail(&mut self, fault: DiskFault) -> bool {
        if self.state != HealthState::On {
            return false;
        }
        self.turn_off(fault);
        true
    }

    /// Records that a store could not be activated. Returns whether the reason is another one than before.
    pub(crate) fn stay_off(&mut self, fault: DiskFault) -> bool {
        if self.is_closed() {
            return false;
        }
        let is_news = self.state != HealthState::Off(fault);
        self.turn_off(fault);
        is_news
    }

    /// Puts the store in use. Returns whether a fault had turned it off.
    pub(crate) fn turn_on(&mut self) -> bool {
        let was_off = matches!(self.state, HealthState::Off(_));
        if !self.is_closed() {
            self.state = HealthState::On;
        }
        was_off
    }

    pub(crate) fn close(&mut self) {
        self.state = HealthState::Closed;
    }

    fn turn_off(&mut self, fault: DiskFault) {
        self.state = HealthState::Off(fault);
        let now = Instant::now();
        let in_a_row = self
            .last_failure
            .is_some_and(|last| now.duration_since(last) < STREAK + self.backoff.pause());
        self.last_failure = Some(now);
        self.backoff = match fault {
            // The other process may release the lock at any time, and a try costs almost nothing.
            DiskFault::Locked => BACKOFF,
            _ if in_a_row => self.backoff.doubled(),
            _ => BACKOFF,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::DiskFault;
    use super::Health;

    #[test]
    fn each_system_error_has_its_fault() {
        for (number, fault) in [
            (libc::ENOSPC, Some(DiskFault::Full)),
            (libc::EDQUOT, Some(DiskFault::Full)),
            (libc::EROFS, Some(DiskFault::ReadOnly)),
            (libc::EACCES, Some(DiskFault::ReadOnly)),
            (libc::EPERM, Some(DiskFault::ReadOnly)),
            (libc::ENOENT, Some(DiskFault::Gone)),
            (libc::ENOTDIR, Some(DiskFault::NotAFolder)),
            (libc::EEXIST, Some(DiskFault::NotAFolder)),
            (libc::ESTALE, Some(DiskFault::Gone)),
            (libc::EIO, Some(DiskFault::Broken)),
            (libc::ENODEV, Some(DiskFault::Broken)),
            (libc::EFBIG, None),
            (libc::EMFILE, None),
            (libc::EISDIR, None),
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(DiskFault::of(&error), fault, "{error}");
        }
    }

    #[test]
    fn failures_in_a_row_have_growing_pauses() {
        let mut health = Health::default();
        assert!(!health.may_read() && !health.may_write());
        health.turn_on();
        assert!(health.may_read() && health.may_write());
        assert!(health.fail(DiskFault::Broken));
        assert!(!health.fail(DiskFault::Broken), "it is off already");
        assert!(!health.may_read() && !health.may_write());
        let mut pauses = vec![health.pause().as_secs()];
        for _ in 0..10 {
            assert!(!health.stay_off(DiskFault::Broken));
            pauses.push(health.pause().as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(health.pause(), Duration::from_secs(300));
        // A short success does not end the streak.
        assert!(health.turn_on());
        assert!(health.fail(DiskFault::Full));
        assert_eq!(health.pause(), Duration::from_secs(300));
        assert!(health.may_read() && !health.may_write());
    }

    #[test]
    fn a_locked_folder_is_tried_every_second() {
        let mut health = Health::default();
        for _ in 0..5 {
            health.stay_off(DiskFault::Locked);
            assert_eq!(health.pause(), Duration::from_secs(1));
        }
        assert!(!health.may_read());
    }

    #[test]
    fn a_closed_store_stays_closed() {
        let mut health = Health::default();
        health.turn_on();
        health.close();
        health.turn_on();
        assert!(!health.fail(DiskFault::Broken) && !health.stay_off(DiskFault::Broken));
        assert!(!health.may_read() && !health.may_write() && health.fault().is_none());
    }
}
