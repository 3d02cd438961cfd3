//! The last steps of a request: the client's preconditions, the rendition, and the response.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::Response;

use crate::cache::{
    CacheStatus, CacheableError, CachedRendition, CachedSource, FlightError, SourceRecord, Stale,
    Tier,
};
use crate::cpu::Priority;
use crate::deadline::Stage;
use crate::error::Error;
use crate::options::Format;
use crate::pipeline::Pipeline;
use crate::pipeline::context::RequestContext;
use crate::pipeline::interim::RenditionChoice;
use crate::pipeline::render::RenderTask;
use crate::pipeline::request_memo::{ResolvedRequest, SourceState};
use crate::pipeline::sources::SourceLookup;
use crate::request::{PreconditionOutcome, Vary};
use crate::response;
use crate::response::{
    Body, Cors, ErrorCaching, RepresentationHeaders, RequestTimings, ResponseContext,
};
use crate::telemetry::RequestOutcome;
use crate::telemetry::trace;
use crate::telemetry::trace::Step;
use crate::transform::Timings;

/// A response with the outcome that metrics and the access log report.
pub(crate) struct Answer {
    pub response: Response<Body>,
    pub outcome: RequestOutcome,
    /// Why there is no picture, or not the one that was requested.
    pub error: Option<Arc<Error>>,
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
    pub(super) fn format(&self) -> Format {
        self.found.rendition.format
    }

    /// The headers of the rendition, if they are not those of the choice: the rendition was made of a newer state of the source.
    fn newer_headers(
        &self,
        cors: &Cors,
        request: &ResolvedRequest,
        state: &SourceState,
    ) -> Option<RepresentationHeaders> {
        let etag = &self.found.rendition.etag;
        let is_chosen = *etag == self.choice.rendition.headers.etag()
            && Arc::ptr_eq(&self.record, &state.record);
        let warnings = &self.choice.admitted.job.warnings;
        let newer = || {
            RepresentationHeaders::of(&self.record, etag.clone(), request.vary, warnings, cors)
                .with_lifetime(request.lifetime())
                .until(self.choice.admitted.job.expires)
        };
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
            error: None,
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
            let mut span = trace::step(Step::Lookup);
            choice.found = self.cache.get(&key).await;
            span.set("safelight.tier", "memory");
            span.set("safelight.hit", choice.found.is_some());
        }
        if let Some(found) = choice.found.take() {
            return Ok((found, None));
        }
        // In a box, so that the future of a hit stays small: it is copied several times.
        Box::pin(self.read_or_make(choice, source, context)).await
    }

    /// The rendition that was chosen and is not in memory. The times are there if this request rendered it.
    async fn read_or_make(
        self: &Arc<Self>,
        choice: &RenditionChoice<'_>,
        source: CachedSource,
        context: &RequestContext,
    ) -> Result<(CachedRendition, Option<Timings>), FlightError<Error>> {
        let key = choice.rendition.key;
        let keep = source.record.freshness.is_storable();
        self.count_miss(context)?;
        let record = Arc::clone(&source.record);
        let timings = Arc::new(OnceLock::new());
        let task = RenderTask {
            job: choice.job(),
            name: choice.admitted.name.clone(),
            priority: Priority::Foreground,
            asker: Some(context.asker()),
            timings: Arc::clone(&timings),
        };
        let found = match choice.stored {
            Some(stored) => {
                let read = Arc::clone(self).read_or_render(stored.clone(), key, task, source);
                let found = self.cache.get_or_render(key, keep, read);
                context.deadline.bound(Stage::Render, found).await
            }
            None => {
                let render = Arc::clone(self).render(task, source);
                let found = self.cache.get_or_render(key, keep, render);
                context.deadline.bound(Stage::Render, found).await
            }
        };
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
        let newer = lookup.newer_headers(&self.cors, request, state);
        let representation = newer.as_ref().unwrap_or(&choice.rendition.headers);
        representation.set_disposition(|| {
            let name = choice.admitted.job.source.last_segment();
            self.disposition
                .header(&name, Some(rendition.format.extension()))
        });
        let conditional = &context.conditional;
        let range = conditional.select_range(representation.etag(), None, rendition.bytes.len());
        let told = ResponseContext {
            representation,
            source: &lookup.record,
            timings,
            interim: is_interim.then_some(self.interim_ttl),
            stale: lookup.stale,
        };
        // Of a plain URL, it is only known now that there is a picture whose preconditions count.
        let modified = lookup.record.validators.last_modified;
        let unmet = request
            .flow
            .as_ref()
            .and_then(|_| conditional.evaluate_preconditions(representation.etag(), modified));
        let (response, outcome) = match unmet {
            Some(outcome) => (
                response::precondition(outcome, &told),
                precondition_outcome(outcome),
            ),
            None => (
                response::image(rendition, &told, range, context.head_only),
                image_outcome(found.outcome),
            ),
        };
        Ok(Answer {
            response,
            outcome,
            error: None,
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

    /// The answer to a request that failed: an error, or a redirect to the source. There is no `request` for an original.
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
            error: Some(error),
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use hyper::HeaderMap;
    use hyper::header::{CONNECTION, CONTENT_DISPOSITION, DATE, HeaderValue};

    use super::*;
    use crate::cache::{ContentHash, Rendition, RenditionKey, SourceKey, SourceName};
    use crate::freshness::{Freshness, Rules, Tags, Validators};
    use crate::options::{Recipe, Warning};
    use crate::policy::{Config, Policy, ZoneConfig};
    use crate::request::{RangeOutcome, Vary, VaryHeader};
    use crate::response::Disposition;
    use crate::source::FetchedSource;

    /// A map that grows builds its table anew, in every answer from memory.
    #[test]
    fn the_longest_answer_fits_into_the_map_that_is_copied() {
        let policy = Policy::new(&Config::default(), ZoneConfig::default(), Vec::new());
        let policy = policy.expect("they fit together");
        let source = policy.allowlist().resolve("/cat.jpg").expect("a path");
        let mut origin = HeaderMap::new();
        for (name, value) in [
            ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("cache-control", "max-age=1"),
            ("etag", "\"v1\""),
        ] {
            origin.insert(name, HeaderValue::from_static(value));
        }
        let now = SystemTime::now();
        let fetched = FetchedSource {
            bytes: Bytes::from_static(b"a picture"),
            validators: Validators::of(&origin),
            freshness: Freshness::of(&origin, now, &Rules::default()),
            tags: Tags::default(),
        };
        let name = SourceName::of(&source[0]);
        let record = SourceRecord::new(&name, ContentHash::of(b"a picture"), fetched, 0);
        let recipe = Recipe::default();
        let key = RenditionKey::of(&SourceKey::of(&source[0]), record.state(), &recipe, "");
        let warning = vec!["a warning".to_owned()];
        let rendition = Rendition::new(&key, vec![7; 90], Format::Webp, (1, 1), warning);
        let vary = Vary::from_iter([VaryHeader::Accept]);
        let warnings = [Warning::new("another warning")];
        for origins in ["['*']", "['https://a.test']", "[]"] {
            let cors: Cors = toml::from_str(&format!("origins = {origins}")).expect("a list");
            let headers = RepresentationHeaders::of(&record, key.etag(), vary, &warnings, &cors);
            headers.set_disposition(|| Disposition::Inline.header("cat.jpg", Some("webp")));
            let told = ResponseContext {
                representation: &headers,
                source: &record,
                timings: RequestTimings {
                    outcome: CacheStatus::Hit(Tier::Memory),
                    fetch: Duration::ZERO,
                    render: None,
                    total: Duration::ZERO,
                },
                interim: None,
                stale: None,
            };
            let mut request = HeaderMap::new();
            request.insert("origin", HeaderValue::from_static("https://a.test"));
            let part = RangeOutcome::Part(0..9);
            let mut answer = response::image(&rendition, &told, part, false);
            cors.apply(&request, answer.headers_mut());
            let written = answer.headers_mut();
            assert!(written.contains_key(CONTENT_DISPOSITION));
            // What hyper may add.
            written.insert(DATE, HeaderValue::from_static("now"));
            written.insert(CONNECTION, HeaderValue::from_static("close"));
            let outcome = PreconditionOutcome::NotModified;
            let unchanged = response::precondition(outcome, &told);
            assert_eq!(answer.headers().capacity(), unchanged.headers().capacity());
        }
    }
}
