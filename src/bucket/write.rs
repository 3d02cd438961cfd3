//! Writes with a condition, and lists with what is known of each object.

use bytes::Bytes;
use hyper::StatusCode;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore, PutMode, PutOptions, PutPayload, UpdateVersion,
};

use crate::bucket::http::Capture;
use crate::bucket::listing::Listing;
use crate::bucket::reader::ListPage;
use crate::bucket::{Bucket, BucketError, BucketProblem};

/// When an object is stored.
#[derive(Clone, Copy, Debug)]
pub enum PutCondition<'a> {
    /// Whatever is there.
    Always,
    /// If there is no object with this key.
    Absent,
    /// If the object has this entity tag, which has its quotes.
    Matches(&'a str),
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is stored, with this entity tag if the bucket told it.
    Stored(Option<String>),
    /// The condition did not hold. Or it did, and this is the answer to the second of two attempts, of which the first was stored: who must know
    /// reads the object. Or another write was under way.
    Refused,
}

impl Bucket {
    /// Stores an object if a condition holds. Buckets that know no conditions store it always.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong. The object may have been stored nevertheless.
    pub async fn put_if(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: &'static str,
        condition: PutCondition<'_>,
    ) -> Result<PutOutcome, BucketError> {
        let path: Path = self.path(key)?;
        let capture = Capture::default();
        let mut options = PutOptions {
            mode: match condition {
                PutCondition::Always => PutMode::Overwrite,
                PutCondition::Absent => PutMode::Create,
                PutCondition::Matches(etag) => PutMode::Update(UpdateVersion {
                    e_tag: Some(etag.to_owned()),
                    version: None,
                }),
            },
            attributes: Attributes::from_iter([(Attribute::ContentType, content_type)]),
            ..PutOptions::default()
        };
        options.extensions.insert(capture.clone());
        let payload = PutPayload::from(bytes);
        let error = match self.store.put_opts(&path, payload, options).await {
            Ok(put) => return Ok(PutOutcome::Stored(put.e_tag)),
            Err(error) => self.failed(&error, capture.take()),
        };
        match (condition, &error.problem) {
            (PutCondition::Always, _) => Err(error),
            (
                _,
                BucketProblem::Status {
                    status:
                        StatusCode::PRECONDITION_FAILED
                        | StatusCode::CONFLICT
                        | StatusCode::NOT_MODIFIED,
                    ..
                },
            ) => Ok(PutOutcome::Refused),
            (PutCondition::Matches(_), _) if error.is_missing() => Ok(PutOutcome::Refused),
            _ => Err(error),
        }
    }

    /// A page of the list of objects whose keys start with `prefix`: the one at `next`, or else the one that follows the key `after`.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong.
    pub async fn list_objects(
        &self,
        prefix: &str,
        after: Option<&str>,
        next: Option<&str>,
    ) -> Result<Listing, BucketError> {
        let page = ListPage {
            prefix,
            after,
            next,
            delimiter: None,
        };
        self.page(page).await
    }
}
