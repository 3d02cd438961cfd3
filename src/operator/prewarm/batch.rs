//! Renders pictures before they are requested: all of one source from one fetch and one decode, while no client needs a worker.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::cache::{CacheStatus, FlightError, RenditionKey, SourceBytes, SourceName, SourceRecord};
use crate::cpu::{CpuError, Priority};
use crate::deadline::{Deadline, Stage};
use crate::error::Error;
use crate::options::Format;
use crate::pipeline::Pipeline;
use crate::pipeline::render::rendition;
use crate::pipeline::workers::{BACKGROUND_TIMEOUT, READMISSIONS, Urgency, bytes_needed, run};
use crate::policy::Job;
use crate::transform::{Cost, Encoded, Plan, TransformError};
use crate::worker;
use crate::worker::BatchJob;

/// How the prewarming of a picture ended.
#[derive(Clone, Debug)]
pub enum WarmOutcome {
    /// It was rendered, and is cached.
    Made,
    /// It was cached already.
    Kept,
    /// Its source must not be stored, so the picture must not be stored either.
    Unstorable,
    /// It could not be rendered.
    Failed(Arc<Error>),
}

/// The jobs of one source.
struct SourceJobs<'a> {
    name: SourceName,
    jobs: Vec<&'a Job>,
    /// The index of each of them among all jobs.
    indexes: Vec<usize>,
}

/// What the cache has for the jobs of one source.
struct CacheLookup<'a> {
    /// One for each job. Those of missing renditions are set when they have been rendered.
    outcomes: Vec<WarmOutcome>,
    missing: Vec<MissingRendition<'a>>,
}

/// A rendition that has to be rendered.
struct MissingRendition<'a> {
    key: RenditionKey,
    /// The first of the jobs that ask for it.
    job: &'a Job,
    /// The index of each of them among the jobs of the source.
    indexes: Vec<usize>,
}

/// How a rendition was found or made, and in which format.
type RenderedOutcome = (WarmOutcome, Option<Format>);

impl Pipeline {
    /// Renders and caches the pictures of these jobs that are not cached yet, source by source: each source is fetched and decoded once. All
    /// are encoded with full effort, never as interim renditions. All work is idle work, which gives way to every request.
    ///
    /// The outcomes are in the order of the jobs. If this future is dropped, the picture that is being rendered is the last one.
    pub async fn prepare(self: &Arc<Self>, jobs: &[Job]) -> Vec<WarmOutcome> {
        let mut outcomes = vec![WarmOutcome::Unstorable; jobs.len()];
        for source in SourceJobs::group(jobs) {
            match self.prepare_source(&source).await {
                Ok(prepared) => {
                    for (index, outcome) in source.indexes.into_iter().zip(prepared) {
                        outcomes[index] = outcome;
                    }
                }
                Err(error) => {
                    for index in source.indexes {
                        outcomes[index] = WarmOutcome::Failed(Arc::clone(&error));
                    }
                }
            }
        }
        for outcome in &outcomes {
            self.metrics.work.record_prewarm(outcome.word());
        }
        outcomes
    }

    /// Prepares the pictures of one source. An error applies to all of them.
    async fn prepare_source(
        self: &Arc<Self>,
        source: &SourceJobs<'_>,
    ) -> Result<Vec<WarmOutcome>, Arc<Error>> {
        let Some(address) = source.jobs.first().map(|job| &job.source) else {
            return Ok(Vec::new());
        };
        // Waits before the fetch: jobs that wait hold no source.
        let Ok(_permit) = self.prewarm_permits.acquire().await else {
            return Ok(Vec::new());
        };
        let deadline = Deadline::after(BACKGROUND_TIMEOUT);
        let fetch = self.fetch(address.clone());
        let found = self.cache.get_or_fetch(&source.name, fetch);
        let found = deadline.bound(Stage::Fetch, found).await;
        let found = found.map_err(Error::from)??;
        let before = Arc::clone(&found.record);
        let mut lookup = self.look_up(source, &before).await;
        if lookup.missing.is_empty() {
            return Ok(lookup.outcomes);
        }
        let (found, _reservation) = self.reserve_idle(found).await.map_err(Error::from)?;
        let fetch = self.fetch(address.clone());
        let bytes = self.cache.bytes_or_fetch(&source.name, found, fetch);
        let bytes = deadline.bound(Stage::Fetch, bytes).await;
        let bytes = bytes.map_err(Error::from)??;
        if !bytes.record.is_same_state(&before) {
            // The bytes had to be fetched again, and the source had changed.
            lookup = self.look_up(source, &bytes.record).await;
        }
        self.complete(source, bytes, lookup).await
    }

    /// Finds out which pictures of a source are not cached. Nothing is missing where the source must not be stored.
    async fn look_up<'a>(
        self: &Arc<Self>,
        source: &SourceJobs<'a>,
        record: &SourceRecord,
    ) -> CacheLookup<'a> {
        let mut lookup = CacheLookup {
            outcomes: vec![WarmOutcome::Unstorable; source.jobs.len()],
            missing: Vec::new(),
        };
        if !record.freshness.is_storable() {
            return lookup;
        }
        // The place of each key among the missing renditions, or the format in which it is cached.
        let mut known: HashMap<RenditionKey, Result<usize, Format>> = HashMap::new();
        for (index, &job) in source.jobs.iter().enumerate() {
            let (name, fingerprint) = (&source.name, &self.render_fingerprint);
            let key = RenditionKey::of(&name.key, record.state(), &job.recipe, fingerprint);
            let place = match known.entry(key) {
                Entry::Occupied(place) => *place.get(),
                Entry::Vacant(vacant) => *vacant.insert(match self.cache.get_format(key).await {
                    Some(format) => Err(format),
                    None => {
                        lookup.missing.push(MissingRendition {
                            key,
                            job,
                            indexes: Vec::new(),
                        });
                        Ok(lookup.missing.len() - 1)
                    }
                }),
            };
            match place {
                Ok(place) => lookup.missing[place].indexes.push(index),
                Err(format) => {
                    lookup.outcomes[index] = WarmOutcome::Kept.checked(job, Some(format));
                }
            }
        }
        lookup
    }

    /// Renders what is missing, and returns the outcomes of all jobs.
    async fn complete(
        self: &Arc<Self>,
        source: &SourceJobs<'_>,
        bytes: SourceBytes,
        lookup: CacheLookup<'_>,
    ) -> Result<Vec<WarmOutcome>, Arc<Error>> {
        let CacheLookup {
            mut outcomes,
            missing,
        } = lookup;
        if missing.is_empty() {
            return Ok(outcomes);
        }
        let record = Arc::clone(&bytes.record);
        let rendered = self.render_missing(&source.name, bytes, &missing).await?;
        for (rendition, (outcome, format)) in missing.iter().zip(rendered) {
            for &index in &rendition.indexes {
                outcomes[index] = outcome.clone().checked(source.jobs[index], format);
            }
            if matches!(outcome, WarmOutcome::Made) {
                self.remove_interim(rendition.job, &source.name, &record)
                    .await;
            }
        }
        Ok(outcomes)
    }

    /// Renders renditions of one source, and stores each as soon as it has been rendered: all that leave half of the memory to clients as one
    /// piece of work, and each other one while nothing else runs.
    async fn render_missing(
        self: &Arc<Self>,
        name: &SourceName,
        source: SourceBytes,
        missing: &[MissingRendition<'_>],
    ) -> Result<Vec<RenderedOutcome>, Arc<Error>> {
        let SourceBytes { record, bytes } = source;
        let count = u32::try_from(missing.len()).unwrap_or(u32::MAX);
        let urgency = Urgency::background(Priority::Idle, BACKGROUND_TIMEOUT.saturating_mul(count));
        let opening = Urgency::background(Priority::Idle, BACKGROUND_TIMEOUT);
        let opened = self.open_source(bytes, self.limits, opening).await?;
        let mut items = Vec::with_capacity(missing.len());
        for MissingRendition { job, .. } in missing {
            let hints = self.cached_saliency_map(&job.recipe, name, &record).await;
            items.push((job.recipe.clone(), hints));
        }
        let mut rendered = vec![None; missing.len()];
        for (numbers, batch, cost) in BatchJob::split(&opened, &items, self.cpu.background_bytes())
        {
            let keys = numbers.iter().map(|&number| missing[number].key).collect();
            let outcomes = self.render_batch(batch, cost, urgency, keys).await;
            for (number, mut outcome) in numbers.into_iter().zip(outcomes) {
                let mut cost = cost;
                for _ in 0..READMISSIONS {
                    let Some(bytes) = self.bytes_needed(&outcome, cost) else {
                        break;
                    };
                    cost.bytes = bytes;
                    let alone = BatchJob {
                        source: opened.clone(),
                        items: vec![items[number].clone()],
                        most: bytes,
                    };
                    let keys = vec![missing[number].key];
                    let again = self.render_batch(alone, cost, urgency, keys).await;
                    outcome = again.into_iter().next().unwrap_or(outcome);
                }
                rendered[number] = Some(outcome);
            }
        }
        Ok(rendered.into_iter().flatten().collect())
    }

    /// The bytes that a picture needs which was admitted with fewer.
    fn bytes_needed(&self, (outcome, _): &RenderedOutcome, cost: Cost) -> Option<u64> {
        match outcome {
            WarmOutcome::Failed(error) => match &**error {
                Error::Transform(error) => bytes_needed(error, cost, &self.limits),
                _ => None,
            },
            _ => None,
        }
    }

    /// Renders one piece of work, and stores each of its pictures under its key as soon as it has been rendered.
    async fn render_batch(
        self: &Arc<Self>,
        batch: BatchJob,
        cost: Cost,
        urgency: Urgency,
        keys: Vec<RenditionKey>,
    ) -> Vec<RenderedOutcome> {
        // Room for one picture: the render waits until the picture before has been stored.
        let (sender, mut receiver) = mpsc::channel(1);
        let workers = self.workers.clone();
        let order = urgency.order(worker::Job::Batch(batch), cost);
        let work = self.run_on_worker(cost, urgency, move || {
            run(&workers, order, &mut |index, encoded| {
                match sender.blocking_send((index, encoded)) {
                    Ok(()) => ControlFlow::Continue(()),
                    // The receiver was dropped: nobody needs the pictures any more.
                    Err(_) => ControlFlow::Break(()),
                }
            })
        });
        let store = async {
            let mut rendered = vec![None; keys.len()];
            while let Some((index, encoded)) = receiver.recv().await {
                rendered[index] = Some(self.store(keys[index], encoded).await);
            }
            rendered
        };
        let (done, rendered) = tokio::join!(work, store);
        let failed = match done {
            Ok(done) => done.value.err().map(Error::from),
            Err(error) => Some(error),
        };
        let lost = Arc::new(failed.unwrap_or(Error::Cpu(CpuError::Panicked)));
        let lost = (WarmOutcome::Failed(lost), None);
        let rendered = rendered.into_iter();
        rendered
            .map(|outcome| outcome.unwrap_or_else(|| lost.clone()))
            .collect()
    }

    /// Stores a picture, unless the cache has got it from somebody else in the meantime.
    async fn store(
        self: &Arc<Self>,
        key: RenditionKey,
        encoded: Result<Encoded, TransformError>,
    ) -> RenderedOutcome {
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return (WarmOutcome::Failed(Arc::new(error.into())), None),
        };
        let format = encoded.format;
        self.record_render(&encoded);
        let rendered = future::ready(Ok::<_, FlightError<Error>>(rendition(&key, encoded)));
        let outcome = match self.cache.get_or_render(key, true, rendered).await {
            Ok(found) if found.outcome == CacheStatus::Miss => WarmOutcome::Made,
            Ok(_) => WarmOutcome::Kept,
            Err(failed) => WarmOutcome::Failed(failed.error),
        };
        (outcome, Some(format))
    }

    /// Removes the interim rendition that a job's settled rendition replaces.
    async fn remove_interim(&self, job: &Job, name: &SourceName, record: &SourceRecord) {
        if Plan::may_be_interim(&job.recipe) {
            let key = RenditionKey::of(
                &name.key,
                record.state(),
                &job.recipe.quick(),
                &self.render_fingerprint,
            );
            self.cache.remove(key).await;
        }
    }
}

impl<'a> SourceJobs<'a> {
    /// Groups jobs by their source, in the order in which the sources come first.
    fn group(jobs: &'a [Job]) -> Vec<Self> {
        let mut sources: Vec<SourceJobs> = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            let name = SourceName::of(&job.source);
            match sources
                .iter_mut()
                .find(|source| source.name.key == name.key)
            {
                Some(source) => {
                    source.jobs.push(job);
                    source.indexes.push(index);
                }
                None => sources.push(SourceJobs {
                    name,
                    jobs: vec![job],
                    indexes: vec![index],
                }),
            }
        }
        sources
    }
}

impl WarmOutcome {
    /// This outcome, or a failure where the job does not allow the format that its picture came to have.
    fn checked(self, job: &Job, format: Option<Format>) -> Self {
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
