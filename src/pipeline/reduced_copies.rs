//! Reduced copies of large sources, cached like renditions. A render that has to decode all of a large source starts a background job that
//! makes a copy; later renders decode the copy.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::{FlightError, RenderOutput, RenditionKey};
use crate::cpu::Priority;
use crate::error::Error;
use crate::options::Recipe;
use crate::pipeline::Pipeline;
use crate::pipeline::background::{BackgroundJob, JobGuard, JobKind};
use crate::pipeline::render::{OpenedSource, rendition};
use crate::pipeline::workers::{BACKGROUND_TIMEOUT, Urgency};
use crate::policy::ApprovedSource;
use crate::transform::{HintFiles, ReducedCopies, ReducedCopyFile};
use crate::worker::Job;

impl Pipeline {
    /// Adds a cached copy of the source to the hints, if the recipe can be rendered from one. If none is cached, also returns by how much
    /// the copy is smaller that is worth making.
    pub(crate) async fn with_reduced_copy(
        &self,
        hints: HintFiles,
        opened: &OpenedSource,
        recipe: &Recipe,
    ) -> (HintFiles, Option<u32>) {
        let OpenedSource {
            name,
            record,
            source,
        } = opened;
        if !self.makes_reduced_copies || !record.freshness.is_storable() {
            return (hints, None);
        }
        let Some(copies) = source.reduced_copies(recipe) else {
            return (hints, None);
        };
        for denominator in copies.serving {
            let key = RenditionKey::of_reduced_copy(&name.key, record.state(), denominator);
            if let Some(found) = self.cache.find(key).await {
                self.metrics.work.record_large_source("reduced-copy");
                let copy = ReducedCopyFile {
                    denominator,
                    bytes: found.rendition.bytes.clone(),
                };
                let reduced_copy = Some(copy);
                return (
                    HintFiles {
                        reduced_copy,
                        ..hints
                    },
                    None,
                );
            }
        }
        self.metrics.work.record_large_source("source");
        (hints, Some(copies.worthwhile))
    }

    /// Starts the background job that makes a copy of a source, `denominator` times smaller. The copy replaces smaller ones.
    pub(crate) fn make_reduced_copy(
        self: &Arc<Self>,
        source: ApprovedSource,
        opened: &OpenedSource,
        denominator: u32,
    ) {
        let OpenedSource { name, record, .. } = opened;
        let key_of =
            |denominator| RenditionKey::of_reduced_copy(&name.key, record.state(), denominator);
        let key = key_of(denominator);
        let Some(guard) = JobGuard::of(&self.background, key) else {
            return;
        };
        let smaller = ReducedCopies::DENOMINATORS.into_iter();
        let smaller = smaller.filter(|&smaller| smaller > denominator);
        let copy = BackgroundJob {
            kind: JobKind::ReducedCopy,
            key,
            source,
            name: name.clone(),
            record: Arc::clone(record),
            replaces: smaller.map(key_of).collect(),
        };
        self.start_job(copy, guard, move |pipeline, source| {
            pipeline.render_reduced_copy(key, source.bytes, denominator)
        });
    }

    async fn render_reduced_copy(
        self: Arc<Self>,
        key: RenditionKey,
        bytes: Bytes,
        denominator: u32,
    ) -> Result<RenderOutput, FlightError<Error>> {
        let urgency = Urgency::background(Priority::Idle, BACKGROUND_TIMEOUT);
        let source = self.open_source(bytes, self.limits, urgency).await?;
        let plan = source.plan_reduced_copy(denominator).map_err(Error::from)?;
        let cost = plan.cost();
        let job = Job::ReducedCopy {
            source,
            denominator,
        };
        let encoded = self.render_on_worker(cost, urgency, job).await?;
        Ok(rendition(&key, encoded).into())
    }
}
