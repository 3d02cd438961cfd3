//! Writes uploads into files without a name while they arrive, and hashes them, off the threads that answer requests.

use std::fs;
use std::fs::File;
use std::io;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::hosted::SpooledFile;

/// How much is collected before it is written.
const BATCH_BYTES: usize = 256 << 10;

/// An upload that is being written.
pub(super) struct Spool {
    written: Option<SpoolFile>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    bytes: u64,
}

struct SpoolFile {
    file: File,
    hash: Sha256,
}

impl SpoolFile {
    fn write(&mut self, batch: &[Bytes]) -> io::Result<()> {
        for piece in batch {
            self.file.write_all(piece)?;
            self.hash.update(piece);
        }
        Ok(())
    }
}

impl Spool {
    /// An empty file without a name in this folder.
    pub(super) async fn new(folder: &Path) -> io::Result<Self> {
        let folder = folder.to_owned();
        let file = blocking(move || create(folder)).await?;
        Ok(Spool {
            written: Some(SpoolFile {
                file,
                hash: Sha256::new(),
            }),
            batch: Vec::new(),
            batch_bytes: 0,
            bytes: 0,
        })
    }

    /// How many bytes there are.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a piece.
    pub(super) async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.batch_bytes += piece.len();
        self.batch.push(piece);
        if self.batch_bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let lost = || io::Error::other("an earlier write failed");
        let mut written = self.written.take().ok_or_else(lost)?;
        let written = blocking(move || {
            written.write(&batch)?;
            Ok(written)
        });
        self.written = Some(written.await?);
        Ok(())
    }

    /// The complete file.
    pub(super) async fn finish(mut self) -> io::Result<SpooledFile> {
        self.flush().await?;
        let lost = || io::Error::other("an earlier write failed");
        let SpoolFile { file, hash } = self.written.ok_or_else(lost)?;
        Ok(SpooledFile {
            file,
            bytes: self.bytes,
            sha256: HEXLOWER.encode(&hash.finalize()),
        })
    }
}

fn create(folder: PathBuf) -> io::Result<File> {
    match tempfile::tempfile_in(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(&folder)?;
            tempfile::tempfile_in(&folder)
        }
        file => file,
    }
}

/// The first text of a small file, for a token.
pub(super) fn read_small(path: &Path) -> io::Result<String> {
    const MOST: u64 = 4096;
    let mut text = String::new();
    File::open(path)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

#[expect(
    clippy::disallowed_methods,
    reason = "files of uploads; each request has one of these at most"
)]
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}
