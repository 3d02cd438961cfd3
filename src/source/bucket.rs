//! Objects of a bucket as sources.

use std::time::SystemTime;

use futures_util::TryStreamExt;
use hyper::HeaderMap;

use super::Answer;
use super::Asking;
use super::Fetched;
use super::SourceError;
use super::Stage;
use super::body;
use super::coding::Codings;
use crate::bucket::Bucket;
use crate::bucket::BucketError;
use crate::bucket::BucketProblem;
use crate::bucket::Known;
use crate::bucket::Object;
use crate::bucket::Reply;
use crate::freshness;
use crate::freshness::Freshness;
use crate::freshness::Tags;
use crate::freshness::Validators;

/// S3's words for keys that nobody has, that do not fit together, or whose time is over.
const REFUSED_KEYS: [&str; 7] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "NotSignedUp",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// Reads the object `key`, or learns that it is still what is known.
pub(super) async fn fetch(
    bucket: &Bucket,
    key: &str,
    known: Option<&Validators>,
    asking: Asking<'_>,
) -> Result<Answer, SourceError> {
    let Asking { terms, clock, .. } = asking;
    let condition = known.map_or_else(Known::default, |known| Known {
        etag: known.etag.as_deref(),
        last_modified: known.last_modified,
    });
    let fresh = |headers: &HeaderMap| Freshness::of(headers, SystemTime::now(), &terms.rules);
    match clock
        .bound_by_end(Stage::FirstByte, bucket.get(key, condition))
        .await??
    {
        Reply::NotModified(headers) => {
            let newer = Validators::of(&headers);
            let validators = known.map_or_else(|| newer.clone(), |known| known.renewed_by(&newer));
            Ok(Answer::NotModified {
                freshness: fresh(&headers),
                validators,
                tags: Tags::of(&headers, &terms.tags),
            })
        }
        Reply::Object(Object {
            headers,
            length,
            body,
        }) => {
            let codings = Codings::of(&headers)?;
            let stream = body.map_err(SourceError::from);
            let holds = freshness::holds(&headers, SystemTime::now());
            let bytes = body::collect(stream, length, codings, asking)
                .await
                .map_err(|error| error.holding(holds))?;
            let validators = Validators::of(&headers);
            Ok(Answer::Fetched(Fetched {
                bytes,
                validators,
                freshness: fresh(&headers),
                tags: Tags::of(&headers, &terms.tags),
            }))
        }
    }
}

impl From<BucketError> for SourceError {
    fn from(error: BucketError) -> Self {
        match error.problem {
            BucketProblem::Setup(_)
            | BucketProblem::Credentials(_)
            | BucketProblem::UnusableKey => SourceError::Bucket(error),
            // It is our keys that are refused, not this object: the operator's mistake and not the client's.
            BucketProblem::Status { ref code, .. } if REFUSED_KEYS.contains(&code.as_str()) => {
                SourceError::Bucket(error)
            }
            BucketProblem::Status {
                status,
                ref headers,
                ..
            } => {
                let holds = freshness::holds(headers, SystemTime::now());
                SourceError::of_status(status, error.to_string()).holding(holds)
            }
            BucketProblem::Dns(reason) => SourceError::Dns {
                host: error.bucket,
                reason,
            },
            BucketProblem::Connect(reason) => SourceError::Connect {
                host: error.bucket,
                reason,
            },
            BucketProblem::Timeout => SourceError::Timeout(Stage::FirstByte),
            BucketProblem::BrokenOff(reason) => SourceError::BrokenOff(reason),
        }
    }
}
