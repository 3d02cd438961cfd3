//! `POST /reload`: the settings are read again.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::purge;

/// How many calls may wait for the one before them.
const MAX_CALLS: usize = 8;

/// What became of settings that were read again, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    /// Those that have changed and count from now on.
    pub applied: Vec<String>,
    /// Those that have changed and count after a restart.
    pub restart: Vec<String>,
}

/// The report, or everything that is wrong with the settings: then nothing has changed.
pub type ReloadOutcome = Result<ReloadReport, Vec<String>>;

/// Somebody who waits for the settings to be read again.
pub type ReloadCall = oneshot::Sender<ReloadOutcome>;

/// Asks for the settings to be read again.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<ReloadCall>);

impl Reloads {
    /// Where calls go in, and where they come out.
    pub fn channel() -> (Self, mpsc::Receiver<ReloadCall>) {
        let (calls, incoming) = mpsc::channel(MAX_CALLS);
        (Reloads(calls), incoming)
    }

    /// Waits for the outcome. `None` where nobody takes the call: the server stops.
    pub(super) async fn call(&self) -> Option<ReloadOutcome> {
        let (call, outcome) = oneshot::channel();
        self.0.send(call).await.ok()?;
        outcome.await.ok()
    }
}

/// The answer to a call.
pub(super) fn outcome(done: Option<ReloadOutcome>) -> (StatusCode, String) {
    match done {
        Some(Ok(ReloadReport { applied, restart })) => {
            let answer = json!({"success": true, "applied": applied, "restart": restart});
            (StatusCode::OK, format!("{answer}\n"))
        }
        Some(Err(errors)) => purge::refusal(StatusCode::UNPROCESSABLE_ENTITY, &errors),
        None => {
            let reason = "the server stops, or has no settings that could be read again".to_owned();
            purge::refusal(StatusCode::SERVICE_UNAVAILABLE, &[reason])
        }
    }
}
