//! Files by their names below a folder that is held open, so that nobody can make a name lead elsewhere between two looks at it. No name is followed
//! where it is a link, but by [`DirHandle::file_beneath`], which follows those that stay inside.
//!
//! `rustix` and not `libc`: the same calls without unsafe code, and without the errors of hand-made bindings.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Component;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// How deep folders that are removed may be nested, so that the recursion is bounded. The cache keeps nothing but files in its folders.
const DEPTH: usize = 64;

/// What a name stands for, if it is no link.
#[derive(Clone, Copy, Debug)]
pub struct FileStat {
    pub is_file: bool,
    /// In bytes.
    pub len: u64,
    /// What it takes on disk, in blocks of 512 bytes.
    pub blocks: u64,
    pub modified: Option<SystemTime>,
}

/// A folder that is held open.
#[derive(Debug)]
pub struct DirHandle(OwnedFd);

impl DirHandle {
    /// Opens a folder that is not a link itself. The folders above it belong to the operator, and may be links.
    ///
    /// # Errors
    /// Those of the system; [`is_link`] tells whether it is a link.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(DirHandle(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a folder, wherever its name leads to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open_followed(path: &Path) -> io::Result<Self> {
        let flags = WALKED | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(DirHandle(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Makes a folder, with those above it, that is readable for nobody else; one that is there is left as it is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn make(path: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }

    /// Takes from everybody else what they may do in the folder. Says whether they could do anything.
    ///
    /// # Errors
    /// Those of the system: it may be somebody else's.
    pub fn make_private(&self) -> io::Result<bool> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.0)?.st_mode);
        if !mode.intersects(Mode::RWXG | Mode::RWXO) {
            return Ok(false);
        }
        rustix::fs::fchmod(&self.0, mode & Mode::RWXU)?;
        Ok(true)
    }

    /// A folder in this one.
    ///
    /// # Errors
    /// Those of the system; [`is_link`] tells whether it is a link.
    pub fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(DirHandle(rustix::fs::openat(
            &self.0,
            name.as_ref(),
            flags,
            Mode::empty(),
        )?))
    }

    /// Makes a folder in this one that is readable for nobody else.
    ///
    /// # Errors
    /// Those of the system.
    pub fn make_folder(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    /// A file in this folder, to read. Of a pipe no writer is waited for.
    ///
    /// # Errors
    /// Those of the system; [`is_link`] tells whether it is a link.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        Ok(File::from(file))
    }

    /// A new file that is readable for nobody else, to write, in place of what has this name.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR);
        let file = match create() {
            Err(Errno::EXIST) => {
                self.remove(name)?;
                create()
            }
            created => created,
        };
        Ok(File::from(file?))
    }

    /// A file that is there, or a new one that is readable for nobody else, to read and write.
    ///
    /// # Errors
    /// Those of the system; [`is_link`] tells whether it is a link.
    pub fn file_or_new(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(file))
    }

    /// What there is of this name; a link is no file, whatever it leads to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn stat(&self, name: impl AsRef<OsStr>) -> io::Result<FileStat> {
        let stat = rustix::fs::statat(&self.0, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)?;
        // The types of these fields differ from system to system.
        let seconds = u64::try_from(stat.st_mtime).ok();
        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        let since = seconds.map(|seconds| Duration::new(seconds, nanoseconds));
        Ok(FileStat {
            is_file: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            modified: since.and_then(|since| UNIX_EPOCH.checked_add(since)),
        })
    }

    /// Whether there is anything of this name, a link to nothing included.
    pub fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Gives a file another name in another folder, in place of what has that name.
    ///
    /// # Errors
    /// Those of the system.
    pub fn rename(&self, name: &str, to: &DirHandle, new: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, new)?)
    }

    /// Removes a file, or a folder with all that is in it; of a link, the link alone.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        self.remove_to(name.as_ref(), DEPTH)
    }

    fn remove_to(&self, name: &OsStr, depth: usize) -> io::Result<()> {
        let removed = rustix::fs::unlinkat(&self.0, name, AtFlags::empty());
        // The error for a folder: Linux answers EISDIR, other systems answer EPERM.
        if !matches!(removed, Err(Errno::ISDIR | Errno::PERM)) {
            return Ok(removed?);
        }
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(removed?);
        }
        if depth == 0 {
            return Err(io::Error::other("folders too deep inside each other"));
        }
        let inside = self.folder(name)?;
        for name in inside.names()? {
            inside.remove_to(&name, depth - 1)?;
        }
        drop(inside);
        self.remove_empty(name)
    }

    /// Removes a folder in which nothing is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove_empty(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            &self.0,
            name.as_ref(),
            AtFlags::REMOVEDIR,
        )?)
    }

    /// The names in it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// A file below this folder, to read. Links are followed as long as they stay inside, whoever changes what meanwhile. Of a pipe no writer is
    /// waited for. `path` is where the folder was opened, and `relative` holds plain names.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::NotFound`] for what leads out.
    pub fn file_beneath(&self, path: &Path, relative: &Path) -> io::Result<File> {
        match self.resolved_by_the_system(relative) {
            // A link with an absolute name, which may well lead back inside; or a system that does not know the call.
            Some(Err(Errno::XDEV | Errno::AGAIN)) | None => self.resolved_here(path, relative),
            Some(found) => Ok(File::from(found?)),
        }
    }

    #[cfg(target_os = "linux")]
    fn resolved_by_the_system(&self, relative: &Path) -> Option<Result<OwnedFd, Errno>> {
        use rustix::fs::ResolveFlags;
        let found = rustix::fs::openat2(
            &self.0,
            relative,
            READ,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        );
        match found {
            // Before Linux 5.6; and some containers forbid what they do not know.
            Err(Errno::NOSYS | Errno::PERM) => None,
            found => Some(found),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn resolved_by_the_system(&self, _: &Path) -> Option<Result<OwnedFd, Errno>> {
        None
    }

    /// Looks where the links lead, and then goes there over no link at all: what becomes one meanwhile is an error.
    fn resolved_here(&self, path: &Path, relative: &Path) -> io::Result<File> {
        let root = fs::canonicalize(path)?;
        let real = fs::canonicalize(root.join(relative))?;
        let inside = real.strip_prefix(&root);
        let inside = inside.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        self.file_over_no_link(inside)
    }

    fn file_over_no_link(&self, relative: &Path) -> io::Result<File> {
        let mut folder: Option<OwnedFd> = None;
        let mut names = relative.components().peekable();
        while let Some(Component::Normal(name)) = names.next() {
            let at = folder.as_ref().unwrap_or(&self.0);
            let flags = match names.peek() {
                Some(_) => WALKED | OFlags::DIRECTORY | OFlags::CLOEXEC,
                None => READ,
            };
            let next = rustix::fs::openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
            folder = Some(next);
        }
        folder
            .map(File::from)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// For folders that are only passed through: that takes no right to list them.
#[cfg(target_os = "linux")]
const WALKED: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const WALKED: OFlags = OFlags::RDONLY;

/// Whether an error says that a name which should be a file or folder is a link: systems differ in which they say of a folder.
pub fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
        || error.kind() == io::ErrorKind::NotADirectory
}

/// Whether everybody may write to a folder.
pub fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o002 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tempfile::TempDir;

    use super::DirHandle;
    use super::is_link;

    fn folder() -> TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn mode(path: &Path) -> u32 {
        let metadata = fs::symlink_metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let place = folder();
        let path = place.path().join("a/b");
        DirHandle::make(&path).expect("a folder of ours");
        let made = DirHandle::open(&path).expect("it was made");
        made.make_folder("c").expect("a fresh folder");
        for name in ["new", "lock"] {
            let mut file = match name {
                "new" => made.new_file(name),
                _ => made.file_or_new(name),
            }
            .expect("a fresh folder");
            file.write_all(b"x").expect("a file of ours");
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
        for folder in ["a", "a/b", "a/b/c"] {
            assert_eq!(mode(&place.path().join(folder)), 0o700, "{folder}");
        }
        assert!(!made.make_private().expect("it is ours"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        assert!(made.make_private().expect("it is ours"));
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn no_link_is_followed() {
        let outside = folder();
        let victim = outside.path().join("victim");
        fs::write(&victim, "untouched").expect("a file");
        let place = folder();
        let inside = place.path();
        symlink(&victim, inside.join("file")).expect("a link");
        symlink(outside.path(), inside.join("folder")).expect("a link");
        let opened = DirHandle::open(inside).expect("a folder");
        let errors = [
            opened.file("file").map(drop),
            opened.file_or_new("file").map(drop),
            opened.folder("folder").map(drop),
            DirHandle::open(&inside.join("folder")).map(drop),
        ];
        for error in errors {
            assert!(is_link(&error.expect_err("a link")));
        }
        let mut file = opened.new_file("file").expect("in place of the link");
        file.write_all(b"new").expect("a file of ours");
        opened.remove("folder").expect("the link goes");
        assert_eq!(fs::read(&victim).expect("it is there"), b"untouched");
        assert!(opened.names().expect("a folder").eq(&["file"]));
    }

    #[test]
    fn a_folder_goes_with_what_is_in_it_and_no_link_is_gone_through() {
        let outside = folder();
        fs::write(outside.path().join("kept"), "x").expect("a file");
        let place = folder();
        let deep = place.path().join("x/y/z");
        fs::create_dir_all(&deep).expect("folders");
        fs::write(deep.join("file"), "x").expect("a file");
        symlink(outside.path(), deep.join("link")).expect("a link");
        let opened = DirHandle::open(place.path()).expect("a folder");
        opened.remove("x").expect("all of it");
        assert!(!opened.has("x") && outside.path().join("kept").exists());
        opened.remove("x").expect_err("it is gone");
    }

    #[test]
    fn links_are_followed_inside_and_not_out_however_they_are_written() {
        let outside = folder();
        fs::write(outside.path().join("secret"), "secret").expect("a file");
        let place = folder();
        // The folder itself may be reached over a link.
        let root = place.path().join("root");
        fs::create_dir_all(place.path().join("real/sub")).expect("folders");
        symlink("real", &root).expect("a link");
        let real = place.path().join("real");
        fs::write(real.join("sub/a"), "a").expect("a file");
        fs::write(place.path().join("beside"), "secret").expect("a file");
        for (name, target) in [
            ("relative", Path::new("sub/a")),
            ("absolute", &real.join("sub/a")),
            ("folder", Path::new("sub")),
            ("absolute-folder", &real.join("sub")),
            ("round", Path::new("../real/sub/a")),
            ("out", &outside.path().join("secret")),
            ("up", Path::new("../beside")),
            ("out-folder", outside.path()),
            ("loop", Path::new("loop")),
            ("root-of-all", Path::new("/")),
            ("process", Path::new("/proc/self/root")),
        ] {
            symlink(target, real.join(name)).expect("a link");
        }
        let opened = DirHandle::open_followed(&root).expect("a folder");
        let open = |way, name: &str| match way {
            "system" => opened.file_beneath(&root, Path::new(name)),
            _ => opened.resolved_here(&root, Path::new(name)),
        };
        for way in ["system", "here"] {
            for name in [
                "sub/a",
                "relative",
                "absolute",
                "folder/a",
                "absolute-folder/a",
                "round",
            ] {
                let mut text = String::new();
                let mut file =
                    open(way, name).unwrap_or_else(|error| panic!("{way} {name}: {error}"));
                file.read_to_string(&mut text).expect("a file");
                assert_eq!(text, "a", "{way} {name}");
            }
            for name in [
                "out",
                "up",
                "out-folder/secret",
                "loop",
                "root-of-all/etc/passwd",
                "process/etc/passwd",
                "none",
            ] {
                assert!(open(way, name).is_err(), "{way} {name}");
            }
        }
    }
}
