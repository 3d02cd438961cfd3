//! The store of hosted images as an origin.

use crate::policy::HostedStore;
use crate::source::folder::FolderOrigin;

/// The store of hosted images.
pub(super) enum HostedOrigin {
    Off,
    Folder(FolderOrigin),
    Bucket { name: String, prefix: String },
}

impl HostedOrigin {
    pub(super) fn of(store: &HostedStore) -> Self {
        match store {
            HostedStore::Off => HostedOrigin::Off,
            HostedStore::Folder(folder) => HostedOrigin::Folder(FolderOrigin::new(folder)),
            HostedStore::Bucket { name, prefix } => HostedOrigin::Bucket {
                name: name.clone(),
                prefix: prefix.clone(),
            },
        }
    }
}

/// The path of a file in the folder. Keys hold no characters that have to be encoded.
pub(super) fn path(key: &str) -> String {
    format!("/{key}")
}

/// The key of an object in the bucket.
pub(super) fn key(prefix: &str, key: &str) -> String {
    match prefix {
        "" => key.to_owned(),
        prefix => format!("{prefix}/{key}"),
    }
}
