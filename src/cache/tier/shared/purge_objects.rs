//! The objects that purges are published in: how they are called, what is in them, and how they are written, read, listed and deleted.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::bucket::Bucket;
use crate::bucket::BucketError;
use crate::bucket::BucketProblem;
use crate::cache::purge::log::FARTHEST;
use crate::cache::purge::log::PurgeEvent;
use crate::cache::tier::shared::read_object;

/// How long one request may take. Nobody but an operator waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest object that is read, in bytes: some ten thousand purges.
const LONGEST: u64 = 4 << 20;

pub(crate) struct PurgeObjects {
    bucket: Arc<Bucket>,
    /// Ends with a slash.
    folder: String,
}

impl PurgeObjects {
    /// `folder` begins the names of all objects here.
    pub(crate) fn new(bucket: Arc<Bucket>, folder: String) -> Self {
        PurgeObjects { bucket, folder }
    }

    /// The names of all objects, or of those after a name.
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

    /// Thousands at once take their time.
    pub(crate) async fn delete_many(&self, names: &[String]) -> Result<(), BucketError> {
        let keys = names.iter().map(|name| self.key(name)).collect();
        self.bucket.delete(keys).await
    }

    /// The events of an object; `None` if it is gone.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Vec<PurgeEvent>>, BucketError> {
        let key = self.key(name);
        match self.bounded(read_object(&self.bucket, &key, LONGEST)).await {
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
        match timeout(PATIENCE, work).await {
            Ok(done) => done,
            Err(_) => Err(BucketError {
                bucket: self.bucket.name().to_owned(),
                problem: BucketProblem::Timeout,
            }),
        }
    }

    /// An error that no request met.
    pub(crate) fn broken(&self, reason: &str) -> BucketError {
        BucketError {
            bucket: self.bucket.name().to_owned(),
            problem: BucketProblem::BrokenOff(reason.to_owned()),
        }
    }
}

/// A name for an object whose last event has this number.
pub(crate) fn name_of(number: u64) -> String {
    format!("{number:020}-{:016x}", random())
}

fn lines(events: &[PurgeEvent]) -> Vec<u8> {
    let mut text = Vec::new();
    for event in events {
        // Plain data: this cannot fail.
        if serde_json::to_writer(&mut text, event).is_ok() {
            text.push(b'\n');
        }
    }
    text
}

/// The number in a name; `None` if it is no name of ours. A number that no purge can have would come after all purges that follow.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let (number, random) = name.split_once('-')?;
    let is_ours = number.len() == 20 && random.len() == 16;
    let is_ours = is_ours && number.bytes().all(|digit| digit.is_ascii_digit());
    let number = number.parse().ok().filter(|number| *number <= FARTHEST);
    number.filter(|_| is_ours)
}

/// The standard library seeds these from the system.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
