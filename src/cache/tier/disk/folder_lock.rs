//! The lock on the folder of a disk store: only the process that holds it creates or deletes files there.

use std::fs;
use std::fs::{File, TryLockError};
use std::io;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use crate::cache::tier::disk::layout::DiskLayout;

/// The name of the file that is locked.
const LOCK: &str = "lock";

/// Held by the one process that may change a folder, until it is dropped or the process ends in any way.
pub(crate) struct FolderLock {
    _file: File,
    device: u64,
    inode: u64,
}

/// Why a folder could not be locked.
pub(crate) enum LockError {
    /// Another process holds the lock: the one with this id, if the id could be read.
    InUse(Option<u32>),
    Failed(io::Error),
}

impl FolderLock {
    pub(crate) fn take(layout: &DiskLayout) -> Result<Self, LockError> {
        let opened = layout.folder().and_then(|folder| folder.file_or_new(LOCK));
        let mut file = opened.map_err(LockError::Failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only the log needs the id.
                let _ = (&mut file).take(20).read_to_string(&mut holder);
                return Err(LockError::InUse(holder.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Failed(error)),
        }
        // A full disk may refuse this; the lock is valid without it.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        let metadata = file.metadata().map_err(LockError::Failed)?;
        let lock = FolderLock {
            _file: file,
            device: metadata.dev(),
            inode: metadata.ino(),
        };
        // The folder may have been replaced between opening and locking the file.
        lock.verify(layout).map_err(LockError::Failed)?;
        Ok(lock)
    }

    /// Fails if the folder is not the one that was locked, because it was moved or deleted: another process may use the folder that is there now.
    pub(crate) fn verify(&self, layout: &DiskLayout) -> io::Result<()> {
        let there = fs::symlink_metadata(layout.root().join(LOCK))?;
        if (there.dev(), there.ino()) == (self.device, self.inode) {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the folder has been replaced",
            ))
        }
    }
}
