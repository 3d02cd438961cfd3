//! How the pipeline comes by what it does not have: sources from their origins, pictures from the processors.

use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::poll_immediate;

use crate::cache::CachedSource;
use crate::cache::Fetch;
use crate::cache::FlightError;
use crate::cache::RenderOutput;
use crate::cache::Rendition;
use crate::cache::RenditionKey;
use crate::cache::SourceBytes;
use crate::cache::SourceName;
use crate::cache::SourceRecord;
use crate::cpu;
use crate::cpu::Completion;
use crate::cpu::CpuError;
use crate::deadline::Deadline;
use crate::deadline::Stage;
use crate::deadline::Timeout;
use crate::error::Error;
use crate::freshness::Validators;
use crate::pipeline::Pipeline;
use crate::policy::ApprovedSource;
use crate::policy::Job;
use crate::source::BusyReason;
use crate::source::FetchOutcome;
use crate::source::IdleReservation;
use crate::source::SourceError;
use crate::telemetry::RenderStep;
use crate::transform::Budget;
use crate::transform::Cost;
use crate::transform::Encoded;
use crate::transform::Hints;
use crate::transform::SaliencyMapPlan;
use crate::transform::Source;
use crate::transform::Timings;
use crate::transform::TransformError;

/// How long a picture may take that nobody waits for: on a busy machine it gets a fiftieth of a processor.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// For whom a picture is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// For clients, now.
    Foreground,
    /// For whoever comes next, when there is time.
    Idle,
}

impl Pipeline {
    /// Makes a rendition, on a clock of its own: other requests may be waiting for it when the one that began it is gone.
    pub(crate) async fn render(
        self: Arc<Self>,
        job: Job,
        name: SourceName,
        found: CachedSource,
        priority: Priority,
        spent: Arc<OnceLock<Timings>>,
    ) -> Result<RenderOutput, FlightError<Error>> {
        let asked_of = Arc::clone(&found.record);
        let deadline = match priority {
            Priority::Foreground => Deadline::after(self.request_timeout),
            Priority::Idle => Deadline::after(IDLE_TIMEOUT),
        };
        let source = self
            .cache
            .bytes_or_fetch(&name, found, self.fetch(job.source.clone()));
        let SourceBytes { record, bytes } = deadline
            .bound(Stage::Fetch, source)
            .await
            .map_err(Error::from)??;
        let made =
            Arc::clone(&self).render_of(job, name, &record, bytes, (deadline, priority), spent);
        Ok(RenderOutput {
            rendition: made.await.map_err(|failed| failed.over(&record))?,
            source: (!Arc::ptr_eq(&record, &asked_of)).then_some(record),
        })
    }

    async fn render_of(
        self: Arc<Self>,
        job: Job,
        name: SourceName,
        record: &Arc<SourceRecord>,
        bytes: Bytes,
        (deadline, priority): (Deadline, Priority),
        spent: Arc<OnceLock<Timings>>,
    ) -> Result<Rendition, FlightError<Error>> {
        let key = RenditionKey::of(&name.key, record, &job.recipe, &self.render_fingerprint);
        let budget = Budget::until(deadline.instant());
        let opened = self.open_source(bytes, deadline, priority).await?;
        let hints = async {
            match priority {
                Priority::Foreground => self.hints(&job, &name, record, &opened, deadline).await,
                Priority::Idle => Ok(self.cached_hints(&job, &name, record).await),
            }
        };
        let hints = deadline
            .bound(Stage::Render, hints)
            .await
            .map_err(Error::from)??;
        let with_reduced_copy = self.with_reduced_copy(hints, &name, record, &opened, &job.recipe);
        let (hints, missing) = deadline
            .bound(Stage::Render, with_reduced_copy)
            .await
            .map_err(Error::from)?;
        let source = job.source.clone();
        let plan = opened.plan(&job.recipe, &hints).map_err(Error::from)?;
        let work = self.render_on_worker(plan.cost(), deadline, priority, move || {
            plan.render(&budget)
        });
        let encoded = work.await?;

        let timings = encoded.timings;
        self.record_render(&encoded);
        if let Some(denominator) = missing
            && !encoded.is_of_truncated()
        {
            self.make_reduced_copy(source, name, Arc::clone(record), denominator);
        }
        // Nobody else sets it: a flight renders once.
        let _ = spent.set(timings);
        Ok(rendition(&key, encoded))
    }

    /// Has a worker read the header of a source: a hostile one takes long, and a copy of the file.
    pub(crate) async fn open_source(
        &self,
        bytes: Bytes,
        deadline: Deadline,
        priority: Priority,
    ) -> Result<Source, Error> {
        let cost = Source::cost_of_open(&bytes);
        let limits = self.limits;
        let open = move || Source::open(bytes, &limits);
        let Completion { value: made, .. } =
            self.run_on_worker(cost, deadline, priority, open).await?;
        Ok(made?)
    }

    /// Counts a picture that was made.
    pub(crate) fn record_render(&self, made: &Encoded) {
        let Timings {
            decode,
            resize,
            encode,
        } = made.timings;
        let steps = [
            (RenderStep::Decode, decode),
            (RenderStep::Resize, resize),
            (RenderStep::Encode, encode),
        ];
        self.metrics
            .work
            .record_render(made.format.extension(), steps);
    }

    /// Has a worker make a picture that has a cost, and compares that with what it took.
    pub(crate) async fn render_on_worker(
        &self,
        cost: Cost,
        deadline: Deadline,
        priority: Priority,
        work: impl FnOnce() -> Result<Encoded, TransformError> + Send + 'static,
    ) -> Result<Encoded, Error> {
        let work = move || (Instant::now(), work());
        let done = self.run_on_worker(cost, deadline, priority, work).await?;
        let Completion {
            value: (begun, made),
            cpu_time,
        } = done;
        let encoded = match made {
            Err(TransformError::OutOfTime) => {
                return Err(self.out_of_time(Some(begun), deadline, priority));
            }
            made => made?,
        };
        if let Some(cpu_time) = cpu_time {
            self.metrics
                .work
                .record_cpu_ratio(encoded.format.extension(), cpu_time, cost.cpu);
        }
        Ok(encoded)
    }

    /// What is said of work that was not done in time. If it had at least half of the time that a request has, another try
    /// would hold a worker for as long: then the source is to blame, and that is kept. It is not if the work waited for longer than that,
    /// or had only the time that others left to it.
    fn out_of_time(&self, begun: Option<Instant>, deadline: Deadline, priority: Priority) -> Error {
        let had = begun.map(|begun| deadline.instant().saturating_duration_since(begun));
        match priority {
            Priority::Foreground if had.is_some_and(|had| had >= self.request_timeout / 2) => {
                TransformError::OutOfTime.into()
            }
            Priority::Foreground | Priority::Idle => Timeout(Stage::Render).into(),
        }
    }

    /// Has a worker do what has a cost, by a deadline.
    pub(crate) async fn run_on_worker<T: Send + 'static>(
        &self,
        cost: Cost,
        deadline: Deadline,
        priority: Priority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Completion<T>, Error> {
        let cost = cpu::Cost {
            bytes: cost.bytes,
            time: cost.cpu,
            deadline: deadline.instant(),
            is_idle: priority == Priority::Idle,
        };
        let begun = Arc::new(OnceLock::new());
        let begins = Arc::clone(&begun);
        let work = move || {
            begins.get_or_init(Instant::now);
            work()
        };
        let run = self.cpu.run(cost, work);
        let Ok(done) = deadline.bound(Stage::Render, run).await else {
            return Err(self.out_of_time(begun.get().copied(), deadline, priority));
        };
        done.map_err(|error| {
            if let CpuError::Rejected { reason, .. } = error {
                self.metrics.work.record_cpu_rejection(reason.word());
            }
            error.into()
        })
    }

    /// The saliency map that tells where a crop goes, made once for all recipes. Where it fails, the render says why, unless it would take
    /// too long again.
    async fn hints(
        self: &Arc<Self>,
        job: &Job,
        name: &SourceName,
        record: &SourceRecord,
        source: &Source,
        deadline: Deadline,
    ) -> Result<Hints, FlightError<Error>> {
        if !SaliencyMapPlan::is_needed(&job.recipe) {
            return Ok(Hints::default());
        }
        let gravity = job.recipe.gravity;
        let key = RenditionKey::of_saliency_map(&name.key, record, gravity);
        let (pipeline, source) = (Arc::clone(self), source.clone());
        let render = async move {
            let plan = source.plan_saliency_map(gravity).map_err(Error::from)?;
            let budget = Budget::until(deadline.instant());
            let cost = plan.cost();
            let work = move || plan.render(&budget);
            let map = pipeline
                .render_on_worker(cost, deadline, Priority::Foreground, work)
                .await?;
            Ok::<_, FlightError<Error>>(rendition(&key, map))
        };
        let storable = record.freshness.is_storable();
        match self.cache.get_or_render(key, storable, render).await {
            Ok(found) => Ok(Hints::of_saliency_map(&found.rendition.bytes)),
            Err(failed) => match &*failed.error {
                Error::Transform(TransformError::OutOfTime) => Err(failed),
                _ => Ok(Hints::default()),
            },
        }
    }

    /// A source that work may hold for which nobody waits: without its bytes, if others like it leave no room at once.
    pub(crate) async fn reserve_idle(
        &self,
        found: CachedSource,
    ) -> Result<(CachedSource, IdleReservation), SourceError> {
        let length = found.record.len;
        let mut share = pin!(self.source_memory.reserve_idle(length));
        let (found, share) = match poll_immediate(share.as_mut()).await {
            Some(share) => (found, share),
            None => {
                // What waits holds no source.
                let known = CachedSource {
                    bytes: None,
                    ..found
                };
                (known, share.await)
            }
        };
        share
            .map(|share| (found, share))
            .ok_or(SourceError::Busy(BusyReason::Memory))
    }

    /// How the cache gets a source that it does not have.
    pub(crate) fn fetch(self: &Arc<Self>, source: ApprovedSource) -> impl Fetch<Error> + use<> {
        let pipeline = Arc::clone(self);
        move |known: Option<Validators>| async move {
            let answer = pipeline.sources.fetch(&source, known.as_ref());
            let answer = answer.await.map_err(Error::from);
            let (result, bytes) = match &answer {
                Ok(FetchOutcome::Fetched(fetched)) => ("fetched", fetched.bytes.len() as u64),
                Ok(FetchOutcome::NotModified { .. }) => ("not-modified", 0),
                Err(error) => {
                    if let Error::Source(SourceError::Busy(lack)) = error {
                        pipeline.metrics.work.record_source_refusal(lack.word());
                    }
                    (error.info().code, 0)
                }
            };
            pipeline.metrics.work.record_fetch(result, bytes);
            answer
        }
    }
}

pub(crate) fn rendition(key: &RenditionKey, encoded: Encoded) -> Rendition {
    let warnings = encoded.warnings.iter().map(ToString::to_string).collect();
    Rendition::new(
        key,
        encoded.bytes,
        encoded.format,
        encoded.size.width,
        encoded.size.height,
        warnings,
    )
}
