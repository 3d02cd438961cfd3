use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::OnceCell;

use crate::bucket::credentials::{CredentialChain, PAUSE_AFTER_FAILURE};

/// Returns numbered credentials that expire after `life`. Fails from lookup number `good` on.
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
async fn concurrent_requests_share_one_lookup() {
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
async fn a_failure_is_kept_for_a_moment_and_shows_no_secret() {
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
