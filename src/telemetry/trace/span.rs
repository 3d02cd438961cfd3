//! One span, which ends when it is dropped.

use std::sync::Arc;

use opentelemetry::trace::{Span as _, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::Span as SdkSpan;

use super::open_spans::OpenSpans;
use super::tracer::count_made;

/// The steps of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The request is read.
    Parse,
    /// It is judged, and what it means is decided.
    Approve,
    /// The state of its source is found.
    Source,
    /// The source is fetched.
    Fetch,
    /// The picture is looked for in a tier.
    Lookup,
    /// The work of another request is waited for.
    Wait,
    /// The picture is made, from its source to the cache.
    Render,
    /// The header of the source is read.
    Open,
    /// The pixels are made and encoded.
    Transform,
    /// A worker is waited for.
    Queue,
    /// The source is decoded.
    Decode,
    /// The picture is resized, with all that changes its pixels.
    Resize,
    /// The picture is encoded.
    Encode,
    /// Something is put into the cache.
    Store,
}

impl Step {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Step::Parse => "parse",
            Step::Approve => "approve",
            Step::Source => "source",
            Step::Fetch => "fetch",
            Step::Lookup => "lookup",
            Step::Wait => "wait",
            Step::Render => "render",
            Step::Open => "open",
            Step::Transform => "transform",
            Step::Queue => "queue",
            Step::Decode => "decode",
            Step::Resize => "resize",
            Step::Encode => "encode",
            Step::Store => "store",
        }
    }
}

/// A span that is recorded until it is dropped; or nothing, where there is no trace or it is not recorded.
#[must_use = "a span ends when it is dropped"]
#[derive(Default)]
pub(crate) struct Span(Option<Box<OpenSpan>>);

struct OpenSpan {
    span: SdkSpan,
    task: Arc<OpenSpans>,
}

impl Span {
    /// A span that is the innermost of its task from now on.
    pub(super) fn open(span: SdkSpan, task: Arc<OpenSpans>) -> Self {
        task.open(span.span_context().clone());
        Span(Some(Box::new(OpenSpan { span, task })))
    }

    /// Sets an attribute.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Sets the status of the answer to a request to another server.
    pub(crate) fn set_answer(&mut self, status: u16) {
        self.set("http.response.status_code", i64::from(status));
        if status >= 400 {
            self.fail(status.to_string());
        }
    }

    /// Marks it as failed, for a reason of which there are few.
    pub(crate) fn fail(&mut self, reason: impl Into<Value>) {
        self.set("error.type", reason);
        if let Some(open) = &mut self.0 {
            open.span.set_status(Status::error(""));
        }
    }

    pub(super) fn put(&mut self, facts: Vec<KeyValue>) {
        if let Some(open) = &mut self.0 {
            open.span.set_attributes(facts);
        }
    }

    pub(super) fn rename(&mut self, name: String) {
        if let Some(open) = &mut self.0 {
            open.span.update_name(name);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.task.close(self.span.span_context());
        self.span.end();
        count_made();
    }
}
