//! Sockets: takes connections, gives each request to the pipeline, and stops without breaking anything off. It never looks into a
//! request beyond its path.

mod descriptors;
mod host;
mod idle;
mod preface_timeout;
mod router;
mod streams;
mod write_timeout;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::Version;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::pipeline::Pipeline;
use crate::request::Prefixes;
use crate::response;
use crate::telemetry::LogRate;
use crate::units::Seconds;

use idle::EVICTION_GRACE;
use idle::IDLE_GRACE;
use idle::IdleConnections;
use idle::RequestGuard;
use preface_timeout::PrefaceTimeout;
use router::Route;
use streams::PacedBody;
use streams::StreamExecutor;

pub use host::Host;
pub use host::HostError;
pub use write_timeout::WriteTimeout;

/// Section `[server]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where pictures are served, HTTP/1.1 and h2c alike.
    pub listen: SocketAddr,
    /// Paths that transformation URLs begin with.
    pub prefixes: Prefixes,
    /// Connections open at once, where the system lets as many files be open. Where more come, those leave that have been idle longest.
    pub connections: usize,
    /// The longest head of a request, in bytes; at least 8192.
    pub header_bytes: usize,
    /// The longest that the head of a request may take to arrive, and that a connection may sit idle.
    pub header_timeout: Seconds,
    /// The longest that a request may take, from its head to the head of its answer.
    pub request_timeout: Seconds,
    /// The longest that a client may take nothing, or next to nothing, of an answer.
    pub write_timeout: Seconds,
    /// From SIGTERM until the listener closes: time for load balancers to see that `/readyz` says no.
    pub drain_delay: Seconds,
    /// The longest that requests in flight may take to end after that.
    pub drain_timeout: Seconds,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            prefixes: Prefixes::default(),
            connections: 10_000,
            header_bytes: 64 << 10,
            header_timeout: Seconds::new(15),
            request_timeout: Seconds::new(60),
            write_timeout: Seconds::new(20),
            drain_delay: Seconds::new(5),
            drain_timeout: Seconds::new(30),
        }
    }
}

impl Config {
    /// Raises the limit of open files, and lowers `connections` where clients could use them all up, beside so many fetches.
    pub fn fit_to_descriptors(&mut self, fetches: usize) {
        let limit = descriptors::raise();
        let wanted = self.connections;
        self.connections = descriptors::connections(wanted, fetches, limit);
        if self.connections < wanted {
            tracing::warn!(
                limit,
                wanted,
                connections = self.connections,
                "fewer connections are taken than `server.connections` says: the limit of open files leaves no more, raise it (ulimit -n, LimitNOFILE)"
            );
        }
    }
}

/// Streams of one HTTP/2 connection at once: what one client may keep waiting.
const MAX_STREAMS: u32 = 200;
/// How long to wait after an error of the listener itself: out of file descriptors, most likely.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The setting that has it.
    pub setting: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub cause: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListenError {
            setting,
            address,
            cause,
        } = self;
        write!(
            out,
            "setting `{setting}`: cannot listen on {address}: {cause}"
        )
    }
}

impl std::error::Error for ListenError {}

/// Opens a listener for the address of a setting.
///
/// # Errors
/// [`ListenError`] when the address is taken or not ours.
pub async fn listen(
    setting: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| ListenError {
            setting,
            address,
            cause,
        })
}

/// Serves until `shutdown`; then finishes what is in flight, takes nothing new, and returns.
pub async fn serve(
    listener: TcpListener,
    config: &Config,
    pipeline: Arc<Pipeline>,
    shutdown: impl Future<Output = ()>,
) {
    let count = config.connections.clamp(1, Semaphore::MAX_PERMITS);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let permits = Semaphore::new(usize::try_from(count).unwrap_or(Semaphore::MAX_PERMITS));
    let permits = Arc::new(permits);
    let idle = IdleConnections::default();
    let builder = builder(config);
    let (phases, phase) = watch::channel(Phase::Serving);
    let failures = LogRate::default();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let (stream, _) = listener.accept().await?;
            Ok::<_, io::Error>((stream, connection_permit(&permits, &idle).await))
        };
        let (stream, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(left_out) = failures.admit() {
                        tracing::warn!(%error, left_out, "a connection could not be taken");
                    }
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            },
        };
        // Head and body of an answer are two packets; the second must not wait for the first's acknowledgement.
        let _ = stream.set_nodelay(true);
        let held = pipeline.metrics().count_connection();
        let stream = WriteTimeout::new(stream, config.write_timeout.duration());
        let activity = idle.connection(stream.is_full());
        let service = {
            let (pipeline, activity) = (Arc::clone(&pipeline), Arc::clone(&activity));
            service_fn(move |request| {
                let (pipeline, busy) = (Arc::clone(&pipeline), activity.begin_request());
                async move { Ok::<_, Infallible>(answer(&pipeline, request, busy).await) }
            })
        };
        let within = config.header_timeout.duration();
        let stream = PrefaceTimeout::new(stream, within);
        // hyper itself ends those of HTTP/1, and none of HTTP/2 whose client answers pings.
        let is_http2 = stream.is_http2();
        let connection = builder.serve_connection(stream, service).into_owned();
        let mut phase = phase.clone();
        tokio::spawn(async move {
            let _held = (permit, held);
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => Ok(ended),
                () = activity.wait_for_eviction() => Err(EVICTION_GRACE),
                () = activity.wait_until_unused(within, &is_http2) => Err(IDLE_GRACE),
                () = reached(&mut phase, Phase::Draining) => Err(EVICTION_GRACE),
            };
            let ended = match ended {
                Ok(ended) => ended,
                Err(pause) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection.as_mut() => ended,
                        () = activity.wait_until_quiet(pause) => Ok(()),
                        () = reached(&mut phase, Phase::Over) => Ok(()),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    tracing::info!("draining");
    phases.send_replace(Phase::Draining);
    let all = permits.acquire_many(count);
    if tokio::time::timeout(config.drain_timeout.duration(), all)
        .await
        .is_err()
    {
        tracing::warn!("requests were still in flight when the drain timeout ended");
    }
    phases.send_replace(Phase::Over);
}

/// What is to become of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// They end with what they are doing.
    Draining,
    /// They end.
    Over,
}

/// Returns when a phase has begun, or when nobody is left to begin one.
async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // An error means the latter.
    let _ = phases.wait_for(|now| *now >= phase).await;
}

/// A permit for a client who is there already; where there is none, connections are asked to leave that wait for nothing.
async fn connection_permit(
    permits: &Arc<Semaphore>,
    idle: &IdleConnections,
) -> OwnedSemaphorePermit {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return permit;
    }
    loop {
        idle.evict();
        let permit = Arc::clone(permits).acquire_owned();
        if let Ok(permit) = tokio::time::timeout(EVICTION_GRACE, permit).await {
            return permit.expect("the semaphore is never closed");
        }
    }
}

fn builder(config: &Config) -> auto::Builder<StreamExecutor> {
    const MIN_HEADER_BYTES: usize = 8 << 10;
    let mut builder = auto::Builder::new(StreamExecutor {
        within: config.write_timeout.duration(),
    });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout.duration())
        // The buffer that told the versions apart does not say that it passes on several slices at once, and every body would be copied.
        .writev(true)
        .max_buf_size(config.header_bytes.max(MIN_HEADER_BYTES));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(config.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(config.header_timeout.duration())
        .keep_alive_timeout(config.header_timeout.duration());
    builder
}

async fn answer(
    pipeline: &Arc<Pipeline>,
    request: Request<Incoming>,
    busy: RequestGuard,
) -> Response<PacedBody> {
    let (head, _body) = request.into_parts();
    let answer = match Host::of(&head) {
        Err(error) => error.answer(head.version),
        Ok(_) => match Route::of(pipeline, head.uri.path()) {
            Route::Image => pipeline.respond(&head).await,
            Route::Nothing => {
                response::text(StatusCode::NOT_FOUND, "nothing is served at this path\n")
            }
        },
    };
    streams::step();
    if head.version < Version::HTTP_2 {
        answer.map(|body| PacedBody::whole(body, busy))
    } else {
        answer.map(|body| PacedBody::of_stream(body, busy))
    }
}
