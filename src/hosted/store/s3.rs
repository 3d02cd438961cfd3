//! A bucket as the store of any number of processes.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use ulid::Ulid;

use crate::bucket;
use crate::bucket::{
    Bucket, BucketError, Conditions, GetResponse, PutCondition, PutOutcome, Timeouts,
};
use crate::hosted::blocking::blocking;
use crate::hosted::error::HostedError;
use crate::hosted::spool::SpooledFile;
use crate::hosted::store::{Condition, Fetched, Listed, OpenError, Put, media_type};

/// How long requests to the bucket may take.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(20),
    total: Duration::from_secs(30),
};
/// How long it may take to store a file, which may be large and its way narrow: the header of the answer comes when all of it has arrived.
const TIMEOUTS_OF_FILES: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(300),
    total: Duration::from_secs(300),
};
/// How long reading an object may take, after its header.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A bucket, below a prefix.
pub(in crate::hosted) struct BucketStore {
    bucket: Bucket,
    /// The same, for files that take long on their way.
    of_files: Bucket,
    /// With a slash at its end, or empty.
    prefix: String,
    /// Whether the bucket ignores conditions, so that they are checked before each write. The writes of one image wait for each other.
    ignores_conditions: AtomicBool,
}

impl BucketStore {
    /// The client of a bucket.
    pub(super) fn new(config: &bucket::Config, prefix: &str) -> Result<Self, HostedError> {
        Ok(BucketStore {
            bucket: Bucket::open(config, TIMEOUTS).map_err(failed)?,
            of_files: Bucket::open(config, TIMEOUTS_OF_FILES).map_err(failed)?,
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            ignores_conditions: AtomicBool::new(false),
        })
    }

    /// From now on the conditions of writes are checked here.
    pub(super) fn check_conditions(&self) {
        self.ignores_conditions.store(true, Ordering::Release);
    }

    pub(super) fn name(&self) -> &str {
        self.bucket.name()
    }

    /// Asks for an object that may be missing, to see whether the bucket is there and lets us in.
    pub(super) async fn reach(&self) -> Result<(), OpenError> {
        let name = format!("{}config.json", self.prefix);
        match self.bucket.get(&name, Conditions::default()).await {
            Ok(_) => {}
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(refused(error)),
        }
        let name = format!("{}probe/{}", self.prefix, Ulid::generate());
        let always = PutCondition::Always;
        let put = self
            .bucket
            .put_if(&name, Bytes::new(), "text/plain", always);
        put.await.map_err(refused)?;
        self.bucket.delete(vec![name]).await.map_err(refused)
    }

    pub(super) fn place(&self) -> String {
        format!("bucket `{}/{}`", self.bucket.name(), self.prefix)
    }

    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Put, HostedError> {
        if self.ignores_conditions.load(Ordering::Acquire)
            && !self.would_hold(key, condition).await?
        {
            return Ok(Put::Refused);
        }
        let condition = match condition {
            Condition::Always => PutCondition::Always,
            Condition::Absent => PutCondition::Absent,
            Condition::Matches(etag) => PutCondition::Matches(etag),
        };
        let name = format!("{}{key}", self.prefix);
        let put = self
            .bucket
            .put_if(&name, bytes, media_type(key), condition)
            .await
            .map_err(failed)?;
        match put {
            PutOutcome::Stored(Some(etag)) => Ok(Put::Stored(etag)),
            PutOutcome::Refused => Ok(Put::Refused),
            // The bucket did not say the tag.
            PutOutcome::Stored(None) => match self.get(key, None).await? {
                Fetched::Object(_, etag) => Ok(Put::Stored(etag)),
                Fetched::Missing | Fetched::Same => Ok(Put::Refused),
            },
        }
    }

    pub(super) async fn put_file(
        &self,
        key: &str,
        file: File,
        length: u64,
    ) -> Result<(), HostedError> {
        let bytes = blocking(move || {
            SpooledFile::read(file, length).map_err(|error| HostedError::Store(error.to_string()))
        })
        .await?;
        self.put_large(key, bytes.into()).await
    }

    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<bool, HostedError> {
        match self.get(from, None).await? {
            Fetched::Object(bytes, _) => self.put_large(to, bytes).await.map(|()| true),
            Fetched::Missing | Fetched::Same => Ok(false),
        }
    }

    async fn put_large(&self, key: &str, bytes: Bytes) -> Result<(), HostedError> {
        let name = format!("{}{key}", self.prefix);
        let (media, always) = (media_type(key), PutCondition::Always);
        let put = self.of_files.put_if(&name, bytes, media, always);
        put.await.map(|_| ()).map_err(failed)
    }

    pub(super) async fn get(&self, key: &str, known: Option<&str>) -> Result<Fetched, HostedError> {
        let name = format!("{}{key}", self.prefix);
        let conditions = Conditions {
            etag: known,
            last_modified: None,
        };
        let object = match self.bucket.get(&name, conditions).await {
            Ok(GetResponse::Object(object)) => object,
            Ok(GetResponse::NotModified(_)) => return Ok(Fetched::Same),
            Err(error) if error.is_missing() => return Ok(Fetched::Missing),
            Err(error) => return Err(failed(error)),
        };
        let etag = object
            .headers
            .get("etag")
            .and_then(|etag| etag.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let read = async {
            let mut bytes = BytesMut::new();
            let mut body = object.body;
            while let Some(part) = body.next().await {
                bytes.extend_from_slice(&part?);
            }
            Ok(bytes.freeze())
        };
        match tokio::time::timeout(READ_TIMEOUT, read).await {
            Ok(bytes) => Ok(Fetched::Object(bytes.map_err(failed)?, etag)),
            Err(_) => Err(HostedError::Store(format!(
                "bucket `{}`: an object did not arrive in time",
                self.bucket.name()
            ))),
        }
    }

    pub(super) async fn delete(&self, keys: Vec<String>) -> Result<(), HostedError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys = keys.iter().map(|key| format!("{}{key}", self.prefix));
        self.bucket.delete(keys.collect()).await.map_err(failed)
    }

    pub(super) fn list(&self, folder: &str, after: Option<&str>) -> Pages<'_> {
        Pages {
            store: self,
            folder: format!("{}{folder}", self.prefix),
            after: after.map(|after| format!("{}{after}", self.prefix)),
            next: Some(None),
        }
    }

    async fn would_hold(&self, key: &str, condition: Condition<'_>) -> Result<bool, HostedError> {
        Ok(match condition {
            Condition::Always => true,
            Condition::Absent => matches!(self.get(key, None).await?, Fetched::Missing),
            Condition::Matches(etag) => match self.get(key, None).await? {
                Fetched::Object(_, now) => now == etag,
                Fetched::Missing | Fetched::Same => false,
            },
        })
    }
}

/// A list of objects.
pub(in crate::hosted) struct Pages<'a> {
    store: &'a BucketStore,
    folder: String,
    after: Option<String>,
    /// Where the next page begins, `Some(None)` for the first.
    next: Option<Option<String>>,
}

impl Pages<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>, HostedError> {
        let Some(next) = self.next.take() else {
            return Ok(None);
        };
        let after = self.after.as_deref().filter(|_| next.is_none());
        let bucket = &self.store.bucket;
        let page = bucket
            .list_objects(&self.folder, after, next.as_deref())
            .await
            .map_err(failed)?;
        self.next = page.next.map(Some);
        let prefix = &self.store.prefix;
        let listed = page.objects.into_iter().filter_map(|object| {
            Some(Listed {
                key: object.key.strip_prefix(prefix.as_str())?.to_owned(),
                etag: object.etag,
                modified: object.modified,
            })
        });
        Ok(Some(listed.collect()))
    }
}

fn failed(error: BucketError) -> HostedError {
    HostedError::Store(error.to_string())
}

/// Why a bucket cannot be used at the start: for good, if somebody must change settings or permissions.
fn refused(error: BucketError) -> OpenError {
    if error.is_for_operator() {
        OpenError::Refused(HostedError::Store(format!(
            "{error} (hosted images need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket)"
        )))
    } else {
        OpenError::Unreachable(failed(error))
    }
}
