//! What is kept, where, and what became of it.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::Labels;
use super::Metrics;
use super::Registrar;
use super::set;

/// Of one server.
pub(super) struct CacheMetrics {
    interim: Counter,
    stale: Family<Labels<1>, Counter>,
    purges: Family<Labels<2>, Counter>,
    cache_bytes: Family<Labels<2>, Gauge>,
    cache_entries: Family<Labels<2>, Gauge>,
    cache_events: Family<Labels<2>, Gauge<u64, AtomicU64>>,
    cache_off: Family<Labels<2>, Gauge>,
    shared_events: Family<Labels<1>, Gauge<u64, AtomicU64>>,
    shared_failing: Family<Labels<1>, Gauge>,
    shared_waiting: Gauge,
    shared_waiting_bytes: Gauge,
}

impl CacheMetrics {
    pub fn new(names: &mut Registrar<'_>) -> Self {
        CacheMetrics {
            interim: names.add(
                "interim_answers",
                "Pictures answered in a form that a smaller one will take the place of",
                Counter::default(),
            ),
            stale: names.add(
                "stale_answers",
                "Pictures whose source was used although it was not fresh, by the reason",
                Family::default(),
            ),
            purges: names.add(
                "purges",
                "What operators purged, by what it was named by and by whether it is gone or stale",
                Family::default(),
            ),
            cache_bytes: names.add_in(
                Unit::Bytes,
                "cache",
                "Bytes kept, by tier and store",
                Family::default(),
            ),
            cache_entries: names.add(
                "cache_entries",
                "Entries kept, by tier and store",
                Family::default(),
            ),
            cache_events: names.add(
                "cache_disk_events",
                "What happened to disk stores since the start",
                Family::default(),
            ),
            cache_off: names.add(
                "cache_disk_off",
                "1 for a disk store that is not in use, by the reason",
                Family::default(),
            ),
            shared_events: names.add(
                "cache_shared_events",
                "What happened to the shared cache since the start",
                Family::default(),
            ),
            shared_failing: names.add(
                "cache_shared_failing",
                "1 where the shared cache fails, and is done without",
                Family::default(),
            ),
            shared_waiting: names.add(
                "cache_shared_waiting",
                "Entries to be written to the shared cache",
                Gauge::default(),
            ),
            shared_waiting_bytes: names.add_in(
                Unit::Bytes,
                "cache_shared_waiting",
                "Bytes to be written to the shared cache",
                Gauge::default(),
            ),
        }
    }
}

impl Metrics {
    /// A picture was answered that a smaller one will take the place of.
    pub fn record_interim(&self) {
        self.caches.interim.inc();
    }

    /// A source was used although it was not fresh; `reason` is `revalidating` or `origin-failed`.
    pub fn record_stale(&self, reason: &'static str) {
        self.caches.stale.get_or_create(&[("reason", reason)]).inc();
    }

    /// Something was purged; `target` is what it was named by.
    pub fn record_purge(&self, target: &'static str, soft: bool) {
        let kind = if soft { "soft" } else { "hard" };
        self.caches
            .purges
            .get_or_create(&[("target", target), ("kind", kind)])
            .inc();
    }

    /// What one store holds now.
    pub fn set_cache(&self, tier: &'static str, store: &'static str, entries: u64, bytes: u64) {
        let labels = [("tier", tier), ("store", store)];
        set(&self.caches.cache_entries.get_or_create(&labels), entries);
        set(&self.caches.cache_bytes.get_or_create(&labels), bytes);
    }

    /// How often something has happened to a disk store.
    pub fn set_cache_events(&self, store: &'static str, event: &'static str, count: u64) {
        self.caches
            .cache_events
            .get_or_create(&[("store", store), ("event", event)])
            .set(count);
    }

    /// Whether a disk store is not in use for this reason.
    pub fn set_cache_off(&self, store: &'static str, reason: &'static str, is_off: bool) {
        self.caches
            .cache_off
            .get_or_create(&[("store", store), ("reason", reason)])
            .set(i64::from(is_off));
    }

    /// How often something has happened to the shared cache.
    pub fn set_shared_events(&self, event: &'static str, count: u64) {
        self.caches
            .shared_events
            .get_or_create(&[("event", event)])
            .set(count);
    }

    /// Whether the shared cache fails; `direction` is `read`, `write` or `purges`.
    pub fn set_shared_failing(&self, direction: &'static str, is_failing: bool) {
        self.caches
            .shared_failing
            .get_or_create(&[("direction", direction)])
            .set(is_failing.into());
    }

    /// What is to be written to the shared cache.
    pub fn set_shared_waiting(&self, entries: u64, bytes: u64) {
        set(&self.caches.shared_waiting, entries);
        set(&self.caches.shared_waiting_bytes, bytes);
    }
}
