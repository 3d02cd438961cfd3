//! Metrics of traces.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::registrar::{Labels, Registrar, set};

/// The metrics of traces.
pub struct TraceMetrics {
    spans: Family<Labels<1>, Gauge>,
}

impl TraceMetrics {
    pub(super) fn new(names: &mut Registrar<'_>) -> Self {
        TraceMetrics {
            spans: names.add(
                "trace_spans",
                "Spans since the start, by what became of them",
                Family::default(),
            ),
        }
    }

    /// Sets how many spans there have been.
    pub fn set_spans(&self, event: &'static str, count: u64) {
        set(&self.spans.get_or_create(&[("event", event)]), count);
    }
}
