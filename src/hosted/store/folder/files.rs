//! The files of a store: writes that are there wholly or not at all, the lock of the folder, and the reserve for a full disk.

use std::fs;
use std::fs::{DirEntry, File, Metadata, ReadDir, TryLockError};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, renameat};
use ulid::Ulid;

use crate::hosted::error::HostedError;
use crate::hosted::fault;
use crate::hosted::store::Listed;

/// Writes of one key wait for each other, by the hash of the key.
const LOCKS: usize = 64;
/// How often a write is tried whose folder vanishes meanwhile, because its last other file was deleted.
const TRIES: usize = 4;

/// What a tombstone and the index need on a full disk, in bytes, with room for more of them.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: u64 = 1 << 20;
/// The unit in which the system says how much room a file takes, in bytes.
const BLOCK_BYTES: u64 = 512;

/// The files of a folder, and what is known of it.
pub(super) struct Files {
    pub(super) root: PathBuf,
    locks: Vec<Mutex<()>>,
    pub(super) folds_case: bool,
    /// Whether the reserve is there.
    has_reserve: AtomicBool,
    /// Whether the last write found no room.
    is_full: AtomicBool,
    /// As long as it is open, no other process uses the folder.
    _lock: File,
}

impl Files {
    /// Takes a folder, which is made if it is missing.
    pub(super) fn open(root: &Path) -> Result<Self, HostedError> {
        let fail = |error: io::Error| failed(root, &error);
        let temporary = path::absolute(root.join("tmp")).map_err(fail)?;
        make_folder(&temporary).map_err(fail)?;
        refuse_links(root)?;
        let lock = lock(root)?;
        // What a process left that ended in the middle of a write.
        for file in fs::read_dir(root.join("tmp")).map_err(fail)? {
            fs::remove_file(file.map_err(fail)?.path()).map_err(fail)?;
        }
        let probe = root.join("tmp/Probe");
        File::create(&probe).map_err(fail)?;
        let folds_case = root.join("tmp/pROBE").exists();
        fs::remove_file(&probe).map_err(fail)?;
        let has_reserve = reserve(root).is_ok();
        Ok(Files {
            root: root.to_owned(),
            has_reserve: AtomicBool::new(has_reserve),
            is_full: AtomicBool::new(false),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            folds_case,
            _lock: lock,
        })
    }

    /// Whether the reserve is there.
    pub(super) fn has_reserve(&self) -> bool {
        self.has_reserve.load(Ordering::Acquire)
    }

    /// Gives up the reserve, and returns whether there was one.
    pub(super) fn free_reserve(&self) -> bool {
        let is_there = self.has_reserve.swap(false, Ordering::AcqRel);
        is_there && fs::remove_file(self.root.join(RESERVE)).is_ok()
    }

    /// Takes the reserve again, if there is room.
    pub(super) fn keep_reserve(&self) {
        let is_kept = reserve(&self.root).is_ok();
        self.has_reserve.store(is_kept, Ordering::Release);
    }

    /// Lets no other write of the same key begin as long as it is held.
    pub(super) fn lock(&self, path: &Path) -> Option<MutexGuard<'_, ()>> {
        let mut hash = DefaultHasher::new();
        path.hash(&mut hash);
        let at = usize::try_from(hash.finish() % LOCKS as u64).unwrap_or(0);
        let lock = self.locks.get(at)?;
        Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a file in its place, and returns what the system says of it.
    pub(super) fn write(&self, path: &Path, content: &mut impl io::Read) -> io::Result<Metadata> {
        let beside = self.root.join("tmp").join(Ulid::generate().to_string());
        let written = write_out(&beside, content).and_then(|facts| {
            for _ in 1..TRIES {
                match self.rename(&beside, path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    done => return done.map(|()| facts),
                }
            }
            self.rename(&beside, path).map(|()| facts)
        });
        match &written {
            Ok(_) => {
                if self.is_full.swap(false, Ordering::Relaxed) {
                    tracing::info!("the store of hosted images has room again");
                }
            }
            Err(error) => {
                let _ = fs::remove_file(&beside);
                if is_full(error) && !self.is_full.swap(true, Ordering::Relaxed) {
                    let store = self.root.display();
                    tracing::error!(%store, %error, "the store of hosted images is full: uploads are refused until there is room");
                }
            }
        }
        written
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let folder = to.parent().unwrap_or(&self.root);
        make_folder(folder)?;
        // Not afterwards: there may be no descriptor left then, or another folder of this name.
        let folder = File::open(folder)?;
        let name = to.file_name().unwrap_or_default();
        renameat(CWD, from, &folder, name)?;
        fault::error("flush")?;
        folder.sync_all()
    }

    /// Looks at an entry of a folder that is listed: a file is added to `found`, and a folder becomes the innermost of `open`.
    pub(super) fn look_at(
        &self,
        entry: &DirEntry,
        open: &mut Vec<ReadDir>,
        found: &mut Vec<Listed>,
    ) -> io::Result<()> {
        let path = entry.path();
        let Some(facts) = unless_missing(entry.metadata())? else {
            return Ok(());
        };
        if facts.is_dir() {
            open.extend(unless_missing(fs::read_dir(path))?);
        } else if let Ok(below) = path.strip_prefix(&self.root)
            && let Some(key) = below.to_str()
        {
            found.push(Listed {
                key: key.to_owned(),
                etag: etag_of(&facts),
                modified: facts.modified().ok(),
            });
        }
        Ok(())
    }
}

/// Refuses a store with folders elsewhere: files could not be put in their places there, and would not be delivered from there.
fn refuse_links(root: &Path) -> Result<(), HostedError> {
    for folder in ["tmp", "records", "originals", "renditions", "log"] {
        let path = root.join(folder);
        if fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_symlink()) {
            return Err(HostedError::Store(format!(
                "`{}` is a link, but all of a store must be in one folder: let `hosted.store` name the folder that it leads to, with the rest moved there",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Takes the folder for this process.
fn lock(root: &Path) -> Result<File, HostedError> {
    let path = root.join("lock");
    let fail = |error: io::Error| failed(&path, &error);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut other = String::new();
            file.take(20).read_to_string(&mut other).map_err(fail)?;
            return Err(HostedError::Store(format!(
                "the folder `{}` is used by process {} already; several processes need a bucket and `hosted.replicas`",
                root.display(),
                other.trim()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    file.set_len(0).map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(file)
}

/// Makes a folder and those above it, each of them flushed to the disk.
fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = folder.parent().ok_or(error)?;
            make_folder(above)?;
            match fs::create_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made.and_then(|()| File::open(above)?.sync_all()),
            }
        }
        Err(error) => Err(error),
        Ok(()) => match folder.parent() {
            Some(above) => File::open(above)?.sync_all(),
            None => Ok(()),
        },
    }
}

/// Takes room on the disk, with a file that nobody reads and no file system can compress.
fn reserve(root: &Path) -> io::Result<()> {
    let path = root.join(RESERVE);
    let takes_room = |facts: Metadata| {
        facts.len() == RESERVE_BYTES && facts.blocks() * BLOCK_BYTES >= RESERVE_BYTES
    };
    if fs::metadata(&path).is_ok_and(takes_room) {
        return Ok(());
    }
    let written = File::open("/dev/urandom").and_then(|noise| {
        let mut file = File::create(&path)?;
        io::copy(&mut noise.take(RESERVE_BYTES), &mut file)
    });
    if written.is_err() {
        let _ = fs::remove_file(&path);
    }
    written.map(|_| ())
}

/// The type of the content is known here, so that the kernel copies files by itself (`copy_file_range`).
fn write_out(path: &Path, content: &mut impl io::Read) -> io::Result<Metadata> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    io::copy(content, &mut file)?;
    fault::point("in-write");
    file.sync_all()?;
    file.metadata()
}

pub(super) fn etag_at(path: &Path) -> io::Result<Option<String>> {
    let facts = unless_missing(fs::metadata(path))?;
    Ok(facts.as_ref().map(etag_of))
}

/// Every write makes a new file, with an inode and a time of its own.
pub(super) fn etag_of(facts: &Metadata) -> String {
    format!(
        "{:x}-{:x}-{:x}-{:x}",
        facts.ino(),
        facts.mtime(),
        facts.mtime_nsec(),
        facts.len()
    )
}

/// `None` for what is not there.
pub(super) fn unless_missing<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

pub(super) fn failed(path: &Path, error: &io::Error) -> HostedError {
    let reason = format!("`{}`: {error}", path.display());
    if is_full(error) {
        HostedError::Full(reason)
    } else {
        HostedError::Store(reason)
    }
}

/// Whether the disk has no room, or the user none of it.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
