//! The state file, in which a command remembers the sources that are done. It has a line for each source, with a mark that stands for the pictures that
//! were made. Lines are appended whole; a last line that a crash has left incomplete is cut off.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Write};
use std::path::Path;

use crate::cli::error::CommandError;

/// The first line of a state file, so that no other file is overwritten.
const HEAD: &str = "# safelight warm, sources that are done; version 1\n";

/// An open state file, and the sources that are done.
pub(super) struct StateFile {
    file: File,
    mark: String,
    done: HashSet<String>,
}

/// A mark for the pictures that are made of each source. It does not depend on the order of the arguments.
pub(super) fn mark(options: &[String], accept: &[String], host: Option<&str>) -> String {
    let mut hash = blake3::Hasher::new();
    let sorted = |texts: &[String]| {
        let mut texts = texts.to_vec();
        texts.sort_unstable();
        texts.dedup();
        texts
    };
    let host = host.map(str::to_owned);
    for texts in [sorted(options), sorted(accept), host.into_iter().collect()] {
        hash.update(&(texts.len() as u64).to_le_bytes());
        for text in texts {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
    }
    hash.finalize().to_hex().chars().take(16).collect()
}

impl StateFile {
    /// Opens a state file, or creates it.
    pub(super) fn open(path: &Path, mark: String) -> Result<Self, CommandError> {
        let cannot = |error: io::Error| {
            CommandError::new(format!(
                "the state file `{}` cannot be used: {error}",
                path.display()
            ))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(cannot)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(cannot)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n');
        let whole = whole.map_or(0, |last| last + 1);
        if bytes[..whole].is_empty() && HEAD.as_bytes().starts_with(&bytes) {
            file.set_len(0).map_err(cannot)?;
            file.write_all(HEAD.as_bytes()).map_err(cannot)?;
        } else if !bytes.starts_with(HEAD.as_bytes()) {
            return Err(CommandError::new(format!(
                "`--state` must name a file that `safelight warm` wrote, or none that exists, got `{}`",
                path.display()
            )));
        } else if whole < bytes.len() {
            let whole = u64::try_from(whole).map_err(CommandError::new)?;
            file.set_len(whole).map_err(cannot)?;
        }
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let done = text.lines().filter_map(|line| {
            let (of, source) = line.split_once(' ')?;
            (of == mark).then(|| source.to_owned())
        });
        let done = done.collect();
        Ok(StateFile { file, mark, done })
    }

    /// Whether a source is done.
    pub(super) fn is_done(&self, source: &str) -> bool {
        self.done.contains(source)
    }

    /// Remembers that a source is done.
    pub(super) fn finish(&mut self, source: &str) -> io::Result<()> {
        // One call for the whole line, so that two lines never mix.
        let line = format!("{} {source}\n", self.mark);
        self.file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::StateFile;
    use super::mark;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_source_is_done_for_the_same_options_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let mut state = StateFile::open(&path, "one".to_owned()).expect("a fresh file");
        assert!(!state.is_done("/a b.jpg"));
        state.finish("/a b.jpg").expect("a file");
        let state = StateFile::open(&path, "one".to_owned()).expect("a state");
        assert!(state.is_done("/a b.jpg") && !state.is_done("/a"));
        let state = StateFile::open(&path, "two".to_owned()).expect("a state");
        assert!(!state.is_done("/a b.jpg"));
    }

    #[test]
    fn an_incomplete_last_line_is_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let mut state = StateFile::open(&path, "one".to_owned()).expect("a fresh file");
        for source in ["/a.jpg", "/b.jpg"] {
            state.finish(source).expect("a file");
        }
        let text = fs::read(&path).expect("a file");
        for cut in 0..text.len() {
            // Some file systems leave zeros after a crash.
            let torn = [&text[..cut], b"\0\0".as_slice()].concat();
            for left in [&text[..cut], torn.as_slice()] {
                fs::write(&path, left).expect("a folder");
                let Ok(mut state) = StateFile::open(&path, "one".to_owned()) else {
                    // Part of the first line, followed by bytes that it never has.
                    assert!(left.ends_with(b"\0") && cut < super::HEAD.len());
                    continue;
                };
                let first = super::HEAD.len() + "one /a.jpg\n".len();
                assert_eq!(state.is_done("/a.jpg"), cut >= first);
                assert!(!state.is_done("/b.jpg"));
                state.finish("/b.jpg").expect("a file");
                let state = StateFile::open(&path, "one".to_owned()).expect("a state");
                assert!(state.is_done("/b.jpg"));
                assert_eq!(state.is_done("/a.jpg"), cut >= first);
            }
        }
    }

    #[test]
    fn no_other_file_is_written_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("photo.jpg");
        for content in ["\u{1}\u{2}", "line\n", "line\nline"] {
            fs::write(&path, content).expect("a folder");
            let error = StateFile::open(&path, String::new())
                .map(|_| ())
                .expect_err(content);
            assert!(error.to_string().contains("`--state` must name"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("a file"), content);
        }
    }

    #[test]
    fn the_mark_does_not_depend_on_the_order() {
        let both = texts(&["width=1", "width=2"]);
        let other = texts(&["width=2", "width=1"]);
        let accept = texts(&["avif"]);
        let first = mark(&both, &accept, None);
        assert_eq!(first, mark(&other, &accept, None));
        assert_eq!(first.len(), 16);
        for different in [
            mark(&both[..1], &accept, None),
            mark(&both, &texts(&["webp"]), None),
            mark(&both, &accept, Some("a.test")),
            mark(&texts(&["width=1", "width=2", "avif"]), &[], None),
        ] {
            assert_ne!(first, different);
        }
    }
}
