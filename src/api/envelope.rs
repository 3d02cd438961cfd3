//! The envelope of every answer: `result`, `success`, `errors` and `messages`.

use axum::body::Body;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::response;

/// A successful answer.
pub(super) fn success(result: Value) -> Response {
    let document = json!({"result": result, "success": true, "errors": [], "messages": []});
    respond(StatusCode::OK, &document)
}

/// A successful answer with a page of a list.
pub(super) fn page(result: Value, info: Value) -> Response {
    let document = json!({
        "result": result, "result_info": info, "success": true, "errors": [], "messages": [],
    });
    respond(StatusCode::OK, &document)
}

/// An answer with this document.
pub(super) fn respond(status: StatusCode, document: &Value) -> Response {
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response::protect(headers);
    response
}
