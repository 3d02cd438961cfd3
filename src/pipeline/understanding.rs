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
const OVERHEAD: usize = size_of::<Understood>() + size_of::<Standing>() + 2400;

/// Understandings, those that were asked for most.
pub(crate) struct Remembered(Cache<RequestKey, Arc<Understood>>);

/// A request, understood or not.
pub(crate) struct Understood {
    pub vary: Vary,
    /// Where the client may be sent when there is no picture for it.
    pub fallback: Option<String>,
    pub admitted: Result<Admitted, Arc<Error>>,
}

/// A request for a picture that may be made.
pub(crate) struct Admitted {
    pub job: Job,
    pub name: SourceName,
    standing: RwLock<Option<Arc<Standing>>>,
}

/// What an admitted request leads to while its source has one record.
pub(crate) struct Standing {
    pub record: Arc<SourceRecord>,
    pub settled: Named,
    quick: OnceLock<Named>,
}

/// The name of one rendition, and what is said of it.
pub(crate) struct Named {
    pub key: RenditionKey,
    pub told: RepresentationHeaders,
}

impl Default for Remembered {
    fn default() -> Self {
        Remembered(
            Cache::builder()
                .max_capacity(BYTES)
                .weigher(|key: &RequestKey, understood: &Arc<Understood>| {
                    let weight = key.weight() + understood.weight();
                    u32::try_from(weight).unwrap_or(u32::MAX)
                })
                .build(),
        )
    }
}

impl Remembered {
    /// How many, and how many bytes.
    pub fn held(&self) -> (u64, u64) {
        // Else the numbers lag behind.
        self.0.run_pending_tasks();
        (self.0.entry_count(), self.0.weighted_size())
    }
}

impl Pipeline {
    /// Understands a head, or remembers how it was understood.
    pub(crate) fn understand(&self, head: &Parts) -> Arc<Understood> {
        let key = match RequestKeyRef::of(head) {
            Ok(key) => key,
            Err(error) => return Arc::new(Understood::refused(error.into())),
        };
        if let Some(understood) = self.remembered.0.get(&key) {
            return understood;
        }
        let understood = Arc::new(self.understand_anew(&key));
        if understood.admitted.is_ok() {
            self.remembered
                .0
                .insert(key.to_key(), Arc::clone(&understood));
        }
        understood
    }

    fn understand_anew(&self, key: &RequestKeyRef<'_>) -> Understood {
        let request = match ImageRequest::of(key, &self.prefixes) {
            Ok(request) => request,
            Err(error) => return Understood::refused(error.into()),
        };
        let admitted = self.policy.admit(&request).map(|job| Admitted {
            name: SourceName::of(&job.source),
            job,
            standing: RwLock::default(),
        });
        Understood {
            vary: self.policy.vary(&request),
            fallback: self.policy.fallback(&request),
            admitted: admitted.map_err(|error| Arc::new(error.into())),
        }
    }

    /// What a request leads to now that its source has this record.
    pub(crate) fn standing(
        &self,
        understood: &Understood,
        admitted: &Admitted,
        record: &Arc<SourceRecord>,
    ) -> Arc<Standing> {
        let known = admitted
            .standing
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known
            && Arc::ptr_eq(&known.record, record)
        {
            return Arc::clone(known);
        }
        drop(known);
        let standing = Arc::new(Standing {
            record: Arc::clone(record),
            settled: self.named(understood, admitted, record, &admitted.job.recipe),
            quick: OnceLock::new(),
        });
        // What may not be stored has another record for every request.
        if record.freshness.is_storable() {
            *admitted
                .standing
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&standing));
        }
        standing
    }

    /// The rendition that is made quickly, where there is one beside the settled one. Where nothing is kept there is no next time.
    pub(crate) fn quick<'a>(
        &self,
        understood: &Understood,
        admitted: &Admitted,
        standing: &'a Standing,
    ) -> Option<&'a Named> {
        let record = &standing.record;
        let has_two = admitted.job.recipe.output == Output::Avif
            && !self.interim.is_zero()
            && record.freshness.is_storable();
        let quick = || self.named(understood, admitted, record, &admitted.quick_job().recipe);
        has_two.then(|| standing.quick.get_or_init(quick))
    }

    fn named(
        &self,
        understood: &Understood,
        admitted: &Admitted,
        record: &SourceRecord,
        recipe: &Recipe,
    ) -> Named {
        let Admitted { job, name, .. } = admitted;
        let key = RenditionKey::of(&name.key, record, recipe, &self.render_fingerprint);
        Named {
            key,
            told: RepresentationHeaders::of(record, key.etag(), understood.vary, &job.warnings),
        }
    }
}

impl Understood {
    fn refused(error: Error) -> Self {
        Understood {
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

impl Admitted {
    /// The job as it is done for whoever asks first.
    pub fn quick_job(&self) -> Job {
        let mut job = self.job.clone();
        job.recipe.effort = Effort::Quick;
        job
    }
}
