//! Metrics of the caches.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::registrar::{Labels, Registrar, set};

/// The metrics of the caches of one server.
pub struct CacheMetrics {
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
    pub(super) fn new(names: &mut Registrar<'_>) -> Self {
        CacheMetrics {
            interim: names.add(
                "interim_answers",
                "Answers with an interim picture, which a smaller file will replace",
                Counter::default(),
            ),
            stale: names.add(
                "stale_answers",
                "Answers from a source that was not fresh, by reason",
                Family::default(),
            ),
            purges: names.add(
                "purges",
                "Purges, by what they name and by whether it is removed (hard) or made stale (soft)",
                Family::default(),
            ),
            cache_bytes: names.add_in(
                Unit::Bytes,
                "cache",
                "Bytes in the cache, by tier and store",
                Family::default(),
            ),
            cache_entries: names.add(
                "cache_entries",
                "Entries in the cache, by tier and store",
                Family::default(),
            ),
            cache_events: names.add(
                "cache_disk_events",
                "Events of the disk stores since the start",
                Family::default(),
            ),
            cache_off: names.add(
                "cache_disk_off",
                "1 while a disk store is not used, by reason",
                Family::default(),
            ),
            shared_events: names.add(
                "cache_shared_events",
                "Events of the shared cache since the start",
                Family::default(),
            ),
            shared_failing: names.add(
                "cache_shared_failing",
                "1 while the shared cache fails and is not used, by direction",
                Family::default(),
            ),
            shared_waiting: names.add(
                "cache_shared_waiting",
                "Entries that wait to be written to the shared cache",
                Gauge::default(),
            ),
            shared_waiting_bytes: names.add_in(
                Unit::Bytes,
                "cache_shared_waiting",
                "Bytes that wait to be written to the shared cache",
                Gauge::default(),
            ),
        }
    }
}

impl CacheMetrics {
    /// Counts an answer with an interim picture.
    pub fn record_interim(&self) {
        self.interim.inc();
    }

    /// Counts an answer from a source that was not fresh; `reason` is `revalidating` or `origin-failed`.
    pub fn record_stale(&self, reason: &'static str) {
        self.stale.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts a purge; `target` is what it names.
    pub fn record_purge(&self, target: &'static str, soft: bool) {
        let kind = if soft { "soft" } else { "hard" };
        self.purges
            .get_or_create(&[("target", target), ("kind", kind)])
            .inc();
    }

    /// Sets what one store holds now.
    pub fn set_cache(&self, tier: &'static str, store: &'static str, entries: u64, bytes: u64) {
        let labels = [("tier", tier), ("store", store)];
        set(&self.cache_entries.get_or_create(&labels), entries);
        set(&self.cache_bytes.get_or_create(&labels), bytes);
    }

    /// Sets how often something has happened to a disk store.
    pub fn set_cache_events(&self, store: &'static str, event: &'static str, count: u64) {
        self.cache_events
            .get_or_create(&[("store", store), ("event", event)])
            .set(count);
    }

    /// Sets whether a disk store is not used for this reason.
    pub fn set_cache_off(&self, store: &'static str, reason: &'static str, is_off: bool) {
        self.cache_off
            .get_or_create(&[("store", store), ("reason", reason)])
            .set(i64::from(is_off));
    }

    /// Sets how often something has happened to the shared cache.
    pub fn set_shared_events(&self, event: &'static str, count: u64) {
        self.shared_events
            .get_or_create(&[("event", event)])
            .set(count);
    }

    /// Sets whether the shared cache fails; `direction` is `read`, `write` or `purges`.
    pub fn set_shared_failing(&self, direction: &'static str, is_failing: bool) {
        self.shared_failing
            .get_or_create(&[("direction", direction)])
            .set(is_failing.into());
    }

    /// Sets what waits to be written to the shared cache.
    pub fn set_shared_waiting(&self, entries: u64, bytes: u64) {
        set(&self.shared_waiting, entries);
        set(&self.shared_waiting_bytes, bytes);
    }
}
