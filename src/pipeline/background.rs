//! Background jobs: renditions that no client waits for. Each is made once, one job runs at a time besides those of the share, and a job that
//! failed is not tried again for a while.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cache::{
    CacheStatus, CachedSource, FlightError, RenderOutput, RenditionKey, SourceBytes, SourceName,
    SourceRecord,
};
use crate::cpu::CpuError;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::policy::ApprovedSource;

/// The most jobs that run or wait at once. A job beyond that is dropped: a later request asks for it again.
const MAX_JOBS: usize = 256;

/// How long a job that failed is not tried again.
const RETRY_DELAY: Duration = Duration::from_secs(10 * 60);

/// The background jobs that run or wait, and those that failed a short time ago.
pub(crate) struct BackgroundJobs {
    /// One job runs at a time. Those that wait hold no source.
    turn: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    active: HashSet<RenditionKey>,
    failed: HashMap<RenditionKey, Instant>,
}

/// The right to run one job. It is given back when the guard is dropped.
pub(crate) struct JobGuard {
    state: Arc<Mutex<State>>,
    key: RenditionKey,
}

/// A rendition to be made in the background.
pub(crate) struct BackgroundJob {
    pub kind: JobKind,
    pub key: RenditionKey,
    pub source: ApprovedSource,
    pub name: SourceName,
    /// The state of the source for which the rendition is wanted.
    pub record: Arc<SourceRecord>,
    /// Renditions that this one replaces.
    pub replaces: Vec<RenditionKey>,
}

/// What a background job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobKind {
    /// A smaller file in place of an interim rendition.
    Upgrade,
    /// A reduced copy of a large source.
    ReducedCopy,
}

/// How a background job ended, where nothing failed.
enum JobOutcome {
    /// The rendition was made, or found because somebody else had made it.
    Done(CacheStatus),
    /// There was no memory for the source.
    NoMemory,
    /// The source has changed since the rendition was wanted.
    SourceChanged,
}

impl Default for BackgroundJobs {
    fn default() -> Self {
        BackgroundJobs {
            turn: Arc::new(Semaphore::new(1)),
            state: Arc::default(),
        }
    }
}

impl BackgroundJobs {
    /// Whether a job neither runs or waits, nor failed a short time ago.
    pub(crate) fn may_start(&self, key: RenditionKey) -> bool {
        let state = lock(&self.state);
        !state.active.contains(&key) && !state.has_failed(key)
    }

    /// The right to run the one job, if nobody has it.
    pub(crate) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turn).try_acquire_owned().ok()
    }
}

impl State {
    fn has_failed(&self, key: RenditionKey) -> bool {
        let failed = self.failed.get(&key);
        failed.is_some_and(|failed| failed.elapsed() < RETRY_DELAY)
    }
}

impl JobGuard {
    /// `None` if the job runs or waits already, if it failed a short time ago, or if there are too many jobs.
    pub(crate) fn of(jobs: &BackgroundJobs, key: RenditionKey) -> Option<JobGuard> {
        let mut state = lock(&jobs.state);
        if state.active.len() >= MAX_JOBS || state.has_failed(key) {
            return None;
        }
        state.active.insert(key).then(|| JobGuard {
            state: Arc::clone(&jobs.state),
            key,
        })
    }

    /// The rendition of the job.
    pub(crate) fn key(&self) -> RenditionKey {
        self.key
    }

    /// Delays the next try of this job.
    fn delay_retry(&self) {
        let mut state = lock(&self.state);
        if state.failed.len() >= MAX_JOBS {
            state
                .failed
                .retain(|_, failed| failed.elapsed() < RETRY_DELAY);
        }
        if state.failed.len() >= MAX_JOBS {
            state.failed.clear();
        }
        state.failed.insert(self.key, Instant::now());
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        lock(&self.state).active.remove(&self.key);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipeline {
    /// Starts a background job when it is its turn.
    pub(crate) fn start_job<F, Fut>(
        self: &Arc<Self>,
        job: BackgroundJob,
        guard: JobGuard,
        render: F,
    ) where
        F: FnOnce(Arc<Self>, SourceBytes) -> Fut + Send + 'static,
        Fut: Future<Output = Result<RenderOutput, FlightError<Error>>> + Send + 'static,
    {
        let pipeline = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_turn) = pipeline.background.turn.acquire().await else {
                return;
            };
            pipeline.do_job(job, guard, render).await;
        });
    }

    /// Does a background job: renders the rendition of the source with `render`, stores it, and removes the renditions that it replaces.
    pub(crate) async fn do_job<F, Fut>(
        self: &Arc<Self>,
        job: BackgroundJob,
        guard: JobGuard,
        render: F,
    ) where
        F: FnOnce(Arc<Self>, SourceBytes) -> Fut,
        Fut: Future<Output = Result<RenderOutput, FlightError<Error>>> + Send + 'static,
    {
        let (kind, replaces) = (job.kind, job.replaces.clone());
        let result = self.run_job(job, render).await;
        self.record_job(kind, &guard, &result);
        if matches!(result, Ok(JobOutcome::Done(_))) {
            for key in replaces {
                self.cache.remove(key).await;
            }
        }
    }

    async fn run_job<F, Fut>(
        self: &Arc<Self>,
        job: BackgroundJob,
        render: F,
    ) -> Result<JobOutcome, Arc<Error>>
    where
        F: FnOnce(Arc<Self>, SourceBytes) -> Fut,
        Fut: Future<Output = Result<RenderOutput, FlightError<Error>>> + Send + 'static,
    {
        let found = CachedSource {
            record: Arc::clone(&job.record),
            bytes: None,
            outcome: CacheStatus::Miss,
            stale: None,
        };
        let Ok((found, _reservation)) = self.reserve_idle(found).await else {
            return Ok(JobOutcome::NoMemory);
        };
        let fetch = self.fetch(job.source);
        let source = self.cache.bytes_or_fetch(&job.name, found, fetch).await?;
        if !source.record.is_same_state(&job.record) {
            return Ok(JobOutcome::SourceChanged);
        }
        let render = render(Arc::clone(self), source);
        let found = self.cache.get_or_render(job.key, true, render).await?;
        Ok(JobOutcome::Done(found.outcome))
    }

    /// Counts how a job ended, and decides whether it may be tried again at once.
    fn record_job(&self, kind: JobKind, guard: &JobGuard, result: &Result<JobOutcome, Arc<Error>>) {
        let word = match (kind, result) {
            // Somebody else made the rendition.
            (JobKind::Upgrade, Ok(JobOutcome::Done(status))) if *status != CacheStatus::Miss => {
                return;
            }
            (_, Ok(JobOutcome::Done(_))) => "made",
            (JobKind::ReducedCopy, Ok(JobOutcome::NoMemory)) => {
                guard.delay_retry();
                "skipped"
            }
            (_, Ok(JobOutcome::NoMemory | JobOutcome::SourceChanged)) => "skipped",
            (_, Err(error)) => {
                guard.delay_retry();
                tracing::debug!(?kind, %error, "background job failed");
                let is_rejection = matches!(**error, Error::Cpu(CpuError::Rejected { .. }));
                if kind == JobKind::Upgrade && is_rejection {
                    "skipped"
                } else {
                    "failed"
                }
            }
        };
        match kind {
            JobKind::Upgrade => self.metrics.work.record_upgrade(word),
            JobKind::ReducedCopy => self.metrics.work.record_reduced_copy(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BackgroundJobs;
    use super::JobGuard;
    use super::MAX_JOBS;
    use super::RenditionKey;

    #[test]
    fn a_job_runs_once_and_is_not_tried_again_right_after_it_failed() {
        let jobs = BackgroundJobs::default();
        let key = RenditionKey::numbered(1);
        let guard = JobGuard::of(&jobs, key).expect("the job is new");
        assert!(JobGuard::of(&jobs, key).is_none());
        assert!(JobGuard::of(&jobs, RenditionKey::numbered(2)).is_some());
        drop(guard);
        let guard = JobGuard::of(&jobs, key).expect("the job has ended");
        guard.delay_retry();
        drop(guard);
        assert!(JobGuard::of(&jobs, key).is_none());
    }

    #[test]
    fn active_and_failed_jobs_are_bounded() {
        let jobs = BackgroundJobs::default();
        let guards: Vec<JobGuard> = (0..2 * MAX_JOBS as u64)
            .filter_map(|number| JobGuard::of(&jobs, RenditionKey::numbered(number)))
            .collect();
        assert_eq!(guards.len(), MAX_JOBS);
        for number in 0..2 * MAX_JOBS as u64 {
            JobGuard {
                state: jobs.state.clone(),
                key: RenditionKey::numbered(number),
            }
            .delay_retry();
        }
        assert!(super::lock(&jobs.state).failed.len() <= MAX_JOBS);
    }
}
