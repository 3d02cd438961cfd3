//! Why there is no source, told apart as far as anyone may want to answer differently.

use std::fmt;
use std::io;
use std::time::Duration;

use hyper::StatusCode;

use crate::bucket::BucketError;
use crate::bucket::BucketProblem;
use crate::policy::Denial;

/// Why there is no source. The text is for logs: it names hosts and buckets.
#[derive(Debug)]
pub enum SourceError {
    /// The origin has no such thing (404, 410), or the folder no such file.
    NotFound {
        /// For how long at most that may be told again, where the origin says.
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
    /// The origin answered what is neither an image nor an error: a part of one (206), 204, a 304 that nobody asked for.
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
        /// What went wrong underneath.
        reason: String,
    },
    /// The origin lives at an address that is off limits.
    PrivateAddress {
        /// The host as asked for.
        host: String,
    },
    /// The origin was too slow.
    Timeout(FetchStage),
    /// The answer ended early or is not HTTP.
    BrokenOff(String),
    /// The content is coded in a way that is not undone, or not as it says.
    Coding(String),
    /// The source is larger than allowed.
    TooLarge {
        /// What is allowed, in bytes.
        limit: u64,
        /// For how long at most that may be told again, where the origin says.
        negative_ttl: Option<Duration>,
    },
    /// One redirect more than are followed.
    TooManyRedirects {
        /// How many are followed.
        limit: u32,
    },
    /// A redirect to nowhere: no `Location`, or none that is an HTTP URL.
    BadRedirect {
        /// Who sent it.
        host: String,
    },
    /// A redirect to where sources may not come from.
    RedirectDenied(Denial),
    /// The bucket cannot be asked: settings, credentials, or a key of a form that cannot be asked for.
    Bucket(BucketError),
    /// An approved source names a bucket that is not configured.
    UnknownBucket(String),
    /// The file exists and cannot be read, or the folder is gone.
    Unreadable(io::Error),
    /// Too many sources are fetched or held at once.
    Busy(BusyReason),
}

/// What there was too little of for another fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusyReason {
    /// Connections to this origin.
    Connections,
    /// Fetches at once.
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

/// An answer that is not a source.
#[derive(Debug)]
pub struct OriginStatus {
    /// As answered.
    pub status: StatusCode,
    /// Who answered, and what more is known about it.
    pub text: String,
}

/// What was waited for when a timeout struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchStage {
    /// A connection.
    Connect,
    /// The head of the answer.
    FirstByte,
    /// The content.
    Body,
}

impl SourceError {
    /// Whether the origin failed, so that an older state of the source is better than this (RFC 5861 section 4: 500, 502, 503, 504, or no
    /// answer). That the source is gone, refused or unfit is an answer, and counts.
    pub fn is_outage(&self) -> bool {
        match self {
            // One that has no time for us says nothing about the source.
            SourceError::ClientError(origin) => origin.status == StatusCode::TOO_MANY_REQUESTS,
            SourceError::RequestTimeout(_) => true,
            // What leads back to us has not failed.
            SourceError::ServerError(origin) => origin.status != StatusCode::LOOP_DETECTED,
            SourceError::BadStatus(_)
            | SourceError::Dns { .. }
            | SourceError::Connect { .. }
            | SourceError::Timeout(_)
            | SourceError::BrokenOff(_)
            | SourceError::Coding(_) => true,
            // Not its fault, but an older state is better than none, and waiting for it would not help those who wait.
            SourceError::Busy(_) => true,
            SourceError::Bucket(error) => match error.problem {
                // Nobody is asked without keys, and nobody answers to wrong ones; the object may be as it was.
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
            | SourceError::TooManyRedirects { .. }
            | SourceError::BadRedirect { .. }
            | SourceError::RedirectDenied(_)
            | SourceError::UnknownBucket(_) => false,
        }
    }

    /// For how long at most the origin lets this be told again; `None` where it does not say, or where that does not matter, because such errors are
    /// never told again.
    pub fn negative_ttl(&self) -> Option<Duration> {
        match self {
            SourceError::NotFound { negative_ttl } | SourceError::TooLarge { negative_ttl, .. } => {
                *negative_ttl
            }
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

    /// This error, from an answer that may be told again for no longer than its origin says.
    pub(super) fn with_negative_ttl(self, negative_ttl: Option<Duration>) -> Self {
        match self {
            SourceError::NotFound { .. } => SourceError::NotFound { negative_ttl },
            SourceError::TooLarge { limit, .. } => SourceError::TooLarge {
                limit,
                negative_ttl,
            },
            other => other,
        }
    }

    /// The error that an answer with `status` amounts to; `text` says who answered.
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
                "origin `{host}` is at a private or reserved address, which `fetch.private_networks` does not open"
            ),
            SourceError::Timeout(stage) => {
                write!(out, "the origin was too slow: no {stage} in time")
            }
            SourceError::BrokenOff(reason) => {
                write!(out, "the origin's answer broke off: {reason}")
            }
            SourceError::Coding(reason) => {
                write!(out, "the origin's content cannot be unpacked: {reason}")
            }
            SourceError::TooLarge { limit, .. } => {
                write!(out, "the source is larger than the limit of {limit} bytes")
            }
            SourceError::TooManyRedirects { limit } => {
                write!(out, "the origin redirects more than {limit} times")
            }
            SourceError::BadRedirect { host } => {
                write!(
                    out,
                    "origin `{host}` redirects without an HTTP URL to go to"
                )
            }
            SourceError::RedirectDenied(denied) => {
                write!(
                    out,
                    "the origin redirects to where sources may not come from: {denied}"
                )
            }
            SourceError::Bucket(error) => error.fmt(out),
            SourceError::UnknownBucket(name) => write!(out, "no [[bucket]] has the name `{name}`"),
            SourceError::Unreadable(error) => write!(out, "the file cannot be read: {error}"),
            SourceError::Busy(reason) => out.write_str(match reason {
                BusyReason::Connections => {
                    "no turn in time: all of `fetch.connections_per_origin` are in use"
                }
                BusyReason::Fetches => "no turn in time: all of `fetch.concurrency` are in use",
                BusyReason::Memory => "no room for the source in time: `fetch.memory` is in use",
            }),
        }
    }
}

impl std::error::Error for SourceError {}

impl fmt::Display for FetchStage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            FetchStage::Connect => "connection",
            FetchStage::FirstByte => "answer",
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
    use crate::bucket::BucketError;
    use crate::bucket::BucketProblem;
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
    fn an_origin_that_fails_is_told_from_one_that_refuses() {
        for code in [408, 429, 500, 502, 503, 504, 520, 530, 204, 206, 304] {
            assert!(of(code).is_outage(), "{code}");
        }
        for code in [400, 401, 403, 404, 410, 418, 451, 508] {
            assert!(!of(code).is_outage(), "{code}");
        }
    }

    #[test]
    fn silence_is_an_outage_and_a_refusal_is_none() {
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
