//! The admin listener, on its own address: health checks, metrics, purges, pictures made ahead of requests, settings read again, and the playground. Requests that
//! change something need the token, which is checked before their body is read; those of the playground need it where one is set.

mod cloudflare;
mod config;
mod fields;
mod hosts;
mod playground;
mod purge;
mod readiness;
mod refusal;
mod reload;
mod routes;
mod rules;
mod warm;

use std::convert::Infallible;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use self::config::Config;
pub use self::hosts::{HostName, HostNameError};
pub use self::readiness::Readiness;
pub use self::reload::{ReloadCall, ReloadOutcome, ReloadReport, Reloads};
pub use self::rules::AdminRules;
use crate::response;
use crate::server::{Live, TimedStream};
use crate::telemetry::LogRate;
pub use crate::token::Token;

use self::routes::AdminState;

/// The longest that the head of a request may take to arrive.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a client may read nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most connections at once. Operators need few, and nobody may use up the limit of open files.
const MAX_CONNECTIONS: usize = 256;
/// How long to wait after a failed accept.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// What the listener is about.
pub struct Subject {
    /// What answers requests on the public listener.
    pub live: Arc<Live>,
    /// Whether it takes requests.
    pub readiness: Readiness,
    /// Who may do what.
    pub rules: Arc<AdminRules>,
    /// Reads the settings again.
    pub reloads: Reloads,
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, subject: Subject) {
    let state = Arc::new(AdminState {
        subject,
        refusals: LogRate::default(),
        warm_calls: Arc::new(Semaphore::new(warm::MAX_CALLS)),
    });
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let failures = LogRate::default();
    let mut spare = spare();
    loop {
        let permit = Arc::clone(&connections)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Where too many files are open, closing the spare file lets the next try succeed.
            Err(_) if spare.take().is_some() => continue,
            Err(error) => {
                if let Some(left_out) = failures.admit() {
                    tracing::warn!(%error, left_out, "cannot accept a connection on the admin listener");
                }
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                spare = self::spare();
                continue;
            }
        };
        if spare.is_none() {
            spare = self::spare();
        }
        let state = Arc::clone(&state);
        let service = service_fn(move |request| {
            let state = Arc::clone(&state);
            async move {
                let mut answer = routes::answer(request, &state).await;
                response::protect_admin(answer.headers_mut());
                Ok::<_, Infallible>(answer)
            }
        });
        tokio::spawn(async move {
            let _permit = permit;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TimedStream::new(stream, WRITE_TIMEOUT), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an admin connection ended early");
            }
        });
    }
}

/// A file that is open for no other reason than to be closed for an operator when no more files may be open.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
