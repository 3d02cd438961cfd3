//! What may go wrong with a request, and the only table from failure to answer: status, Cloudflare's number, one stable word for
//! clients, logs and metrics, and what would make it go away. Clients get a reason for their own mistakes, and a plain sentence for
//! everybody else's: never the address of an origin, a key or a cause.

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;

use crate::bucket::BucketProblem;
use crate::cache::ErrorLives;
use crate::cache::Failure;
use crate::cache::FlightLost;
use crate::cpu::CpuError;
use crate::cpu::Lane;
use crate::cpu::Refusal;
use crate::deadline::Stage;
use crate::deadline::TimedOut;
use crate::policy::Denied;
use crate::request::RequestError;
use crate::source::SourceError;
use crate::transform::TransformError;

/// Why a request has no picture. One variant for each room that can fail.
#[derive(Debug)]
pub enum Error {
    /// It was not understood.
    Request(RequestError),
    /// It is not allowed.
    Denied(Denied),
    /// There is no source.
    Source(SourceError),
    /// The source does not become the picture.
    Transform(TransformError),
    /// The processors are busy, or the work crashed.
    Cpu(CpuError),
    /// It took too long.
    TimedOut(TimedOut),
    /// The work that it waited for vanished.
    Lost(FlightLost),
}

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
                Denied::Options(_) => (400, 9401, "options", Class::Options),
                Denied::Strict(_) => (400, 9401, "strict", Class::Options),
                Denied::SourceNotAllowed { .. } => (403, 9401, "source-denied", Class::Passing),
                Denied::PathNotAllowed => (403, 9419, "path-denied", Class::Options),
                Denied::Loop => (508, 9403, "loop", Class::Passing),
                Denied::Drawing => (415, 9412, "drawing", Class::Source),
                Denied::OutputTooLarge { .. } => (403, 9413, "output-size", Class::Options),
            },
            Error::Source(error) => match error {
                SourceError::NotFound { .. } => (404, 9404, "source-not-found", Class::NotFound),
                SourceError::BadRequest(_) => (502, 9519, "source-bad-request", Class::Passing),
                SourceError::RequestTimeout(_) => (408, 9408, "source-status", Class::Passing),
                SourceError::ClientError(_) => (403, 9408, "source-status", Class::Passing),
                // Another door of ours, or another proxy like this: the source leads back to where it is asked for.
                SourceError::ServerError(said) if said.status == StatusCode::LOOP_DETECTED => {
                    (508, 9403, "loop", Class::Passing)
                }
                SourceError::ServerError(_) => (502, 9509, "source-failing", Class::Passing),
                SourceError::BadStatus(_) => (502, 9505, "source-status", Class::Passing),
                SourceError::Dns { .. } => (523, 9407, "source-dns", Class::Passing),
                SourceError::Connect { .. } => (523, 9510, "source-unreachable", Class::Passing),
                SourceError::PrivateAddress { .. } => (403, 9401, "source-private", Class::Passing),
                SourceError::Timeout(_) => (524, 9504, "source-slow", Class::Passing),
                SourceError::BrokenOff(_) => (502, 9402, "source-broken-off", Class::Passing),
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
                SourceError::Unreadable(_) => (502, 9505, "source-unreadable", Class::Passing),
            },
            Error::Transform(error) => match error {
                TransformError::NotAnImage => (415, 9412, "not-an-image", Class::Source),
                TransformError::UnsupportedFormat(kind) if kind.is_known_to_cloudflare() => {
                    (415, 9412, "source-format", Class::Source)
                }
                TransformError::UnsupportedFormat(_) => (415, 9520, "source-format", Class::Source),
                TransformError::NotADrawing => (415, 9412, "no-drawing", Class::Source),
                TransformError::ZeroSized => (403, 9413, "zero-size", Class::Source),
                TransformError::TooManyPixels { .. } => (403, 9413, "source-pixels", Class::Source),
                TransformError::TooCostly { .. } => (403, 9413, "render-memory", Class::Source),
                TransformError::OutputTooLarge { .. } => (403, 9413, "output-size", Class::Source),
                TransformError::OutOfTime => (504, 9529, "render-time", Class::Passing),
                TransformError::Decode(_) => (422, 9516, "decode", Class::Source),
                TransformError::Color(_) => (422, 9516, "color", Class::Source),
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

    /// What the client is told.
    pub fn public_message(&self) -> String {
        let plain = match self {
            Error::Request(error) => return error.to_string(),
            Error::Denied(Denied::SourceNotAllowed { .. }) => {
                "Transformation origin is not in allowed origins list"
            }
            Error::Denied(denied) => return denied.to_string(),
            Error::Transform(error) => match error {
                TransformError::Decode(_) => "the source is damaged and could not be decoded",
                TransformError::Color(_) => "the colour profile of the source could not be applied",
                TransformError::Resize(_) => "the picture could not be resized",
                TransformError::Encode(_) => "the picture could not be encoded",
                TransformError::NotAnImage
                | TransformError::UnsupportedFormat(_)
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
                SourceError::BadRequest(said)
                | SourceError::RequestTimeout(said)
                | SourceError::ClientError(said)
                | SourceError::ServerError(said)
                | SourceError::BadStatus(said) => {
                    return format!("the origin answered {}", said.status.as_u16());
                }
                SourceError::Dns { .. } => "the name of the origin could not be resolved",
                SourceError::Connect { .. } => "could not connect to the origin",
                SourceError::PrivateAddress { .. } => {
                    "the origin is at an address that sources may not come from"
                }
                SourceError::Timeout(_) => "the origin was too slow",
                SourceError::BrokenOff(_) => "the answer of the origin broke off",
                SourceError::TooManyRedirects { .. } => "the origin redirects too many times",
                SourceError::BadRedirect { .. } => "the origin redirects to an invalid URL",
                SourceError::RedirectDenied(_) => {
                    "the origin redirects to where sources may not come from"
                }
                SourceError::Bucket(error) => match error.problem {
                    BucketProblem::UnusableKey => "the path of the source is no key of its bucket",
                    _ => "the bucket of the source could not be read",
                },
                SourceError::UnknownBucket(_) | SourceError::Unreadable(_) => {
                    "the source could not be read"
                }
            },
            Error::Cpu(CpuError::Refused { lack, .. }) => match lack {
                Refusal::Wait(Lane::Normal) => "too busy for large pictures, try again in a moment",
                Refusal::Wait(_) | Refusal::Queue | Refusal::Idle => {
                    "too busy, try again in a moment"
                }
            },
            Error::Cpu(CpuError::Panicked) | Error::Lost(_) => "an internal error",
            Error::TimedOut(timeout) => return timeout.to_string(),
        };
        plain.to_owned()
    }

    /// Whether the client may be sent to the source instead, where it asks for that. Not where the request itself leads nowhere, nor
    /// round in a circle, nor to a source that nobody may have, nor where somebody wants to read what is wrong.
    pub fn may_redirect(&self) -> bool {
        match self {
            Error::Request(_) => false,
            Error::Denied(denied) => match denied {
                Denied::Options(_) | Denied::Drawing | Denied::OutputTooLarge { .. } => true,
                Denied::Strict(_)
                | Denied::SourceNotAllowed { .. }
                | Denied::PathNotAllowed
                | Denied::Loop => false,
            },
            Error::Source(error) => match error {
                SourceError::PrivateAddress { .. } | SourceError::RedirectDenied(_) => false,
                SourceError::ServerError(said) => said.status != StatusCode::LOOP_DETECTED,
                SourceError::Bucket(error) => !matches!(error.problem, BucketProblem::UnusableKey),
                _ => true,
            },
            Error::Transform(_) | Error::Cpu(_) | Error::TimedOut(_) | Error::Lost(_) => true,
        }
    }

    /// Seconds after which another try may succeed.
    pub fn retry_after(&self) -> Option<u32> {
        /// Nobody comes back later than that.
        const LONGEST: u128 = 60;
        let Error::Cpu(CpuError::Refused { wait, .. }) = self else {
            return None;
        };
        let seconds = wait.as_millis().div_ceil(1000).clamp(1, LONGEST);
        u32::try_from(seconds).ok()
    }
}

impl Failure for Error {
    fn is_outage(&self) -> bool {
        match self {
            Error::Source(error) => error.is_outage(),
            Error::TimedOut(TimedOut(stage)) => *stage == Stage::Fetch,
            Error::Request(_)
            | Error::Denied(_)
            | Error::Transform(_)
            | Error::Cpu(_)
            | Error::Lost(_) => false,
        }
    }

    fn life(&self, lives: &ErrorLives) -> Duration {
        let ErrorLives {
            not_found,
            options,
            source,
        } = lives;
        let life = match self.verdict().class {
            Class::NotFound => not_found.duration(),
            Class::Options => options.duration(),
            Class::Source => source.duration(),
            Class::Passing => Duration::ZERO,
        };
        // The origin has a say in what it said itself, but no word of it makes an error last.
        match self {
            Error::Source(error) => error.holds().map_or(life, |holds| life.min(holds)),
            _ => life,
        }
    }
}

/// The whole story, for logs.
impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Request(error) => error.fmt(out),
            Error::Denied(error) => error.fmt(out),
            Error::Source(error) => error.fmt(out),
            Error::Transform(error) => error.fmt(out),
            Error::Cpu(error) => error.fmt(out),
            Error::TimedOut(error) => error.fmt(out),
            Error::Lost(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! from {
    ($($variant:ident($room:ty)),+ $(,)?) => {
        $(impl From<$room> for Error {
            fn from(error: $room) -> Self {
                Error::$variant(error)
            }
        })+
    };
}

from! {
    Request(RequestError),
    Denied(Denied),
    Source(SourceError),
    Transform(TransformError),
    Cpu(CpuError),
    TimedOut(TimedOut),
    Lost(FlightLost),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::Method;

    use crate::cache::ErrorLives;
    use crate::cache::Failure;
    use crate::cache::FlightLost;
    use crate::cpu::CpuError;
    use crate::cpu::Lane;
    use crate::cpu::Refusal;
    use crate::deadline::Stage;
    use crate::deadline::TimedOut;
    use crate::policy::Denied;
    use crate::request::RequestError;
    use crate::request::SourceFault;
    use crate::source::Said;
    use crate::source::SourceError;
    use crate::source::Stage as Slow;
    use crate::transform::Foreign;
    use crate::transform::Size;
    use crate::transform::TransformError;

    use super::Class;
    use super::Error;
    use super::StatusCode;

    fn refused(lack: Refusal, millis: u64) -> CpuError {
        CpuError::Refused {
            lack,
            wait: Duration::from_millis(millis),
        }
    }

    #[test]
    fn section_7_documented_numbers_go_with_documented_statuses() {
        let said = |status| Said {
            status,
            text: String::new(),
        };
        let host = || String::from("x");
        let rows: Vec<(Error, u16, u16, Class)> = vec![
            (RequestError::NoOptions.into(), 9401, 400, Class::Options),
            (RequestError::NoSource.into(), 9401, 400, Class::Options),
            (
                Denied::SourceNotAllowed { host: host() }.into(),
                9401,
                403,
                Class::Passing,
            ),
            (
                SourceError::BrokenOff("half".to_owned()).into(),
                9402,
                502,
                Class::Passing,
            ),
            (
                SourceError::TooLarge {
                    limit: 1,
                    holds: None,
                }
                .into(),
                9402,
                413,
                Class::Source,
            ),
            (RequestError::Loop.into(), 9403, 508, Class::Passing),
            (Denied::Loop.into(), 9403, 508, Class::Passing),
            (
                SourceError::NotFound { holds: None }.into(),
                9404,
                404,
                Class::NotFound,
            ),
            (
                RequestError::Source(SourceFault::Characters).into(),
                9406,
                403,
                Class::Options,
            ),
            (
                SourceError::Dns {
                    host: host(),
                    reason: host(),
                }
                .into(),
                9407,
                523,
                Class::Passing,
            ),
            (
                SourceError::RequestTimeout(said(StatusCode::REQUEST_TIMEOUT)).into(),
                9408,
                408,
                Class::Passing,
            ),
            (
                SourceError::ClientError(said(StatusCode::FORBIDDEN)).into(),
                9408,
                403,
                Class::Passing,
            ),
            (TransformError::NotAnImage.into(), 9412, 415, Class::Source),
            (
                TransformError::UnsupportedFormat(Foreign::Heic).into(),
                9412,
                415,
                Class::Source,
            ),
            (TransformError::ZeroSized.into(), 9413, 403, Class::Source),
            (
                Denied::OutputTooLarge {
                    option: "width",
                    pixels: 2,
                    limit: 1,
                }
                .into(),
                9413,
                403,
                Class::Options,
            ),
            (Denied::PathNotAllowed.into(), 9419, 403, Class::Options),
            (
                SourceError::BadRedirect { host: host() }.into(),
                9420,
                400,
                Class::Passing,
            ),
            (
                SourceError::TooManyRedirects { limit: 5 }.into(),
                9421,
                400,
                Class::Passing,
            ),
            (
                SourceError::Timeout(Slow::Body).into(),
                9504,
                524,
                Class::Passing,
            ),
            (
                SourceError::UnknownBucket(host()).into(),
                9505,
                502,
                Class::Passing,
            ),
            (
                SourceError::ServerError(said(StatusCode::INTERNAL_SERVER_ERROR)).into(),
                9509,
                502,
                Class::Passing,
            ),
            (
                SourceError::ServerError(said(StatusCode::LOOP_DETECTED)).into(),
                9403,
                508,
                Class::Passing,
            ),
            (
                SourceError::Connect {
                    host: host(),
                    reason: host(),
                }
                .into(),
                9510,
                523,
                Class::Passing,
            ),
            (
                TransformError::Decode(host()).into(),
                9516,
                422,
                Class::Source,
            ),
            (
                TransformError::TooManyPixels {
                    size: Size {
                        width: 9,
                        height: 9,
                    },
                    limit: 1,
                }
                .into(),
                9413,
                403,
                Class::Source,
            ),
            (
                TransformError::OutputTooLarge {
                    size: Size {
                        width: 9,
                        height: 9,
                    },
                    limit: 1,
                }
                .into(),
                9413,
                403,
                Class::Source,
            ),
            (Denied::Drawing.into(), 9412, 415, Class::Source),
            (RequestError::NotFound.into(), 9404, 404, Class::NotFound),
            (
                RequestError::Method(Method::POST).into(),
                9424,
                405,
                Class::Passing,
            ),
            (
                SourceError::PrivateAddress { host: host() }.into(),
                9401,
                403,
                Class::Passing,
            ),
            (
                SourceError::RedirectDenied(Denied::PathNotAllowed).into(),
                9401,
                403,
                Class::Passing,
            ),
            (FlightLost::Crashed.into(), 9523, 500, Class::Passing),
            (
                TransformError::Encode(host()).into(),
                9516,
                500,
                Class::Passing,
            ),
            (
                SourceError::BadRequest(said(StatusCode::BAD_REQUEST)).into(),
                9519,
                502,
                Class::Passing,
            ),
            (
                TransformError::UnsupportedFormat(Foreign::Pdf).into(),
                9520,
                415,
                Class::Source,
            ),
            (refused(Refusal::Queue, 0).into(), 9522, 503, Class::Passing),
            (
                refused(Refusal::Wait(Lane::Fast), 90_000).into(),
                9522,
                503,
                Class::Passing,
            ),
            (
                refused(Refusal::Wait(Lane::Normal), 90_000).into(),
                9527,
                503,
                Class::Passing,
            ),
            (CpuError::Panicked.into(), 9523, 500, Class::Passing),
            (TimedOut(Stage::Render).into(), 9529, 504, Class::Passing),
        ];
        for (error, number, status, class) in rows {
            let verdict = error.verdict();
            assert_eq!(
                (verdict.number, verdict.status.as_u16(), verdict.class),
                (number, status, class),
                "{error}"
            );
            let lives = ErrorLives::default();
            let life = match class {
                Class::NotFound => lives.not_found.duration(),
                Class::Options => lives.options.duration(),
                Class::Source => lives.source.duration(),
                Class::Passing => Duration::ZERO,
            };
            assert_eq!(error.life(&lives), life, "{error}");
            // No server's failure is kept, nor is what drives an old picture out.
            let is_passing = class == Class::Passing;
            assert!(
                is_passing || (status < 500 && !error.is_outage()),
                "{error}"
            );
        }
    }

    #[test]
    fn a_failing_origin_is_an_outage_and_a_failure_of_ours_is_none() {
        let outages: [Error; 2] = [
            SourceError::Timeout(Slow::Body).into(),
            TimedOut(Stage::Fetch).into(),
        ];
        for error in outages {
            assert!(error.is_outage(), "{error}");
        }
        let others: [Error; 6] = [
            SourceError::NotFound { holds: None }.into(),
            RequestError::NotFound.into(),
            Denied::Loop.into(),
            TransformError::Decode(String::new()).into(),
            refused(Refusal::Queue, 0).into(),
            TimedOut(Stage::Render).into(),
        ];
        for error in others {
            assert!(!error.is_outage(), "{error}");
        }
    }

    #[test]
    fn clients_learn_nothing_of_the_inside() {
        let inside: [Error; 4] = [
            SourceError::Connect {
                host: "db.internal".into(),
                reason: "10.0.0.7 refused".into(),
            }
            .into(),
            SourceError::UnknownBucket("secret-bucket".into()).into(),
            SourceError::Dns {
                host: "db.internal".into(),
                reason: "nope".into(),
            }
            .into(),
            TransformError::Decode("/usr/lib/x".into()).into(),
        ];
        for error in inside {
            let told = error.public_message();
            for secret in ["internal", "10.0", "secret", "/usr"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }

    #[test]
    fn section_2_15_a_circle_is_never_redirected() {
        let stays: [Error; 5] = [
            SourceError::PrivateAddress { host: "x".into() }.into(),
            RequestError::Loop.into(),
            Denied::Loop.into(),
            Denied::PathNotAllowed.into(),
            Denied::SourceNotAllowed { host: "x".into() }.into(),
        ];
        for error in stays {
            assert!(!error.may_redirect(), "{error}");
        }
        let leaves: [Error; 4] = [
            Denied::OutputTooLarge {
                option: "width",
                pixels: 2,
                limit: 1,
            }
            .into(),
            SourceError::NotFound { holds: None }.into(),
            TransformError::NotAnImage.into(),
            refused(Refusal::Queue, 0).into(),
        ];
        for error in leaves {
            assert!(error.may_redirect(), "{error}");
        }
    }

    #[test]
    fn only_what_may_pass_is_to_be_tried_again() {
        for (millis, seconds) in [(0, 1), (1000, 1), (1001, 2), (59_500, 60), (600_000, 60)] {
            let error = Error::from(refused(Refusal::Queue, millis));
            assert_eq!(error.retry_after(), Some(seconds), "{millis} ms");
        }
        assert_eq!(Error::from(CpuError::Panicked).retry_after(), None);
    }

    #[test]
    fn an_origin_may_shorten_the_life_of_what_it_answers_and_not_lengthen_it() {
        let lives = ErrorLives::default();
        for (holds, missing, large) in [
            (None, 10, 60),
            (Some(0), 0, 0),
            (Some(3), 3, 3),
            (Some(30), 10, 30),
            (Some(3600), 10, 60),
        ] {
            let holds = holds.map(Duration::from_secs);
            let error = Error::from(SourceError::NotFound { holds });
            assert_eq!(
                error.life(&lives),
                Duration::from_secs(missing),
                "{holds:?}"
            );
            let error = Error::from(SourceError::TooLarge { limit: 1, holds });
            assert_eq!(error.life(&lives), Duration::from_secs(large), "{holds:?}");
        }
    }
}
