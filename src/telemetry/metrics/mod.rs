//! Every metric's name and labels, written once, by what they tell of.

mod caches;
mod requests;
mod work;

use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Metric;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

use caches::CacheMetrics;
use requests::RequestMetrics;
use work::WorkMetrics;

pub use requests::RequestOutcome;
pub use work::RenderStep;

/// Numbers of one server.
pub struct Metrics {
    registry: Registry,
    requests: RequestMetrics,
    work: WorkMetrics,
    caches: CacheMetrics,
}

/// Names of labels with their values.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Where metrics get their names.
struct Registrar<'a>(&'a mut Registry);

impl Registrar<'_> {
    /// The metric, under its name.
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    /// One that is measured in a unit, which its name ends with.
    fn add_in<M: Metric + Clone>(&mut self, unit: Unit, name: &str, help: &str, metric: M) -> M {
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }
}

/// From a memory hit to a large AVIF.
fn seconds() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ])
}

fn set(gauge: &Gauge, number: u64) {
    gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("safelight");
        let names = &mut Registrar(&mut registry);
        Metrics {
            requests: RequestMetrics::new(names),
            work: WorkMetrics::new(names),
            caches: CacheMetrics::new(names),
            registry,
        }
    }
}

impl Metrics {
    /// All of it, in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a string does not fail");
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Metrics;
    use super::RequestOutcome;

    #[test]
    fn numbers_are_told_under_their_names() {
        let metrics = Metrics::default();
        metrics.record_request(200, RequestOutcome::Memory, Duration::from_millis(2));
        metrics.record_fetch("fetched", 17);
        let connection = metrics.count_connection();
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
