//! What answers cost: fetches, renders, processor time, and work ahead of and behind requests.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::Labels;
use super::Metrics;
use super::Registrar;
use super::seconds;
use super::set;

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

/// Of one server.
pub(super) struct WorkMetrics {
    source_fetches: Family<Labels<1>, Counter>,
    source_bytes: Counter,
    source_fetches_now: Family<Labels<1>, Gauge>,
    source_reserved: Gauge,
    source_refusals: Family<Labels<1>, Counter>,
    renders: Family<Labels<1>, Counter>,
    render_seconds: Family<Labels<1>, Histogram>,
    cpu_jobs: Family<Labels<2>, Gauge>,
    cpu_refusals: Family<Labels<1>, Counter>,
    cpu_reserved: Gauge,
    cpu_ratio: Family<Labels<1>, Histogram>,
    reduced_copies: Family<Labels<1>, Counter>,
    large_sources: Family<Labels<1>, Counter>,
    upgrades: Family<Labels<1>, Counter>,
    prepared: Family<Labels<1>, Counter>,
}

impl WorkMetrics {
    pub fn new(names: &mut Registrar<'_>) -> Self {
        WorkMetrics {
            source_fetches: names.add(
                "source_fetches",
                "Questions to origins, by their result",
                Family::default(),
            ),
            source_bytes: names.add_in(
                Unit::Bytes,
                "source",
                "Bytes fetched from origins",
                Counter::default(),
            ),
            source_fetches_now: names.add(
                "source_fetches_in_flight",
                "FetchCounts now, by whether they wait for their turn or run",
                Family::default(),
            ),
            source_reserved: names.add_in(
                Unit::Bytes,
                "source_reserved",
                "Bytes of sources that are fetched, wait for a worker, are rendered or just were",
                Gauge::default(),
            ),
            source_refusals: names.add(
                "source_refusals",
                "FetchCounts that were given up before they were made, by what there was too little of",
                Family::default(),
            ),
            renders: names.add("renders", "Pictures made, by format", Family::default()),
            render_seconds: names.add_in(
                Unit::Seconds,
                "render",
                "Time spent making pictures, by step",
                Family::new_with_constructor(seconds),
            ),
            cpu_jobs: names.add(
                "cpu_jobs",
                "Transformations now, by lane, and by whether they wait or run",
                Family::default(),
            ),
            cpu_refusals: names.add(
                "cpu_refusals",
                "Transformations that were not taken up, by what there was too little of",
                Family::default(),
            ),
            cpu_reserved: names.add_in(
                Unit::Bytes,
                "cpu_reserved",
                "Bytes that running transformations may hold, by their estimates",
                Gauge::default(),
            ),
            cpu_ratio: names.add(
                "cpu_used_per_estimate",
                "Processor time of transformations, as a multiple of its estimate, by format",
                Family::new_with_constructor(ratios),
            ),
            reduced_copies: names.add(
                "derivatives",
                "Smaller copies of large sources that were to be made, by the result",
                Family::default(),
            ),
            large_sources: names.add(
                "large_sources",
                "Pictures begun that a smaller copy of their source serves, by what was decoded",
                Family::default(),
            ),
            upgrades: names.add(
                "upgrades",
                "Interim pictures whose place was to be taken, by the result",
                Family::default(),
            ),
            prepared: names.add(
                "prepared",
                "Pictures that were to be there before anybody asks, by the result",
                Family::default(),
            ),
        }
    }
}

/// From a tenth of an estimate to eight times of it.
fn ratios() -> Histogram {
    Histogram::new([0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0])
}

impl Metrics {
    /// An origin was asked; `result` is `fetched`, `not-modified` or the word of an error.
    pub fn record_fetch(&self, result: &'static str, bytes: u64) {
        self.work
            .source_fetches
            .get_or_create(&[("result", result)])
            .inc();
        self.work.source_bytes.inc_by(bytes);
    }

    /// FetchCounts now.
    pub fn set_fetches(&self, waiting: usize, running: usize) {
        for (state, fetches) in [("waiting", waiting), ("running", running)] {
            let gauge = self
                .work
                .source_fetches_now
                .get_or_create(&[("state", state)]);
            set(&gauge, fetches as u64);
        }
    }

    /// Bytes that sources hold.
    pub fn set_source_reserved(&self, bytes: u64) {
        set(&self.work.source_reserved, bytes);
    }

    /// A source was not fetched, or given up on the way, for want of something.
    pub fn record_source_refusal(&self, reason: &'static str) {
        self.work
            .source_refusals
            .get_or_create(&[("reason", reason)])
            .inc();
    }

    /// A picture was made.
    pub fn record_render(&self, format: &'static str, steps: [(RenderStep, Duration); 3]) {
        self.work.renders.get_or_create(&[("format", format)]).inc();
        for (step, time) in steps {
            self.work
                .render_seconds
                .get_or_create(&[("step", step.word())])
                .observe(time.as_secs_f64());
        }
    }

    /// Transformations of a lane now.
    pub fn set_cpu_jobs(&self, lane: &'static str, waiting: usize, running: usize) {
        for (state, jobs) in [("waiting", waiting), ("running", running)] {
            set(
                &self
                    .work
                    .cpu_jobs
                    .get_or_create(&[("lane", lane), ("state", state)]),
                jobs as u64,
            );
        }
    }

    /// Bytes that running transformations may hold.
    pub fn set_cpu_reserved(&self, bytes: u64) {
        set(&self.work.cpu_reserved, bytes);
    }

    /// A transformation was not taken up.
    pub fn record_cpu_rejection(&self, reason: &'static str) {
        self.work
            .cpu_refusals
            .get_or_create(&[("reason", reason)])
            .inc();
    }

    /// A transformation took so much of the processor, and was thought to take so much.
    pub fn record_cpu_ratio(&self, format: &'static str, used: Duration, estimate: Duration) {
        self.work
            .cpu_ratio
            .get_or_create(&[("format", format)])
            .observe(used.as_secs_f64() / estimate.as_secs_f64().max(1e-6));
    }

    /// A smaller copy of a large source was to be made; `result` is `made`, `failed` or `skipped`.
    pub fn record_reduced_copy(&self, result: &'static str) {
        self.work
            .reduced_copies
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// A picture is made that a smaller copy of its source would serve; `decoded` is `source` or `derivative`.
    pub fn record_large_source(&self, decoded: &'static str) {
        self.work
            .large_sources
            .get_or_create(&[("decoded", decoded)])
            .inc();
    }

    /// The place of an interim picture was to be taken; `result` is `made`, `failed` or `skipped`.
    pub fn record_upgrade(&self, result: &'static str) {
        self.work
            .upgrades
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// A picture was to be there before anybody asks; `result` is `made`, `kept`, `unstorable` or `failed`.
    pub fn record_prewarm(&self, result: &'static str) {
        self.work
            .prepared
            .get_or_create(&[("result", result)])
            .inc();
    }
}
