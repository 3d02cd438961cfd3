//! A folder as the store of one process. A file is written beside its place, flushed to the disk, and renamed, so that it is there wholly or not at
//! all.

mod files;

use std::fs;
use std::fs::{File, ReadDir};
use std::io;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::hosted::blocking::blocking;
use crate::hosted::error::HostedError;
use crate::hosted::store::{Condition, Fetched, Listed, Put};
use files::{Files, etag_at, etag_of, failed, unless_missing};

/// How many objects a page of a list has.
const PAGE: usize = 1000;

/// A folder.
pub(in crate::hosted) struct Folder(Arc<Files>);

impl Folder {
    /// Opens a folder, which is made if it is missing.
    pub(in crate::hosted) async fn open(root: PathBuf) -> Result<Self, HostedError> {
        blocking(move || Files::open(&root).map(|files| Folder(Arc::new(files)))).await
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
        self.work(key, move |files, path| {
            let _held = files.lock(path);
            if is_conditional && etag_at(path)? != etag {
                return Ok(Put::Refused);
            }
            files
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
        self.work(key, move |files, path| {
            file.seek(SeekFrom::Start(0))?;
            files.write(path, &mut file.take(length)).map(|_| ())
        })
        .await
    }

    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<bool, HostedError> {
        let file = self.work(from, |_, path| unless_missing(File::open(path)));
        let Some(mut file) = file.await? else {
            return Ok(false);
        };
        self.work(to, move |files, path| {
            files.write(path, &mut file).map(|_| true)
        })
        .await
    }

    pub(super) async fn get(&self, key: &str, known: Option<&str>) -> Result<Fetched, HostedError> {
        let known = known.map(str::to_owned);
        self.work(key, move |_, path| {
            let Some(mut file) = unless_missing(File::open(path))? else {
                return Ok(Fetched::Missing);
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
            self.work(&key, |files, path| {
                unless_missing(fs::remove_file(path))?;
                // Folders that became empty; the first that is not ends it.
                let folders = path.ancestors().skip(1);
                for folder in folders.take_while(|folder| folder.parent() != Some(&files.root)) {
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
        let files = Arc::clone(&self.0);
        let freed = blocking(move || Ok(files.free_reserve()));
        freed.await.unwrap_or(false)
    }

    /// Fills the reserve again, where it was given up and there is room now.
    pub(super) async fn keep_reserve(&self) {
        if self.0.has_reserve() {
            return;
        }
        let files = Arc::clone(&self.0);
        let kept = blocking(move || {
            files.keep_reserve();
            Ok(())
        });
        // Where there is no room now, there may be after the next deletion.
        let _ = kept.await;
    }

    pub(super) fn list(&self, folder: &str) -> Walk<'_> {
        Walk {
            store: self,
            folder: self.0.root.join(folder.trim_end_matches('/')),
            open: None,
        }
    }

    async fn work<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Files, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, HostedError> {
        let files = Arc::clone(&self.0);
        let is_plain = key
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."));
        if !is_plain {
            return Err(HostedError::Store(format!("`{key}` is no key")));
        }
        let path = files.root.join(key);
        blocking(move || work(&files, &path).map_err(|error| failed(&path, &error))).await
    }
}

/// A list of the files below a folder. It holds a page in memory, however many files there are.
pub(in crate::hosted) struct Walk<'a> {
    store: &'a Folder,
    folder: PathBuf,
    /// The folders that are being read, the innermost last. `None` before the first page.
    open: Option<Vec<ReadDir>>,
}

impl Walk<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>, HostedError> {
        let files = Arc::clone(&self.store.0);
        let (folder, open) = (self.folder.clone(), self.open.take());
        let (found, open) = blocking(move || {
            let page = page(&files, &folder, open);
            page.map_err(|error| failed(&folder, &error))
        })
        .await?;
        let is_end = found.is_empty() && open.is_empty();
        self.open = Some(open);
        Ok((!is_end).then_some(found))
    }
}

/// Reads on in the open folders, or begins with `folder`.
fn page(
    files: &Files,
    folder: &Path,
    open: Option<Vec<ReadDir>>,
) -> io::Result<(Vec<Listed>, Vec<ReadDir>)> {
    let mut open = match open {
        Some(open) => open,
        None => Vec::from_iter(unless_missing(fs::read_dir(folder))?),
    };
    let mut found = Vec::new();
    while found.len() < PAGE
        && let Some(innermost) = open.last_mut()
    {
        // A folder that is removed meanwhile has ended.
        let entry = innermost.next().map(unless_missing).transpose()?;
        match entry.flatten() {
            Some(entry) => files.look_at(&entry, &mut open, &mut found)?,
            None => drop(open.pop()),
        }
    }
    Ok((found, open))
}
