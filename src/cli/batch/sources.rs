//! The pictures that a folder or a glob names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use globset::GlobBuilder;

use super::manifest::Manifest;
use crate::cli::error::CommandError;
use crate::cli::images::folder::local_files;

/// A picture that is to be transformed.
pub(super) struct BatchSource {
    pub path: PathBuf,
    /// Its path below what was named, with slashes.
    pub relative: String,
    pub bytes: u64,
    /// When it was changed, in milliseconds since 1970.
    pub modified: u64,
}

/// Whether a path is a pattern for many. A file whose name has such letters is a file.
pub(super) fn is_glob(input: &Path) -> bool {
    !input.exists() && input.to_string_lossy().contains(['*', '?', '[', '{'])
}

/// Finds the pictures, in the order of their paths. What an earlier run has made is none of them, also where its folder is among the sources.
///
/// # Errors
/// [`CommandError`] where nothing is found, or a folder cannot be read.
pub(super) fn find(
    input: &Path,
    output: &Path,
    known: &Manifest,
) -> Result<Vec<BatchSource>, CommandError> {
    let (folder, matcher) = match is_glob(input) {
        false => (input.to_owned(), None),
        true => {
            let text = input.to_string_lossy();
            let fixed = text.find(['*', '?', '[', '{']).unwrap_or(text.len());
            let start = text[..fixed].rfind('/').map_or(0, |slash| slash + 1);
            let folder = match start {
                0 => PathBuf::from("."),
                start => PathBuf::from(&text[..start]),
            };
            let glob = GlobBuilder::new(&text[start..])
                .literal_separator(true)
                .build();
            let glob = glob.map_err(|error| {
                CommandError::new(format!(
                    "`{text}` is no pattern for files: {}",
                    error.kind()
                ))
            })?;
            (folder, Some(glob.compile_matcher()))
        }
    };
    let files = local_files(&folder)?;
    let results = Results::of(&folder, output, known);
    let files = files.into_iter().filter(|file| {
        let matcher = matcher.as_ref();
        matcher.is_none_or(|matcher| matcher.is_match(&file.relative)) && !results.has(&file.path)
    });
    let found: Vec<BatchSource> = files
        .filter_map(|file| {
            let metadata = fs::metadata(&file.path).ok()?;
            let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(BatchSource {
                bytes: metadata.len(),
                modified: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
                path: file.path,
                relative: file.relative,
            })
        })
        .collect();
    if found.is_empty() {
        return Err(CommandError::new(format!(
            "there is no picture in `{}`",
            input.display()
        )));
    }
    Ok(found)
}

/// The real paths of sources, without links.
pub(super) fn real_paths(sources: &[BatchSource]) -> BTreeSet<PathBuf> {
    let paths = sources.iter();
    paths
        .filter_map(|source| fs::canonicalize(&source.path).ok())
        .collect()
}

/// What earlier runs have made.
struct Results {
    /// Their folder, where it lies within that of the sources.
    folder: Option<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Results {
    fn of(sources: &Path, output: &Path, known: &Manifest) -> Self {
        let pictures = known.pictures.iter();
        let files = pictures.flat_map(|picture| &picture.files);
        let folder = fs::canonicalize(output).ok().filter(|folder| {
            fs::canonicalize(sources).is_ok_and(|sources| !sources.starts_with(folder))
        });
        Results {
            folder,
            files: files
                .filter_map(|file| fs::canonicalize(output.join(&file.path)).ok())
                .collect(),
        }
    }

    fn has(&self, path: &Path) -> bool {
        let Ok(path) = fs::canonicalize(path) else {
            return false;
        };
        let folder = self.folder.as_ref();
        folder.is_some_and(|folder| path.starts_with(folder)) || self.files.contains(&path)
    }
}
