//! A cache of resolved requests: a request whose head is the same as that of an earlier one is not parsed, judged, negotiated and hashed
//! again.
//!
//! That is safe because the result depends only on the key and on settings: [`ImageRequest::of`] and the policy see no other part of a
//! head, and settings never change while a server runs. Hosted images do change: [`Delivery`] is checked each time. The source of a request may change, so its freshness is checked for every request,
//! and [`SourceState`] is computed again for each new record. Errors are not stored: requests that fail must not evict those that succeed.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hyper::http::request::Parts;
use moka::sync::Cache;

use crate::cache::{RenditionKey, SourceName, SourceRecord};
use crate::error::Error;
use crate::hosted::Rendition;
use crate::options::{Formats, Recipe};
use crate::pipeline::Pipeline;
use crate::pipeline::hosted::delivery::Delivery;
use crate::policy::Job;
use crate::request::{ImageRequest, RequestKey, RequestKeyRef, Vary};
use crate::response::{Lifetime, RepresentationHeaders};
use crate::signature;
use crate::telemetry::trace;
use crate::telemetry::trace::Step;
use crate::transform::Plan;

/// The memory of all entries together, in bytes: about 4000 entries.
const BYTES: u64 = 16 << 20;

/// The size of an entry without its texts: the values, the headers of its renditions, and the bookkeeping of the map.
const OVERHEAD: usize = size_of::<ResolvedRequest>() + size_of::<SourceState>() + 3500;

/// Resolved requests by the parts of the head that they depend on. Those that are used most often stay.
pub(crate) struct RequestMemo(Cache<RequestKey, Arc<ResolvedRequest>>);

/// What a request owes to its flow.
pub(crate) struct FlowRequest {
    /// The name of the flow.
    pub name: Arc<str>,
    /// Path and query of the original: those of the request without the parameters that are options.
    pub original: String,
}

/// A request after parsing and policy.
pub(crate) struct ResolvedRequest {
    pub vary: Vary,
    /// Where the client may be redirected if the request fails.
    pub fallback: Option<String>,
    pub admitted: Result<AdmittedRequest, Arc<Error>>,
    /// The flow that takes it, where the URL is a plain one.
    pub flow: Option<FlowRequest>,
    /// What else is known of it, where it is a delivery URL.
    pub delivery: Option<Delivery>,
}

/// A request that the policy admits.
pub(crate) struct AdmittedRequest {
    pub job: Job,
    pub name: SourceName,
    state: RwLock<Option<Arc<SourceState>>>,
    /// The request with no formats but those that the client names, once it is needed.
    narrowed: OnceLock<Box<AdmittedRequest>>,
}

/// The renditions of an admitted request for one record of its source.
pub(crate) struct SourceState {
    pub record: Arc<SourceRecord>,
    /// The rendition that is encoded with full effort.
    pub settled: RenditionRef,
    /// The rendition that is encoded quickly, once it is needed.
    interim: OnceLock<RenditionRef>,
}

/// The key of a rendition, and the headers of its responses.
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
    /// The request with this key.
    pub(super) fn get(&self, key: &RequestKeyRef<'_>) -> Option<Arc<ResolvedRequest>> {
        self.0.get(key)
    }

    /// Remembers a request, unless it failed.
    pub(super) fn insert(
        &self,
        key: &RequestKeyRef<'_>,
        resolved: ResolvedRequest,
    ) -> Arc<ResolvedRequest> {
        let resolved = Arc::new(resolved);
        if resolved.admitted.is_ok() {
            self.0.insert(key.to_key(), Arc::clone(&resolved));
        }
        resolved
    }

    /// The number of entries, and their size in bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        // Without this the numbers lag behind.
        self.0.run_pending_tasks();
        (self.0.entry_count(), self.0.weighted_size())
    }
}

impl Pipeline {
    /// Resolves the head of a request, or finds it resolved.
    pub(crate) fn resolve(&self, head: &Parts) -> Arc<ResolvedRequest> {
        let key = match RequestKeyRef::of(head) {
            Ok(key) => key,
            Err(error) => return Arc::new(ResolvedRequest::failed(error.into())),
        };
        if let Some(resolved) = self.request_memo.get(&key)
            && !resolved.is_expired()
        {
            return resolved;
        }
        let parsing = trace::step(Step::Parse);
        let parsed = ImageRequest::of(&key, &self.prefixes, &self.extensions);
        drop(parsing);
        let resolved = match parsed {
            Ok(request) => self.resolve_request(&request),
            Err(error) => ResolvedRequest::failed(error.into()),
        };
        self.request_memo.insert(&key, resolved)
    }

    /// What the policy makes of a request.
    pub(super) fn resolve_request(&self, request: &ImageRequest) -> ResolvedRequest {
        let _span = trace::step(Step::Approve);
        let admitted = self.policy.admit(request).map(AdmittedRequest::new);
        ResolvedRequest {
            vary: self.policy.vary(request),
            fallback: self.policy.fallback(request),
            admitted: admitted.map_err(|error| Arc::new(error.into())),
            flow: None,
            delivery: None,
        }
    }

    /// The renditions of a request whose source has this record.
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
            interim: OnceLock::new(),
        });
        // A source that must not be stored gets a new record with every request.
        if record.freshness.is_storable() {
            *admitted
                .state
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&state));
        }
        state
    }

    /// The interim rendition of a request, if it has one: a file that depends on effort, of a source that may be stored. If nothing may be
    /// stored, there is nothing to upgrade.
    pub(crate) fn interim_rendition<'a>(
        &self,
        resolved: &ResolvedRequest,
        admitted: &AdmittedRequest,
        state: &'a SourceState,
    ) -> Option<&'a RenditionRef> {
        let record = &state.record;
        let has_interim = Plan::may_be_interim(&admitted.job.recipe)
            && !self.interim_ttl.is_zero()
            && record.freshness.is_storable();
        let interim = || self.rendition(resolved, admitted, record, &admitted.quick_job().recipe);
        has_interim.then(|| state.interim.get_or_init(interim))
    }

    fn rendition(
        &self,
        resolved: &ResolvedRequest,
        admitted: &AdmittedRequest,
        record: &SourceRecord,
        recipe: &Recipe,
    ) -> RenditionRef {
        let AdmittedRequest { job, name, .. } = admitted;
        let key = RenditionKey::of(&name.key, record.state(), recipe, &self.render_fingerprint);
        RenditionRef {
            key,
            headers: RepresentationHeaders::of(
                record,
                key.etag(),
                resolved.vary,
                &job.warnings,
                &self.cors,
            )
            .with_lifetime(resolved.lifetime())
            .until(job.expires),
        }
    }
}

impl ResolvedRequest {
    pub(super) fn failed(error: Error) -> Self {
        ResolvedRequest {
            vary: Vary::default(),
            fallback: None,
            admitted: Err(Arc::new(error)),
            flow: None,
            delivery: None,
        }
    }

    /// A request for a hosted image.
    pub(super) fn delivery(vary: Vary, job: Job, delivery: Delivery) -> Self {
        ResolvedRequest {
            vary,
            fallback: None,
            admitted: Ok(AdmittedRequest::new(job)),
            flow: None,
            delivery: Some(delivery),
        }
    }

    /// Whether the time of its URL is over.
    pub(super) fn is_expired(&self) -> bool {
        let admitted = self.admitted.as_ref().ok();
        let expires = admitted.and_then(|admitted| admitted.job.expires);
        expires.is_some_and(|expires| expires <= signature::now())
    }

    /// How long clients may cache its picture, where that does not follow from its source.
    pub(super) fn lifetime(&self) -> Option<Lifetime> {
        self.delivery.as_ref().map(|delivery| delivery.lifetime)
    }

    /// The rendition in the store of hosted images that is the settled one of this request.
    pub(super) fn stored(&self, settled: &RenditionRef) -> Option<&Rendition> {
        let renditions = &self.delivery.as_ref()?.renditions;
        let recipe = settled.headers.etag().trim_matches('"');
        renditions.iter().find(|stored| stored.is_of(recipe))
    }

    /// Whether the uploaded file of a hosted image is asked for.
    pub(super) fn is_uploaded_file(&self) -> bool {
        let delivery = self.delivery.as_ref();
        delivery.is_some_and(|delivery| delivery.is_original)
    }

    /// The memory of the entry in bytes, with what it may come to hold later.
    fn weight(&self) -> usize {
        let warnings = self.admitted.as_ref().map_or(0, |admitted| {
            let texts = admitted.job.warnings.iter();
            // Stored as text and as headers.
            texts.map(|warning| 256 + 3 * warning.as_str().len()).sum()
        });
        let source = self
            .admitted
            .as_ref()
            .map_or(0, |admitted| admitted.job.source.canonical().len());
        // The name of the source is in the headers of both renditions, in up to two spellings.
        let names = 8 * source.min(256);
        let original = self.flow.as_ref().map_or(0, |flow| flow.original.len());
        let fallback = self.fallback.as_ref().map_or(0, String::len);
        let delivery = self.delivery.as_ref().map_or(0, Delivery::weight);
        let admitted = OVERHEAD + source + names + warnings;
        // It may come to hold a second request.
        let times = match &self.admitted {
            Ok(request) if request.job.unnamed != Formats::NONE => 2,
            _ => 1,
        };
        times * admitted + fallback + original + delivery
    }
}

impl AdmittedRequest {
    fn new(job: Job) -> Self {
        AdmittedRequest {
            name: SourceName::of(&job.source),
            job,
            state: RwLock::default(),
            narrowed: OnceLock::new(),
        }
    }

    /// The request for a client that does not name the format of the rendition: see [`Job::narrowed`].
    pub(crate) fn narrowed(&self) -> &AdmittedRequest {
        let narrowed = || Box::new(AdmittedRequest::new(self.job.narrowed()));
        self.narrowed.get_or_init(narrowed)
    }

    /// The job of the interim rendition.
    pub(crate) fn quick_job(&self) -> Job {
        Job {
            recipe: self.job.recipe.quick(),
            ..self.job.clone()
        }
    }
}
