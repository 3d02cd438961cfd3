//! Errors of the API: the one table from failure to status and number, and the answer, which is always JSON.

use std::fmt;

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::api::envelope::respond;
use crate::hosted::{HostedError, IdError};

/// What clients of Cloudflare's SDKs look at before they send a request again.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// How long a client waits before it tries again, in seconds, where nothing better is known.
const RETRY_SECONDS: u32 = 5;

/// The kinds of failures, by Cloudflare's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    BadRequest,
    NoVariant,
    WrongAccount,
    NotFound,
    TooSlow,
    Exists,
    Gone,
    PrivateName,
    BadId,
    TooLarge,
    NotAForm,
    Aborted,
    Animation,
    TooMany,
    Fetch,
    Format,
    Internal,
    Indexing,
    Unavailable,
    Storage,
    NoRoute,
    WrongMethod,
    Undecodable,
    NoToken,
    NoRight,
}

impl Failure {
    /// The status, Cloudflare's number, and the word in the log.
    const fn info(self) -> (StatusCode, u32, &'static str) {
        match self {
            Failure::BadRequest => (StatusCode::BAD_REQUEST, 5400, "bad-request"),
            Failure::NoVariant => (StatusCode::NOT_FOUND, 5401, "no-variant"),
            Failure::WrongAccount => (StatusCode::FORBIDDEN, 5403, "wrong-account"),
            Failure::NotFound => (StatusCode::NOT_FOUND, 5404, "image-not-found"),
            Failure::TooSlow => (StatusCode::REQUEST_TIMEOUT, 5408, "slow-upload"),
            Failure::Exists => (StatusCode::CONFLICT, 5409, "exists"),
            Failure::Gone => (StatusCode::GONE, 5404, "upload-expired"),
            Failure::PrivateName => (StatusCode::BAD_REQUEST, 5410, "private-name"),
            Failure::BadId => (StatusCode::BAD_REQUEST, 5411, "bad-id"),
            Failure::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 5413, "upload-too-large"),
            Failure::NotAForm => (StatusCode::UNSUPPORTED_MEDIA_TYPE, 5415, "not-a-form"),
            Failure::Aborted => (StatusCode::BAD_REQUEST, 5433, "upload-aborted"),
            Failure::Animation => (StatusCode::PAYLOAD_TOO_LARGE, 5443, "animation-too-large"),
            Failure::TooMany => (StatusCode::FORBIDDEN, 5453, "account-limit"),
            Failure::Fetch => (StatusCode::BAD_REQUEST, 5454, "upload-fetch"),
            Failure::Format => (StatusCode::UNSUPPORTED_MEDIA_TYPE, 5455, "upload-format"),
            Failure::Internal => (StatusCode::SERVICE_UNAVAILABLE, 5500, "api-internal"),
            Failure::Indexing => (StatusCode::SERVICE_UNAVAILABLE, 5503, "indexing"),
            Failure::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 5503, "api-busy"),
            Failure::Storage => (StatusCode::SERVICE_UNAVAILABLE, 5540, "storage"),
            Failure::NoRoute => (StatusCode::NOT_FOUND, 7003, "no-route"),
            Failure::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, 7003, "wrong-method"),
            Failure::Undecodable => (StatusCode::BAD_REQUEST, 9422, "undecodable"),
            Failure::NoToken => (StatusCode::UNAUTHORIZED, 10000, "no-token"),
            Failure::NoRight => (StatusCode::FORBIDDEN, 10000, "no-right"),
        }
    }
}

/// Why a request of the API failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    failure: Failure,
    message: String,
    /// Which field is to blame, as a JSON pointer.
    pointer: Option<&'static str>,
    /// In how many seconds the request may succeed.
    retry_after: Option<u32>,
    /// What clients do not hear, for the log.
    cause: String,
}

/// What the log says of an error; it travels with the answer.
#[derive(Clone, Debug)]
pub(super) struct LoggedError {
    pub code: &'static str,
    pub text: String,
}

impl ApiError {
    pub(super) fn new(failure: Failure, message: impl Into<String>) -> Self {
        ApiError {
            failure,
            message: message.into(),
            pointer: None,
            retry_after: None,
            cause: String::new(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        ApiError::new(Failure::BadRequest, message)
    }

    /// The mistake is in this field.
    pub(super) fn at(mut self, pointer: &'static str) -> Self {
        self.pointer = Some(pointer);
        self
    }

    /// For the log alone.
    pub(super) fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = cause.to_string();
        self
    }

    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The word for metrics and the log.
    pub(super) fn word(&self) -> &'static str {
        self.failure.info().2
    }

    /// Whether there is no such image, or no such file.
    pub(super) fn is_not_found(&self) -> bool {
        self.failure == Failure::NotFound
    }

    pub(super) fn not_found() -> Self {
        ApiError::new(Failure::NotFound, "Image not found")
    }

    /// Too much is going on.
    pub(super) fn busy() -> Self {
        let message = "the server has too much to do, please try again";
        ApiError::new(Failure::Unavailable, message).retry_after(RETRY_SECONDS)
    }

    pub(super) fn internal(cause: impl fmt::Display) -> Self {
        ApiError::new(Failure::Internal, "an internal error happened")
            .because(cause)
            .retry_after(RETRY_SECONDS)
    }
}

impl From<HostedError> for ApiError {
    fn from(error: HostedError) -> Self {
        let (failure, message) = match &error {
            HostedError::NotFound => (Failure::NotFound, "Image not found"),
            HostedError::Exists => (
                Failure::Exists,
                "Resource already exists: there is an image of this ID",
            ),
            HostedError::DraftUsed => (Failure::Exists, "the upload URL has been used already"),
            HostedError::DraftExpired => (Failure::Gone, "the upload URL has expired"),
            HostedError::Indexing => (
                Failure::Indexing,
                "the index of images is being built, please try again",
            ),
            HostedError::Busy => (
                Failure::Unavailable,
                "others change this image at the same time, please try again",
            ),
            HostedError::Full(_) => (Failure::Storage, "the store of images is full"),
            HostedError::Store(_) => (Failure::Storage, "the store of images does not answer"),
        };
        let told = ApiError::new(failure, message);
        match failure {
            Failure::Indexing | Failure::Unavailable | Failure::Storage => {
                told.because(error).retry_after(RETRY_SECONDS)
            }
            _ => told,
        }
    }
}

impl From<IdError> for ApiError {
    fn from(error: IdError) -> Self {
        let rules = "The Custom ID is invalid. Custom IDs can include 1024 characters or less, any number of subpaths, and support the UTF-8 encoding standard for characters";
        ApiError::new(Failure::BadId, format!("{rules}: {error}")).at("/id")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, number, code) = self.failure.info();
        let mut error = json!({"code": number, "message": self.message});
        if let Some(pointer) = self.pointer {
            error["source"] = json!({"pointer": pointer});
        }
        let document = json!({
            "result": Value::Null, "success": false, "errors": [error], "messages": [],
        });
        let mut response = respond(status, &document);
        let headers = response.headers_mut();
        let may_succeed_later = matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
        if status.is_client_error() && !may_succeed_later {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let text = if self.cause.is_empty() {
            self.message
        } else {
            format!("{}: {}", self.message, self.cause)
        };
        response.extensions_mut().insert(LoggedError { code, text });
        response
    }
}
