//! How metrics get their names, labels and units.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// The names and values of labels.
pub(super) type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Registers metrics under their names.
pub(super) struct Registrar<'a>(pub &'a mut Registry);

impl Registrar<'_> {
    /// Registers a metric.
    pub(super) fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    /// Registers a metric with a unit, which is added to its name.
    pub(super) fn add_in<M: Metric + Clone>(
        &mut self,
        unit: Unit,
        name: &str,
        help: &str,
        metric: M,
    ) -> M {
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }
}

/// A histogram of times, from a memory hit to a large AVIF.
pub(super) fn seconds() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ])
}

pub(super) fn set(gauge: &Gauge, number: u64) {
    gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
}
