//! Metrics of webhooks.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::registrar::{Labels, Registrar, set};

/// The metrics of the webhooks of one server.
pub struct WebhookMetrics {
    deliveries: Family<Labels<1>, Counter>,
    backlog: Gauge,
}

impl WebhookMetrics {
    pub(super) fn new(names: &mut Registrar<'_>) -> Self {
        WebhookMetrics {
            deliveries: names.add(
                "webhook_deliveries",
                "Webhooks that were sent, by result",
                Family::default(),
            ),
            backlog: names.add(
                "webhook_backlog",
                "Webhooks that wait to be delivered",
                Gauge::default(),
            ),
        }
    }

    /// Counts a try: `delivered`, `failed` (it is made again) or `dropped`.
    pub fn record(&self, result: &'static str) {
        self.deliveries.get_or_create(&[("result", result)]).inc();
    }

    /// Notes how many wait.
    pub fn set_backlog(&self, messages: u64) {
        set(&self.backlog, messages);
    }
}
