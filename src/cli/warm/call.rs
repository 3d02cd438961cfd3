//! Asks the server for the pictures of one source. A server that is busy, restarting or gone for a moment is asked again, with pauses, and
//! not for ever.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::super::Failure;
use super::super::operator::Operator;

/// For one call: many pictures, each of which waits until the processors have nothing else to do.
pub(super) const TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);
/// How long to wait before each further try, in seconds.
const PAUSES: [u64; 8] = [1, 2, 4, 8, 15, 30, 30, 30];
/// "Too busy", for the server as a whole or for one picture.
const BUSY: u16 = 503;

/// What is wanted of every source, and who makes it.
pub(super) struct Warmer {
    pub operator: Operator,
    pub options: Vec<String>,
    pub accept: Vec<String>,
    pub host: Option<String>,
}

/// What came of one picture.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rendition {
    pub options: String,
    pub accept: String,
    pub result: Word,
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
pub(super) enum Word {
    Made,
    Kept,
    Unstorable,
    Failed,
}

/// The body of a call.
#[derive(Serialize)]
struct Call<'a> {
    sources: &'a [&'a str],
    options: &'a [String],
    accept: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
}

/// A line of its answer.
#[derive(Deserialize)]
struct Line {
    renditions: Vec<Rendition>,
}

/// Why a try came to nothing.
enum Trouble {
    /// Another may not.
    Passing(Failure),
    Lasting(Failure),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let (Trouble::Passing(failure) | Trouble::Lasting(failure)) = trouble;
        failure
    }
}

impl Warmer {
    /// Asks whether the server is there and understands the options. Nothing is made, and nothing is tried twice.
    pub async fn check(&self) -> Result<(), Failure> {
        self.ask(&[]).await?;
        Ok(())
    }

    /// Has the pictures of a source made. An error is one of the server, and of every other source too.
    pub async fn warm(&self, source: &str) -> Result<Vec<Rendition>, Failure> {
        let mut pauses = PAUSES.iter();
        loop {
            let answer = self.ask(&[source]).await.and_then(|lines| {
                let line = lines.into_iter().next().ok_or_else(|| {
                    Trouble::Passing(Failure::new(
                        "the server stopped in the middle of an answer",
                    ))
                })?;
                Ok(line.renditions)
            });
            let is_busy = match &answer {
                Ok(renditions) => renditions.iter().any(|one| one.status == BUSY),
                Err(Trouble::Passing(_)) => true,
                Err(Trouble::Lasting(_)) => false,
            };
            match pauses.next().filter(|_| is_busy) {
                Some(&pause) => tokio::time::sleep(Duration::from_secs(pause)).await,
                None => return answer.map_err(Failure::from),
            }
        }
    }

    async fn ask(&self, sources: &[&str]) -> Result<Vec<Line>, Trouble> {
        let call = Call {
            sources,
            options: &self.options,
            accept: &self.accept,
            host: self.host.as_deref(),
        };
        let body =
            serde_json::to_vec(&call).map_err(|error| Trouble::Lasting(Failure::new(error)))?;
        let answer = self.operator.post(body).await.map_err(Trouble::Passing)?;
        match answer.status {
            200 => answer
                .text
                .lines()
                .map(serde_json::from_str)
                .collect::<Result<_, _>>()
                .map_err(|_| Trouble::Lasting(self.operator.refused(&answer))),
            BUSY => Err(Trouble::Passing(self.operator.refused(&answer))),
            _ => Err(Trouble::Lasting(self.operator.refused(&answer))),
        }
    }
}
