//! Opens, creates and removes files relative to an open folder, so that nobody can replace a part of the path by a link between two system calls.
//! Links are not followed, except by [`DirHandle::file_beneath`], which follows links that stay inside the folder.
//!
//! This uses `rustix` and not `libc`: the same system calls without unsafe code.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

mod beneath;

/// The limit on the recursion of [`DirHandle::remove`]. The cache itself has only files in its folders.
const MAX_DEPTH: usize = 64;

/// What is known about a file or folder, or about a link itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    pub is_file: bool,
    pub is_folder: bool,
    /// In bytes.
    pub len: u64,
    /// Its size on disk, in blocks of 512 bytes.
    pub blocks: u64,
    pub modified: Option<SystemTime>,
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct DirHandle(OwnedFd);

impl DirHandle {
    /// Opens a folder, unless it is a link. The folders above it are the operator's, and may be links.
    ///
    /// # Errors
    /// Those of the system. [`is_link`] tells whether it is a link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(DirHandle(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a folder, or the folder that a link leads to.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn open_followed(path: &Path) -> io::Result<Self> {
        let flags = beneath::TRAVERSE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(DirHandle(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Creates a folder, and those above it, that nobody else can read. An existing one stays as it is.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn make(path: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }

    /// Removes all permissions of other users. Returns whether they had any.
    ///
    /// # Errors
    /// Those of the system: the folder may belong to somebody else.
    pub(crate) fn make_private(&self) -> io::Result<bool> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.0)?.st_mode);
        if !mode.intersects(Mode::RWXG | Mode::RWXO) {
            return Ok(false);
        }
        rustix::fs::fchmod(&self.0, mode & Mode::RWXU)?;
        Ok(true)
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    /// Those of the system. [`is_link`] tells whether it is a link.
    pub(crate) fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(DirHandle(rustix::fs::openat(
            &self.0,
            name.as_ref(),
            flags,
            Mode::empty(),
        )?))
    }

    /// Creates a folder in this one that nobody else can read.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn make_folder(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    /// Opens a file in this folder for reading. Does not wait for the writer of a pipe.
    ///
    /// # Errors
    /// Those of the system. [`is_link`] tells whether it is a link.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        Ok(File::from(file))
    }

    /// Creates a file that nobody else can read, for writing, and replaces what has this name.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn new_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR);
        let file = match create() {
            Err(Errno::EXIST) => {
                self.remove(name)?;
                create()
            }
            created => created,
        };
        Ok(File::from(file?))
    }

    /// Opens a file for reading and writing, or creates one that nobody else can read.
    ///
    /// # Errors
    /// Those of the system. [`is_link`] tells whether it is a link.
    pub(crate) fn file_or_new(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(file))
    }

    /// What is known about the file, folder or link of this name. A link is not a file, whatever it leads to.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn stat(&self, name: impl AsRef<OsStr>) -> io::Result<FileStat> {
        let stat = rustix::fs::statat(&self.0, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)?;
        // The types of these fields depend on the operating system.
        let seconds = u64::try_from(stat.st_mtime).ok();
        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        let since = seconds.map(|seconds| Duration::new(seconds, nanoseconds));
        let kind = FileType::from_raw_mode(stat.st_mode);
        Ok(FileStat {
            is_file: kind == FileType::RegularFile,
            is_folder: kind == FileType::Directory,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            modified: since.and_then(|since| UNIX_EPOCH.checked_add(since)),
        })
    }

    /// Whether anything has this name, which may be a broken link.
    pub(crate) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Moves a file to another folder and name, and replaces what has that name.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn rename(&self, name: &str, to: &DirHandle, new: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, new)?)
    }

    /// Removes a file, a folder with its content, or a link but not what it leads to.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        self.remove_to(name.as_ref(), MAX_DEPTH)
    }

    fn remove_to(&self, name: &OsStr, depth: usize) -> io::Result<()> {
        let removed = rustix::fs::unlinkat(&self.0, name, AtFlags::empty());
        // For a folder Linux returns EISDIR, other systems return EPERM.
        if !matches!(removed, Err(Errno::ISDIR | Errno::PERM)) {
            return Ok(removed?);
        }
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(removed?);
        }
        if depth == 0 {
            return Err(io::Error::other("folders are nested too deeply"));
        }
        let inside = self.folder(name)?;
        for name in inside.names()? {
            inside.remove_to(&name, depth - 1)?;
        }
        drop(inside);
        self.remove_empty(name)
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn remove_empty(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            &self.0,
            name.as_ref(),
            AtFlags::REMOVEDIR,
        )?)
    }

    /// The names of everything in the folder.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// The names of the first `max` things in the folder, in no order, and whether there are more.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn some_names(&self, max: usize) -> io::Result<(Vec<OsString>, bool)> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if names.len() == max {
                return Ok((names, true));
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
        Ok((names, false))
    }

    /// Opens a folder below this one for reading its names, as [`file_beneath`](Self::file_beneath) opens a file.
    ///
    /// # Errors
    /// As [`file_beneath`](Self::file_beneath), and [`io::ErrorKind::NotADirectory`] for a file.
    pub(crate) fn folder_beneath(&self, path: &Path, relative: &Path) -> io::Result<DirHandle> {
        if relative.as_os_str().is_empty() {
            return self.folder(".");
        }
        let opened = beneath::open(&self.0, path, relative)?;
        if !opened.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(DirHandle(opened.into()))
    }

    /// Opens a file below this folder for reading. Links are followed if they stay inside, even if somebody changes them meanwhile. Does not wait for
    /// the writer of a pipe. `path` is that of this folder, and `relative` consists of plain names.
    ///
    /// # Errors
    /// Those of the system, and [`io::ErrorKind::NotFound`] for a link that leads out of the folder.
    pub(crate) fn file_beneath(&self, path: &Path, relative: &Path) -> io::Result<File> {
        beneath::open(&self.0, path, relative)
    }
}

/// Whether opening a file or folder failed because it is a link. For folders the error depends on the operating system.
pub(crate) fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
        || error.kind() == io::ErrorKind::NotADirectory
}

/// Whether every user may write to a folder.
pub(crate) fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o002 != 0)
}

#[cfg(test)]
mod tests;
