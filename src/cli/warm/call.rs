//! Asks the server for the pictures of one source. When the server is busy or does not answer, it is asked again several times, with pauses.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::cli::admin_client::AdminClient;
use crate::cli::error::CommandError;

/// The longest that one request may take. It has many pictures, and each of them waits until the server has nothing else to do.
pub(super) const TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);
/// The pause before each further try, in seconds.
const PAUSES: [u64; 8] = [1, 2, 4, 8, 15, 30, 30, 30];
/// The status of a server that is too busy, for the whole request or for one picture.
const BUSY: u16 = 503;

/// Asks one server for the same pictures of each source.
pub(super) struct WarmClient {
    pub admin_client: AdminClient,
    pub options: Vec<String>,
    pub accept: Vec<String>,
    pub host: Option<String>,
}

/// The result for one picture.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RenditionReport {
    pub options: String,
    pub accept: String,
    pub result: WarmResult,
    /// The status that a client would get, where the picture failed.
    #[serde(default)]
    pub status: u16,
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub error: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WarmResult {
    Made,
    Kept,
    Unstorable,
    Failed,
}

/// The body of a request.
#[derive(Serialize)]
struct RequestBody<'a> {
    sources: &'a [&'a str],
    options: &'a [String],
    accept: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
}

/// A line of the answer.
#[derive(Deserialize)]
struct WarmLine {
    renditions: Vec<RenditionReport>,
}

/// Why a request failed.
enum CallError {
    /// Another try may succeed.
    Transient(CommandError),
    Permanent(CommandError),
}

impl From<CallError> for CommandError {
    fn from(trouble: CallError) -> Self {
        let (CallError::Transient(failure) | CallError::Permanent(failure)) = trouble;
        failure
    }
}

impl WarmClient {
    /// Checks, with one request, that the server answers and accepts the options. No picture is made.
    pub(super) async fn check(&self) -> Result<(), CommandError> {
        self.ask(&[]).await?;
        Ok(())
    }

    /// Lets the server make the pictures of a source. An error is one of the server, so that other sources would fail as well.
    pub(super) async fn warm(&self, source: &str) -> Result<Vec<RenditionReport>, CommandError> {
        let mut pauses = PAUSES.iter();
        loop {
            let answer = self.ask(&[source]).await.and_then(|lines| {
                let line = lines.into_iter().next().ok_or_else(|| {
                    CallError::Transient(CommandError::new(
                        "the server stopped in the middle of an answer",
                    ))
                })?;
                Ok(line.renditions)
            });
            let is_busy = match &answer {
                Ok(renditions) => renditions.iter().any(|one| one.status == BUSY),
                Err(CallError::Transient(_)) => true,
                Err(CallError::Permanent(_)) => false,
            };
            match pauses.next().filter(|_| is_busy) {
                Some(&pause) => tokio::time::sleep(Duration::from_secs(pause)).await,
                None => return answer.map_err(CommandError::from),
            }
        }
    }

    async fn ask(&self, sources: &[&str]) -> Result<Vec<WarmLine>, CallError> {
        let call = RequestBody {
            sources,
            options: &self.options,
            accept: &self.accept,
            host: self.host.as_deref(),
        };
        let body = serde_json::to_vec(&call)
            .map_err(|error| CallError::Permanent(CommandError::new(error)))?;
        let answer = self
            .admin_client
            .post(body)
            .await
            .map_err(CallError::Transient)?;
        match answer.status {
            200 => answer
                .text
                .lines()
                .map(serde_json::from_str)
                .collect::<Result<_, _>>()
                .map_err(|_| CallError::Permanent(self.admin_client.refused(&answer))),
            BUSY => Err(CallError::Transient(self.admin_client.refused(&answer))),
            _ => Err(CallError::Permanent(self.admin_client.refused(&answer))),
        }
    }
}
