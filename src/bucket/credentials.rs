//! The standard AWS credential chain (environment, profile, SSO, web identity, container, instance metadata) as `object_store` asks for it:
//! looked up on the first read, kept until shortly before expiry, and never part of a message.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// A walk through the whole chain may take this long; instance metadata that does not answer is most of it.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Credentials are renewed this long before they expire, so that none expires on its way to the bucket.
const RENEWAL_MARGIN: Duration = Duration::from_secs(5 * 60);
/// Credentials without an expiry may still be rotated in the profile's file.
const REREAD_AFTER: Duration = Duration::from_secs(15 * 60);
/// After a failed lookup the next one waits, because each costs every request the time of a walk through the chain.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The chain of one bucket.
pub(super) struct CredentialChain {
    bucket: String,
    region: String,
    provider: OnceCell<SharedCredentialsProvider>,
    state: Mutex<LookupState>,
}

/// The chain holds no usable credentials.
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

impl CredentialChain {
    /// A chain that looks nothing up yet. Roles are assumed in `region`.
    pub(super) fn new(bucket: &str, region: &str) -> Self {
        CredentialChain {
            bucket: bucket.to_owned(),
            region: region.to_owned(),
            provider: OnceCell::new(),
            state: Mutex::new(LookupState::Empty),
        }
    }

    /// The credentials to sign with now. One lookup at a time: whoever comes meanwhile waits for it.
    async fn current(&self, now: SystemTime) -> Result<Arc<AwsCredential>, ChainError> {
        let mut state = self.state.lock().await;
        let fallback = match &*state {
            LookupState::Held {
                credential, renew, ..
            } if now < *renew => return Ok(Arc::clone(credential)),
            // The second half: a clock that is set back must not make this moment long.
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
                    // Never at once again, and never after the expiry, whatever the provider hands out.
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
            // What was found before is still good: a hiccup of the provider costs nothing yet.
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

/// What kind of failure it was. The causes below it may quote files and answers that hold secrets, so they stay out.
fn describe(error: &CredentialsError) -> &'static str {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "none of its places holds any",
        CredentialsError::ProviderTimedOut(_) => {
            "a place that may hold them did not answer in time"
        }
        CredentialsError::InvalidConfiguration(_) => {
            "the profile or role is not configured correctly"
        }
        CredentialsError::ProviderError(_) => {
            "a place that should hold them answered with an error"
        }
        _ => "a place that should hold them gave an answer of no known form",
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
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use std::time::SystemTime;

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::ProvideCredentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_credential_types::provider::error::CredentialsError;
    use aws_credential_types::provider::future;
    use tokio::sync::OnceCell;

    use super::CredentialChain;
    use super::PAUSE_AFTER_FAILURE;

    /// Gives out numbered credentials that live for `life`, and fails from the `good`-th lookup on.
    #[derive(Debug)]
    struct Provider {
        asked: Arc<AtomicUsize>,
        good: usize,
        start: SystemTime,
        life: Option<Duration>,
    }

    impl ProvideCredentials for Provider {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let count = self.asked.fetch_add(1, Ordering::SeqCst);
            let answer = if count < self.good {
                let expiry = self.life.map(|life| self.start + life);
                Ok(Credentials::new(
                    format!("key{count}"),
                    "hush",
                    None,
                    expiry,
                    "test",
                ))
            } else {
                Err(CredentialsError::provider_error("the body said hush"))
            };
            future::ProvideCredentials::new(async move {
                tokio::task::yield_now().await;
                answer
            })
        }
    }

    fn chain(
        good: usize,
        start: SystemTime,
        life: Option<Duration>,
    ) -> (CredentialChain, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let provider = Provider {
            asked: Arc::clone(&asked),
            good,
            start,
            life,
        };
        let chain = CredentialChain {
            provider: OnceCell::new_with(Some(SharedCredentialsProvider::new(provider))),
            ..CredentialChain::new("photos", "us-east-1")
        };
        (chain, asked)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_expire() {
        let start = SystemTime::now();
        let (chain, asked) = chain(9, start, Some(60 * MINUTE));
        assert_eq!(
            chain
                .current(start)
                .await
                .expect("the first lookup works")
                .key_id,
            "key0"
        );
        assert_eq!(
            chain
                .current(start + 54 * MINUTE)
                .await
                .expect("kept")
                .key_id,
            "key0"
        );
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(
            chain
                .current(start + 56 * MINUTE)
                .await
                .expect("renewed")
                .key_id,
            "key1"
        );
    }

    #[tokio::test]
    async fn many_askers_cost_one_lookup() {
        let start = SystemTime::now();
        let (chain, asked) = chain(9, start, None);
        let (a, b, c) = tokio::join!(
            chain.current(start),
            chain.current(start),
            chain.current(start)
        );
        for credential in [a, b, c] {
            assert_eq!(credential.expect("the lookup works").key_id, "key0");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn credentials_without_expiry_are_read_again_after_a_while() {
        let start = SystemTime::now();
        let (chain, _) = chain(9, start, None);
        assert_eq!(chain.current(start).await.expect("found").key_id, "key0");
        assert_eq!(
            chain
                .current(start + 14 * MINUTE)
                .await
                .expect("kept")
                .key_id,
            "key0"
        );
        assert_eq!(
            chain
                .current(start + 16 * MINUTE)
                .await
                .expect("read again")
                .key_id,
            "key1"
        );
    }

    #[tokio::test]
    async fn a_failed_renewal_is_harmless_while_the_old_credentials_last() {
        let start = SystemTime::now();
        let (chain, asked) = chain(1, start, Some(60 * MINUTE));
        assert_eq!(chain.current(start).await.expect("found").key_id, "key0");
        assert_eq!(
            chain
                .current(start + 56 * MINUTE)
                .await
                .expect("still good")
                .key_id,
            "key0"
        );
        assert_eq!(
            chain
                .current(start + 56 * MINUTE)
                .await
                .expect("still good")
                .key_id,
            "key0"
        );
        assert_eq!(
            asked.load(Ordering::SeqCst),
            2,
            "the next renewal waits a little"
        );
        assert!(
            chain.current(start + 61 * MINUTE).await.is_err(),
            "expired credentials are never used"
        );
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_moment_and_tells_no_secret() {
        let start = SystemTime::now();
        let (chain, asked) = chain(0, start, None);
        let error = chain.current(start).await.expect_err("the provider fails");
        assert!(!format!("{error} {error:?}").contains("hush"));
        assert!(chain.current(start).await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(chain.current(start + PAUSE_AFTER_FAILURE).await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(chain.current(start - MINUTE).await.is_err());
        assert_eq!(
            asked.load(Ordering::SeqCst),
            3,
            "the clock was set back: asked again at once"
        );
    }
}
