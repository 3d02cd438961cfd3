//! A folder as the store of one process. A file is written beside its place, flushed to the disk, and renamed, so that it is there wholly or not at
//! all.

use std::fs;
use std::fs::{File, Metadata, TryLockError};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ulid::Ulid;

use crate::hosted::blocking::blocking;
use crate::hosted::error::HostedError;
use crate::hosted::fault;
use crate::hosted::store::{Condition, Fetched, Listed, Put};

/// Writes of one key wait for each other, by the hash of the key.
const LOCKS: usize = 64;
/// How many objects a page of a list has, about.
const PAGE: usize = 1000;
/// How often a write is tried whose folder vanishes meanwhile, because its last other file was deleted.
const TRIES: usize = 4;

/// What a tombstone, its entry in the log and the index need on a full disk, in bytes, with room for more of them.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: usize = 1 << 20;

/// A folder.
pub(in crate::hosted) struct Folder(Arc<Inner>);

struct Inner {
    root: PathBuf,
    locks: Vec<Mutex<()>>,
    folds_case: bool,
    /// Whether the reserve is there.
    has_reserve: AtomicBool,
    /// Whether the last write found no room.
    is_full: AtomicBool,
    /// As long as it is open, no other process uses the folder.
    _lock: File,
}

impl Folder {
    /// Opens a folder, which is made if it is missing.
    pub(in crate::hosted) async fn open(root: PathBuf) -> Result<Self, HostedError> {
        blocking(move || Inner::open(&root).map(|inner| Folder(Arc::new(inner)))).await
    }

    pub(super) fn place(&self) -> String {
        format!("folder `{}`", self.0.root.display())
    }

    pub(super) fn folds_case(&self) -> bool {
        self.0.folds_case
    }

    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Put, HostedError> {
        let (etag, is_conditional) = match condition {
            Condition::Always => (None, false),
            Condition::Absent => (None, true),
            Condition::Matches(etag) => (Some(etag.to_owned()), true),
        };
        self.work(key, move |inner, path| {
            let _held = inner.lock(path);
            if is_conditional && etag_at(path)? != etag {
                return Ok(Put::Refused);
            }
            inner
                .write(path, &mut bytes.as_ref())
                .map(|file| Put::Stored(etag_of(&file)))
        })
        .await
    }

    pub(super) async fn put_file(
        &self,
        key: &str,
        mut file: File,
        length: u64,
    ) -> Result<(), HostedError> {
        self.work(key, move |inner, path| {
            file.seek(SeekFrom::Start(0))?;
            inner.write(path, &mut file.take(length)).map(|_| ())
        })
        .await
    }

    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<bool, HostedError> {
        let file = self.work(from, |_, path| match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        });
        let Some(mut file) = file.await? else {
            return Ok(false);
        };
        self.work(to, move |inner, path| {
            inner.write(path, &mut file).map(|_| true)
        })
        .await
    }

    pub(super) async fn get(&self, key: &str, known: Option<&str>) -> Result<Fetched, HostedError> {
        let known = known.map(str::to_owned);
        self.work(key, move |_, path| {
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(error) if is_missing(&error) => return Ok(Fetched::Missing),
                Err(error) => return Err(error),
            };
            let etag = etag_of(&file.metadata()?);
            if known.as_ref() == Some(&etag) {
                return Ok(Fetched::Same);
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Fetched::Object(bytes.into(), etag))
        })
        .await
    }

    pub(super) async fn delete(&self, keys: Vec<String>) -> Result<(), HostedError> {
        for key in keys {
            self.work(&key, |inner, path| {
                match fs::remove_file(path) {
                    Err(error) if !is_missing(&error) => return Err(error),
                    Ok(()) | Err(_) => {}
                }
                // Folders that became empty; the first that is not ends it.
                let folders = path.ancestors().skip(1);
                for folder in folders.take_while(|folder| folder.parent() != Some(&inner.root)) {
                    if fs::remove_dir(folder).is_err() {
                        break;
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Gives up the reserve, and returns whether there was one.
    pub(super) async fn free_reserve(&self) -> bool {
        let inner = Arc::clone(&self.0);
        let freed = blocking(move || {
            let is_there = inner.has_reserve.swap(false, Ordering::AcqRel);
            Ok(is_there && fs::remove_file(inner.root.join(RESERVE)).is_ok())
        });
        freed.await.unwrap_or(false)
    }

    /// Fills the reserve again, where it was given up and there is room now.
    pub(super) async fn keep_reserve(&self) {
        if self.0.has_reserve.load(Ordering::Acquire) {
            return;
        }
        let inner = Arc::clone(&self.0);
        let kept = blocking(move || {
            let is_kept = reserve(&inner.root).is_ok();
            inner.has_reserve.store(is_kept, Ordering::Release);
            Ok(())
        });
        // Where there is no room now, there may be after the next deletion.
        let _ = kept.await;
    }

    pub(super) fn list(&self, folder: &str) -> Walk<'_> {
        Walk {
            store: self,
            folders: vec![self.0.root.join(folder.trim_end_matches('/'))],
        }
    }

    async fn work<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Inner, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, HostedError> {
        let inner = Arc::clone(&self.0);
        let is_plain = key
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."));
        if !is_plain {
            return Err(HostedError::Store(format!("`{key}` is no key")));
        }
        let path = inner.root.join(key);
        blocking(move || work(&inner, &path).map_err(|error| failed(&path, &error))).await
    }
}

/// A list of the files below a folder.
pub(in crate::hosted) struct Walk<'a> {
    store: &'a Folder,
    folders: Vec<PathBuf>,
}

impl Walk<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>, HostedError> {
        let inner = Arc::clone(&self.store.0);
        let mut folders = std::mem::take(&mut self.folders);
        let (found, folders) = blocking(move || {
            let mut found = Vec::new();
            while found.len() < PAGE
                && let Some(folder) = folders.pop()
            {
                inner
                    .read_folder(&folder, &mut folders, &mut found)
                    .map_err(|error| failed(&folder, &error))?;
            }
            Ok((found, folders))
        })
        .await?;
        let is_end = found.is_empty() && folders.is_empty();
        self.folders = folders;
        Ok((!is_end).then_some(found))
    }
}

impl Inner {
    fn open(root: &Path) -> Result<Self, HostedError> {
        let fail = |error: io::Error| failed(root, &error);
        fs::create_dir_all(root.join("tmp")).map_err(fail)?;
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
        Ok(Inner {
            root: root.to_owned(),
            has_reserve: AtomicBool::new(has_reserve),
            is_full: AtomicBool::new(false),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            folds_case,
            _lock: lock,
        })
    }

    fn lock(&self, path: &Path) -> Option<std::sync::MutexGuard<'_, ()>> {
        let mut hash = DefaultHasher::new();
        path.hash(&mut hash);
        let at = usize::try_from(hash.finish() % LOCKS as u64).unwrap_or(0);
        let lock = self.locks.get(at)?;
        Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a file in its place, and returns what the system says of it.
    fn write(&self, path: &Path, content: &mut impl io::Read) -> io::Result<Metadata> {
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
        fs::rename(from, to)?;
        File::open(folder)?.sync_all()
    }

    fn read_folder(
        &self,
        folder: &Path,
        folders: &mut Vec<PathBuf>,
        found: &mut Vec<Listed>,
    ) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let facts = match entry.metadata() {
                Ok(facts) => facts,
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(error),
            };
            if facts.is_dir() {
                folders.push(path);
            } else if let Ok(below) = path.strip_prefix(&self.root)
                && let Some(key) = below.to_str()
            {
                found.push(Listed {
                    key: key.to_owned(),
                    etag: etag_of(&facts),
                    modified: facts.modified().ok(),
                });
            }
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

/// Takes room on the disk, with a file that holds nothing.
fn reserve(root: &Path) -> io::Result<()> {
    let path = root.join(RESERVE);
    let is_whole = |facts: Metadata| facts.len() == RESERVE_BYTES as u64;
    if fs::metadata(&path).is_ok_and(is_whole) {
        return Ok(());
    }
    let written = fs::write(&path, vec![0; RESERVE_BYTES]);
    if written.is_err() {
        let _ = fs::remove_file(&path);
    }
    written
}

/// The type of the content is known here, so that the kernel copies files by itself (`copy_file_range`).
fn write_out(path: &Path, content: &mut impl io::Read) -> io::Result<Metadata> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    io::copy(content, &mut file)?;
    fault::point("in-write");
    file.sync_all()?;
    file.metadata()
}

fn etag_at(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Ok(facts) => Ok(Some(etag_of(&facts))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every write makes a new file, with an inode and a time of its own.
fn etag_of(facts: &Metadata) -> String {
    format!(
        "{:x}-{:x}-{:x}-{:x}",
        facts.ino(),
        facts.mtime(),
        facts.mtime_nsec(),
        facts.len()
    )
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn failed(path: &Path, error: &io::Error) -> HostedError {
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
