//! Sockets: takes connections, gives each request to the pipeline, and stops without breaking anything off. It never looks into a
//! request beyond its path.

mod descriptors;
mod host;
mod opening;
mod router;
mod stall;
mod streams;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
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
use hyper_util::server::graceful::GracefulShutdown;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::pipeline::Pipeline;
use crate::request::Prefixes;
use crate::response;
use crate::telemetry::LogRate;
use crate::units::Seconds;

use opening::Opening;
use router::Route;
use streams::Pieces;
use streams::Streams;

pub use host::Host;
pub use host::HostFault;
pub use stall::Writing;

/// Section `[server]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where pictures are served, HTTP/1.1 and h2c alike.
    pub listen: SocketAddr,
    /// Paths that transformation URLs begin with.
    pub prefixes: Prefixes,
    /// Connections open at once, where the system lets as many files be open; more wait.
    pub connections: usize,
    /// The longest head of a request, in bytes; at least 8192.
    pub head_bytes: usize,
    /// The longest that the head of a request may take to arrive, and that a connection may sit idle.
    pub head_timeout: Seconds,
    /// The longest that a request may take, from its head to the head of its answer.
    pub request_timeout: Seconds,
    /// The longest that a client may take nothing, or next to nothing, of an answer.
    pub write_timeout: Seconds,
    /// The longest that requests may take to end after SIGTERM.
    pub drain_timeout: Seconds,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            prefixes: Prefixes::default(),
            connections: 10_000,
            head_bytes: 64 << 10,
            head_timeout: Seconds::new(15),
            request_timeout: Seconds::new(60),
            write_timeout: Seconds::new(20),
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
const STREAMS: u32 = 200;
/// How long to wait after an error of the listener itself: out of file descriptors, most likely.
const BREATH: Duration = Duration::from_millis(50);

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
    let connections = Arc::new(Semaphore::new(
        config.connections.clamp(1, Semaphore::MAX_PERMITS),
    ));
    let builder = builder(config);
    let draining = GracefulShutdown::new();
    let (cut, is_cut) = watch::channel(());
    let failures = LogRate::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let place = Arc::clone(&connections)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(left_out) = failures.admit() {
                        tracing::warn!(%error, left_out, "a connection could not be taken");
                    }
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            },
        };
        // Head and body of an answer are two packets; the second must not wait for the first's acknowledgement.
        let _ = stream.set_nodelay(true);
        let held = pipeline.metrics().connection();
        let pipeline = Arc::clone(&pipeline);
        let service = service_fn(move |request| {
            let pipeline = Arc::clone(&pipeline);
            async move { Ok::<_, Infallible>(answer(&pipeline, request).await) }
        });
        let stream = Writing::new(stream, config.write_timeout.duration());
        let stream = Opening::new(stream, config.head_timeout.duration());
        let connection = builder.serve_connection(stream, service).into_owned();
        let connection = draining.watch(connection);
        let mut is_cut = is_cut.clone();
        tokio::spawn(async move {
            let _held = (place, held);
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                },
                // An error, which says that nobody waits for it any more.
                _ = is_cut.changed() => {}
            }
        });
    }
    drop(listener);
    tracing::info!("draining");
    if tokio::time::timeout(config.drain_timeout.duration(), draining.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still in flight when the drain timeout ended");
    }
    drop(cut);
}

fn builder(config: &Config) -> auto::Builder<Streams> {
    const LEAST_HEAD: usize = 8 << 10;
    let mut builder = auto::Builder::new(Streams {
        within: config.write_timeout.duration(),
    });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout.duration())
        // The buffer that told the versions apart does not say that it passes on several slices at once, and every body would be copied.
        .writev(true)
        .max_buf_size(config.head_bytes.max(LEAST_HEAD));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(config.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(config.head_timeout.duration())
        .keep_alive_timeout(config.head_timeout.duration());
    builder
}

async fn answer(pipeline: &Arc<Pipeline>, request: Request<Incoming>) -> Response<Pieces> {
    let (head, _body) = request.into_parts();
    let answer = match Host::of(&head) {
        Err(fault) => fault.answer(head.version),
        Ok(_) => match Route::of(pipeline, head.uri.path()) {
            Route::Image => pipeline.respond(&head).await,
            Route::Nothing => {
                response::text(StatusCode::NOT_FOUND, "nothing is served at this path\n")
            }
        },
    };
    streams::step();
    if head.version < Version::HTTP_2 {
        answer.map(Pieces::whole)
    } else {
        answer.map(Pieces::of_stream)
    }
}
