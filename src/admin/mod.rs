//! The operator's listener, on an address of its own: is it alive, is it ready, what are its numbers. It changes nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::pipeline::Pipeline;
use crate::response;
use crate::response::Body;

/// Section `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where `/healthz`, `/readyz` and `/metrics` are served. Never let strangers reach it.
    pub listen: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
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
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, pipeline: Arc<Pipeline>, readiness: Readiness) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (pipeline, readiness) = (Arc::clone(&pipeline), readiness.clone());
        let service = service_fn(move |request| {
            let response = answer(&request, &pipeline, &readiness);
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an admin connection ended early");
            }
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    pipeline: &Pipeline,
    readiness: &Readiness,
) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response::text(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET\n");
    }
    match request.uri().path() {
        "/healthz" => response::text(StatusCode::OK, "alive\n"),
        "/readyz" if readiness.get() => response::text(StatusCode::OK, "ready\n"),
        "/readyz" => response::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: starting or draining\n",
        ),
        "/metrics" => {
            let mut response = response::text(StatusCode::OK, pipeline.metrics_text());
            response.headers_mut().insert(CONTENT_TYPE, METRICS_TYPE);
            response
        }
        _ => response::text(
            StatusCode::NOT_FOUND,
            "there are /healthz, /readyz and /metrics\n",
        ),
    }
}
