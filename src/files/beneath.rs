//! Opens a file below a folder, over links that stay inside it.

use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// For folders on the way to a file: needs no permission to list them.
#[cfg(target_os = "linux")]
pub(super) const TRAVERSE: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
pub(super) const TRAVERSE: OFlags = OFlags::RDONLY;

/// Opens the file `relative` below `folder`, which has the path `path`.
pub(super) fn open(folder: &OwnedFd, path: &Path, relative: &Path) -> io::Result<File> {
    match open_by_system(folder, relative) {
        // The link has an absolute path, which may lead back inside; or the system does not have this call.
        Some(Err(Errno::XDEV | Errno::AGAIN)) | None => open_without_links(folder, path, relative),
        Some(found) => Ok(File::from(found?)),
    }
}

#[cfg(target_os = "linux")]
fn open_by_system(folder: &OwnedFd, relative: &Path) -> Option<Result<OwnedFd, Errno>> {
    use rustix::fs::ResolveFlags;
    let found = rustix::fs::openat2(
        folder,
        relative,
        READ,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    );
    match found {
        // Linux before 5.6 does not have the call, and some containers forbid calls that they do not know.
        Err(Errno::NOSYS | Errno::PERM) => None,
        found => Some(found),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_by_system(_: &OwnedFd, _: &Path) -> Option<Result<OwnedFd, Errno>> {
    None
}

/// Finds out where the links lead, and then opens that path without following any link: if a part of it became a link meanwhile, that is an error.
pub(super) fn open_without_links(
    folder: &OwnedFd,
    path: &Path,
    relative: &Path,
) -> io::Result<File> {
    let root = fs::canonicalize(path)?;
    let real = fs::canonicalize(root.join(relative))?;
    let inside = real.strip_prefix(&root);
    let inside = inside.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    let mut opened: Option<OwnedFd> = None;
    let mut names = inside.components().peekable();
    while let Some(Component::Normal(name)) = names.next() {
        let parent = opened.as_ref().unwrap_or(folder);
        let flags = match names.peek() {
            Some(_) => TRAVERSE | OFlags::DIRECTORY | OFlags::CLOEXEC,
            None => READ,
        };
        let next = rustix::fs::openat(parent, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        opened = Some(next);
    }
    opened
        .map(File::from)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}
