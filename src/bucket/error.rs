//! Errors of buckets.

use std::fmt;

use hyper::HeaderMap;
use hyper::StatusCode;

/// Why a request to a bucket failed. The message holds no secrets, no addresses and no text of the response.
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
    /// The credential chain has no usable credentials.
    Credentials(String),
    /// The key is empty or too long, or has control characters or a segment `.` or `..`. Such objects cannot be requested.
    UnusableKey,
    /// The bucket answered with another status.
    Status {
        /// The status.
        status: StatusCode,
        /// The error code of S3 (`AccessDenied`), or empty.
        code: String,
        /// The header of the response.
        headers: Box<HeaderMap>,
    },
    /// The host of the endpoint cannot be resolved.
    Dns(String),
    /// No connection to the endpoint.
    Connect(String),
    /// No response in time.
    Timeout,
    /// The response ended early or is not what S3 sends.
    BrokenOff(String),
}

impl BucketError {
    /// Whether the bucket works but has no such object.
    pub fn is_missing(&self) -> bool {
        match &self.problem {
            BucketProblem::Status { status, code, .. } => {
                *status == StatusCode::NOT_FOUND && code != "NoSuchBucket"
            }
            _ => false,
        }
    }

    /// Whether somebody must change settings or permissions before another request can succeed.
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
                out.write_str("an object key must have 1 to 1024 bytes, no control characters, and no `.` or `..` between its slashes")
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
            BucketProblem::Timeout => out.write_str("no response in time"),
            BucketProblem::BrokenOff(reason) => write!(out, "the response broke off: {reason}"),
        }
    }
}

impl std::error::Error for BucketError {}
