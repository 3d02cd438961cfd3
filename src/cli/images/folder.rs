//! The pictures in a folder.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::cli::error::CommandError;
use crate::cli::extensions::is_picture_path;

/// The deepest nesting of folders.
const MAX_DEPTH: usize = 64;

/// A file that is to be uploaded.
#[derive(Clone, Debug)]
pub(in crate::cli) struct LocalFile {
    pub path: PathBuf,
    /// Its path below what was named, with slashes.
    pub relative: String,
}

/// The file, or the pictures in the folder and the folders in it, in the order of their names. Hidden files and links in folders are left out.
pub(in crate::cli) fn local_files(named: &Path) -> Result<Vec<LocalFile>, CommandError> {
    let unread = |path: &Path, error: io::Error| {
        CommandError::new(format!("`{}` cannot be read: {error}", path.display()))
    };
    let metadata = fs::metadata(named).map_err(|error| unread(named, error))?;
    if !metadata.is_dir() {
        let name = named.file_name().unwrap_or(named.as_os_str());
        return Ok(vec![LocalFile {
            path: named.to_owned(),
            relative: text_of(Path::new(name), named)?,
        }]);
    }
    let mut files = Vec::new();
    let mut folders = vec![(named.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| unread(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unread(&folder, error))?;
            let path = entry.path();
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let metadata = entry.metadata().map_err(|error| unread(&path, error))?;
            if metadata.is_dir() && depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            } else if metadata.is_file() && is_picture_path(&name.to_string_lossy()) {
                let relative = path.strip_prefix(named).unwrap_or(&path);
                files.push(LocalFile {
                    relative: text_of(relative, &path)?,
                    path,
                });
            }
        }
    }
    files.sort_by(|one, other| one.relative.cmp(&other.relative));
    Ok(files)
}

fn text_of(relative: &Path, path: &Path) -> Result<String, CommandError> {
    let text = relative.to_str().ok_or_else(|| {
        CommandError::new(format!(
            "the name of a file must be UTF-8, got `{}`",
            path.display()
        ))
    })?;
    Ok(text.replace('\\', "/"))
}

/// The SHA-256 of a file, hexadecimal.
pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&hash.finalize()));
        }
        hash.update(&piece[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{local_files, sha256_of};

    #[test]
    fn a_folder_gives_its_pictures_by_their_paths() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir_all(root.join("b/.hidden")).expect("folders");
        for name in ["a.jpg", "b/c.PNG", "b/.hidden/d.jpg", ".e.jpg", "notes.txt"] {
            fs::write(root.join(name), "abc").expect("a file");
        }
        std::os::unix::fs::symlink("/etc/passwd", root.join("link.jpg")).expect("a link");
        let names = |path| {
            let files = local_files(path).expect("files");
            let names: Vec<String> = files.into_iter().map(|file| file.relative).collect();
            names
        };
        assert_eq!(names(root), ["a.jpg", "b/c.PNG"]);
        assert_eq!(names(&root.join("notes.txt")), ["notes.txt"]);
        assert!(local_files(&root.join("missing")).is_err());
        assert_eq!(
            sha256_of(&root.join("a.jpg")).expect("a hash"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
