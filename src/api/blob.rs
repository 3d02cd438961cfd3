//! The file of an image, as it was uploaded: a stream from the store, never held in memory.

use axum::body::Body;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, RANGE,
};

use crate::api::call::Call;
use crate::api::error::{ApiError, Failure};
use crate::api::state::ApiState;
use crate::error::Error;
use crate::hosted::Record;
use crate::request::{Conditional, PreconditionOutcome, RangeOutcome};
use crate::source::SourceError;

/// The answer to `GET /images/v1/ID/blob`. The validator is the hash of the file, so conditions are evaluated here, and the store hears of the range alone.
pub(super) async fn blob(
    state: &ApiState,
    call: &Call,
    record: &Record,
) -> Result<Response, ApiError> {
    let original = record.original.as_ref().ok_or_else(ApiError::not_found)?;
    let etag = format!("\"{}\"", original.sha256);
    let conditions = Conditional::of_headers(&call.headers, !call.head_only);
    let status = match conditions.evaluate_preconditions(&etag, None) {
        None => StatusCode::OK,
        Some(PreconditionOutcome::NotModified) => StatusCode::NOT_MODIFIED,
        Some(PreconditionOutcome::PreconditionFailed) => StatusCode::PRECONDITION_FAILED,
    };
    if status != StatusCode::OK {
        return Ok(described(empty(status), &etag));
    }
    let length = usize::try_from(original.bytes).unwrap_or(usize::MAX);
    let mut asked = HeaderMap::new();
    match conditions.select_range(&etag, None, length) {
        RangeOutcome::Whole => {}
        RangeOutcome::Part(part) => {
            let range = format!("bytes={}-{}", part.start, part.end.saturating_sub(1));
            insert(&mut asked, RANGE, &range);
        }
        RangeOutcome::Unsatisfiable => {
            let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            let range = format!("bytes */{length}");
            insert(response.headers_mut(), CONTENT_RANGE, &range);
            return Ok(described(response, &etag));
        }
    }
    let pipeline = state.pipeline();
    let sent = pipeline.stored_file(original, asked, call.head_only).await;
    let mut response = sent.map_err(unreadable)?.map(Body::new);
    let headers = response.headers_mut();
    insert(headers, CONTENT_TYPE, &original.facts.mime);
    if call.head_only {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(original.bytes));
    }
    Ok(described(response, &etag))
}

/// Adds what every answer about a file says.
fn described(mut response: Response, etag: &str) -> Response {
    const OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    insert(headers, ETAG, etag);
    headers.insert(OPTIONS, HeaderValue::from_static("nosniff"));
    // A drawing is sent as it was uploaded, so nothing in it may run.
    let sandbox =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, sandbox);
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

fn unreadable(error: Error) -> ApiError {
    match &error {
        Error::Source(SourceError::NotFound { .. }) => ApiError::not_found().because(error),
        Error::Source(SourceError::Busy(_)) => ApiError::busy().because(error),
        _ => ApiError::new(Failure::Storage, "the store of images does not answer")
            .because(error)
            .retry_after(5),
    }
}
