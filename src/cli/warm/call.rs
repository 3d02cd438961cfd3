//! Asks the server for the pictures of one source. A server that is busy, restarting or gone for a moment is asked again, with pauses, and
//! not for ever.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::super::CommandError;
use super::super::admin_client::AdminClient;

/// For one call: many pictures, each of which waits until the processors have nothing else to do.
pub(super) const TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);
/// How long to wait before each further try, in seconds.
const PAUSES: [u64; 8] = [1, 2, 4, 8, 15, 30, 30, 30];
/// "Too busy", for the server as a whole or for one picture.
const BUSY: u16 = 503;

/// What is wanted of every source, and who makes it.
pub(super) struct WarmClient {
    pub admin_client: AdminClient,
    pub options: Vec<String>,
    pub accept: Vec<String>,
    pub host: Option<String>,
}

/// What came of one picture.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RenditionReport {
    pub options: String,
    pub accept: String,
    pub result: WarmResult,
    /// As a client would get it, where there is no picture.
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

/// The body of a call.
#[derive(Serialize)]
struct RequestBody<'a> {
    sources: &'a [&'a str],
    options: &'a [String],
    accept: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
}

/// A line of its answer.
#[derive(Deserialize)]
struct WarmLine {
    renditions: Vec<RenditionReport>,
}

/// Why a try came to nothing.
enum CallError {
    /// Another may not.
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
    /// Asks whether the server is there and understands the options. Nothing is made, and nothing is tried twice.
    pub async fn check(&self) -> Result<(), CommandError> {
        self.ask(&[]).await?;
        Ok(())
    }

    /// Has the pictures of a source made. An error is one of the server, and of every other source too.
    pub async fn warm(&self, source: &str) -> Result<Vec<RenditionReport>, CommandError> {
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
