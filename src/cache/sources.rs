//! Sources: kept, fetched, asked for again, stood in for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::cache::Cache;
use crate::cache::CachedSource;
use crate::cache::SourceBytes;
use crate::cache::blocking;
use crate::cache::entry::EntryKey;
use crate::cache::key::ContentHash;
use crate::cache::key::SourceId;
use crate::cache::key::SourceKey;
use crate::cache::key::SourceName;
use crate::cache::negative::CacheableError;
use crate::cache::negative::NegativeKey;
use crate::cache::purge::log::PurgeEffect;
use crate::cache::single_flight::FlightError;
use crate::cache::single_flight::FlightKey;
use crate::cache::single_flight::FlightLost;
use crate::cache::single_flight::FlightResult;
use crate::cache::source_record::SourceRecord;
use crate::cache::stats::CacheStatus;
use crate::cache::stats::Stale;
use crate::cache::stats::Tier;
use crate::freshness::Validators;
use crate::source::FetchOutcome;
use crate::source::FetchedSource;

/// Sources up to this length, in bytes, are hashed where they are; longer ones on a thread of their own.
const HASHED_AT_ONCE: usize = 256 << 10;

/// How long an origin that failed is left alone where what is kept may be used without it.
const HOLD_OFF: Duration = Duration::from_secs(5);

/// How long to wait for memory for a source that is on disk; after that it counts as missing.
const ROOM: Duration = Duration::from_secs(5);

/// How an origin is asked for a source: with the validators of what is kept, if anything is.
pub trait Fetch<E>: Send + 'static {
    /// Asks once.
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
    /// A fresh source, if memory has its record: at no cost beyond that of looking.
    pub async fn get_source(&self, key: &SourceKey) -> Option<CachedSource> {
        let record = self.memory.record(key).await?;
        if let Some(disk) = &self.sources {
            disk.hit(&EntryKey::record(*key));
        }
        let usable = self.purges.verdict(key, &record) == PurgeEffect::Holds
            && record.freshness.is_fresh(self.clock.now());
        usable.then(|| CachedSource::kept(record, Tier::Memory, None))
    }

    /// A source: the kept record while it is fresh, or while it may be used although it is not; else what `fetch` gets. `fetch` is given the
    /// validators of what is kept, if anything is.
    ///
    /// Coalesced: of all who ask meanwhile, one fetches. A stale record that may be used is handed out at once, and one fetch is made behind it;
    /// where the origin fails, one that may stand in does. What the origin answers instead of a source is told to each, and kept as long as its
    /// kind is. What may not be stored is handed to those who wait, and kept nowhere.
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
                    Ok(CachedSource::kept(record, tier, None))
                }
                Some((record, tier)) if record.freshness.may_serve_while_revalidating(now) => {
                    cache.refresh(name, Arc::clone(&record), tier, generation, fetch);
                    Ok(CachedSource::kept(record, tier, Some(Stale::Revalidating)))
                }
                known => cache.ask(&name, known, generation, fetch).await,
            }
        };
        let (landing, joined) = self.flights.join(flight, work).await;
        landing.map(|found| CachedSource {
            outcome: found.outcome.seen_by(joined),
            ..found
        })
    }

    /// The bytes of a source that [`get_or_fetch`](Self::get_or_fetch) found: those it fetched, or those kept, or, when those have been evicted,
    /// fetched again, whole and coalesced. The record is the one that belongs to the bytes; after a fetch it may be of a newer version.
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
            None => self.get_or_fetch_again(name, fetch).await,
        }
    }

    /// The kept bytes of a source; `None` if they have been evicted.
    pub async fn source_bytes(&self, key: &SourceKey, record: &SourceRecord) -> Option<Bytes> {
        let (source, version) = (key.id(), record.version);
        if let Some(bytes) = self.memory.source_bytes(source, version).await {
            return Some(bytes);
        }
        let disk = self.sources.as_ref()?;
        let entry = EntryKey::source_bytes(source, version);
        if !disk.may_have(&entry) {
            return None;
        }
        // No memory in time counts as a miss: the fetch that follows reports the lack of memory.
        let reservation = self.source_memory.reserve(record.len);
        let reservation = timeout(ROOM, reservation).await.ok()?;
        let stored = disk.get(entry).await?;
        let whole = Some(stored).filter(|bytes| bytes.len() as u64 == record.len);
        let bytes = reservation.hold(disk.readable(entry, whole)?);
        self.keep_bytes_at_hand(source, version, &bytes).await;
        Some(bytes)
    }

    /// Keeps the bytes of a source in memory for those who ask next, unless somebody waits for that memory.
    async fn keep_bytes_at_hand(&self, source: SourceId, version: ContentHash, bytes: &Bytes) {
        self.memory
            .insert_source_bytes(source, version, bytes.clone())
            .await;
        // Asked afterwards, so that a waiter that comes in between is seen here or makes the cache let go itself.
        if self.source_memory.is_scarce() {
            self.memory.remove_source_bytes();
        }
    }

    /// A source with its bytes, fetched without condition unless somebody else did so a moment ago.
    pub async fn get_or_fetch_again<E: CacheableError>(
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
                && cache.is_told_again(&failed)
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

    /// Asks the origin behind a stale record that was handed out, if nobody is at it and it did not just fail.
    fn refresh<E: CacheableError>(
        self: &Arc<Self>,
        name: SourceName,
        known: Arc<SourceRecord>,
        tier: Tier,
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
                .ask(&name, Some((known, tier)), generation, fetch)
                .await
        };
        self.flights.start::<CachedSource, E>(flight, work);
    }

    /// Asks the other replicas, by way of what they share, and then the origin, and keeps what it says. `known` stands in where it fails.
    async fn ask<E: CacheableError>(
        self: &Arc<Self>,
        name: &SourceName,
        known: Option<(Arc<SourceRecord>, Tier)>,
        generation: u64,
        fetch: impl Fetch<E>,
    ) -> FlightResult<CachedSource, E> {
        if let Some(failed) = self.get_error(&name.key, generation) {
            let told_again = self.is_told_again(&failed);
            let landing = self.stand_in(known.clone(), failed);
            // An origin is held off for no longer than something stands in for it: that may have been evicted.
            if landing.is_ok() || told_again {
                return landing;
            }
        }
        let known = match self.in_shared(&name.key).await {
            Some(record)
                if record.freshness.is_fresh(self.clock.now())
                    && known
                        .as_ref()
                        .is_none_or(|(known, _)| record.freshness.is_newer(&known.freshness)) =>
            {
                self.insert_record_locally(name.key, &record).await;
                return Ok(CachedSource::kept(record, Tier::Shared, None));
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
                self.failures.remove(&NegativeKey::Source(name.key));
                // Purged while the origin was asked: for those who asked before, and nobody else.
                if self.purges.verdict(&name.key, &known) != PurgeEffect::Gone {
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
                self.stand_in(known, failed)
            }
        }
    }

    /// The record of a source that turned out to lack its end, which may be on its way: with a life no longer than that of an error about it,
    /// now and after every answer of the origin that it is still the same.
    pub async fn cap_source(
        &self,
        key: &SourceKey,
        record: &Arc<SourceRecord>,
    ) -> Arc<SourceRecord> {
        let cap = self.error_lives.source.duration();
        if record.freshness.cap() == Some(cap) {
            return Arc::clone(record);
        }
        let capped = Arc::new(record.capped(cap));
        let kept = self.memory.record(key).await;
        // Not over what came or was purged meanwhile.
        let is_last = kept.is_none_or(|kept| Arc::ptr_eq(&kept, record));
        if is_last && self.purges.verdict(key, record) == PurgeEffect::Holds {
            self.insert_record(*key, &capped).await;
        }
        capped
    }

    /// What is kept, in place of an origin that failed, if it may be used for that.
    fn stand_in<E: CacheableError>(
        &self,
        known: Option<(Arc<SourceRecord>, Tier)>,
        failed: FlightError<E>,
    ) -> FlightResult<CachedSource, E> {
        let now = self.clock.now();
        match known {
            Some((record, tier))
                if failed.error.is_outage() && record.freshness.may_serve_on_error(now) =>
            {
                Ok(CachedSource::kept(record, tier, Some(Stale::OriginFailed)))
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
        self.failures.get(&key, generation, self.clock.now())
    }

    /// Whether a kept failure is an answer by itself, and not only the reason why something kept stands in.
    fn is_told_again<E: CacheableError>(&self, failed: &FlightError<E>) -> bool {
        let life = failed.error.life(&self.error_lives);
        failed.since.is_some_and(|since| {
            let age = self.clock.now().duration_since(since);
            age.is_ok_and(|age| age < life)
        })
    }

    /// Remembers that a source could not be had: for the life of its kind, and an outage for a moment at least, in case something stands in for it.
    /// Nothing is kept of a source that its origin no longer has.
    async fn insert_error<E: CacheableError>(
        &self,
        key: &SourceKey,
        failed: &FlightError<E>,
        generation: u64,
    ) {
        let mut life = failed.error.life(&self.error_lives);
        if failed.error.is_outage() {
            life = life.max(HOLD_OFF);
        } else {
            self.remove_record(key).await;
        }
        let key = NegativeKey::Source(*key);
        self.failures
            .insert(key, failed, life, generation, self.clock.now());
    }

    async fn insert_source(
        &self,
        name: &SourceName,
        fetched: FetchedSource,
        generation: u64,
    ) -> SourceBytes {
        let bytes = fetched.bytes.clone();
        let version = version_of(&bytes).await;
        let mut record = SourceRecord::new(name, version, fetched, generation);
        record.epoch = self.purges.epoch(name, &record.tags, generation);
        if let Some(known) = self.memory.record(&name.key).await
            && known.version == version
            && let Some(cap) = known.freshness.cap()
        {
            // The same bytes as before, which lack their end.
            record = record.capped(cap);
        }
        let record = Arc::new(record);
        // Purged while it was on its way: for those who asked before, and nobody else.
        if self.purges.verdict(&name.key, &record) == PurgeEffect::Gone {
            return SourceBytes { record, bytes };
        }
        if record.freshness.is_storable() {
            let source = name.key.id();
            self.keep_bytes_at_hand(source, version, &bytes).await;
            if let Some(disk) = &self.sources {
                // Before the record, so that there is no moment at which a record leads nowhere.
                let entry = EntryKey::source_bytes(source, version);
                disk.put(entry, Vec::new(), bytes.clone());
            }
        }
        self.failures.remove(&NegativeKey::Source(name.key));
        self.insert_record(name.key, &record).await;
        SourceBytes { record, bytes }
    }
}

async fn version_of(bytes: &Bytes) -> ContentHash {
    if bytes.len() > HASHED_AT_ONCE {
        let elsewhere = bytes.clone();
        if let Some(version) = blocking(move || ContentHash::of(&elsewhere)).await {
            return version;
        }
    }
    ContentHash::of(bytes)
}
