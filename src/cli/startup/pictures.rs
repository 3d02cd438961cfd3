//! Finds a few pictures in a folder, as examples. It looks at names, not into files, and stops soon: nobody waits for a folder of millions of files,
//! or for a file server that hangs.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

/// The most files and folders that are looked at.
const MAX_ENTRIES: usize = 5000;
/// The longest that the search takes, as far as the file system answers at once.
const MAX_TIME: Duration = Duration::from_millis(300);
/// The longest that anybody waits for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 8;
/// What is smaller is more likely an icon or an empty pixel.
const SMALL: u64 = 2 << 10;
/// All but the characters that no URL, shell or terminal takes for anything else.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A picture as a candidate; the least one is the best example.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    is_small: bool,
    rank: usize,
    depth: usize,
    /// Relative to the folder of the search, percent-encoded.
    path: String,
}

/// A folder that is still to be looked into.
struct Unvisited {
    folder: PathBuf,
    depth: usize,
    /// As [`Candidate::path`], with a slash at its end unless it is empty.
    path: String,
}

/// The paths of at most `count` pictures of at most `max_bytes` below a folder, percent-encoded.
pub(super) async fn find(folder: &Path, count: usize, max_bytes: u64) -> Vec<String> {
    let folder = folder.to_owned();
    #[expect(
        clippy::disallowed_methods,
        reason = "file system calls, once before the server starts"
    )]
    let search =
        tokio::task::spawn_blocking(move || search(folder, max_bytes, Instant::now() + MAX_TIME));
    match tokio::time::timeout(PATIENCE, search).await {
        Ok(Ok(found)) => best(found, count),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// All candidates that are found until `end`.
fn search(folder: PathBuf, max_bytes: u64, end: Instant) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut left = MAX_ENTRIES;
    let mut queue = VecDeque::from([Unvisited {
        folder,
        depth: 0,
        path: String::new(),
    }]);
    while let Some(visited) = queue.pop_front() {
        // What cannot be read has no examples.
        let Ok(entries) = fs::read_dir(&visited.folder) else {
            continue;
        };
        for entry in entries.flatten() {
            if left == 0 || Instant::now() > end {
                return found;
            }
            left -= 1;
            // The type of a link is that of the link itself.
            let (Some(name), Ok(kind)) = (plain_name(&entry), entry.file_type()) else {
                continue;
            };
            let path = format!("{}{}", visited.path, utf8_percent_encode(&name, ENCODED));
            if kind.is_dir() && visited.depth < MAX_DEPTH {
                queue.push_back(Unvisited {
                    folder: entry.path(),
                    depth: visited.depth + 1,
                    path: path + "/",
                });
            } else if kind.is_file()
                && let Some(rank) = rank(&name)
                && let Ok(metadata) = entry.metadata()
                && (1..=max_bytes).contains(&metadata.len())
            {
                found.push(Candidate {
                    is_small: metadata.len() < SMALL,
                    rank,
                    depth: visited.depth,
                    path,
                });
            }
        }
    }
    found
}

fn best(mut found: Vec<Candidate>, count: usize) -> Vec<String> {
    found.sort_unstable();
    found.truncate(count);
    found.into_iter().map(|candidate| candidate.path).collect()
}

/// The name of an entry that a URL can name in a plain way. Hidden files are never served.
fn plain_name(entry: &fs::DirEntry) -> Option<String> {
    let name = entry.file_name().into_string().ok()?;
    let is_odd = |letter: char| letter.is_control() || matches!(letter, '\\' | ':');
    (!name.starts_with('.') && !name.contains(is_odd)).then_some(name)
}

/// How good a picture with such a name is as an example, the best first. `None` for what every build of this program may refuse.
fn rank(name: &str) -> Option<usize> {
    let (_, extension) = name.rsplit_once('.')?;
    let is_one_of = |known: &&[&str]| {
        let mut known = known.iter();
        known.any(|known| known.eq_ignore_ascii_case(extension))
    };
    let ranks: [&[&str]; 3] = [
        &["avif", "jpeg", "jpg", "png", "webp"],
        &["bmp", "gif", "jfif", "jpe", "jxl", "qoi", "tif", "tiff"],
        &["apng", "ico", "pbm", "pgm", "pnm", "ppm", "svg"],
    ];
    ranks.iter().position(is_one_of)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::{MAX_ENTRIES, best, find};

    /// The best pictures of at most 10,000 bytes, however long it takes on a busy machine.
    fn search(folder: &Path, count: usize) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(60);
        best(super::search(folder.to_owned(), 10_000, end), count)
    }

    fn write(folder: &Path, files: &[(&str, usize)]) {
        for (path, length) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
            fs::write(path, vec![b'x'; *length]).expect("a folder");
        }
    }

    #[test]
    fn the_best_examples_come_first() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = [
            ("a.ico", 9000),
            ("b.gif", 9000),
            ("icon.png", 60),
            ("z.JPG", 9000),
            ("cats/tom & jerry, 50%?.webp", 9000),
            ("cats/deep/down/a.jpg", 9000),
            ("page.html", 9000),
            ("jpg", 9000),
        ];
        write(folder.path(), &files);
        let found = search(folder.path(), 9);
        assert_eq!(
            found,
            [
                "z.JPG",
                "cats/tom%20%26%20jerry%2C%2050%25%3F.webp",
                "cats/deep/down/a.jpg",
                "b.gif",
                "a.ico",
                "icon.png",
            ]
        );
        let found = search(folder.path(), 2);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn what_is_not_served_is_no_example() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        write(elsewhere.path(), &[("secret.jpg", 9000)]);
        write(
            folder.path(),
            &[
                (".git/a.jpg", 9000),
                (".hidden.jpg", 9000),
                ("empty.jpg", 0),
                ("large.jpg", 20_000),
                ("a\\..\\b.jpg", 9000),
                ("https:/a.jpg", 9000),
                ("line\nbreak.jpg", 9000),
                ("photo.heic", 9000),
                ("a/b/c/d/e/f/g/h/i/deep.jpg", 9000),
            ],
        );
        let link = |to: &Path, name: &str| symlink(to, folder.path().join(name)).expect("a folder");
        link(elsewhere.path(), "linked");
        link(&elsewhere.path().join("secret.jpg"), "link.jpg");
        link(folder.path(), "circle");
        let pipe = folder.path().join("pipe.jpg");
        let made = std::process::Command::new("mkfifo").arg(pipe).status();
        assert!(made.expect("there is mkfifo").success());
        let found = search(folder.path(), 3);
        assert_eq!(found, [] as [&str; 0]);
        write(folder.path(), &[("a/b/c/d/e/f/g/h/deep.jpg", 9000)]);
        let found = search(folder.path(), 3);
        assert_eq!(found, ["a/b/c/d/e/f/g/h/deep.jpg"]);
    }

    #[tokio::test]
    async fn a_large_folder_is_looked_at_in_part() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for number in 0..MAX_ENTRIES + 500 {
            fs::write(folder.path().join(format!("{number}.txt")), "").expect("a folder");
        }
        // Folders are looked into after the files beside them, which are more than are looked at.
        write(folder.path(), &[("cats/tom.jpg", 9000)]);
        let started = Instant::now();
        let found = find(folder.path(), 3, 10_000).await;
        assert_eq!(found, [] as [&str; 0]);
        assert!(started.elapsed().as_secs() < 5);
    }
}
