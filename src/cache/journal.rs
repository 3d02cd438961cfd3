//! Purges on disk, beside what they purge: a line each, so that a restart forgets none. Several processes may share the file, as they do for a moment
//! when one takes over from another: each appends, and each reads what the others appended.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::blocking;
use super::purge::Event;

/// What is read of the file at most, in bytes: some hundred thousand purges.
const LONGEST: u64 = 32 << 20;

#[derive(Clone)]
pub(super) struct Journal {
    path: PathBuf,
    /// How much of the file was read, in bytes.
    read: Arc<Mutex<u64>>,
}

impl Journal {
    /// Of the folder of the disk cache; the file need not exist.
    pub(super) fn new(folder: &Path) -> Self {
        Journal {
            path: folder.join("purges"),
            read: Arc::default(),
        }
    }

    /// Writes events down. When this returns they are on disk, or an error says why not.
    pub(super) async fn append(&self, events: Vec<Event>) -> io::Result<()> {
        let path = self.path.clone();
        let written = blocking(move || append(&path, &events)).await;
        written.unwrap_or_else(|| Err(io::Error::other("interrupted")))
    }

    /// What was written down since the last look, by whomever.
    pub(super) async fn news(&self) -> Vec<Event> {
        let journal = self.clone();
        let read = blocking(move || {
            let mut position = journal.read.lock().unwrap_or_else(PoisonError::into_inner);
            read(&journal.path, &mut position)
        });
        match read.await {
            Some(Ok(events)) => events,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read which purges there were");
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Leaves only these, where the file has become much longer than they are.
    pub(super) async fn shorten(&self, events: Vec<Event>) {
        let journal = self.clone();
        let shortened = blocking(move || {
            let mut position = journal.read.lock().unwrap_or_else(PoisonError::into_inner);
            shorten(&journal.path, &events, &mut position)
        });
        if let Some(Err(error)) = shortened.await {
            tracing::debug!(path = %self.path.display(), %error, "cannot shorten the list of purges");
        }
    }
}

fn lines(events: &[Event]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for event in events {
        serde_json::to_writer(&mut text, event)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn append(path: &Path, events: &[Event]) -> io::Result<()> {
    // Begins with the end of a line, because a crash may have left one without; and is one write, so that no other process's line gets between.
    let mut text = vec![b'\n'];
    text.extend(lines(events)?);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&text)?;
    file.sync_data()
}

fn read(path: &Path, position: &mut u64) -> io::Result<Vec<Event>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    if len < *position {
        // Somebody has shortened it; what is known already does no harm.
        *position = 0;
    }
    if len == *position {
        return Ok(Vec::new());
    }
    file.seek(SeekFrom::Start(*position))?;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    // A line without an end may be one that is just being written.
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    *position += whole as u64;
    let events = text[..whole].split(|byte| *byte == b'\n');
    Ok(events
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

fn shorten(path: &Path, events: &[Event], position: &mut u64) -> io::Result<()> {
    let text = lines(events)?;
    let len = std::fs::metadata(path)?.len();
    // What was not read yet must not be lost.
    if len != *position || len < 2 * text.len() as u64 + 4096 {
        return Ok(());
    }
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&text)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)?;
    *position = text.len() as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Event;
    use super::Journal;
    use super::append;
    use crate::cache::purge::Purge;
    use crate::cache::purge::Target;

    fn event(number: u64) -> Event {
        Event {
            number,
            at: 1,
            purge: Purge::hard(Target::Everything),
            folded: false,
        }
    }

    #[tokio::test]
    async fn what_one_writes_the_other_reads_once() {
        let folder = tempfile::tempdir().expect("a place for temporary files");
        let (one, other) = (Journal::new(folder.path()), Journal::new(folder.path()));
        assert_eq!(one.news().await, []);
        one.append(vec![event(1), event(2)])
            .await
            .expect("a folder to write to");
        assert_eq!(other.news().await, [event(1), event(2)]);
        other
            .append(vec![event(3)])
            .await
            .expect("a folder to write to");
        assert_eq!(one.news().await, [event(1), event(2), event(3)]);
        assert_eq!(one.news().await, []);
    }

    #[tokio::test]
    async fn half_a_line_and_garbage_cost_nothing_else() {
        let folder = tempfile::tempdir().expect("a place for temporary files");
        let journal = Journal::new(folder.path());
        let path = folder.path().join("purges");
        std::fs::write(&path, b"\xff\n{}\n{\"number\":1").expect("a folder to write to");
        assert_eq!(journal.news().await, []);
        append(&path, &[event(5)]).expect("a folder to write to");
        append(&path, &[event(6)]).expect("a folder to write to");
        assert_eq!(journal.news().await, [event(5), event(6)]);
    }

    #[tokio::test]
    async fn a_long_file_is_shortened_to_what_counts() {
        let folder = tempfile::tempdir().expect("a place for temporary files");
        let journal = Journal::new(folder.path());
        let many: Vec<Event> = (0..1000).map(event).collect();
        journal.append(many).await.expect("a folder to write to");
        assert_eq!(journal.news().await.len(), 1000);
        journal.shorten(vec![event(999)]).await;
        assert_eq!(journal.news().await, []);
        assert_eq!(Journal::new(folder.path()).news().await, [event(999)]);
    }
}
