//! A local directory as an origin. A request names files under it and nothing else: no way up, no hidden files, no links that lead out,
//! nothing that is not a regular file.

use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use tokio::task::JoinError;

use super::Answer;
use super::Asking;
use super::Fetched;
use super::Lack;
use super::Reservation;
use super::SourceError;
use super::SourceMemory;
use super::Stage;
use crate::files;
use crate::freshness::Freshness;
use crate::freshness::Tags;
use crate::freshness::Validators;

/// Nobody says for how long.
const NOT_FOUND: SourceError = SourceError::NotFound { holds: None };

/// A directory, looked up anew for every request so that it may be a link that a deployment moves.
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Folder {
            root: root.to_owned(),
        }
    }

    /// Reads the file that the percent-encoded `path` names.
    pub(super) async fn fetch(
        &self,
        path: &str,
        known: Option<&Validators>,
        asking: Asking<'_>,
    ) -> Result<Answer, SourceError> {
        asking
            .clock
            .bound_by_end(Stage::Body, self.read(path, known, asking))
            .await?
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "file system calls; whoever asks for sources bounds how many are asked for at once"
    )]
    async fn read(
        &self,
        path: &str,
        known: Option<&Validators>,
        asking: Asking<'_>,
    ) -> Result<Answer, SourceError> {
        let Asking { terms, memory, .. } = asking;
        let relative = relative(path).ok_or(NOT_FOUND)?;
        let root = self.root.clone();
        let etag = known.and_then(|known| known.etag.clone());
        let lost = |lost: JoinError| SourceError::Unreadable(lost.into());
        let memory = memory.clone();
        // All of it on one thread that may block: each change of threads costs as much as the reading of a small file. What
        // nobody waits for any longer is read to its end, or to the limit, with its reservation.
        let found =
            tokio::task::spawn_blocking(move || found(&root, &relative, etag.as_deref(), &memory));
        let (bytes, validators) = match found.await.map_err(lost)?? {
            Found::Known(validators) => (None, validators),
            Found::Content(bytes, validators) => (Some(bytes), validators),
            Found::Waits(file, metadata) => {
                let reservation = asking.reserve(metadata.len()).await?;
                let validators = validators(&metadata);
                let read =
                    tokio::task::spawn_blocking(move || content(file, &metadata, reservation));
                (Some(read.await.map_err(lost)??), validators)
            }
        };
        let freshness = Freshness::of(&HeaderMap::new(), SystemTime::now(), &terms.rules);
        let tags = Tags::of(&HeaderMap::new(), &terms.tags);
        Ok(match bytes {
            Some(bytes) => Answer::Fetched(Fetched {
                bytes,
                validators,
                freshness,
                tags,
            }),
            None => Answer::NotModified {
                freshness,
                validators,
                tags,
            },
        })
    }
}

/// A file that is there.
enum Found {
    /// Its tag is the one that is known.
    Known(Validators),
    Content(Bytes, Validators),
    /// There is no memory for it just now.
    Waits(File, Metadata),
}

/// The bytes of a file, unless they are known by their tag, and what they are known by.
fn found(
    root: &Path,
    relative: &Path,
    known: Option<&str>,
    memory: &SourceMemory,
) -> Result<Found, SourceError> {
    let (file, metadata) = open(root, relative)?;
    let validators = validators(&metadata);
    if known.is_some() && known == validators.etag.as_deref() {
        return Ok(Found::Known(validators));
    }
    let limit = memory.largest();
    if metadata.len() > limit {
        return Err(SourceError::TooLarge { limit, holds: None });
    }
    Ok(match memory.try_reserve(metadata.len()) {
        Some(reservation) => Found::Content(content(file, &metadata, reservation)?, validators),
        None => Found::Waits(file, metadata),
    })
}

/// Opens a regular file under a folder.
fn open(root: &Path, relative: &Path) -> Result<(File, Metadata), SourceError> {
    let folder = files::Folder::open_followed(root).map_err(SourceError::Unreadable)?;
    let file = folder.file_beneath(root, relative).map_err(failure)?;
    let metadata = file.metadata().map_err(failure)?;
    if !metadata.is_file() {
        return Err(NOT_FOUND);
    }
    Ok((file, metadata))
}

/// Reads a file that was opened when it had this metadata, into memory that is reserved for it.
fn content(
    mut file: File,
    before: &Metadata,
    reservation: Reservation,
) -> Result<Bytes, SourceError> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(usize::try_from(before.len()).unwrap_or(usize::MAX))
        .map_err(|_| SourceError::Busy(Lack::Memory))?;
    // One byte more than announced, so that growth shows.
    (&mut file)
        .take(before.len().saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failure)?;
    let after = file.metadata().map_err(failure)?;
    let is_whole = u64::try_from(bytes.len()) == Ok(before.len());
    if !is_whole || changed(before) != changed(&after) {
        return Err(SourceError::BrokenOff(
            "the file changed while it was read".to_owned(),
        ));
    }
    Ok(reservation.hold(bytes))
}

/// The decoded path, every part of which is one plain name. None: no file is to be found there.
fn relative(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for segment in path.strip_prefix('/')?.split('/') {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let mut components = Path::new(name.as_ref()).components();
        let is_one_name = matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name.as_ref());
        if !is_one_name || name.starts_with('.') || name.contains('\0') {
            return None;
        }
        relative.push(name.as_ref());
    }
    Some(relative)
}

/// Every reason to have no file is the same to the one who asks.
fn failure(error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            NOT_FOUND
        }
        // A link to itself; a socket, or a device without a driver.
        _ if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => NOT_FOUND,
        _ => SourceError::Unreadable(error),
    }
}

/// What changes whenever the content does; to the nanosecond where the file system can.
fn changed(metadata: &Metadata) -> (i64, i64, u64, u64) {
    (
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.len(),
        metadata.ino(),
    )
}

fn validators(metadata: &Metadata) -> Validators {
    let (seconds, nanoseconds, length, _) = changed(metadata);
    Validators {
        etag: Some(format!("\"{seconds:x}-{nanoseconds:x}-{length:x}\"")),
        last_modified: u64::try_from(seconds)
            .ok()
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::super::Answer;
    use super::super::Asking;
    use super::super::Config;
    use super::super::SourceError;
    use super::super::SourceMemory;
    use super::super::clock::Clock;
    use super::super::rules::Terms;
    use super::Folder;
    use super::relative;

    async fn fetch(root: &Path, path: &str) -> Result<Answer, SourceError> {
        let asking = Asking {
            config: &Config::default(),
            memory: &SourceMemory::new(8000, 1000),
            terms: &Terms::default(),
            clock: Clock::starting_now(Duration::from_secs(5)),
        };
        Folder::new(root).fetch(path, None, asking).await
    }

    #[track_caller]
    fn content(answer: Result<Answer, SourceError>) -> Vec<u8> {
        match answer {
            Ok(Answer::Fetched(fetched)) => fetched.bytes.to_vec(),
            other => panic!("expected a file, got {other:?}"),
        }
    }

    fn folder() -> TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(root.path().join("sub")).expect("a folder within");
        for name in ["cat.jpg", "sub/a b é.jpg", ".hidden", "100%.jpg", "a+b.jpg"] {
            fs::write(root.path().join(name), name).expect("a file within");
        }
        root
    }

    #[tokio::test]
    async fn names_are_decoded_once() {
        let root = folder();
        for (path, name) in [
            ("/cat.jpg", "cat.jpg"),
            ("/c%61t.jpg", "cat.jpg"),
            ("/sub/a%20b%20%C3%A9.jpg", "sub/a b é.jpg"),
            ("/100%25.jpg", "100%.jpg"),
            ("/a+b.jpg", "a+b.jpg"),
        ] {
            assert_eq!(
                content(fetch(root.path(), path).await),
                name.as_bytes(),
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn nothing_else_is_found() {
        let root = folder();
        let long = format!("/{}", "x".repeat(5000));
        for path in [
            "",
            "/",
            "cat.jpg",
            "//cat.jpg",
            "/cat.jpg/",
            "/cat.jpg/x",
            "/sub",
            "/sub/",
            "/sub//cat.jpg",
            "/./cat.jpg",
            "/%2e/cat.jpg",
            "/sub/../cat.jpg",
            "/sub/%2e%2e/cat.jpg",
            "/sub%2F..%2Fcat.jpg",
            "/..%2f..%2fetc%2fpasswd",
            "/%2Fetc%2Fpasswd",
            "/.hidden",
            "/%2Ehidden",
            "/cat.jpg%00",
            "/%00",
            "/%FF",
            "/c%2561t.jpg",
            long.as_str(),
        ] {
            let answer = fetch(root.path(), path).await;
            assert!(
                matches!(answer, Err(SourceError::NotFound { .. })),
                "{path}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn links_stay_inside() {
        let outside = tempfile::tempdir().expect("a temporary folder");
        fs::write(outside.path().join("secret"), "secret").expect("a file outside");
        let root = folder();
        symlink(outside.path().join("secret"), root.path().join("file.jpg"))
            .expect("a link to a file");
        symlink(outside.path(), root.path().join("dir")).expect("a link to a folder");
        symlink("loop", root.path().join("loop")).expect("a link to itself");
        symlink("nowhere", root.path().join("dangling")).expect("a link to nothing");
        for path in ["/file.jpg", "/dir/secret", "/loop", "/dangling"] {
            let answer = fetch(root.path(), path).await;
            assert!(
                matches!(answer, Err(SourceError::NotFound { .. })),
                "{path}: {answer:?}"
            );
        }
        symlink("cat.jpg", root.path().join("inside.jpg")).expect("a link within");
        assert_eq!(content(fetch(root.path(), "/inside.jpg").await), b"cat.jpg");
    }

    #[tokio::test]
    async fn a_sibling_whose_name_only_begins_alike_is_outside() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let root = parent.path().join("photos");
        fs::create_dir(&root).expect("the folder");
        fs::create_dir(parent.path().join("photos-private")).expect("its sibling");
        fs::write(parent.path().join("photos-private/x"), "x").expect("a file outside");
        symlink("../photos-private/x", root.join("x")).expect("a link");
        assert!(matches!(
            fetch(&root, "/x").await,
            Err(SourceError::NotFound { .. })
        ));
    }

    #[tokio::test]
    async fn the_folder_itself_may_be_a_link_that_moves() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        for release in ["one", "two"] {
            fs::create_dir(parent.path().join(release)).expect("a release");
            fs::write(parent.path().join(release).join("x"), release).expect("a file");
        }
        let current = parent.path().join("current");
        symlink("one", &current).expect("a link");
        assert_eq!(content(fetch(&current, "/x").await), b"one");
        fs::remove_file(&current).expect("the old link goes");
        symlink("two", &current).expect("the new link comes");
        assert_eq!(content(fetch(&current, "/x").await), b"two");
    }

    #[tokio::test]
    async fn pipes_sockets_and_devices_neither_hang_nor_answer() {
        let root = folder();
        let pipe = root.path().join("pipe.jpg");
        let made = Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo runs");
        assert!(made.success());
        let _socket = UnixListener::bind(root.path().join("socket.jpg")).expect("a socket");
        for path in ["/pipe.jpg", "/socket.jpg"] {
            let answer =
                tokio::time::timeout(Duration::from_secs(2), fetch(root.path(), path)).await;
            let answer = answer.expect("nothing waits for a writer");
            assert!(
                matches!(answer, Err(SourceError::NotFound { .. })),
                "{path}: {answer:?}"
            );
        }
        let zero = fetch(Path::new("/dev"), "/zero").await;
        assert!(
            matches!(zero, Err(SourceError::NotFound { .. })),
            "{zero:?}"
        );
    }

    #[tokio::test]
    async fn a_missing_folder_is_no_missing_file() {
        let answer = fetch(Path::new("/nonexistent/folder"), "/x").await;
        assert!(
            matches!(answer, Err(SourceError::Unreadable(_))),
            "{answer:?}"
        );
    }

    #[test]
    fn every_part_of_a_path_is_one_plain_name() {
        assert_eq!(relative("/a/b.jpg").as_deref(), Some(Path::new("a/b.jpg")));
        assert_eq!(relative("/a...b").as_deref(), Some(Path::new("a...b")));
        assert_eq!(relative("/..a"), None);
    }
}
