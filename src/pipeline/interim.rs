//! Interim answers: an AVIF is made quickly for whoever asks first, and well, when a processor has nothing else to do, for whoever asks
//! again. The better one then takes the place of the other, under a tag of its own.

use std::sync::Arc;
use std::sync::OnceLock;

use crate::cache::CacheStatus;
use crate::cache::CachedRendition;
use crate::cache::CachedSource;
use crate::cache::Rendition;
use crate::cache::RenditionKey;
use crate::cache::SourceName;
use crate::cache::SourceRecord;
use crate::cpu::CpuError;
use crate::deadline::Deadline;
use crate::deadline::Stage;
use crate::deadline::Timeout;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::pipeline::background::JobGuard;
use crate::pipeline::context::RequestContext;
use crate::pipeline::render::Priority;
use crate::pipeline::request_memo::AdmittedRequest;
use crate::pipeline::request_memo::RenditionRef;
use crate::pipeline::request_memo::ResolvedRequest;
use crate::pipeline::request_memo::SourceState;
use crate::policy::Job;
use crate::transform::Plan;
use crate::transform::Size;

/// The rendition that a request is answered with.
pub(crate) struct RenditionChoice<'a> {
    pub admitted: &'a AdmittedRequest,
    pub rendition: &'a RenditionRef,
    /// What was found under that name, where somebody looked.
    pub found: Option<CachedRendition>,
    /// The key of the rendition that is to take its place.
    pub better: Option<RenditionKey>,
}

impl RenditionChoice<'_> {
    /// What is to be done for it.
    pub fn job(&self) -> Job {
        match self.better {
            Some(_) => self.admitted.quick_job(),
            None => self.admitted.job.clone(),
        }
    }

    /// Whether a rendition is to be replaced by a better one.
    pub fn is_interim(&self, rendition: &Rendition) -> bool {
        let size = Size::new(rendition.width, rendition.height);
        self.better.is_some() && Plan::is_interim(&self.job().recipe, rendition.format, size)
    }
}

impl Pipeline {
    /// Chooses between the quick and the settled rendition of a job, where there are two: the settled one if it is kept, or if the client
    /// already has it.
    pub(crate) async fn choose<'a>(
        &self,
        resolved: &ResolvedRequest,
        admitted: &'a AdmittedRequest,
        state: &'a SourceState,
        context: &RequestContext,
    ) -> Result<RenditionChoice<'a>, Error> {
        let RenditionRef { key, headers } = &state.settled;
        let settled = |found| RenditionChoice {
            admitted,
            rendition: &state.settled,
            found,
            better: None,
        };
        if context.conditional.names(headers.etag()) {
            return Ok(settled(None));
        }
        let Some(quick) = self.quick(resolved, admitted, state) else {
            return Ok(settled(None));
        };
        let found = self.cache.find(*key);
        let found = context.deadline.bound(Stage::Render, found).await?;
        if found.is_some() {
            return Ok(settled(found));
        }
        Ok(RenditionChoice {
            admitted,
            rendition: quick,
            found: None,
            better: Some(*key),
        })
    }

    /// Whether the client has an interim rendition, by what is kept under its key; what is not kept any more was one.
    pub(crate) async fn is_interim(
        &self,
        choice: &RenditionChoice<'_>,
        deadline: Deadline,
    ) -> Result<bool, Timeout> {
        if choice.better.is_none() {
            return Ok(false);
        }
        let kept = self.cache.find(choice.rendition.key);
        let kept = deadline.bound(Stage::Render, kept).await?;
        Ok(kept.is_none_or(|found| choice.is_interim(&found.rendition)))
    }

    /// Has the better rendition made, if nobody is at it and the processors are idle. `choice` is what was answered in the meantime.
    pub(crate) fn upgrade(
        self: &Arc<Self>,
        choice: &RenditionChoice<'_>,
        record: &Arc<SourceRecord>,
    ) {
        let Some(better) = choice.better else {
            return;
        };
        let Some(claim) = JobGuard::of(&self.chores, better) else {
            return;
        };
        if !self.cpu.is_idle() {
            self.metrics.work.record_upgrade("skipped");
            return;
        }
        let AdmittedRequest { job, name, .. } = choice.admitted;
        let (job, name, interim) = (job.clone(), name.clone(), choice.rendition.key);
        let (pipeline, record) = (Arc::clone(self), Arc::clone(record));
        tokio::spawn(async move {
            let Ok(_turn) = pipeline.chores.turn.acquire().await else {
                return;
            };
            match pipeline.settle(job, name, record, better).await {
                Ok(Some(CacheStatus::Miss)) => pipeline.metrics.work.record_upgrade("made"),
                // Somebody was faster.
                Ok(Some(_)) => {}
                Ok(None) => {
                    pipeline.metrics.work.record_upgrade("skipped");
                    return;
                }
                Err(error) => {
                    claim.failed();
                    let is_refusal = matches!(*error, Error::Cpu(CpuError::Rejected { .. }));
                    pipeline.metrics.work.record_upgrade(if is_refusal {
                        "skipped"
                    } else {
                        "failed"
                    });
                    tracing::debug!(%error, "an interim picture stays");
                    return;
                }
            }
            pipeline.cache.remove(interim).await;
        });
    }

    /// Makes the better rendition and keeps it; `None` where the source is no longer what the interim one was made of.
    async fn settle(
        self: &Arc<Self>,
        job: Job,
        name: SourceName,
        record: Arc<SourceRecord>,
        better: RenditionKey,
    ) -> Result<Option<CacheStatus>, Arc<Error>> {
        let before = Arc::clone(&record);
        let known = CachedSource {
            record,
            bytes: None,
            outcome: CacheStatus::Miss,
            stale: None,
        };
        let Ok((known, _share)) = self.reserve_idle(known).await else {
            return Ok(None);
        };
        let source = self
            .cache
            .bytes_or_fetch(&name, known, self.fetch(job.source.clone()))
            .await?;
        if !source.record.is_same_state(&before) {
            return Ok(None);
        }
        let source = CachedSource {
            record: source.record,
            bytes: Some(source.bytes),
            outcome: CacheStatus::Miss,
            stale: None,
        };
        let spent = Arc::new(OnceLock::new());
        let render = Arc::clone(self).render(job, name, source, Priority::Idle, spent);
        let found = self.cache.get_or_render(better, true, render).await?;
        Ok(Some(found.outcome))
    }
}
