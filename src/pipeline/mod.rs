//! Every room built once and joined: the whole story of a request on one screen. No decisions of its own.

mod answer;
mod background;
mod config;
mod context;
mod interim;
mod limits;
mod metrics;
mod reduced_copies;
pub(crate) mod render;
mod request_memo;

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::http::request::Parts;
use tokio::sync::Semaphore;

use self::answer::Answer;
pub use self::config::Config;
use self::context::RequestContext;
pub use self::limits::LimitsConfig;

use self::background::BackgroundJobs;
use self::request_memo::RequestMemo;
use self::request_memo::ResolvedRequest;
use crate::allocator;
use crate::bucket::AddressError;
use crate::bucket::BucketAddress;
use crate::cache::Cache;
use crate::cache::CacheError;
use crate::cache::ErrorTtls;
use crate::cache::FlightError;
use crate::cpu::CpuPool;
use crate::cpu::MemoryLimit;
use crate::error::Error;
use crate::policy::Job;
use crate::policy::Policy;
use crate::policy::PolicyError;
use crate::request::Prefixes;
use crate::response::Body;
use crate::source::Origins;
use crate::source::SetupError;
use crate::source::SourceMemory;
use crate::source::Sources;
use crate::telemetry::AccessLog;
use crate::telemetry::Metrics;
use crate::transform::Limits;
use crate::units::AutoByteSize;
use crate::units::ByteSize;

/// All rooms, joined.
pub struct Pipeline {
    pub(crate) prefixes: Prefixes,
    pub(crate) policy: Policy,
    sources: Sources,
    source_memory: SourceMemory,
    pub(crate) cache: Arc<Cache>,
    pub(crate) cpu: CpuPool,
    pub(crate) limits: Limits,
    /// What renditions depend on beside their recipe.
    pub(crate) render_fingerprint: String,
    request_timeout: Duration,
    /// How long clients keep an interim rendition; nought: there are none.
    interim: Duration,
    /// Whether smaller copies of large sources are made.
    makes_reduced_copies: bool,
    /// How long errors are kept.
    errors: ErrorTtls,
    chores: BackgroundJobs,
    /// Turns of those that prepare the pictures of a source.
    pub(crate) warming: Semaphore,
    remembered: RequestMemo,
    pub(crate) metrics: Metrics,
}

/// A setting with which there is no server.
#[derive(Debug)]
pub enum PipelineError {
    /// A `[[bucket]]` that is no address.
    Bucket(AddressError),
    /// The zone and the buckets do not fit together.
    Policy(PolicyError),
    /// Sources cannot be fetched.
    Sources(SetupError),
    /// Nothing can be kept.
    Cache(CacheError),
    /// The system gives no threads.
    Workers(io::Error),
}

impl Pipeline {
    /// Builds every room. Nothing is asked of any origin yet.
    ///
    /// # Errors
    /// [`PipelineError`] names the setting that cannot work.
    pub async fn open(config: Config) -> Result<Arc<Self>, PipelineError> {
        let buckets = config
            .buckets
            .iter()
            .map(BucketAddress::of)
            .collect::<Result<_, _>>()
            .map_err(PipelineError::Bucket)?;
        let policy = Policy::new(&config.policy, config.zone.clone(), buckets)
            .map_err(PipelineError::Policy)?;
        let rules = config.cache.rules();
        let limits = config.limits.of_render(render_memory(&config.limits));
        let source_memory = config
            .fetch
            .source_memory(config.limits.source_bytes, limits.render_memory)
            .map_err(PipelineError::Sources)?;
        let sources = Sources::new(
            &config.fetch,
            source_memory.clone(),
            Origins {
                zone: &config.zone,
                buckets: &config.source_buckets(),
                allowlist: policy.allowlist(),
            },
            rules,
            &config.cache.rule,
        )
        .map_err(PipelineError::Sources)?;
        let cpu = CpuPool::new(
            config.limits.workers,
            config.limits.queue,
            limits.render_memory.bytes(),
            allocator::trim,
        )
        .map_err(PipelineError::Workers)?;
        Ok(Arc::new(Pipeline {
            prefixes: config.prefixes,
            policy,
            sources,
            cache: Cache::open(&config.cache, &config.buckets, source_memory.clone())
                .await
                .map_err(PipelineError::Cache)?,
            source_memory,
            limits,
            render_fingerprint: limits.render_fingerprint(),
            request_timeout: config.request_timeout,
            interim: config.cache.interim_ttl.duration(),
            makes_reduced_copies: config.cache.reduced_copies,
            errors: config.cache.errors,
            chores: BackgroundJobs::default(),
            warming: Semaphore::new(cpu.workers()),
            cpu,
            remembered: RequestMemo::default(),
            metrics: Metrics::default(),
        }))
    }

    /// Whether a path is one of a picture.
    pub fn is_image_path(&self, path: &str) -> bool {
        self.prefixes.is_image_path(path)
    }

    /// The numbers of this server.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Waits, for no longer than `within`, until what was to be kept is on disk.
    pub async fn close(&self, within: Duration) -> bool {
        self.cache.close(within).await
    }

    /// The job that a request's head asks for.
    ///
    /// # Errors
    /// Those of requests that are not understood, or not admitted.
    pub fn job(&self, head: &Parts) -> Result<Job, Arc<Error>> {
        let resolved = self.resolve(head);
        let admitted = resolved.admitted.as_ref().map_err(Arc::clone)?;
        Ok(admitted.job.clone())
    }

    /// Answers a request for a picture, with an error where there is no picture, and logs and counts it.
    pub async fn respond(self: &Arc<Self>, head: &Parts) -> Response<Body> {
        let context = RequestContext::of(head, self.request_timeout);
        let _in_flight = self.metrics.requests.count_request();
        let request = self.resolve(head);
        // Pinned on the stack: the future is large, and a hit is too short to allocate memory for it.
        let run = pin!(self.run(&request, &context));
        let result = self.cache.within_wait_budget(run).await;
        let error = result
            .as_ref()
            .err()
            .map(|failed| Arc::clone(&failed.error));
        let answer = match result {
            Ok(answer) => answer,
            Err(failed) => self.answer_error(failed, &request, &context),
        };
        self.log(head, &answer, error.as_deref(), context.started.elapsed());
        answer.response
    }

    /// The life of a request: its source, the choice of a rendition, the conditions of the client, the rendition, the answer.
    async fn run(
        self: &Arc<Self>,
        request: &ResolvedRequest,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let admitted = request.admitted.as_ref().map_err(Arc::clone)?;
        let source = self.source_of(admitted, context).await?;
        let state = self.source_state(request, admitted, source.record());
        let choice = self.choose(request, admitted, &state, context).await?;
        let conditional = &context.conditional;
        let (etag, modified) = (
            choice.rendition.headers.etag(),
            source.record().validators.last_modified,
        );
        if let Some(outcome) = conditional.evaluate_preconditions(etag, modified) {
            return self
                .answer_precondition(outcome, &choice, &source, context)
                .await;
        }
        let obtained = self.obtain(choice, source, context).await?;
        self.answer(request, &state, &obtained, context)
    }

    fn log(&self, head: &Parts, answer: &Answer, error: Option<&Error>, duration: Duration) {
        let Answer { response, outcome } = answer;
        let status = response.status().as_u16();
        self.metrics.requests.record(status, *outcome, duration);
        AccessLog {
            method: head.method.as_str(),
            path: head.uri.path(),
            status,
            bytes: hyper::body::Body::size_hint(response.body()).lower(),
            duration,
            cache: outcome.word(),
            code: error.map_or("", |error| error.info().code),
            error: &error.map_or_else(String::new, Error::to_string),
        }
        .log();
    }
}

/// What all renders together may hold, which the log tells once.
fn render_memory(limits: &LimitsConfig) -> ByteSize {
    let memory = MemoryLimit::of_system();
    let share = limits.render_memory(memory.as_ref().map(|memory| memory.bytes));
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

impl fmt::Display for PipelineError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PipelineError::Bucket(error) => error.fmt(out),
            PipelineError::Policy(error) => error.fmt(out),
            PipelineError::Sources(error) => error.fmt(out),
            PipelineError::Cache(error) => error.fmt(out),
            PipelineError::Workers(error) => {
                write!(
                    out,
                    "cannot start the threads that `limits.workers` asks for: {error}"
                )
            }
        }
    }
}

impl std::error::Error for PipelineError {}
