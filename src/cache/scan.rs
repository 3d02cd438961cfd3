//! The look around when a store is opened: learns what is on disk, and removes what an earlier process left half done.
//!
//! It runs beside reads and writes. Whatever is younger than the opening of the store belongs to somebody who is at work now, and is left alone.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::entry::EntryKey;
use super::store::Store;

/// Longest file of cacache's index that is looked into, in bytes: we leave one line of some 300 bytes in each.
const MAX_BUCKET: u64 = 64 << 10;

/// Folders inside folders that cacache makes: two levels of shards, and one that names the hash.
const MAX_DEPTH: usize = 4;

/// One content file that was there when the scan came by.
struct Content {
    len: u64,
    claimed: bool,
}

/// Scans a store once. Ends early when the store is closed.
pub(super) fn scan(store: &Store) {
    walk(store, &store.folder.join("tmp"), 0, &mut |path| {
        remove_leftover(store, path)
    });

    let contents = store.folder.join("content-v2");
    let mut found = HashMap::new();
    walk(store, &contents, 0, &mut |path| match (
        hash_of(&contents, path),
        fs::symlink_metadata(path),
    ) {
        (Some(hash), Ok(file)) if file.is_file() => {
            found.insert(
                hash,
                Content {
                    len: file.len(),
                    claimed: false,
                },
            );
        }
        _ => remove_leftover(store, path),
    });

    let len_of = |found: &HashMap<u128, Content>, hash: u128| match found.get(&hash) {
        Some(content) => Some(content.len),
        // Written since.
        None => fs::metadata(path_of(&contents, hash))
            .ok()
            .map(|file| file.len()),
    };
    walk(store, &store.folder.join("index-v5"), 0, &mut |path| {
        let adopted = match key_in(path) {
            Some(key) => store.adopt(&key, |hash| len_of(&found, hash)),
            None => Ok(None),
        };
        match adopted {
            Ok(Some(slot)) => {
                if let Some(content) = found.get_mut(&slot.hash) {
                    content.claimed = true;
                }
            }
            Ok(None) => remove_leftover(store, path),
            Err(error) => store.note_read_failure(&error),
        }
    });

    if store.stopping.load(Ordering::Relaxed) {
        return;
    }
    for (hash, content) in found {
        if !content.claimed {
            remove_leftover(store, &path_of(&contents, hash));
        }
    }
    store.complete();
    let held = store.stats().held;
    tracing::info!(
        store = store.name,
        entries = held.entries,
        bytes = held.bytes,
        "disk cache scanned"
    );
}

/// Calls `visit` with everything in `folder` and below that is not itself a folder. Links are not followed.
fn walk(store: &Store, folder: &Path, depth: usize, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if store.stopping.load(Ordering::Relaxed) {
            return;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => {
                walk(store, &entry.path(), depth + 1, visit)
            }
            Ok(kind) if !kind.is_dir() => visit(&entry.path()),
            _ => {}
        }
    }
}

/// Removes a file, unless it is younger than the opening of the store.
fn remove_leftover(store: &Store, path: &Path) {
    // Nobody gives an old file a new date between the look and the deed.
    let _changing = store.changing();
    let is_old = |file: fs::Metadata| {
        file.modified()
            .is_ok_and(|modified| modified < store.opened)
    };
    if fs::symlink_metadata(path).is_ok_and(is_old)
        && let Err(error) = fs::remove_file(path)
    {
        tracing::debug!(store = store.name, path = %path.display(), %error, "cannot remove what an earlier process left behind");
    }
}

/// The key that an index file speaks of. There is one per file, whose name is a hash of it.
fn key_in(bucket: &Path) -> Option<EntryKey> {
    let file = fs::File::open(bucket).ok()?;
    let mut text = String::new();
    file.take(MAX_BUCKET).read_to_string(&mut text).ok()?;
    // The last line counts; one before it may be what a crash left of an earlier write.
    let (_, rest) = text.rsplit_once("\"key\":\"")?;
    let (key, _) = rest.split_once('"')?;
    key.parse().ok()
}

/// The hash in a content file's path, `xxh3/ab/cd/…`.
fn hash_of(contents: &Path, path: &Path) -> Option<u128> {
    let digits = path
        .strip_prefix(contents.join("xxh3"))
        .ok()?
        .to_str()?
        .replace(std::path::MAIN_SEPARATOR, "");
    let hash = u128::from_str_radix(&digits, 16).ok()?;
    (path_of(contents, hash) == path).then_some(hash)
}

fn path_of(contents: &Path, hash: u128) -> PathBuf {
    let digits = format!("{hash:032x}");
    contents
        .join("xxh3")
        .join(&digits[..2])
        .join(&digits[2..4])
        .join(&digits[4..])
}
