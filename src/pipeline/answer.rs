//! The last steps of a request: the client's preconditions, the rendition, and the response.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::Response;

use crate::cache::{
    CacheStatus, CacheableError, CachedRendition, CachedSource, FlightError, SourceRecord, Stale,
    Tier,
};
use crate::deadline::Stage;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::pipeline::context::RequestContext;
use crate::pipeline::interim::RenditionChoice;
use crate::pipeline::render::RenderTask;
use crate::pipeline::request_memo::{ResolvedRequest, SourceState};
use crate::pipeline::sources::SourceLookup;
use crate::pipeline::workers::Priority;
use crate::request::{PreconditionOutcome, Vary};
use crate::response;
use crate::response::{Body, ErrorCaching, RepresentationHeaders, RequestTimings, ResponseContext};
use crate::telemetry::RequestOutcome;
use crate::transform::Timings;

/// A response with the outcome that metrics and the access log report.
pub(crate) struct Answer {
    pub response: Response<Body>,
    pub outcome: RequestOutcome,
}

/// The rendition of a request, with the state of the source that it is served by.
pub(crate) struct RenditionLookup<'a> {
    choice: RenditionChoice<'a>,
    found: CachedRendition,
    record: Arc<SourceRecord>,
    stale: Option<Stale>,
    /// How long the source took to get.
    fetch: Duration,
    /// The steps of the render, if this request rendered the rendition.
    render: Option<Timings>,
}

impl RenditionLookup<'_> {
    /// The headers of the rendition, if they are not those of the choice: the rendition was made of a newer state of the source.
    fn newer_headers(
        &self,
        request: &ResolvedRequest,
        state: &SourceState,
    ) -> Option<RepresentationHeaders> {
        let etag = &self.found.rendition.etag;
        let is_chosen = *etag == self.choice.rendition.headers.etag()
            && Arc::ptr_eq(&self.record, &state.record);
        let warnings = &self.choice.admitted.job.warnings;
        let newer =
            || RepresentationHeaders::of(&self.record, etag.clone(), request.vary, warnings);
        (!is_chosen).then(newer)
    }
}

impl Pipeline {
    /// The answer to a client whose preconditions make a picture unnecessary: 304 or 412.
    pub(crate) async fn conditional(
        self: &Arc<Self>,
        choice: &RenditionChoice<'_>,
        lookup: &SourceLookup,
        context: &RequestContext,
    ) -> Result<Option<Answer>, FlightError<Error>> {
        let SourceLookup { source, elapsed } = lookup;
        let representation = &choice.rendition.headers;
        let modified = source.record.validators.last_modified;
        let conditional = &context.conditional;
        let outcome = conditional.evaluate_preconditions(representation.etag(), modified);
        let Some(outcome) = outcome else {
            return Ok(None);
        };
        let timings = RequestTimings {
            outcome: source.outcome,
            fetch: *elapsed,
            render: None,
            total: context.started.elapsed(),
        };
        let is_interim = self.is_interim(choice, context.deadline).await;
        let is_interim = is_interim.map_err(Error::from)?;
        if is_interim {
            self.upgrade(choice, &source.record);
        }
        let told = ResponseContext {
            representation,
            source: &source.record,
            timings,
            interim: is_interim.then_some(self.interim_ttl),
            stale: source.stale,
        };
        Ok(Some(Answer {
            response: response::precondition(outcome, &told),
            outcome: precondition_outcome(outcome),
        }))
    }

    /// The rendition that was chosen, with the state of the source that the response tells of.
    pub(crate) async fn obtain<'a>(
        self: &Arc<Self>,
        mut choice: RenditionChoice<'a>,
        lookup: SourceLookup,
        context: &RequestContext,
    ) -> Result<RenditionLookup<'a>, FlightError<Error>> {
        let SourceLookup { source, elapsed } = lookup;
        let (record, stale) = (Arc::clone(&source.record), source.stale);
        let (found, render) = self.find_or_render(&mut choice, source, context).await?;
        // The render may have fetched the source again: that state is fresh.
        let (mut record, stale) = match &found.source {
            Some(newer) => (Arc::clone(newer), None),
            None => (record, stale),
        };
        if found.rendition.is_of_truncated() {
            let key = &choice.admitted.name.key;
            record = self.cache.cap_source(key, &record).await;
        }
        Ok(RenditionLookup {
            choice,
            found,
            record,
            stale,
            fetch: elapsed,
            render,
        })
    }

    /// The rendition that was chosen: from the cache, or else rendered. The times are there if this request rendered it.
    async fn find_or_render(
        self: &Arc<Self>,
        choice: &mut RenditionChoice<'_>,
        source: CachedSource,
        context: &RequestContext,
    ) -> Result<(CachedRendition, Option<Timings>), FlightError<Error>> {
        let key = choice.rendition.key;
        let keep = source.record.freshness.is_storable();
        if choice.found.is_none() && keep {
            choice.found = self.cache.get(&key).await;
        }
        if let Some(found) = choice.found.take() {
            return Ok((found, None));
        }
        let record = Arc::clone(&source.record);
        let timings = Arc::new(OnceLock::new());
        let task = RenderTask {
            job: choice.job(),
            name: choice.admitted.name.clone(),
            priority: Priority::Foreground,
            timings: Arc::clone(&timings),
        };
        let render = Arc::clone(self).render(task, source);
        let found = self.cache.get_or_render(key, keep, render);
        let found = context.deadline.bound(Stage::Render, Box::pin(found)).await;
        let found = found.map_err(Error::from)?;
        let found = found.map_err(|failed| failed.about(&record))?;
        Ok((found, timings.get().copied()))
    }

    /// The response with the rendition.
    pub(crate) fn answer(
        self: &Arc<Self>,
        request: &ResolvedRequest,
        state: &SourceState,
        lookup: &RenditionLookup<'_>,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let (choice, found) = (&lookup.choice, &lookup.found);
        let rendition = &*found.rendition;
        let allowed = choice.admitted.job.check_output(rendition.format);
        allowed.map_err(|denied| FlightError::from(Error::from(denied)).about(&lookup.record))?;
        let is_interim = self.record_interim(lookup);
        let timings = RequestTimings {
            outcome: found.outcome,
            fetch: lookup.fetch,
            render: lookup.render,
            total: context.started.elapsed(),
        };
        let newer = lookup.newer_headers(request, state);
        let representation = newer.as_ref().unwrap_or(&choice.rendition.headers);
        let conditional = &context.conditional;
        let range = conditional.select_range(representation.etag(), None, rendition.bytes.len());
        let told = ResponseContext {
            representation,
            source: &lookup.record,
            timings,
            interim: is_interim.then_some(self.interim_ttl),
            stale: lookup.stale,
        };
        Ok(Answer {
            response: response::image(rendition, &told, range, context.head_only),
            outcome: image_outcome(found.outcome),
        })
    }

    /// Counts an answer with an interim rendition, and starts its upgrade where it was cached: then it is requested more than once.
    fn record_interim(self: &Arc<Self>, lookup: &RenditionLookup<'_>) -> bool {
        let RenditionLookup { choice, found, .. } = lookup;
        let is_interim = choice.is_interim(&found.rendition);
        if is_interim {
            self.metrics.caches.record_interim();
            if matches!(found.outcome, CacheStatus::Hit(_)) {
                self.upgrade(choice, &lookup.record);
            }
        }
        is_interim
    }

    /// The answer to a request that failed: an error, or a redirect to the source. Only a request for a transformation can be resolved.
    pub(crate) fn answer_error(
        &self,
        failed: FlightError<Error>,
        request: Option<&ResolvedRequest>,
        context: &RequestContext,
    ) -> Answer {
        let FlightError {
            error,
            since,
            is_storable,
        } = failed;
        self.metrics.requests.record_error(error.info().code);
        let vary = request.map_or_else(Vary::default, |request| request.vary);
        let fallback = request.and_then(|request| request.fallback.as_ref());
        let response = match fallback.filter(|_| error.may_redirect()) {
            Some(location) => response::redirect(&error, location, vary, context.head_only),
            None => {
                let caching = is_storable.then(|| ErrorCaching {
                    life: error.ttl(&self.error_ttls),
                    age: since.map(|since| since.elapsed().unwrap_or_default()),
                });
                response::error(&error, caching, vary, context.head_only)
            }
        };
        Answer {
            response,
            outcome: RequestOutcome::Error,
        }
    }
}

/// How metrics and the access log report a precondition that decided the answer.
fn precondition_outcome(outcome: PreconditionOutcome) -> RequestOutcome {
    match outcome {
        PreconditionOutcome::NotModified => RequestOutcome::NotModified,
        PreconditionOutcome::PreconditionFailed => RequestOutcome::PreconditionFailed,
    }
}

/// How metrics and the access log report what the cache had of a rendition.
fn image_outcome(status: CacheStatus) -> RequestOutcome {
    match status {
        CacheStatus::Hit(Tier::Memory) => RequestOutcome::Memory,
        CacheStatus::Hit(Tier::Disk) => RequestOutcome::Disk,
        CacheStatus::Hit(Tier::Shared) => RequestOutcome::Shared,
        CacheStatus::Coalesced => RequestOutcome::Coalesced,
        CacheStatus::Miss | CacheStatus::Revalidated => RequestOutcome::Miss,
    }
}
