//! Builds every module once, joins them, and leads a request through them: [`Pipeline::respond`] tells the whole life of a request.
//!
//! ```text
//! resolve ▸ choose ▸ conditional ▸ obtain ▸ answer
//! ```
//!
//! The pipeline only connects. It must never judge a request (`policy` does), decide how long something is cached (`freshness` and `cache`
//! do), choose a status (`error` does), or do work for the CPU on a thread that answers requests (`cpu` has threads for that).

mod access;
mod answer;
mod background;
mod config;
mod context;
mod flow;
mod hosted;
mod interim;
mod limits;
mod listing;
mod metrics;
mod original;
mod reduced_copies;
pub(crate) mod render;
mod request_memo;
mod rules;
mod sources;
mod stores;
mod strip;
mod upgrades;
pub(crate) mod workers;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::http::request::Parts;
use tokio::sync::Semaphore;

pub use self::access::AccessError;
use self::answer::Answer;
pub use self::config::Config;
use self::context::RequestContext;
pub(crate) use self::hosted::{
    CommitPermit, EagerQueue, Scan, recipe_name, variant_options, variant_request,
};
pub use self::hosted::{Excess, InspectError};
pub use self::limits::LimitsConfig;

use self::background::BackgroundJobs;
pub(crate) use self::request_memo::{AdmittedRequest, RenditionRef, ResolvedRequest};
use self::request_memo::{FlowRequest, RequestMemo};
use self::rules::Rules;
use self::sources::file_kind;
use self::stores::Stores;
use self::upgrades::{Upgrade, UpgradeQueue};
use crate::bucket::AddressError;
use crate::cache::{Cache, CacheError, ErrorTtls, FlightError};
use crate::clients;
use crate::clients::{ClientId, Clients, ClientsError};
use crate::cpu::CpuPool;
use crate::error::Error;
use crate::hosted::{Hosted, HostedError};
use crate::policy::{Allowlist, Job, Policy, PolicyError};
use crate::request::{Extensions, FlowError, Flows, Prefixes, Vary, without_mac};
use crate::response;
use crate::response::{Body, Cors, Disposition};
use crate::source::{Origins, SetupError, SourceMemory, Sources};
use crate::telemetry::{AccessLog, Metrics};
use crate::transform::Limits;
use crate::worker::Workers;

/// Every module of a server, joined.
pub struct Pipeline {
    pub(crate) prefixes: Prefixes,
    pub(crate) flows: Flows,
    pub(crate) extensions: Extensions,
    pub(crate) clients: Arc<Clients>,
    clients_config: clients::Config,
    pub(crate) policy: Policy,
    cors: Cors,
    disposition: Disposition,
    sources: Sources,
    source_memory: SourceMemory,
    pub(crate) cache: Arc<Cache>,
    pub(crate) cpu: Arc<CpuPool>,
    pub(crate) workers: Workers,
    hosted: Option<Arc<Hosted>>,
    /// Approves images that are uploaded by their URL.
    upload_allowlist: Allowlist,
    /// Limits how many uploads are in memory on their way into a bucket.
    commit_permits: Arc<Semaphore>,
    /// The hosted images whose variants are to be made ahead of requests.
    pub(crate) eager: Arc<EagerQueue>,
    pub(crate) limits: Limits,
    /// The settings that renditions depend on, as part of their keys.
    pub(crate) render_fingerprint: String,
    request_timeout: Duration,
    /// How long clients may cache an interim rendition. Zero: no interim renditions are made.
    interim_ttl: Duration,
    /// Whether reduced copies of large sources are made.
    makes_reduced_copies: bool,
    /// How long errors are cached.
    error_ttls: ErrorTtls,
    background: BackgroundJobs,
    upgrades: UpgradeQueue<Upgrade>,
    /// Limits how many sources are prewarmed at once.
    pub(crate) prewarm_permits: Arc<Semaphore>,
    request_memo: RequestMemo,
    pub(crate) metrics: Arc<Metrics>,
    /// What stays when settings are read again.
    stores: Stores,
}

/// Why the pipeline could not be opened.
#[derive(Debug)]
pub enum PipelineError {
    /// A `[[bucket]]` does not give a usable address.
    Bucket(AddressError),
    /// The settings of the zone, its sources and its buckets contradict each other.
    Policy(PolicyError),
    /// A `[[flow]]` cannot work.
    Flow(FlowError),
    /// The settings about clients contradict each other.
    Clients(ClientsError),
    /// The settings about signed URLs cannot work.
    Access(AccessError),
    /// No source can be fetched with these settings.
    Sources(SetupError),
    /// The cache could not be opened.
    Cache(CacheError),
    /// The store of hosted images cannot be used.
    Hosted(HostedError),
    /// The system refused the worker threads.
    Workers(io::Error),
    /// The system refused the worker processes.
    Processes(io::Error),
}

impl Pipeline {
    /// Builds every module. No origin is contacted yet.
    ///
    /// # Errors
    /// [`PipelineError`] names the setting that cannot work.
    pub async fn open(config: Config) -> Result<Arc<Self>, PipelineError> {
        let rules = Rules::of(&config)?;
        let stores = Stores::open(&config).await?;
        let clients = Arc::new(Clients::new(&config.clients).map_err(PipelineError::Clients)?);
        Pipeline::join(config, rules, stores, clients)
    }

    /// A pipeline with other settings and the same caches, workers, hosted images and metrics. Requests that this one answers are not disturbed. What
    /// belongs to those that are shared must be the same in these settings.
    ///
    /// # Errors
    /// [`PipelineError`] names the setting that cannot work.
    pub fn reopen(&self, config: Config) -> Result<Arc<Self>, PipelineError> {
        let rules = Rules::of(&config)?;
        let clients = match config.clients == self.clients_config {
            true => Arc::clone(&self.clients),
            false => Arc::new(Clients::new(&config.clients).map_err(PipelineError::Clients)?),
        };
        Pipeline::join(config, rules, self.stores.clone(), clients)
    }

    fn join(
        config: Config,
        rules: Rules,
        stores: Stores,
        clients: Arc<Clients>,
    ) -> Result<Arc<Self>, PipelineError> {
        let Rules {
            policy,
            extensions,
            flows,
        } = rules;
        let sources = Sources::new(
            &config.fetch,
            stores.source_memory.clone(),
            Origins {
                zone: &config.zone.origin,
                buckets: &config.source_buckets(),
                hosted: &config.policy.hosted,
                allowlist: policy.allowlist(),
                sniff: file_kind,
            },
            config.cache.rules(),
            &config.cache.rule,
        )
        .map_err(PipelineError::Sources)?;
        Ok(Arc::new(Pipeline {
            prefixes: config.prefixes,
            flows,
            extensions,
            clients,
            clients_config: config.clients,
            policy,
            cors: config.cors,
            disposition: config.response.disposition,
            sources,
            cache: Arc::clone(&stores.cache),
            source_memory: stores.source_memory.clone(),
            limits: stores.limits,
            render_fingerprint: stores.limits.render_fingerprint(),
            request_timeout: config.request_timeout,
            interim_ttl: config.cache.interim_ttl.duration(),
            makes_reduced_copies: config.cache.reduced_copies,
            error_ttls: config.cache.errors,
            background: BackgroundJobs::default(),
            upgrades: UpgradeQueue::new(stores.cpu.share_threads()),
            prewarm_permits: Arc::clone(&stores.prewarm_permits),
            upload_allowlist: Allowlist::of_uploads(config.hosted.fetch.allowed.clone()),
            commit_permits: Arc::clone(&stores.commit_permits),
            eager: Arc::clone(&stores.eager),
            hosted: stores.hosted.clone(),
            cpu: Arc::clone(&stores.cpu),
            workers: stores.workers.clone(),
            request_memo: RequestMemo::default(),
            metrics: Arc::clone(&stores.metrics),
            stores,
        }))
    }

    /// Whether a path begins as transformation URLs do.
    pub fn is_image_path(&self, path: &str) -> bool {
        self.prefixes.is_image_path(path)
    }

    /// What the headers of every answer say to scripts of other sites.
    pub(crate) fn cors(&self) -> &Cors {
        &self.cors
    }

    /// Hosted images, where there are any.
    pub fn hosted(&self) -> Option<&Arc<Hosted>> {
        self.hosted.as_ref()
    }

    /// The metrics of this server.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Finishes the writes of the cache, for no longer than `within`. Returns whether all were finished.
    pub async fn close(&self, within: Duration) -> bool {
        self.cache.close(within).await
    }

    /// The job that a request describes.
    ///
    /// # Errors
    /// The request cannot be parsed, or the policy denies it.
    pub fn job(&self, head: &Parts) -> Result<Job, Arc<Error>> {
        let resolved = self.resolve(head);
        let admitted = resolved.admitted.as_ref().map_err(Arc::clone)?;
        Ok(admitted.job.clone())
    }

    /// Answers a request with a picture, with an original or with an error; logs and counts it. `client` is who asks, where that is known.
    pub async fn respond(
        self: &Arc<Self>,
        head: &Parts,
        client: Option<ClientId>,
    ) -> Response<Body> {
        let context = RequestContext::of(head, self.request_timeout, client);
        let request = self.find_request(head, &context).await;
        if request.is_none() && !self.policy.serves_originals() {
            return response::nothing_served();
        }
        let _in_flight = self.metrics.requests.count_request();
        let result = match &request {
            Some(request) if request.is_uploaded_file() => {
                Box::pin(self.uploaded_file(request, head, &context)).await
            }
            Some(request) => {
                // Pinned on the stack: the future is large, and allocating it would take a large part of the time of a hit.
                let run = pin!(self.run(request, &context));
                self.cache.within_wait_budget(run).await
            }
            None => Box::pin(self.original(head, &context)).await,
        };
        let result = match (result, &request) {
            (Err(failed), Some(request)) if request.delivery.is_some() => {
                Box::pin(self.deliver_anew(failed, request, head, &context)).await
            }
            (result, _) => result,
        };
        let flow = request.as_ref().and_then(|request| request.flow.as_ref());
        let vary = request
            .as_ref()
            .map_or_else(Vary::default, |request| request.vary);
        let result = match (result, flow) {
            (Err(failed), Some(flow)) if self.sends_in_place(&failed.error) => {
                Box::pin(self.original_in_place(failed, flow, vary, (head, client))).await
            }
            (result, _) => result,
        };
        let mut answer = match result {
            Ok(answer) => answer,
            Err(failed) => self.answer_error(failed, request.as_deref(), &context),
        };
        match flow {
            Some(flow) => self.record_flow(flow, &mut answer),
            None if request.is_none() => self.mark_left_by_flow(head, &mut answer),
            None => {}
        }
        self.log(head, &answer, flow, context.started.elapsed());
        answer.response
    }

    /// Answers a request with an error, before anything is done for it; logs and counts it.
    pub(crate) fn refuse(&self, head: &Parts, error: Error) -> Response<Body> {
        let context = RequestContext::of(head, self.request_timeout, None);
        let answer = self.answer_error(error.into(), None, &context);
        self.log(head, &answer, None, context.started.elapsed());
        answer.response
    }

    /// The request for a picture that a head describes; `None` where it asks for none.
    async fn find_request(
        &self,
        head: &Parts,
        context: &RequestContext,
    ) -> Option<Arc<ResolvedRequest>> {
        if self.is_image_path(head.uri.path()) {
            Some(self.resolve(head))
        } else if let Some(hosted) = self.delivers(head) {
            Some(match self.known_delivery(head, hosted) {
                Some(known) => known,
                None => Box::pin(self.resolve_delivery(head, hosted, context)).await,
            })
        } else {
            self.resolve_by_flow(head)
        }
    }

    /// The request for a picture that a head describes, for those who only want to know what it is.
    pub(crate) async fn understand(&self, head: &Parts) -> Option<Arc<ResolvedRequest>> {
        let context = RequestContext::of(head, self.request_timeout, None);
        self.find_request(head, &context).await
    }

    /// The life of a request: its source is found, one of its renditions is chosen, the client's preconditions are evaluated, the
    /// rendition is obtained, the response is built.
    async fn run(
        self: &Arc<Self>,
        request: &ResolvedRequest,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let admitted = request.admitted.as_ref().map_err(Arc::clone)?;
        self.run_admitted(request, admitted, context).await
    }

    async fn run_admitted(
        self: &Arc<Self>,
        request: &ResolvedRequest,
        admitted: &AdmittedRequest,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let source = self.find_source(admitted, context).await?;
        let state = self.source_state(request, admitted, source.record());
        let choice = self.choose(request, admitted, &state, context).await?;
        // Without a picture, a plain URL is answered with its original, which has other validators: these are evaluated later. A client that
        // names the tag of the picture had it before.
        let has_picture =
            request.flow.is_none() || context.conditional.names(choice.rendition.headers.etag());
        if has_picture && let Some(answer) = self.conditional(&choice, &source, context).await? {
            return Ok(answer);
        }
        let rendition = self.obtain(choice, source, context).await?;
        if admitted.job.unnamed.contains(rendition.format()) {
            let narrowed = self.run_admitted(request, admitted.narrowed(), context);
            return Box::pin(narrowed).await;
        }
        self.answer(request, &state, &rendition, context)
    }

    fn log(&self, head: &Parts, answer: &Answer, flow: Option<&FlowRequest>, duration: Duration) {
        let Answer {
            response,
            outcome,
            error,
        } = answer;
        let error = error.as_deref();
        let status = response.status().as_u16();
        self.metrics.requests.record(status, *outcome, duration);
        let path = head.uri.path();
        let path = match self.extensions.signatures {
            true => without_mac(path),
            false => Cow::Borrowed(path),
        };
        let is_hosted = !self.is_image_path(head.uri.path()) && self.delivers(head).is_some();
        let line = AccessLog {
            method: head.method.as_str(),
            path: &path,
            is_hosted,
            status,
            bytes: hyper::body::Body::size_hint(response.body()).lower(),
            duration,
            cache: outcome.word(),
            flow: flow.map(|flow| &*flow.name),
            code: error.map_or("", |error| error.info().code),
            error: &error.map_or_else(String::new, Error::to_string),
        };
        line.log();
        line.trace(|| self.prefixes.of(head.uri.path()));
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PipelineError::Bucket(error) => error.fmt(out),
            PipelineError::Policy(error) => error.fmt(out),
            PipelineError::Flow(error) => error.fmt(out),
            PipelineError::Access(error) => error.fmt(out),
            PipelineError::Clients(error) => error.fmt(out),
            PipelineError::Sources(error) => error.fmt(out),
            PipelineError::Cache(error) => error.fmt(out),
            PipelineError::Hosted(error) => error.fmt(out),
            PipelineError::Processes(error) => {
                write!(
                    out,
                    "cannot start the processes that `limits.isolation = \"process\"` asks for: {error}; use \"thread\" where there can be none"
                )
            }
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
