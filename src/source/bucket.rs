//! Objects of a bucket as sources.

use std::time::SystemTime;

use futures_util::TryStreamExt;
use hyper::HeaderMap;

use super::FetchContext;
use super::FetchOutcome;
use super::FetchStage;
use super::FetchedSource;
use super::SourceError;
use super::body;
use super::coding::Codings;
use crate::bucket::Bucket;
use crate::bucket::BucketError;
use crate::bucket::BucketProblem;
use crate::bucket::Conditions;
use crate::bucket::GetResponse;
use crate::bucket::Object;
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
    context: FetchContext<'_>,
) -> Result<FetchOutcome, SourceError> {
    let FetchContext { terms, clock, .. } = context;
    let condition = known.map_or_else(Conditions::default, |known| Conditions {
        etag: known.etag.as_deref(),
        last_modified: known.last_modified,
    });
    let fresh = |headers: &HeaderMap| Freshness::of(headers, SystemTime::now(), &terms.rules);
    match clock
        .bound_by_end(FetchStage::FirstByte, bucket.get(key, condition))
        .await??
    {
        GetResponse::NotModified(headers) => {
            let newer = Validators::of(&headers);
            let validators = known.map_or_else(|| newer.clone(), |known| known.renewed_by(&newer));
            Ok(FetchOutcome::NotModified {
                freshness: fresh(&headers),
                validators,
                tags: Tags::of(&headers, &terms.tags),
            })
        }
        GetResponse::Object(Object {
            headers,
            length,
            body,
        }) => {
            let codings = Codings::of(&headers)?;
            let stream = body.map_err(SourceError::from);
            let negative_ttl = freshness::negative_ttl(&headers, SystemTime::now());
            let bytes = body::collect(stream, length, codings, context)
                .await
                .map_err(|error| error.with_negative_ttl(negative_ttl))?;
            let validators = Validators::of(&headers);
            Ok(FetchOutcome::Fetched(FetchedSource {
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
                let negative_ttl = freshness::negative_ttl(headers, SystemTime::now());
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
