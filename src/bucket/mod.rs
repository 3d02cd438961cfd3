//! One S3-compatible bucket, whoever needs it: where it is, who signs, and its objects as streams.
//!
//! Never falls back to an unsigned request when credentials are missing, because the answer would be a riddle ("403") instead of the cause;
//! never puts a secret or an answer's text into a message; never follows a redirect, because a signed request has one addressee.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use chrono::DateTime;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use object_store::BackoffConfig;
use object_store::GetOptions;
use object_store::ObjectStore;
use object_store::PutOptions;
use object_store::PutPayload;
use object_store::RetryConfig;
use object_store::aws::AmazonS3;
use object_store::aws::AmazonS3Builder;
use object_store::list::PaginatedListOptions;
use object_store::list::PaginatedListStore;
use object_store::path::Path;
use url::Host;
use url::Url;

pub use address::AddressError;
pub use address::AddressingStyle;
pub use address::BucketAddress;
pub use address::Config;
pub use address::Credentials;
use credentials::ChainError;
use credentials::CredentialChain;
pub use error::BucketError;
pub use error::BucketProblem;
use http::Capture;
use http::Exchange;
use http::FailureKind;
use http::Transport;
use http::reason;

mod address;
mod credentials;
mod error;
mod http;

/// A request that fails for a passing reason is sent again this often.
const RETRIES: usize = 2;
/// The longest key that S3 stores, in bytes.
const KEY_BYTES: usize = 1024;

/// One configured bucket, with its own connections.
pub struct Bucket {
    name: String,
    store: AmazonS3,
}

/// How long one attempt may wait.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection: name lookup, TCP and TLS.
    pub connect: Duration,
    /// For the head of an answer, connecting included.
    pub first_byte: Duration,
    /// For the whole request. No retry starts after it.
    pub total: Duration,
}

/// What the reader has already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// The entity tag, with its quotes.
    pub etag: Option<&'a str>,
    /// When the object changed last. Counts only without an entity tag.
    pub last_modified: Option<SystemTime>,
}

/// What a bucket says when asked for an object.
pub enum GetResponse {
    /// The object.
    Object(Object),
    /// The reader has it already. The headers say for how long that holds.
    NotModified(HeaderMap),
}

/// An object on its way.
pub struct Object {
    /// As the bucket sent them.
    pub headers: HeaderMap,
    /// Announced length in bytes, which an answer in chunks does not tell.
    pub length: Option<u64>,
    /// The content. A break in the middle is mended by asking for the rest, as long as the entity tag stays the same.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, BucketError>> + Send>>,
}

impl Bucket {
    /// Prepares to use the bucket; nothing is sent, and no credentials are looked up before the first request.
    ///
    /// # Errors
    /// [`BucketProblem::Setup`] when the settings contradict each other or the machine has no certificates to check servers with.
    pub fn open(config: &Config, timeouts: Timeouts) -> Result<Bucket, BucketError> {
        let Config {
            name,
            bucket,
            region,
            endpoint,
            style,
            credentials,
        } = config;
        let fail = |reason: String| BucketError {
            bucket: name.clone(),
            problem: BucketProblem::Setup(reason),
        };
        BucketAddress::of(config).map_err(|error| fail(error.to_string()))?;
        let http = Transport::new(timeouts).map_err(|error| fail(reason(&error)))?;
        let service = ServiceEndpoint::of(bucket, region, endpoint, *style)
            .map_err(|error| fail(error.to_string()))?;
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        };
        let builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            // A service with its own endpoint looks at the region only to check the signature, and most call theirs this.
            .with_region(if region.is_empty() {
                "us-east-1"
            } else {
                region
            })
            .with_endpoint(service.endpoint)
            .with_virtual_hosted_style_request(service.is_virtual)
            .with_http_connector(http)
            .with_retry(RetryConfig {
                backoff,
                max_retries: RETRIES,
                retry_timeout: timeouts.total,
            });
        let builder = match credentials {
            Credentials::Chain => {
                builder.with_credentials(Arc::new(CredentialChain::new(name, region)))
            }
            Credentials::Anonymous => builder.with_skip_signature(true),
            Credentials::Static { key, secret } => builder
                .with_access_key_id(key)
                .with_secret_access_key(secret),
        };
        let store = builder.build().map_err(|error| fail(error.to_string()))?;
        Ok(Bucket {
            name: name.clone(),
            store,
        })
    }

    /// What other settings call this bucket.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks for the object `key`, or whether it is still what the reader knows. The caller bounds the whole in time and the body in size.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong; a missing object is [`BucketProblem::Status`] with 404.
    pub async fn get(&self, key: &str, known: Conditions<'_>) -> Result<GetResponse, BucketError> {
        let path = self.path(key)?;
        let capture = Capture::default();
        let mut options = GetOptions::default();
        options.extensions.insert(capture.clone());
        // What does not fit a header panics further down.
        let etag = known
            .etag
            .filter(|etag| HeaderValue::from_str(etag).is_ok());
        let since = known.last_modified.filter(|date| is_http_date(*date));
        match etag {
            Some(etag) => options.if_none_match = Some(etag.to_owned()),
            None => options.if_modified_since = since.map(DateTime::from),
        }
        let is_conditional = options.if_none_match.is_some() || options.if_modified_since.is_some();
        match (self.store.get_opts(&path, options).await, capture.take()) {
            (
                Ok(_),
                Some(Exchange::Response {
                    status, headers, ..
                }),
            ) if !is_whole(status, &headers) => Err(self.error(BucketProblem::Status {
                status,
                code: String::new(),
                headers: Box::new(headers),
            })),
            (Ok(found), Some(Exchange::Response { headers, .. })) => {
                let length = headers
                    .contains_key(header::CONTENT_LENGTH)
                    .then_some(found.meta.size);
                let name = self.name.clone();
                let broken = move |error: object_store::Error| BucketError {
                    bucket: name.clone(),
                    problem: BucketProblem::BrokenOff(reason(&error)),
                };
                let body = Box::pin(found.into_stream().map_err(broken));
                Ok(GetResponse::Object(Object {
                    headers,
                    length,
                    body,
                }))
            }
            (
                Err(_),
                Some(Exchange::Response {
                    status: StatusCode::NOT_MODIFIED,
                    headers,
                    ..
                }),
            ) if is_conditional => Ok(GetResponse::NotModified(headers)),
            (Err(error), exchange) => Err(self.failed(&error, exchange)),
            (Ok(_), Some(Exchange::Failure { .. }) | None) => Err(self.error(
                BucketProblem::BrokenOff("an answer that nobody received".to_owned()),
            )),
        }
    }

    /// The first bytes of the object `key`, no more than `most`, and its length in bytes: for who need not read the rest.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong; a missing object is [`BucketProblem::Status`] with 404.
    pub async fn beginning(&self, key: &str, most: u64) -> Result<(Bytes, u64), BucketError> {
        let path = self.path(key)?;
        let capture = Capture::default();
        let mut options = GetOptions::new().with_range(Some(0..most));
        options.extensions.insert(capture.clone());
        let found = match self.store.get_opts(&path, options).await {
            Ok(found) => found,
            Err(error) => {
                let error = self.failed(&error, capture.take());
                return match error.problem {
                    // An empty object has no first byte.
                    BucketProblem::Status {
                        status: StatusCode::RANGE_NOT_SATISFIABLE,
                        ..
                    } => Ok((Bytes::new(), 0)),
                    _ => Err(error),
                };
            }
        };
        let length = found.meta.size;
        let bytes = found.bytes().await;
        let bytes = bytes.map_err(|error| self.error(BucketProblem::BrokenOff(reason(&error))))?;
        Ok((bytes, length))
    }

    /// Stores an object, these parts one after the other, in place of what may be there.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong; the object may be stored all the same.
    pub async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), BucketError> {
        let path = self.path(key)?;
        let capture = Capture::default();
        let mut options = PutOptions::default();
        options.extensions.insert(capture.clone());
        let payload = PutPayload::from_iter(parts);
        let put = self.store.put_opts(&path, payload, options).await;
        put.map_err(|error| self.failed(&error, capture.take()))?;
        Ok(())
    }

    /// Deletes objects, a thousand with each request. Those that are not there are as good as deleted.
    ///
    /// # Errors
    /// [`BucketProblem`] says why the first one could not be deleted that could not; the others may be gone.
    pub async fn delete(&self, keys: Vec<String>) -> Result<(), BucketError> {
        let paths = keys
            .iter()
            .map(|key| self.path(key))
            .collect::<Result<Vec<_>, _>>()?;
        let mut deleted = self
            .store
            .delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        let mut first = Ok(());
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(_) if first.is_err() => {}
                Err(error) => {
                    let failed = self.failed(&error, None);
                    first = Err(match failed.problem {
                        BucketProblem::Credentials(_) => failed,
                        // Nobody saw the answer, and the error quotes it.
                        _ => self.error(BucketProblem::BrokenOff(
                            "not everything could be deleted; is s3:DeleteObject allowed?"
                                .to_owned(),
                        )),
                    });
                }
            }
        }
        first
    }

    /// The first keys (a thousand at most) that begin with `prefix` and come after `after`, in order. None: there are no more.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<String>, BucketError> {
        let mut after = after.map(str::to_owned);
        let mut token = None;
        loop {
            let capture = Capture::default();
            let mut options = PaginatedListOptions {
                offset: after.take(),
                page_token: token,
                ..PaginatedListOptions::default()
            };
            options.extensions.insert(capture.clone());
            let page = self.store.list_paginated(Some(prefix), options).await;
            let page = page.map_err(|error| self.failed(&error, capture.take()))?;
            let found = page.result.objects.into_iter();
            let mut keys: Vec<String> = found.map(|found| found.location.into()).collect();
            keys.sort_unstable();
            token = page.page_token;
            // A page may be empty, and more may follow.
            if !keys.is_empty() || token.is_none() {
                return Ok(keys);
            }
        }
    }

    /// A key that the path type would change is another object's key; none at all is the bucket's listing; a longer one exists nowhere.
    fn path(&self, key: &str) -> Result<Path, BucketError> {
        let path = is_key(key).then(|| Path::parse(key).ok()).flatten();
        path.ok_or_else(|| self.error(BucketProblem::UnusableKey))
    }

    /// Why a request failed, by what it met last, if anybody looked.
    fn failed(&self, error: &object_store::Error, exchange: Option<Exchange>) -> BucketError {
        self.error(match (error, exchange) {
            // The answer cannot be understood: it has no length, for example.
            (error, Some(Exchange::Response { status, .. })) if status.is_success() => {
                BucketProblem::BrokenOff(reason(error))
            }
            (
                _,
                Some(Exchange::Response {
                    status,
                    headers,
                    code,
                }),
            ) => BucketProblem::Status {
                status,
                code,
                headers: Box::new(headers),
            },
            (_, Some(Exchange::Failure { kind, reason })) => match kind {
                FailureKind::Dns => BucketProblem::Dns(reason),
                FailureKind::Connect => BucketProblem::Connect(reason),
                FailureKind::Timeout => BucketProblem::Timeout,
                FailureKind::BrokenOff => BucketProblem::BrokenOff(reason),
            },
            // Nothing was sent: signing failed.
            (object_store::Error::Generic { source, .. }, None) if source.is::<ChainError>() => {
                BucketProblem::Credentials(source.to_string())
            }
            (error, None) => BucketProblem::Setup(reason(error)),
        })
    }

    fn error(&self, problem: BucketProblem) -> BucketError {
        BucketError {
            bucket: self.name.clone(),
            problem,
        }
    }
}

/// Whether an answer holds all of what was asked for. One in part (206) does where its range is the whole: some caches answer so.
pub fn is_whole(status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => true,
        StatusCode::PARTIAL_CONTENT => is_whole_range(headers).unwrap_or(false),
        _ => false,
    }
}

/// Whether `Content-Range: bytes 0-9/10` ends with the last byte, and the length is that of the range. `None` where it is not written so.
fn is_whole_range(headers: &HeaderMap) -> Option<bool> {
    let value = |name| headers.get(name)?.to_str().ok();
    let range = value(header::CONTENT_RANGE)?.strip_prefix("bytes 0-")?;
    let (last, whole) = range.split_once('/')?;
    let (last, whole): (u64, u64) = (last.parse().ok()?, whole.parse().ok()?);
    let length = match value(header::CONTENT_LENGTH) {
        Some(length) => length.parse().ok()?,
        None => whole,
    };
    Some(last.checked_add(1) == Some(whole) && length == whole)
}

/// HTTP writes years with four digits.
fn is_http_date(date: SystemTime) -> bool {
    const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
    date.duration_since(UNIX_EPOCH)
        .is_ok_and(|since| since < YEAR_10000)
}

/// Whether an object can have this key.
pub fn is_key(key: &str) -> bool {
    (1..=KEY_BYTES).contains(&key.len()) && Path::parse(key).is_ok_and(|path| path.as_ref() == key)
}

/// Where requests go.
#[derive(Debug, PartialEq, Eq)]
struct ServiceEndpoint {
    endpoint: String,
    /// The endpoint holds the bucket's name already.
    is_virtual: bool,
}

impl ServiceEndpoint {
    fn of(
        bucket: &str,
        region: &str,
        endpoint: &str,
        style: AddressingStyle,
    ) -> Result<Self, url::ParseError> {
        let service = if endpoint.is_empty() {
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://s3.{region}.amazonaws.com{suffix}")
        } else {
            endpoint.to_owned()
        };
        let mut url = Url::parse(&service)?;
        let is_virtual = match (style, url.host()) {
            // A dot in the bucket's name and TLS: the service's certificate covers one label only.
            (AddressingStyle::Virtual, Some(Host::Domain(_))) => {
                url.scheme() == "http" || !bucket.contains('.')
            }
            // An address has no room for the bucket's name.
            (AddressingStyle::Virtual, _) | (AddressingStyle::Path, _) => false,
        };
        if is_virtual {
            let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
            url.set_host(Some(&host))?;
        }
        let endpoint = url.as_str().trim_end_matches('/').to_owned();
        Ok(ServiceEndpoint {
            endpoint,
            is_virtual,
        })
    }
}

#[cfg(test)]
mod tests;
