//! Header fields that several kinds of answers have, and how they are inserted.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, VARY, WARNING};

use crate::request::Vary;

pub(super) const CF_RESIZED: HeaderName = HeaderName::from_static("cf-resized");
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// The methods of the public listener.
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// The `Cache-Control` of an answer that is right for this moment or for this client only.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// The `Content-Security-Policy` of every answer: a picture that is opened as a document runs nothing and loads nothing.
pub(super) const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
);

/// Sets a header to a text.
pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // This module writes ASCII alone, so the conversion does not fail.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// Sets `Vary` to the request headers that the answer depends on, if there are any.
pub(super) fn insert_vary(headers: &mut HeaderMap, vary: Vary) {
    if !vary.is_empty() {
        insert(headers, VARY, &vary.to_string());
    }
}

/// Adds a `Warning` header for each text.
pub(super) fn append_warnings<'a>(headers: &mut HeaderMap, texts: impl Iterator<Item = &'a str>) {
    for text in texts {
        if let Ok(value) = HeaderValue::try_from(format!("cf-images 299 \"{text}\"")) {
            headers.append(WARNING, value);
        }
    }
}
