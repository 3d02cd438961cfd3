//! `safelight serve`: serves on both listeners until a signal.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CommandError;
use crate::admin;
use crate::admin::Readiness;
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::server;
use crate::telemetry;

/// The longest that the cache may take to write its last entries.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// The addresses of a server whose listeners are open.
#[derive(Clone, Copy, Debug)]
pub struct ServerAddresses {
    /// The address of the public listener.
    pub public: SocketAddr,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    /// Whether the zone is the shipped one, which has the photographs of the examples.
    pub shows_examples: bool,
}

/// The signals that stop the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Serves until SIGTERM or Ctrl-C, then drains. Calls `ready` once both listeners are open.
///
/// # Errors
/// [`CommandError`] when a setting is wrong or an address is in use.
pub async fn serve(config: &Path, ready: impl FnOnce(ServerAddresses)) -> Result<(), CommandError> {
    let mut config = Config::load(config).map_err(CommandError::new)?;
    let _logging = telemetry::start(&config.log).map_err(CommandError::new)?;
    server::limit_connections(&mut config.server, config.fetch.concurrency.get());
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate()).map_err(CommandError::new)?,
        interrupt: signal(SignalKind::interrupt()).map_err(CommandError::new)?,
    };
    let pipeline = Pipeline::open(config.pipeline())
        .await
        .map_err(CommandError::new)?;
    let public = server::listen("server.listen", config.server.listen)
        .await
        .map_err(CommandError::new)?;
    let private = server::listen("admin.listen", config.admin.listen)
        .await
        .map_err(CommandError::new)?;
    let readiness = Readiness::default();
    let serving = ServerAddresses {
        public: public.local_addr().map_err(CommandError::new)?,
        admin: private.local_addr().map_err(CommandError::new)?,
        shows_examples: config.zone == Config::default().zone,
    };
    tracing::info!(listen = %serving.public, admin = %serving.admin, "serving");
    let operators = {
        let (pipeline, readiness) = (Arc::clone(&pipeline), readiness.clone());
        let config = config.admin.clone();
        tokio::spawn(async move { admin::serve(private, &config, pipeline, readiness).await })
    };
    readiness.set(true);
    ready(serving);
    let delay = config.server.drain_delay.duration();
    let shutdown = shutdown(&mut signals, &readiness, delay);
    server::serve(public, &config.server, Arc::clone(&pipeline), shutdown).await;
    if !pipeline.close(FLUSH_TIMEOUT).await {
        tracing::warn!("some cache entries were not written in time and will be made again");
    }
    operators.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Returns when the listener is to close. A load balancer sends requests until it sees that the server is not ready. So after
/// SIGTERM requests are answered for `delay`, or until another signal. Ctrl-C comes from a person at a terminal, and ends the wait at once.
async fn shutdown(signals: &mut Signals, readiness: &Readiness, delay: Duration) {
    let is_interrupt = signals.next().await;
    readiness.set(false);
    if is_interrupt || delay.is_zero() {
        return;
    }
    tracing::info!(
        ?delay,
        "not ready; the listener closes after the drain delay"
    );
    // An error means that the delay is over.
    let _ = tokio::time::timeout(delay, signals.next()).await;
}

impl Signals {
    /// Waits for a signal, and returns whether it is SIGINT.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => true,
        }
    }
}
