//! How a disk store starts and stops being used: activated when its folder can be used, turned off when the disk fails, closed for good.

use std::io;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::cache::entry::EntryKey;
use crate::cache::tier::disk::folder_lock::{FolderLock, LockError};
use crate::cache::tier::disk::health::DiskFault;
use crate::cache::tier::disk::store::Store;

/// How often errors of single entries are logged, so that they cannot fill a disk with logs.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Why a store cannot be activated.
struct ActivationError {
    fault: DiskFault,
    error: io::Error,
}

impl From<io::Error> for ActivationError {
    fn from(error: io::Error) -> Self {
        ActivationError {
            fault: DiskFault::of(&error).unwrap_or(DiskFault::Broken),
            error,
        }
    }
}

impl Store {
    /// Creates the folder if it is missing, checks that it can be used, and then turns the store on. A scan may have to follow before anything is
    /// written.
    pub(crate) fn activate(&self) {
        let mut folder_lock = self.folder_lock();
        if self.health().is_closed() {
            return;
        }
        match self.try_activate(&mut folder_lock) {
            Ok(()) => {
                if self.health().turn_on() {
                    tracing::info!(store = self.name, folder = %self.layout.root().display(), "the disk cache is used again");
                }
            }
            Err(ActivationError { fault, error }) => {
                if fault != DiskFault::Locked {
                    self.counters.write_failures.fetch_add(1, Ordering::Relaxed);
                }
                if self.health().stay_off(fault) {
                    self.log_fault(fault, &error);
                }
            }
        }
    }

    fn try_activate(&self, folder_lock: &mut Option<FolderLock>) -> Result<(), ActivationError> {
        if folder_lock
            .as_ref()
            .is_none_or(|lock| lock.verify(&self.layout).is_err())
        {
            *folder_lock = None;
            self.layout
                .make()
                .map_err(|error| self.explain_link(error))?;
            self.make_private();
            let lock = FolderLock::take(&self.layout).map_err(|refusal| match refusal {
                LockError::InUse(holder) => ActivationError {
                    fault: DiskFault::Locked,
                    error: io::Error::other(match holder {
                        Some(holder) => format!("process {holder} uses this folder"),
                        None => "another process uses this folder".to_owned(),
                    }),
                },
                LockError::Failed(error) => error.into(),
            })?;
            *folder_lock = Some(lock);
            self.index().reset();
        }
        let fault = self.health().fault();
        if fault.is_some_and(DiskFault::has_lost_folder) {
            self.index().reset();
        }
        self.layout.remove_incoming()?;
        self.layout.probe()?;
        let tombstones = self.index().tombstones(u64::MAX);
        for key in tombstones {
            self.delete(&key)?;
        }
        Ok(())
    }

    /// An earlier version created folders that every user could read.
    fn make_private(&self) {
        let folder = self.layout.root().display();
        match self.layout.make_private() {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(store = self.name, %folder, "other users could read the disk cache: its mode has been changed");
            }
            Err(error) => {
                tracing::warn!(store = self.name, %folder, %error, "other users can read the disk cache, and its mode cannot be changed");
            }
        }
    }

    /// Names the link in the error if the folder is one; the error of the system (`ENOTDIR`) does not.
    fn explain_link(&self, error: io::Error) -> io::Error {
        let is_link = self.layout.root().is_symlink();
        if is_link {
            io::Error::new(
                io::ErrorKind::NotADirectory,
                "a folder of the cache must not be a link: `cache.disk.path` may be one",
            )
        } else {
            error
        }
    }

    /// Releases the folder for good.
    pub(crate) fn close(&self) {
        let mut folder_lock = self.folder_lock();
        self.health().close();
        *folder_lock = None;
    }

    /// How long to wait before the next try; `None` while the store is in use, or if it is closed.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let health = self.health();
        (!health.may_write() && !health.is_closed()).then(|| health.pause())
    }

    /// Counts an entry that could not be read.
    pub(crate) fn note_failed_read(&self, key: &EntryKey, error: &io::Error) {
        if self.note_failure(&self.counters.read_failures, error) {
            // A damaged sector seldom recovers: the entry is deleted when the disk works again.
            self.index().tombstone(*key);
        }
    }

    /// Counts a read that took too long.
    pub(crate) fn note_slow_read(&self) {
        self.counters.read_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a scan that did not see everything.
    pub(crate) fn note_failed_scan(&self, error: &io::Error) {
        if !self.note_failure(&self.counters.read_failures, error) {
            // Nothing may be written without a complete scan.
            self.turn_off(DiskFault::Broken, error);
        }
    }

    /// Counts a failure, and turns the store off if the error concerns the whole disk. Returns whether it does.
    pub(crate) fn note_failure(&self, count: &AtomicU64, error: &io::Error) -> bool {
        count.fetch_add(1, Ordering::Relaxed);
        match DiskFault::of(error) {
            Some(fault) => self.turn_off(fault, error),
            None => self.log_failure(error),
        }
        DiskFault::of(error).is_some()
    }

    fn turn_off(&self, fault: DiskFault, error: &io::Error) {
        if self.health().fail(fault) {
            self.log_fault(fault, error);
            self.turned_off.notify_one();
        }
    }

    /// Called once for each change of the fault.
    fn log_fault(&self, fault: DiskFault, error: &io::Error) {
        tracing::warn!(
            store = self.name,
            folder = %self.layout.root().display(),
            reason = fault.word(),
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
            tracing::warn!(store = self.name, folder = %self.layout.root().display(), %error, "cannot write an entry to the disk cache");
        }
    }
}
