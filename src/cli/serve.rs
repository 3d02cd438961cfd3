//! `safelight serve`: serves on both listeners until a signal.

use std::future::pending;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::error::CommandError;
use super::reload::Reloader;
use super::startup::{ServeArguments, Startup};
use crate::admin;
use crate::admin::{AdminRules, Readiness, ReloadCall, Reloads, Subject};
use crate::api::Api;
use crate::pipeline::Pipeline;
use crate::server;
use crate::server::{ListenError, Live};
use crate::telemetry;
use crate::webhook::Webhooks;

/// The longest that the cache may take to write its last entries.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// The signals that stop the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Serves until SIGTERM or Ctrl-C, then drains. Once both listeners are open, `ready` gets the lines to print.
///
/// # Errors
/// [`CommandError`] when an argument or a setting is wrong, or an address is in use.
pub async fn serve(
    arguments: &ServeArguments,
    ready: impl FnOnce(Vec<String>),
) -> Result<(), CommandError> {
    let Startup {
        mut config,
        written,
        has_file,
        has_listen_argument,
        has_any_admin_port,
        welcome,
    } = Startup::of(arguments)?;
    let (_logging, level) = telemetry::start(&config.log).map_err(CommandError::new)?;
    let _traces = telemetry::trace::start(&config.traces).map_err(CommandError::new)?;
    let settings = config.clone();
    // There are as many originals as fetches, and each fetch may have a file in memory.
    let fetches = config.fetch.concurrency.get().saturating_mul(3);
    let others = fetches.saturating_add(config.limits.worker_files());
    server::limit_connections(&mut config.server, others);
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate()).map_err(CommandError::new)?,
        interrupt: signal(SignalKind::interrupt()).map_err(CommandError::new)?,
    };
    // Without a file there is nothing to read again, and who closes a terminal ends what runs there.
    let hangup = has_file.then(|| signal(SignalKind::hangup()));
    let hangup = hangup.transpose().map_err(CommandError::new)?;
    let mut joined = config.pipeline();
    // The file that this process runs, also when another one has taken its name.
    joined.worker_program = Some("/proc/self/exe".into());
    let pipeline = Pipeline::open(joined).await.map_err(CommandError::new)?;
    let api = Api::open(&pipeline, &config.admin.token).map_err(CommandError::new)?;
    let webhooks = Webhooks::open(&pipeline).await;
    let webhooks = webhooks.map_err(CommandError::new)?;
    let followers = pipeline.follow_hosted();
    let public = listen_public(&config.server, has_listen_argument)?;
    let private = listen_admin(config.admin.listen, has_any_admin_port);
    let private = private.map_err(CommandError::new)?;
    let readiness = Readiness::default();
    let live = Live::new(Arc::clone(&pipeline), api);
    let rules = AdminRules::new(&config.admin);
    let (reloads, calls) = Reloads::channel();
    let addresses = |listener: &TcpListener| listener.local_addr().map_err(CommandError::new);
    let (listen, admin) = (addresses(&public)?, addresses(&private)?);
    let lines = welcome.lines(&config, listen, admin).await;
    tracing::info!(%listen, %admin, "serving");
    let operators = {
        let subject = Subject {
            live: Arc::clone(&live),
            readiness: readiness.clone(),
            rules: Arc::clone(&rules),
            reloads,
        };
        tokio::spawn(admin::serve(private, subject))
    };
    let reloading = tokio::spawn(keep_reloading(
        Reloader {
            arguments: arguments.clone(),
            config: settings,
            started: written.clone(),
            written,
            live: Arc::clone(&live),
            rules,
            level,
            followers,
        },
        hangup,
        calls,
    ));
    readiness.set(true);
    ready(lines);
    let delay = config.server.drain_delay.duration();
    let shutdown = shutdown(&mut signals, &readiness, delay);
    server::serve(public, &config.server, live, shutdown).await;
    reloading.abort();
    if let Some(webhooks) = webhooks {
        webhooks.close(FLUSH_TIMEOUT).await;
    }
    if !pipeline.close(FLUSH_TIMEOUT).await {
        tracing::warn!("some cache entries were not written in time and will be made again");
    }
    operators.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Reads the settings again at each SIGHUP and each call, one after the other.
async fn keep_reloading(
    mut reloader: Reloader,
    mut hangup: Option<Signal>,
    mut calls: mpsc::Receiver<ReloadCall>,
) {
    loop {
        let signalled = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        let call = tokio::select! {
            Some(()) = signalled => None,
            Some(call) = calls.recv() => Some(call),
            else => return,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "files are read, one reload after the other"
        )]
        let done = tokio::task::spawn_blocking(move || {
            let outcome = reloader.reload();
            (reloader, outcome)
        });
        let Ok((returned, outcome)) = done.await else {
            tracing::error!("reading the settings again crashed: they stay as they are");
            return;
        };
        reloader = returned;
        if let Some(call) = call {
            // An error means that nobody waits any more.
            let _ = call.send(outcome);
        }
    }
}

fn listen_public(config: &server::Config, is_argument: bool) -> Result<TcpListener, CommandError> {
    let address = config.listen;
    let listener = server::listen("server.listen", address, config.reuse_port);
    listener.map_err(|error| {
        CommandError::new(if is_argument {
            let cause = error.cause;
            format!("`--listen` must be a free address of this machine, got `{address}`: {cause}")
        } else {
            format!("{error}; `--listen ADDR` names another address")
        })
    })
}

/// Opens the admin listener. With `has_any_port`, it gets another port where its own is in use, so that several servers can be started by hand.
fn listen_admin(address: SocketAddr, has_any_port: bool) -> Result<TcpListener, ListenError> {
    match server::listen("admin.listen", address, false) {
        Err(error) if has_any_port && error.cause.kind() == ErrorKind::AddrInUse => {
            tracing::warn!(%address, "the address of the admin listener is in use, so it gets another port");
            server::listen("admin.listen", SocketAddr::new(address.ip(), 0), false)
        }
        listener => listener,
    }
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
