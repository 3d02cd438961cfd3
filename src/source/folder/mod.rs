//! A local folder as an origin. A request reads regular files below the folder and nothing else: no parent folders, no hidden files, no links that
//! lead out of it, no pipes or devices.

use std::fs::{File, Metadata};
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::files::DirHandle;
use crate::freshness::Validators;
use crate::source::context::FetchContext;
use crate::source::error::{BusyReason, FetchStage, SourceError};
use crate::source::memory::{Reservation, SourceMemory};
use crate::source::outcome;
use crate::source::outcome::FetchOutcome;

/// A folder does not say how long a file will be missing.
const NOT_FOUND: SourceError = SourceError::NotFound { negative_ttl: None };

/// Files that are opened or read at once: a quarter of the threads for blocking calls.
const MAX_READERS: usize = 128;

/// A folder. It is opened anew for every request, so it may be a link that a deployment moves.
pub(super) struct FolderOrigin {
    root: PathBuf,
    /// A permit for each reader. A disk or file server that hangs keeps its threads even if nobody waits for them any more, and must not use up
    /// the threads that others need.
    readers: Arc<Semaphore>,
}

impl FolderOrigin {
    pub(super) fn new(root: &Path) -> Self {
        FolderOrigin {
            root: root.to_owned(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
        }
    }

    /// Reads the file that the percent-encoded `path` names, unless it still matches the validators `known`.
    pub(super) async fn fetch(
        &self,
        path: &str,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<FetchOutcome, SourceError> {
        let read = self.read(path, known, context);
        context.deadline.bound(FetchStage::Body, read).await?
    }

    async fn read(
        &self,
        path: &str,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<FetchOutcome, SourceError> {
        let relative = relative(path).ok_or(NOT_FOUND)?;
        let root = self.root.clone();
        let etag = known.and_then(|known| known.etag.clone());
        let memory = context.memory.clone();
        // All on one blocking thread: each change of threads costs as much as reading a small file. If nobody waits any more, the file is still read
        // to its end or to the limit, and keeps its reservation until then.
        let read = self.blocking(move || read_changed(&root, &relative, etag.as_deref(), &memory));
        let (bytes, validators) = match read.await? {
            FileRead::Unchanged(validators) => (None, validators),
            FileRead::Content(bytes, validators) => (Some(bytes), validators),
            FileRead::NeedsMemory(file, metadata) => {
                let reservation = context.reserve(metadata.len()).await?;
                let validators = validators(&metadata);
                let read = self.blocking(move || content(file, &metadata, reservation));
                (Some(read.await?), validators)
            }
        };
        let metadata = outcome::Metadata {
            validators,
            ..outcome::Metadata::of(&HeaderMap::new(), context.rules)
        };
        Ok(match bytes {
            Some(bytes) => metadata.fetched(bytes),
            None => metadata.not_modified(known),
        })
    }

    /// Runs blocking calls on a thread for them, with a permit.
    #[expect(
        clippy::disallowed_methods,
        reason = "file system calls, at most `MAX_READERS` at once"
    )]
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let lost = |lost: JoinError| SourceError::Unreadable(lost.into());
        let permit = Arc::clone(&self.readers).acquire_owned().await;
        let permit = permit.map_err(|closed| SourceError::Unreadable(io::Error::other(closed)))?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(lost)?
    }
}

/// The result of looking at a file that exists.
enum FileRead {
    /// The file has the known entity tag.
    Unchanged(Validators),
    Content(Bytes, Validators),
    /// No memory is free for the content now.
    NeedsMemory(File, Metadata),
}

/// Reads a file unless it has the entity tag `known`.
fn read_changed(
    root: &Path,
    relative: &Path,
    known: Option<&str>,
    memory: &SourceMemory,
) -> Result<FileRead, SourceError> {
    let (file, metadata) = open(root, relative)?;
    let validators = validators(&metadata);
    if known.is_some() && known == validators.etag.as_deref() {
        return Ok(FileRead::Unchanged(validators));
    }
    let limit = memory.largest();
    if metadata.len() > limit {
        return Err(SourceError::TooLarge {
            limit,
            negative_ttl: None,
        });
    }
    Ok(match memory.try_reserve(metadata.len()) {
        Some(reservation) => FileRead::Content(content(file, &metadata, reservation)?, validators),
        None => FileRead::NeedsMemory(file, metadata),
    })
}

/// Opens a regular file below a folder.
fn open(root: &Path, relative: &Path) -> Result<(File, Metadata), SourceError> {
    let folder = DirHandle::open_followed(root).map_err(SourceError::Unreadable)?;
    let file = folder.file_beneath(root, relative).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    if !metadata.is_file() {
        return Err(NOT_FOUND);
    }
    Ok((file, metadata))
}

/// Reads a file that had the metadata `before` when it was opened, into reserved memory.
fn content(
    mut file: File,
    before: &Metadata,
    reservation: Reservation,
) -> Result<Bytes, SourceError> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(usize::try_from(before.len()).unwrap_or(usize::MAX))
        .map_err(|_| SourceError::Busy(BusyReason::Memory))?;
    // One byte more than the length, to notice a file that grows.
    (&mut file)
        .take(before.len().saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io_error)?;
    let after = file.metadata().map_err(io_error)?;
    let is_whole = u64::try_from(bytes.len()) == Ok(before.len());
    if !is_whole || fingerprint(before) != fingerprint(&after) {
        return Err(SourceError::BrokenOff(
            "the file changed while it was read".to_owned(),
        ));
    }
    Ok(reservation.hold(bytes))
}

/// The decoded path, if every segment is one plain name.
fn relative(path: &str) -> Option<PathBuf> {
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
fn io_error(error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            NOT_FOUND
        }
        // A link to itself; a socket, or a device without a driver.
        _ if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => NOT_FOUND,
        _ => SourceError::Unreadable(error),
    }
}

/// What changes whenever the content changes: the modification time, in nanoseconds if the file system has them, the length and the inode.
fn fingerprint(metadata: &Metadata) -> (i64, i64, u64, u64) {
    (
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.len(),
        metadata.ino(),
    )
}

fn validators(metadata: &Metadata) -> Validators {
    let (seconds, nanoseconds, length, _) = fingerprint(metadata);
    Validators {
        etag: Some(format!("\"{seconds:x}-{nanoseconds:x}-{length:x}\"")),
        last_modified: u64::try_from(seconds)
            .ok()
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests;
