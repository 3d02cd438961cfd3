//! A local directory as an origin. A request names files under it and nothing else: no way up, no hidden files, no links that lead out,
//! nothing that is not a regular file.

use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::BusyReason;
use super::FetchContext;
use super::FetchOutcome;
use super::FetchStage;
use super::FetchedSource;
use super::Reservation;
use super::SourceError;
use super::SourceMemory;
use crate::files;
use crate::freshness::Freshness;
use crate::freshness::Tags;
use crate::freshness::Validators;

/// Nobody says for how long.
const NOT_FOUND: SourceError = SourceError::NotFound { negative_ttl: None };

/// Files that are opened or read at once: a quarter of the threads that may block.
const READERS: usize = 128;

/// A directory, looked up anew for every request so that it may be a link that a deployment moves.
pub(super) struct FolderOrigin {
    root: PathBuf,
    /// Turns of those who read. A disk or file server that hangs keeps its threads however long ago the askers lost patience, and must not use up
    /// those that others need.
    readers: Arc<Semaphore>,
}

impl FolderOrigin {
    pub(super) fn new(root: &Path) -> Self {
        FolderOrigin {
            root: root.to_owned(),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Reads the file that the percent-encoded `path` names.
    pub(super) async fn fetch(
        &self,
        path: &str,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<FetchOutcome, SourceError> {
        context
            .clock
            .bound_by_end(FetchStage::Body, self.read(path, known, context))
            .await?
    }

    async fn read(
        &self,
        path: &str,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<FetchOutcome, SourceError> {
        let FetchContext { terms, memory, .. } = context;
        let relative = relative(path).ok_or(NOT_FOUND)?;
        let root = self.root.clone();
        let etag = known.and_then(|known| known.etag.clone());
        let memory = memory.clone();
        // All of it on one thread that may block: each change of threads costs as much as the reading of a small file. What
        // nobody waits for any longer is read to its end, or to the limit, with its reservation.
        let found = self.blocking(move || found(&root, &relative, etag.as_deref(), &memory));
        let (bytes, validators) = match found.await? {
            FileRead::Known(validators) => (None, validators),
            FileRead::Content(bytes, validators) => (Some(bytes), validators),
            FileRead::Waits(file, metadata) => {
                let reservation = context.reserve(metadata.len()).await?;
                let validators = validators(&metadata);
                let read = self.blocking(move || content(file, &metadata, reservation));
                (Some(read.await?), validators)
            }
        };
        let freshness = Freshness::of(&HeaderMap::new(), SystemTime::now(), &terms.rules);
        let tags = Tags::of(&HeaderMap::new(), &terms.tags);
        Ok(match bytes {
            Some(bytes) => FetchOutcome::Fetched(FetchedSource {
                bytes,
                validators,
                freshness,
                tags,
            }),
            None => FetchOutcome::NotModified {
                freshness,
                validators,
                tags,
            },
        })
    }
}

impl FolderOrigin {
    /// Runs what may block on a thread for that, in its turn.
    #[expect(
        clippy::disallowed_methods,
        reason = "file system calls, so many at once"
    )]
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let lost = |lost: JoinError| SourceError::Unreadable(lost.into());
        let turn = Arc::clone(&self.readers).acquire_owned().await;
        let turn = turn.map_err(|closed| SourceError::Unreadable(io::Error::other(closed)))?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(lost)?
    }
}

/// A file that is there.
enum FileRead {
    /// Its tag is the one that is known.
    Known(Validators),
    Content(Bytes, Validators),
    /// There is no memory for it just now.
    Waits(File, Metadata),
}

/// The bytes of a file, unless they are known by their tag, and what they are known by.
fn found(
    root: &Path,
    relative: &Path,
    known: Option<&str>,
    memory: &SourceMemory,
) -> Result<FileRead, SourceError> {
    let (file, metadata) = open(root, relative)?;
    let validators = validators(&metadata);
    if known.is_some() && known == validators.etag.as_deref() {
        return Ok(FileRead::Known(validators));
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
        None => FileRead::Waits(file, metadata),
    })
}

/// Opens a regular file under a folder.
fn open(root: &Path, relative: &Path) -> Result<(File, Metadata), SourceError> {
    let folder = files::DirHandle::open_followed(root).map_err(SourceError::Unreadable)?;
    let file = folder.file_beneath(root, relative).map_err(failure)?;
    let metadata = file.metadata().map_err(failure)?;
    if !metadata.is_file() {
        return Err(NOT_FOUND);
    }
    Ok((file, metadata))
}

/// Reads a file that was opened when it had this metadata, into memory that is reserved for it.
fn content(
    mut file: File,
    before: &Metadata,
    reservation: Reservation,
) -> Result<Bytes, SourceError> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(usize::try_from(before.len()).unwrap_or(usize::MAX))
        .map_err(|_| SourceError::Busy(BusyReason::Memory))?;
    // One byte more than announced, so that growth shows.
    (&mut file)
        .take(before.len().saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failure)?;
    let after = file.metadata().map_err(failure)?;
    let is_whole = u64::try_from(bytes.len()) == Ok(before.len());
    if !is_whole || changed(before) != changed(&after) {
        return Err(SourceError::BrokenOff(
            "the file changed while it was read".to_owned(),
        ));
    }
    Ok(reservation.hold(bytes))
}

/// The decoded path, every part of which is one plain name. None: no file is to be found there.
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

/// Every reason to have no file is the same to the one who asks.
fn failure(error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            NOT_FOUND
        }
        // A link to itself; a socket, or a device without a driver.
        _ if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => NOT_FOUND,
        _ => SourceError::Unreadable(error),
    }
}

/// What changes whenever the content does; to the nanosecond where the file system can.
fn changed(metadata: &Metadata) -> (i64, i64, u64, u64) {
    (
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.len(),
        metadata.ino(),
    )
}

fn validators(metadata: &Metadata) -> Validators {
    let (seconds, nanoseconds, length, _) = changed(metadata);
    Validators {
        etag: Some(format!("\"{seconds:x}-{nanoseconds:x}-{length:x}\"")),
        last_modified: u64::try_from(seconds)
            .ok()
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests;
