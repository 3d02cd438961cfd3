//! Why a source could not be fetched. Errors that may be answered differently have variants of their own.

use std::fmt;
use std::io;
use std::time::Duration;

use hyper::StatusCode;

use crate::bucket::{BucketError, BucketProblem};
use crate::deadline::Timeout;
use crate::policy::Denial;

/// Why a source could not be fetched. The message is for logs: it names hosts and buckets.
#[derive(Debug)]
pub enum SourceError {
    /// The origin has no such resource (404, 410), or the folder has no such file.
    NotFound {
        /// How long this may be cached at most, if the origin says.
        negative_ttl: Option<Duration>,
    },
    /// The origin answered 400.
    BadRequest(OriginStatus),
    /// The origin answered 408.
    RequestTimeout(OriginStatus),
    /// The origin answered another 4xx: 401 and 403 are the common ones.
    ClientError(OriginStatus),
    /// The origin answered 5xx.
    ServerError(OriginStatus),
    /// The origin answered with neither a source nor an error: 204, a part of the source (206), or a 304 to an unconditional request.
    BadStatus(OriginStatus),
    /// The origin's name cannot be resolved.
    Dns {
        /// The host, or the bucket's configured name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No connection to the origin: refused, unreachable, or its certificate is not valid.
    Connect {
        /// The host, or the bucket's configured name.
        host: String,
        /// The cause.
        reason: String,
    },
    /// The origin is at an address that the egress policy denies.
    PrivateAddress {
        /// The host of the URL.
        host: String,
    },
    /// The origin was too slow.
    Timeout(FetchStage),
    /// The response ended early or is not HTTP.
    BrokenOff(String),
    /// The content has an unsupported content coding, or cannot be decoded.
    Coding(String),
    /// The source is larger than allowed.
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
        /// How long this may be cached at most, if the origin says.
        negative_ttl: Option<Duration>,
    },
    /// The first bytes show that it is no picture, so the rest was not fetched.
    NotAPicture {
        /// The name of its format, if that is recognised.
        name: Option<&'static str>,
        /// How long this may be cached at most, if the origin says.
        negative_ttl: Option<Duration>,
    },
    /// More redirects than are followed.
    TooManyRedirects {
        /// How many are followed.
        limit: u32,
    },
    /// A redirect without a `Location`, or to something other than an HTTP URL.
    BadRedirect {
        /// The origin that redirects.
        host: String,
    },
    /// A redirect to a URL that the allowlist denies.
    RedirectDenied(Denial),
    /// The bucket cannot be used: because of settings or credentials, or because no object can have the key.
    Bucket(BucketError),
    /// An approved source names a bucket that is not configured.
    UnknownBucket(String),
    /// The file exists but cannot be read, or the folder is gone.
    Unreadable(io::Error),
    /// Too many sources are fetched or in memory at once.
    Busy(BusyReason),
}

/// What was missing for another fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusyReason {
    /// A connection to this origin.
    Connections,
    /// A slot among all fetches.
    Fetches,
    /// Memory for sources.
    Memory,
}

impl BusyReason {
    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            BusyReason::Connections => "connections",
            BusyReason::Fetches => "fetches",
            BusyReason::Memory => "memory",
        }
    }
}

/// A status with which an origin answered instead of a source.
#[derive(Debug)]
pub struct OriginStatus {
    /// The status.
    pub status: StatusCode,
    /// Who answered, with details.
    pub text: String,
}

/// The stages of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchStage {
    /// A connection.
    Connect,
    /// The header of the response.
    FirstByte,
    /// The content.
    Body,
}

impl SourceError {
    /// Whether the origin failed, so that a stale source is better than this error (RFC 5861 section 4: 500, 502, 503, 504, or no response). That a
    /// source is gone, forbidden or unusable is no outage: it is the origin's answer.
    pub fn is_outage(&self) -> bool {
        match self {
            // A rate limit says nothing about the source.
            SourceError::ClientError(origin) => origin.status == StatusCode::TOO_MANY_REQUESTS,
            SourceError::RequestTimeout(_) => true,
            // A request loop: the origin itself works.
            SourceError::ServerError(origin) => origin.status != StatusCode::LOOP_DETECTED,
            SourceError::BadStatus(_)
            | SourceError::Dns { .. }
            | SourceError::Connect { .. }
            | SourceError::Timeout(_)
            | SourceError::BrokenOff(_)
            | SourceError::Coding(_) => true,
            // Not the origin's fault, but a stale source is better than none.
            SourceError::Busy(_) => true,
            SourceError::Bucket(error) => match error.problem {
                // Without valid credentials nothing is known about the object.
                BucketProblem::Setup(_)
                | BucketProblem::Credentials(_)
                | BucketProblem::Status { .. }
                | BucketProblem::Dns(_)
                | BucketProblem::Connect(_)
                | BucketProblem::Timeout
                | BucketProblem::BrokenOff(_) => true,
                BucketProblem::UnusableKey => false,
            },
            SourceError::Unreadable(error) => error.kind() != io::ErrorKind::PermissionDenied,
            SourceError::NotFound { .. }
            | SourceError::BadRequest(_)
            | SourceError::PrivateAddress { .. }
            | SourceError::TooLarge { .. }
            | SourceError::NotAPicture { .. }
            | SourceError::TooManyRedirects { .. }
            | SourceError::BadRedirect { .. }
            | SourceError::RedirectDenied(_)
            | SourceError::UnknownBucket(_) => false,
        }
    }

    /// How long the origin allows this error to be cached. `None` if it does not say, and for errors that are never cached.
    pub fn negative_ttl(&self) -> Option<Duration> {
        match self {
            SourceError::NotFound { negative_ttl }
            | SourceError::TooLarge { negative_ttl, .. }
            | SourceError::NotAPicture { negative_ttl, .. } => *negative_ttl,
            SourceError::BadRequest(_)
            | SourceError::RequestTimeout(_)
            | SourceError::ClientError(_)
            | SourceError::ServerError(_)
            | SourceError::BadStatus(_)
            | SourceError::Dns { .. }
            | SourceError::Connect { .. }
            | SourceError::PrivateAddress { .. }
            | SourceError::Timeout(_)
            | SourceError::BrokenOff(_)
            | SourceError::Coding(_)
            | SourceError::TooManyRedirects { .. }
            | SourceError::BadRedirect { .. }
            | SourceError::RedirectDenied(_)
            | SourceError::Bucket(_)
            | SourceError::UnknownBucket(_)
            | SourceError::Unreadable(_)
            | SourceError::Busy(_) => None,
        }
    }

    /// This error with the time that its origin allows it to be cached.
    pub(super) fn with_negative_ttl(self, negative_ttl: Option<Duration>) -> Self {
        match self {
            SourceError::NotFound { .. } => SourceError::NotFound { negative_ttl },
            SourceError::TooLarge { limit, .. } => SourceError::TooLarge {
                limit,
                negative_ttl,
            },
            SourceError::NotAPicture { name, .. } => {
                SourceError::NotAPicture { name, negative_ttl }
            }
            other => other,
        }
    }

    /// The error for a response with `status`; `text` says who answered.
    pub(super) fn of_status(status: StatusCode, text: String) -> Self {
        let origin = OriginStatus { status, text };
        match status.as_u16() {
            404 | 410 => SourceError::NotFound { negative_ttl: None },
            400 => SourceError::BadRequest(origin),
            408 => SourceError::RequestTimeout(origin),
            401..500 => SourceError::ClientError(origin),
            500..600 => SourceError::ServerError(origin),
            _ => SourceError::BadStatus(origin),
        }
    }
}

impl From<Timeout<FetchStage>> for SourceError {
    fn from(Timeout(stage): Timeout<FetchStage>) -> Self {
        SourceError::Timeout(stage)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::NotFound { .. } => out.write_str("source not found"),
            SourceError::BadRequest(origin)
            | SourceError::RequestTimeout(origin)
            | SourceError::ClientError(origin)
            | SourceError::ServerError(origin)
            | SourceError::BadStatus(origin) => out.write_str(&origin.text),
            SourceError::Dns { host, reason } => {
                write!(out, "origin `{host}` cannot be resolved: {reason}")
            }
            SourceError::Connect { host, reason } => {
                write!(out, "cannot connect to origin `{host}`: {reason}")
            }
            SourceError::PrivateAddress { host } => write!(
                out,
                "origin `{host}` is at a private or reserved address, which the egress policy denies (`fetch.private_networks` opens private addresses only)"
            ),
            SourceError::Timeout(stage) => {
                write!(out, "the origin was too slow: no {stage} in time")
            }
            SourceError::BrokenOff(reason) => {
                write!(out, "the origin's response broke off: {reason}")
            }
            SourceError::Coding(reason) => {
                write!(out, "the origin's content cannot be decoded: {reason}")
            }
            SourceError::TooLarge { limit, .. } => {
                write!(out, "the source is larger than the limit of {limit} bytes")
            }
            SourceError::NotAPicture { name: None, .. } => {
                out.write_str("the source is not an image by its first bytes")
            }
            SourceError::NotAPicture {
                name: Some(name), ..
            } => {
                write!(out, "the source is {name} by its first bytes")
            }
            SourceError::TooManyRedirects { limit } => {
                write!(out, "the origin redirects more than {limit} times")
            }
            SourceError::BadRedirect { host } => {
                write!(out, "origin `{host}` redirects without a valid `Location`")
            }
            SourceError::RedirectDenied(denied) => {
                write!(
                    out,
                    "the origin redirects to a source that is not allowed: {denied}"
                )
            }
            SourceError::Bucket(error) => error.fmt(out),
            SourceError::UnknownBucket(name) => write!(out, "no [[bucket]] has the name `{name}`"),
            SourceError::Unreadable(error) => write!(out, "the file cannot be read: {error}"),
            SourceError::Busy(reason) => out.write_str(match reason {
                BusyReason::Connections => {
                    "no free connection in time: all of `fetch.connections_per_origin` are in use"
                }
                BusyReason::Fetches => {
                    "no free slot in time: all of `fetch.concurrency` are in use"
                }
                BusyReason::Memory => "no free memory in time: all of `fetch.memory` is in use",
            }),
        }
    }
}

impl std::error::Error for SourceError {}

impl fmt::Display for FetchStage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            FetchStage::Connect => "connection",
            FetchStage::FirstByte => "response",
            FetchStage::Body => "content",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use hyper::StatusCode;

    use super::BusyReason;
    use super::FetchStage;
    use super::SourceError;
    use crate::bucket::{BucketError, BucketProblem};
    use crate::policy::Denial;

    fn of(status: u16) -> SourceError {
        let status = status.try_into().expect("three digits");
        SourceError::of_status(status, String::new())
    }

    fn bucket(problem: BucketProblem) -> SourceError {
        SourceError::Bucket(BucketError {
            bucket: "photos".to_owned(),
            problem,
        })
    }

    #[test]
    fn server_errors_are_outages_and_client_errors_are_not() {
        for code in [408, 429, 500, 502, 503, 504, 520, 530, 204, 206, 304] {
            assert!(of(code).is_outage(), "{code}");
        }
        for code in [400, 401, 403, 404, 410, 418, 451, 508] {
            assert!(!of(code).is_outage(), "{code}");
        }
    }

    #[test]
    fn no_response_is_an_outage_and_a_denial_is_not() {
        let text = String::new;
        let outages = [
            SourceError::Dns {
                host: text(),
                reason: text(),
            },
            SourceError::Connect {
                host: text(),
                reason: text(),
            },
            SourceError::Timeout(FetchStage::Body),
            SourceError::BrokenOff(text()),
            SourceError::Coding(text()),
            SourceError::Busy(BusyReason::Memory),
            SourceError::Unreadable(io::ErrorKind::NotFound.into()),
            bucket(BucketProblem::Credentials(text())),
            bucket(BucketProblem::Status {
                status: StatusCode::FORBIDDEN,
                code: "ExpiredToken".to_owned(),
                headers: Box::default(),
            }),
        ];
        for error in outages {
            assert!(error.is_outage(), "{error:?}");
        }
        let answers = [
            SourceError::PrivateAddress { host: text() },
            SourceError::TooLarge {
                limit: 1,
                negative_ttl: None,
            },
            SourceError::NotAPicture {
                name: None,
                negative_ttl: None,
            },
            SourceError::TooManyRedirects { limit: 1 },
            SourceError::BadRedirect { host: text() },
            SourceError::RedirectDenied(Denial::PathNotAllowed),
            SourceError::UnknownBucket(text()),
            SourceError::Unreadable(io::ErrorKind::PermissionDenied.into()),
            bucket(BucketProblem::UnusableKey),
        ];
        for error in answers {
            assert!(!error.is_outage(), "{error:?}");
        }
    }
}
