//! The span of a request that a client has sent.

use std::sync::Arc;

use hyper::Request;
use hyper::Version;
use hyper::header::HOST;
use hyper::http::uri::Authority;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::header;
use super::span::Span;
use super::task::{Trace, follow, method_name};
use super::tracer::{TRACER, Tracer};

/// The longest host that is recorded, in bytes.
const MAX_HOST: usize = 255;

/// The trace of a request that a client has sent.
pub(crate) struct RequestTrace {
    trace: Arc<Trace>,
    method: &'static str,
    span: Span,
}

/// Begins the trace of a request, or joins the one that it names. `None` where there are no traces.
#[inline]
pub(crate) fn of_request<B>(request: &Request<B>) -> Option<RequestTrace> {
    let tracer = TRACER.get()?;
    Some(RequestTrace::begin(tracer, request))
}

impl RequestTrace {
    fn begin<B>(tracer: &Tracer, request: &Request<B>) -> Self {
        let parent = match tracer.accepts_parent {
            true => header::parent(request.headers()),
            false => None,
        };
        let within = Context::new();
        let within = match parent {
            Some(parent) => within.with_remote_span_context(parent),
            None => within,
        };
        let method = method_name(request.method());
        let span = SpanBuilder::from_name(span_name(method))
            .with_kind(SpanKind::Server)
            .with_attributes(facts(method, request))
            .start_with_context(&tracer.tracer, &within);
        let trace = Trace::within(tracer.tracer.clone(), span.span_context().clone());
        RequestTrace {
            span: trace.open(span),
            trace,
            method,
        }
    }

    /// Does `work` as a part of it.
    pub(crate) fn follow<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        follow(Some(Arc::clone(&self.trace)), work)
    }

    /// Ends it with the status of the answer, and with what was noted on the way.
    pub(crate) fn end(mut self, status: u16) {
        let facts = self.trace.take_facts();
        let route = facts.iter().find(|fact| fact.key.as_str() == "http.route");
        if let Some(route) = route {
            let name = format!("{} {}", span_name(self.method), route.value);
            self.span.rename(name);
        }
        self.span.put(facts);
        self.span
            .set("http.response.status_code", i64::from(status));
        if status >= 500 {
            self.span.fail(status.to_string());
        }
    }
}

/// The first word of the name of a span, by OpenTelemetry's conventions.
fn span_name(method: &'static str) -> &'static str {
    match method {
        "_OTHER" => "HTTP",
        known => known,
    }
}

/// What the head of a request says, by OpenTelemetry's conventions for HTTP. Its path is noted later, without secrets.
fn facts<B>(method: &'static str, request: &Request<B>) -> Vec<KeyValue> {
    let version = match request.version() {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    let mut facts = vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("network.protocol.version", version),
    ];
    // A user and a password may stand before the host. Such a request is refused later.
    let authority = request.uri().authority().cloned();
    let Some(authority) = authority.or_else(|| authority_of_field(request)) else {
        return facts;
    };
    if authority.host().len() <= MAX_HOST {
        facts.push(KeyValue::new("server.address", authority.host().to_owned()));
    }
    if let Some(port) = authority.port_u16() {
        facts.push(KeyValue::new("server.port", i64::from(port)));
    }
    facts
}

fn authority_of_field<B>(request: &Request<B>) -> Option<Authority> {
    let host = request.headers().get(HOST)?;
    Authority::try_from(host.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::facts;

    #[test]
    fn a_host_is_recorded_without_port_and_password() {
        for (target, host, expected) in [
            ("/a", "h.test", ["h.test", ""]),
            ("/a", "h.test:8080", ["h.test", "8080"]),
            ("/a", "[::1]:8080", ["[::1]", "8080"]),
            ("/a", "user:hunter2@h.test:80", ["h.test", "80"]),
            ("http://user:hunter2@h.test/a", "x.test", ["h.test", ""]),
            ("/a", "h test", ["", ""]),
        ] {
            let request = Request::get(target).header("host", host).body(());
            let facts = facts("GET", &request.expect("a request"));
            let found = ["server.address", "server.port"].map(|name| {
                let found = facts.iter().find(|fact| fact.key.as_str() == name);
                found.map_or(String::new(), |fact| fact.value.to_string())
            });
            assert_eq!(found, expected, "{target} {host}");
        }
    }
}
