//! The metrics that are measured when they are requested: how full the caches, the queues and the budgets are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cache::{DiskFault, SharedStats};
use crate::cpu::{Lane, LaneCounts};
use crate::hosted::Stats;
use crate::pipeline::Pipeline;
use crate::source::FetchCounts;
use crate::telemetry::trace;
use crate::telemetry::trace::SpanCounts;
use crate::worker::WorkerStats;

impl Pipeline {
    /// All metrics as text, in the format of Prometheus.
    pub fn metrics_text(&self) -> String {
        let stats = self.cache.stats();
        for lane in Lane::ALL {
            let LaneCounts { waiting, running } = self.cpu.count(lane);
            self.metrics
                .work
                .set_cpu_jobs(lane.word(), waiting, running);
        }
        self.metrics.work.set_hosted_waiting(self.eager.len());
        self.metrics.work.set_cpu_reserved(self.cpu.reserved());
        let workers = self.workers.stats();
        let metrics = &self.metrics.processes;
        metrics.set_confinement("process", workers.is_some());
        if let Some(stats) = workers {
            self.set_workers(&stats);
        }
        let FetchCounts { running, waiting } = self.sources.fetches();
        self.metrics.work.set_fetches(waiting, running);
        self.metrics
            .work
            .set_source_reserved(self.source_memory.reserved());
        let (entries, bytes) = self.request_memo.size();
        self.metrics.requests.set_remembered(entries, bytes);
        for (store, held) in [
            ("renditions", stats.memory_renditions),
            ("sources", stats.memory_sources),
        ] {
            self.metrics
                .caches
                .set_cache("memory", store, held.entries, held.bytes);
        }
        for (store, disk) in [
            ("renditions", stats.disk_renditions),
            ("sources", stats.disk_sources),
        ] {
            let Some(disk) = disk else { continue };
            self.metrics
                .caches
                .set_cache("disk", store, disk.held.entries, disk.held.bytes);
            for (event, count) in [
                ("write-failure", disk.write_failures),
                ("read-failure", disk.read_failures),
                ("corrupt", disk.corrupt),
                ("eviction", disk.evictions),
                ("skipped-write", disk.skipped_writes),
            ] {
                self.metrics.caches.set_cache_events(store, event, count);
            }
            for fault in DiskFault::ALL {
                let is_off = disk.fault == Some(fault);
                self.metrics
                    .caches
                    .set_cache_off(store, fault.word(), is_off);
            }
        }
        if let Some(shared) = stats.shared {
            self.set_shared(&shared);
        }
        if let Some(hosted) = self.hosted() {
            self.set_images(hosted.stats());
        }
        if let Some(spans) = trace::counts() {
            let SpanCounts { made, sent, failed } = spans;
            for (event, count) in [("made", made), ("sent", sent), ("failed", failed)] {
                self.metrics.traces.set_spans(event, count);
            }
        }
        self.metrics.text()
    }

    fn set_workers(&self, stats: &WorkerStats) {
        let metrics = &self.metrics.processes;
        metrics.set_processes("ready", stats.ready);
        metrics.set_processes("busy", stats.busy);
        metrics.set_started(stats.started);
        for (death, count) in &stats.deaths {
            metrics.set_failures(death.word(), *count);
        }
        metrics.set_failures("blocked", stats.blocked);
        for (layer, is_there) in stats.confinement {
            metrics.set_confinement(layer, is_there);
        }
    }

    fn set_images(&self, stats: &Stats) {
        let metrics = &self.metrics.images;
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        metrics.set_events("retry", number(&stats.retries));
        metrics.set_events("orphan", number(&stats.orphans));
        metrics.set_index(number(&stats.rows), number(&stats.scanned));
        metrics.set_state("scanning", stats.is_scanning.load(Ordering::Relaxed));
        metrics.set_state("incomplete", !stats.can_list.load(Ordering::Relaxed));
        let lag = Duration::from_millis(number(&stats.log_lag));
        metrics.set_log_lag(lag.as_secs_f64());
    }

    fn set_shared(&self, shared: &SharedStats) {
        self.metrics
            .caches
            .set_shared_waiting(shared.waiting.entries, shared.waiting.bytes);
        for (direction, is_failing) in [
            ("read", shared.reading_open),
            ("write", shared.writing_open),
            ("purges", shared.purges_failing),
        ] {
            self.metrics
                .caches
                .set_shared_failing(direction, is_failing);
        }
        for (event, count) in [
            ("hit", shared.hits),
            ("miss", shared.misses),
            ("timeout", shared.timeouts),
            ("read-failure", shared.read_failures),
            ("corrupt", shared.corrupt),
            ("skipped-read", shared.skipped_reads),
            ("write", shared.writes),
            ("write-failure", shared.write_failures),
            ("skipped-write", shared.skipped_writes),
        ] {
            self.metrics.caches.set_shared_events(event, count);
        }
    }
}
