//! The pictures and folders below a path of the zone, for operators who look for a picture. Clients never see a list.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::bucket::Bucket;
use crate::deadline::Deadline;
use crate::files::DirHandle;
use crate::source::error::{FetchStage, SourceError};
use crate::source::folder::FolderOrigin;
use crate::source::folder::file::{NOT_FOUND, io_error, relative};
use crate::source::{Sources, ZoneClient};

/// The most names of a folder or a bucket that are read for one list.
const MAX_ENTRIES: usize = 1000;
/// All but the characters that no URL takes for anything else.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// What lies directly below a path of the zone, in the order of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ZoneListing {
    /// Paths of the zone that end with a slash, percent-encoded.
    pub folders: Vec<String>,
    /// Paths of files or objects, percent-encoded, with their bytes where the list tells them.
    pub files: Vec<(String, Option<u64>)>,
    /// Whether there is more than this.
    pub is_cut: bool,
}

impl Sources {
    /// Lists what is below a folder of the zone, or what begins so in a bucket; the path is percent-encoded. `None` where the zone cannot be listed: a web server, or none.
    ///
    /// # Errors
    /// [`SourceError`] says why it cannot be read.
    pub(crate) async fn list_zone(&self, path: &str) -> Result<Option<ZoneListing>, SourceError> {
        let deadline = Deadline::after(self.config.total_timeout.duration());
        match &self.zone {
            ZoneClient::Folder(folder) => {
                let listed = deadline.bound(FetchStage::Body, list_folder(folder, path));
                listed.await?.map(Some)
            }
            ZoneClient::Bucket(name) => {
                let bucket = self.buckets.get(name);
                let bucket = bucket.ok_or_else(|| SourceError::UnknownBucket(name.clone()))?;
                let listed = deadline.bound(FetchStage::Body, list_bucket(bucket, path));
                listed.await?.map(Some)
            }
            ZoneClient::Http { .. } | ZoneClient::None => Ok(None),
        }
    }
}

async fn list_folder(folder: &FolderOrigin, path: &str) -> Result<ZoneListing, SourceError> {
    let path = path.trim_end_matches('/');
    let inside = match path {
        "" => PathBuf::new(),
        path => relative(path).ok_or(NOT_FOUND)?,
    };
    let (root, base) = (folder.root.clone(), format!("{path}/"));
    folder
        .readers
        .run(move || read_folder(&root, &inside, &base).map_err(io_error))
        .await
}

/// Hidden files are left out, as they are never served, and so are links.
fn read_folder(root: &Path, inside: &Path, base: &str) -> std::io::Result<ZoneListing> {
    let top = DirHandle::open_followed(root)?;
    let folder = top.folder_beneath(root, inside)?;
    let (names, is_cut) = folder.some_names(MAX_ENTRIES)?;
    let mut listing = ZoneListing {
        is_cut,
        ..ZoneListing::default()
    };
    let mut names: Vec<String> = names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    for name in names {
        let path = format!("{base}{}", utf8_percent_encode(&name, ENCODED));
        match folder.stat(&name) {
            Ok(stat) if stat.is_file => listing.files.push((path, Some(stat.len))),
            Ok(stat) if stat.is_folder => listing.folders.push(path + "/"),
            // A link, or what is no file; or it has gone since.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(listing)
}

async fn list_bucket(bucket: &Bucket, path: &str) -> Result<ZoneListing, SourceError> {
    let prefix = percent_decode_str(path.trim_start_matches('/'));
    let prefix = prefix.decode_utf8_lossy().into_owned();
    let page = bucket.list_folder(&prefix).await?;
    let encoded = |key: &str| format!("/{}", utf8_percent_encode(key, ENCODED));
    // Some programs make an empty object in the place of a folder.
    let objects = page
        .objects
        .iter()
        .filter(|object| !object.key.ends_with('/'));
    Ok(ZoneListing {
        folders: page.folders.iter().map(|key| encoded(key)).collect(),
        files: objects
            .map(|object| (encoded(&object.key), object.size))
            .collect(),
        is_cut: page.next.is_some(),
    })
}
