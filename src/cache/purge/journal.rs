//! The journal: purges on disk, one line for each, so that a restart does not forget them.
//!
//! Several processes may share the file, as they do for a moment when one takes over from another: each appends its purges, and reads what the others
//! have appended. A long file is replaced by a shorter one, under a lock that prevents appending meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::blocking::blocking;
use crate::cache::purge::log::{Purge, PurgeEvent};
use crate::files::DirHandle;

/// How much of the file is read at most, in bytes: some hundred thousand purges.
const MAX_READ_BYTES: u64 = 32 << 20;

#[derive(Clone)]
pub(crate) struct Journal {
    path: PathBuf,
    reading: Arc<Mutex<ReadPosition>>,
}

/// How far the file was read.
#[derive(Default)]
struct ReadPosition {
    /// Kept open: if another file takes its place, what was appended to this one before is still to be read.
    file: Option<File>,
    /// In bytes.
    position: u64,
}

impl Journal {
    /// The journal in the folder of the disk cache. The file need not exist.
    pub(crate) fn new(folder: &Path) -> Self {
        Journal {
            path: folder.join("purges"),
            reading: Arc::default(),
        }
    }

    /// Appends events. They are on disk when this returns without an error.
    pub(crate) async fn append(&self, events: Vec<PurgeEvent>) -> io::Result<()> {
        let path = self.path.clone();
        let written = blocking(move || append(&path, &events)).await;
        written.unwrap_or_else(|| Err(io::Error::other("interrupted")))
    }

    /// Appends purges that could not be published, so that a restart does not forget to publish them.
    pub(crate) async fn append_unpublished(&self, purges: Vec<Purge>) -> io::Result<()> {
        let path = self.unpublished_path();
        let written = blocking(move || append(&path, &purges)).await;
        written.unwrap_or_else(|| Err(io::Error::other("interrupted")))
    }

    /// The purges that could not be published yet.
    pub(crate) async fn unpublished(&self) -> Vec<Purge> {
        let path = self.unpublished_path();
        let read = blocking(move || read_lines(&options().read(true).open(path)?, &mut 0)).await;
        read.and_then(Result::ok).unwrap_or_default()
    }

    /// Removes the purges that could not be published, because they have been published now.
    pub(crate) async fn clear_unpublished(&self) {
        let path = self.unpublished_path();
        // If the file stays, its purges are published once more after a restart, which does no harm.
        blocking(move || std::fs::remove_file(path)).await;
    }

    fn unpublished_path(&self) -> PathBuf {
        self.path.with_extension("unpublished")
    }

    /// The events that any process has appended since the last call.
    pub(crate) async fn read_new(&self) -> Vec<PurgeEvent> {
        let journal = self.clone();
        let read = blocking(move || {
            let mut reading = journal
                .reading
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            read(&journal.path, &mut reading)
        });
        match read.await {
            Some(Ok(events)) => events,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read the purge journal");
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Replaces the file by one with these events only, if it has become much longer.
    pub(crate) async fn compact(&self, events: Vec<PurgeEvent>) {
        let journal = self.clone();
        let shortened = blocking(move || {
            let mut reading = journal
                .reading
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            compact(&journal.path, &events, &mut reading)
        });
        if let Some(Err(error)) = shortened.await {
            tracing::debug!(path = %self.path.display(), %error, "cannot compact the purge journal");
        }
    }
}

fn lines(items: &[impl Serialize]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for item in items {
        serde_json::to_writer(&mut text, item)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Follows no link, makes files readable for their owner alone, and does not wait for the other end of a pipe.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// Changes the mode of a file that an earlier version made readable for every user.
fn make_private(file: &File) {
    let is_private = file
        .metadata()
        .is_ok_and(|metadata| metadata.mode() & 0o077 == 0);
    if !is_private {
        // The file may belong to another user who allows this one to write.
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
    }
}

fn append(path: &Path, items: &[impl Serialize]) -> io::Result<()> {
    // Begins with the end of a line, because a crash may have left a line without one. All is one write, so that no line of another process gets in
    // between.
    let mut text = vec![b'\n'];
    text.extend(lines(items)?);
    if let Some(folder) = path.parent() {
        DirHandle::make(folder)?;
    }
    loop {
        let mut file = options().create(true).append(true).open(path)?;
        make_private(&file);
        // On a file system without locks, nobody compacts the file either.
        let _ = file.lock();
        // Another process may have replaced the file between opening and locking it.
        if is_at(&file, path)? {
            file.write_all(&text)?;
            return file.sync_data();
        }
    }
}

/// Whether a file still has this name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match std::fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let here = file.metadata()?;
    Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
}

fn read(path: &Path, reading: &mut ReadPosition) -> io::Result<Vec<PurgeEvent>> {
    let mut events = Vec::new();
    if let Some(file) = &reading.file {
        events = read_lines(file, &mut reading.position)?;
        if is_at(file, path)? {
            return Ok(events);
        }
        // Reads the new file from its beginning: events that are known already are ignored.
        *reading = ReadPosition::default();
    }
    match options().read(true).open(path) {
        Ok(file) => {
            events.extend(read_lines(&file, &mut reading.position)?);
            reading.file = Some(file);
            Ok(events)
        }
        Err(_) if !events.is_empty() => Ok(events),
        Err(error) => Err(error),
    }
}

/// Reads the lines after `position`, and moves `position` behind them.
fn read_lines<T: DeserializeOwned>(mut file: &File, position: &mut u64) -> io::Result<Vec<T>> {
    let len = file.metadata()?.len();
    if len < *position {
        // The file was made shorter in place.
        *position = 0;
    }
    if len == *position {
        return Ok(Vec::new());
    }
    file.seek(SeekFrom::Start(*position))?;
    let mut text = Vec::new();
    file.take(MAX_READ_BYTES).read_to_end(&mut text)?;
    // A line without an end may be one that is just being written.
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    *position += whole as u64;
    let items = text[..whole].split(|byte| *byte == b'\n');
    Ok(items
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

fn compact(path: &Path, events: &[PurgeEvent], reading: &mut ReadPosition) -> io::Result<()> {
    let text = lines(events)?;
    let Some(read) = &reading.file else {
        return Ok(());
    };
    let long = options().append(true).open(path)?;
    long.lock()?;
    let len = long.metadata()?.len();
    // Events that were not read yet must not be lost.
    let is_read = is_at(read, path)? && is_at(&long, path)? && len == reading.position;
    if !is_read || len < 2 * text.len() as u64 + 4096 {
        return Ok(());
    }
    let beside = path.with_extension("new");
    // A crash may have left such a file, or somebody may have put a link there.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&beside)?;
    file.write_all(&text)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)?;
    *reading = ReadPosition {
        file: Some(file),
        position: text.len() as u64,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Journal;
    use super::PurgeEvent;
    use super::append;
    use crate::cache::purge::log::{Purge, Target};

    fn event(number: u64) -> PurgeEvent {
        PurgeEvent {
            number,
            at: 1,
            purge: Purge::hard(Target::Everything),
            folded: false,
        }
    }

    #[tokio::test]
    async fn what_one_process_appends_the_other_reads_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (Journal::new(folder.path()), Journal::new(folder.path()));
        assert_eq!(one.read_new().await, []);
        one.append(vec![event(1), event(2)])
            .await
            .expect("a folder to write to");
        assert_eq!(other.read_new().await, [event(1), event(2)]);
        other
            .append(vec![event(3)])
            .await
            .expect("a folder to write to");
        assert_eq!(one.read_new().await, [event(1), event(2), event(3)]);
        assert_eq!(one.read_new().await, []);
    }

    #[tokio::test]
    async fn half_a_line_and_garbage_are_skipped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let journal = Journal::new(folder.path());
        let path = folder.path().join("purges");
        std::fs::write(&path, b"\xff\n{}\n{\"number\":1").expect("a folder to write to");
        assert_eq!(journal.read_new().await, []);
        append(&path, &[event(5)]).expect("a folder to write to");
        append(&path, &[event(6)]).expect("a folder to write to");
        assert_eq!(journal.read_new().await, [event(5), event(6)]);
    }

    #[tokio::test]
    async fn a_long_file_is_compacted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let journal = Journal::new(folder.path());
        let many: Vec<PurgeEvent> = (0..1000).map(event).collect();
        journal.append(many).await.expect("a folder to write to");
        assert_eq!(journal.read_new().await.len(), 1000);
        journal.compact(vec![event(999)]).await;
        assert_eq!(journal.read_new().await, []);
        assert_eq!(Journal::new(folder.path()).read_new().await, [event(999)]);
    }

    /// A long purge.
    fn padded(number: u64) -> PurgeEvent {
        let prefix = format!("https://b.com/{number:0200}");
        PurgeEvent {
            purge: Purge::hard(Target::Prefix(prefix)),
            ..event(number)
        }
    }

    #[tokio::test]
    async fn a_file_that_was_compacted_and_grew_again_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (Journal::new(folder.path()), Journal::new(folder.path()));
        let many = vec![padded(1); 100];
        one.append(many.clone())
            .await
            .expect("a folder to write to");
        assert_eq!(
            (one.read_new().await, other.read_new().await),
            (many.clone(), many)
        );
        // `one` does not read while all this happens.
        other
            .append(vec![padded(2)])
            .await
            .expect("a folder to write to");
        assert_eq!(other.read_new().await, [padded(2)]);
        other.compact(vec![padded(1), padded(2)]).await;
        let later: Vec<PurgeEvent> = (3..200).map(padded).collect();
        other
            .append(later.clone())
            .await
            .expect("a folder to write to");
        let read_new = one.read_new().await;
        assert!(read_new.contains(&padded(2)));
        assert!(read_new.ends_with(&later));
        assert_eq!(one.read_new().await, []);
        // A file that a killed process left half written does not matter.
        std::fs::write(folder.path().join("purges.new"), "{\"number\":")
            .expect("the test may write to its folder");
        let read: Vec<PurgeEvent> = (1..200).map(padded).collect();
        one.append(read.clone())
            .await
            .expect("a folder to write to");
        assert_eq!(one.read_new().await, read);
        one.append(read.clone())
            .await
            .expect("a folder to write to");
        assert_eq!(one.read_new().await, read);
        one.compact(read.clone()).await;
        assert_eq!(Journal::new(folder.path()).read_new().await, read);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn appending_while_another_process_compacts_loses_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (Journal::new(folder.path()), Journal::new(folder.path()));
        let times = Arc::new(AtomicU32::new(0));
        let shortened = Arc::clone(&times);
        let appending = tokio::spawn(async move {
            let mut number = 0;
            // If appending is so fast that the file never gets shorter, 300 events are enough.
            while shortened.load(Ordering::SeqCst) < 20 && number < 300 {
                number += 1;
                let repeated = vec![padded(number); 30];
                one.append(repeated).await.expect("a folder to write to");
            }
            number
        });
        let path = folder.path().join("purges");
        let len = || std::fs::metadata(&path).map_or(0, |file| file.len());
        let mut known = Vec::new();
        while !appending.is_finished() {
            known.extend(other.read_new().await);
            known.dedup();
            let before = len();
            other.compact(known.clone()).await;
            times.fetch_add(u32::from(len() < before), Ordering::SeqCst);
        }
        let last = appending.await.expect("no panic");
        let all: Vec<PurgeEvent> = (1..=last).map(padded).collect();
        let mut left = Journal::new(folder.path()).read_new().await;
        left.dedup();
        assert_eq!(left, all);
        known.extend(other.read_new().await);
        known.dedup();
        assert_eq!(known, all);
    }
}
