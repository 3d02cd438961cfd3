//! Renders renditions, and the saliency maps that they need.

use std::sync::{Arc, OnceLock};

use crate::cache::{
    CachedSource, FlightError, RenderOutput, Rendition, RenditionKey, SourceBytes, SourceName,
    SourceRecord,
};
use crate::cpu::{Priority, QueuePlace};
use crate::deadline::Stage;
use crate::error::Error;
use crate::options::Recipe;
use crate::pipeline::Pipeline;
use crate::pipeline::workers::{Asker, BACKGROUND_TIMEOUT, Urgency};
use crate::policy;
use crate::telemetry::RenderStep;
use crate::telemetry::trace;
use crate::telemetry::trace::Step;
use crate::transform::{Encoded, HintFiles, SaliencyMapPlan, Source, Timings, TransformError};
use crate::worker::Job;

/// A rendition that is to be rendered.
pub(crate) struct RenderTask {
    pub job: policy::Job,
    pub name: SourceName,
    pub priority: Priority,
    /// Who asked for it first.
    pub asker: Option<Asker>,
    /// The render sets it to the time that each step took.
    pub timings: Arc<OnceLock<Timings>>,
}

/// A source whose header has been read.
pub(crate) struct OpenedSource {
    pub name: SourceName,
    pub record: Arc<SourceRecord>,
    pub source: Source,
}

impl Pipeline {
    /// Renders a rendition, with a deadline of its own: other requests may still wait for it when the one that started it is gone.
    pub(crate) async fn render(
        self: Arc<Self>,
        task: RenderTask,
        found: CachedSource,
    ) -> Result<RenderOutput, FlightError<Error>> {
        let _span = trace::step(Step::Render);
        let expected = Arc::clone(&found.record);
        let urgency = match task.priority {
            Priority::Foreground => Urgency::foreground(self.request_timeout).asked_by(task.asker),
            Priority::Share | Priority::Idle => {
                Urgency::background(task.priority, BACKGROUND_TIMEOUT)
            }
        };
        let place = match (task.asker, &found.bytes) {
            (Some(asker), None) => Some(self.take_place(asker)?),
            // There was one for its fetch, just now.
            (Some(asker), Some(_)) => Some(self.cpu.hold_place(asker.client)),
            (None, _) => None,
        };
        let fetch = self.fetch(task.job.source.clone());
        let source = self.cache.bytes_or_fetch(&task.name, found, fetch);
        let source = urgency.deadline.bound(Stage::Fetch, source).await;
        let source = source.map_err(Error::from)??;
        let record = Arc::clone(&source.record);
        let rendition = self.render_source(task, source, urgency, place).await;
        Ok(RenderOutput {
            rendition: rendition.map_err(|failed| failed.about(&record))?,
            source: (!Arc::ptr_eq(&record, &expected)).then_some(record),
        })
    }

    /// Renders a rendition of a source whose bytes are there.
    async fn render_source(
        self: &Arc<Self>,
        task: RenderTask,
        source: SourceBytes,
        urgency: Urgency,
        place: Option<QueuePlace>,
    ) -> Result<Rendition, FlightError<Error>> {
        let RenderTask {
            job, name, timings, ..
        } = task;
        let SourceBytes { record, bytes } = source;
        let key = RenditionKey::of(
            &name.key,
            record.state(),
            &job.recipe,
            &self.render_fingerprint,
        );
        let opened = OpenedSource {
            source: self.open_source(bytes, self.limits, urgency).await?,
            name,
            record,
        };
        let hints = self.hints(&opened, &job.recipe, urgency);
        let hints = urgency.deadline.bound(Stage::Render, hints).await;
        let (hints, missing_copy) = hints.map_err(Error::from)??;
        let cost = opened.source.price(&job.recipe, &hints);
        let cost = cost.map_err(Error::from)?;
        let render = Job::Render {
            source: opened.source.clone(),
            recipe: Box::new(job.recipe),
            hints,
        };
        if urgency.priority == Priority::Foreground {
            self.cpu.record_estimate(&urgency.cost(cost));
        }
        drop(place);
        let encoded = self.render_on_worker(cost, urgency, render).await?;
        self.record_render(&encoded);
        if let Some(denominator) = missing_copy
            && !encoded.is_of_truncated()
        {
            self.make_reduced_copy(job.source, &opened, denominator);
        }
        // No other render sets it: a flight renders once.
        let _ = timings.set(encoded.timings);
        Ok(rendition(&key, encoded))
    }

    /// Counts a rendition, and the time that each step of its render took.
    pub(crate) fn record_render(&self, encoded: &Encoded) {
        let Timings {
            decode,
            resize,
            encode,
        } = encoded.timings;
        let steps = [
            (RenderStep::Decode, decode),
            (RenderStep::Resize, resize),
            (RenderStep::Encode, encode),
        ];
        let format = encoded.format.extension();
        self.metrics.work.record_render(format, steps);
    }

    /// What earlier renders of the source have left for this one; and by how much the reduced copy is smaller that is worth making.
    ///
    /// Background work takes a cached saliency map, or else computes its own as part of the render: a client that needs the same map must not
    /// wait for background work.
    async fn hints(
        self: &Arc<Self>,
        opened: &OpenedSource,
        recipe: &Recipe,
        urgency: Urgency,
    ) -> Result<(HintFiles, Option<u32>), FlightError<Error>> {
        let hints = match urgency.priority {
            Priority::Foreground => self.saliency_map(opened, recipe, urgency).await?,
            Priority::Share | Priority::Idle => {
                let OpenedSource { name, record, .. } = opened;
                self.cached_saliency_map(recipe, name, record).await
            }
        };
        Ok(self.with_reduced_copy(hints, opened, recipe).await)
    }

    /// The saliency map that a recipe needs: rendered once for all recipes, and cached. If its render fails, the render of the picture
    /// reports the reason; only a render that took too long or has ended its process is not tried again.
    async fn saliency_map(
        self: &Arc<Self>,
        opened: &OpenedSource,
        recipe: &Recipe,
        urgency: Urgency,
    ) -> Result<HintFiles, FlightError<Error>> {
        if !SaliencyMapPlan::is_needed(recipe) {
            return Ok(HintFiles::default());
        }
        let gravity = recipe.gravity;
        let key = RenditionKey::of_saliency_map(&opened.name.key, opened.record.state(), gravity);
        let (pipeline, source) = (Arc::clone(self), opened.source.clone());
        let render = async move {
            let plan = source.plan_saliency_map(gravity).map_err(Error::from)?;
            let (cost, job) = (plan.cost(), Job::SaliencyMap { source, gravity });
            let map = pipeline.render_on_worker(cost, urgency, job).await?;
            Ok::<_, FlightError<Error>>(rendition(&key, map))
        };
        let keep = opened.record.freshness.is_storable();
        match self.cache.get_or_render(key, keep, render).await {
            Ok(found) => Ok(map_hint(&found.rendition)),
            Err(failed) => match &*failed.error {
                Error::Transform(TransformError::OutOfTime) | Error::Worker(_) => Err(failed),
                _ => Ok(HintFiles::default()),
            },
        }
    }

    /// The saliency map that a recipe needs, if it is cached.
    pub(crate) async fn cached_saliency_map(
        self: &Arc<Self>,
        recipe: &Recipe,
        name: &SourceName,
        record: &SourceRecord,
    ) -> HintFiles {
        if !SaliencyMapPlan::is_needed(recipe) {
            return HintFiles::default();
        }
        let key = RenditionKey::of_saliency_map(&name.key, record.state(), recipe.gravity);
        let found = self.cache.find(key).await;
        found.map_or_else(HintFiles::default, |found| map_hint(&found.rendition))
    }
}

/// A saliency map as a hint.
fn map_hint(map: &Rendition) -> HintFiles {
    HintFiles {
        saliency_map: Some(map.bytes.clone()),
        reduced_copy: None,
    }
}

/// The rendition with this key, as it was encoded.
pub(crate) fn rendition(key: &RenditionKey, encoded: Encoded) -> Rendition {
    let warnings = encoded.warnings.iter().map(ToString::to_string).collect();
    Rendition::new(
        key,
        encoded.bytes,
        encoded.format,
        (encoded.size.width, encoded.size.height),
        warnings,
    )
}
