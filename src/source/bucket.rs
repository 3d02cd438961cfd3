//! Objects of a bucket as sources.

use std::time::SystemTime;

use futures_util::TryStreamExt;

use crate::bucket::{Bucket, BucketError, BucketProblem, Conditions, GetResponse, Object};
use crate::freshness::{Validators, negative_ttl};
use crate::source::body;
use crate::source::context::FetchContext;
use crate::source::error::{FetchStage, SourceError};
use crate::source::outcome::{FetchOutcome, Metadata};

/// The error codes of S3 for access keys that do not exist, do not match or have expired, and for a bucket that does not exist.
const WRONG_SETTINGS: [&str; 8] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "NoSuchBucket",
    "NotSignedUp",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// Fetches the object `key`, unless it still matches the validators `known`.
pub(super) async fn fetch(
    bucket: &Bucket,
    key: &str,
    known: Option<&Validators>,
    context: FetchContext<'_>,
) -> Result<FetchOutcome, SourceError> {
    let conditions = known.map_or_else(Conditions::default, |known| Conditions {
        etag: known.etag.as_deref(),
        last_modified: known.last_modified,
    });
    let response = bucket.get(key, conditions);
    let response = context.deadline.bound(FetchStage::FirstByte, response);
    match response.await?? {
        GetResponse::NotModified(headers) => {
            Ok(Metadata::of(&headers, context.rules).not_modified(known))
        }
        GetResponse::Object(Object {
            headers,
            length,
            body,
        }) => {
            let content = body.map_err(SourceError::from);
            body::receive(&headers, length, content, context).await
        }
    }
}

impl From<BucketError> for SourceError {
    fn from(error: BucketError) -> Self {
        match error.problem {
            BucketProblem::Setup(_)
            | BucketProblem::Credentials(_)
            | BucketProblem::UnusableKey => SourceError::Bucket(error),
            // The bucket refuses the configured credentials and not this object: the operator's mistake and not the client's.
            BucketProblem::Status { ref code, .. } if WRONG_SETTINGS.contains(&code.as_str()) => {
                SourceError::Bucket(error)
            }
            BucketProblem::Status {
                status,
                ref headers,
                ..
            } => {
                let negative_ttl = negative_ttl(headers, SystemTime::now());
                SourceError::of_status(status, error.to_string()).with_negative_ttl(negative_ttl)
            }
            BucketProblem::Dns(reason) => SourceError::Dns {
                host: error.bucket,
                reason,
            },
            BucketProblem::Connect(reason) => SourceError::Connect {
                host: error.bucket,
                reason,
            },
            BucketProblem::Timeout => SourceError::Timeout(FetchStage::FirstByte),
            BucketProblem::BrokenOff(reason) => SourceError::BrokenOff(reason),
        }
    }
}
