//! Builds every response. It decides nothing: earlier modules have decided all that a response says.

mod body;
mod context;
mod cors;
mod disposition;
mod fields;
mod headers;
mod lifetime;
mod original;
mod protection;
mod representation;
mod values;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::Response;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER,
};

use crate::cache::Rendition;
use crate::error::{Error, ErrorInfo};
use crate::request::{PreconditionOutcome, RangeOutcome, RequestError, Vary};

pub use body::Body;
pub use body::BodyError;
pub(crate) use context::ErrorCaching;
pub(crate) use context::RequestTimings;
pub(crate) use context::ResponseContext;
pub use cors::Cors;
pub use disposition::Config;
pub(crate) use disposition::Disposition;
pub(crate) use lifetime::Lifetime;
pub(crate) use original::limit_lifetime;
pub(crate) use original::mark_in_place;
pub(crate) use original::name_flow;
pub(crate) use original::original;
pub(crate) use original::vary_by_proxies;
pub(crate) use protection::protect;
pub(crate) use protection::protect_admin;
pub(crate) use representation::RepresentationHeaders;

use fields::METHODS;
use fields::NO_STORE;
use fields::append_warnings;
use fields::insert;

/// A picture, or the part of it that the request names; without the body for HEAD.
pub(crate) fn image(
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
            insert(&mut headers, CONTENT_RANGE, &format!("bytes */{length}"));
            return respond(StatusCode::RANGE_NOT_SATISFIABLE, headers, Bytes::new());
        }
    };
    let mut headers = headers::of_image(context);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(rendition.format.mime()),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.len()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(disposition) = context.representation.disposition() {
        headers.insert(CONTENT_DISPOSITION, disposition.clone());
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let last = part.end.saturating_sub(1);
        let range = format!("bytes {}-{last}/{length}", part.start);
        insert(&mut headers, CONTENT_RANGE, &range);
    }
    append_warnings(&mut headers, rendition.warnings.iter().map(String::as_str));
    headers.insert(
        fields::CF_RESIZED,
        values::resized(rendition, &context.timings),
    );
    let body = if head_only {
        Bytes::new()
    } else {
        rendition.bytes.slice(part)
    };
    respond(status, headers, body)
}

/// The response to a precondition that the picture does not meet: the client needs no picture.
pub(crate) fn precondition(
    outcome: PreconditionOutcome,
    context: &ResponseContext<'_>,
) -> Response<Body> {
    let (status, headers) = match outcome {
        PreconditionOutcome::NotModified => (StatusCode::NOT_MODIFIED, headers::of_image(context)),
        PreconditionOutcome::PreconditionFailed => (
            StatusCode::PRECONDITION_FAILED,
            headers::of_unmet_condition(context),
        ),
    };
    respond(status, headers, Bytes::new())
}

/// An error as a line of text. Without `caching`, nobody may cache it.
pub(crate) fn error(
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
        headers.insert(ALLOW, METHODS);
    }
    respond(info.status, headers, body)
}

/// A redirect to the source in place of a picture, with the error as its body. Nobody may cache it, because the next try may succeed. It has
/// no `Retry-After`, which would ask clients to wait before they follow it.
pub(crate) fn redirect(
    error: &Error,
    location: &str,
    vary: Vary,
    head_only: bool,
) -> Response<Body> {
    let Ok(location) = HeaderValue::from_str(location) else {
        return self::error(error, None, vary, head_only);
    };
    let (_, mut headers, body) = failure(error, vary, head_only);
    headers.insert(LOCATION, location);
    respond(StatusCode::TEMPORARY_REDIRECT, headers, body)
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

/// The response at a path where nothing can be.
pub(crate) fn nothing_served() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "nothing is served at this path\n")
}

/// The response to OPTIONS, which asks what may be asked. `request` has the headers of the request.
pub(crate) fn options(cors: &Cors, request: &HeaderMap) -> Response<Body> {
    respond(
        StatusCode::NO_CONTENT,
        cors.of_options(request),
        Bytes::new(),
    )
}

/// A response of plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    protect(&mut headers);
    respond(status, headers, text.into())
}

/// A response with a JSON document, which nobody may cache.
pub(crate) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    protect(&mut headers);
    respond(status, headers, text.into())
}

fn respond(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Complete(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
