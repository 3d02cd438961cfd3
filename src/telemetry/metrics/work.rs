//! Metrics of fetches, renders and background work.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::registrar::{Labels, Registrar, seconds, set};

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

/// The metrics of the work of one server.
pub struct WorkMetrics {
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
    hosted_renditions: Family<Labels<1>, Counter>,
    hosted_waiting: Gauge,
}

impl WorkMetrics {
    pub(super) fn new(names: &mut Registrar<'_>) -> Self {
        WorkMetrics {
            source_fetches: names.add(
                "source_fetches",
                "Requests to origins, by result",
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
                "Fetches that wait or run now",
                Family::default(),
            ),
            source_reserved: names.add_in(
                Unit::Bytes,
                "source_reserved",
                "Bytes reserved for sources, from their fetch to the end of their render",
                Gauge::default(),
            ),
            source_refusals: names.add(
                "source_refusals",
                "Fetches that were given up because of load, by reason",
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
                "Transformations that wait or run now, by lane",
                Family::default(),
            ),
            cpu_refusals: names.add(
                "cpu_refusals",
                "Transformations that were rejected because of load, by reason",
                Family::default(),
            ),
            cpu_reserved: names.add_in(
                Unit::Bytes,
                "cpu_reserved",
                "Bytes reserved by running transformations, by their estimates",
                Gauge::default(),
            ),
            cpu_ratio: names.add(
                "cpu_used_per_estimate",
                "CPU time of transformations as a multiple of its estimate, by format",
                Family::new_with_constructor(ratios),
            ),
            reduced_copies: names.add(
                "reduced_copies",
                "Reduced copies of large sources, by result",
                Family::default(),
            ),
            large_sources: names.add(
                "large_sources",
                "Renders that a reduced copy of the source can serve, by what was decoded",
                Family::default(),
            ),
            upgrades: names.add(
                "upgrades",
                "Replacements of interim pictures, by result",
                Family::default(),
            ),
            prepared: names.add(
                "prepared",
                "Pictures made ahead of requests, by result",
                Family::default(),
            ),
            hosted_renditions: names.add(
                "hosted_renditions",
                "Pictures in the store of hosted images, by what was done",
                Family::default(),
            ),
            hosted_waiting: names.add(
                "hosted_images_waiting",
                "Hosted images that wait for their variants to be made ahead of requests",
                Gauge::default(),
            ),
        }
    }
}

/// A histogram of ratios, from a tenth of an estimate to eight times of it.
fn ratios() -> Histogram {
    Histogram::new([0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0])
}

impl WorkMetrics {
    /// Counts a request to an origin; `result` is `fetched`, `not-modified` or the code of an error.
    pub fn record_fetch(&self, result: &'static str, bytes: u64) {
        self.source_fetches
            .get_or_create(&[("result", result)])
            .inc();
        self.source_bytes.inc_by(bytes);
    }

    /// Sets how many fetches wait and run now.
    pub fn set_fetches(&self, waiting: usize, running: usize) {
        for (state, fetches) in [("waiting", waiting), ("running", running)] {
            let gauge = self.source_fetches_now.get_or_create(&[("state", state)]);
            set(&gauge, fetches as u64);
        }
    }

    /// Sets the bytes that are reserved for sources.
    pub fn set_source_reserved(&self, bytes: u64) {
        set(&self.source_reserved, bytes);
    }

    /// Counts a fetch that was given up because of load.
    pub fn record_source_refusal(&self, reason: &'static str) {
        self.source_refusals
            .get_or_create(&[("reason", reason)])
            .inc();
    }

    /// Counts a render and the time of its steps.
    pub fn record_render(&self, format: &'static str, steps: [(RenderStep, Duration); 3]) {
        self.renders.get_or_create(&[("format", format)]).inc();
        for (step, time) in steps {
            self.render_seconds
                .get_or_create(&[("step", step.word())])
                .observe(time.as_secs_f64());
        }
    }

    /// Sets how many transformations of a lane wait and run now.
    pub fn set_cpu_jobs(&self, lane: &'static str, waiting: usize, running: usize) {
        for (state, jobs) in [("waiting", waiting), ("running", running)] {
            set(
                &self
                    .cpu_jobs
                    .get_or_create(&[("lane", lane), ("state", state)]),
                jobs as u64,
            );
        }
    }

    /// Sets the bytes that running transformations have reserved.
    pub fn set_cpu_reserved(&self, bytes: u64) {
        set(&self.cpu_reserved, bytes);
    }

    /// Counts a transformation that was rejected because of load.
    pub fn record_cpu_rejection(&self, reason: &'static str) {
        self.cpu_refusals.get_or_create(&[("reason", reason)]).inc();
    }

    /// Records the CPU time of a transformation, and its estimate.
    pub fn record_cpu_ratio(&self, format: &'static str, used: Duration, estimate: Duration) {
        self.cpu_ratio
            .get_or_create(&[("format", format)])
            .observe(used.as_secs_f64() / estimate.as_secs_f64().max(1e-6));
    }

    /// Counts a reduced copy of a large source; `result` is `made`, `failed` or `skipped`.
    pub fn record_reduced_copy(&self, result: &'static str) {
        self.reduced_copies
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// Counts a render that a reduced copy of the source can serve; `decoded` is `source` or `reduced-copy`.
    pub fn record_large_source(&self, decoded: &'static str) {
        self.large_sources
            .get_or_create(&[("decoded", decoded)])
            .inc();
    }

    /// Counts the replacement of an interim picture; `result` is `made`, `failed` or `skipped`.
    pub fn record_upgrade(&self, result: &'static str) {
        self.upgrades.get_or_create(&[("result", result)]).inc();
    }

    /// Counts a picture made ahead of requests; `result` is `made`, `kept`, `unstorable` or `failed`.
    pub fn record_prewarm(&self, result: &'static str) {
        self.prepared.get_or_create(&[("result", result)]).inc();
    }

    /// Counts a picture in the store of hosted images; `result` is `made`, `failed` or `read`.
    pub fn record_hosted_rendition(&self, result: &'static str) {
        self.hosted_renditions
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// Sets how many hosted images wait for their variants.
    pub fn set_hosted_waiting(&self, images: usize) {
        set(&self.hosted_waiting, images as u64);
    }
}
