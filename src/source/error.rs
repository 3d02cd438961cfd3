//! Why there is no source, told apart as far as anyone may want to answer differently.

use std::fmt;
use std::io;

use hyper::StatusCode;

use crate::bucket::BucketError;
use crate::policy::Denied;

/// Why there is no source. The text is for logs: it names hosts and buckets.
#[derive(Debug)]
pub enum SourceError {
    /// The origin has no such thing (404, 410), or the folder no such file.
    NotFound,
    /// The origin answered 400.
    BadRequest(Said),
    /// The origin answered 408.
    RequestTimeout(Said),
    /// The origin answered another 4xx: 401 and 403 are the common ones.
    ClientError(Said),
    /// The origin answered 5xx.
    ServerError(Said),
    /// The origin answered what is neither an image nor an error: 206, 204, a 304 that nobody asked for.
    BadStatus(Said),
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
    Timeout(Stage),
    /// The answer ended early or is not HTTP.
    BrokenOff(String),
    /// The source is larger than allowed.
    TooLarge {
        /// What is allowed, in bytes.
        limit: u64,
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
    RedirectDenied(Denied),
    /// The bucket cannot be asked: settings, credentials, or a key of a form that cannot be asked for.
    Bucket(BucketError),
    /// An approved source names a bucket that is not configured.
    UnknownBucket(String),
    /// The file exists and cannot be read, or the folder is gone.
    Unreadable(io::Error),
}

/// An answer that is not a source.
#[derive(Debug)]
pub struct Said {
    /// As answered.
    pub status: StatusCode,
    /// Who answered, and what more is known about it.
    pub text: String,
}

/// What was waited for when a timeout struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A connection.
    Connect,
    /// The head of the answer.
    FirstByte,
    /// The content.
    Body,
}

impl SourceError {
    /// The error that an answer with `status` amounts to; `text` says who answered.
    pub(super) fn of_status(status: StatusCode, text: String) -> Self {
        let said = Said { status, text };
        match status.as_u16() {
            404 | 410 => SourceError::NotFound,
            400 => SourceError::BadRequest(said),
            408 => SourceError::RequestTimeout(said),
            401..500 => SourceError::ClientError(said),
            500..600 => SourceError::ServerError(said),
            _ => SourceError::BadStatus(said),
        }
    }
}

impl SourceError {
    /// Whether the origin failed, rather than answered.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            SourceError::ServerError(_)
                | SourceError::RequestTimeout(_)
                | SourceError::Dns { .. }
                | SourceError::Connect { .. }
                | SourceError::Timeout(_)
                | SourceError::BrokenOff(_)
        )
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::NotFound => out.write_str("source not found"),
            SourceError::BadRequest(said)
            | SourceError::RequestTimeout(said)
            | SourceError::ClientError(said)
            | SourceError::ServerError(said)
            | SourceError::BadStatus(said) => out.write_str(&said.text),
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
            SourceError::TooLarge { limit } => {
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
        }
    }
}

impl std::error::Error for SourceError {}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Stage::Connect => "connection",
            Stage::FirstByte => "answer",
            Stage::Body => "content",
        })
    }
}
