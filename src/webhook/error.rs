//! Why webhooks do not work.

use std::fmt;

use crate::source::SetupError;

/// Why webhooks do not work.
#[derive(Debug)]
pub enum WebhookError {
    /// The client cannot be built.
    Client(SetupError),
    /// The file with messages cannot be used.
    Outbox(String),
}

impl fmt::Display for WebhookError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebhookError::Client(error) => error.fmt(out),
            WebhookError::Outbox(reason) => write!(
                out,
                "the outbox of webhooks in the folder `hosted.index` cannot be used: {reason}"
            ),
        }
    }
}

impl std::error::Error for WebhookError {}

impl From<rusqlite::Error> for WebhookError {
    fn from(error: rusqlite::Error) -> Self {
        WebhookError::Outbox(error.to_string())
    }
}
