//! Every room built once and joined: the whole story of a request on one screen. No decisions of its own.

mod chores;
mod interim;
mod reduced_copies;
pub(crate) mod rendering;
mod understanding;

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use hyper::Method;
use hyper::Response;
use hyper::http::request::Parts;
use tokio::sync::Semaphore;

use self::chores::Chores;
use self::rendering::Terms;
use self::understanding::Named;
use self::understanding::Remembered;
use self::understanding::Understood;
use crate::allocator;
use crate::bucket::AddressError;
use crate::bucket::BucketAddress;
use crate::cache::Cache;
use crate::cache::CacheError;
use crate::cache::CacheStatus;
use crate::cache::CacheableError;
use crate::cache::DiskFault;
use crate::cache::ErrorTtls;
use crate::cache::FlightError;
use crate::cache::SharedStats;
use crate::cache::SourceRecord;
use crate::cache::Stale;
use crate::cache::Tier;
use crate::config::Config;
use crate::cpu::CpuPool;
use crate::cpu::Lane;
use crate::cpu::LaneCounts;
use crate::cpu::MemoryLimit;
use crate::deadline::Deadline;
use crate::deadline::Stage;
use crate::error::Error;
use crate::policy::Job;
use crate::policy::Policy;
use crate::policy::PolicyError;
use crate::request::Conditional;
use crate::request::PreconditionOutcome;
use crate::request::Prefixes;
use crate::response;
use crate::response::Body;
use crate::response::ErrorCaching;
use crate::response::RepresentationHeaders;
use crate::response::RequestTimings;
use crate::response::ResponseContext;
use crate::source::FetchCounts;
use crate::source::Origins;
use crate::source::SetupError;
use crate::source::SourceMemory;
use crate::source::Sources;
use crate::telemetry;
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
    chores: Chores,
    /// Turns of those that prepare the pictures of a source.
    pub(crate) warming: Semaphore,
    remembered: Remembered,
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

/// What a request came to, before it is told.
struct Answered {
    response: Response<Body>,
    outcome: telemetry::RequestOutcome,
}

impl Pipeline {
    /// Builds every room. Nothing is asked of any origin yet.
    ///
    /// # Errors
    /// [`PipelineError`] names the setting that cannot work.
    pub async fn open(config: &Config) -> Result<Arc<Self>, PipelineError> {
        let buckets = config
            .bucket
            .iter()
            .map(BucketAddress::of)
            .collect::<Result<_, _>>()
            .map_err(PipelineError::Bucket)?;
        let zone = config.zone.origin.clone();
        let policy =
            Policy::new(&config.policy(), zone.clone(), buckets).map_err(PipelineError::Policy)?;
        let rules = config.cache.rules();
        let limits = config.limits.of_render(render_memory(config));
        let source_memory = config
            .fetch
            .source_memory(config.limits.source_bytes, limits.render_memory)
            .map_err(PipelineError::Sources)?;
        let sources = Sources::new(
            &config.fetch,
            source_memory.clone(),
            Origins {
                zone: &zone,
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
            prefixes: config.server.prefixes.clone(),
            policy,
            sources,
            cache: Cache::open(&config.cache, &config.bucket, source_memory.clone())
                .await
                .map_err(PipelineError::Cache)?,
            source_memory,
            limits,
            render_fingerprint: limits.render_fingerprint(),
            request_timeout: config.server.request_timeout.duration(),
            interim: config.cache.interim_ttl.duration(),
            makes_reduced_copies: config.cache.reduced_copies,
            errors: config.cache.errors.clone(),
            chores: Chores::default(),
            warming: Semaphore::new(cpu.workers()),
            cpu,
            remembered: Remembered::default(),
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

    /// The numbers of this server as text, those that are looked up only when asked for among them.
    pub fn metrics_text(&self) -> String {
        let stats = self.cache.stats();
        for lane in Lane::ALL {
            let LaneCounts { waiting, running } = self.cpu.count(lane);
            self.metrics.set_cpu_jobs(lane.word(), waiting, running);
        }
        self.metrics.set_cpu_reserved(self.cpu.reserved());
        let FetchCounts { running, waiting } = self.sources.fetches();
        self.metrics.set_fetches(waiting, running);
        self.metrics
            .set_source_reserved(self.source_memory.reserved());
        let (entries, bytes) = self.remembered.held();
        self.metrics.set_remembered(entries, bytes);
        for (store, held) in [
            ("renditions", stats.memory_renditions),
            ("sources", stats.memory_sources),
        ] {
            self.metrics
                .set_cache("memory", store, held.entries, held.bytes);
        }
        for (store, disk) in [
            ("renditions", stats.disk_renditions),
            ("sources", stats.disk_sources),
        ] {
            let Some(disk) = disk else { continue };
            self.metrics
                .set_cache("disk", store, disk.held.entries, disk.held.bytes);
            for (event, count) in [
                ("write-failure", disk.write_failures),
                ("read-failure", disk.read_failures),
                ("corrupt", disk.corrupt),
                ("eviction", disk.evictions),
                ("skipped-write", disk.skipped_writes),
            ] {
                self.metrics.set_cache_events(store, event, count);
            }
            for trouble in DiskFault::ALL {
                let is_off = disk.trouble == Some(trouble);
                self.metrics.set_cache_off(store, trouble.word(), is_off);
            }
        }
        if let Some(shared) = stats.shared {
            self.tell_shared(&shared);
        }
        self.metrics.text()
    }

    fn tell_shared(&self, shared: &SharedStats) {
        self.metrics
            .set_shared_waiting(shared.waiting.entries, shared.waiting.bytes);
        for (direction, is_failing) in [
            ("read", shared.reading_open),
            ("write", shared.writing_open),
            ("purges", shared.purges_failing),
        ] {
            self.metrics.set_shared_failing(direction, is_failing);
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
            self.metrics.set_shared_events(event, count);
        }
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
        let understood = self.understand(head);
        let admitted = understood.admitted.as_ref().map_err(Arc::clone)?;
        Ok(admitted.job.clone())
    }

    /// Answers a request for a picture, whatever happens, and says so in the log and in numbers.
    pub async fn respond(self: &Arc<Self>, head: &Parts) -> Response<Body> {
        let started = Instant::now();
        let _in_flight = self.metrics.count_request();
        let understood = self.understand(head);
        // Where it stays: it is large, and a hit is short.
        let run = pin!(self.run(head, started, &understood));
        let (answered, error) = match self.cache.within_wait_budget(run).await {
            Ok(answered) => (answered, None),
            Err(FlightError {
                error,
                since,
                may_be_kept,
            }) => {
                self.metrics.record_error(error.info().code);
                let Understood { vary, fallback, .. } = &*understood;
                let head_only = head.method == Method::HEAD;
                let response = match fallback.as_ref().filter(|_| error.may_redirect()) {
                    Some(location) => response::redirect(&error, location, *vary, head_only),
                    None => {
                        let kept = may_be_kept.then(|| ErrorCaching {
                            life: error.life(&self.errors),
                            age: since.map(|since| since.elapsed().unwrap_or_default()),
                        });
                        response::error(&error, kept, *vary, head_only)
                    }
                };
                (
                    Answered {
                        response,
                        outcome: telemetry::RequestOutcome::Error,
                    },
                    Some(error),
                )
            }
        };
        let Answered { response, outcome } = answered;
        let (status, duration) = (response.status().as_u16(), started.elapsed());
        self.metrics.record_request(status, outcome, duration);
        AccessLog {
            method: head.method.as_str(),
            path: head.uri.path(),
            status,
            bytes: hyper::body::Body::size_hint(response.body()).lower(),
            duration,
            cache: outcome.word(),
            code: error.as_ref().map_or("", |error| error.info().code),
            error: &error
                .as_ref()
                .map_or_else(String::new, |error| error.to_string()),
        }
        .log();
        response
    }

    async fn run(
        self: &Arc<Self>,
        head: &Parts,
        started: Instant,
        understood: &Understood,
    ) -> Result<Answered, FlightError<Error>> {
        let admitted = understood.admitted.as_ref().map_err(Arc::clone)?;
        let conditional = Conditional::of(head);
        let deadline = Deadline::since(started, self.request_timeout);

        let source = match self.cache.get_source(&admitted.name.key).await {
            Some(source) => source,
            None => {
                let fetch = self.fetch(admitted.job.source.clone());
                let source = self.cache.get_or_fetch(&admitted.name, fetch);
                let source = deadline.bound(Stage::Fetch, Box::pin(source)).await;
                source.map_err(Error::from)??
            }
        };
        let fetch = started.elapsed();

        let mut record = Arc::clone(&source.record);
        let mut stale = source.stale;
        if let Some(stale) = stale {
            self.metrics.record_stale(match stale {
                Stale::Revalidating => "revalidating",
                Stale::OriginFailed => "origin-failed",
            });
        }
        let standing = self.standing(understood, admitted, &record);
        let mut choice = self
            .choose(understood, admitted, &standing, &conditional, deadline)
            .await
            .map_err(Error::from)?;
        let Named { key, told } = choice.named;
        let last_modified = record.validators.last_modified;
        if let Some(settled) = conditional.evaluate_preconditions(told.etag(), last_modified) {
            let spent = RequestTimings {
                outcome: source.outcome,
                fetch,
                render: None,
                total: started.elapsed(),
            };
            // Who has the interim one asks for it again.
            let is_interim = self.is_interim(&choice, deadline).await;
            let is_interim = is_interim.map_err(Error::from)?;
            if is_interim {
                self.upgrade(&choice, &record);
            }
            let response = response::settled(
                settled,
                &self.about(&record, stale, told, spent, is_interim),
            );
            return Ok(Answered {
                response,
                outcome: match settled {
                    PreconditionOutcome::NotModified => telemetry::RequestOutcome::NotModified,
                    PreconditionOutcome::PreconditionFailed => {
                        telemetry::RequestOutcome::PreconditionFailed
                    }
                },
            });
        }

        let keep = record.freshness.is_storable();
        if choice.found.is_none() && keep {
            choice.found = self.cache.get(key).await;
        }
        let (found, render) = match choice.found.take() {
            Some(found) => (found, None),
            None => {
                let spent = Arc::new(OnceLock::new());
                let render = Arc::clone(self).render(
                    choice.job(),
                    admitted.name.clone(),
                    source,
                    Terms::Awaited,
                    Arc::clone(&spent),
                );
                let found = self.cache.get_or_render(*key, keep, render);
                let found = deadline.bound(Stage::Render, Box::pin(found)).await;
                let found = found.map_err(Error::from)?;
                let found = found.map_err(|failed| failed.over(&record))?;
                (found, spent.get().copied())
            }
        };
        if let Some(source) = found.source {
            // It changed on the way, or had to be fetched anew: it goes by what its origin says now.
            record = source;
            stale = None;
        }
        let rendition = &*found.rendition;
        if rendition.is_of_truncated() {
            record = self.cache.cap_source(&admitted.name.key, &record).await;
        }
        let judged = admitted.job.check_output(rendition.format);
        judged.map_err(|denied| FlightError::from(Error::from(denied)).over(&record))?;
        let is_interim = choice.is_interim(rendition);
        if is_interim {
            self.metrics.record_interim();
            if matches!(found.outcome, CacheStatus::Hit(_)) {
                self.upgrade(&choice, &record);
            }
        }
        let spent = RequestTimings {
            outcome: found.outcome,
            fetch,
            render,
            total: started.elapsed(),
        };
        let other;
        let told = if rendition.etag == told.etag() && Arc::ptr_eq(&record, &standing.record) {
            told
        } else {
            let warnings = &admitted.job.warnings;
            other = RepresentationHeaders::of(
                &record,
                rendition.etag.clone(),
                understood.vary,
                warnings,
            );
            &other
        };
        let portion = conditional.select_range(told.etag(), rendition.bytes.len());
        let response = response::image(
            rendition,
            &self.about(&record, stale, told, spent, is_interim),
            portion,
            head.method == Method::HEAD,
        );
        Ok(Answered {
            response,
            outcome: outcome(found.outcome),
        })
    }
}

impl Pipeline {
    fn about<'a>(
        &self,
        source: &'a SourceRecord,
        stale: Option<Stale>,
        told: &'a RepresentationHeaders,
        spent: RequestTimings,
        is_interim: bool,
    ) -> ResponseContext<'a> {
        ResponseContext {
            representation: told,
            source,
            timings: spent,
            interim: is_interim.then_some(self.interim),
            stale,
        }
    }
}

/// What all renders together may hold, which the log tells once.
fn render_memory(config: &Config) -> ByteSize {
    let memory = MemoryLimit::of_system();
    let share = config
        .limits
        .render_memory(memory.as_ref().map(|memory| memory.bytes));
    let mib = share.bytes() >> 20;
    match (config.limits.render_memory, memory) {
        (AutoByteSize::Fixed(_), _) => tracing::info!(mib, "render memory, as configured"),
        (AutoByteSize::Auto, Some(memory)) => {
            tracing::info!(mib, of = %memory, "render memory, a quarter of what there is, within bounds");
        }
        (AutoByteSize::Auto, None) => {
            tracing::info!(
                mib,
                "render memory, by default: the system does not tell what there is"
            );
        }
    }
    share
}

/// The cache's word in the words of telemetry.
fn outcome(outcome: CacheStatus) -> telemetry::RequestOutcome {
    match outcome {
        CacheStatus::Hit(Tier::Memory) => telemetry::RequestOutcome::Memory,
        CacheStatus::Hit(Tier::Disk) => telemetry::RequestOutcome::Disk,
        CacheStatus::Hit(Tier::Shared) => telemetry::RequestOutcome::Shared,
        CacheStatus::Coalesced => telemetry::RequestOutcome::Coalesced,
        CacheStatus::Miss | CacheStatus::Revalidated => telemetry::RequestOutcome::Miss,
    }
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
