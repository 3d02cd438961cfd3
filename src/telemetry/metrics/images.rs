//! Metrics of the store and of the index of hosted images.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::registrar::{Labels, Registrar, set};

/// The metrics of the store and of the index of hosted images.
pub struct ImageMetrics {
    events: Family<Labels<1>, Gauge<u64, AtomicU64>>,
    rows: Gauge,
    scanned: Gauge,
    state: Family<Labels<1>, Gauge>,
    log_lag: Gauge<f64, AtomicU64>,
}

impl ImageMetrics {
    pub(super) fn new(names: &mut Registrar<'_>) -> Self {
        ImageMetrics {
            events: names.add(
                "hosted_events",
                "Events of the store of hosted images since the start",
                Family::default(),
            ),
            rows: names.add(
                "hosted_index_rows",
                "Rows of the index of hosted images",
                Gauge::default(),
            ),
            scanned: names.add(
                "hosted_scanned",
                "Records that the last pass over the store has looked at",
                Gauge::default(),
            ),
            state: names.add(
                "hosted_index_state",
                "1 while a pass over the store is under way (scanning), and while lists are refused (incomplete)",
                Family::default(),
            ),
            log_lag: names.add_in(
                Unit::Seconds,
                "hosted_log_lag",
                "How old the last change of another process was when it was read",
                Gauge::default(),
            ),
        }
    }

    /// Sets how often something has happened.
    pub fn set_events(&self, event: &'static str, count: u64) {
        self.events.get_or_create(&[("event", event)]).set(count);
    }

    /// Sets how large the index is, and how many records the last pass over the store has looked at.
    pub fn set_index(&self, rows: u64, scanned: u64) {
        set(&self.rows, rows);
        set(&self.scanned, scanned);
    }

    /// Sets whether something is so now.
    pub fn set_state(&self, state: &'static str, is_so: bool) {
        let gauge = self.state.get_or_create(&[("state", state)]);
        gauge.set(i64::from(is_so));
    }

    /// Sets how old the last change of another process was when it was read.
    pub fn set_log_lag(&self, seconds: f64) {
        self.log_lag.set(seconds);
    }
}
