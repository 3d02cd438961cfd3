//! Where hosted images are kept: a folder or a bucket. Objects have keys with slashes, and an entity tag that another content does not have.

mod folder;
mod probe;
mod s3;

use std::fs::File;
use std::time::SystemTime;

use bytes::Bytes;

use crate::bucket;
use crate::hosted::error::HostedError;
pub(super) use folder::Folder;
use s3::BucketStore;

/// A store.
pub(super) enum Objects {
    /// A folder of this machine.
    Folder(Folder),
    /// A bucket.
    Bucket(Box<BucketStore>),
}

/// When an object is stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    /// Whatever is there.
    Always,
    /// If there is none.
    Absent,
    /// If the object has this tag.
    Matches(&'a str),
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is stored, with this tag.
    Stored(String),
    /// The condition did not hold.
    Refused,
}

/// What became of a read.
#[derive(Debug)]
pub(super) enum Fetched {
    /// There is no such object.
    Missing,
    /// The object still has the tag that the reader knows.
    Same,
    /// The object and its tag.
    Object(Bytes, String),
}

/// An object in a list.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) etag: String,
    pub(super) modified: Option<SystemTime>,
}

/// Why a store cannot be used.
pub(super) enum OpenError {
    /// With these settings it never can.
    Refused(HostedError),
    /// It does not answer as it should now.
    Unreachable(HostedError),
}

/// A list that is read page by page.
pub(super) enum Lister<'a> {
    Folder(folder::Walk<'a>),
    Bucket(s3::Pages<'a>),
}

impl Objects {
    /// The client of a bucket. No request is sent.
    pub(super) fn open_bucket(config: &bucket::Config, prefix: &str) -> Result<Self, HostedError> {
        let store = BucketStore::new(config, prefix)?;
        Ok(Objects::Bucket(Box::new(store)))
    }

    /// Tries whether the store answers, and whether several processes can share it.
    pub(super) async fn check(&self, replicas: bool) -> Result<(), OpenError> {
        let Objects::Bucket(store) = self else {
            return Ok(());
        };
        store.reach().await?;
        let keeps = probe::keeps_conditions(store).await;
        if keeps.map_err(OpenError::Unreachable)? {
            return Ok(());
        }
        let bucket = store.name();
        if replicas {
            return Err(OpenError::Refused(HostedError::Store(format!(
                "bucket `{bucket}` ignores the conditions of writes (`If-None-Match`, `If-Match`), so `hosted.replicas` must be false"
            ))));
        }
        tracing::warn!(
            bucket,
            "the bucket ignores the conditions of writes, so no other process may use its hosted images"
        );
        store.check_conditions();
        Ok(())
    }

    /// Where it is, for messages and for the index.
    pub(super) fn place(&self) -> String {
        match self {
            Objects::Folder(folder) => folder.place(),
            Objects::Bucket(bucket) => bucket.place(),
        }
    }

    /// Whether it cannot tell `A` from `a`.
    pub(super) fn folds_case(&self) -> bool {
        match self {
            Objects::Folder(folder) => folder.folds_case(),
            Objects::Bucket(_) => false,
        }
    }

    /// Stores a small object.
    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Put, HostedError> {
        match self {
            Objects::Folder(folder) => folder.put(key, bytes, condition).await,
            Objects::Bucket(bucket) => bucket.put(key, bytes, condition).await,
        }
    }

    /// Stores a small object that no other write has the bytes of. A refusal or a failure is not believed before the object is read: an earlier attempt
    /// of the same write may have succeeded. Where nobody knows whether it is stored, that is [`HostedError::Store`].
    pub(super) async fn put_surely(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Put, HostedError> {
        let first = match self.put(key, bytes.clone(), condition).await {
            Ok(Put::Stored(etag)) => return Ok(Put::Stored(etag)),
            first => first,
        };
        match (self.get(key, None).await, first) {
            (Ok(Fetched::Object(found, etag)), first) if found == bytes => match (first, self) {
                // It is in its place, but the disk may lose it.
                (Err(_), Objects::Folder(folder)) => {
                    let again = folder.put(key, bytes, Condition::Matches(&etag));
                    again.await.map_err(HostedError::into_unknown)
                }
                _ => Ok(Put::Stored(etag)),
            },
            (Ok(_), first) => first,
            (Err(_), Err(error)) | (Err(error), Ok(_)) => Err(error.into_unknown()),
        }
    }

    /// Stores the first `length` bytes of a file, whatever is there.
    pub(super) async fn put_file(
        &self,
        key: &str,
        file: File,
        length: u64,
    ) -> Result<(), HostedError> {
        match self {
            Objects::Folder(folder) => folder.put_file(key, file, length).await,
            Objects::Bucket(bucket) => bucket.put_file(key, file, length).await,
        }
    }

    /// Stores the same bytes under another key. Returns false where there are none.
    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<bool, HostedError> {
        match self {
            Objects::Folder(folder) => folder.copy(from, to).await,
            Objects::Bucket(bucket) => bucket.copy(from, to).await,
        }
    }

    /// Reads an object, unless it has the tag `known`.
    pub(super) async fn get(&self, key: &str, known: Option<&str>) -> Result<Fetched, HostedError> {
        match self {
            Objects::Folder(folder) => folder.get(key, known).await,
            Objects::Bucket(bucket) => bucket.get(key, known).await,
        }
    }

    /// Deletes objects. Those that do not exist count as deleted.
    pub(super) async fn delete(&self, keys: Vec<String>) -> Result<(), HostedError> {
        match self {
            Objects::Folder(folder) => folder.delete(keys).await,
            Objects::Bucket(bucket) => bucket.delete(keys).await,
        }
    }

    /// Gives up the room that is kept for deletions, and returns whether there was any. It is free again when files have been removed.
    pub(super) async fn free_reserve(&self) -> bool {
        match self {
            Objects::Folder(folder) => folder.free_reserve().await,
            Objects::Bucket(_) => false,
        }
    }

    /// Keeps room for deletions, unless it is kept already or there is none.
    pub(super) async fn keep_reserve(&self) {
        if let Objects::Folder(folder) = self {
            folder.keep_reserve().await;
        }
    }

    /// Lists what is below the folder `folder`, as in `log/`; of flat folders only what comes after the key `after`.
    pub(super) fn list<'a>(&'a self, folder: &str, after: Option<&str>) -> Lister<'a> {
        match self {
            Objects::Folder(store) => Lister::Folder(store.list(folder)),
            Objects::Bucket(store) => Lister::Bucket(store.list(folder, after)),
        }
    }
}

impl Lister<'_> {
    /// Some more objects, in no order; `None` at the end. After an error there is nothing more to ask.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>, HostedError> {
        match self {
            Lister::Folder(walk) => walk.next().await,
            Lister::Bucket(pages) => pages.next().await,
        }
    }
}

/// The media type of an object by the extension of its key.
fn media_type(key: &str) -> &'static str {
    let extension = key.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "json" => "application/json",
        "jxl" => "image/jxl",
        "heic" | "heif" => "image/heic",
        _ => mime_guess::from_ext(extension)
            .first_raw()
            .unwrap_or("application/json"),
    }
}

#[cfg(test)]
mod tests;
