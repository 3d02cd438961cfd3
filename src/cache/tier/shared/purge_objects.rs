//! The objects in which purges are published: their names and their content, and how they are written, read, listed and deleted.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::bucket::{Bucket, BucketError, BucketProblem};
use crate::cache::purge::log::{MAX_NUMBER, PurgeEvent};
use crate::cache::tier::shared::object::read_object;

/// How long one request may take. Only operators wait for it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest object that is read, in bytes: about ten thousand purges.
const MAX_OBJECT_BYTES: u64 = 4 << 20;

pub(crate) struct PurgeObjects {
    bucket: Arc<Bucket>,
    /// Ends with a slash.
    folder: String,
}

impl PurgeObjects {
    /// The names of all objects begin with `folder`.
    pub(crate) fn new(bucket: Arc<Bucket>, folder: String) -> Self {
        PurgeObjects { bucket, folder }
    }

    /// The names of all objects, or of those after `after`.
    pub(crate) async fn names(&self, after: Option<&str>) -> Result<BTreeSet<String>, BucketError> {
        let mut listed = BTreeSet::new();
        let mut after = after.map(|after| self.key(after));
        loop {
            let list = self.bucket.list(&self.folder, after.as_deref());
            let page = self.bounded(list).await?;
            let Some(last) = page.last() else {
                return Ok(listed);
            };
            after = Some(last.clone());
            let names = page.iter().filter_map(|key| key.strip_prefix(&self.folder));
            listed.extend(
                names
                    .filter(|name| number_of(name).is_some())
                    .map(str::to_owned),
            );
        }
    }

    pub(crate) async fn write(&self, name: &str, events: &[PurgeEvent]) -> Result<(), BucketError> {
        self.put(name, lines(events)).await
    }

    pub(crate) async fn put(&self, name: &str, text: Vec<u8>) -> Result<(), BucketError> {
        let key = self.key(name);
        self.bounded(self.bucket.put(&key, vec![text.into()])).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.bounded(self.bucket.delete(vec![self.key(name)])).await
    }

    /// Has no timeout of its own, because thousands of objects take long.
    pub(crate) async fn delete_many(&self, names: &[String]) -> Result<(), BucketError> {
        let keys = names.iter().map(|name| self.key(name)).collect();
        self.bucket.delete(keys).await
    }

    /// The events in an object; `None` if it does not exist.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Vec<PurgeEvent>>, BucketError> {
        let key = self.key(name);
        match self
            .bounded(read_object(&self.bucket, &key, MAX_OBJECT_BYTES))
            .await
        {
            Ok(text) => {
                let lines = text.split(|byte| *byte == b'\n');
                let lines = lines.filter(|line| !line.is_empty());
                let events: Vec<PurgeEvent> = lines
                    .filter_map(|line| serde_json::from_slice(line).ok())
                    .collect();
                if events.is_empty() {
                    tracing::warn!(
                        name,
                        "an object in the purge folder of the shared bucket is not a purge"
                    );
                }
                Ok(Some(events))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        match timeout(REQUEST_TIMEOUT, work).await {
            Ok(done) => done,
            Err(_) => Err(BucketError {
                bucket: self.bucket.name().to_owned(),
                problem: BucketProblem::Timeout,
            }),
        }
    }

    /// An error that is not the result of a request.
    pub(crate) fn broken(&self, reason: &str) -> BucketError {
        BucketError {
            bucket: self.bucket.name().to_owned(),
            problem: BucketProblem::BrokenOff(reason.to_owned()),
        }
    }
}

/// A new name for an object whose last event has this number.
pub(crate) fn name_of(number: u64) -> String {
    format!("{number:020}-{:016x}", random())
}

fn lines(events: &[PurgeEvent]) -> Vec<u8> {
    let mut text = Vec::new();
    for event in events {
        // These are plain data, which can always be serialized.
        if serde_json::to_writer(&mut text, event).is_ok() {
            text.push(b'\n');
        }
    }
    text
}

/// The number in a name; `None` for any other name. A number above the largest possible one is refused, because it would come after all later purges.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let (number, random) = name.split_once('-')?;
    let is_ours = number.len() == 20 && random.len() == 16;
    let is_ours = is_ours && number.bytes().all(|digit| digit.is_ascii_digit());
    let number = number.parse().ok().filter(|number| *number <= MAX_NUMBER);
    number.filter(|_| is_ours)
}

/// `RandomState` is seeded by the system.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
