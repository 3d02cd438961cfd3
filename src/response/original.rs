//! The response with an original.

use std::time::Duration;

use hyper::Response;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};

use super::body::Body;
use super::fields::{CACHE_STATUS, CONTENT_POLICY, NOSNIFF, SERVER_TIMING};
use super::values::fetch_timing;
use crate::source::Original;

/// What browsers show as a document, in which something could run.
const DOCUMENTS: [&str; 4] = [
    "text/html",
    "application/xhtml+xml",
    "text/xml",
    "application/xml",
];

const SVG: &str = "image/svg+xml";

/// An original, with the headers of its origin; without the body for HEAD. `elapsed` is how long its head took to arrive.
pub(crate) fn original(original: Original, elapsed: Duration, head_only: bool) -> Response<Body> {
    let Original {
        status,
        mut headers,
        body,
        length,
    } = original;
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
    match media_type.as_deref() {
        Some(SVG) => {
            headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
            headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        }
        Some(other) if other.starts_with("image/") || DOCUMENTS.contains(&other) => {
            headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        }
        _ => {}
    }
    headers.insert(
        CACHE_STATUS,
        HeaderValue::from_static("safelight; fwd=bypass; detail=original"),
    );
    headers.insert(SERVER_TIMING, fetch_timing(elapsed));
    if let (Some(length), false) = (length, head_only) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let body = if head_only {
        Body::Complete(bytes::Bytes::new())
    } else {
        Body::arriving(body, length)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
