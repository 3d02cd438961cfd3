//! What all pipelines of a process share, whatever the settings are: caches, workers, hosted images, limits of memory, metrics.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::allocator;
use crate::cache::Cache;
use crate::cpu::{CpuPool, MemoryLimit};
use crate::hosted::Hosted;
use crate::pipeline::hosted::MAX_COMMITS;
use crate::pipeline::{Config, EagerQueue, LimitsConfig, PipelineError, workers};
use crate::source::SourceMemory;
use crate::telemetry::Metrics;
use crate::transform::Limits;
use crate::units::{AutoByteSize, ByteSize};
use crate::worker::Workers;

/// What stays when settings are read again.
#[derive(Clone)]
pub(super) struct Stores {
    pub cache: Arc<Cache>,
    pub source_memory: SourceMemory,
    pub limits: Limits,
    pub cpu: Arc<CpuPool>,
    pub workers: Workers,
    pub hosted: Option<Arc<Hosted>>,
    pub eager: Arc<EagerQueue>,
    pub commit_permits: Arc<Semaphore>,
    pub prewarm_permits: Arc<Semaphore>,
    pub metrics: Arc<Metrics>,
}

impl Stores {
    /// Opens everything.
    ///
    /// # Errors
    /// [`PipelineError`] names the setting that cannot work.
    pub(super) async fn open(config: &Config) -> Result<Self, PipelineError> {
        let memory = MemoryLimit::of_system();
        let limits = config
            .limits
            .of_render(render_memory(&config.limits, memory.as_ref()));
        let memory = memory.map(|memory| memory.bytes);
        let source_memory = config
            .fetch
            .source_memory(config.limits.source_bytes, limits.render_memory)
            .map_err(PipelineError::Sources)?;
        let workers = workers::open(config, &limits).map_err(PipelineError::Processes)?;
        if workers.are_processes() {
            source_memory.share();
        }
        let idle_workers = workers.clone();
        let cpu = CpuPool::new(
            config.limits.workers,
            config.limits.queue,
            config.limits.upgrade_share,
            limits.render_memory.bytes(),
            move || {
                idle_workers.trim();
                allocator::trim();
            },
        )
        .map_err(PipelineError::Workers)?;
        let cache = Cache::open(
            &config.cache,
            &config.buckets,
            memory,
            source_memory.clone(),
        )
        .await
        .map_err(PipelineError::Cache)?;
        let hosted = Hosted::open(&config.hosted, &config.buckets).await;
        Ok(Stores {
            cache,
            source_memory,
            limits,
            hosted: hosted.map_err(PipelineError::Hosted)?,
            eager: Arc::default(),
            commit_permits: Arc::new(Semaphore::new(MAX_COMMITS)),
            prewarm_permits: Arc::new(Semaphore::new(cpu.workers())),
            cpu: Arc::new(cpu),
            workers,
            metrics: Arc::default(),
        })
    }
}

/// The memory that all renders share. It is logged once.
fn render_memory(limits: &LimitsConfig, memory: Option<&MemoryLimit>) -> ByteSize {
    let share = limits.render_memory(memory.map(|memory| memory.bytes));
    let mib = share.bytes() >> 20;
    match (limits.render_memory, memory) {
        (AutoByteSize::Fixed(_), _) => tracing::info!(mib, "render memory: as configured"),
        (AutoByteSize::Auto, Some(memory)) => {
            tracing::info!(mib, of = %memory, "render memory: a quarter of the memory of the system, within limits");
        }
        (AutoByteSize::Auto, None) => {
            tracing::info!(
                mib,
                "render memory: the default, because the memory of the system is not known"
            );
        }
    }
    share
}
