//! The response with an original.

use std::time::{Duration, SystemTime};

use hyper::Response;
use hyper::StatusCode;
use hyper::header::{
    AGE, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    EXPIRES, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};

use super::body::Body;
use super::context::ErrorCaching;
use super::fields::{
    CACHE_STATUS, CF_RESIZED, CONTENT_POLICY, NO_STORE, NOSNIFF, SERVER_TIMING, append_warnings,
    insert,
};
use super::headers::cache_error;
use super::lifetime::Lifetime;
use super::values::{fetch_timing, flow_timing};
use crate::error::Error;
use crate::freshness::negative_ttl;
use crate::options::Warning;
use crate::request::Vary;
use crate::source::Original;

/// What browsers show as a document, in which something could run.
const DOCUMENTS: [&str; 5] = [
    "text/html",
    // Browsers look at the content of it.
    "unknown/unknown",
    "*/*",
    "text/xml",
    "application/xml",
];

const SVG: &str = "image/svg+xml";

/// An original, with the headers of its origin; without the body for HEAD. `elapsed` is how long its head took to arrive.
///
/// A `disposition` takes the place of that of the origin, where the content is a picture.
pub(crate) fn original(
    original: Original,
    disposition: Option<HeaderValue>,
    elapsed: Duration,
    head_only: bool,
) -> Response<Body> {
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
        Some(other)
            if other.starts_with("image/")
                || other.ends_with("+xml")
                || DOCUMENTS.contains(&other) =>
        {
            headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        }
        // Without it, a browser would look at the content and might find a document.
        None => {
            headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        }
        Some(_) => {}
    }
    let is_content = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    let is_picture = media_type.is_some_and(|media_type| media_type.starts_with("image/"));
    if let Some(disposition) = disposition.filter(|_| is_content && is_picture) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    headers.insert(
        CACHE_STATUS,
        HeaderValue::from_static("safelight; fwd=bypass; detail=original"),
    );
    headers.insert(SERVER_TIMING, fetch_timing(elapsed));
    if let (Some(length), false) = (length, head_only) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let body = if head_only || !is_content {
        Body::Complete(bytes::Bytes::new())
    } else {
        Body::arriving(body, length)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Says in a response with an original why it takes the place of a picture. Where the next try may succeed, nobody may cache it. `vary` names the
/// request headers that could have led to a picture. A picture may be cached for no longer than `life`, the lifetime of the error.
pub(crate) fn mark_in_place(
    response: &mut Response<Body>,
    error: &Error,
    vary: Vary,
    life: Duration,
) {
    let headers = response.headers_mut();
    insert(headers, CF_RESIZED, &format!("err={}", error.info().number));
    let warning = Warning::new(format!("sent as it is: {}", error.public_message()));
    append_warnings(headers, [warning.as_str()].into_iter());
    if !vary.is_empty()
        && let Ok(value) = HeaderValue::try_from(vary.to_string())
    {
        // The origin may have a `Vary` of its own.
        headers.append(VARY, value);
    }
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_picture = media_type.is_some_and(|media_type| media_type.starts_with(b"image/"));
    let life = match (error.is_passing(), is_picture) {
        (true, _) => Duration::ZERO,
        // It may be whole by now, and then the next answer is a picture of the flow.
        (false, true) => {
            let stated = negative_ttl(headers, SystemTime::now());
            stated.map_or(life, |stated| stated.min(life))
        }
        (false, false) => return,
    };
    headers.remove(AGE);
    headers.remove(EXPIRES);
    headers.insert(CACHE_CONTROL, NO_STORE);
    cache_error(headers, ErrorCaching { life, age: None });
}

/// Lets clients cache the uploaded file of a hosted image as they may cache its pictures.
pub(crate) fn limit_lifetime(response: &mut Response<Body>, lifetime: Lifetime) {
    let headers = response.headers_mut();
    headers.remove(AGE);
    headers.remove(EXPIRES);
    let control = lifetime.cache_control(None, SystemTime::now());
    insert(headers, CACHE_CONTROL, &control);
}

/// Says that another `Via` could have led to another answer: a flow leaves requests of image proxies alone.
pub(crate) fn vary_by_proxies(response: &mut Response<Body>) {
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Via"));
}

/// Names the flow that a response is due to.
pub(crate) fn name_flow(response: &mut Response<Body>, flow: &str) {
    let headers = response.headers_mut();
    headers.append(SERVER_TIMING, flow_timing(flow));
}
