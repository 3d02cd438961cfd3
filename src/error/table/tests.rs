//! The numbers and statuses that are documented, failure by failure.

use std::time::Duration;

use hyper::Method;
use hyper::StatusCode;

use super::Error;
use super::ErrorCacheClass;
use crate::cache::{CacheableError, ErrorTtls, FlightLost};
use crate::cpu::{CpuError, Lane, Rejection};
use crate::deadline::{Stage, Timeout};
use crate::error::tests::refused;
use crate::policy::Denial;
use crate::request::{RequestError, SourceRefError};
use crate::source::{BusyReason, FetchStage as Slow, OriginStatus, SourceError};
use crate::transform::{Size, TransformError, UnsupportedFormat};

#[test]
fn section_7_documented_numbers_go_with_documented_statuses() {
    let origin = |status| OriginStatus {
        status,
        text: String::new(),
    };
    let host = || String::from("x");
    let rows: Vec<(Error, u16, u16, ErrorCacheClass)> = vec![
        (
            RequestError::NoOptions.into(),
            9401,
            400,
            ErrorCacheClass::Options,
        ),
        (
            RequestError::NoSource.into(),
            9401,
            400,
            ErrorCacheClass::Options,
        ),
        (
            Denial::SourceNotAllowed { host: host() }.into(),
            9401,
            403,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::BrokenOff("half".to_owned()).into(),
            9402,
            502,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::TooLarge {
                limit: 1,
                negative_ttl: None,
            }
            .into(),
            9402,
            413,
            ErrorCacheClass::Source,
        ),
        (
            RequestError::Loop.into(),
            9403,
            508,
            ErrorCacheClass::NoStore,
        ),
        (Denial::Loop.into(), 9403, 508, ErrorCacheClass::NoStore),
        (
            SourceError::NotFound { negative_ttl: None }.into(),
            9404,
            404,
            ErrorCacheClass::NotFound,
        ),
        (
            RequestError::Source(SourceRefError::Characters).into(),
            9406,
            403,
            ErrorCacheClass::Options,
        ),
        (
            SourceError::Dns {
                host: host(),
                reason: host(),
            }
            .into(),
            9407,
            523,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::RequestTimeout(origin(StatusCode::REQUEST_TIMEOUT)).into(),
            9408,
            408,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::ClientError(origin(StatusCode::FORBIDDEN)).into(),
            9408,
            403,
            ErrorCacheClass::NoStore,
        ),
        (
            TransformError::NotAnImage.into(),
            9412,
            415,
            ErrorCacheClass::Source,
        ),
        (
            SourceError::NotAPicture {
                name: None,
                negative_ttl: None,
            }
            .into(),
            9412,
            415,
            ErrorCacheClass::Source,
        ),
        (
            SourceError::NotAPicture {
                name: Some("PDF"),
                negative_ttl: None,
            }
            .into(),
            9520,
            415,
            ErrorCacheClass::Source,
        ),
        (
            TransformError::UnsupportedFormat(UnsupportedFormat::Heic).into(),
            9412,
            415,
            ErrorCacheClass::Source,
        ),
        (
            TransformError::MetadataStays("image/avif".to_owned()).into(),
            9520,
            415,
            ErrorCacheClass::Source,
        ),
        (
            TransformError::ZeroSized.into(),
            9413,
            403,
            ErrorCacheClass::Source,
        ),
        (
            Denial::OutputTooLarge {
                option: "width",
                pixels: 2,
                limit: 1,
            }
            .into(),
            9413,
            403,
            ErrorCacheClass::Options,
        ),
        (
            Denial::PathNotAllowed.into(),
            9419,
            403,
            ErrorCacheClass::Options,
        ),
        (
            SourceError::BadRedirect { host: host() }.into(),
            9420,
            400,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::TooManyRedirects { limit: 5 }.into(),
            9421,
            400,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::Timeout(Slow::Body).into(),
            9504,
            524,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::UnknownBucket(host()).into(),
            9505,
            502,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::Coding(host()).into(),
            9505,
            502,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::ServerError(origin(StatusCode::INTERNAL_SERVER_ERROR)).into(),
            9509,
            502,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::ServerError(origin(StatusCode::LOOP_DETECTED)).into(),
            9403,
            508,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::Connect {
                host: host(),
                reason: host(),
            }
            .into(),
            9510,
            523,
            ErrorCacheClass::NoStore,
        ),
        (
            TransformError::Decode(host()).into(),
            9516,
            422,
            ErrorCacheClass::Source,
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
            ErrorCacheClass::Source,
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
            ErrorCacheClass::Source,
        ),
        (Denial::Drawing.into(), 9412, 415, ErrorCacheClass::Source),
        (
            RequestError::NotFound.into(),
            9404,
            404,
            ErrorCacheClass::NotFound,
        ),
        (
            RequestError::Method(Method::POST).into(),
            9424,
            405,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::PrivateAddress { host: host() }.into(),
            9401,
            403,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::RedirectDenied(Denial::PathNotAllowed).into(),
            9401,
            403,
            ErrorCacheClass::NoStore,
        ),
        (
            FlightLost::Crashed.into(),
            9523,
            500,
            ErrorCacheClass::NoStore,
        ),
        (
            TransformError::Encode(host()).into(),
            9516,
            500,
            ErrorCacheClass::NoStore,
        ),
        (
            SourceError::BadRequest(origin(StatusCode::BAD_REQUEST)).into(),
            9519,
            502,
            ErrorCacheClass::NoStore,
        ),
        (
            TransformError::UnsupportedFormat(UnsupportedFormat::Pdf).into(),
            9520,
            415,
            ErrorCacheClass::Source,
        ),
        (
            TransformError::UnsupportedCoding("a TIFF of another kind".to_owned()).into(),
            9520,
            415,
            ErrorCacheClass::Source,
        ),
        (
            SourceError::Busy(BusyReason::Fetches).into(),
            9522,
            503,
            ErrorCacheClass::NoStore,
        ),
        (
            refused(Rejection::Queue, 0).into(),
            9522,
            503,
            ErrorCacheClass::NoStore,
        ),
        (
            refused(Rejection::Wait(Lane::Fast), 90_000).into(),
            9522,
            503,
            ErrorCacheClass::NoStore,
        ),
        (
            refused(Rejection::Wait(Lane::Normal), 90_000).into(),
            9527,
            503,
            ErrorCacheClass::NoStore,
        ),
        (
            CpuError::Panicked.into(),
            9523,
            500,
            ErrorCacheClass::NoStore,
        ),
        (
            Timeout(Stage::Render).into(),
            9529,
            504,
            ErrorCacheClass::NoStore,
        ),
        (
            TransformError::OutOfTime.into(),
            9529,
            504,
            ErrorCacheClass::Source,
        ),
    ];
    for (error, number, status, class) in rows {
        let info = error.info();
        assert_eq!(
            (info.number, info.status.as_u16(), info.class),
            (number, status, class),
            "{error}"
        );
        let lives = ErrorTtls::default();
        let life = match class {
            ErrorCacheClass::NotFound => lives.not_found.duration(),
            ErrorCacheClass::Options => lives.options.duration(),
            ErrorCacheClass::Source => lives.source.duration(),
            ErrorCacheClass::NoStore => Duration::ZERO,
        };
        assert_eq!(error.ttl(&lives), life, "{error}");
        // No server's failure is kept, unless the source made it fail, nor is what drives an old picture out.
        let is_passing = class == ErrorCacheClass::NoStore;
        assert!(
            is_passing || ((status < 500 || status == 504) && !error.is_outage()),
            "{error}"
        );
    }
}
