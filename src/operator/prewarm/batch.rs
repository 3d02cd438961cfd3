//! Pictures that are made before anybody asks: all of one source from one fetch and one decode, while a processor has nothing else to do.

use std::collections::HashMap;
use std::future;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::cache::CacheStatus;
use crate::cache::FlightError;
use crate::cache::RenditionKey;
use crate::cache::SourceBytes;
use crate::cache::SourceName;
use crate::cache::SourceRecord;
use crate::cpu::CpuError;
use crate::deadline::Deadline;
use crate::deadline::Stage;
use crate::error::Error;
use crate::options::Effort;
use crate::options::Format;
use crate::options::Output;
use crate::pipeline::Pipeline;
use crate::pipeline::render::IDLE_TIMEOUT;
use crate::pipeline::render::Priority;
use crate::pipeline::render::rendition;
use crate::policy::Job;
use crate::transform::BatchItem;
use crate::transform::Budget;
use crate::transform::Encoded;
use crate::transform::Hints;
use crate::transform::SaliencyMapPlan;

/// What came of a picture that was to be there before anybody asks.
#[derive(Clone, Debug)]
pub enum WarmOutcome {
    /// It was made, and is kept.
    Made,
    /// It was kept already.
    Kept,
    /// Its source may not be kept, so neither may it.
    Unstorable,
    /// It could not be made. What would take more than half of `limits.render_memory` is left to those who ask for it.
    Failed(Arc<Error>),
}

/// Pictures of one source that are wanted.
struct SourceJobs {
    name: SourceName,
    /// Which of the jobs.
    jobs: Vec<usize>,
}

/// A picture that has to be made, and the jobs that it is for.
struct MissingRendition {
    key: RenditionKey,
    jobs: Vec<usize>,
}

impl Pipeline {
    /// Makes and keeps what is not kept of the pictures that jobs ask for, source by source, each fetched and decoded once. AVIF is made as
    /// for those who ask later: nothing interim. Nobody waits: it takes its turn among idle work, and gives way to every request.
    ///
    /// The answers are in the order of the jobs. Where this future is dropped, the picture that is being made is the last.
    pub async fn prepare(self: &Arc<Self>, jobs: &[Job]) -> Vec<WarmOutcome> {
        let mut sources: Vec<SourceJobs> = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            let name = SourceName::of(&job.source);
            match sources
                .iter_mut()
                .find(|wanted| wanted.name.key == name.key)
            {
                Some(wanted) => wanted.jobs.push(at),
                None => sources.push(SourceJobs {
                    name,
                    jobs: vec![at],
                }),
            }
        }
        let mut prepared = vec![WarmOutcome::Unstorable; jobs.len()];
        for wanted in sources {
            let result = self.prepare_source(jobs, &wanted, &mut prepared).await;
            if let Err(error) = result {
                for at in wanted.jobs {
                    prepared[at] = WarmOutcome::Failed(Arc::clone(&error));
                }
            }
        }
        for prepared in &prepared {
            self.metrics.work.record_prewarm(prepared.word());
        }
        prepared
    }

    /// Prepares what is wanted of one source. An error is one of all.
    async fn prepare_source(
        self: &Arc<Self>,
        jobs: &[Job],
        wanted: &SourceJobs,
        prepared: &mut [WarmOutcome],
    ) -> Result<(), Arc<Error>> {
        let Some(&first) = wanted.jobs.first() else {
            return Ok(());
        };
        // What waits holds no source.
        let Ok(_turn) = self.warming.acquire().await else {
            return Ok(());
        };
        let source = &jobs[first].source;
        let deadline = Deadline::after(IDLE_TIMEOUT);
        let fetch = self.fetch(source.clone());
        let found = self.cache.get_or_fetch(&wanted.name, fetch);
        let found = deadline.bound(Stage::Fetch, found).await;
        let found = found.map_err(Error::from)??;
        let before = Arc::clone(&found.record);
        let lacking = self.lacking(jobs, wanted, &before, prepared).await;
        if lacking.is_empty() {
            return Ok(());
        }
        let (found, _share) = self.reserve_idle(found).await.map_err(Error::from)?;
        let fetch = self.fetch(source.clone());
        let whole = self.cache.bytes_or_fetch(&wanted.name, found, fetch);
        let whole = deadline.bound(Stage::Fetch, whole).await;
        let whole = whole.map_err(Error::from)??;
        let lacking = if whole.record.is_same_state(&before) {
            lacking
        } else {
            // The source changed on the way.
            self.lacking(jobs, wanted, &whole.record, prepared).await
        };
        self.make(jobs, &wanted.name, whole, lacking, prepared)
            .await
    }

    /// The pictures that are not kept of this state of their source, each once, where any may be.
    async fn lacking(
        self: &Arc<Self>,
        jobs: &[Job],
        wanted: &SourceJobs,
        record: &SourceRecord,
        prepared: &mut [WarmOutcome],
    ) -> Vec<MissingRendition> {
        let mut lacking: Vec<MissingRendition> = Vec::new();
        if !record.freshness.is_storable() {
            for &at in &wanted.jobs {
                prepared[at] = WarmOutcome::Unstorable;
            }
            return lacking;
        }
        let mut known = HashMap::new();
        for &at in &wanted.jobs {
            let key = RenditionKey::of(
                &wanted.name.key,
                record,
                &jobs[at].recipe,
                &self.render_fingerprint,
            );
            let place = match known.get(&key) {
                Some(&place) => place,
                None => {
                    let place = match self.cache.get_format(key).await {
                        Some(format) => Err(format),
                        None => {
                            let jobs = Vec::new();
                            lacking.push(MissingRendition { key, jobs });
                            Ok(lacking.len() - 1)
                        }
                    };
                    known.insert(key, place);
                    place
                }
            };
            match place {
                Ok(place) => lacking[place].jobs.push(at),
                Err(format) => prepared[at] = WarmOutcome::Kept.judged(&jobs[at], Some(format)),
            }
        }
        lacking
    }

    /// Makes what is lacking, all of it in one piece of work, and keeps each picture as soon as it is there.
    async fn make(
        self: &Arc<Self>,
        jobs: &[Job],
        name: &SourceName,
        source: SourceBytes,
        lacking: Vec<MissingRendition>,
        prepared: &mut [WarmOutcome],
    ) -> Result<(), Arc<Error>> {
        let SourceBytes { record, bytes } = source;
        let pictures = u32::try_from(lacking.len()).unwrap_or(u32::MAX);
        let deadline = Deadline::after(IDLE_TIMEOUT.saturating_mul(pictures));
        let budget = Budget::until(deadline.instant());
        let source = self.open_source(bytes, deadline, Priority::Idle).await?;
        let mut items = Vec::with_capacity(lacking.len());
        for MissingRendition { jobs: wanting, .. } in &lacking {
            let Some(job) = wanting.first().map(|&at| &jobs[at]) else {
                continue;
            };
            items.push(BatchItem {
                recipe: job.recipe.clone(),
                hints: self.cached_hints(job, name, &record).await,
            });
        }
        let plan = source.plan_batch(items, self.cpu.idle_bytes());
        // One picture waits to be kept while the next is made, not all of them.
        let (tell, mut told) = mpsc::channel(1);
        let work = self.run_on_worker(plan.cost(), deadline, Priority::Idle, move || {
            plan.render(&budget, |at, made| {
                match tell.blocking_send((at, made)) {
                    Ok(()) => ControlFlow::Continue(()),
                    // Nobody wants it any more.
                    Err(_) => ControlFlow::Break(()),
                }
            });
        });
        let keep = async {
            let mut results = vec![None; lacking.len()];
            while let Some((at, made)) = told.recv().await {
                let format = made.as_ref().ok().map(|made| made.format);
                let result = match made {
                    Ok(made) => self.keep(lacking[at].key, made).await,
                    Err(error) => WarmOutcome::Failed(Arc::new(error.into())),
                };
                results[at] = Some((result, format));
            }
            results
        };
        let (done, results) = tokio::join!(work, keep);
        let lost = Arc::new(done.err().unwrap_or(Error::Cpu(CpuError::Panicked)));
        for (MissingRendition { jobs: wanting, .. }, result) in lacking.iter().zip(results) {
            let (result, format) =
                result.unwrap_or_else(|| (WarmOutcome::Failed(Arc::clone(&lost)), None));
            for &at in wanting {
                prepared[at] = result.clone().judged(&jobs[at], format);
            }
            if matches!(result, WarmOutcome::Made)
                && let Some(&at) = wanting.first()
            {
                self.forget_interim(&jobs[at], name, &record).await;
            }
        }
        Ok(())
    }

    /// The saliency map of the source, if one is cached. Else idle work makes one for itself, at its own expense: a client that asks for
    /// the same map must not come to wait for idle work.
    pub(crate) async fn cached_hints(
        self: &Arc<Self>,
        job: &Job,
        name: &SourceName,
        record: &SourceRecord,
    ) -> Hints {
        if !SaliencyMapPlan::is_needed(&job.recipe) {
            return Hints::default();
        }
        let key = RenditionKey::of_saliency_map(&name.key, record, job.recipe.gravity);
        let found = self.cache.find(key).await;
        found.map_or_else(Hints::default, |found| {
            Hints::of_saliency_map(&found.rendition.bytes)
        })
    }

    /// Keeps a picture, unless somebody was faster.
    async fn keep(self: &Arc<Self>, key: RenditionKey, made: Encoded) -> WarmOutcome {
        self.record_render(&made);
        let made = future::ready(Ok::<_, FlightError<Error>>(rendition(&key, made)));
        match self.cache.get_or_render(key, true, made).await {
            Ok(found) if found.outcome == CacheStatus::Miss => WarmOutcome::Made,
            Ok(_) => WarmOutcome::Kept,
            Err(failed) => WarmOutcome::Failed(failed.error),
        }
    }

    /// Keeps the interim picture no longer whose place has been taken.
    async fn forget_interim(&self, job: &Job, name: &SourceName, record: &SourceRecord) {
        if job.recipe.output == Output::Avif {
            let mut quick = job.recipe.clone();
            quick.effort = Effort::Quick;
            let key = RenditionKey::of(&name.key, record, &quick, &self.render_fingerprint);
            self.cache.remove(key).await;
        }
    }
}

impl WarmOutcome {
    /// What it is for a job whose picture came to be of this format.
    fn judged(self, job: &Job, format: Option<Format>) -> Self {
        match format.map(|format| job.check_output(format)) {
            Some(Err(denied)) => WarmOutcome::Failed(Arc::new(denied.into())),
            Some(Ok(())) | None => self,
        }
    }

    /// The word for metrics and operators.
    pub fn word(&self) -> &'static str {
        match self {
            WarmOutcome::Made => "made",
            WarmOutcome::Kept => "kept",
            WarmOutcome::Unstorable => "unstorable",
            WarmOutcome::Failed(_) => "failed",
        }
    }
}
