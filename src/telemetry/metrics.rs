//! Every metric's name and labels, written once.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

/// Numbers of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<OutcomeLabels, Histogram>,
    /// The two above for each of [`OFTEN`], looked up once.
    often: [OnceLock<(Counter, Histogram)>; OFTEN.len()],
    errors: Family<CodeLabels, Counter>,
    source_fetches: Family<FetchLabels, Counter>,
    source_bytes: Counter,
    renders: Family<FormatLabels, Counter>,
    render_seconds: Family<StepLabels, Histogram>,
    cpu_jobs: Family<LaneLabels, Gauge>,
    cpu_refusals: Family<ReasonLabels, Counter>,
    cpu_reserved: Gauge,
    cpu_ratio: Family<FormatLabels, Histogram>,
    interim: Counter,
    stale: Family<ReasonLabels, Counter>,
    derivatives: Family<FetchLabels, Counter>,
    large_sources: Family<BasisLabels, Counter>,
    upgrades: Family<FetchLabels, Counter>,
    prepared: Family<FetchLabels, Counter>,
    purges: Family<PurgeLabels, Counter>,
    in_flight: Gauge,
    connections: Gauge,
    remembered: Gauge,
    remembered_bytes: Gauge,
    cache_bytes: Family<StoreLabels, Gauge>,
    cache_entries: Family<StoreLabels, Gauge>,
    cache_events: Family<EventLabels, Gauge<u64, AtomicU64>>,
    cache_off: Family<TroubleLabels, Gauge>,
    shared_events: Family<SharedLabels, Gauge<u64, AtomicU64>>,
    shared_failing: Family<DirectionLabels, Gauge>,
    shared_waiting: Gauge,
    shared_waiting_bytes: Gauge,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Memory,
    Disk,
    Shared,
    Miss,
    Coalesced,
    NotModified,
    PreconditionFailed,
    Error,
}

impl Outcome {
    /// The word for labels and log lines.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Memory => "memory",
            Outcome::Disk => "disk",
            Outcome::Shared => "shared",
            Outcome::Miss => "miss",
            Outcome::Coalesced => "coalesced",
            Outcome::NotModified => "not-modified",
            Outcome::PreconditionFailed => "precondition-failed",
            Outcome::Error => "error",
        }
    }
}

/// What most answers are, by status and outcome.
const OFTEN: [(u16, Outcome); 3] = [
    (200, Outcome::Memory),
    (200, Outcome::Disk),
    (304, Outcome::NotModified),
];

/// The steps of a render.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenderStep {
    Decode,
    Resize,
    Encode,
}

impl RenderStep {
    const fn word(self) -> &'static str {
        match self {
            RenderStep::Decode => "decode",
            RenderStep::Resize => "resize",
            RenderStep::Encode => "encode",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    status: u16,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FormatLabels {
    format: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BasisLabels {
    decoded: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PurgeLabels {
    target: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    tier: &'static str,
    store: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    store: &'static str,
    event: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TroubleLabels {
    store: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SharedLabels {
    event: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    direction: &'static str,
}

/// From a memory hit to a large AVIF, in seconds.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// From a tenth of an estimate to eight times of it.
const RATIOS: [f64; 9] = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0];

fn ratios() -> Histogram {
    Histogram::new(RATIOS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("safelight");
        let metrics = Metrics {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(histogram),
            often: Default::default(),
            errors: Family::default(),
            source_fetches: Family::default(),
            source_bytes: Counter::default(),
            renders: Family::default(),
            render_seconds: Family::new_with_constructor(histogram),
            cpu_jobs: Family::default(),
            cpu_refusals: Family::default(),
            cpu_reserved: Gauge::default(),
            cpu_ratio: Family::new_with_constructor(ratios),
            interim: Counter::default(),
            stale: Family::default(),
            derivatives: Family::default(),
            large_sources: Family::default(),
            upgrades: Family::default(),
            prepared: Family::default(),
            purges: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            remembered: Gauge::default(),
            remembered_bytes: Gauge::default(),
            cache_bytes: Family::default(),
            cache_entries: Family::default(),
            cache_events: Family::default(),
            cache_off: Family::default(),
            shared_events: Family::default(),
            shared_failing: Family::default(),
            shared_waiting: Gauge::default(),
            shared_waiting_bytes: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "requests",
            "Requests for pictures, by status and by where the answer came from",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request",
            "Time from the head of a request to the head of its answer",
            Unit::Seconds,
            metrics.request_seconds.clone(),
        );
        registry.register(
            "errors",
            "Requests without a picture, by the word of the error",
            metrics.errors.clone(),
        );
        registry.register(
            "source_fetches",
            "Questions to origins, by their result",
            metrics.source_fetches.clone(),
        );
        registry.register_with_unit(
            "source",
            "Bytes fetched from origins",
            Unit::Bytes,
            metrics.source_bytes.clone(),
        );
        registry.register(
            "renders",
            "Pictures made, by format",
            metrics.renders.clone(),
        );
        registry.register_with_unit(
            "render",
            "Time spent making pictures, by step",
            Unit::Seconds,
            metrics.render_seconds.clone(),
        );
        registry.register(
            "cpu_jobs",
            "Transformations now, by lane, and by whether they wait or run",
            metrics.cpu_jobs.clone(),
        );
        registry.register(
            "cpu_refusals",
            "Transformations that were not taken up, by what there was too little of",
            metrics.cpu_refusals.clone(),
        );
        registry.register_with_unit(
            "cpu_reserved",
            "Bytes that running transformations may hold, by their estimates",
            Unit::Bytes,
            metrics.cpu_reserved.clone(),
        );
        registry.register(
            "cpu_used_per_estimate",
            "Processor time of transformations, as a multiple of its estimate, by format",
            metrics.cpu_ratio.clone(),
        );
        registry.register(
            "interim_answers",
            "Pictures answered in a form that a smaller one will take the place of",
            metrics.interim.clone(),
        );
        registry.register(
            "stale_answers",
            "Pictures whose source was used although it was not fresh, by the reason",
            metrics.stale.clone(),
        );
        registry.register(
            "derivatives",
            "Smaller copies of large sources that were to be made, by the result",
            metrics.derivatives.clone(),
        );
        registry.register(
            "large_sources",
            "Pictures begun that a smaller copy of their source serves, by what was decoded",
            metrics.large_sources.clone(),
        );
        registry.register(
            "upgrades",
            "Interim pictures whose place was to be taken, by the result",
            metrics.upgrades.clone(),
        );
        registry.register(
            "prepared",
            "Pictures that were to be there before anybody asks, by the result",
            metrics.prepared.clone(),
        );
        registry.register(
            "purges",
            "What operators purged, by what it was named by and by whether it is gone or stale",
            metrics.purges.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests being answered now",
            metrics.in_flight.clone(),
        );
        registry.register(
            "connections",
            "Connections open now",
            metrics.connections.clone(),
        );
        registry.register(
            "requests_remembered",
            "Requests whose meaning is remembered",
            metrics.remembered.clone(),
        );
        registry.register_with_unit(
            "requests_remembered",
            "Bytes that this takes",
            Unit::Bytes,
            metrics.remembered_bytes.clone(),
        );
        registry.register_with_unit(
            "cache",
            "Bytes kept, by tier and store",
            Unit::Bytes,
            metrics.cache_bytes.clone(),
        );
        registry.register(
            "cache_entries",
            "Entries kept, by tier and store",
            metrics.cache_entries.clone(),
        );
        registry.register(
            "cache_disk_events",
            "What happened to disk stores since the start",
            metrics.cache_events.clone(),
        );
        registry.register(
            "cache_disk_off",
            "1 for a disk store that is not in use, by the reason",
            metrics.cache_off.clone(),
        );
        registry.register(
            "cache_shared_events",
            "What happened to the shared cache since the start",
            metrics.shared_events.clone(),
        );
        registry.register(
            "cache_shared_failing",
            "1 where the shared cache fails, and is done without",
            metrics.shared_failing.clone(),
        );
        registry.register(
            "cache_shared_waiting",
            "Entries to be written to the shared cache",
            metrics.shared_waiting.clone(),
        );
        registry.register_with_unit(
            "cache_shared_waiting",
            "Bytes to be written to the shared cache",
            Unit::Bytes,
            metrics.shared_waiting_bytes.clone(),
        );
        Metrics {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// A request was answered.
    pub fn answered(&self, status: u16, outcome: Outcome, time: Duration) {
        let labels = RequestLabels {
            status,
            outcome: outcome.word(),
        };
        let counts = |labels: &RequestLabels| {
            let seconds = OutcomeLabels {
                outcome: labels.outcome,
            };
            (
                self.requests.get_or_create_owned(labels),
                self.request_seconds.get_or_create_owned(&seconds),
            )
        };
        let place = OFTEN.iter().position(|&often| often == (status, outcome));
        let found;
        let (count, seconds) = match place {
            Some(place) => self.often[place].get_or_init(|| counts(&labels)),
            None => {
                found = counts(&labels);
                &found
            }
        };
        count.inc();
        seconds.observe(time.as_secs_f64());
    }

    /// Requests whose meaning is remembered now, and the bytes that this takes.
    pub fn set_remembered(&self, entries: u64, bytes: u64) {
        self.remembered
            .set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.remembered_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A request ended without a picture.
    pub fn failed(&self, code: &'static str) {
        self.errors.get_or_create(&CodeLabels { code }).inc();
    }

    /// An origin was asked; `result` is `fetched`, `not-modified` or the word of an error.
    pub fn fetched(&self, result: &'static str, bytes: u64) {
        self.source_fetches
            .get_or_create(&FetchLabels { result })
            .inc();
        self.source_bytes.inc_by(bytes);
    }

    /// A picture was made.
    pub fn rendered(&self, format: &'static str, steps: [(RenderStep, Duration); 3]) {
        self.renders.get_or_create(&FormatLabels { format }).inc();
        for (step, time) in steps {
            self.render_seconds
                .get_or_create(&StepLabels { step: step.word() })
                .observe(time.as_secs_f64());
        }
    }

    /// Transformations of a lane now.
    pub fn set_cpu_jobs(&self, lane: &'static str, waiting: usize, running: usize) {
        for (state, jobs) in [("waiting", waiting), ("running", running)] {
            self.cpu_jobs
                .get_or_create(&LaneLabels { lane, state })
                .set(i64::try_from(jobs).unwrap_or(i64::MAX));
        }
    }

    /// Bytes that running transformations may hold.
    pub fn set_cpu_reserved(&self, bytes: u64) {
        self.cpu_reserved
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A picture was answered that a smaller one will take the place of.
    pub fn interim(&self) {
        self.interim.inc();
    }

    /// A source was used although it was not fresh; `reason` is `revalidating` or `origin-failed`.
    pub fn stale(&self, reason: &'static str) {
        self.stale.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A smaller copy of a large source was to be made; `result` is `made`, `failed` or `skipped`.
    pub fn derived(&self, result: &'static str) {
        self.derivatives
            .get_or_create(&FetchLabels { result })
            .inc();
    }

    /// A picture is made that a smaller copy of its source would serve; `decoded` is `source` or `derivative`.
    pub fn large_source(&self, decoded: &'static str) {
        self.large_sources
            .get_or_create(&BasisLabels { decoded })
            .inc();
    }

    /// The place of an interim picture was to be taken; `result` is `made`, `failed` or `skipped`.
    pub fn upgraded(&self, result: &'static str) {
        self.upgrades.get_or_create(&FetchLabels { result }).inc();
    }

    /// A picture was to be there before anybody asks; `result` is `made`, `kept`, `unstorable` or `failed`.
    pub fn prepared(&self, result: &'static str) {
        self.prepared.get_or_create(&FetchLabels { result }).inc();
    }

    /// Something was purged; `target` is what it was named by.
    pub fn purged(&self, target: &'static str, soft: bool) {
        let kind = if soft { "soft" } else { "hard" };
        self.purges
            .get_or_create(&PurgeLabels { target, kind })
            .inc();
    }

    /// A transformation was not taken up.
    pub fn refused(&self, reason: &'static str) {
        self.cpu_refusals
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// A transformation took so much of the processor, and was thought to take so much.
    pub fn spent(&self, format: &'static str, used: Duration, estimate: Duration) {
        self.cpu_ratio
            .get_or_create(&FormatLabels { format })
            .observe(used.as_secs_f64() / estimate.as_secs_f64().max(1e-6));
    }

    /// What one store holds now.
    pub fn set_cache(&self, tier: &'static str, store: &'static str, entries: u64, bytes: u64) {
        let labels = StoreLabels { tier, store };
        self.cache_entries
            .get_or_create(&labels)
            .set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.cache_bytes
            .get_or_create(&labels)
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// How often something has happened to a disk store.
    pub fn set_cache_events(&self, store: &'static str, event: &'static str, count: u64) {
        self.cache_events
            .get_or_create(&EventLabels { store, event })
            .set(count);
    }

    /// Whether a disk store is not in use for this reason.
    pub fn set_cache_off(&self, store: &'static str, reason: &'static str, is_off: bool) {
        self.cache_off
            .get_or_create(&TroubleLabels { store, reason })
            .set(i64::from(is_off));
    }

    /// How often something has happened to the shared cache.
    pub fn set_shared_events(&self, event: &'static str, count: u64) {
        self.shared_events
            .get_or_create(&SharedLabels { event })
            .set(count);
    }

    /// Whether the shared cache fails; `direction` is `read`, `write` or `purges`.
    pub fn set_shared_failing(&self, direction: &'static str, is_failing: bool) {
        self.shared_failing
            .get_or_create(&DirectionLabels { direction })
            .set(is_failing.into());
    }

    /// What is to be written to the shared cache.
    pub fn set_shared_waiting(&self, entries: u64, bytes: u64) {
        self.shared_waiting
            .set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.shared_waiting_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts a request as being answered until the guard is dropped.
    pub fn request_in_flight(&self) -> Held {
        Held::new(&self.in_flight)
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection(&self) -> Held {
        Held::new(&self.connections)
    }

    /// All of it, in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a string does not fail");
        out
    }
}

/// One more, for as long as it lives.
#[derive(Debug)]
pub struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Held(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Metrics;
    use super::Outcome;

    #[test]
    fn numbers_are_told_under_their_names() {
        let metrics = Metrics::default();
        metrics.answered(200, Outcome::Memory, Duration::from_millis(2));
        metrics.fetched("fetched", 17);
        let connection = metrics.connection();
        let text = metrics.text();
        for line in [
            "safelight_requests_total{status=\"200\",outcome=\"memory\"} 1",
            "safelight_request_seconds_count{outcome=\"memory\"} 1",
            "safelight_source_bytes_total 17",
            "safelight_connections 1",
        ] {
            assert!(
                text.lines().any(|told| told == line),
                "{line} is missing:\n{text}"
            );
        }
        drop(connection);
        assert!(metrics.text().contains("safelight_connections 0"));
    }
}
