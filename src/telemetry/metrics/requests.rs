//! Metrics of requests, answers and connections.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::registrar::{Labels, Registrar, seconds, set};

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestOutcome {
    Memory,
    Disk,
    Shared,
    Miss,
    Coalesced,
    NotModified,
    PreconditionFailed,
    Original,
    Api,
    Error,
}

impl RequestOutcome {
    /// The word in labels and log lines.
    pub const fn word(self) -> &'static str {
        match self {
            RequestOutcome::Memory => "memory",
            RequestOutcome::Disk => "disk",
            RequestOutcome::Shared => "shared",
            RequestOutcome::Miss => "miss",
            RequestOutcome::Coalesced => "coalesced",
            RequestOutcome::NotModified => "not-modified",
            RequestOutcome::PreconditionFailed => "precondition-failed",
            RequestOutcome::Original => "original",
            RequestOutcome::Api => "api",
            RequestOutcome::Error => "error",
        }
    }
}

/// The status and outcome of most answers.
const COMMON: [(u16, RequestOutcome); 3] = [
    (200, RequestOutcome::Memory),
    (200, RequestOutcome::Disk),
    (304, RequestOutcome::NotModified),
];

/// The metrics of the requests of one server.
pub struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<Labels<1>, Histogram>,
    /// The two metrics above for each of [`COMMON`], looked up once.
    common: [OnceLock<(Counter, Histogram)>; COMMON.len()],
    errors: Family<Labels<1>, Counter>,
    flows: Family<FlowLabels, Counter>,
    in_flight: Gauge,
    connections: Gauge,
    refused_connections: Counter,
    remembered: Gauge,
    remembered_bytes: Gauge,
}

impl RequestMetrics {
    pub(super) fn new(names: &mut Registrar<'_>) -> Self {
        RequestMetrics {
            requests: names.add(
                "requests",
                "Requests, by status and by where the answer came from",
                Family::default(),
            ),
            request_seconds: names.add_in(
                Unit::Seconds,
                "request",
                "Time from the head of a request to the head of its answer",
                Family::new_with_constructor(seconds),
            ),
            common: Default::default(),
            errors: names.add(
                "errors",
                "Requests that ended with an error, by its code",
                Family::default(),
            ),
            flows: names.add(
                "flow_requests",
                "Requests that a flow took, by its first glob and by what was sent",
                Family::default(),
            ),
            in_flight: names.add(
                "requests_in_flight",
                "Requests being answered now",
                Gauge::default(),
            ),
            connections: names.add("connections", "Connections open now", Gauge::default()),
            refused_connections: names.add(
                "connections_refused",
                "Connections of clients that have too many, or that no trusted proxy has made",
                Counter::default(),
            ),
            remembered: names.add(
                "requests_remembered",
                "Parsed requests that are remembered",
                Gauge::default(),
            ),
            remembered_bytes: names.add_in(
                Unit::Bytes,
                "requests_remembered",
                "Bytes of the parsed requests that are remembered",
                Gauge::default(),
            ),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    status: u16,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FlowLabels {
    flow: Arc<str>,
    result: &'static str,
}

impl RequestMetrics {
    /// Counts a request and its time.
    pub fn record(&self, status: u16, outcome: RequestOutcome, time: Duration) {
        let labels = RequestLabels {
            status,
            outcome: outcome.word(),
        };
        let counts = |labels: &RequestLabels| {
            let seconds = [("outcome", labels.outcome)];
            (
                self.requests.get_or_create_owned(labels),
                self.request_seconds.get_or_create_owned(&seconds),
            )
        };
        let place = COMMON
            .iter()
            .position(|&common| common == (status, outcome));
        let found;
        let (count, seconds) = match place {
            Some(place) => self.common[place].get_or_init(|| counts(&labels)),
            None => {
                found = counts(&labels);
                &found
            }
        };
        count.inc();
        seconds.observe(time.as_secs_f64());
    }

    /// Counts a request that ended with an error.
    pub fn record_error(&self, code: &'static str) {
        self.errors.get_or_create(&[("code", code)]).inc();
    }

    /// Counts a request that a flow took, by its name in the settings.
    pub fn record_flow(&self, flow: &Arc<str>, result: &'static str) {
        let labels = FlowLabels {
            flow: Arc::clone(flow),
            result,
        };
        self.flows.get_or_create_owned(&labels).inc();
    }

    /// Counts a request in flight until the guard is dropped.
    pub fn count_request(&self) -> GaugeGuard {
        GaugeGuard::new(&self.in_flight)
    }

    /// Counts an open connection until the guard is dropped.
    pub fn count_connection(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections)
    }

    /// Counts a connection that was closed before its first request.
    pub fn record_refused_connection(&self) {
        self.refused_connections.inc();
    }

    /// Sets how many parsed requests are remembered, and their bytes.
    pub fn set_remembered(&self, entries: u64, bytes: u64) {
        set(&self.remembered, entries);
        set(&self.remembered_bytes, bytes);
    }
}

/// Adds one to a gauge until it is dropped.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        GaugeGuard(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
