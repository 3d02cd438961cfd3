//! Metrics of worker processes.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::registrar::{Labels, Registrar, set};

/// The metrics of worker processes.
pub struct ProcessMetrics {
    processes: Family<Labels<1>, Gauge>,
    started: Gauge,
    failures: Family<Labels<1>, Gauge<u64, AtomicU64>>,
    confinement: Family<Labels<1>, Gauge>,
}

impl ProcessMetrics {
    pub(super) fn new(names: &mut Registrar<'_>) -> Self {
        ProcessMetrics {
            processes: names.add(
                "worker_processes",
                "Worker processes, by what they do",
                Family::default(),
            ),
            started: names.add(
                "worker_starts",
                "Worker processes that have been started",
                Gauge::default(),
            ),
            failures: names.add(
                "worker_failures",
                "Transformations that lost their worker process, by how it ended, or were refused because of their source (blocked)",
                Family::default(),
            ),
            confinement: names.add(
                "worker_confinement",
                "1 for what this system confines worker processes with, else 0",
                Family::default(),
            ),
        }
    }

    /// Sets how many processes are in a state.
    pub fn set_processes(&self, state: &'static str, count: usize) {
        let gauge = self.processes.get_or_create(&[("state", state)]);
        set(&gauge, count as u64);
    }

    /// Sets how many processes have been started.
    pub fn set_started(&self, count: u64) {
        set(&self.started, count);
    }

    /// Sets how many transformations have failed in a way.
    pub fn set_failures(&self, kind: &'static str, count: u64) {
        self.failures.get_or_create(&[("kind", kind)]).set(count);
    }

    /// Sets whether processes are confined by something.
    pub fn set_confinement(&self, layer: &'static str, is_there: bool) {
        let gauge = self.confinement.get_or_create(&[("layer", layer)]);
        gauge.set(i64::from(is_there));
    }
}
