//! The steps between the source of a request and its response: the rendition, the conditions of the client, the headers.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::Response;

use crate::cache::CacheStatus;
use crate::cache::CacheableError;
use crate::cache::CachedRendition;
use crate::cache::CachedSource;
use crate::cache::FlightError;
use crate::cache::SourceRecord;
use crate::cache::Stale;
use crate::cache::Tier;
use crate::deadline::Stage;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::pipeline::context::RequestContext;
use crate::pipeline::interim::RenditionChoice;
use crate::pipeline::render::Priority;
use crate::pipeline::request_memo::AdmittedRequest;
use crate::pipeline::request_memo::ResolvedRequest;
use crate::pipeline::request_memo::SourceState;
use crate::request::PreconditionOutcome;
use crate::response;
use crate::response::Body;
use crate::response::ErrorCaching;
use crate::response::RepresentationHeaders;
use crate::response::RequestTimings;
use crate::response::ResponseContext;
use crate::telemetry::RequestOutcome;
use crate::transform::Timings;

/// A response with the outcome that metrics and the access log report.
pub(crate) struct Answer {
    pub response: Response<Body>,
    pub outcome: RequestOutcome,
}

/// The source of a request, and how long it took to get.
pub(crate) struct SourceLookup {
    source: CachedSource,
    elapsed: Duration,
}

/// The rendition of a request, with the record of the source that it is served by.
pub(crate) struct RenditionLookup<'a> {
    choice: RenditionChoice<'a>,
    found: CachedRendition,
    record: Arc<SourceRecord>,
    stale: Option<Stale>,
    /// How long its source took to get.
    fetch: Duration,
    /// The steps of its render, where this request rendered it.
    render: Option<Timings>,
}

impl SourceLookup {
    pub fn record(&self) -> &Arc<SourceRecord> {
        &self.source.record
    }
}

impl Pipeline {
    /// The source of a request: from the cache, or else from its origin.
    pub(crate) async fn source_of(
        self: &Arc<Self>,
        admitted: &AdmittedRequest,
        context: &RequestContext,
    ) -> Result<SourceLookup, FlightError<Error>> {
        let source = match self.cache.get_source(&admitted.name.key).await {
            Some(source) => source,
            None => {
                let fetch = self.fetch(admitted.job.source.clone());
                let source = self.cache.get_or_fetch(&admitted.name, fetch);
                let source = context.deadline.bound(Stage::Fetch, Box::pin(source)).await;
                source.map_err(Error::from)??
            }
        };
        if let Some(stale) = source.stale {
            self.metrics.caches.record_stale(match stale {
                Stale::Revalidating => "revalidating",
                Stale::OriginFailed => "origin-failed",
            });
        }
        Ok(SourceLookup {
            source,
            elapsed: context.started.elapsed(),
        })
    }

    /// The answer to a client whose conditions make a picture needless.
    pub(crate) async fn answer_precondition(
        self: &Arc<Self>,
        outcome: PreconditionOutcome,
        choice: &RenditionChoice<'_>,
        lookup: &SourceLookup,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let SourceLookup { source, elapsed } = lookup;
        let timings = RequestTimings {
            outcome: source.outcome,
            fetch: *elapsed,
            render: None,
            total: context.started.elapsed(),
        };
        // A client that has the interim rendition asks for it again.
        let is_interim = self.is_interim(choice, context.deadline).await;
        let is_interim = is_interim.map_err(Error::from)?;
        if is_interim {
            self.upgrade(choice, &source.record);
        }
        let response = response::precondition(
            outcome,
            &ResponseContext {
                representation: &choice.rendition.headers,
                source: &source.record,
                timings,
                interim: is_interim.then_some(self.interim),
                stale: source.stale,
            },
        );
        Ok(Answer {
            response,
            outcome: match outcome {
                PreconditionOutcome::NotModified => RequestOutcome::NotModified,
                PreconditionOutcome::PreconditionFailed => RequestOutcome::PreconditionFailed,
            },
        })
    }

    /// The rendition that was chosen: from the cache, or else rendered.
    pub(crate) async fn obtain<'a>(
        self: &Arc<Self>,
        mut choice: RenditionChoice<'a>,
        lookup: SourceLookup,
        context: &RequestContext,
    ) -> Result<RenditionLookup<'a>, FlightError<Error>> {
        let SourceLookup {
            source,
            elapsed: fetch,
        } = lookup;
        let (mut record, mut stale) = (Arc::clone(&source.record), source.stale);
        let (key, name) = (choice.rendition.key, &choice.admitted.name);
        let keep = record.freshness.is_storable();
        if choice.found.is_none() && keep {
            choice.found = self.cache.get(&key).await;
        }
        let (found, render) = match choice.found.take() {
            Some(found) => (found, None),
            None => {
                let timings = Arc::new(OnceLock::new());
                let render = Arc::clone(self).render(
                    choice.job(),
                    name.clone(),
                    source,
                    Priority::Foreground,
                    Arc::clone(&timings),
                );
                let found = self.cache.get_or_render(key, keep, render);
                let found = context.deadline.bound(Stage::Render, Box::pin(found)).await;
                let found = found.map_err(Error::from)?;
                let found = found.map_err(|failed| failed.over(&record))?;
                (found, timings.get().copied())
            }
        };
        if let Some(source) = &found.source {
            // The source changed meanwhile, or was fetched again: what its origin says now holds.
            record = Arc::clone(source);
            stale = None;
        }
        if found.rendition.is_of_truncated() {
            record = self.cache.cap_source(&name.key, &record).await;
        }
        Ok(RenditionLookup {
            choice,
            found,
            record,
            stale,
            fetch,
            render,
        })
    }

    /// The response with the rendition that was found or rendered.
    pub(crate) fn answer(
        self: &Arc<Self>,
        request: &ResolvedRequest,
        state: &SourceState,
        lookup: &RenditionLookup<'_>,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let RenditionLookup {
            choice,
            found,
            record,
            ..
        } = lookup;
        let (job, rendition) = (&choice.admitted.job, &*found.rendition);
        let allowed = job.check_output(rendition.format);
        allowed.map_err(|denied| FlightError::from(Error::from(denied)).over(record))?;
        let is_interim = choice.is_interim(rendition);
        if is_interim {
            self.metrics.caches.record_interim();
            if matches!(found.outcome, CacheStatus::Hit(_)) {
                self.upgrade(choice, record);
            }
        }
        let timings = RequestTimings {
            outcome: found.outcome,
            fetch: lookup.fetch,
            render: lookup.render,
            total: context.started.elapsed(),
        };
        let chosen = &choice.rendition.headers;
        let other;
        let headers = if rendition.etag == chosen.etag() && Arc::ptr_eq(record, &state.record) {
            chosen
        } else {
            let etag = rendition.etag.clone();
            other = RepresentationHeaders::of(record, etag, request.vary, &job.warnings);
            &other
        };
        let range = context
            .conditional
            .select_range(headers.etag(), rendition.bytes.len());
        let response = response::image(
            rendition,
            &ResponseContext {
                representation: headers,
                source: record,
                timings,
                interim: is_interim.then_some(self.interim),
                stale: lookup.stale,
            },
            range,
            context.head_only,
        );
        Ok(Answer {
            response,
            outcome: outcome(found.outcome),
        })
    }

    /// The answer where there is no picture: an error, or a redirect to the source.
    pub(crate) fn answer_error(
        &self,
        failed: FlightError<Error>,
        request: &ResolvedRequest,
        context: &RequestContext,
    ) -> Answer {
        let FlightError {
            error,
            since,
            may_be_kept,
        } = failed;
        self.metrics.requests.record_error(error.info().code);
        let ResolvedRequest { vary, fallback, .. } = request;
        let response = match fallback.as_ref().filter(|_| error.may_redirect()) {
            Some(location) => response::redirect(&error, location, *vary, context.head_only),
            None => {
                let caching = may_be_kept.then(|| ErrorCaching {
                    life: error.life(&self.errors),
                    age: since.map(|since| since.elapsed().unwrap_or_default()),
                });
                response::error(&error, caching, *vary, context.head_only)
            }
        };
        Answer {
            response,
            outcome: RequestOutcome::Error,
        }
    }
}

/// How the status of the cache is reported.
fn outcome(status: CacheStatus) -> RequestOutcome {
    match status {
        CacheStatus::Hit(Tier::Memory) => RequestOutcome::Memory,
        CacheStatus::Hit(Tier::Disk) => RequestOutcome::Disk,
        CacheStatus::Hit(Tier::Shared) => RequestOutcome::Shared,
        CacheStatus::Coalesced => RequestOutcome::Coalesced,
        CacheStatus::Miss | CacheStatus::Revalidated => RequestOutcome::Miss,
    }
}
