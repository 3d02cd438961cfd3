//! `safelight serve`: both listeners, until a signal.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::CommandError;
use crate::admin;
use crate::admin::Readiness;
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::server;
use crate::telemetry;

/// How long the cache may take to write down what it still holds.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// What is served once both listeners are open.
#[derive(Clone, Copy, Debug)]
pub struct ServerAddresses {
    /// Where pictures are.
    pub public: SocketAddr,
    /// Where the operator's numbers are.
    pub admin: SocketAddr,
    /// Whether the zone is the shipped one, with the photographs of the examples.
    pub shows_examples: bool,
}

/// Serves until SIGTERM or Ctrl-C, then drains. Tells `ready` once both listeners are open.
///
/// # Errors
/// [`CommandError`] when a setting is wrong or an address taken.
pub async fn serve(config: &Path, ready: impl FnOnce(ServerAddresses)) -> Result<(), CommandError> {
    let mut config = Config::load(config).map_err(CommandError::new)?;
    let _logging = telemetry::start(&config.log).map_err(CommandError::new)?;
    config
        .server
        .fit_to_descriptors(config.fetch.concurrency.get());
    let mut terminated = signal(SignalKind::terminate()).map_err(CommandError::new)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(CommandError::new)?;
    let pipeline = Pipeline::open(&config).await.map_err(CommandError::new)?;
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
    let shutdown = async {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        readiness.set(false);
    };
    server::serve(public, &config.server, Arc::clone(&pipeline), shutdown).await;
    if !pipeline.close(FLUSH_TIMEOUT).await {
        tracing::warn!("some of the cache was not written down in time; it will be made again");
    }
    operators.abort();
    tracing::info!("stopped");
    Ok(())
}
