//! `safelight health`: asks a running server whether it is ready, for the health checks of containers, which have no curl.

use std::time::Duration;

use clap::Args;

use super::admin_client::ServerArguments;
use super::error::CommandError;

/// The longest that the request may take. Docker gives a health check 30 seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The arguments of `health`.
#[derive(Debug, Args)]
pub struct HealthArguments {
    /// Ask whether the process lives (`/healthz`), not whether it takes requests (`/readyz`).
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// Asks, and returns the lines to print.
///
/// # Errors
/// [`CommandError`] when there is no server, or when it takes no requests.
pub async fn health(arguments: &HealthArguments) -> Result<Vec<String>, CommandError> {
    let HealthArguments { live, server } = arguments;
    let (path, word) = match live {
        true => ("/healthz", "alive"),
        false => ("/readyz", "ready"),
    };
    let client = server.client_without_token(&server.settings()?, path, TIMEOUT)?;
    let answer = client.get().await?;
    match (answer.status, answer.text.trim()) {
        (200, text) if text == word => Ok(vec![text.to_owned()]),
        (503, text) => Err(CommandError::new(format!(
            "the server is not ready: {text}"
        ))),
        _ => Err(client.refused(&answer)),
    }
}
