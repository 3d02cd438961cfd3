//! HTTP origins: one request, one answer. A redirect is handed back, because whether it may be followed is not decided here.
//!
//! Nothing of the client's travels on: no cookies, no credentials, no referrer, no headers.

use std::error::Error;
use std::io;
use std::time::SystemTime;

use futures_util::TryStreamExt;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use percent_encoding::AsciiSet;
use percent_encoding::percent_encode;
use reqwest::Client;
use reqwest::ClientBuilder;
use reqwest::Response;
use url::Url;

use super::Config;
use super::FetchContext;
use super::FetchOutcome;
use super::FetchStage;
use super::FetchedSource;
use super::OriginResponse;
use super::SetupError;
use super::SourceError;
use super::body;
use super::coding::Codings;
use super::egress::AddressDenial;
use super::egress::DnsError;
use super::egress::EgressPolicy;
use super::egress::EgressResolver;
use crate::bucket::is_whole;
use crate::freshness;
use crate::freshness::Freshness;
use crate::freshness::Tags;
use crate::freshness::Validators;
use crate::freshness::http_date;

/// What decoders can read, the best first; anything else is better than a 406.
const ACCEPT: &str =
    "image/avif,image/webp,image/png,image/jpeg,image/gif;q=0.9,image/*;q=0.8,*/*;q=0.5";
/// Origins and rewrite rules look for `image-resizing` to tell this request from a browser's, and so do not send it round in a circle.
const VIA: &str = "1.1 safelight, 1.1 image-resizing";

/// A pool of connections to the addresses that its policy allows.
pub(super) struct HttpClient {
    client: Client,
    /// Keeps no connection, so that each request has a new one.
    unpooled: Client,
    egress: EgressPolicy,
}

impl HttpClient {
    pub(super) fn new(config: &Config, egress: EgressPolicy) -> Result<Self, SetupError> {
        // reqwest takes the process's provider; a second installation is refused, and the first one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let agent = HeaderValue::from_str(&config.user_agent)
            .map_err(|_| SetupError::UserAgent(config.user_agent.clone()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        // Compressed pictures do not get smaller. What comes compressed all the same is unpacked.
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        headers.insert(header::VIA, HeaderValue::from_static(VIA));
        let resolver = EgressResolver::new(egress);
        let builder = || {
            Client::builder()
                .user_agent(agent.clone())
                .default_headers(headers.clone())
                .dns_resolver(resolver.clone())
                .connect_timeout(config.connect_timeout.duration())
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .no_proxy()
                // Header lines that browsers forgive. A line that cannot be read is left out, and the rest of the answer counts.
                .http1_allow_spaces_after_header_name_in_responses(true)
                .http1_allow_obsolete_multiline_headers_in_responses(true)
                .http1_ignore_invalid_headers_in_responses(true)
        };
        let client = |builder: ClientBuilder| {
            builder
                .build()
                .map_err(|error| SetupError::Client(reason(&error)))
        };
        Ok(HttpClient {
            client: client(builder())?,
            unpooled: client(builder().pool_max_idle_per_host(0))?,
            egress,
        })
    }

    /// Asks once. `known` makes it a question whether anything changed.
    pub(super) async fn ask(
        &self,
        url: &Url,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<OriginResponse, SourceError> {
        let FetchContext {
            config,
            terms,
            clock,
            ..
        } = context;
        self.egress
            .check_literal(url)
            .map_err(|AddressDenial| private(url))?;
        let conditions = conditions(known);
        let is_conditional = !conditions.is_empty();
        let send = async |client: &Client| {
            let request = client
                .get(without_credentials(url))
                .headers(conditions.clone())
                .send();
            let timeout = config.first_byte_timeout.duration();
            clock.bound(FetchStage::FirstByte, timeout, request).await
        };
        let response = match send(&self.client).await? {
            // The origin had given up the connection before it was used again.
            Err(error) if is_connection_lost(&error) => send(&self.unpooled).await?,
            response => response,
        }
        .map_err(|error| unanswered(&error.without_url(), url))?;
        let now = SystemTime::now();
        let status = response.status();
        match status {
            status if is_whole(status, response.headers()) => {}
            StatusCode::NOT_MODIFIED if is_conditional => {
                let newer = Validators::of(response.headers());
                let validators =
                    known.map_or_else(|| newer.clone(), |known| known.renewed_by(&newer));
                return Ok(OriginResponse::Final(FetchOutcome::NotModified {
                    freshness: Freshness::of(response.headers(), now, &terms.rules),
                    validators,
                    tags: Tags::of(response.headers(), &terms.tags),
                }));
            }
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                return location(url, &response).map(OriginResponse::Redirect);
            }
            _ => {
                let text = format!("origin `{}` answered {}", host(url), status.as_u16());
                let negative_ttl = freshness::negative_ttl(response.headers(), now);
                return Err(SourceError::of_status(status, text).with_negative_ttl(negative_ttl));
            }
        }
        let validators = Validators::of(response.headers());
        let freshness = Freshness::of(response.headers(), now, &terms.rules);
        let tags = Tags::of(response.headers(), &terms.tags);
        let negative_ttl = freshness::negative_ttl(response.headers(), now);
        let codings = Codings::of(response.headers())?;
        let announced = response.content_length();
        let stream = response
            .bytes_stream()
            .map_err(|error| SourceError::BrokenOff(reason(&error.without_url())));
        let bytes = body::collect(stream, announced, codings, context)
            .await
            .map_err(|error| error.with_negative_ttl(negative_ttl))?;
        Ok(OriginResponse::Final(FetchOutcome::Fetched(
            FetchedSource {
                bytes,
                validators,
                freshness,
                tags,
            },
        )))
    }
}

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

/// A user and password in a URL would become an `Authorization` header.
fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only for URLs without a host, which cannot be asked anything.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

fn location(base: &Url, response: &Response) -> Result<Url, SourceError> {
    // Bytes outside ASCII are not allowed there and are sent all the same, in UTF-8 or not: as browsers do, each is kept as it is.
    let target = response
        .headers()
        .get(header::LOCATION)
        .map(|value| percent_encode(value.as_bytes(), &AsciiSet::EMPTY).to_string())
        .and_then(|text| base.join(&text).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    target.ok_or_else(|| SourceError::BadRedirect { host: host(base) })
}

/// Why a request got no answer.
fn unanswered(error: &reqwest::Error, url: &Url) -> SourceError {
    if is_caused_by::<AddressDenial>(error) {
        private(url)
    } else if is_caused_by::<DnsError>(error) {
        SourceError::Dns {
            host: host(url),
            reason: reason(error),
        }
    } else if error.is_connect() && error.is_timeout() {
        SourceError::Timeout(FetchStage::Connect)
    } else if error.is_connect() {
        SourceError::Connect {
            host: host(url),
            reason: reason(error),
        }
    } else {
        SourceError::BrokenOff(reason(error))
    }
}

/// Whether a connection ended before the head of the answer was there. A GET may then be sent again (RFC 9110, section 9.2.2).
fn is_connection_lost(error: &reqwest::Error) -> bool {
    let is_lost = |cause: &(dyn Error + 'static)| {
        let is_unanswered = cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_incomplete_message);
        let is_reset = cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
        is_unanswered || is_reset
    };
    !error.is_connect() && !error.is_timeout() && causes(error).any(is_lost)
}

fn private(url: &Url) -> SourceError {
    SourceError::PrivateAddress { host: host(url) }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<E>())
}

/// An error and what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

/// The innermost cause: the layers above it repeat that something failed, and may hold the URL with its signature.
fn reason(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
