//! Say it: the only place that builds a response. It decides nothing; everything that it says was decided before.

mod headers;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::HeaderMap;
use hyper::Response;
use hyper::StatusCode;
use hyper::header::ALLOW;
use hyper::header::CONTENT_LENGTH;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use hyper::header::RETRY_AFTER;
use hyper::header::VARY;

use crate::cache::Outcome;
use crate::cache::Rendition;
use crate::cache::SourceRecord;
use crate::error::Error;
use crate::options::Warning;
use crate::request::RequestError;
use crate::transform::Timings;

/// Body of every answer: all of it, at once.
pub type Body = Full<Bytes>;

/// What an answer says about a picture beside the picture itself.
pub struct About<'a> {
    /// The source it is made of.
    pub source: &'a SourceRecord,
    /// Strong entity tag, quoted.
    pub etag: &'a str,
    /// Whether another `Accept` could have led to another picture.
    pub vary_accept: bool,
    /// What differs from what was asked for, apart from what the rendition itself says.
    pub warnings: &'a [Warning],
    /// How the answer was come by.
    pub spent: Spent,
}

/// How an answer was come by, and what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// What the cache had.
    pub outcome: Outcome,
    /// Until the source was known.
    pub fetch: Duration,
    /// The render, if this request made it.
    pub render: Option<Timings>,
    /// From the head of the request until now.
    pub total: Duration,
}

/// The picture; without its body for HEAD.
pub fn image(rendition: &Rendition, about: &About<'_>, head_only: bool) -> Response<Body> {
    let mut headers = headers::of_picture(about);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(rendition.format.mime()),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(rendition.bytes.len()));
    headers::append_warnings(&mut headers, rendition.warnings.iter().map(String::as_str));
    headers.insert(
        headers::CF_RESIZED,
        headers::resized(rendition, &about.spent),
    );
    let body = if head_only {
        Bytes::new()
    } else {
        rendition.bytes.clone()
    };
    with(StatusCode::OK, headers, body)
}

/// The client has the picture already.
pub fn not_modified(about: &About<'_>) -> Response<Body> {
    with(
        StatusCode::NOT_MODIFIED,
        headers::of_picture(about),
        Bytes::new(),
    )
}

/// There is no picture: a line of text that says why.
pub fn error(error: &Error, vary_accept: bool, head_only: bool) -> Response<Body> {
    let verdict = error.verdict();
    let text = format!("ERROR {}: {}\n", verdict.number, error.public_message());
    let mut headers = headers::of_error(verdict.number);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    if vary_accept {
        headers.insert(VARY, headers::ACCEPT_NAME);
    }
    if let Some(seconds) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Error::Request(RequestError::Method(_)) = error {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    let body = if head_only {
        Bytes::new()
    } else {
        Bytes::from(text)
    };
    with(verdict.status, headers, body)
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

fn with(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
