//! Smaller copies of large sources, kept like renditions: made when a processor has nothing else to do, after a picture for which all of
//! the source had to be decoded; the next sizes are made of them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::cache::CacheStatus;
use crate::cache::CachedSource;
use crate::cache::FlightError;
use crate::cache::Rendition;
use crate::cache::RenditionKey;
use crate::cache::SourceBytes;
use crate::cache::SourceName;
use crate::cache::SourceRecord;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::options::Recipe;
use crate::pipeline::Pipeline;
use crate::pipeline::background::JobGuard;
use crate::pipeline::render::IDLE_TIMEOUT;
use crate::pipeline::render::Priority;
use crate::pipeline::render::rendition;
use crate::policy::ApprovedSource;
use crate::transform::Budget;
use crate::transform::Hints;
use crate::transform::ReducedCopies;
use crate::transform::Source;

impl Pipeline {
    /// The hints with a copy that a recipe may be made of, if one is kept; else by how much the copy is smaller that should be.
    pub(crate) async fn with_reduced_copy(
        &self,
        hints: Hints,
        name: &SourceName,
        record: &SourceRecord,
        source: &Source,
        recipe: &Recipe,
    ) -> (Hints, Option<u32>) {
        if !self.makes_reduced_copies {
            return (hints, None);
        }
        let reduced_copies = source.reduced_copies(recipe);
        let Some(ReducedCopies {
            serving,
            worthwhile,
        }) = reduced_copies.filter(|_| record.freshness.is_storable())
        else {
            return (hints, None);
        };
        for denominator in serving {
            let key = RenditionKey::of_reduced_copy(&name.key, record, denominator);
            if let Some(found) = self.cache.find(key).await {
                self.metrics.work.record_large_source("reduced-copy");
                let bytes = found.rendition.bytes.clone();
                return (hints.with_reduced_copy(denominator, bytes), None);
            }
        }
        self.metrics.work.record_large_source("source");
        (hints, Some(worthwhile))
    }

    /// Has a copy of a source made that is so much smaller, if nobody is at it; it takes the place of smaller ones.
    pub(crate) fn make_reduced_copy(
        self: &Arc<Self>,
        source: ApprovedSource,
        name: SourceName,
        record: Arc<SourceRecord>,
        denominator: u32,
    ) {
        let key = RenditionKey::of_reduced_copy(&name.key, &record, denominator);
        let Some(claim) = JobGuard::of(&self.chores, key) else {
            return;
        };
        let pipeline = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_turn) = pipeline.chores.turn.acquire().await else {
                return;
            };
            let before = Arc::clone(&record);
            let known = CachedSource {
                record,
                bytes: None,
                outcome: CacheStatus::Miss,
                stale: None,
            };
            let Ok((known, _share)) = pipeline.reserve_idle(known).await else {
                claim.failed();
                pipeline.metrics.work.record_reduced_copy("skipped");
                return;
            };
            let fetched = pipeline
                .cache
                .bytes_or_fetch(&name, known, pipeline.fetch(source))
                .await;
            let made = match fetched {
                Ok(SourceBytes { record, bytes }) if record.is_same_state(&before) => {
                    let work = Arc::clone(&pipeline).rendered_copy(key, bytes, denominator);
                    pipeline.cache.get_or_render(key, true, work).await
                }
                Ok(_) => {
                    pipeline.metrics.work.record_reduced_copy("skipped");
                    return;
                }
                Err(error) => Err(error),
            };
            match made {
                Ok(_) => pipeline.metrics.work.record_reduced_copy("made"),
                Err(FlightError { error, .. }) => {
                    claim.failed();
                    pipeline.metrics.work.record_reduced_copy("failed");
                    tracing::debug!(%error, "a large source stays without a copy");
                    return;
                }
            }
            for smaller in ReducedCopies::DENOMINATORS {
                if smaller > denominator {
                    let key = RenditionKey::of_reduced_copy(&name.key, &before, smaller);
                    pipeline.cache.remove(key).await;
                }
            }
        });
    }

    async fn rendered_copy(
        self: Arc<Self>,
        key: RenditionKey,
        bytes: Bytes,
        denominator: u32,
    ) -> Result<Rendition, FlightError<Error>> {
        let deadline = Deadline::after(IDLE_TIMEOUT);
        let source = self.open_source(bytes, deadline, Priority::Idle).await?;
        let plan = source.plan_reduced_copy(denominator).map_err(Error::from)?;
        let cost = plan.cost();
        let work = move || plan.render(&Budget::until(Instant::now() + IDLE_TIMEOUT));
        let made = self
            .render_on_worker(cost, deadline, Priority::Idle, work)
            .await?;
        Ok(rendition(&key, made))
    }
}
