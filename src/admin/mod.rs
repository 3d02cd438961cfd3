//! The operator's listener, on an address of its own: is it alive, is it ready, what are its numbers; and what is to be purged or
//! made ahead. Nothing changes without the token, which is asked for before anything else of such a request is read.

mod cloudflare;
mod fields;
mod hosts;
mod purge;
mod routes;
mod token;
mod warm;

use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use self::hosts::HostName;
pub use self::hosts::HostNameError;
pub use self::token::Token;
use crate::pipeline::Pipeline;
use crate::server::WriteTimeout;
use crate::telemetry::LogRate;

use self::routes::AdminState;

/// Section `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where `/healthz`, `/readyz`, `/metrics`, `/purge` and `/warm` are served. Never let strangers reach it.
    pub listen: SocketAddr,
    /// What must be sent with whatever changes something; without one, nothing does.
    pub token: Token,
    /// Names that the listener answers to, beside `localhost` and every IP address.
    pub hosts: Vec<HostName>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            token: Token::default(),
            hosts: Vec::new(),
        }
    }
}

/// Whether new requests are taken: set by `main`, told by `/readyz`.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on, yes or no.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The longest that the head of a request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a client may take nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections open at once: those who ask are few, and others must not use up the files that may be open.
const MAX_CONNECTIONS: usize = 256;
/// How long to wait after an error of the listener itself.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Serves until it is dropped.
pub async fn serve(
    listener: TcpListener,
    config: &Config,
    pipeline: Arc<Pipeline>,
    readiness: Readiness,
) {
    let state = Arc::new(AdminState {
        token: config.token.clone(),
        hosts: config.hosts.clone(),
        refusals: LogRate::default(),
        pipeline,
        readiness,
        warm_calls: Arc::new(Semaphore::new(warm::MAX_CALLS)),
    });
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let failures = LogRate::default();
    let mut spare = spare();
    loop {
        let place = Arc::clone(&connections)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // With the spare one given up, the next try succeeds where too many files are open.
            Err(_) if spare.take().is_some() => continue,
            Err(error) => {
                if let Some(left_out) = failures.admit() {
                    tracing::warn!(%error, left_out, "a connection of an operator could not be taken");
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
            async move { Ok::<_, Infallible>(routes::answer(request, &state).await) }
        });
        tokio::spawn(async move {
            let _place = place;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(WriteTimeout::new(stream, WRITE_TIMEOUT), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an admin connection ended early");
            }
        });
    }
}

/// A file that is held open for nothing, so that there is one to give up for an operator when no more may be open.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
