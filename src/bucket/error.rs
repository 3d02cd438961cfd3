//! What can go wrong with a bucket.

use std::fmt;

use hyper::HeaderMap;
use hyper::StatusCode;

/// Why a bucket did not do as asked. Displays without secrets, addresses or the bucket's own words.
#[derive(Debug)]
pub struct BucketError {
    /// The configured name of the bucket.
    pub bucket: String,
    /// What went wrong.
    pub problem: BucketProblem,
}

/// What went wrong with a bucket.
#[derive(Debug)]
pub enum BucketProblem {
    /// The settings cannot work.
    Setup(String),
    /// The credential chain holds nothing usable.
    Credentials(String),
    /// The key has an empty segment (`a//b`), begins or ends with a slash, is empty or too long; such objects cannot be asked for.
    UnusableKey,
    /// The bucket answered, and not with an object.
    Status {
        /// As answered.
        status: StatusCode,
        /// S3's word for it (`AccessDenied`), or nothing.
        code: String,
        /// As the bucket sent them.
        headers: Box<HeaderMap>,
    },
    /// The endpoint's name cannot be resolved.
    Dns(String),
    /// No connection.
    Connect(String),
    /// No answer in time.
    Timeout,
    /// The answer stopped early or makes no sense.
    BrokenOff(String),
}

impl BucketError {
    /// The bucket works, and has no such object.
    pub fn is_missing(&self) -> bool {
        match &self.problem {
            BucketProblem::Status { status, code, .. } => {
                *status == StatusCode::NOT_FOUND && code != "NoSuchBucket"
            }
            _ => false,
        }
    }

    /// Trying again is of no use before somebody changes settings or permissions.
    pub fn is_for_operator(&self) -> bool {
        match &self.problem {
            BucketProblem::Setup(_)
            | BucketProblem::Credentials(_)
            | BucketProblem::UnusableKey => true,
            BucketProblem::Status { status, .. } => {
                status.is_redirection() || (status.is_client_error() && status.as_u16() != 429)
            }
            BucketProblem::Dns(_)
            | BucketProblem::Connect(_)
            | BucketProblem::Timeout
            | BucketProblem::BrokenOff(_) => false,
        }
    }
}

impl fmt::Display for BucketError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "bucket `{}`: ", self.bucket)?;
        match &self.problem {
            BucketProblem::Setup(reason) => out.write_str(reason),
            BucketProblem::Credentials(reason) => write!(
                out,
                "{reason}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, give the machine a profile or a role, or set the bucket's \
                 `credentials`"
            ),
            BucketProblem::UnusableKey => {
                out.write_str("a key must have 1 to 1024 bytes and not begin or end with a slash or hold two in a row")
            }
            BucketProblem::Status { status, code, .. } => {
                write!(out, "answered {}", status.as_u16())?;
                if !code.is_empty() {
                    write!(out, " {code}")?;
                }
                match status.as_u16() {
                    300..=399 => out.write_str("; are `region` and `endpoint` those of this bucket?"),
                    401 | 403 => out.write_str("; may these `credentials` do that (to read is s3:GetObject)?"),
                    _ => Ok(()),
                }
            }
            BucketProblem::Dns(reason) => write!(out, "its host cannot be resolved: {reason}"),
            BucketProblem::Connect(reason) => write!(out, "cannot connect: {reason}"),
            BucketProblem::Timeout => out.write_str("no answer in time"),
            BucketProblem::BrokenOff(reason) => write!(out, "the answer broke off: {reason}"),
        }
    }
}

impl std::error::Error for BucketError {}
