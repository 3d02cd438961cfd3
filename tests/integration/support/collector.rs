//! A collector of traces: a receiver of OTLP over HTTP.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Takes spans, or answers with another status than 200.
pub struct Collector {
    pub url: String,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

struct State {
    status: u16,
    messages: usize,
    headers: HeaderMap,
    target: String,
    resource: Vec<KeyValue>,
    spans: Vec<Span>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let state = Arc::new(Mutex::new(State {
            status: 200,
            messages: 0,
            headers: HeaderMap::new(),
            target: String::new(),
            resource: Vec::new(),
            spans: Vec::new(),
        }));
        let taking = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&taking);
                let service = service_fn(move |request| take(Arc::clone(&state), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Collector {
            url,
            state,
            accepting,
        }
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.lock().status = status;
    }

    /// All spans that were taken.
    pub fn spans(&self) -> Vec<Span> {
        self.lock().spans.clone()
    }

    /// How many messages came, taken or not.
    pub fn messages(&self) -> usize {
        self.lock().messages
    }

    /// The target and the header of the last message, and what it says of the server.
    pub fn last(&self) -> (String, HeaderMap, Vec<KeyValue>) {
        let state = self.lock();
        (
            state.target.clone(),
            state.headers.clone(),
            state.resource.clone(),
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn take(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    assert_eq!(head.headers[CONTENT_TYPE], "application/x-protobuf");
    let message = ExportTraceServiceRequest::decode(body).expect("a message of OTLP");
    let mut state = state.lock().expect("no panic");
    state.messages += 1;
    state.headers = head.headers;
    state.target = head.uri.to_string();
    if state.status == 200 {
        for group in message.resource_spans {
            state.resource = group.resource.map(|one| one.attributes).unwrap_or_default();
            let scopes = group.scope_spans.into_iter();
            state.spans.extend(scopes.flat_map(|scope| scope.spans));
        }
    }
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = state.status.try_into().expect("a status");
    Ok(answer)
}

/// An attribute as text.
pub fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|one| one.key == name)?;
    Some(match found.value.clone()?.value? {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::BoolValue(is_so) => is_so.to_string(),
        other => format!("{other:?}"),
    })
}

/// The names of the spans from the outermost to this one, as in `GET /cdn-cgi/image/ > source > fetch`.
pub fn path(spans: &[Span], span: &Span) -> String {
    let parent = spans.iter().find(|one| one.span_id == span.parent_span_id);
    match parent {
        Some(parent) => format!("{} > {}", path(spans, parent), span.name),
        None => span.name.clone(),
    }
}
