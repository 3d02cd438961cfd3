//! The only table from failure to answer: status, Cloudflare's number, one stable word for clients, logs and metrics, and what would make
//! it go away.

use hyper::StatusCode;

use super::Error;
use crate::bucket::BucketProblem;
use crate::cpu::CpuError;
use crate::cpu::Lane;
use crate::cpu::Refusal;
use crate::deadline::Stage;
use crate::deadline::TimedOut;
use crate::pixels::PixelError;
use crate::policy::Denial;
use crate::request::RequestError;
use crate::source::SourceError;
use crate::transform::TransformError;

/// How a failure is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The HTTP status.
    pub status: StatusCode,
    /// Cloudflare's number for it.
    pub number: u16,
    /// The stable word.
    pub code: &'static str,
    /// What it takes to make it go away.
    pub class: Class,
}

/// What it takes to make an error go away, and so for how long it may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Somebody puts the thing there.
    NotFound,
    /// Another URL.
    Options,
    /// Another picture, or other options: this source does not become what was asked for.
    Source,
    /// Another moment, another client or another setting. Kept by nobody.
    Passing,
}

impl Error {
    /// The table. Numbers and statuses are those that Cloudflare documents for its own service; where it has several for one number,
    /// the one that tells the client most.
    pub fn verdict(&self) -> Verdict {
        let (status, number, code, class) = match self {
            Error::Request(error) => match error {
                RequestError::Method(_) => (405, 9424, "method", Class::Passing),
                RequestError::NotFound => (404, 9404, "not-found", Class::NotFound),
                RequestError::NoOptions => (400, 9401, "no-options", Class::Options),
                RequestError::NoSource => (400, 9401, "no-source", Class::Options),
                RequestError::Source(_) => (403, 9406, "source-url", Class::Options),
                RequestError::Loop => (508, 9403, "loop", Class::Passing),
                RequestError::Query(_) => (400, 9401, "query", Class::Options),
            },
            Error::Denied(denied) => match denied {
                Denial::Options(_) => (400, 9401, "options", Class::Options),
                Denial::Strict(_) => (400, 9401, "strict", Class::Options),
                Denial::SourceNotAllowed { .. } => (403, 9401, "source-denied", Class::Passing),
                Denial::PathNotAllowed => (403, 9419, "path-denied", Class::Options),
                Denial::Loop => (508, 9403, "loop", Class::Passing),
                Denial::Drawing => (415, 9412, "drawing", Class::Source),
                Denial::OutputTooLarge { .. } => (403, 9413, "output-size", Class::Options),
            },
            Error::Source(error) => match error {
                SourceError::NotFound { .. } => (404, 9404, "source-not-found", Class::NotFound),
                SourceError::BadRequest(_) => (502, 9519, "source-bad-request", Class::Passing),
                SourceError::RequestTimeout(_) => (408, 9408, "source-status", Class::Passing),
                SourceError::ClientError(_) => (403, 9408, "source-status", Class::Passing),
                // Another door of ours, or another proxy like this: the source leads back to where it is asked for.
                SourceError::ServerError(origin) if origin.status == StatusCode::LOOP_DETECTED => {
                    (508, 9403, "loop", Class::Passing)
                }
                SourceError::ServerError(_) => (502, 9509, "source-failing", Class::Passing),
                SourceError::BadStatus(_) => (502, 9505, "source-status", Class::Passing),
                SourceError::Dns { .. } => (523, 9407, "source-dns", Class::Passing),
                SourceError::Connect { .. } => (523, 9510, "source-unreachable", Class::Passing),
                SourceError::PrivateAddress { .. } => (403, 9401, "source-private", Class::Passing),
                SourceError::Timeout(_) => (524, 9504, "source-slow", Class::Passing),
                SourceError::BrokenOff(_) => (502, 9402, "source-broken-off", Class::Passing),
                SourceError::Coding(_) => (502, 9505, "source-coding", Class::Passing),
                SourceError::TooLarge { .. } => (413, 9402, "source-bytes", Class::Source),
                SourceError::TooManyRedirects { .. } => (400, 9421, "redirects", Class::Passing),
                SourceError::BadRedirect { .. } => (400, 9420, "redirect", Class::Passing),
                SourceError::RedirectDenied(_) => (403, 9401, "redirect-denied", Class::Passing),
                SourceError::Bucket(error) => match error.problem {
                    BucketProblem::UnusableKey => (403, 9419, "path-denied", Class::Options),
                    BucketProblem::Dns(_) => (523, 9407, "source-dns", Class::Passing),
                    BucketProblem::Connect(_) => (523, 9510, "source-unreachable", Class::Passing),
                    BucketProblem::Timeout => (524, 9504, "source-slow", Class::Passing),
                    BucketProblem::Setup(_)
                    | BucketProblem::Credentials(_)
                    | BucketProblem::Status { .. }
                    | BucketProblem::BrokenOff(_) => (502, 9505, "source-bucket", Class::Passing),
                },
                SourceError::UnknownBucket(_) => (502, 9505, "source-bucket", Class::Passing),
                SourceError::Busy(_) => (503, 9522, "busy-sources", Class::Passing),
                SourceError::Unreadable(_) => (502, 9505, "source-unreadable", Class::Passing),
            },
            Error::Transform(error) => match error {
                TransformError::NotAnImage => (415, 9412, "not-an-image", Class::Source),
                TransformError::UnsupportedFormat(kind) if kind.is_known_to_cloudflare() => {
                    (415, 9412, "source-format", Class::Source)
                }
                TransformError::UnsupportedFormat(_) | TransformError::UnsupportedCoding(_) => {
                    (415, 9520, "source-format", Class::Source)
                }
                TransformError::NotADrawing => (415, 9412, "no-drawing", Class::Source),
                TransformError::ZeroSized => (403, 9413, "zero-size", Class::Source),
                TransformError::TooManyPixels { .. } => (403, 9413, "source-pixels", Class::Source),
                TransformError::TooCostly { .. } => (403, 9413, "render-memory", Class::Source),
                TransformError::Pixels(PixelError::OutOfMemory { .. }) => {
                    (503, 9522, "memory", Class::Passing)
                }
                TransformError::OutputTooLarge { .. } => (403, 9413, "output-size", Class::Source),
                TransformError::OutOfTime => (504, 9529, "render-time", Class::Source),
                TransformError::Decode(_) => (422, 9516, "decode", Class::Source),
                TransformError::Pixels(PixelError::Color(_)) => (422, 9516, "color", Class::Source),
                TransformError::Resize(_) => (500, 9523, "resize", Class::Passing),
                TransformError::Encode(_) => (500, 9516, "encode", Class::Passing),
            },
            Error::Cpu(error) => match error {
                CpuError::Refused { lack, .. } => match lack {
                    Refusal::Wait(Lane::Normal) => (503, 9527, "busy-large", Class::Passing),
                    Refusal::Wait(_) | Refusal::Queue | Refusal::Idle => {
                        (503, 9522, "busy", Class::Passing)
                    }
                },
                CpuError::Panicked => (500, 9523, "crash", Class::Passing),
            },
            Error::TimedOut(TimedOut(stage)) => match stage {
                Stage::Fetch => (524, 9504, "source-slow", Class::Passing),
                Stage::Render => (504, 9529, "render-time", Class::Passing),
            },
            Error::Lost(_) => (500, 9523, "lost", Class::Passing),
        };
        let status = StatusCode::from_u16(status).expect("the table has three-digit statuses only");
        Verdict {
            status,
            number,
            code,
            class,
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
