//! Delivers the messages of one receiver, one after the other. What fails is tried again, later and later.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use hyper::header::CONTENT_TYPE;
use sha2::Sha256;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::hosted::WebhookConfig;
use crate::outbound::root_cause;
use crate::source::GuardedClient;
use crate::telemetry::{Metrics, redacted};
use crate::webhook::error::WebhookError;
use crate::webhook::outbox::{Message, Next, Outbox};

/// The most tries. With the pause of the settings they take a day.
const MAX_TRIES: u32 = 8;
/// Each pause is so many times the one before.
const GROWTH: u32 = 5;
/// The longest that a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after an error of SQLite.
const OUTBOX_PAUSE: Duration = Duration::from_secs(5);

/// A receiver, with what is needed to reach it.
pub(super) struct Receiver {
    pub config: WebhookConfig,
    pub client: GuardedClient,
    pub outbox: Outbox,
    /// There are new messages.
    pub wake: Arc<Notify>,
    pub metrics: Arc<Metrics>,
}

/// The time, in milliseconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl Receiver {
    /// Delivers messages for ever.
    pub(super) async fn run(self) {
        loop {
            if let Err(error) = self.step().await {
                tracing::error!(%error, "webhooks wait");
                tokio::time::sleep(OUTBOX_PAUSE).await;
            }
        }
    }

    async fn step(&self) -> Result<(), WebhookError> {
        let url = self.config.url.as_str().to_owned();
        match self.outbox.next(url, now()).await? {
            Next::Idle => self.wake.notified().await,
            Next::At(time) => {
                let wait = Duration::from_millis(time.saturating_sub(now()));
                let _ = tokio::time::timeout(wait, self.wake.notified()).await;
            }
            Next::Send(message) => self.deliver(message).await?,
        }
        Ok(())
    }

    async fn deliver(&self, message: Message) -> Result<(), WebhookError> {
        let metrics = &self.metrics.webhooks;
        let sent = self.send(&message.body).await;
        let url = redacted(self.config.url.as_str());
        let tries = message.tries + 1;
        match &sent {
            Ok(()) => {
                metrics.record("delivered");
                self.outbox.remove(message.id).await?;
            }
            Err(reason) if tries >= MAX_TRIES => {
                tracing::warn!(%url, tries, reason, "a webhook is given up");
                metrics.record("dropped");
                self.outbox.remove(message.id).await?;
            }
            Err(reason) => {
                tracing::info!(%url, tries, reason, "a webhook is sent again later");
                metrics.record("failed");
                let pause = pause(self.config.retry.duration(), tries);
                let due =
                    now().saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
                self.outbox.postpone(message.id, due).await?;
            }
        }
        metrics.set_backlog(self.outbox.count().await?);
        if sent.is_err() {
            // A receiver that is down is not asked for each message at once.
            tokio::time::sleep(self.config.retry.duration()).await;
        }
        Ok(())
    }

    async fn send(&self, body: &str) -> Result<(), String> {
        let request = self.client.request(Method::POST, self.config.url.url());
        let mut request = request?
            .timeout(TIMEOUT)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_owned());
        if let Some(secret) = self.config.secret.text() {
            let time = now() / 1000;
            request = request
                .header("cf-webhook-auth", secret)
                .header("x-safelight-signature", signature(secret, time, body));
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| root_cause(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {}", status.as_u16())),
        }
    }
}

/// What proves who sent a body, and when: `t=SECONDS,v1=HMAC`.
fn signature(secret: &str, time: u64, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(format!("{time}.{body}").as_bytes());
    let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
    format!("t={time},v1={signature}")
}

/// The pause after so many tries, a tenth more or less, so that many messages do not come at the same moment.
fn pause(first: Duration, tries: u32) -> Duration {
    let pause = first.saturating_mul(GROWTH.saturating_pow(tries.saturating_sub(1)));
    let chance = u32::from(Uuid::new_v4().as_bytes()[0]) % 200;
    pause.saturating_mul(900 + chance) / 1000
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_TRIES, pause, signature};

    #[test]
    fn eight_tries_take_a_day() {
        let first = Duration::from_secs(4);
        let total: Duration = (1..MAX_TRIES).map(|tries| pause(first, tries)).sum();
        let hours = total.as_secs() / 3600;
        assert!((18..=25).contains(&hours), "{hours}");
        assert!(pause(first, 1) < Duration::from_secs(5));
    }

    #[test]
    fn bodies_are_signed_with_their_time() {
        // Computed with `openssl dgst -sha256 -hmac secret`.
        assert_eq!(
            signature("secret", 1_700_000_000, "{}"),
            "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
        );
    }
}
