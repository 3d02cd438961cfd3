//! Web servers as origins: one request, one response. A redirect is returned to the caller, who decides whether to follow it.
//!
//! Nothing of the client's request is forwarded: no cookies, no credentials, no referrer, no headers; but the trace that it belongs to, where there are
//! traces.

use std::error::Error;
use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::TryStreamExt;
use hyper::HeaderMap;
use hyper::Method;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use percent_encoding::AsciiSet;
use percent_encoding::percent_encode;
use reqwest::Client;
use reqwest::ClientBuilder;
use reqwest::Response;
use url::Url;

use crate::freshness::{Validators, http_date, negative_ttl};
use crate::outbound::{LookupError, causes, is_complete, root_cause, source_client};
use crate::source::body;
use crate::source::config::Config;
use crate::source::context::FetchContext;
use crate::source::egress::{AddressDenial, EgressPolicy, EgressResolver};
use crate::source::error::{FetchStage, SourceError};
use crate::source::outcome::{Metadata, OriginResponse};
use crate::source::setup::SetupError;
use crate::telemetry::trace;

/// What the decoders read, the best format first. Any other type is better than a 406.
const ACCEPT: &str =
    "image/avif,image/webp,image/png,image/jpeg,image/gif;q=0.9,image/*;q=0.8,*/*;q=0.5";
/// Origins and rewrite rules look for `image-resizing` to tell this request from a browser's, and so prevent request loops.
const VIA: &str = "1.1 safelight, 1.1 image-resizing";

/// A pool of connections to the addresses that its policy allows.
pub(super) struct HttpClient {
    client: Client,
    /// For content that may take long. HTTP/1.1 only: in HTTP/2 one client that reads slowly would hold back all other content on the connection.
    transfers: Client,
    /// Keeps no connection open, so each request gets a new one.
    unpooled: Client,
    egress: EgressPolicy,
}

/// One request.
pub(super) struct HttpRequest<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) headers: &'a HeaderMap,
    /// Whether the content may take long.
    pub(super) is_transfer: bool,
}

impl HttpClient {
    pub(super) fn new(config: &Config, egress: EgressPolicy) -> Result<Self, SetupError> {
        let agent = HeaderValue::from_str(&config.user_agent)
            .map_err(|_| SetupError::UserAgent(config.user_agent.clone()))?;
        let headers = [
            (header::ACCEPT, HeaderValue::from_static(ACCEPT)),
            (header::VIA, HeaderValue::from_static(VIA)),
        ];
        let headers = HeaderMap::from_iter(headers);
        let resolver = EgressResolver::new(egress);
        let builder = || {
            source_client()
                .user_agent(agent.clone())
                .default_headers(headers.clone())
                .dns_resolver(resolver.clone())
                .connect_timeout(config.connect_timeout.duration())
        };
        let build = |builder: ClientBuilder| {
            builder
                .build()
                .map_err(|error| SetupError::Client(root_cause(&error)))
        };
        Ok(HttpClient {
            client: build(builder())?,
            transfers: build(builder().http1_only())?,
            unpooled: build(builder().http1_only().pool_max_idle_per_host(0))?,
            egress,
        })
    }

    /// Sends one request. With the validators `known` it is a conditional one.
    pub(super) async fn get(
        &self,
        url: &Url,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<OriginResponse, SourceError> {
        let conditions = conditions(known);
        let mut headers = conditions.clone();
        if let Some(authorization) = context.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let request = HttpRequest {
            method: Method::GET,
            url,
            headers: &headers,
            is_transfer: false,
        };
        let response = self.send(request, context).await?;
        let (status, headers) = (response.status(), response.headers());
        match status {
            status if is_complete(status, headers) => {}
            StatusCode::NOT_MODIFIED if !conditions.is_empty() => {
                let outcome = Metadata::of(headers, context.rules).not_modified(known);
                return Ok(OriginResponse::Final(outcome));
            }
            _ => return redirect(url, &response).map(OriginResponse::Redirect),
        }
        let headers = headers.clone();
        let length = response.content_length();
        let outcome = body::receive(&headers, length, content(response), context).await?;
        Ok(OriginResponse::Final(outcome))
    }

    /// Sends a request to an address that the egress policy allows, and waits for the header of the response.
    pub(super) async fn send(
        &self,
        request: HttpRequest<'_>,
        context: FetchContext<'_>,
    ) -> Result<Response, SourceError> {
        let HttpRequest {
            method,
            url,
            headers,
            is_transfer,
        } = request;
        self.egress
            .check_literal(url)
            .map_err(|AddressDenial| private_address(url))?;
        let pooled = if is_transfer {
            &self.transfers
        } else {
            &self.client
        };
        let send = async |client: &Client| {
            let mut headers = headers.clone();
            let mut span = trace::call(&method, || url.to_string(), &mut headers);
            let request = client
                .request(method.clone(), without_credentials(url))
                .headers(headers)
                .send();
            let timeout = context.config.first_byte_timeout.duration();
            let deadline = context.deadline.within(timeout);
            let response = deadline.bound(FetchStage::FirstByte, request).await;
            match &response {
                Ok(Ok(response)) => span.set_answer(response.status().as_u16()),
                Ok(Err(_)) => span.fail("no-answer"),
                Err(_) => span.fail("timeout"),
            }
            response
        };
        let response = match send(pooled).await? {
            // The origin closed a pooled connection just before it was used again.
            Err(error) if is_connection_lost(&error) => send(&self.unpooled).await?,
            response => response,
        };
        response.map_err(|error| request_error(&error.without_url(), url))
    }
}

/// The content of a response, while it arrives.
pub(super) fn content(
    response: Response,
) -> impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static {
    response
        .bytes_stream()
        .map_err(|error| SourceError::BrokenOff(root_cause(&error.without_url())))
}

/// Where a response redirects to.
///
/// # Errors
/// That of its status, if it is no redirect.
pub(super) fn redirect(url: &Url, response: &Response) -> Result<Url, SourceError> {
    let status = response.status();
    match status {
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => location(url, response),
        _ => {
            let text = format!("origin `{}` answered {}", host(url), status.as_u16());
            let negative_ttl = negative_ttl(response.headers(), SystemTime::now());
            Err(SourceError::of_status(status, text).with_negative_ttl(negative_ttl))
        }
    }
}

/// The header fields of a conditional request. Validators that do not fit a header are left out.
fn conditions(known: Option<&Validators>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(Validators {
        etag,
        last_modified,
    }) = known
    else {
        return headers;
    };
    if let Some(etag) = etag
        .as_deref()
        .and_then(|etag| HeaderValue::from_str(etag).ok())
    {
        headers.insert(header::IF_NONE_MATCH, etag);
    }
    let date = last_modified.and_then(http_date);
    if let Some(date) = date.and_then(|date| HeaderValue::try_from(date).ok()) {
        headers.insert(header::IF_MODIFIED_SINCE, date);
    }
    headers
}

/// The client would turn a user and password in the URL into an `Authorization` header.
pub(super) fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only for URLs without a host, to which no request can be sent.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

fn location(base: &Url, response: &Response) -> Result<Url, SourceError> {
    // Some servers send bytes outside ASCII here, in UTF-8 or not, although it is not allowed. As browsers do, each byte is kept as it is.
    let target = response
        .headers()
        .get(header::LOCATION)
        .map(|value| percent_encode(value.as_bytes(), &AsciiSet::EMPTY).to_string())
        .and_then(|text| base.join(&text).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    target.ok_or_else(|| SourceError::BadRedirect { host: host(base) })
}

/// Why a request got no response.
fn request_error(error: &reqwest::Error, url: &Url) -> SourceError {
    if is_caused_by::<AddressDenial>(error) {
        private_address(url)
    } else if is_caused_by::<LookupError>(error) {
        SourceError::Dns {
            host: host(url),
            reason: root_cause(error),
        }
    } else if error.is_connect() && error.is_timeout() {
        SourceError::Timeout(FetchStage::Connect)
    } else if error.is_connect() {
        SourceError::Connect {
            host: host(url),
            reason: root_cause(error),
        }
    } else {
        SourceError::BrokenOff(root_cause(error))
    }
}

/// Whether a connection ended before the header of the response was complete. A GET may then be sent again (RFC 9110, section 9.2.2).
fn is_connection_lost(error: &reqwest::Error) -> bool {
    let is_lost = |cause: &(dyn Error + 'static)| {
        let is_incomplete = cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_incomplete_message);
        let is_reset = cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
        is_incomplete || is_reset
    };
    !error.is_connect() && !error.is_timeout() && causes(error).any(is_lost)
}

fn private_address(url: &Url) -> SourceError {
    SourceError::PrivateAddress { host: host(url) }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<E>())
}
