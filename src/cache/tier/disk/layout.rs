//! One folder of files: where each entry lies in it, how its file is laid out, and the lock that makes the folder ours.
//!
//! `ab/rendition-…ab` is an entry: a checksum, the header of its key, its body. Files get these names whole, by renaming, and never change
//! afterwards; `incoming`, the one file that does, is the only thing that a sudden end can leave half done. Nothing is synced: what a power failure
//! takes is a miss.
//!
//! Nobody else may read any of it, and no link is followed in it, so that whoever can put one there has nothing of another place read, overwritten or
//! deleted.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::cache::entry::EntryKey;
use crate::cache::entry::HEADER;
use crate::files;
use crate::files::DirHandle;

/// What a file system hands out at a time on nearly every machine.
pub(crate) const BLOCK: u64 = 4096;

/// The checksum before everything else.
const SUM: usize = 8;

/// What a file holds beside the body.
pub(crate) const FRONT: usize = SUM + HEADER;

/// Folders that entries are spread over. They are made when needed and removed when empty.
pub(crate) const SHARDS: usize = 256;

/// The one file that is written to, and the one that is locked.
const INCOMING: &str = "incoming";
const LOCK: &str = "lock";

/// What this program has left in such a folder under earlier layouts.
const FORMER: [&str; 4] = ["content-v2", "index-v5", "tmp", "opened"];

pub(crate) struct DiskLayout {
    root: PathBuf,
}

/// What lies where an entry should be.
pub(crate) enum EntryFile {
    Whole(Bytes),
    Missing,
    /// Not what was written.
    Corrupt,
}

/// A file that begins as an entry does, read so far.
struct EntryReader {
    file: File,
    front: [u8; FRONT],
    /// Of the body, in bytes.
    len: usize,
}

/// What a write has taken.
pub(crate) struct WriteReport {
    /// Bytes that the file occupies.
    pub(crate) held: u64,
    /// Whether its folder had to be made first.
    pub(crate) in_new_folder: bool,
}

/// A file found under the name of an entry.
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

    /// Which shard an entry is in: the last two digits of its name, which are those of a hash.
    pub(crate) fn shard_of(key: &EntryKey) -> u8 {
        key.last_byte()
    }

    #[cfg(test)]
    pub(crate) fn path_of(&self, key: &EntryKey) -> PathBuf {
        let shard = shard_name(DiskLayout::shard_of(key));
        self.root.join(shard).join(key.to_string())
    }

    /// The body of an entry, verified. Nothing is allocated for what does not begin as this entry would.
    pub(crate) fn read(&self, key: &EntryKey) -> io::Result<EntryFile> {
        let EntryReader { file, front, len } = match self.open(key)? {
            Ok(opened) => opened,
            Err(content) => return Ok(content),
        };
        let mut body = Vec::with_capacity(len);
        file.take(len as u64).read_to_end(&mut body)?;
        let header = key.header(len as u64);
        let is_whole = body.len() == len && front[..SUM] == sum(&header, &[], &body);
        Ok(if is_whole {
            EntryFile::Whole(Bytes::from(body))
        } else {
            EntryFile::Corrupt
        })
    }

    /// The first bytes of the body of an entry, no more than `most`. That it is the body of this entry, and of the right length, is verified, and
    /// nothing else.
    pub(crate) fn read_beginning(&self, key: &EntryKey, most: usize) -> io::Result<EntryFile> {
        let EntryReader { file, len, .. } = match self.open(key)? {
            Ok(opened) => opened,
            Err(content) => return Ok(content),
        };
        let most = most.min(len);
        let mut beginning = Vec::with_capacity(most);
        file.take(most as u64).read_to_end(&mut beginning)?;
        Ok(if beginning.len() == most {
            EntryFile::Whole(Bytes::from(beginning))
        } else {
            EntryFile::Corrupt
        })
    }

    /// The file of an entry, if it begins as that would; else what it is.
    fn open(&self, key: &EntryKey) -> io::Result<Result<EntryReader, EntryFile>> {
        let file = self.shard(DiskLayout::shard_of(key));
        let mut file = match file.and_then(|shard| shard.file(&key.to_string())) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(Err(EntryFile::Missing)),
            Err(error) if is_no_file(&error) => return Ok(Err(EntryFile::Corrupt)),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let Some(body_len) = metadata.len().checked_sub(FRONT as u64) else {
            return Ok(Err(EntryFile::Corrupt));
        };
        if !metadata.is_file() {
            return Ok(Err(EntryFile::Corrupt));
        }
        let mut front = [0; FRONT];
        match file.read_exact(&mut front) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Err(EntryFile::Corrupt));
            }
            read => read?,
        }
        let len = usize::try_from(body_len);
        let len = len.ok().filter(|_| front[SUM..] == key.header(body_len));
        let opened = len.map(|len| EntryReader { file, front, len });
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
        let mut front = Vec::with_capacity(FRONT + head.len());
        front.extend_from_slice(&sum(&header, head, body));
        front.extend_from_slice(&header);
        front.extend_from_slice(head);
        let folder = self.folder()?;
        let written = write_incoming(&folder, &front, body, Some(modified)).and_then(|held| {
            let in_new_folder = move_incoming(&folder, key)?;
            Ok(WriteReport {
                held,
                in_new_folder,
            })
        });
        if written.is_err() {
            // Room was made for it: where it cannot be removed, the next write takes its place.
            let _ = self.remove_incoming();
        }
        written
    }

    /// Whether what is written can be read again.
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

    /// Whether anything lies where an entry should be.
    pub(crate) fn has(&self, key: &EntryKey) -> bool {
        let shard = self.shard(DiskLayout::shard_of(key));
        shard.is_ok_and(|shard| shard.has(&key.to_string()))
    }

    pub(crate) fn remove(&self, key: &EntryKey) -> io::Result<()> {
        let shard = self.shard(DiskLayout::shard_of(key));
        unless_missing(shard.and_then(|shard| shard.remove(key.to_string())))
    }

    /// Removes a shard if nothing is in it.
    pub(crate) fn remove_shard(&self, shard: u8) -> io::Result<()> {
        self.folder()?.remove_empty(shard_name(shard))
    }

    /// What a sudden end may have left.
    pub(crate) fn remove_incoming(&self) -> io::Result<()> {
        unless_missing(self.folder().and_then(|folder| folder.remove(INCOMING)))
    }

    /// What earlier versions may have left: it is of no use, and nobody would count it.
    pub(crate) fn remove_former(&self) -> io::Result<()> {
        let folder = self.folder()?;
        FORMER
            .into_iter()
            .try_for_each(|name| unless_missing(folder.remove(name)))
    }

    /// Dates an entry.
    pub(crate) fn set_modified(&self, key: &EntryKey, modified: SystemTime) -> io::Result<()> {
        let shard = self.shard(DiskLayout::shard_of(key))?;
        shard.file(&key.to_string())?.set_modified(modified)
    }

    /// All entries in a shard. What is none is removed.
    pub(crate) fn list(&self, shard: u8) -> io::Result<Vec<EntryInfo>> {
        let folder = match self.shard(shard) {
            Ok(folder) => folder,
            // A file, or a link, whatever that leads to.
            Err(error) if files::is_link(&error) => {
                let removed = self.folder()?.remove(shard_name(shard));
                return unless_missing(removed).map(|()| Vec::new());
            }
            Err(error) => return unless_missing(Err(error)).map(|()| Vec::new()),
        };
        let mut found = Vec::new();
        for name in folder.names()? {
            let key = name
                .to_str()
                .filter(|name| shard_in(name) == Some(shard))
                .and_then(|name| name.parse().ok());
            let entry = match folder.stat(&name) {
                Ok(entry) => entry,
                // Somebody else cleans up here.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match key.filter(|_| entry.is_file) {
                Some(key) => found.push(EntryInfo {
                    key,
                    held: occupied(entry.len, entry.blocks),
                    modified: entry.modified,
                }),
                None => unless_missing(folder.remove(&name))?,
            }
        }
        Ok(found)
    }

    /// Bytes that the folder of a shard takes itself: many, where many files are or have been in it.
    pub(crate) fn shard_bytes(&self, shard: u8) -> u64 {
        folder_bytes(&self.root.join(shard_name(shard)))
    }

    /// Bytes that the folder itself takes, with the lock.
    pub(crate) fn root_bytes(&self) -> u64 {
        folder_bytes(&self.root) + BLOCK
    }

    /// The folder, which must not be a link itself: those above it are the operator's, and may be.
    fn folder(&self) -> io::Result<DirHandle> {
        DirHandle::open(&self.root)
    }

    fn shard(&self, shard: u8) -> io::Result<DirHandle> {
        self.folder()?.folder(shard_name(shard))
    }

    /// Makes the folder where it is missing.
    pub(crate) fn make(&self) -> io::Result<()> {
        DirHandle::make(&self.root)?;
        self.folder().map(drop)
    }

    /// Takes from others what they may do in the folder. Says whether they could do anything.
    pub(crate) fn make_private(&self) -> io::Result<bool> {
        self.folder()?.make_private()
    }
}

fn shard_name(shard: u8) -> String {
    format!("{shard:02x}")
}

fn write_incoming(
    folder: &DirHandle,
    front: &[u8],
    body: &[u8],
    modified: Option<SystemTime>,
) -> io::Result<u64> {
    let mut file = folder.new_file(INCOMING)?;
    file.write_all(front)?;
    file.write_all(body)?;
    if let Some(modified) = modified {
        file.set_modified(modified)?;
    }
    let metadata = file.metadata()?;
    Ok(occupied(metadata.len(), metadata.blocks()))
}

/// Gives the incoming file its name. Says whether the folder for it had to be made first.
fn move_incoming(folder: &DirHandle, key: &EntryKey) -> io::Result<bool> {
    let (shard, name) = (shard_name(DiskLayout::shard_of(key)), key.to_string());
    match folder.folder(&shard) {
        Ok(shard) => return folder.rename(INCOMING, &shard, &name).map(|()| false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // A file, or a link, whatever that leads to.
        Err(error) if files::is_link(&error) => folder.remove(&shard)?,
        Err(error) => return Err(error),
    }
    folder.make_folder(&shard)?;
    folder.rename(INCOMING, &folder.folder(&shard)?, &name)?;
    Ok(true)
}

/// StoreSize by the one process that may use a folder, until it is dropped or the process ends, however that ends.
pub(crate) struct Lock {
    _file: File,
    device: u64,
    inode: u64,
}

/// Why a folder could not be locked.
pub(crate) enum LockError {
    /// Another process holds it: the one of this number, where that could be read.
    Held(Option<u32>),
    Failed(io::Error),
}

impl Lock {
    pub(crate) fn take(place: &DiskLayout) -> Result<Self, LockError> {
        let opened = place.folder().and_then(|folder| folder.file_or_new(LOCK));
        let mut file = opened.map_err(LockError::Failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It is only for the log.
                let _ = (&mut file).take(20).read_to_string(&mut holder);
                return Err(LockError::Held(holder.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Failed(error)),
        }
        // A full disk may refuse this, and the lock is as good without.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        let metadata = file.metadata().map_err(LockError::Failed)?;
        let lock = Lock {
            _file: file,
            device: metadata.dev(),
            inode: metadata.ino(),
        };
        // Between opening and locking, the folder may have been made anew.
        lock.guards(place).map_err(LockError::Failed)?;
        Ok(lock)
    }

    /// Fails if the folder is no longer the one that was locked: somebody has moved or deleted it, and another process may use what is there now.
    pub(crate) fn guards(&self, place: &DiskLayout) -> io::Result<()> {
        let there = fs::symlink_metadata(place.root.join(LOCK))?;
        if (there.dev(), there.ino()) == (self.device, self.inode) {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the folder has been replaced",
            ))
        }
    }
}

fn sum(header: &[u8], head: &[u8], body: &[u8]) -> [u8; SUM] {
    let mut sum = Xxh3::new();
    for part in [header, head, body] {
        sum.update(part);
    }
    sum.digest().to_le_bytes()
}

fn shard_in(name: &str) -> Option<u8> {
    let digits = name.get(name.len().checked_sub(2)?..)?;
    u8::from_str_radix(digits, 16).ok()
}

/// What a file takes on disk. Some file systems say so late, or compress: then it is its length in whole blocks.
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

/// A link, or a socket: nothing that can be read.
fn is_no_file(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO))
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| {
        if is_missing(&error) {
            Ok(())
        } else {
            Err(error)
        }
    })
}
