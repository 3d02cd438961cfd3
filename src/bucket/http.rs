//! The HTTP client below `object_store`: one attempt of one request. It captures the response of the bucket, because `object_store` does not pass on
//! the header of a 304 or the kind of a failure. It passes on to `object_store` only what is safe to keep.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use tokio::time::timeout;

use crate::outbound::{LookupError, Resolver, USER_AGENT, causes, root_cause, source_client};
use crate::telemetry::trace;

/// How much of an error document is read to find its code, in bytes.
const MAX_ERROR_DOCUMENT: usize = 4096;

/// Replaces an unknown length. It is larger than any object, so if the connection breaks, all of the rest is requested.
const UNKNOWN_LENGTH: &str = "9223372036854775807";

/// How long requests may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection: name lookup, TCP and TLS.
    pub connect: Duration,
    /// For the header of a response, connecting included.
    pub first_byte: Duration,
    /// After this time no retry starts.
    pub total: Duration,
}

/// Captures the last exchange of a request. It travels with the request as an extension, and its sender reads it afterwards.
#[derive(Clone, Default)]
pub(super) struct Capture(Arc<Mutex<Option<Exchange>>>);

/// Header fields that are added to a request after it was signed. They travel with it as an extension. The request for the rest of a broken response,
/// which has a range of its own, goes without them.
#[derive(Clone)]
pub(super) struct ExtraHeaders(pub(super) HeaderMap);

/// A response, or the failure to get one.
pub(super) enum Exchange {
    Response {
        status: StatusCode,
        headers: HeaderMap,
        /// The code of an error document (`NoSuchKey`), or empty.
        code: String,
    },
    Failure {
        kind: FailureKind,
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    Dns,
    Connect,
    Timeout,
    BrokenOff,
}

impl Capture {
    pub(super) fn take(&self) -> Option<Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, exchange: Exchange) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(exchange);
    }
}

/// The connection pool of a bucket.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    first_byte: Duration,
}

impl Transport {
    pub(super) fn new(timeouts: Timeouts) -> Result<Self, reqwest::Error> {
        let client = source_client()
            .user_agent(USER_AGENT)
            .dns_resolver(Resolver::default())
            .connect_timeout(timeouts.connect)
            .http1_only()
            .build()?;
        Ok(Transport {
            client,
            first_byte: timeouts.first_byte,
        })
    }

    async fn attempt(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (method, url) = (request.method().clone(), request.uri().clone());
        // It is signed already. The signature says nothing of other headers than those that were there.
        let mut span = trace::call(&method, || url.to_string(), request.headers_mut());
        let answer = match timeout(self.first_byte, self.client.call(request)).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(HttpError::new(HttpErrorKind::Timeout, elapsed)),
        };
        match &answer {
            Ok(answer) => span.set_answer(answer.status().as_u16()),
            Err(error) if matches!(error.kind(), HttpErrorKind::Timeout) => span.fail("timeout"),
            Err(_) => span.fail("no-answer"),
        }
        answer
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let has_extra_range = add_extra_headers(&mut request);
        let capture = request
            .extensions()
            .get::<Capture>()
            .cloned()
            .unwrap_or_default();
        let (mut parts, mut body) = match self.attempt(request).await {
            Ok(answer) => answer.into_parts(),
            Err(error) => {
                capture.set(Exchange::Failure {
                    kind: failure_kind(&error),
                    reason: root_cause(&error),
                });
                return Err(error);
            }
        };
        let mut code = String::new();
        if parts.status.is_client_error() || parts.status.is_server_error() {
            // The document may be endless, and may quote the access key. Only its code is passed on.
            code = match timeout(self.first_byte, read_start(body)).await {
                Ok(start) => code_of(&start),
                Err(_) => String::new(),
            };
            body = HttpResponseBody::from(Bytes::new());
        }
        let mut headers = passed_headers(&parts.headers);
        if has_extra_range {
            // Without a tag `object_store` does not request the rest of a broken response: it would count from the start of the object.
            headers.remove(header::ETAG);
        }
        capture.set(Exchange::Response {
            status: parts.status,
            headers: std::mem::replace(&mut parts.headers, headers),
            code,
        });
        Ok(HttpResponse::from_parts(parts, body))
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// Adds the [`ExtraHeaders`]. Returns whether there is a range among them.
fn add_extra_headers(request: &mut HttpRequest) -> bool {
    if request.headers().contains_key(header::RANGE) {
        return false;
    }
    let Some(ExtraHeaders(extra)) = request.extensions().get::<ExtraHeaders>().cloned() else {
        return false;
    };
    let has_range = extra.contains_key(header::RANGE);
    request.headers_mut().extend(extra);
    has_range
}

/// The header fields that `object_store` needs. It fails if any other field is not ASCII: metadata of an object, or a file name.
fn passed_headers(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in [
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::ETAG,
        header::LOCATION,
    ] {
        if let Some(value) = headers.get(&name) {
            passed.insert(name, value.clone());
        }
    }
    // `object_store` refuses a response without a length, which chunked ones do not have. The content ends where HTTP says so.
    passed
        .entry(header::CONTENT_LENGTH)
        .or_insert(HeaderValue::from_static(UNKNOWN_LENGTH));
    passed
}

async fn read_start(body: HttpResponseBody) -> Vec<u8> {
    let mut stream = body.bytes_stream();
    let mut read = Vec::new();
    while let Some(Ok(chunk)) = futures_util::StreamExt::next(&mut stream).await {
        let room = MAX_ERROR_DOCUMENT.saturating_sub(read.len());
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read.len() >= MAX_ERROR_DOCUMENT {
            break;
        }
    }
    read
}

/// `NoSuchKey` of `<Error><Code>NoSuchKey</Code>…`.
fn code_of(document: &[u8]) -> String {
    let text = String::from_utf8_lossy(document);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    match code {
        Some((code, _))
            if code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            code.to_owned()
        }
        Some(_) | None => String::new(),
    }
}

fn failure_kind(error: &HttpError) -> FailureKind {
    if causes(error).any(|cause| cause.is::<LookupError>()) {
        return FailureKind::Dns;
    }
    match error.kind() {
        HttpErrorKind::Connect => FailureKind::Connect,
        HttpErrorKind::Timeout => FailureKind::Timeout,
        _ => FailureKind::BrokenOff,
    }
}

#[cfg(test)]
mod tests {
    use super::code_of;

    #[test]
    fn only_letters_and_digits_are_a_code() {
        let document = b"<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(code_of(document), "SignatureDoesNotMatch");
        for odd in [
            "",
            "<html>",
            "<Code>",
            "<Code></Code>",
            "<Code>a\nb</Code>",
            "<Code>a b</Code>",
        ] {
            assert_eq!(code_of(odd.as_bytes()), "", "{odd}");
        }
        let long = format!("<Code>{}</Code>", "x".repeat(65));
        assert_eq!(code_of(long.as_bytes()), "");
    }
}
