//! The files of a disk store: where each entry is, and how its file is laid out.
//!
//! `ab/rendition-…ab` is an entry: a checksum, the header of its key, its body. An entry is first written to `incoming` and then renamed, so that a
//! file under the name of an entry is always whole and never changes. Only `incoming` can be left half written when a process is killed. Nothing is
//! synced to the disk: an entry that a power failure destroys is a miss.
//!
//! Only the user of the process may read the files, and no link is followed below the folder. So nobody who can create links in it can have other
//! files read, overwritten or deleted.

use std::fs;
use std::fs::File;
use std::io;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::cache::entry::{EntryKey, HEADER_LEN};
use crate::files;
use crate::files::DirHandle;

/// The usual unit in which file systems allocate space.
pub(crate) const BLOCK: u64 = 4096;

/// The checksum is the first part of a file.
const CHECKSUM_LEN: usize = 8;

/// The length of everything before the body.
pub(crate) const PREFIX_LEN: usize = CHECKSUM_LEN + HEADER_LEN;

/// The number of folders that entries are spread over. They are created when needed and removed when empty.
pub(crate) const SHARDS: usize = 256;

/// The file that entries are written to before they are renamed.
const INCOMING: &str = "incoming";

/// Names that earlier versions of this program used in the folder.
const OLD_NAMES: [&str; 4] = ["content-v2", "index-v5", "tmp", "opened"];

pub(crate) struct DiskLayout {
    root: PathBuf,
}

/// What was found under the name of an entry.
pub(crate) enum EntryFile {
    Whole(Bytes),
    Missing,
    /// The file is not what was written.
    Corrupt,
}

/// A file whose header is that of an entry, read up to its body.
struct EntryReader {
    file: File,
    prefix: [u8; PREFIX_LEN],
    /// The length of the body, in bytes.
    len: usize,
}

/// The result of a write.
pub(crate) struct WriteReport {
    /// Bytes that the file occupies.
    pub(crate) held: u64,
    /// Whether the folder of the shard had to be created.
    pub(crate) in_new_folder: bool,
}

/// A file under the name of an entry, as the scan finds it.
pub(crate) struct EntryInfo {
    pub(crate) key: EntryKey,
    /// Bytes that it occupies.
    pub(crate) held: u64,
    pub(crate) modified: Option<SystemTime>,
}

impl DiskLayout {
    pub(crate) fn new(root: PathBuf) -> Self {
        DiskLayout { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The shard of an entry: the last two digits of its name, which belong to a hash.
    pub(crate) fn shard_of(key: &EntryKey) -> u8 {
        key.last_byte()
    }

    #[cfg(test)]
    pub(crate) fn path_of(&self, key: &EntryKey) -> PathBuf {
        let shard = shard_name(DiskLayout::shard_of(key));
        self.root.join(shard).join(key.to_string())
    }

    /// The body of an entry, verified. Memory is allocated only if the header is that of the entry.
    pub(crate) fn read(&self, key: &EntryKey) -> io::Result<EntryFile> {
        let EntryReader { file, prefix, len } = match self.open(key)? {
            Ok(opened) => opened,
            Err(content) => return Ok(content),
        };
        let mut body = Vec::with_capacity(len);
        file.take(len as u64).read_to_end(&mut body)?;
        let header = key.header(len as u64);
        let is_whole = body.len() == len && prefix[..CHECKSUM_LEN] == checksum(&header, &[], &body);
        Ok(if is_whole {
            EntryFile::Whole(Bytes::from(body))
        } else {
            EntryFile::Corrupt
        })
    }

    /// The first bytes of the body of an entry, at most `max_bytes`. Only the header and the length of the file are verified.
    pub(crate) fn read_beginning(&self, key: &EntryKey, max_bytes: usize) -> io::Result<EntryFile> {
        let EntryReader { file, len, .. } = match self.open(key)? {
            Ok(opened) => opened,
            Err(content) => return Ok(content),
        };
        let max_bytes = max_bytes.min(len);
        let mut beginning = Vec::with_capacity(max_bytes);
        file.take(max_bytes as u64).read_to_end(&mut beginning)?;
        Ok(if beginning.len() == max_bytes {
            EntryFile::Whole(Bytes::from(beginning))
        } else {
            EntryFile::Corrupt
        })
    }

    /// Opens the file of an entry and verifies its header; else returns what is there instead.
    fn open(&self, key: &EntryKey) -> io::Result<Result<EntryReader, EntryFile>> {
        let file = self.shard(DiskLayout::shard_of(key));
        let mut file = match file.and_then(|shard| shard.file(&key.to_string())) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(Err(EntryFile::Missing)),
            Err(error) if is_no_file(&error) => return Ok(Err(EntryFile::Corrupt)),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let Some(body_len) = metadata.len().checked_sub(PREFIX_LEN as u64) else {
            return Ok(Err(EntryFile::Corrupt));
        };
        if !metadata.is_file() {
            return Ok(Err(EntryFile::Corrupt));
        }
        let mut prefix = [0; PREFIX_LEN];
        match file.read_exact(&mut prefix) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Err(EntryFile::Corrupt));
            }
            read => read?,
        }
        let len = usize::try_from(body_len);
        let len = len
            .ok()
            .filter(|_| prefix[CHECKSUM_LEN..] == key.header(body_len));
        let opened = len.map(|len| EntryReader { file, prefix, len });
        Ok(opened.ok_or(EntryFile::Corrupt))
    }

    /// Writes an entry, whole or not at all.
    pub(crate) fn write(
        &self,
        key: &EntryKey,
        head: &[u8],
        body: &[u8],
        modified: SystemTime,
    ) -> io::Result<WriteReport> {
        let header = key.header((head.len() + body.len()) as u64);
        let mut prefix = Vec::with_capacity(PREFIX_LEN + head.len());
        prefix.extend_from_slice(&checksum(&header, head, body));
        prefix.extend_from_slice(&header);
        prefix.extend_from_slice(head);
        let folder = self.folder()?;
        let written = write_incoming(&folder, &prefix, body, Some(modified)).and_then(|held| {
            let in_new_folder = move_incoming(&folder, key)?;
            Ok(WriteReport {
                held,
                in_new_folder,
            })
        });
        if written.is_err() {
            // Space was made for this file. If it cannot be removed, the next write replaces it.
            let _ = self.remove_incoming();
        }
        written
    }

    /// Writes a file and checks that it reads back as it was written.
    pub(crate) fn probe(&self) -> io::Result<()> {
        let probe = [0x5a; 4096];
        let folder = self.folder()?;
        let result = write_incoming(&folder, &probe, &[], None).and_then(|_| {
            let mut read = Vec::with_capacity(probe.len());
            folder.file(INCOMING)?.read_to_end(&mut read)?;
            if read == probe {
                Ok(())
            } else {
                Err(io::Error::other(
                    "the file reads back differently from what was written",
                ))
            }
        });
        result.and(self.remove_incoming())
    }

    /// Whether anything has the name of an entry.
    pub(crate) fn has(&self, key: &EntryKey) -> bool {
        let shard = self.shard(DiskLayout::shard_of(key));
        shard.is_ok_and(|shard| shard.has(&key.to_string()))
    }

    pub(crate) fn remove(&self, key: &EntryKey) -> io::Result<()> {
        let shard = self.shard(DiskLayout::shard_of(key));
        ignore_missing(shard.and_then(|shard| shard.remove(key.to_string())))
    }

    /// Removes the folder of a shard if it is empty.
    pub(crate) fn remove_shard(&self, shard: u8) -> io::Result<()> {
        self.folder()?.remove_empty(shard_name(shard))
    }

    /// Removes what a killed process may have left half written.
    pub(crate) fn remove_incoming(&self) -> io::Result<()> {
        ignore_missing(self.folder().and_then(|folder| folder.remove(INCOMING)))
    }

    /// Removes the files of earlier versions, which are of no use and are not counted.
    pub(crate) fn remove_old_files(&self) -> io::Result<()> {
        let folder = self.folder()?;
        OLD_NAMES
            .into_iter()
            .try_for_each(|name| ignore_missing(folder.remove(name)))
    }

    /// Sets the modification time of an entry.
    pub(crate) fn set_modified(&self, key: &EntryKey, modified: SystemTime) -> io::Result<()> {
        let shard = self.shard(DiskLayout::shard_of(key))?;
        shard.file(&key.to_string())?.set_modified(modified)
    }

    /// All entries of a shard. Everything else in its folder is removed.
    pub(crate) fn list(&self, shard: u8) -> io::Result<Vec<EntryInfo>> {
        let folder = match self.shard(shard) {
            Ok(folder) => folder,
            // A file, or a link, whatever it points to.
            Err(error) if files::is_link(&error) => {
                let removed = self.folder()?.remove(shard_name(shard));
                return ignore_missing(removed).map(|()| Vec::new());
            }
            Err(error) => return ignore_missing(Err(error)).map(|()| Vec::new()),
        };
        let mut found = Vec::new();
        for name in folder.names()? {
            let key = name
                .to_str()
                .filter(|name| shard_in(name) == Some(shard))
                .and_then(|name| name.parse().ok());
            let entry = match folder.stat(&name) {
                Ok(entry) => entry,
                // Another process has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match key.filter(|_| entry.is_file) {
                Some(key) => found.push(EntryInfo {
                    key,
                    held: occupied(entry.len, entry.blocks),
                    modified: entry.modified,
                }),
                None => ignore_missing(folder.remove(&name))?,
            }
        }
        Ok(found)
    }

    /// The space that the folder of a shard itself takes, in bytes: much, if there are or were many files in it.
    pub(crate) fn shard_bytes(&self, shard: u8) -> u64 {
        folder_bytes(&self.root.join(shard_name(shard)))
    }

    /// The space that the folder itself takes with the lock file, in bytes.
    pub(crate) fn root_bytes(&self) -> u64 {
        folder_bytes(&self.root) + BLOCK
    }

    /// The folder, which must not be a link. Links above it are allowed: they are the operator's.
    pub(crate) fn folder(&self) -> io::Result<DirHandle> {
        DirHandle::open(&self.root)
    }

    fn shard(&self, shard: u8) -> io::Result<DirHandle> {
        self.folder()?.folder(shard_name(shard))
    }

    /// Creates the folder if it is missing.
    pub(crate) fn make(&self) -> io::Result<()> {
        DirHandle::make(&self.root)?;
        self.folder().map(drop)
    }

    /// Removes all permissions of other users. Returns whether there were any.
    pub(crate) fn make_private(&self) -> io::Result<bool> {
        self.folder()?.make_private()
    }
}

fn shard_name(shard: u8) -> String {
    format!("{shard:02x}")
}

fn write_incoming(
    folder: &DirHandle,
    prefix: &[u8],
    body: &[u8],
    modified: Option<SystemTime>,
) -> io::Result<u64> {
    let mut file = folder.new_file(INCOMING)?;
    file.write_all(prefix)?;
    file.write_all(body)?;
    if let Some(modified) = modified {
        file.set_modified(modified)?;
    }
    let metadata = file.metadata()?;
    Ok(occupied(metadata.len(), metadata.blocks()))
}

/// Renames the incoming file to the name of the entry. Returns whether the folder of the shard had to be created.
fn move_incoming(folder: &DirHandle, key: &EntryKey) -> io::Result<bool> {
    let (shard, name) = (shard_name(DiskLayout::shard_of(key)), key.to_string());
    match folder.folder(&shard) {
        Ok(shard) => return folder.rename(INCOMING, &shard, &name).map(|()| false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // A file, or a link, whatever it points to.
        Err(error) if files::is_link(&error) => folder.remove(&shard)?,
        Err(error) => return Err(error),
    }
    folder.make_folder(&shard)?;
    folder.rename(INCOMING, &folder.folder(&shard)?, &name)?;
    Ok(true)
}

fn checksum(header: &[u8], head: &[u8], body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut checksum = Xxh3::new();
    for part in [header, head, body] {
        checksum.update(part);
    }
    checksum.digest().to_le_bytes()
}

fn shard_in(name: &str) -> Option<u8> {
    let digits = name.get(name.len().checked_sub(2)?..)?;
    u8::from_str_radix(digits, 16).ok()
}

/// The space that a file takes. Some file systems compress, or know it late: then it is the length in whole blocks.
fn occupied(len: u64, blocks: u64) -> u64 {
    blocks.saturating_mul(512).max(in_blocks(len))
}

pub(crate) fn in_blocks(len: u64) -> u64 {
    len.div_ceil(BLOCK).saturating_mul(BLOCK)
}

fn folder_bytes(folder: &Path) -> u64 {
    fs::symlink_metadata(folder).map_or(0, |metadata| metadata.blocks().saturating_mul(512))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A link or a socket, which cannot be read as a file.
fn is_no_file(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| {
        if is_missing(&error) {
            Ok(())
        } else {
            Err(error)
        }
    })
}
