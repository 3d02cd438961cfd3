//! The trace that a task works for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::Either;
use hyper::HeaderMap;
use hyper::Method;
use opentelemetry::trace::{Link, Span as _, SpanBuilder, SpanContext, SpanKind, TraceContextExt};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};
use url::Url;

use super::header;
use super::open_spans::OpenSpans;
use super::span::{Span, Step};
use super::tracer::{TRACER, count_made};
use crate::telemetry::{redacted, shortened};

tokio::task_local! {
    static TRACE: Arc<Trace>;
}

/// The trace of a task, with its spans that are open.
pub(crate) struct Trace {
    tracer: SdkTracer,
    open: Arc<OpenSpans>,
    /// What is learnt about the request on the way.
    facts: Mutex<Vec<KeyValue>>,
}

/// A span that something was started for.
#[derive(Clone)]
pub(crate) struct SpanPlace(SpanContext);

impl Trace {
    pub(super) fn within(tracer: SdkTracer, parent: SpanContext) -> Arc<Self> {
        Arc::new(Trace {
            tracer,
            open: OpenSpans::within(parent),
            facts: Mutex::default(),
        })
    }

    /// A span that becomes the innermost one, unless it is not recorded.
    pub(super) fn open(&self, span: SdkSpan) -> Span {
        match span.is_recording() {
            true => Span::open(span, Arc::clone(&self.open)),
            false => Span::default(),
        }
    }

    /// Starts a span within the innermost one. `None` where the trace is not recorded.
    fn start(&self, builder: SpanBuilder) -> Option<SdkSpan> {
        let parent = self.open.innermost();
        let within = |parent| Context::new().with_remote_span_context(parent);
        let is_recorded = parent.is_sampled();
        is_recorded.then(|| builder.start_with_context(&self.tracer, &within(parent)))
    }

    fn step(&self, builder: SpanBuilder) -> Span {
        let span = self.start(builder);
        span.map_or_else(Span::default, |span| self.open(span))
    }

    pub(super) fn take_facts(&self) -> Vec<KeyValue> {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *facts)
    }
}

/// The trace that the current task works for.
#[inline]
fn current() -> Option<Arc<Trace>> {
    TRACER.get()?;
    TRACE.try_with(Arc::clone).ok()
}

/// Opens the span of a step.
#[inline]
pub(crate) fn step(step: Step) -> Span {
    match current() {
        Some(trace) => trace.step(SpanBuilder::from_name(step.word())),
        None => Span::default(),
    }
}

/// Opens the span of a wait for work that was started for another request.
pub(crate) fn wait(starter: Option<&SpanPlace>) -> Span {
    let Some(trace) = current() else {
        return Span::default();
    };
    let links = starter.map(|SpanPlace(context)| Link::with_context(context.clone()));
    let builder = SpanBuilder::from_name(Step::Wait.word());
    trace.step(builder.with_links(links.into_iter().collect()))
}

/// Opens the span of a request to another server, and names it in the header of that request.
pub(crate) fn call(method: &Method, url: impl FnOnce() -> String, headers: &mut HeaderMap) -> Span {
    let Some(trace) = current() else {
        return Span::default();
    };
    let url = url();
    let name = method_name(method);
    let mut facts = vec![KeyValue::new("http.request.method", name), url_fact(&url)];
    if let Ok(url) = Url::parse(&url) {
        let host = url.host_str().unwrap_or_default().to_owned();
        facts.push(KeyValue::new("server.address", host));
        let port = url.port_or_known_default().unwrap_or_default();
        facts.push(KeyValue::new("server.port", i64::from(port)));
    }
    let builder = SpanBuilder::from_name(name)
        .with_kind(SpanKind::Client)
        .with_attributes(facts);
    let span = trace.step(builder);
    // A trace that is not recorded is passed on as well: the next server must not begin another one.
    header::put(trace.open.innermost(), headers);
    span
}

/// What is said of the URL of a request to another server.
fn url_fact(url: &str) -> KeyValue {
    KeyValue::new("url.full", shortened(&redacted(url)).into_owned())
}

/// Records a step that is over.
pub(crate) fn record(step: Step, started: Instant, took: Duration) {
    let Some(trace) = current() else { return };
    let Some(started) = SystemTime::now().checked_sub(started.elapsed()) else {
        return;
    };
    let builder = SpanBuilder::from_name(step.word()).with_start_time(started);
    if let Some(mut span) = trace.start(builder) {
        span.end_with_timestamp(started + took);
        count_made();
    }
}

/// Adds a fact to the span of the request.
pub(crate) fn note(name: &'static str, value: impl Into<Value>) {
    if let Some(trace) = current() {
        let mut facts = trace.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.push(KeyValue::new(name, value));
    }
}

/// Whether what happens now is recorded.
#[inline]
pub(crate) fn is_recorded() -> bool {
    current().is_some_and(|trace| trace.open.innermost().is_sampled())
}

/// The innermost span of the current task, for those who wait for what it starts.
pub(crate) fn place() -> Option<SpanPlace> {
    let context = current()?.open.innermost();
    context.is_sampled().then_some(SpanPlace(context))
}

/// A trace for another task, which works for the innermost span of this one.
pub(crate) fn fork() -> Option<Arc<Trace>> {
    let trace = current()?;
    Some(Trace::within(trace.tracer.clone(), trace.open.innermost()))
}

/// Does `work` as a part of a trace, if there is one.
pub(crate) fn follow<F: Future>(
    trace: Option<Arc<Trace>>,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    // As an `async fn` it would hold `work` three times.
    match trace {
        Some(trace) => Either::Left(TRACE.scope(trace, work)),
        None => Either::Right(work),
    }
}

/// The name of a method. Clients can send any word, so unknown ones have one name together.
pub(super) fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::url_fact;

    #[test]
    fn a_long_url_is_recorded_in_part() {
        let fact = url_fact(&format!("http://h.test/{}", "a".repeat(60_000)));
        let text = fact.value.to_string();
        assert!(text.starts_with("http://h.test/aaa"), "{text}");
        assert!(text.ends_with("… (60014 bytes)"), "{text}");
        assert!(text.len() < 2100, "{}", text.len());
        let fact = url_fact("http://h.test/a?key=hunter2");
        assert!(!fact.value.to_string().contains("hunter2"));
    }
}
