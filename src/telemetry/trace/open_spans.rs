//! The spans that are open in one task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::trace::SpanContext;

/// The spans that are open in one task, the innermost last. The first is that which the task works for.
pub(super) struct OpenSpans(Mutex<Vec<SpanContext>>);

impl OpenSpans {
    pub(super) fn within(parent: SpanContext) -> Arc<Self> {
        Arc::new(OpenSpans(Mutex::new(vec![parent])))
    }

    pub(super) fn innermost(&self) -> SpanContext {
        let last = self.lock().last().cloned();
        last.unwrap_or_else(SpanContext::empty_context)
    }

    pub(super) fn open(&self, span: SpanContext) {
        self.lock().push(span);
    }

    /// Takes a span out. It need not be the innermost: a future that is dropped ends its spans in any order.
    pub(super) fn close(&self, span: &SpanContext) {
        let mut open = self.lock();
        let id = span.span_id();
        if let Some(at) = open.iter().rposition(|one| one.span_id() == id) {
            open.remove(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SpanContext>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
