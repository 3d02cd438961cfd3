//! A request of the API, as its handlers see it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequest, Request};
use futures_util::TryStreamExt as _;
use hyper::HeaderMap;
use hyper::Method;
use hyper::Uri;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::api::error::{ApiError, Failure};
use crate::api::form;
use crate::api::upload_body::UploadBody;
use crate::hosted::ImageId;

/// The longest JSON body.
const MAX_JSON: usize = 256 << 10;

/// Below which prefix a request was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `/client/v4/accounts/ACCOUNT`.
    Account(String),
    /// None: as with batch tokens.
    Batch,
    /// `/upload/HASH/`.
    Upload,
}

/// The body of a request on its way through the router.
#[derive(Clone)]
pub(super) struct Arrival(Arc<Mutex<Option<UploadBody>>>);

impl Arrival {
    pub(super) fn new(body: UploadBody) -> Self {
        Arrival(Arc::new(Mutex::new(Some(body))))
    }

    fn take(&self) -> Option<UploadBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The scheme and host of URLs in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base(pub Arc<str>);

/// A request.
pub(super) struct Call {
    pub place: Place,
    pub base: Base,
    pub headers: HeaderMap,
    /// HEAD: the answer has no content.
    pub head_only: bool,
    uri: Uri,
    body: Option<UploadBody>,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (mut head, _) = request.into_parts();
        let missing = || ApiError::internal("a request without its place");
        Ok(Call {
            place: head.extensions.remove().ok_or_else(missing)?,
            base: head.extensions.remove().ok_or_else(missing)?,
            body: head
                .extensions
                .remove::<Arrival>()
                .and_then(|arrival| arrival.take()),
            headers: head.headers,
            head_only: head.method == Method::HEAD,
            uri: head.uri,
        })
    }
}

impl Call {
    /// The path, below its prefix and still encoded.
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The fields of the query, decoded.
    pub(super) fn query(&self) -> Result<Vec<(String, String)>, ApiError> {
        let query = self.uri.query().unwrap_or_default();
        if percent_decode_str(query).decode_utf8().is_err() {
            return Err(ApiError::bad_request("the query must be UTF-8"));
        }
        Ok(serde_urlencoded::from_str(query).unwrap_or_default())
    }

    /// The ID in the path, decoded once. A `%` without two digits stands for itself, and slashes need not be encoded, as old clients send them.
    /// `suffix` follows it.
    pub(super) fn id(&self, suffix: &str) -> Result<ImageId, ApiError> {
        let raw = self.path().strip_prefix("/images/v1/");
        let raw = raw.and_then(|raw| raw.strip_suffix(suffix));
        let id = raw.and_then(|raw| percent_decode_str(raw).decode_utf8().ok());
        let id = id.and_then(|id| ImageId::new(&id).ok());
        id.ok_or_else(ApiError::not_found)
    }

    /// Whether the path names the file of an image: its last segment is `blob`, and an ID is before it.
    pub(super) fn names_blob(&self) -> bool {
        let raw = self.path().strip_prefix("/images/v1/");
        raw.is_some_and(|raw| raw.ends_with("/blob"))
    }

    /// The last segment of the path, decoded.
    pub(super) fn last_segment(&self) -> String {
        let last = self.path().rsplit('/').next().unwrap_or_default();
        percent_decode_str(last).decode_utf8_lossy().into_owned()
    }

    /// The body.
    pub(super) fn body(&mut self) -> Result<UploadBody, ApiError> {
        let missing = || ApiError::internal("the body was taken twice");
        self.body.take().ok_or_else(missing)
    }

    /// The body as a JSON object; an empty body is an empty object.
    pub(super) async fn json(&mut self) -> Result<Map<String, Value>, ApiError> {
        let mut body = self.body()?;
        let mut text = Vec::new();
        while let Some(piece) = body.try_next().await.map_err(form::arrival)? {
            if text.len() + piece.len() > MAX_JSON {
                let message = format!("the body must have at most {MAX_JSON} bytes");
                return Err(ApiError::new(Failure::TooLarge, message));
            }
            text.extend_from_slice(&piece);
        }
        if text.trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(&text).map_err(|error| {
            ApiError::bad_request(format!("the body must be a JSON object: {error}"))
        })
    }
}
