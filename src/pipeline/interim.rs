//! Interim renditions: the first client gets a WebP or AVIF that is encoded quickly. When somebody requests it again, a background job encodes
//! a smaller file while no client needs a worker, or within the share of background work; that file replaces the interim one, under an entity
//! tag of its own.

use std::sync::Arc;

use crate::cache::{
    CacheStatus, CachedRendition, CachedSource, FlightError, RenderOutput, Rendition, RenditionKey,
    SourceBytes, SourceRecord,
};
use crate::deadline::{Deadline, Stage, Timeout};
use crate::error::Error;
use crate::hosted;
use crate::pipeline::Pipeline;
use crate::pipeline::context::RequestContext;
use crate::pipeline::render::RenderTask;
use crate::pipeline::request_memo::{AdmittedRequest, RenditionRef, ResolvedRequest, SourceState};
use crate::pipeline::upgrades::Upgrade;
use crate::policy::Job;
use crate::transform::{FileFacts, Plan, Size};

/// The rendition that a request is answered with.
pub(crate) struct RenditionChoice<'a> {
    pub admitted: &'a AdmittedRequest,
    pub rendition: &'a RenditionRef,
    /// The rendition, if the choice has already found it in the cache.
    pub found: Option<CachedRendition>,
    /// For an interim rendition, the key of the settled one that is to replace it.
    pub upgrade: Option<RenditionKey>,
    /// The settled rendition in the store of hosted images, where it is there.
    pub stored: Option<&'a hosted::Rendition>,
}

impl<'a> RenditionChoice<'a> {
    /// The settled rendition, with what the cache has of it where that is known.
    fn settled(
        admitted: &'a AdmittedRequest,
        state: &'a SourceState,
        found: Option<CachedRendition>,
    ) -> Self {
        RenditionChoice {
            admitted,
            rendition: &state.settled,
            found,
            upgrade: None,
            stored: None,
        }
    }

    /// The job that renders it.
    pub(crate) fn job(&self) -> Job {
        match self.upgrade {
            Some(_) => self.admitted.quick_job(),
            None => self.admitted.job.clone(),
        }
    }

    /// Whether a rendition is to be replaced: more effort would make it smaller.
    pub(crate) fn is_interim(&self, rendition: &Rendition) -> bool {
        let quick = FileFacts {
            format: rendition.format,
            size: Size::new(rendition.width, rendition.height),
            bytes: rendition.bytes.len(),
        };
        self.upgrade.is_some() && Plan::is_interim(&self.admitted.job.recipe, &quick)
    }
}

impl Pipeline {
    /// Chooses between the interim and the settled rendition of a job that has both: the settled one if it is cached, or if the client
    /// names its entity tag.
    pub(crate) async fn choose<'a>(
        &self,
        resolved: &'a ResolvedRequest,
        admitted: &'a AdmittedRequest,
        state: &'a SourceState,
        context: &RequestContext,
    ) -> Result<RenditionChoice<'a>, Error> {
        let RenditionRef { key, headers } = &state.settled;
        if context.conditional.names(headers.etag()) {
            return Ok(RenditionChoice::settled(admitted, state, None));
        }
        if let Some(stored) = resolved.stored(&state.settled) {
            return Ok(RenditionChoice {
                stored: Some(stored),
                ..RenditionChoice::settled(admitted, state, None)
            });
        }
        let Some(interim) = self.interim_rendition(resolved, admitted, state) else {
            return Ok(RenditionChoice::settled(admitted, state, None));
        };
        let found = self.cache.find(*key);
        let found = context.deadline.bound(Stage::Render, found).await?;
        if found.is_some() {
            return Ok(RenditionChoice::settled(admitted, state, found));
        }
        Ok(RenditionChoice {
            admitted,
            rendition: interim,
            found: None,
            upgrade: Some(*key),
            stored: None,
        })
    }

    /// Whether the rendition that the client has is an interim one. One that is not cached any more counts as interim.
    pub(crate) async fn is_interim(
        &self,
        choice: &RenditionChoice<'_>,
        deadline: Deadline,
    ) -> Result<bool, Timeout> {
        if choice.upgrade.is_none() {
            return Ok(false);
        }
        let found = self.cache.find(choice.rendition.key);
        let found = deadline.bound(Stage::Render, found).await?;
        Ok(found.is_none_or(|found| choice.is_interim(&found.rendition)))
    }

    /// Requests the upgrade of an interim rendition, which begins as soon as there is time for it. `choice` is what the client is answered with.
    pub(crate) fn upgrade(
        self: &Arc<Self>,
        choice: &RenditionChoice<'_>,
        record: &Arc<SourceRecord>,
    ) {
        let Some(key) = choice.upgrade else {
            return;
        };
        self.request_upgrade(key, || Upgrade {
            job: choice.admitted.job.clone(),
            name: choice.admitted.name.clone(),
            record: Arc::clone(record),
            interim: choice.rendition.key,
        });
    }

    /// Renders a settled rendition from a source that a background job has fetched.
    pub(crate) async fn render_upgrade(
        self: Arc<Self>,
        task: RenderTask,
        source: SourceBytes,
    ) -> Result<RenderOutput, FlightError<Error>> {
        self.render(task, with_bytes(source)).await
    }
}

/// A source whose bytes are there.
fn with_bytes(source: SourceBytes) -> CachedSource {
    CachedSource {
        record: source.record,
        bytes: Some(source.bytes),
        outcome: CacheStatus::Miss,
        stale: None,
    }
}
