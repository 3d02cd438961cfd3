//! The only table from errors to answers: the status, Cloudflare's number, a stable word for clients, logs and metrics, and what has to change
//! before the error ends.

use hyper::StatusCode;

use super::Error;
use super::info::{ErrorCacheClass, ErrorInfo};
use crate::bucket::BucketProblem;
use crate::clients::ClientError;
use crate::cpu::{CpuError, Lane, Rejection};
use crate::deadline::{Stage, Timeout};
use crate::hosted::DeliveryError;
use crate::pixels::PixelError;
use crate::policy::{Denial, SignatureError};
use crate::request::RequestError;
use crate::source::SourceError;
use crate::transform::TransformError;
use crate::worker::WorkerError;

impl Error {
    /// How the error is answered. Numbers and statuses are those that Cloudflare documents; where it documents several statuses for a number, the
    /// one that tells the client most.
    pub fn info(&self) -> ErrorInfo {
        let (status, number, code, class) = match self {
            Error::Request(error) => match error {
                RequestError::Method(_) => (405, 9424, "method", ErrorCacheClass::NoStore),
                RequestError::NotFound => (404, 9404, "not-found", ErrorCacheClass::NotFound),
                RequestError::NoOptions => (400, 9401, "no-options", ErrorCacheClass::Options),
                RequestError::NoSource => (400, 9401, "no-source", ErrorCacheClass::Options),
                RequestError::Source(_) => (403, 9406, "source-url", ErrorCacheClass::Options),
                RequestError::Loop => (508, 9403, "loop", ErrorCacheClass::NoStore),
                RequestError::UnknownPreset(_) => (400, 9401, "preset", ErrorCacheClass::Options),
                RequestError::Query(_) => (400, 9401, "query", ErrorCacheClass::Options),
            },
            Error::Denied(denied) => match denied {
                Denial::Options(_) => (400, 9401, "options", ErrorCacheClass::Options),
                Denial::Strict(_) => (400, 9401, "strict", ErrorCacheClass::Options),
                Denial::SourceNotAllowed { .. } => {
                    (403, 9401, "source-denied", ErrorCacheClass::NoStore)
                }
                Denial::PathNotAllowed => (403, 9419, "path-denied", ErrorCacheClass::Options),
                Denial::NoZone => (404, 9404, "no-zone", ErrorCacheClass::NotFound),
                Denial::Loop => (508, 9403, "loop", ErrorCacheClass::NoStore),
                Denial::Signature(error) => match error {
                    SignatureError::Missing => {
                        (403, 9425, "signature-missing", ErrorCacheClass::NoStore)
                    }
                    SignatureError::Malformed | SignatureError::Wrong => {
                        (403, 9425, "signature", ErrorCacheClass::NoStore)
                    }
                    SignatureError::Expired => {
                        (403, 9425, "signature-expired", ErrorCacheClass::NoStore)
                    }
                },
                Denial::Unlisted(_) => (403, 9425, "options-unlisted", ErrorCacheClass::NoStore),
                Denial::Drawing => (415, 9412, "drawing", ErrorCacheClass::Source),
                Denial::OutputTooLarge { .. } => {
                    (403, 9413, "output-size", ErrorCacheClass::Options)
                }
            },
            Error::Client(error) => match error {
                ClientError::Misses(_) => (429, 9422, "client-misses", ErrorCacheClass::NoStore),
                ClientError::Requests => (429, 9422, "client-requests", ErrorCacheClass::NoStore),
            },
            Error::Delivery(error) => match error {
                DeliveryError::NoVariant => (400, 9401, "no-variant", ErrorCacheClass::Options),
                DeliveryError::Text => (403, 9426, "hosted-id", ErrorCacheClass::Options),
                DeliveryError::Hash => (403, 9427, "hosted-hash", ErrorCacheClass::Options),
                DeliveryError::UnknownVariant(_) => {
                    (403, 9425, "hosted-variant", ErrorCacheClass::NoStore)
                }
                DeliveryError::NoFlexibleVariants => {
                    (403, 9429, "flexible-variants", ErrorCacheClass::NoStore)
                }
                DeliveryError::Signature(_) => {
                    (403, 9425, "hosted-signature", ErrorCacheClass::NoStore)
                }
                DeliveryError::NoOriginal => {
                    (403, 9425, "hosted-original", ErrorCacheClass::NoStore)
                }
                DeliveryError::NotFound => {
                    (404, 9431, "hosted-not-found", ErrorCacheClass::NotFound)
                }
                DeliveryError::Store(_) => (503, 9505, "hosted-store", ErrorCacheClass::NoStore),
            },
            Error::Source(error) => match error {
                SourceError::NotFound { .. } => {
                    (404, 9404, "source-not-found", ErrorCacheClass::NotFound)
                }
                SourceError::BadRequest(_) => {
                    (502, 9519, "source-bad-request", ErrorCacheClass::NoStore)
                }
                SourceError::RequestTimeout(_) => {
                    (408, 9408, "source-status", ErrorCacheClass::NoStore)
                }
                SourceError::ClientError(_) => {
                    (403, 9408, "source-status", ErrorCacheClass::NoStore)
                }
                // This server under another name, or another proxy of this kind: the source leads back to the request.
                SourceError::ServerError(origin) if origin.status == StatusCode::LOOP_DETECTED => {
                    (508, 9403, "loop", ErrorCacheClass::NoStore)
                }
                SourceError::ServerError(_) => {
                    (502, 9509, "source-failing", ErrorCacheClass::NoStore)
                }
                SourceError::BadStatus(_) => (502, 9505, "source-status", ErrorCacheClass::NoStore),
                SourceError::Dns { .. } => (523, 9407, "source-dns", ErrorCacheClass::NoStore),
                SourceError::Connect { .. } => {
                    (523, 9510, "source-unreachable", ErrorCacheClass::NoStore)
                }
                SourceError::PrivateAddress { .. } => {
                    (403, 9401, "source-private", ErrorCacheClass::NoStore)
                }
                SourceError::Timeout(_) => (524, 9504, "source-slow", ErrorCacheClass::NoStore),
                SourceError::BrokenOff(_) => {
                    (502, 9402, "source-broken-off", ErrorCacheClass::NoStore)
                }
                SourceError::Coding(_) => (502, 9505, "source-coding", ErrorCacheClass::NoStore),
                SourceError::TooLarge { .. } => {
                    (413, 9402, "source-bytes", ErrorCacheClass::Source)
                }
                // As `TransformError::NotAnImage` and `TransformError::UnsupportedFormat`.
                SourceError::NotAPicture { name: None, .. } => {
                    (415, 9412, "not-an-image", ErrorCacheClass::Source)
                }
                SourceError::NotAPicture { name: Some(_), .. } => {
                    (415, 9520, "source-format", ErrorCacheClass::Source)
                }
                SourceError::TooManyRedirects { .. } => {
                    (400, 9421, "redirects", ErrorCacheClass::NoStore)
                }
                SourceError::BadRedirect { .. } => {
                    (400, 9420, "redirect", ErrorCacheClass::NoStore)
                }
                SourceError::RedirectDenied(_) => {
                    (403, 9401, "redirect-denied", ErrorCacheClass::NoStore)
                }
                SourceError::Bucket(error) => match error.problem {
                    BucketProblem::UnusableKey => {
                        (403, 9419, "path-denied", ErrorCacheClass::Options)
                    }
                    BucketProblem::Dns(_) => (523, 9407, "source-dns", ErrorCacheClass::NoStore),
                    BucketProblem::Connect(_) => {
                        (523, 9510, "source-unreachable", ErrorCacheClass::NoStore)
                    }
                    BucketProblem::Timeout => (524, 9504, "source-slow", ErrorCacheClass::NoStore),
                    BucketProblem::Setup(_)
                    | BucketProblem::Credentials(_)
                    | BucketProblem::Status { .. }
                    | BucketProblem::BrokenOff(_) => {
                        (502, 9505, "source-bucket", ErrorCacheClass::NoStore)
                    }
                },
                SourceError::UnknownBucket(_) => {
                    (502, 9505, "source-bucket", ErrorCacheClass::NoStore)
                }
                SourceError::Busy(_) => (503, 9522, "busy-sources", ErrorCacheClass::NoStore),
                SourceError::Unreadable(_) => {
                    (502, 9505, "source-unreadable", ErrorCacheClass::NoStore)
                }
            },
            Error::Transform(error) => match error {
                TransformError::NotAnImage => (415, 9412, "not-an-image", ErrorCacheClass::Source),
                TransformError::UnsupportedFormat(kind) if kind.is_known_to_cloudflare() => {
                    (415, 9412, "source-format", ErrorCacheClass::Source)
                }
                TransformError::UnsupportedFormat(_)
                | TransformError::UnsupportedCoding(_)
                | TransformError::NotWritten(_)
                | TransformError::MetadataStays(_) => {
                    (415, 9520, "source-format", ErrorCacheClass::Source)
                }
                TransformError::NotADrawing => (415, 9412, "no-drawing", ErrorCacheClass::Source),
                TransformError::ZeroSized => (403, 9413, "zero-size", ErrorCacheClass::Source),
                TransformError::TooManyPixels { .. } => {
                    (403, 9413, "source-pixels", ErrorCacheClass::Source)
                }
                TransformError::TooCostly { .. } => {
                    (403, 9413, "render-memory", ErrorCacheClass::Source)
                }
                TransformError::Pixels(PixelError::OutOfMemory { .. }) => {
                    (503, 9522, "memory", ErrorCacheClass::NoStore)
                }
                TransformError::OutputTooLarge { .. } => {
                    (403, 9413, "output-size", ErrorCacheClass::Source)
                }
                TransformError::OutOfTime => (504, 9529, "render-time", ErrorCacheClass::Source),
                TransformError::Decode(_) => (422, 9516, "decode", ErrorCacheClass::Source),
                TransformError::Pixels(PixelError::Color(_)) => {
                    (422, 9516, "color", ErrorCacheClass::Source)
                }
                TransformError::Resize(_) => (500, 9523, "resize", ErrorCacheClass::NoStore),
                TransformError::Encode(_) => (500, 9516, "encode", ErrorCacheClass::NoStore),
            },
            Error::Cpu(error) => match error {
                CpuError::Rejected { reason, .. } => match reason {
                    Rejection::Wait(Lane::Normal) => {
                        (503, 9527, "busy-large", ErrorCacheClass::NoStore)
                    }
                    Rejection::Wait(_) | Rejection::Queue | Rejection::Idle => {
                        (503, 9522, "busy", ErrorCacheClass::NoStore)
                    }
                },
                CpuError::Panicked => (500, 9523, "crash", ErrorCacheClass::NoStore),
            },
            Error::Worker(error) => match error {
                WorkerError::Died(_) => (500, 9523, "worker-crash", ErrorCacheClass::Source),
                WorkerError::Blocked => (422, 9516, "worker-blocked", ErrorCacheClass::Source),
                WorkerError::Killed(_) => (503, 9522, "worker-killed", ErrorCacheClass::NoStore),
                WorkerError::Unavailable => (503, 9522, "no-worker", ErrorCacheClass::NoStore),
            },
            Error::TimedOut(Timeout(stage)) => match stage {
                Stage::Fetch => (524, 9504, "source-slow", ErrorCacheClass::NoStore),
                Stage::Render => (504, 9529, "render-time", ErrorCacheClass::NoStore),
            },
            Error::Lost(_) => (500, 9523, "lost", ErrorCacheClass::NoStore),
        };
        let status = StatusCode::from_u16(status).expect("the table has three-digit statuses only");
        ErrorInfo {
            status,
            number,
            code,
            class,
        }
    }
}

#[cfg(test)]
mod tests;
