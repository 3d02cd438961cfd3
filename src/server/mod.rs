//! The public listener: accepts connections, gives each request to the pipeline, and drains before it stops. It never looks at more of a request
//! than its host and its path.

mod answer;
mod config;
mod descriptors;
mod handover;
mod host;
mod idle;
mod live;
mod preface_timeout;
mod streams;
mod timed_stream;
mod write_timeout;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::clients::{Peer, ProxyError, read_proxy_header};
use crate::pipeline::Pipeline;
use crate::telemetry::LogRate;

use idle::ConnectionActivity;
use idle::EVICTION_GRACE;
use idle::IDLE_GRACE;
use idle::IdleConnections;
use streams::StreamExecutor;

pub use config::Config;
pub use descriptors::limit_connections;
pub use host::Host;
pub use host::HostError;
pub use live::Live;
pub use timed_stream::TimedStream;

/// The most streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 200;
/// How long to wait after a failed accept. Most likely there are no file descriptors left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The setting with the address.
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

/// Opens a listener for the address of a setting; beside those of other processes, if `is_shared`.
///
/// # Errors
/// [`ListenError`] when the address is in use or is not one of this machine.
pub fn listen(
    setting: &'static str,
    address: SocketAddr,
    is_shared: bool,
) -> Result<TcpListener, ListenError> {
    handover::bind(address, is_shared).map_err(|cause| ListenError {
        setting,
        address,
        cause,
    })
}

/// Serves until `shutdown`. Then takes no new requests, finishes those in flight, and returns.
pub async fn serve(
    listener: TcpListener,
    config: &Config,
    live: Arc<Live>,
    shutdown: impl Future<Output = ()>,
) {
    let count = config.connections.clamp(1, Semaphore::MAX_PERMITS);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let permits = Semaphore::new(usize::try_from(count).unwrap_or(Semaphore::MAX_PERMITS));
    let handler = Arc::new(Handler {
        builder: builder(config),
        timeouts: Timeouts::of(config),
        idle: IdleConnections::default(),
        permits: Arc::new(permits),
        refusals: LogRate::default(),
        live,
    });
    let (phases, phase) = watch::channel(Phase::Serving);
    let closing = async {
        shutdown.await;
        if config.reuse_port {
            handover::leave(&listener).await;
        }
    };
    let first = accept(&listener, &handler, &phase, closing).await;
    let waiting = first.into_iter().chain(handover::rest(listener));
    tracing::info!("draining");
    phases.send_replace(Phase::Draining);
    // Connections that wait for a permit have no more time than the others: there may never be a permit for them.
    let all = async {
        for (stream, address) in waiting {
            let permit = handler.permit().await;
            handler.start(stream, address, permit, phase.clone());
        }
        handler.permits.acquire_many(count).await
    };
    if tokio::time::timeout(config.drain_timeout.duration(), all)
        .await
        .is_err()
    {
        tracing::warn!("requests were still in flight at the end of the drain timeout");
    }
    phases.send_replace(Phase::Over);
}

/// Accepts connections until `closing`. Returns the one that waits for a permit then.
async fn accept(
    listener: &TcpListener,
    handler: &Arc<Handler>,
    phase: &watch::Receiver<Phase>,
    closing: impl Future<Output = ()>,
) -> Option<(TcpStream, SocketAddr)> {
    let failures = LogRate::default();
    let mut closing = pin!(closing);
    let mut waiting = None;
    loop {
        let permitted = async {
            if waiting.is_none() {
                waiting = Some(listener.accept().await?);
            }
            Ok::<_, io::Error>(handler.permit().await)
        };
        tokio::select! {
            () = &mut closing => return waiting,
            permitted = permitted => match permitted {
                Ok(permit) => if let Some((stream, address)) = waiting.take() {
                    handler.start(stream, address, permit, phase.clone());
                },
                Err(error) => {
                    if let Some(left_out) = failures.admit() {
                        tracing::warn!(%error, left_out, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
}

/// What all connections share.
struct Handler {
    builder: auto::Builder<StreamExecutor>,
    timeouts: Timeouts,
    idle: IdleConnections,
    /// Limits how many connections there are.
    permits: Arc<Semaphore>,
    /// How often it is logged that a connection is refused.
    refusals: LogRate,
    live: Arc<Live>,
}

/// How long connections may take.
#[derive(Clone, Copy)]
struct Timeouts {
    header: Duration,
    write: Duration,
    age: Duration,
}

impl Timeouts {
    fn of(config: &Config) -> Self {
        Timeouts {
            header: config.header_timeout.duration(),
            write: config.write_timeout.duration(),
            age: config.connection_age.duration(),
        }
    }
}

impl Handler {
    /// A permit for a new connection. Where there is none left, idle connections are asked to close.
    async fn permit(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return permit;
        }
        loop {
            self.idle.evict();
            let permit = Arc::clone(&self.permits).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(EVICTION_GRACE, permit).await {
                return permit.expect("the semaphore is never closed");
            }
        }
    }

    /// Serves one connection in a task of its own.
    fn start(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        permit: OwnedSemaphorePermit,
        phase: watch::Receiver<Phase>,
    ) {
        let handler = Arc::clone(self);
        tokio::spawn(async move {
            let _permit = permit;
            handler.serve(stream, address, phase).await;
        });
    }

    /// Serves one connection, until it ends.
    async fn serve(
        self: Arc<Self>,
        mut stream: TcpStream,
        address: SocketAddr,
        mut phase: watch::Receiver<Phase>,
    ) {
        // The head and the body of an answer are two packets. The second must not wait until the first is acknowledged.
        let _ = stream.set_nodelay(true);
        // A connection may live longer than a pipeline.
        let pipeline = Arc::clone(&self.live.get().pipeline);
        let metrics = Arc::clone(pipeline.metrics());
        let _held = metrics.requests.count_connection();
        let Some(peer) = self.peer(&pipeline, &mut stream, address).await else {
            return;
        };
        let Some(_place) = pipeline.clients.connect(peer.client) else {
            metrics.requests.record_refused_connection();
            return;
        };
        drop(pipeline);
        let mut stream = TimedStream::new(stream, self.timeouts.write);
        let activity = self.idle.connection(stream.is_full());
        // hyper itself ends idle connections of HTTP/1, but none of HTTP/2 whose client answers pings.
        let within = self.timeouts.header;
        let is_http2 = stream.expect_preface(within);
        let service = {
            let (handler, activity) = (Arc::clone(&self), Arc::clone(&activity));
            service_fn(move |request: Request<Incoming>| {
                let (handler, busy) = (Arc::clone(&handler), activity.begin_request());
                async move {
                    let service = handler.live.get();
                    Ok::<_, Infallible>(answer::respond(service, request, peer, busy).await)
                }
            })
        };
        let mut connection = pin!(self.builder.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Ok(ended),
            () = activity.wait_for_eviction() => Err(EVICTION_GRACE),
            () = activity.wait_until_unused(within, &is_http2) => Err(IDLE_GRACE),
            () = tokio::time::sleep(self.timeouts.age) => Err(IDLE_GRACE),
            () = drained(&mut phase, &activity) => Err(EVICTION_GRACE),
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
    }

    /// Who is at the other end of a connection, which a load balancer may say with its first bytes. `None` for one that is refused.
    async fn peer(
        &self,
        pipeline: &Pipeline,
        stream: &mut TcpStream,
        address: SocketAddr,
    ) -> Option<Peer> {
        let clients = &pipeline.clients;
        let peer = clients.peer(address);
        if !clients.expects_proxy_header() {
            return Some(peer);
        }
        let header = async {
            if !peer.is_trusted {
                return Err(ProxyError::Untrusted(address.ip()));
            }
            let header = tokio::time::timeout(self.timeouts.header, read_proxy_header(stream));
            header.await.unwrap_or(Err(ProxyError::Slow))
        };
        match header.await {
            Ok(client) => Some(client.map_or(peer, |client| clients.peer(client))),
            Err(error) => {
                if let Some(left_out) = self.refusals.admit() {
                    tracing::warn!(%error, left_out, "a connection is refused");
                }
                pipeline.metrics().requests.record_refused_connection();
                None
            }
        }
    }
}

/// How far the shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Connections end when their requests have ended.
    Draining,
    /// Connections end at once.
    Over,
}

/// Returns when a connection is to end because the server does. A client that has just connected may send its first request.
async fn drained(phases: &mut watch::Receiver<Phase>, activity: &ConnectionActivity) {
    reached(phases, Phase::Draining).await;
    activity.wait_for_first_request(IDLE_GRACE).await;
}

/// Returns when a phase has begun.
async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // An error means that the server is gone.
    let _ = phases.wait_for(|now| *now >= phase).await;
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
        // hyper_util's wrapper does not say that it takes several slices at once, so hyper would copy every body.
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
