//! How a store comes into use and goes out of it: taken up when its folder can be had, turned off when the disk fails, closed for good.

use std::io;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::cache::entry::EntryKey;
use crate::cache::tier::disk::health::DiskFault;
use crate::cache::tier::disk::layout::Lock;
use crate::cache::tier::disk::layout::LockError;
use crate::cache::tier::disk::store::Store;

/// How often trouble with single entries is logged: it must not fill a disk with logs.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Why a store cannot be taken up.
struct ActivationError {
    trouble: DiskFault,
    error: io::Error,
}

impl From<io::Error> for ActivationError {
    fn from(error: io::Error) -> Self {
        ActivationError {
            trouble: DiskFault::of(&error).unwrap_or(DiskFault::Broken),
            error,
        }
    }
}

impl Store {
    /// Makes the folder where needed, and sees whether it can be used. Where it can, it is; a scan may have to follow before anything is written.
    pub(crate) fn activate(&self) {
        let mut changing = self.changing();
        if self.health().is_closed() {
            return;
        }
        match self.try_activate(&mut changing) {
            Ok(()) => {
                if self.health().turn_on() {
                    tracing::info!(store = self.name, folder = %self.place.root().display(), "the disk cache is used again");
                }
            }
            Err(ActivationError { trouble, error }) => {
                if trouble != DiskFault::Locked {
                    self.counts.write_failures.fetch_add(1, Ordering::Relaxed);
                }
                if self.health().stay_off(trouble) {
                    self.log_trouble(trouble, &error);
                }
            }
        }
    }

    fn try_activate(&self, changing: &mut Option<Lock>) -> Result<(), ActivationError> {
        if changing
            .as_ref()
            .is_none_or(|lock| lock.guards(&self.place).is_err())
        {
            *changing = None;
            self.place.make().map_err(|error| self.as_link(error))?;
            self.make_private();
            let lock = Lock::take(&self.place).map_err(|refusal| match refusal {
                LockError::Held(holder) => ActivationError {
                    trouble: DiskFault::Locked,
                    error: io::Error::other(match holder {
                        Some(holder) => format!("process {holder} uses this folder"),
                        None => "another process uses this folder".to_owned(),
                    }),
                },
                LockError::Failed(error) => error.into(),
            })?;
            *changing = Some(lock);
            self.index().start_over();
        }
        if self.health().trouble() == Some(DiskFault::Gone) {
            // What is in its place now is not what the index knows.
            self.index().start_over();
        }
        self.place.remove_incoming()?;
        self.place.probe()?;
        let dead = self.index().tombstones(u64::MAX);
        for key in dead {
            self.delete(&key)?;
        }
        Ok(())
    }

    /// One of an earlier version could be read by everybody.
    fn make_private(&self) {
        let folder = self.place.root().display();
        match self.place.make_private() {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(store = self.name, %folder, "other users could read the disk cache: its mode has been changed");
            }
            Err(error) => {
                tracing::warn!(store = self.name, %folder, %error, "other users can read the disk cache, and its mode cannot be changed");
            }
        }
    }

    /// An error that names the link where the folder is one: that of the system (`ENOTDIR`) does not.
    fn as_link(&self, error: io::Error) -> io::Error {
        let is_link = self.place.root().is_symlink();
        if is_link {
            io::Error::other(
                "a folder of the cache must not be a link: `cache.disk.path` may be one",
            )
        } else {
            error
        }
    }

    /// Lets go of the folder for good.
    pub(crate) fn close(&self) {
        let mut changing = self.changing();
        self.health().close();
        *changing = None;
    }

    /// How long until the next try; `None` while the store is in use or closed.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let health = self.health();
        (!health.may_write() && !health.is_closed()).then(|| health.pause())
    }

    /// The disk would not give an entry.
    pub(crate) fn note_failed_read(&self, key: &EntryKey, error: &io::Error) {
        if self.note_failure(&self.counts.read_failures, error) {
            // A sector that could not be read seldom can be later: it goes when the disk is back.
            self.index().tombstone(*key);
        }
    }

    /// A read has taken longer than anybody waits.
    pub(crate) fn note_slow_read(&self) {
        self.counts.read_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The scan could not see everything.
    pub(crate) fn note_failed_scan(&self, error: &io::Error) {
        if !self.note_failure(&self.counts.read_failures, error) {
            // Nothing may be written without it.
            self.turn_off(DiskFault::Broken, error);
        }
    }

    /// Counts a failure, and turns the store off where it says something of the disk, which is what this returns.
    pub(crate) fn note_failure(&self, count: &AtomicU64, error: &io::Error) -> bool {
        count.fetch_add(1, Ordering::Relaxed);
        match DiskFault::of(error) {
            Some(trouble) => self.turn_off(trouble, error),
            None => self.log_failure(error),
        }
        DiskFault::of(error).is_some()
    }

    fn turn_off(&self, trouble: DiskFault, error: &io::Error) {
        if self.health().fail(trouble) {
            self.log_trouble(trouble, error);
            self.turned_off.notify_one();
        }
    }

    /// Once for each change.
    fn log_trouble(&self, trouble: DiskFault, error: &io::Error) {
        tracing::warn!(
            store = self.name,
            folder = %self.place.root().display(),
            reason = trouble.word(),
            %error,
            "the disk cache is not used until this error is gone"
        );
    }

    fn log_failure(&self, error: &io::Error) {
        let mut last = self
            .last_logged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LOG_EVERY) {
            *last = Some(Instant::now());
            tracing::warn!(store = self.name, folder = %self.place.root().display(), %error, "cannot write an entry to the disk cache");
        }
    }
}
