//! The source of a request: found in the cache, or fetched from its origin.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::poll_immediate;

use crate::cache::{CachedSource, Fetch, FlightError, SourceRecord, Stale};
use crate::deadline::Stage;
use crate::error::Error;
use crate::freshness::Validators;
use crate::pipeline::Pipeline;
use crate::pipeline::context::RequestContext;
use crate::pipeline::request_memo::AdmittedRequest;
use crate::policy::ApprovedSource;
use crate::source::{BusyReason, FetchOutcome, FileKind, IdleReservation, SourceError};
use crate::telemetry::trace;
use crate::telemetry::trace::Step;
use crate::transform::{HeadFormat, SourceFormat, UnsupportedFormat, sniff_head};

/// The source of a request, and how long it took to get.
pub(crate) struct SourceLookup {
    pub source: CachedSource,
    pub elapsed: Duration,
}

impl SourceLookup {
    pub(crate) fn record(&self) -> &Arc<SourceRecord> {
        &self.source.record
    }
}

/// What a file is by its first bytes. HEIC is a picture even if this build does not decode it.
pub(crate) fn file_kind(beginning: &[u8]) -> FileKind {
    match sniff_head(beginning) {
        HeadFormat::Known(SourceFormat::Unsupported(
            kind @ (UnsupportedFormat::Psd | UnsupportedFormat::Jpeg2000 | UnsupportedFormat::Pdf),
        )) => FileKind::Unsupported(kind.name()),
        HeadFormat::Known(format) => FileKind::Picture(format.mime()),
        HeadFormat::Unknown => FileKind::Unknown,
        HeadFormat::Unclear => FileKind::Unclear,
    }
}

impl Pipeline {
    /// The source of a request: from the cache, or else from its origin.
    pub(crate) async fn find_source(
        self: &Arc<Self>,
        admitted: &AdmittedRequest,
        context: &RequestContext,
    ) -> Result<SourceLookup, FlightError<Error>> {
        let mut span = trace::step(Step::Source);
        let source = match self.cache.get_source(&admitted.name.key).await {
            Some(source) => source,
            None => {
                self.count_miss(context)?;
                let fetch = self.fetch_to_render(admitted.job.source.clone(), context);
                let source = self.cache.get_or_fetch(&admitted.name, fetch);
                let source = context.deadline.bound(Stage::Fetch, Box::pin(source)).await;
                source.map_err(Error::from)??
            }
        };
        if let Some(stale) = source.stale {
            let reason = match stale {
                Stale::Revalidating => "revalidating",
                Stale::OriginFailed => "origin-failed",
            };
            self.metrics.caches.record_stale(reason);
            span.set("safelight.stale", reason);
        }
        Ok(SourceLookup {
            source,
            elapsed: context.started.elapsed(),
        })
    }

    /// Counts a request that costs a fetch or a render against what its client may cause, once.
    pub(crate) fn count_miss(&self, context: &RequestContext) -> Result<(), Error> {
        if context.is_miss.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        Ok(self.clients.miss(context.client)?)
    }

    /// Reserves memory for a source that idle work is going to hold. If it has to wait for that memory, the source is returned without its
    /// bytes: work that waits holds no source.
    pub(crate) async fn reserve_idle(
        &self,
        found: CachedSource,
    ) -> Result<(CachedSource, IdleReservation), SourceError> {
        let length = found.record.len;
        let mut reservation = pin!(self.source_memory.reserve_idle(length));
        let (found, reservation) = match poll_immediate(reservation.as_mut()).await {
            Some(reservation) => (found, reservation),
            None => {
                let without_bytes = CachedSource {
                    bytes: None,
                    ..found
                };
                (without_bytes, reservation.await)
            }
        };
        reservation
            .map(|reservation| (found, reservation))
            .ok_or(SourceError::Busy(BusyReason::Memory))
    }

    /// The same for a source that is going to be rendered, where there is a place in the queue for that. One that is known is only asked about.
    fn fetch_to_render(
        self: &Arc<Self>,
        source: ApprovedSource,
        context: &RequestContext,
    ) -> impl Fetch<Error> + use<> {
        let pipeline = Arc::clone(self);
        let asker = context.asker();
        let fetch = self.fetch(source);
        move |known: Option<Validators>| async move {
            let _place = match known {
                Some(_) => None,
                None => Some(pipeline.take_place(asker)?),
            };
            fetch.ask(known).await
        }
    }

    /// How the cache fetches a source from its origin.
    pub(crate) fn fetch(self: &Arc<Self>, source: ApprovedSource) -> impl Fetch<Error> + use<> {
        let pipeline = Arc::clone(self);
        move |known: Option<Validators>| async move {
            let mut span = trace::step(Step::Fetch);
            let answer = pipeline.sources.fetch(&source, known.as_ref());
            let answer = answer.await.map_err(Error::from);
            let (result, bytes) = match &answer {
                Ok(FetchOutcome::Fetched(fetched)) => ("fetched", fetched.bytes.len() as u64),
                Ok(FetchOutcome::NotModified { .. }) => ("not-modified", 0),
                Err(error) => {
                    if let Error::Source(SourceError::Busy(reason)) = error {
                        pipeline.metrics.work.record_source_refusal(reason.word());
                    }
                    (error.info().code, 0)
                }
            };
            pipeline.metrics.work.record_fetch(result, bytes);
            span.set("safelight.result", result);
            if answer.is_err() {
                span.fail(result);
            }
            answer
        }
    }
}
