//! Sources: looked up, fetched, revalidated, and served stale.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::cache::answer::{CachedSource, SourceBytes};
use crate::cache::blocking;
use crate::cache::entry::EntryKey;
use crate::cache::key::{ContentHash, SourceId, SourceKey, SourceName};
use crate::cache::negative::{CacheableError, NegativeKey};
use crate::cache::purge::log::PurgeEffect;
use crate::cache::single_flight::{FlightError, FlightKey, FlightLost, FlightResult};
use crate::cache::source_record::SourceRecord;
use crate::cache::state::Cache;
use crate::cache::stats::{CacheStatus, Stale, Tier};
use crate::freshness::Validators;
use crate::source::{FetchOutcome, FetchedSource};
use crate::telemetry::trace;
use crate::telemetry::trace::Step;

/// For how long an origin that failed is not asked again, while a stale source can be served.
const OUTAGE_TTL: Duration = Duration::from_secs(5);

/// How long to wait for memory to read a source from disk. After that it counts as missing.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches a source from its origin, with the validators of the stored record if there is one.
pub trait Fetch<E>: Send + 'static {
    /// Sends one request to the origin.
    fn ask(
        self,
        known: Option<Validators>,
    ) -> impl Future<Output = Result<FetchOutcome, E>> + Send + 'static;
}

impl<E, F, Fut> Fetch<E> for F
where
    F: FnOnce(Option<Validators>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<FetchOutcome, E>> + Send + 'static,
{
    fn ask(
        self,
        known: Option<Validators>,
    ) -> impl Future<Output = Result<FetchOutcome, E>> + Send + 'static {
        self(known)
    }
}

impl Cache {
    /// The record of a source, if it is in memory and fresh. This is cheap: nothing else is asked.
    pub async fn get_source(&self, key: &SourceKey) -> Option<CachedSource> {
        let record = self.memory.record(key).await?;
        if let Some(disk) = &self.sources {
            disk.hit(&EntryKey::record(*key));
        }
        let usable = self.purges.check(key, &record) == PurgeEffect::Unaffected
            && record.freshness.is_fresh(self.clock.now());
        usable.then(|| CachedSource::hit(record, Tier::Memory, None))
    }

    /// A source: the stored record while it is fresh or may be used stale, or else the result of `fetch`, which gets the validators of the stored
    /// record if there is one.
    ///
    /// Requests for the same source are coalesced: one fetches, and all get its result. A stale record that may be used is returned at once, while
    /// one flight revalidates it in the background; if the origin fails, a stale record is returned if that is allowed. An error of the origin is
    /// answered to all waiting requests, and stored for its ttl. A source that may not be stored is returned to the waiting requests only.
    pub async fn get_or_fetch<E: CacheableError>(
        self: &Arc<Self>,
        name: &SourceName,
        fetch: impl Fetch<E>,
    ) -> FlightResult<CachedSource, E> {
        if let Some(found) = self.get_source(&name.key).await {
            return Ok(found);
        }
        let generation = self.purges.generation();
        let flight = FlightKey::Source(name.key, generation);
        let (cache, name) = (Arc::clone(self), name.clone());
        let work = async move {
            let known = cache.find_record(&name.key).await;
            let now = cache.clock.now();
            match known {
                Some((record, tier)) if record.freshness.is_fresh(now) => {
                    Ok(CachedSource::hit(record, tier, None))
                }
                Some((record, tier)) if record.freshness.may_serve_while_revalidating(now) => {
                    let known = (Arc::clone(&record), tier);
                    cache.refresh(name, known, generation, fetch);
                    Ok(CachedSource::hit(record, tier, Some(Stale::Revalidating)))
                }
                known => cache.ask_origin(&name, known, generation, fetch).await,
            }
        };
        let (result, joined) = self.flights.join(flight, work).await;
        result.map(|found| CachedSource {
            outcome: found.outcome.seen_by(joined),
            ..found
        })
    }

    /// The bytes of a source that [`get_or_fetch`](Self::get_or_fetch) returned: those it fetched, or the stored ones, or, if they have been evicted,
    /// those of a new unconditional fetch. The record belongs to the bytes; after a fetch it may be newer.
    pub async fn bytes_or_fetch<E: CacheableError>(
        self: &Arc<Self>,
        name: &SourceName,
        found: CachedSource,
        fetch: impl Fetch<E>,
    ) -> FlightResult<SourceBytes, E> {
        let CachedSource { record, bytes, .. } = found;
        let bytes = match bytes {
            Some(bytes) => Some(bytes),
            None => self.source_bytes(&name.key, &record).await,
        };
        match bytes {
            Some(bytes) => Ok(SourceBytes { record, bytes }),
            None => self.refetch(name, fetch).await,
        }
    }

    /// The stored bytes of a source; `None` if they have been evicted.
    pub async fn source_bytes(&self, key: &SourceKey, record: &SourceRecord) -> Option<Bytes> {
        let (source, version) = (key.id(), record.version);
        if let Some(bytes) = self.memory.source_bytes(source, version).await {
            return Some(bytes);
        }
        let disk = self.sources.as_ref()?;
        let entry = EntryKey::source_bytes(source, version);
        if !disk.may_find(&entry) {
            return None;
        }
        // No memory in time counts as a miss, and the fetch that follows then reports that there is no memory.
        let reservation = self.source_memory.reserve(record.len);
        let reservation = timeout(MEMORY_TIMEOUT, reservation).await.ok()?;
        let stored = disk.get(entry).await?;
        let whole = Some(stored).filter(|bytes| bytes.len() as u64 == record.len);
        let bytes = reservation.hold(disk.parsed_or_remove(entry, whole)?);
        self.insert_recent_bytes(source, version, &bytes).await;
        Some(bytes)
    }

    /// Stores the bytes of a source in memory for the next requests, unless a request waits for that memory.
    async fn insert_recent_bytes(&self, source: SourceId, version: ContentHash, bytes: &Bytes) {
        self.memory
            .insert_source_bytes(source, version, bytes.clone())
            .await;
        // Checked after the insertion, so that a request that begins to wait in between is either seen here or removes the bytes itself.
        if self.source_memory.is_scarce() {
            self.memory.remove_source_bytes();
        }
    }

    /// A source with its bytes, fetched without validators, unless another flight has just stored them.
    pub async fn refetch<E: CacheableError>(
        self: &Arc<Self>,
        name: &SourceName,
        fetch: impl Fetch<E>,
    ) -> FlightResult<SourceBytes, E> {
        let generation = self.purges.generation();
        let flight = FlightKey::SourceBytes(name.key, generation);
        let (cache, name) = (Arc::clone(self), name.clone());
        let work = async move {
            if let Some((record, _)) = cache.find_record(&name.key).await
                && let Some(bytes) = cache.source_bytes(&name.key, &record).await
            {
                return Ok(SourceBytes { record, bytes });
            }
            if let Some(failed) = cache.get_error(&name.key, generation)
                && cache.is_negative_hit(&failed)
            {
                return Err(failed);
            }
            match fetch.ask(None).await {
                Ok(FetchOutcome::Fetched(fetched)) => {
                    Ok(cache.insert_source(&name, fetched, generation).await)
                }
                Ok(FetchOutcome::NotModified { .. }) => {
                    Err(FlightError::from(E::from(FlightLost::NothingToRenew)))
                }
                Err(error) => {
                    let failed = FlightError::from(error);
                    cache.insert_error(&name.key, &failed, generation).await;
                    Err(failed)
                }
            }
        };
        self.flights.join(flight, work).await.0
    }

    /// Revalidates a stale record in the background, unless a flight already does or the origin has just failed.
    fn refresh<E: CacheableError>(
        self: &Arc<Self>,
        name: SourceName,
        known: (Arc<SourceRecord>, Tier),
        generation: u64,
        fetch: impl Fetch<E>,
    ) {
        if self.get_error::<E>(&name.key, generation).is_some() {
            return;
        }
        let cache = Arc::clone(self);
        let flight = FlightKey::Refresh(name.key, generation);
        let work = async move {
            cache
                .ask_origin(&name, Some(known), generation, fetch)
                .await
        };
        self.flights.start::<CachedSource, E>(flight, work);
    }

    /// Looks in the shared bucket and then asks the origin, and stores the answer. If the origin fails, `known` may be returned stale.
    async fn ask_origin<E: CacheableError>(
        self: &Arc<Self>,
        name: &SourceName,
        known: Option<(Arc<SourceRecord>, Tier)>,
        generation: u64,
        fetch: impl Fetch<E>,
    ) -> FlightResult<CachedSource, E> {
        if let Some(failed) = self.get_error(&name.key, generation) {
            let is_negative_hit = self.is_negative_hit(&failed);
            let result = self.serve_stale_on_error(known.clone(), failed);
            // An outage is answered again only while a stale record can be served, which may have been evicted since.
            if result.is_ok() || is_negative_hit {
                return result;
            }
        }
        let known = match self.find_shared_record(&name.key).await {
            Some(record)
                if record.freshness.is_fresh(self.clock.now())
                    && known
                        .as_ref()
                        .is_none_or(|(known, _)| record.freshness.is_newer(&known.freshness)) =>
            {
                self.insert_record_locally(name.key, &record).await;
                return Ok(CachedSource::hit(record, Tier::Shared, None));
            }
            Some(record) if known.is_none() => Some((record, Tier::Shared)),
            _ => known,
        };
        let validators = known.as_ref().map(|(record, _)| record.validators.clone());
        let answer = fetch
            .ask(validators.filter(|validators| !validators.is_empty()))
            .await;
        match (answer, known) {
            (Ok(FetchOutcome::Fetched(fetched)), _) => {
                let SourceBytes { record, bytes } =
                    self.insert_source(name, fetched, generation).await;
                Ok(CachedSource {
                    record,
                    bytes: Some(bytes),
                    outcome: CacheStatus::Miss,
                    stale: None,
                })
            }
            (
                Ok(FetchOutcome::NotModified {
                    freshness,
                    validators,
                    tags,
                }),
                Some((known, _)),
            ) => {
                let record = known.renewed(&validators, &freshness, tags, generation);
                let record = Arc::new(record);
                self.negative.remove(&NegativeKey::Source(name.key));
                // If the source was purged meanwhile, the answer is for the requests that asked before the purge only.
                if self.purges.check(&name.key, &known) != PurgeEffect::Removed {
                    self.insert_record(name.key, &record).await;
                }
                Ok(CachedSource {
                    record,
                    bytes: None,
                    outcome: CacheStatus::Revalidated,
                    stale: None,
                })
            }
            (Ok(FetchOutcome::NotModified { .. }), None) => {
                Err(FlightError::from(E::from(FlightLost::NothingToRenew)))
            }
            (Err(error), known) => {
                let failed = FlightError::from(error);
                self.insert_error(&name.key, &failed, generation).await;
                self.serve_stale_on_error(known, failed)
            }
        }
    }

    /// The record of a source whose end is missing and may be uploaded later. It is fresh no longer than an error about it would be stored, also
    /// after the origin answers "not modified".
    pub async fn cap_source(
        &self,
        key: &SourceKey,
        record: &Arc<SourceRecord>,
    ) -> Arc<SourceRecord> {
        let cap = self.error_ttls.source.duration();
        if record.freshness.cap() == Some(cap) {
            return Arc::clone(record);
        }
        let capped = Arc::new(record.capped(cap));
        let stored = self.memory.record(key).await;
        // A newer record, or a purge, takes precedence.
        let is_last = stored.is_none_or(|stored| Arc::ptr_eq(&stored, record));
        if is_last && self.purges.check(key, record) == PurgeEffect::Unaffected {
            self.insert_record(*key, &capped).await;
        }
        capped
    }

    /// The stored record in place of an origin that failed, if it may be used for that; else the error.
    fn serve_stale_on_error<E: CacheableError>(
        &self,
        known: Option<(Arc<SourceRecord>, Tier)>,
        failed: FlightError<E>,
    ) -> FlightResult<CachedSource, E> {
        let now = self.clock.now();
        match known {
            Some((record, tier))
                if failed.error.is_outage() && record.freshness.may_serve_on_error(now) =>
            {
                Ok(CachedSource::hit(record, tier, Some(Stale::OriginFailed)))
            }
            _ => Err(failed),
        }
    }

    fn get_error<E: CacheableError>(
        &self,
        key: &SourceKey,
        generation: u64,
    ) -> Option<FlightError<E>> {
        let key = NegativeKey::Source(*key);
        self.negative.get(&key, self.moment(generation))
    }

    /// Whether a stored error is to be answered again. An outage is stored for longer, as the reason to serve a stale record.
    fn is_negative_hit<E: CacheableError>(&self, failed: &FlightError<E>) -> bool {
        let ttl = failed.error.ttl(&self.error_ttls);
        failed.since.is_some_and(|since| {
            let age = self.clock.now().duration_since(since);
            age.is_ok_and(|age| age < ttl)
        })
    }

    /// Stores an error about a source for its ttl, and an outage for at least [`OUTAGE_TTL`]. Any other error means that the origin does not have the
    /// source any more, and removes its record.
    async fn insert_error<E: CacheableError>(
        &self,
        key: &SourceKey,
        failed: &FlightError<E>,
        generation: u64,
    ) {
        let mut ttl = failed.error.ttl(&self.error_ttls);
        if failed.error.is_outage() {
            ttl = ttl.max(OUTAGE_TTL);
        } else {
            self.remove_record(key).await;
        }
        let key = NegativeKey::Source(*key);
        self.negative
            .insert(key, failed, ttl, self.moment(generation));
    }

    async fn insert_source(
        &self,
        name: &SourceName,
        fetched: FetchedSource,
        generation: u64,
    ) -> SourceBytes {
        let _span = trace::step(Step::Store);
        let bytes = fetched.bytes.clone();
        let hashed = bytes.clone();
        let version = blocking::hash(bytes.len(), move || ContentHash::of(&hashed)).await;
        let mut record = SourceRecord::new(name, version, fetched, generation);
        record.epoch = self.purges.epoch(name, &record.tags, generation);
        if let Some(known) = self.memory.record(&name.key).await
            && known.version == version
            && let Some(cap) = known.freshness.cap()
        {
            // The same bytes, whose end is still missing.
            record = record.capped(cap);
        }
        let record = Arc::new(record);
        // If the source was purged meanwhile, it is for the requests that asked before the purge only.
        if self.purges.check(&name.key, &record) == PurgeEffect::Removed {
            return SourceBytes { record, bytes };
        }
        if record.freshness.is_storable() {
            let source = name.key.id();
            self.insert_recent_bytes(source, version, &bytes).await;
            if let Some(disk) = &self.sources {
                // Written before the record, so that no record points to bytes that are not there yet.
                let entry = EntryKey::source_bytes(source, version);
                disk.put(entry, Vec::new(), bytes.clone());
            }
        }
        self.negative.remove(&NegativeKey::Source(name.key));
        self.insert_record(name.key, &record).await;
        SourceBytes { record, bytes }
    }
}
