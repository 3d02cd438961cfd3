//! What a request's head was understood as, remembered: a picture that is asked for again is not parsed, judged, negotiated and hashed again.
//!
//! That is safe because an understanding depends on nothing but what was key and on settings: [`ImageRequest::of`] and the policy see no other
//! part of a head, and prefixes, policy and the fingerprint of renders never change while a server runs. What does change, the source, is never
//! remembered: whether its record is fresh is asked anew every time, and what is spelled of one record is spelled again for the next. Errors are not
//! remembered either: whoever sends nonsense shall not drive out what is asked for.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;

use hyper::http::request::Parts;
use moka::sync::Cache;

use crate::cache::RenditionKey;
use crate::cache::SourceName;
use crate::cache::SourceRecord;
use crate::error::Error;
use crate::options::Effort;
use crate::options::Output;
use crate::options::Recipe;
use crate::pipeline::Pipeline;
use crate::policy::Job;
use crate::request::ImageRequest;
use crate::request::RequestKey;
use crate::request::RequestKeyRef;
use crate::request::Vary;
use crate::response::RepresentationHeaders;

/// For all understandings together, in bytes: some 4000 of them.
const BYTES: u64 = 16 << 20;

/// What one costs beside its texts: itself, what is spelled of its pictures, and the map's own bookkeeping.
const OVERHEAD: usize = size_of::<ResolvedRequest>() + size_of::<SourceState>() + 2400;

/// Understandings, those that were asked for most.
pub(crate) struct RequestMemo(Cache<RequestKey, Arc<ResolvedRequest>>);

/// A request, understood or not.
pub(crate) struct ResolvedRequest {
    pub vary: Vary,
    /// Where the client may be sent when there is no picture for it.
    pub fallback: Option<String>,
    pub admitted: Result<AdmittedRequest, Arc<Error>>,
}

/// A request for a picture that may be made.
pub(crate) struct AdmittedRequest {
    pub job: Job,
    pub name: SourceName,
    state: RwLock<Option<Arc<SourceState>>>,
}

/// What an admitted request leads to while its source has one record.
pub(crate) struct SourceState {
    pub record: Arc<SourceRecord>,
    pub settled: RenditionRef,
    quick: OnceLock<RenditionRef>,
}

/// The name of one rendition, and what is said of it.
pub(crate) struct RenditionRef {
    pub key: RenditionKey,
    pub headers: RepresentationHeaders,
}

impl Default for RequestMemo {
    fn default() -> Self {
        RequestMemo(
            Cache::builder()
                .max_capacity(BYTES)
                .weigher(|key: &RequestKey, resolved: &Arc<ResolvedRequest>| {
                    let weight = key.weight() + resolved.weight();
                    u32::try_from(weight).unwrap_or(u32::MAX)
                })
                .build(),
        )
    }
}

impl RequestMemo {
    /// How many, and how many bytes.
    pub fn held(&self) -> (u64, u64) {
        // Else the numbers lag behind.
        self.0.run_pending_tasks();
        (self.0.entry_count(), self.0.weighted_size())
    }
}

impl Pipeline {
    /// Understands a head, or remembers how it was understood.
    pub(crate) fn resolve(&self, head: &Parts) -> Arc<ResolvedRequest> {
        let key = match RequestKeyRef::of(head) {
            Ok(key) => key,
            Err(error) => return Arc::new(ResolvedRequest::refused(error.into())),
        };
        if let Some(resolved) = self.remembered.0.get(&key) {
            return resolved;
        }
        let resolved = Arc::new(self.resolve_anew(&key));
        if resolved.admitted.is_ok() {
            self.remembered
                .0
                .insert(key.to_key(), Arc::clone(&resolved));
        }
        resolved
    }

    fn resolve_anew(&self, key: &RequestKeyRef<'_>) -> ResolvedRequest {
        let request = match ImageRequest::of(key, &self.prefixes) {
            Ok(request) => request,
            Err(error) => return ResolvedRequest::refused(error.into()),
        };
        let admitted = self.policy.admit(&request).map(|job| AdmittedRequest {
            name: SourceName::of(&job.source),
            job,
            state: RwLock::default(),
        });
        ResolvedRequest {
            vary: self.policy.vary(&request),
            fallback: self.policy.fallback(&request),
            admitted: admitted.map_err(|error| Arc::new(error.into())),
        }
    }

    /// What a request leads to now that its source has this record.
    pub(crate) fn source_state(
        &self,
        resolved: &ResolvedRequest,
        admitted: &AdmittedRequest,
        record: &Arc<SourceRecord>,
    ) -> Arc<SourceState> {
        let known = admitted
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known
            && Arc::ptr_eq(&known.record, record)
        {
            return Arc::clone(known);
        }
        drop(known);
        let state = Arc::new(SourceState {
            record: Arc::clone(record),
            settled: self.rendition(resolved, admitted, record, &admitted.job.recipe),
            quick: OnceLock::new(),
        });
        // What may not be stored has another record for every request.
        if record.freshness.is_storable() {
            *admitted
                .state
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&state));
        }
        state
    }

    /// The rendition that is made quickly, where there is one beside the settled one. Where nothing is kept there is no next time.
    pub(crate) fn quick<'a>(
        &self,
        resolved: &ResolvedRequest,
        admitted: &AdmittedRequest,
        state: &'a SourceState,
    ) -> Option<&'a RenditionRef> {
        let record = &state.record;
        let has_two = admitted.job.recipe.output == Output::Avif
            && !self.interim.is_zero()
            && record.freshness.is_storable();
        let quick = || self.rendition(resolved, admitted, record, &admitted.quick_job().recipe);
        has_two.then(|| state.quick.get_or_init(quick))
    }

    fn rendition(
        &self,
        resolved: &ResolvedRequest,
        admitted: &AdmittedRequest,
        record: &SourceRecord,
        recipe: &Recipe,
    ) -> RenditionRef {
        let AdmittedRequest { job, name, .. } = admitted;
        let key = RenditionKey::of(&name.key, record, recipe, &self.render_fingerprint);
        RenditionRef {
            key,
            headers: RepresentationHeaders::of(record, key.etag(), resolved.vary, &job.warnings),
        }
    }
}

impl ResolvedRequest {
    fn refused(error: Error) -> Self {
        ResolvedRequest {
            vary: Vary::default(),
            fallback: None,
            admitted: Err(Arc::new(error)),
        }
    }

    /// What it takes in memory, in bytes, with all that it will come to hold.
    fn weight(&self) -> usize {
        let warnings = self.admitted.as_ref().map_or(0, |admitted| {
            let texts = admitted.job.warnings.iter();
            // As text, and as headers.
            texts.map(|warning| 256 + 3 * warning.as_str().len()).sum()
        });
        let source = self
            .admitted
            .as_ref()
            .map_or(0, |admitted| admitted.job.source.canonical().len());
        OVERHEAD + self.fallback.as_ref().map_or(0, String::len) + source + warnings
    }
}

impl AdmittedRequest {
    /// The job as it is done for whoever asks first.
    pub fn quick_job(&self) -> Job {
        let mut job = self.job.clone();
        job.recipe.effort = Effort::Quick;
        job
    }
}
