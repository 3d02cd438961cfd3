//! One S3-compatible bucket: where it is, how requests are signed, and its objects as streams. Objects with every key are
//! read. Only the cache writes, and its keys have no empty segments.
//!
//! Never sends an unsigned request because credentials are missing: the answer would be a 403 that hides the cause. Never puts a secret or the text
//! of a response into a message. Never follows a redirect, because a signed request is for one host.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::DateTime;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use object_store::BackoffConfig;
use object_store::GetOptions;
use object_store::ObjectStore;
use object_store::PutOptions;
use object_store::PutPayload;
use object_store::RetryConfig;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;

use crate::freshness::http_date;
use crate::outbound::{causes, is_complete, root_cause};
pub use address::AddressError;
pub use address::BucketAddress;
pub use config::AddressingStyle;
pub use config::Config;
pub use config::Credentials;
use credentials::ChainError;
use credentials::provider;
use endpoint::ServiceEndpoint;
pub use error::BucketError;
pub use error::BucketProblem;
use http::Capture;
use http::Exchange;
use http::FailureKind;
pub use http::Timeouts;
use http::Transport;
pub use key::is_writable;
pub use listing::ListedObject;
pub use listing::Listing;
pub(crate) use object::ObjectRequest;
use reader::ListPage;
use reader::Reader;
use reader::Signer;
pub use write::PutCondition;
pub use write::PutOutcome;

mod address;
mod config;
mod credentials;
mod endpoint;
mod error;
mod http;
mod key;
mod listing;
mod object;
mod reader;
mod write;

/// How often a request is sent again after a temporary failure.
const MAX_RETRIES: usize = 2;

/// One configured bucket, with its own connection pool.
pub struct Bucket {
    name: String,
    reader: Reader,
    /// For what is not a read. Its paths cannot have every key.
    store: AmazonS3,
}

/// The conditions of a conditional request: what the reader has already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// The entity tag, with its quotes.
    pub etag: Option<&'a str>,
    /// When the object was modified. Ignored if there is an entity tag.
    pub last_modified: Option<SystemTime>,
}

/// The response to a request for an object.
pub enum GetResponse {
    /// The object.
    Object(Object),
    /// The conditions hold: the reader has the object already. The header says how long it stays fresh.
    NotModified(HeaderMap),
}

/// An object whose content is still arriving.
pub struct Object {
    /// The header of the response.
    pub headers: HeaderMap,
    /// The length in bytes. A chunked response does not have it.
    pub length: Option<u64>,
    /// The content. If the connection breaks, the rest is requested, as long as the entity tag is the same.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, BucketError>> + Send>>,
}

impl Bucket {
    /// Builds the client of the bucket. Before the first request nothing is sent and no credentials are looked up.
    ///
    /// # Errors
    /// [`BucketProblem::Setup`] if the settings contradict each other, or the machine has no certificates to check servers with.
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
        let transport = Transport::new(timeouts).map_err(|error| fail(root_cause(&error)))?;
        let service = ServiceEndpoint::of(bucket, region, endpoint, *style)
            .map_err(|error| fail(error.to_string()))?;
        let base = match service.is_virtual {
            true => service.url.clone(),
            false => format!("{}/{bucket}", service.url),
        };
        // Other services use the region only to check signatures, and most of them name theirs like this.
        let signing_region = if region.is_empty() {
            "us-east-1"
        } else {
            region
        };
        let builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(signing_region)
            .with_endpoint(service.url)
            .with_virtual_hosted_style_request(service.is_virtual)
            .with_retry(retries(timeouts));
        let credentials = provider(credentials, name, region);
        let signer = credentials.clone().map(|credentials| Signer {
            credentials,
            region: signing_region.to_owned(),
        });
        let reader = Reader::new(base, builder.clone(), transport.clone(), signer);
        let builder = builder.with_http_connector(transport);
        let store = match credentials {
            Some(credentials) => builder.with_credentials(credentials).build(),
            None => builder.with_skip_signature(true).build(),
        };
        Ok(Bucket {
            name: name.clone(),
            reader: reader.map_err(|error| fail(error.to_string()))?,
            store: store.map_err(|error| fail(error.to_string()))?,
        })
    }

    /// The name of this bucket in other settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Requests the object `key`, unless the conditions hold. The caller limits the total time and the size of the content.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong. A missing object is [`BucketProblem::Status`] with 404.
    pub async fn get(&self, key: &str, known: Conditions<'_>) -> Result<GetResponse, BucketError> {
        self.check_readable(key)?;
        let capture = Capture::default();
        let mut options = GetOptions::default();
        options.extensions.insert(capture.clone());
        // `object_store` panics on values that do not fit a header.
        let etag = known
            .etag
            .filter(|etag| HeaderValue::from_str(etag).is_ok());
        let since = known
            .last_modified
            .filter(|date| http_date(*date).is_some());
        match etag {
            Some(etag) => options.if_none_match = Some(etag.to_owned()),
            None => options.if_modified_since = since.map(DateTime::from),
        }
        let is_conditional = options.if_none_match.is_some() || options.if_modified_since.is_some();
        match (self.reader.get(key, options).await, capture.take()) {
            (
                Ok(_),
                Some(Exchange::Response {
                    status, headers, ..
                }),
            ) if !is_complete(status, &headers) => Err(self.error(BucketProblem::Status {
                status,
                code: String::new(),
                headers: Box::new(headers),
            })),
            (Ok(found), Some(Exchange::Response { headers, .. })) => {
                Ok(GetResponse::Object(self.object(found, headers)))
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
            (Ok(_), Some(Exchange::Failure { .. }) | None) => Err(self.not_captured()),
        }
    }

    /// The first bytes of the object `key`, `max` at most, and its length in bytes.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong. A missing object is [`BucketProblem::Status`] with 404.
    pub async fn beginning(&self, key: &str, max: u64) -> Result<(Bytes, u64), BucketError> {
        self.check_readable(key)?;
        let capture = Capture::default();
        let mut options = GetOptions::new().with_range(Some(0..max));
        options.extensions.insert(capture.clone());
        let found = match self.reader.get(key, options).await {
            Ok(found) => found,
            Err(error) => {
                let error = self.failed(&error, capture.take());
                return match error.problem {
                    // An empty object has no range of bytes.
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
        let bytes =
            bytes.map_err(|error| self.error(BucketProblem::BrokenOff(root_cause(&error))))?;
        Ok((bytes, length))
    }

    /// Stores an object that consists of these parts, and replaces one with the same key, which is writable.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong. The object may have been stored nevertheless.
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

    /// Deletes objects with writable keys, a thousand with each request. Objects that do not exist count as deleted.
    ///
    /// # Errors
    /// [`BucketProblem`] of the first object that could not be deleted. Others may be deleted.
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
                        // The error quotes the response, which was not captured.
                        _ => self.error(BucketProblem::BrokenOff(
                            "not all objects could be deleted; is s3:DeleteObject allowed?"
                                .to_owned(),
                        )),
                    });
                }
            }
        }
        first
    }

    /// The first keys (a thousand at most) that start with `prefix` and come after `after`, in order. The list is empty if there are no more.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<String>, BucketError> {
        let mut next = None;
        loop {
            let after = after.filter(|_| next.is_none());
            let page = ListPage {
                prefix,
                after,
                next: next.as_deref(),
                delimiter: None,
            };
            let page = self.page(page).await?;
            let mut keys: Vec<_> = page.objects.into_iter().map(|object| object.key).collect();
            keys.sort_unstable();
            next = page.next;
            // More pages may follow an empty one.
            if !keys.is_empty() || next.is_none() {
                return Ok(keys);
            }
        }
    }

    /// The first objects (a thousand at most, folders included) that start with `prefix` and have no slash behind it. Those that have one are
    /// folders.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong.
    pub(crate) async fn list_folder(&self, prefix: &str) -> Result<Listing, BucketError> {
        let page = ListPage {
            prefix,
            delimiter: Some("/"),
            ..ListPage::default()
        };
        self.page(page).await
    }

    async fn page(&self, page: ListPage<'_>) -> Result<Listing, BucketError> {
        let capture = Capture::default();
        let mut options = GetOptions::default();
        options.extensions.insert(capture.clone());
        let page = self.reader.list(page, options).await;
        let page = page.map_err(|error| self.failed(&error, capture.take()))?;
        Listing::parse(&page)
            .map_err(|error| self.error(BucketProblem::BrokenOff(error.to_string())))
    }

    fn check_readable(&self, key: &str) -> Result<(), BucketError> {
        match key::is_readable(key) {
            true => Ok(()),
            false => Err(self.error(BucketProblem::UnusableKey)),
        }
    }

    fn path(&self, key: &str) -> Result<Path, BucketError> {
        key::path(key).ok_or_else(|| self.error(BucketProblem::UnusableKey))
    }

    /// The error of a failed request, from its last exchange if that was captured.
    fn failed(&self, error: &object_store::Error, exchange: Option<Exchange>) -> BucketError {
        self.error(match (error, exchange) {
            // `object_store` cannot use the response: it has no length, for example.
            (error, Some(Exchange::Response { status, .. })) if status.is_success() => {
                BucketProblem::BrokenOff(root_cause(error))
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
            // The request was not sent, because signing failed.
            (error, None) => match causes(error).find(|cause| cause.is::<ChainError>()) {
                Some(reason) => BucketProblem::Credentials(reason.to_string()),
                None => BucketProblem::Setup(root_cause(error)),
            },
        })
    }

    fn error(&self, problem: BucketProblem) -> BucketError {
        BucketError {
            bucket: self.name.clone(),
            problem,
        }
    }
}

fn retries(timeouts: Timeouts) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: MAX_RETRIES,
        retry_timeout: timeouts.total,
    }
}

#[cfg(test)]
mod tests;
