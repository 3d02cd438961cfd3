//! The HTTP client under `object_store`: one attempt of one request. It notes what the bucket answered, because `object_store` keeps the
//! headers of a 304 and the kind of a failure to itself, and hands on only what is safe to keep.

use std::error::Error;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use object_store::ClientOptions;
use object_store::client::HttpClient;
use object_store::client::HttpConnector;
use object_store::client::HttpError;
use object_store::client::HttpErrorKind;
use object_store::client::HttpRequest;
use object_store::client::HttpResponse;
use object_store::client::HttpResponseBody;
use object_store::client::HttpService;
use reqwest::dns::Addrs;
use reqwest::dns::Name;
use reqwest::dns::Resolve;
use reqwest::dns::Resolving;
use tokio::time::timeout;

use super::Timeouts;
use crate::dns::Resolver;

/// An answer's error document is read up to this many bytes, in search of its code.
const ERROR_DOCUMENT: usize = 4096;

/// Stands for a length that is not told, and is larger than any object: what breaks off is asked for up to there.
const UNKNOWN_LENGTH: &str = "9223372036854775807";

/// What a request met last. Travels with the request as an extension, so that its sender can look afterwards.
#[derive(Clone, Default)]
pub(super) struct Capture(Arc<Mutex<Option<Exchange>>>);

pub(super) enum Exchange {
    Response {
        status: StatusCode,
        headers: HeaderMap,
        /// The word within `<Code>` of an error document, or nothing.
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

    fn note(&self, exchange: Exchange) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(exchange);
    }
}

/// The system's resolver.
#[derive(Default)]
struct BucketResolver(Resolver);

impl Resolve for BucketResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            // The port is a placeholder; the client puts in the URL's own.
            let found = resolver.addresses(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// One connection pool, shared by every request to a bucket.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    first_byte: Duration,
}

impl Transport {
    pub(super) fn new(timeouts: Timeouts) -> Result<Self, reqwest::Error> {
        // reqwest takes the process's provider; a second installation is refused, and the first one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Not every store hands out what it holds as it is.
        let plain = [(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        )];
        let plain = HeaderMap::from_iter(plain);
        let client = reqwest::Client::builder()
            .user_agent(concat!("safelight/", env!("CARGO_PKG_VERSION")))
            .default_headers(plain)
            .dns_resolver(BucketResolver::default())
            .connect_timeout(timeouts.connect)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            // Header lines that browsers forgive, as from other origins.
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .build()?;
        Ok(Transport {
            client,
            first_byte: timeouts.first_byte,
        })
    }

    async fn attempt(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match timeout(self.first_byte, self.client.call(request)).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(HttpError::new(HttpErrorKind::Timeout, elapsed)),
        }
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let capture = request
            .extensions()
            .get::<Capture>()
            .cloned()
            .unwrap_or_default();
        let (mut parts, mut body) = match self.attempt(request).await {
            Ok(answer) => answer.into_parts(),
            Err(error) => {
                capture.note(Exchange::Failure {
                    kind: failure(&error),
                    reason: reason(&error),
                });
                return Err(error);
            }
        };
        let mut code = String::new();
        if parts.status.is_client_error() || parts.status.is_server_error() {
            // The document may be endless, and it may quote the access key: only its code goes on.
            code = match timeout(self.first_byte, opening(body)).await {
                Ok(opening) => code_of(&opening),
                Err(_) => String::new(),
            };
            body = HttpResponseBody::from(Bytes::new());
        }
        let headers = kept(&parts.headers);
        capture.note(Exchange::Response {
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

/// The headers `object_store` works with. It fails on any other that is not ASCII: an object's own metadata, a file name.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::ETAG,
        header::LOCATION,
    ] {
        if let Some(value) = headers.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    // It refuses an answer without a length, which one in chunks has not: the body ends where HTTP says so.
    kept.entry(header::CONTENT_LENGTH)
        .or_insert(HeaderValue::from_static(UNKNOWN_LENGTH));
    kept
}

async fn opening(body: HttpResponseBody) -> Vec<u8> {
    let mut stream = body.bytes_stream();
    let mut read = Vec::new();
    while let Some(Ok(chunk)) = futures_util::StreamExt::next(&mut stream).await {
        let room = ERROR_DOCUMENT.saturating_sub(read.len());
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read.len() >= ERROR_DOCUMENT {
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

fn failure(error: &HttpError) -> FailureKind {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        // The connector under reqwest gives a failed lookup no type of its own.
        if error.to_string() == "dns error" {
            return FailureKind::Dns;
        }
        cause = error.source();
    }
    match error.kind() {
        HttpErrorKind::Connect => FailureKind::Connect,
        HttpErrorKind::Timeout => FailureKind::Timeout,
        _ => FailureKind::BrokenOff,
    }
}

/// The innermost cause: the layers above it only repeat that something failed.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::code_of;

    #[test]
    fn only_a_plain_word_is_a_code() {
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
