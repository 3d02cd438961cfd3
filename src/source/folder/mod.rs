//! A local folder as an origin. A request reads regular files below the folder and nothing else: no parent folders, no hidden files, no links that
//! lead out of it, no pipes or devices.

use std::fs::{File, Metadata};
use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyper::HeaderMap;

use crate::freshness::Validators;
use crate::memfd;
use crate::source::context::FetchContext;
use crate::source::error::{BusyReason, FetchStage, SourceError};
use crate::source::file_kind;
use crate::source::file_kind::{LAST_LOOK, Look, Sniff};
use crate::source::memory::{Reservation, SHARED_FROM, SourceMemory};
use crate::source::outcome;
use crate::source::outcome::FetchOutcome;
use file::{NOT_FOUND, changed, fingerprint, io_error, open, read_part, relative, validators};
use readers::Readers;

pub(super) mod file;
pub(super) mod readers;

/// A folder. It is opened anew for every request, so it may be a link that a deployment moves.
pub(super) struct FolderOrigin {
    pub(super) root: PathBuf,
    pub(super) readers: Readers,
}

impl FolderOrigin {
    pub(super) fn new(root: &Path) -> Self {
        FolderOrigin {
            root: root.to_owned(),
            readers: Readers::new(),
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
        let (memory, sniff) = (context.memory.clone(), context.sniff);
        // All on one blocking thread: each change of threads costs as much as reading a small file. If nobody waits any more, the file is still read
        // to its end or to the limit, and keeps its reservation until then.
        let read = self.readers.run(move || {
            let (file, metadata) = open(&root, &relative)?;
            let validators = validators(&metadata);
            if etag.is_some() && etag == validators.etag {
                return Ok(FileRead::Unchanged(validators));
            }
            check(&file, &metadata, &memory, sniff)?;
            Ok(match memory.try_reserve(metadata.len()) {
                Some(reservation) => {
                    FileRead::Content(content(file, &metadata, reservation)?, validators)
                }
                None => FileRead::NeedsMemory(file, metadata),
            })
        });
        let (bytes, validators) = match read.await? {
            FileRead::Unchanged(validators) => (None, validators),
            FileRead::Content(bytes, validators) => (Some(bytes), validators),
            FileRead::NeedsMemory(file, metadata) => {
                let reservation = context.reserve(metadata.len()).await?;
                let validators = validators(&metadata);
                let read = self
                    .readers
                    .run(move || content(file, &metadata, reservation));
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
}

/// The result of looking at a file that exists.
enum FileRead {
    /// The file has the known entity tag.
    Unchanged(Validators),
    Content(Bytes, Validators),
    /// No memory is free for the content now.
    NeedsMemory(File, Metadata),
}

/// Whether a file can be a source: it is not too large and, if it is large, begins as pictures do.
///
/// # Errors
/// [`SourceError::TooLarge`] and [`SourceError::NotAPicture`].
fn check(
    file: &File,
    metadata: &Metadata,
    memory: &SourceMemory,
    sniff: Sniff,
) -> Result<(), SourceError> {
    let limit = memory.largest();
    if metadata.len() > limit {
        return Err(SourceError::TooLarge {
            limit,
            negative_ttl: None,
        });
    }
    if metadata.len() <= LAST_LOOK as u64 {
        return Ok(());
    }
    let beginning = read_part(file, fingerprint(metadata), 0, LAST_LOOK)?;
    Look::new(sniff)
        .at(&beginning, false)
        .map_or(Ok(()), file_kind::check)
}

/// Reads a file that had the metadata `before` when it was opened, into reserved memory.
fn content(
    mut file: File,
    before: &Metadata,
    reservation: Reservation,
) -> Result<Bytes, SourceError> {
    let is_shared = reservation.is_shared() && before.len() > SHARED_FROM;
    let shared = is_shared.then(|| memfd::create_source().ok()).flatten();
    let mut bytes = Vec::new();
    // One byte more than the length, to notice a file that grows.
    let mut whole = (&mut file).take(before.len().saturating_add(1));
    let length = match &shared {
        Some(shared) => io::copy(&mut whole, &mut &*shared).map_err(io_error)?,
        None => {
            bytes
                .try_reserve_exact(usize::try_from(before.len()).unwrap_or(usize::MAX))
                .map_err(|_| SourceError::Busy(BusyReason::Memory))?;
            whole.read_to_end(&mut bytes).map_err(io_error)? as u64
        }
    };
    let after = file.metadata().map_err(io_error)?;
    if length != before.len() || fingerprint(before) != fingerprint(&after) {
        return Err(changed());
    }
    match shared {
        Some(shared) => Ok(reservation.hold(memfd::seal(shared).map_err(io_error)?)),
        None => Ok(reservation.hold(bytes)),
    }
}

#[cfg(test)]
mod tests;
