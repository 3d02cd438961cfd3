//! Files below a folder: opened, named and told apart.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use rustix::buffer::spare_capacity;

use crate::files::DirHandle;
use crate::freshness::Validators;
use crate::source::error::{BusyReason, SourceError};

/// A folder does not say how long a file will be missing.
pub(in crate::source) const NOT_FOUND: SourceError = SourceError::NotFound { negative_ttl: None };

/// What changes whenever the content of a file changes: the modification time, in nanoseconds if the file system has them, the length and the inode.
pub(in crate::source) type Fingerprint = (i64, i64, u64, u64);

/// Opens a regular file below a folder.
pub(in crate::source) fn open(
    root: &Path,
    relative: &Path,
) -> Result<(File, Metadata), SourceError> {
    let folder = DirHandle::open_followed(root).map_err(SourceError::Unreadable)?;
    let file = folder.file_beneath(root, relative).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    if !metadata.is_file() {
        return Err(NOT_FOUND);
    }
    Ok((file, metadata))
}

/// The decoded path, if every segment is one plain name.
pub(in crate::source) fn relative(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for segment in path.strip_prefix('/')?.split('/') {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let mut components = Path::new(name.as_ref()).components();
        let is_one_name = matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name.as_ref());
        if !is_one_name || name.starts_with('.') || name.contains('\0') {
            return None;
        }
        relative.push(name.as_ref());
    }
    Some(relative)
}

/// All reasons why there is no file are answered alike.
pub(in crate::source) fn io_error(error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            NOT_FOUND
        }
        // A link to itself; a socket, or a device without a driver.
        _ if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => NOT_FOUND,
        _ => SourceError::Unreadable(error),
    }
}

/// The fingerprint of a file with this metadata.
pub(in crate::source) fn fingerprint(metadata: &Metadata) -> Fingerprint {
    (
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.len(),
        metadata.ino(),
    )
}

/// The validators of a file with this metadata.
pub(in crate::source) fn validators(metadata: &Metadata) -> Validators {
    let (seconds, nanoseconds, length, _) = fingerprint(metadata);
    Validators {
        etag: Some(format!("\"{seconds:x}-{nanoseconds:x}-{length:x}\"")),
        last_modified: u64::try_from(seconds)
            .ok()
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
    }
}

/// Reads `length` bytes from `offset` on, or fewer if the file ends.
///
/// # Errors
/// [`SourceError::BrokenOff`] if the file is not the one that had the fingerprint `before`. Errors of the system.
pub(in crate::source) fn read_part(
    file: &File,
    before: Fingerprint,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| SourceError::Busy(BusyReason::Memory))?;
    while bytes.len() < length {
        let at = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io_error(error.into())),
        }
    }
    // The allocator may have given more than was asked for.
    bytes.truncate(length);
    let after = file.metadata().map_err(io_error)?;
    if fingerprint(&after) != before {
        return Err(changed());
    }
    Ok(bytes)
}

/// The content is a mixture of an old and a new file.
pub(in crate::source) fn changed() -> SourceError {
    SourceError::BrokenOff("the file changed while it was read".to_owned())
}
