//! Say it: the only place that builds a response. It decides nothing; everything that it says was decided before.

mod headers;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::HeaderMap;
use hyper::Response;
use hyper::StatusCode;
use hyper::header::ACCEPT_RANGES;
use hyper::header::ALLOW;
use hyper::header::CACHE_CONTROL;
use hyper::header::CONTENT_LENGTH;
use hyper::header::CONTENT_RANGE;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use hyper::header::LOCATION;
use hyper::header::RETRY_AFTER;

use crate::cache::CacheStatus;
use crate::cache::Rendition;
use crate::cache::SourceRecord;
use crate::cache::Stale;
use crate::error::Error;
use crate::error::ErrorInfo;
use crate::options::Warning;
use crate::request::PreconditionOutcome;
use crate::request::RangeOutcome;
use crate::request::RequestError;
use crate::request::Vary;
use crate::transform::Timings;

/// Body of every answer: all of it, at once.
pub type Body = Full<Bytes>;

/// What is said of one picture whoever asks for it: spelled once, and copied into each answer.
#[derive(Debug)]
pub struct RepresentationHeaders {
    etag: Box<str>,
    headers: HeaderMap,
}

/// What an answer says about a picture beside the picture itself.
pub struct ResponseContext<'a> {
    /// What all of them say.
    pub representation: &'a RepresentationHeaders,
    /// The source that this was told of.
    pub source: &'a SourceRecord,
    /// How the answer was come by.
    pub timings: RequestTimings,
    /// How long the client keeps it, at most, where a better one is to come.
    pub interim: Option<Duration>,
    /// Why the source was used, where it was not fresh.
    pub stale: Option<Stale>,
}

/// How an answer was come by, and what it cost.
#[derive(Clone, Copy, Debug)]
pub struct RequestTimings {
    /// What the cache had.
    pub outcome: CacheStatus,
    /// Until the source was known.
    pub fetch: Duration,
    /// The render, if this request made it.
    pub render: Option<Timings>,
    /// From the head of the request until now.
    pub total: Duration,
}

impl RepresentationHeaders {
    /// Of a picture made of `source`: its strong entity tag, quoted; the headers of a request that could have led to another picture; and
    /// what differs from what was asked for, apart from what the rendition itself says.
    pub fn of(source: &SourceRecord, etag: String, vary: Vary, warnings: &[Warning]) -> Self {
        let headers = headers::of_representation(source, &etag, vary, warnings);
        RepresentationHeaders {
            etag: etag.into(),
            headers,
        }
    }

    /// The entity tag, quoted.
    pub fn etag(&self) -> &str {
        &self.etag
    }
}

/// The picture, or the part of it that was asked for; without its body for HEAD.
pub fn image(
    rendition: &Rendition,
    context: &ResponseContext<'_>,
    portion: RangeOutcome,
    head_only: bool,
) -> Response<Body> {
    let length = rendition.bytes.len();
    let (status, part) = match portion {
        RangeOutcome::Whole => (StatusCode::OK, 0..length),
        RangeOutcome::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        RangeOutcome::Unsatisfiable => {
            let mut headers = headers::of_unmet_condition(context);
            headers::insert(&mut headers, CONTENT_RANGE, &format!("bytes */{length}"));
            return with(StatusCode::RANGE_NOT_SATISFIABLE, headers, Bytes::new());
        }
    };
    let mut headers = headers::of_image(context);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(rendition.format.mime()),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.len()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = part.end.saturating_sub(1);
        let range = format!("bytes {}-{last}/{length}", part.start);
        headers::insert(&mut headers, CONTENT_RANGE, &range);
    }
    headers::append_warnings(&mut headers, rendition.warnings.iter().map(String::as_str));
    headers.insert(
        headers::CF_RESIZED,
        headers::resized(rendition, &context.timings),
    );
    let body = if head_only {
        Bytes::new()
    } else {
        rendition.bytes.slice(part)
    };
    with(status, headers, body)
}

/// What the client has, or has not, is all that it needs to know.
pub fn settled(settled: PreconditionOutcome, context: &ResponseContext<'_>) -> Response<Body> {
    let (status, headers) = match settled {
        PreconditionOutcome::NotModified => (StatusCode::NOT_MODIFIED, headers::of_image(context)),
        PreconditionOutcome::PreconditionFailed => (
            StatusCode::PRECONDITION_FAILED,
            headers::of_unmet_condition(context),
        ),
    };
    with(status, headers, Bytes::new())
}

/// An error that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCaching {
    /// For how long, from its beginning; less than a second is not at all.
    pub life: Duration,
    /// How long ago that was, where it was kept already and is told again.
    pub age: Option<Duration>,
}

/// There is no picture: a line of text that says why, and for how long that is so. What is not `caching`, nobody else keeps either.
pub fn error(
    error: &Error,
    caching: Option<ErrorCaching>,
    vary: Vary,
    head_only: bool,
) -> Response<Body> {
    let (info, mut headers, body) = failure(error, vary, head_only);
    if let Some(caching) = caching {
        headers::cache_error(&mut headers, caching);
    }
    if let Some(seconds) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Error::Request(RequestError::Method(_)) = error {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    with(info.status, headers, body)
}

/// There is no picture, but there is the source: the client is sent there, and still told why. Nobody keeps the redirect, because
/// the next try may succeed. Without `Retry-After`, which here would ask clients to wait before they follow.
pub fn redirect(error: &Error, location: &str, vary: Vary, head_only: bool) -> Response<Body> {
    let Ok(location) = HeaderValue::from_str(location) else {
        return self::error(error, None, vary, head_only);
    };
    let (_, mut headers, body) = failure(error, vary, head_only);
    headers.insert(LOCATION, location);
    with(StatusCode::TEMPORARY_REDIRECT, headers, body)
}

fn failure(error: &Error, vary: Vary, head_only: bool) -> (ErrorInfo, HeaderMap, Bytes) {
    let info = error.info();
    let text = format!("ERROR {}: {}\n", info.number, error.public_message());
    let mut headers = headers::of_error(info.number, vary);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    let body = if head_only {
        Bytes::new()
    } else {
        Bytes::from(text)
    };
    (info, headers, body)
}

/// A line of text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    with(status, headers, text.into())
}

/// A JSON document, kept by nobody.
pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, headers::NO_STORE);
    with(status, headers, text.into())
}

fn with(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
