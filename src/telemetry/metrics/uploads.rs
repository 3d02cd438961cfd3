//! Metrics of uploads of hosted images.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::registrar::{Labels, Registrar, seconds};

/// The steps of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UploadStep {
    /// The file arrives and is written.
    Spool,
    /// It is decoded.
    Inspect,
    /// It is stored, with its record.
    Commit,
}

impl UploadStep {
    const fn word(self) -> &'static str {
        match self {
            UploadStep::Spool => "spool",
            UploadStep::Inspect => "inspect",
            UploadStep::Commit => "commit",
        }
    }
}

/// The metrics of the uploads of one server.
pub struct UploadMetrics {
    uploads: Family<Labels<2>, Counter>,
    upload_bytes: Counter,
    upload_seconds: Family<Labels<1>, Histogram>,
}

impl UploadMetrics {
    pub(super) fn new(names: &mut Registrar<'_>) -> Self {
        UploadMetrics {
            uploads: names.add(
                "uploads",
                "Uploads of hosted images, by where they came from and by result",
                Family::default(),
            ),
            upload_bytes: names.add_in(
                Unit::Bytes,
                "upload",
                "Bytes of hosted images that were stored",
                Counter::default(),
            ),
            upload_seconds: names.add_in(
                Unit::Seconds,
                "upload",
                "Time spent on uploads, by step",
                Family::new_with_constructor(seconds),
            ),
        }
    }

    /// Counts an upload; `result` is `stored` or the code of an error.
    pub fn record(&self, source: &'static str, result: &'static str, bytes: u64) {
        self.uploads
            .get_or_create(&[("source", source), ("result", result)])
            .inc();
        self.upload_bytes.inc_by(bytes);
    }

    /// Records how long a step took.
    pub fn record_step(&self, step: UploadStep, time: Duration) {
        self.upload_seconds
            .get_or_create(&[("step", step.word())])
            .observe(time.as_secs_f64());
    }
}
