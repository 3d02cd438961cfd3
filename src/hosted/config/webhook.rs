//! `[[hosted.webhook]]` of the settings: who is told what happens to images.

use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::token::Token;
use crate::units::Seconds;

/// The shortest pause before the second try.
const MIN_RETRY: Duration = Duration::from_millis(10);
/// The longest.
const MAX_RETRY: Duration = Duration::from_secs(24 * 60 * 60);

/// A `[[hosted.webhook]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where messages are sent.
    pub url: WebhookUrl,
    /// What proves that a message is ours; empty: nothing does.
    #[serde(default)]
    pub secret: Token,
    /// What is told.
    #[serde(default = "all_events", deserialize_with = "events")]
    pub events: Vec<WebhookEvent>,
    /// Whether the receiver may have a private address.
    #[serde(default)]
    pub private: bool,
    /// The pause before the second try. Each further one is five times as long, and there are eight tries.
    #[serde(default = "default_retry", deserialize_with = "retry")]
    pub retry: Seconds,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookEvent {
    /// There is a new image.
    Uploaded,
    /// Variants that are made ahead are ready.
    Ready,
    /// A variant that is made ahead cannot be made.
    Failed,
    /// An image is gone.
    Deleted,
    /// An image has other metadata, another file or another name.
    Updated,
}

impl WebhookEvent {
    /// The name in the settings.
    pub fn word(self) -> &'static str {
        match self {
            WebhookEvent::Uploaded => "uploaded",
            WebhookEvent::Ready => "ready",
            WebhookEvent::Failed => "failed",
            WebhookEvent::Deleted => "deleted",
            WebhookEvent::Updated => "updated",
        }
    }
}

fn all_events() -> Vec<WebhookEvent> {
    vec![
        WebhookEvent::Uploaded,
        WebhookEvent::Ready,
        WebhookEvent::Failed,
        WebhookEvent::Deleted,
        WebhookEvent::Updated,
    ]
}

fn default_retry() -> Seconds {
    Seconds::new(4)
}

/// Reads what is told. A webhook that is told nothing is a mistake.
fn events<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<WebhookEvent>, D::Error> {
    let events = Vec::<WebhookEvent>::deserialize(input)?;
    if events.is_empty() {
        let all: Vec<&str> = all_events().into_iter().map(WebhookEvent::word).collect();
        return Err(D::Error::custom(format_args!(
            "must name some of {}, or be left out for all of them, got `[]`",
            all.join(", ")
        )));
    }
    Ok(events)
}

/// Reads the pause before the second try. Without one, a receiver that fails would be asked all the time.
fn retry<'de, D: Deserializer<'de>>(input: D) -> Result<Seconds, D::Error> {
    let retry = Seconds::deserialize(input)?;
    if !(MIN_RETRY..=MAX_RETRY).contains(&retry.duration()) {
        return Err(D::Error::custom(format_args!(
            "must be from \"10 ms\" to \"1 d\", got `{retry}`"
        )));
    }
    Ok(retry)
}

/// The URL of a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A text that is no URL of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrlError(String);

impl fmt::Display for WebhookUrlError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`url` must be as in `https://example.com/hooks/images`, got `{}`",
            self.0
        )
    }
}

impl std::error::Error for WebhookUrlError {}

impl TryFrom<String> for WebhookUrl {
    type Error = WebhookUrlError;

    fn try_from(text: String) -> Result<Self, WebhookUrlError> {
        let url = Url::parse(&text).map_err(|_| WebhookUrlError(text.clone()))?;
        match url.scheme() {
            "http" | "https" => Ok(WebhookUrl(url)),
            _ => Err(WebhookUrlError(text)),
        }
    }
}
