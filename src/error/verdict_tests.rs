//! The numbers and statuses that are documented, failure by failure.

use std::time::Duration;

use hyper::Method;
use hyper::StatusCode;

use super::Class;
use super::Error;
use crate::cache::ErrorLives;
use crate::cache::Failure;
use crate::cache::FlightLost;
use crate::cpu::CpuError;
use crate::cpu::Lane;
use crate::cpu::Refusal;
use crate::deadline::Stage;
use crate::deadline::TimedOut;
use crate::error::tests::refused;
use crate::policy::Denial;
use crate::request::RequestError;
use crate::request::SourceRefError;
use crate::source::BusyReason;
use crate::source::FetchStage as Slow;
use crate::source::OriginStatus;
use crate::source::SourceError;
use crate::transform::Foreign;
use crate::transform::Size;
use crate::transform::TransformError;

#[test]
fn section_7_documented_numbers_go_with_documented_statuses() {
    let origin = |status| OriginStatus {
        status,
        text: String::new(),
    };
    let host = || String::from("x");
    let rows: Vec<(Error, u16, u16, Class)> = vec![
        (RequestError::NoOptions.into(), 9401, 400, Class::Options),
        (RequestError::NoSource.into(), 9401, 400, Class::Options),
        (
            Denial::SourceNotAllowed { host: host() }.into(),
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
                negative_ttl: None,
            }
            .into(),
            9402,
            413,
            Class::Source,
        ),
        (RequestError::Loop.into(), 9403, 508, Class::Passing),
        (Denial::Loop.into(), 9403, 508, Class::Passing),
        (
            SourceError::NotFound { negative_ttl: None }.into(),
            9404,
            404,
            Class::NotFound,
        ),
        (
            RequestError::Source(SourceRefError::Characters).into(),
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
            SourceError::RequestTimeout(origin(StatusCode::REQUEST_TIMEOUT)).into(),
            9408,
            408,
            Class::Passing,
        ),
        (
            SourceError::ClientError(origin(StatusCode::FORBIDDEN)).into(),
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
            Denial::OutputTooLarge {
                option: "width",
                pixels: 2,
                limit: 1,
            }
            .into(),
            9413,
            403,
            Class::Options,
        ),
        (Denial::PathNotAllowed.into(), 9419, 403, Class::Options),
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
            SourceError::Coding(host()).into(),
            9505,
            502,
            Class::Passing,
        ),
        (
            SourceError::ServerError(origin(StatusCode::INTERNAL_SERVER_ERROR)).into(),
            9509,
            502,
            Class::Passing,
        ),
        (
            SourceError::ServerError(origin(StatusCode::LOOP_DETECTED)).into(),
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
        (Denial::Drawing.into(), 9412, 415, Class::Source),
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
            SourceError::RedirectDenied(Denial::PathNotAllowed).into(),
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
            SourceError::BadRequest(origin(StatusCode::BAD_REQUEST)).into(),
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
        (
            TransformError::UnsupportedCoding("a TIFF of another kind".to_owned()).into(),
            9520,
            415,
            Class::Source,
        ),
        (
            SourceError::Busy(BusyReason::Fetches).into(),
            9522,
            503,
            Class::Passing,
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
        (TransformError::OutOfTime.into(), 9529, 504, Class::Source),
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
        // No server's failure is kept, unless the source made it fail, nor is what drives an old picture out.
        let is_passing = class == Class::Passing;
        assert!(
            is_passing || ((status < 500 || status == 504) && !error.is_outage()),
            "{error}"
        );
    }
}
