//! All metrics with their names and labels.

mod caches;
mod images;
mod processes;
mod registrar;
mod requests;
mod traces;
mod uploads;
mod webhooks;
mod work;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use registrar::Registrar;

pub(super) use caches::CacheMetrics;
pub(super) use images::ImageMetrics;
pub(super) use processes::ProcessMetrics;
pub(super) use requests::RequestMetrics;
pub(crate) use requests::RequestOutcome;
pub(super) use traces::TraceMetrics;
pub(super) use uploads::UploadMetrics;
pub(crate) use uploads::UploadStep;
pub(super) use webhooks::WebhookMetrics;
pub(crate) use work::RenderStep;
pub(super) use work::WorkMetrics;

/// The metrics of one server.
pub struct Metrics {
    registry: Registry,
    /// Of requests, answers and connections.
    pub requests: RequestMetrics,
    /// Of fetches and renders.
    pub work: WorkMetrics,
    /// Of worker processes.
    pub processes: ProcessMetrics,
    /// Of uploads of hosted images.
    pub uploads: UploadMetrics,
    /// Of webhooks.
    pub webhooks: WebhookMetrics,
    /// Of what is cached.
    pub caches: CacheMetrics,
    /// Of the store and of the index of hosted images.
    pub images: ImageMetrics,
    /// Of traces.
    pub traces: TraceMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("safelight");
        let names = &mut Registrar(&mut registry);
        Metrics {
            requests: RequestMetrics::new(names),
            work: WorkMetrics::new(names),
            processes: ProcessMetrics::new(names),
            uploads: UploadMetrics::new(names),
            webhooks: WebhookMetrics::new(names),
            caches: CacheMetrics::new(names),
            images: ImageMetrics::new(names),
            traces: TraceMetrics::new(names),
            registry,
        }
    }
}

impl Metrics {
    /// All metrics, in the text format of OpenMetrics.
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
    fn metrics_have_their_names() {
        let metrics = Metrics::default();
        metrics
            .requests
            .record(200, RequestOutcome::Memory, Duration::from_millis(2));
        metrics.work.record_fetch("fetched", 17);
        let connection = metrics.requests.count_connection();
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
