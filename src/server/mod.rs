//! The public listener: accepts connections, gives each request to the pipeline, and drains before it stops. It never looks at more of a request
//! than its host and its path.

mod config;
mod descriptors;
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

use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::Version;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::api::Api;
use crate::clients::{Peer, Place, ProxyError, read_proxy_header};
use crate::pipeline::Pipeline;
use crate::response;
use crate::response::Body;
use crate::telemetry::LogRate;
use crate::telemetry::trace;
use crate::telemetry::trace::RequestTrace;

use idle::EVICTION_GRACE;
use idle::IDLE_GRACE;
use idle::IdleConnections;
use idle::RequestGuard;
use streams::PacedBody;
use streams::StreamExecutor;

pub use config::Config;
pub use descriptors::limit_connections;
pub use host::Host;
pub use host::HostError;
pub use live::{Live, Service};
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

/// Opens a listener for the address of a setting.
///
/// # Errors
/// [`ListenError`] when the address is in use or is not one of this machine.
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
    let permits = Arc::new(permits);
    let handler = Arc::new(Handler {
        builder: builder(config),
        timeouts: Timeouts::of(config),
        idle: IdleConnections::default(),
        refusals: LogRate::default(),
        live,
    });
    let (phases, phase) = watch::channel(Phase::Serving);
    let failures = LogRate::default();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let (stream, address) = listener.accept().await?;
            let permit = connection_permit(&permits, &handler.idle).await;
            Ok::<_, io::Error>((stream, address, permit))
        };
        let (stream, address, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(left_out) = failures.admit() {
                        tracing::warn!(%error, left_out, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            },
        };
        let (handler, phase) = (Arc::clone(&handler), phase.clone());
        tokio::spawn(async move {
            let _permit = permit;
            handler.serve(stream, address, phase).await;
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
        tracing::warn!("requests were still in flight at the end of the drain timeout");
    }
    phases.send_replace(Phase::Over);
}

/// What all connections share.
struct Handler {
    builder: auto::Builder<StreamExecutor>,
    timeouts: Timeouts,
    idle: IdleConnections,
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
        let pipeline = self.live.get().pipeline;
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
                    let takes = |_: &Arc<Api>| Api::takes(request.uri().path());
                    let Service { pipeline, api } = handler.live.get();
                    let api = api.filter(takes);
                    Ok::<_, Infallible>(match (trace::of_request(&request), api) {
                        (None, Some(api)) => Box::pin(answer_api(&api, request, busy)).await,
                        (None, None) => answer(&pipeline, request, peer, busy).await,
                        (Some(trace), Some(api)) => {
                            let work = answer_api(&api, request, busy);
                            Box::pin(traced(trace, work)).await
                        }
                        (Some(trace), None) => {
                            let work = answer(&pipeline, request, peer, busy);
                            Box::pin(traced(trace, work)).await
                        }
                    })
                }
            })
        };
        let mut connection = pin!(self.builder.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Ok(ended),
            () = activity.wait_for_eviction() => Err(EVICTION_GRACE),
            () = activity.wait_until_unused(within, &is_http2) => Err(IDLE_GRACE),
            () = tokio::time::sleep(self.timeouts.age) => Err(IDLE_GRACE),
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

/// Returns when a phase has begun.
async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // An error means that the server is gone.
    let _ = phases.wait_for(|now| *now >= phase).await;
}

/// A permit for a new connection. Where there is none left, idle connections are asked to close.
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

/// Answers a request, and records how.
async fn traced(
    trace: RequestTrace,
    work: impl Future<Output = Response<PacedBody>>,
) -> Response<PacedBody> {
    let answer = trace.follow(work).await;
    trace.end(answer.status().as_u16());
    answer
}

async fn answer(
    pipeline: &Arc<Pipeline>,
    request: Request<Incoming>,
    peer: Peer,
    busy: RequestGuard,
) -> Response<PacedBody> {
    let (head, _body) = request.into_parts();
    let mut place = Place::default();
    let mut answer = match Host::of(&head) {
        Err(error) => error.answer(head.version),
        Ok(_) if head.method == Method::OPTIONS => {
            response::options(pipeline.cors(), &head.headers)
        }
        Ok(_) => {
            let client = pipeline.clients.of_request(peer, &head.headers);
            match pipeline.clients.begin(client) {
                Ok(taken) => {
                    place = taken;
                    pipeline.respond(&head, client).await
                }
                Err(error) => pipeline.refuse(&head, error.into()),
            }
        }
    };
    pipeline.cors().apply(&head.headers, answer.headers_mut());
    paced(answer, head.version, busy.holding(place))
}

/// Answers a request of the API, whose body is read while it arrives.
async fn answer_api(
    api: &Api,
    request: Request<Incoming>,
    busy: RequestGuard,
) -> Response<PacedBody> {
    let (head, body) = request.into_parts();
    let version = head.version;
    let answer = match Host::of(&head) {
        Err(error) => error.answer(version),
        Ok(_) => api.respond(head, body).await,
    };
    paced(answer, version, busy)
}

fn paced(answer: Response<Body>, version: Version, busy: RequestGuard) -> Response<PacedBody> {
    streams::step();
    if version < Version::HTTP_2 {
        answer.map(|body| PacedBody::whole(body, busy))
    } else {
        answer.map(|body| PacedBody::of_stream(body, busy))
    }
}
