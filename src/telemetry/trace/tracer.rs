//! What makes the spans of this process, and what became of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_sdk::trace::SdkTracer;

/// Makes the spans of this process, where there are any.
pub(super) static TRACER: OnceLock<Tracer> = OnceLock::new();

static MADE: AtomicU64 = AtomicU64::new(0);
static SENT: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Makes spans.
pub(super) struct Tracer {
    pub tracer: SdkTracer,
    /// Whether a request may name its trace.
    pub accepts_parent: bool,
}

/// What became of the spans of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanCounts {
    /// All that have ended.
    pub made: u64,
    /// Those that the collector took.
    pub sent: u64,
    /// Those that it did not take.
    pub failed: u64,
}

/// What became of the spans of this process. `None` where there are no traces.
pub(crate) fn counts() -> Option<SpanCounts> {
    TRACER.get().map(|_| SpanCounts {
        made: MADE.load(Ordering::Relaxed),
        sent: SENT.load(Ordering::Relaxed),
        failed: FAILED.load(Ordering::Relaxed),
    })
}

/// Counts a span that has ended.
pub(super) fn count_made() {
    MADE.fetch_add(1, Ordering::Relaxed);
}

/// Counts spans that the collector took, or did not take.
pub(super) fn count_batch(spans: usize, is_sent: bool) {
    let counter = if is_sent { &SENT } else { &FAILED };
    counter.fetch_add(spans as u64, Ordering::Relaxed);
}
