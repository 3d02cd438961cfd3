//! The credentials of requests for `object_store`: fixed keys, or the standard AWS credential chain (environment, profile, SSO, web identity, container,
//! instance metadata). The chain is asked for the first request, and its credentials are kept until shortly before they expire. They are never part of
//! a message.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use object_store::CredentialProvider;
use object_store::StaticCredentialProvider;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use crate::bucket::config;

/// How long a lookup in the whole chain may take. Most of it is for an instance metadata service that does not answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Credentials are renewed this long before they expire, so that none expires during a request.
const RENEWAL_MARGIN: Duration = Duration::from_secs(5 * 60);
/// Credentials without an expiry are looked up again after this time, because they may be rotated in the file of the profile.
const REREAD_AFTER: Duration = Duration::from_secs(15 * 60);
/// How long no lookup starts after a failed one. Otherwise every request would wait for a lookup of its own.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The credential chain of one bucket.
pub(super) struct CredentialChain {
    bucket: String,
    region: String,
    provider: OnceCell<SharedCredentialsProvider>,
    state: Mutex<LookupState>,
}

/// The chain has no usable credentials.
#[derive(Clone, Debug)]
pub(super) struct ChainError {
    pub(super) reason: String,
}

enum LookupState {
    Empty,
    Held {
        credential: Arc<AwsCredential>,
        renew: SystemTime,
        expiry: Option<SystemTime>,
    },
    Failed {
        error: ChainError,
        until: SystemTime,
    },
}

/// The credentials of requests; `None` for anonymous ones. Nothing is looked up before the first request.
pub(super) fn provider(
    credentials: &config::Credentials,
    name: &str,
    region: &str,
) -> Option<AwsCredentialProvider> {
    match credentials {
        config::Credentials::Chain => Some(Arc::new(CredentialChain::new(name, region))),
        config::Credentials::Anonymous => None,
        config::Credentials::Static { key, secret } => {
            Some(Arc::new(StaticCredentialProvider::new(AwsCredential {
                key_id: key.clone(),
                secret_key: secret.clone(),
                token: None,
            })))
        }
    }
}

impl CredentialChain {
    /// A chain without a lookup yet. Roles are assumed in `region`.
    pub(super) fn new(bucket: &str, region: &str) -> Self {
        CredentialChain {
            bucket: bucket.to_owned(),
            region: region.to_owned(),
            provider: OnceCell::new(),
            state: Mutex::new(LookupState::Empty),
        }
    }

    /// The credentials to sign with now. Concurrent callers share one lookup.
    async fn current(&self, now: SystemTime) -> Result<Arc<AwsCredential>, ChainError> {
        let mut state = self.state.lock().await;
        let fallback = match &*state {
            LookupState::Held {
                credential, renew, ..
            } if now < *renew => return Ok(Arc::clone(credential)),
            // The second condition: a clock that is set back must not make the pause longer.
            LookupState::Failed { error, until }
                if now < *until && *until <= now + PAUSE_AFTER_FAILURE =>
            {
                return Err(error.clone());
            }
            LookupState::Held {
                credential, expiry, ..
            } if expiry.is_none_or(|expiry| now < expiry) => {
                Some((Arc::clone(credential), *expiry))
            }
            LookupState::Held { .. } | LookupState::Failed { .. } | LookupState::Empty => None,
        };
        match (self.look_up().await, fallback) {
            (Ok(found), _) => {
                let renew = match found.expiry() {
                    // Never immediately, and never after the expiry, whatever the provider returns.
                    Some(expiry) => (expiry - RENEWAL_MARGIN)
                        .max(now + PAUSE_AFTER_FAILURE)
                        .min(expiry),
                    None => now + REREAD_AFTER,
                };
                let credential = Arc::new(AwsCredential {
                    key_id: found.access_key_id().to_owned(),
                    secret_key: found.secret_access_key().to_owned(),
                    token: found.session_token().map(str::to_owned),
                });
                *state = LookupState::Held {
                    credential: Arc::clone(&credential),
                    renew,
                    expiry: found.expiry(),
                };
                Ok(credential)
            }
            // The previous credentials have not expired, so the failed renewal does no harm yet.
            (Err(_), Some((credential, expiry))) => {
                let renew = now + PAUSE_AFTER_FAILURE;
                *state = LookupState::Held {
                    credential: Arc::clone(&credential),
                    renew,
                    expiry,
                };
                Ok(credential)
            }
            (Err(error), None) => {
                let until = now + PAUSE_AFTER_FAILURE;
                *state = LookupState::Failed {
                    error: error.clone(),
                    until,
                };
                Err(error)
            }
        }
    }

    async fn look_up(&self) -> Result<Credentials, ChainError> {
        let lookup = async {
            let provider = self
                .provider
                .get_or_init(|| standard_chain(&self.region))
                .await;
            provider.provide_credentials().await
        };
        match timeout(LOOKUP_TIMEOUT, lookup).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(error)) => Err(ChainError {
                reason: describe(&error).to_owned(),
            }),
            Err(_) => Err(ChainError {
                reason: format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs()),
            }),
        }
    }
}

/// The kind of an error. Its causes may quote files and responses with secrets, so they are left out.
fn describe(error: &CredentialsError) -> &'static str {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "the chain has none",
        CredentialsError::ProviderTimedOut(_) => "a provider of the chain did not answer in time",
        CredentialsError::InvalidConfiguration(_) => {
            "the profile or role is not configured correctly"
        }
        CredentialsError::ProviderError(_) => "a provider of the chain answered with an error",
        _ => "a provider of the chain gave an unknown answer",
    }
}

async fn standard_chain(region: &str) -> SharedCredentialsProvider {
    let client = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let region = Region::new(region.to_owned());
    let config = ProviderConfig::without_region()
        .with_http_client(client)
        .with_region(Some(region.clone()));
    let chain = DefaultCredentialsChain::builder()
        .configure(config)
        .region(region)
        .build()
        .await;
    SharedCredentialsProvider::new(chain)
}

#[async_trait]
impl CredentialProvider for CredentialChain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.current(SystemTime::now())
            .await
            .map_err(|error| object_store::Error::Generic {
                store: "S3",
                source: Box::new(error),
            })
    }
}

impl fmt::Debug for CredentialChain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CredentialChain")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no AWS credentials: {}", self.reason)
    }
}

impl std::error::Error for ChainError {}

#[cfg(test)]
mod tests;
