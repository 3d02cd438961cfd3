//! What clients are told of an error.

use super::Error;
use crate::bucket::BucketProblem;
use crate::cpu::{CpuError, Lane, Rejection};
use crate::hosted::DeliveryError;
use crate::pixels::PixelError;
use crate::policy::Denial;
use crate::source::SourceError;
use crate::transform::TransformError;
use crate::worker::WorkerError;

impl Error {
    /// The message for the client.
    pub fn public_message(&self) -> String {
        let plain = match self {
            Error::Request(error) => return error.to_string(),
            Error::Denied(Denial::SourceNotAllowed { .. }) => {
                "Transformation origin is not in allowed origins list"
            }
            Error::Denied(denied) => return denied.to_string(),
            Error::Client(error) => return error.to_string(),
            Error::Delivery(DeliveryError::Store(_)) => "the hosted image could not be read",
            Error::Delivery(error) => return error.to_string(),
            Error::Transform(error) => match error {
                TransformError::Decode(_) => "the source is damaged and could not be decoded",
                TransformError::Pixels(PixelError::Color(_)) => {
                    "the colour profile of the source could not be applied"
                }
                TransformError::Resize(_) => "the picture could not be resized",
                TransformError::Encode(_) => "the picture could not be encoded",
                TransformError::Pixels(PixelError::OutOfMemory { .. }) => {
                    "too busy, try again in a moment"
                }
                TransformError::NotAnImage
                | TransformError::UnsupportedFormat(_)
                | TransformError::UnsupportedCoding(_)
                | TransformError::MetadataStays(_)
                | TransformError::NotWritten(_)
                | TransformError::NotADrawing
                | TransformError::ZeroSized
                | TransformError::TooManyPixels { .. }
                | TransformError::TooCostly { .. }
                | TransformError::OutputTooLarge { .. }
                | TransformError::OutOfTime => return error.to_string(),
            },
            Error::Source(error) => match error {
                SourceError::NotFound { .. } => "the source was not found",
                SourceError::TooLarge { limit, .. } => {
                    return format!("the source is larger than the limit of {limit} bytes");
                }
                SourceError::NotAPicture { name, .. } => {
                    return match name {
                        Some(name) => TransformError::unsupported_format(name),
                        None => TransformError::NotAnImage.to_string(),
                    };
                }
                SourceError::BadRequest(origin)
                | SourceError::RequestTimeout(origin)
                | SourceError::ClientError(origin)
                | SourceError::ServerError(origin)
                | SourceError::BadStatus(origin) => {
                    return format!("the origin answered {}", origin.status.as_u16());
                }
                SourceError::Dns { .. } => "the name of the origin could not be resolved",
                SourceError::Connect { .. } => "could not connect to the origin",
                SourceError::PrivateAddress { .. } => {
                    "the origin has an address that is not allowed"
                }
                SourceError::Timeout(_) => "the origin was too slow",
                SourceError::BrokenOff(_) => "the answer of the origin ended early",
                SourceError::Coding(_) => "the content coding of the source cannot be decoded",
                SourceError::TooManyRedirects { .. } => "the origin redirects too many times",
                SourceError::BadRedirect { .. } => "the origin redirects to an invalid URL",
                SourceError::RedirectDenied(_) => {
                    "the origin redirects to where sources may not come from"
                }
                SourceError::Bucket(error) => match error.problem {
                    BucketProblem::UnusableKey => {
                        "the path of the source is not a valid key of its bucket"
                    }
                    _ => "the bucket of the source could not be read",
                },
                SourceError::UnknownBucket(_) | SourceError::Unreadable(_) => {
                    "the source could not be read"
                }
                SourceError::Busy(_) => "too busy to fetch the source, try again in a moment",
            },
            Error::Cpu(CpuError::Rejected { reason, .. }) => match reason {
                Rejection::Wait(Lane::Normal) => {
                    "too busy for large pictures, try again in a moment"
                }
                Rejection::Wait(_) | Rejection::Queue | Rejection::Idle => {
                    "too busy, try again in a moment"
                }
            },
            Error::Worker(WorkerError::Died(_) | WorkerError::Blocked) => {
                "the source could not be transformed: it crashes the transformation"
            }
            Error::Worker(WorkerError::Killed(_) | WorkerError::Unavailable) => {
                "too busy, try again in a moment"
            }
            Error::Cpu(CpuError::Panicked) | Error::Lost(_) => "an internal error",
            Error::TimedOut(timeout) => return timeout.to_string(),
        };
        plain.to_owned()
    }
}
