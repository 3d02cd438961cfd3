//! One bounded folder of cacache. Synchronous: only ever called from a thread that may block.
//!
//! cacache gives atomic, verified, content-addressed files. It never forgets: its index only grows, removing leaves the content, nothing is bounded.
//! So: a key is removed with all its files before it is written again, what cacache holds is counted in an [`Index`] of our own, and the least
//! recently used entries go when the budget is reached.

use std::fs;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use cacache::Algorithm;
use cacache::Integrity;
use cacache::RemoveOpts;
use cacache::SyncReader;
use cacache::WriteOpts;

use super::DiskStats;
use super::entry::EntryKey;
use super::entry::HEADER;
use super::index::Index;
use super::index::Lookup;
use super::index::Slot;
use super::index::footprint;

/// How often trouble with one store is logged: a broken disk must not fill the next one with logs.
const LOG_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Store {
    /// For logs: "renditions" or "sources".
    pub(super) name: &'static str,
    pub(super) folder: PathBuf,
    budget: u64,
    /// By the clock of the file system: what is older was there before this process.
    pub(super) opened: SystemTime,
    index: Mutex<Index>,
    /// Held by whoever creates or deletes files, so that what was checked still holds when it is acted upon. Readers do without.
    changing: Mutex<()>,
    last_hit: AtomicU64,
    last_logged: Mutex<Option<Instant>>,
    pub(super) stopping: AtomicBool,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    write_failures: AtomicU64,
    read_failures: AtomicU64,
    corrupt: AtomicU64,
    evictions: AtomicU64,
    skipped_writes: AtomicU64,
}

pub(super) enum Read {
    Found(Bytes),
    Missing,
    /// What is there is not what was written.
    Corrupt,
    /// The disk would not say.
    Failed,
}

impl Store {
    /// Makes the folder where needed. Fails if that cannot be done; that it cannot be written to shows later, entry by entry.
    pub(super) fn open(name: &'static str, folder: PathBuf, budget: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let opened = now_by(&folder).unwrap_or_else(|_| SystemTime::now());
        Ok(Store {
            name,
            folder,
            budget,
            opened,
            index: Mutex::default(),
            changing: Mutex::default(),
            last_hit: AtomicU64::new(0),
            last_logged: Mutex::default(),
            stopping: AtomicBool::new(false),
            counts: Counts::default(),
        })
    }

    /// Whether reading `key` is worth a thread.
    pub(super) fn may_have(&self, key: &EntryKey) -> bool {
        !matches!(self.index().lookup(key), Lookup::Absent)
    }

    /// The entries that are known and are asked about.
    pub(super) fn keys(&self, wanted: impl Fn(&EntryKey) -> bool) -> Vec<EntryKey> {
        self.index().keys(wanted)
    }

    /// The body of an entry, verified.
    pub(super) fn read(&self, key: &EntryKey) -> Read {
        let slot = match self.index().lookup(key) {
            Lookup::Known(slot) => slot,
            Lookup::Absent => return Read::Missing,
            Lookup::Unknown => match self.look_on_disk(key) {
                Ok(Some(slot)) => slot,
                Ok(None) => return Read::Missing,
                Err(error) => {
                    self.note_read_failure(&error);
                    return Read::Failed;
                }
            },
        };
        match self.read_content(key, slot) {
            Ok(Some(body)) => {
                // Not entered where it is unknown: it may have been removed since, and what is in the index is not written again.
                self.index().touch(key, self.tick());
                Read::Found(body)
            }
            Ok(None) => Read::Corrupt,
            Err(error) => {
                self.note_read_failure(&error);
                Read::Failed
            }
        }
    }

    /// Keeps an entry, making room first. Whatever goes wrong is counted, and the entry is simply not kept.
    pub(super) fn write(&self, key: &EntryKey, head: &[u8], body: &[u8]) {
        let len = (HEADER + head.len() + body.len()) as u64;
        if footprint(len) > self.budget {
            self.note_skipped_write();
            return;
        }
        let _changing = self.changing();
        if key.is_immutable() && self.still_has(key) {
            // Equal by the meaning of the key; were it broken, it would have been removed when that was seen.
            self.index().touch(key, self.tick());
            return;
        }
        self.make_room(footprint(len));
        if let Err(error) = self.replace(key, len, head, body) {
            self.counts.write_failures.fetch_add(1, Ordering::Relaxed);
            self.log("cannot write to the disk cache, going on without", &error);
        }
    }

    /// Removes an entry, as far as the disk allows.
    pub(super) fn remove(&self, key: &EntryKey) {
        let _changing = self.changing();
        self.remove_locked(key);
    }

    /// For an entry that read badly: looks again, with nobody writing meanwhile, and removes it if it is no better. Fails if the disk would not say.
    pub(super) fn recheck(&self, key: &EntryKey) -> io::Result<Option<Slot>> {
        let _changing = self.changing();
        self.recheck_locked(key)
    }

    /// Brings what is kept under the budget again, with `incoming` bytes to spare: down to 90 %, so that this is rare.
    fn make_room(&self, incoming: u64) {
        let full = self.index().held().bytes.saturating_add(incoming) > self.budget;
        if !full {
            return;
        }
        let target = (self.budget - self.budget / 10).saturating_sub(incoming);
        let oldest = self.index().oldest_beyond(target);
        for key in oldest {
            self.remove_locked(&key);
            self.counts.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a key that a scan came across into the index, or removes it if its content is not what it should be. Fails if the disk would not say.
    pub(super) fn adopt(
        &self,
        key: &EntryKey,
        len_of: impl Fn(u128) -> Option<u64>,
    ) -> io::Result<Option<Slot>> {
        let _changing = self.changing();
        let slot = self.look_on_disk(key).map_err(into_io)?;
        match slot.filter(|slot| len_of(slot.hash) == Some(slot.len)) {
            Some(slot) => {
                self.index().insert_if_new(*key, slot);
                Ok(Some(slot))
            }
            None => self.recheck_locked(key),
        }
    }

    /// Everything on disk is in the index now.
    pub(super) fn complete(&self) {
        self.index().mark_complete();
        let _changing = self.changing();
        self.make_room(0);
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_skipped_write(&self) {
        self.counts.skipped_writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_corrupt(&self) {
        self.counts.corrupt.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_read_failure(&self, error: &dyn std::fmt::Display) {
        self.counts.read_failures.fetch_add(1, Ordering::Relaxed);
        self.log("cannot read from the disk cache, going on without", error);
    }

    pub(super) fn stats(&self) -> DiskStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DiskStats {
            held: self.index().held(),
            write_failures: read(&self.counts.write_failures),
            read_failures: read(&self.counts.read_failures),
            corrupt: read(&self.counts.corrupt),
            evictions: read(&self.counts.evictions),
            skipped_writes: read(&self.counts.skipped_writes),
        }
    }

    /// What cacache's own index says of a key; `None` if it knows nothing that could be ours.
    fn look_on_disk(&self, key: &EntryKey) -> cacache::Result<Option<Slot>> {
        let found = cacache::metadata_sync(&self.folder, key.to_string())?;
        Ok(found.and_then(|found| {
            let hash = hash_of(&found.integrity)?;
            let len = u64::try_from(found.size).ok()?;
            // When it was written is the best guess at when it was last asked for.
            let last_hit = u64::try_from(found.time).ok()?;
            Some(Slot {
                hash,
                len,
                last_hit,
            })
        }))
    }

    /// Whether what the index knows of `key` is still there: somebody may have emptied the folder.
    fn still_has(&self, key: &EntryKey) -> bool {
        let known = self.index().lookup(key);
        matches!(known, Lookup::Known(slot) if cacache::exists_sync(&self.folder, &integrity(slot.hash)))
    }

    /// The body of what lies at `slot`; `None` if that is not the whole entry of `key`.
    fn read_content(&self, key: &EntryKey, slot: Slot) -> io::Result<Option<Bytes>> {
        let gone_or = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        };
        let mut reader = match SyncReader::open_hash(&self.folder, integrity(slot.hash)) {
            Ok(reader) => reader,
            Err(error) => return gone_or(into_io(error)),
        };
        // Never more than was written: what lies there now may be anything.
        let Some(len) = usize::try_from(slot.len)
            .ok()
            .filter(|_| slot.len <= self.budget)
        else {
            return Ok(None);
        };
        let mut content = Vec::with_capacity(len.saturating_add(1));
        if let Err(error) = (&mut reader)
            .take(slot.len.saturating_add(1))
            .read_to_end(&mut content)
        {
            return gone_or(error);
        }
        let whole = content.len() == len && reader.check().is_ok() && key.owns(&content);
        Ok(whole.then(|| Bytes::from(content).slice(HEADER..)))
    }

    fn replace(&self, key: &EntryKey, len: u64, head: &[u8], body: &[u8]) -> cacache::Result<()> {
        if self.may_have(key) {
            self.remove_locked(key);
        }
        // The length is not announced: for small files cacache would then write through a memory map, and a full disk can turn that into a fatal signal.
        let mut writer = WriteOpts::new()
            .algorithm(Algorithm::Xxh3)
            .open_hash_sync(&self.folder)?;
        let parts = [&key.header(len - HEADER as u64)[..], head, body];
        let written = parts
            .into_iter()
            .try_for_each(|part| writer.write_all(part));
        written.map_err(|error| {
            cacache::Error::IoError(error, "failed to write content".to_owned())
        })?;
        let content = writer.commit()?;

        let slot = hash_of(&content).map(|hash| Slot {
            hash,
            len,
            last_hit: self.tick(),
        });
        let name = WriteOpts::new()
            .integrity(content.clone())
            .size(usize::try_from(len).unwrap_or(usize::MAX));
        if let Err(error) = cacache::index::insert(&self.folder, &key.to_string(), name) {
            // Content that no key names would lie there uncounted, one more for every failure of a full disk.
            let _ = cacache::remove_hash_sync(&self.folder, &content);
            return Err(error);
        }
        if let Some(slot) = slot {
            self.index().insert(*key, slot);
        }
        Ok(())
    }

    /// For whoever holds `changing`, as is the next.
    fn recheck_locked(&self, key: &EntryKey) -> io::Result<Option<Slot>> {
        let slot = match self.look_on_disk(key).map_err(into_io)? {
            Some(slot) if self.read_content(key, slot)?.is_some() => Some(slot),
            _ => None,
        };
        match slot {
            Some(slot) => self.index().insert(*key, slot),
            None => self.remove_locked(key),
        }
        Ok(slot)
    }

    fn remove_locked(&self, key: &EntryKey) {
        let name = key.to_string();
        let on_disk = self.look_on_disk(key);
        let known = match self.index().lookup(key) {
            Lookup::Known(slot) => Some(slot),
            _ => None,
        };
        self.index().remove(key);
        let hash_on_disk = on_disk.ok().flatten().map(|slot| slot.hash);
        if let Some(slot) = known.filter(|slot| hash_on_disk != Some(slot.hash)) {
            // cacache's index has lost its way to it. It is there or it is not.
            let _ = cacache::remove_hash_sync(&self.folder, &integrity(slot.hash));
        }
        let fully = RemoveOpts::new().remove_fully(true);
        // cacache gives up before the index file if the content is gone. A tombstone makes it forget the content first; it is the second choice
        // because it must write, which a full disk does not allow.
        let without_content = || {
            cacache::remove_sync(&self.folder, &name)
                .and_then(|()| fully.clone().remove_sync(&self.folder, &name))
        };
        let content_is_there =
            hash_on_disk.is_some_and(|hash| cacache::exists_sync(&self.folder, &integrity(hash)));
        let removed = if content_is_there {
            fully.clone().remove_sync(&self.folder, &name)
        } else {
            without_content()
        };
        if let Err(error) = removed {
            self.counts.write_failures.fetch_add(1, Ordering::Relaxed);
            self.log("cannot delete from the disk cache", &error);
        }
    }

    /// A moment later than all before, in milliseconds since 1970 where the clock allows.
    fn tick(&self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_millis());
        let now = u64::try_from(now).unwrap_or(u64::MAX / 2);
        let next = |last: u64| now.max(last.saturating_add(1));
        self.last_hit
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            })
            .map_or(now, next)
    }

    fn log(&self, trouble: &'static str, error: &dyn std::fmt::Display) {
        let mut last = self
            .last_logged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LOG_EVERY) {
            *last = Some(Instant::now());
            tracing::warn!(store = self.name, folder = %self.folder.display(), %error, "{trouble}");
        }
    }
}

/// Now, by the clock that dates the files in `folder`: a little behind ours, or far from it on a network file system.
fn now_by(folder: &std::path::Path) -> io::Result<SystemTime> {
    let path = folder.join("opened");
    fs::write(&path, std::process::id().to_string())?;
    fs::metadata(&path)?.modified()
}

fn integrity(hash: u128) -> Integrity {
    Integrity::from_hex(format!("{hash:032x}"), Algorithm::Xxh3).expect("32 hexadecimal digits")
}

/// `None` for whatever was not written by us. cacache panics on text that is not the base64 it expects, so that is checked first.
fn hash_of(integrity: &Integrity) -> Option<u128> {
    let [hash] = &integrity.hashes[..] else {
        return None;
    };
    let digits = hash
        .digest
        .strip_suffix("==")
        .filter(|digits| digits.len() == 22)?;
    let is_base64 = digits
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    // 22 digits are 132 bits: the last four must be nought.
    if hash.algorithm != Algorithm::Xxh3 || !is_base64 || !digits.ends_with(['A', 'Q', 'g', 'w']) {
        return None;
    }
    u128::from_str_radix(&integrity.to_hex().1, 16).ok()
}

fn into_io(error: cacache::Error) -> io::Error {
    match error {
        cacache::Error::IoError(error, _) => error,
        other => io::Error::other(other.to_string()),
    }
}
