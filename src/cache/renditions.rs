//! Renditions: looked up, or rendered once for all requests that wait.

use std::sync::Arc;

use crate::cache::answer::{CachedRendition, RenderOutput};
use crate::cache::entry::EntryKey;
use crate::cache::key::RenditionKey;
use crate::cache::negative::{CacheableError, NegativeKey};
use crate::cache::rendition::Rendition;
use crate::cache::single_flight::{FlightError, FlightKey, FlightLost, FlightResult};
use crate::cache::state::Cache;
use crate::cache::stats::{CacheStatus, Tier};
use crate::options::Format;
use crate::telemetry::trace;
use crate::telemetry::trace::Step;

impl Cache {
    /// The rendition under `key`, if it is in memory. This is cheap: nothing else is asked.
    pub async fn get(&self, key: &RenditionKey) -> Option<CachedRendition> {
        let rendition = self.memory.rendition(key).await?;
        if let Some(disk) = &self.renditions {
            disk.hit(&EntryKey::rendition(*key));
        }
        Some(CachedRendition::hit(rendition, Tier::Memory))
    }

    /// The stored rendition under `key`, or else the result of `render`, which is then stored.
    ///
    /// Requests for the same key are coalesced: one renders, and all get its result. An error is answered to all of them, and stored for its ttl.
    /// With `store` false nothing is looked up or stored. The result is also not stored if it was made for another key, because its source changed
    /// meanwhile, or if its source was fetched again and may not be stored.
    pub async fn get_or_render<E, M, Fut>(
        self: &Arc<Self>,
        key: RenditionKey,
        store: bool,
        render: Fut,
    ) -> FlightResult<CachedRendition, E>
    where
        E: CacheableError,
        M: Into<RenderOutput> + Send + 'static,
        Fut: Future<Output = FlightResult<M, E>> + Send + 'static,
    {
        if store && let Some(found) = self.get(&key).await {
            return Ok(found);
        }
        // In a box, because it is large and copied several times.
        let render = Box::pin(render);
        let cache = Arc::clone(self);
        let work = async move {
            let generation = cache.purges.generation();
            if store {
                if let Some(found) = cache.find_rendition(key).await {
                    return Ok(found);
                }
                let error_key = NegativeKey::Rendition(key);
                if let Some(failed) = cache.negative.get(&error_key, cache.moment(generation)) {
                    return Err(failed);
                }
            }
            let RenderOutput { rendition, source } = match render.await {
                Ok(made) => made.into(),
                Err(failed) => {
                    if store {
                        let ttl = failed.error.ttl(&cache.error_ttls);
                        let error_key = NegativeKey::Rendition(key);
                        let now = cache.moment(generation);
                        cache.negative.insert(error_key, &failed, ttl, now);
                    }
                    return Err(failed);
                }
            };
            let rendition = Arc::new(rendition);
            let storable = source
                .as_ref()
                .is_none_or(|source| source.freshness.is_storable());
            if store && storable && rendition.etag == key.etag() {
                cache.insert_rendition(key, &rendition).await;
            }
            Ok(CachedRendition {
                rendition,
                outcome: CacheStatus::Miss,
                source,
            })
        };
        let (result, joined) = self.flights.join(FlightKey::Rendition(key), work).await;
        result.map(|found| CachedRendition {
            outcome: found.outcome.seen_by(joined),
            ..found
        })
    }

    /// The stored rendition under `key`, if there is one. Of requests that ask at the same time, one reads the disk and the shared bucket.
    pub async fn find(self: &Arc<Self>, key: RenditionKey) -> Option<CachedRendition> {
        if let Some(found) = self.get(&key).await {
            return Some(found);
        }
        let entry = EntryKey::rendition(key);
        let disk = self.renditions.as_ref();
        let shared = self.shared.as_ref();
        if !disk.is_some_and(|disk| disk.may_find(&entry))
            && !shared.is_some_and(|shared| shared.would_read(&entry))
        {
            return None;
        }
        // In a box, so that the future of a request that finds it in memory stays small: it is copied several times.
        Box::pin(self.find_outside_memory(key)).await
    }

    async fn find_outside_memory(self: &Arc<Self>, key: RenditionKey) -> Option<CachedRendition> {
        let cache = Arc::clone(self);
        let work = async move { Ok::<_, FlightError<FlightLost>>(cache.find_rendition(key).await) };
        let (result, _) = self.flights.join(FlightKey::Rendition(key), work).await;
        result.ok().flatten()
    }

    /// The format of the stored rendition under `key`, if there is one. Only the beginning of the entry is read: damage in the rest is found when it
    /// is served. The rendition is not copied to other tiers.
    pub async fn get_format(&self, key: RenditionKey) -> Option<Format> {
        if let Some(found) = self.get(&key).await {
            return Some(found.rendition.format);
        }
        let entry = EntryKey::rendition(key);
        if let Some(disk) = &self.renditions
            && let Some(beginning) = disk.beginning(entry, 1).await
            && let Some(format) = disk.parsed_or_remove(entry, Rendition::stored_format(&beginning))
        {
            return Some(format);
        }
        let shared = self.shared.as_ref()?;
        let beginning = shared.beginning(entry, 1).await?;
        shared.parsed_or_remove(entry, Rendition::stored_format(&beginning))
    }

    /// Removes a rendition from all tiers, because a better one takes its place.
    pub async fn remove(&self, key: RenditionKey) {
        self.remove_locally(key).await;
        if let Some(shared) = &self.shared {
            shared.remove(EntryKey::rendition(key));
        }
    }

    /// Removes a rendition from memory and from the disk of this process.
    pub(crate) async fn remove_locally(&self, key: RenditionKey) {
        self.memory.remove_rendition(&key).await;
        if let Some(disk) = &self.renditions {
            disk.remove(EntryKey::rendition(key));
        }
    }

    async fn find_rendition(&self, key: RenditionKey) -> Option<CachedRendition> {
        // Another flight may have stored it before this one started.
        if let Some(found) = self.get(&key).await {
            return Some(found);
        }
        let (rendition, tier) = match self.find_on_disk(key).await {
            Some(rendition) => (rendition, Tier::Disk),
            None => (self.find_in_shared(key).await?, Tier::Shared),
        };
        let rendition = Arc::new(rendition);
        self.memory
            .insert_rendition(key, Arc::clone(&rendition))
            .await;
        Some(CachedRendition::hit(rendition, tier))
    }

    async fn find_on_disk(&self, key: RenditionKey) -> Option<Rendition> {
        let disk = self.renditions.as_ref()?;
        let mut span = trace::step(Step::Lookup);
        span.set("safelight.tier", "disk");
        let entry = EntryKey::rendition(key);
        let stored = disk.get(entry).await;
        span.set("safelight.hit", stored.is_some());
        disk.parsed_or_remove(entry, Rendition::from_stored(&key, stored?))
    }

    /// A rendition of another replica. It is then stored on disk here, too.
    async fn find_in_shared(&self, key: RenditionKey) -> Option<Rendition> {
        let shared = self.shared.as_ref()?;
        let mut span = trace::step(Step::Lookup);
        span.set("safelight.tier", "shared");
        let entry = EntryKey::rendition(key);
        let stored = shared.get(entry).await;
        span.set("safelight.hit", stored.is_some());
        let stored = stored?;
        let read = Rendition::from_stored(&key, stored.clone());
        let rendition = shared.parsed_or_remove(entry, read)?;
        if let Some(disk) = &self.renditions {
            disk.put(entry, Vec::new(), stored);
        }
        Some(rendition)
    }

    async fn insert_rendition(&self, key: RenditionKey, rendition: &Arc<Rendition>) {
        let _span = trace::step(Step::Store);
        self.memory
            .insert_rendition(key, Arc::clone(rendition))
            .await;
        let Some(head) = rendition.stored_head() else {
            return;
        };
        let entry = EntryKey::rendition(key);
        if let Some(disk) = &self.renditions {
            disk.put(entry, head.clone(), rendition.bytes.clone());
        }
        if let Some(shared) = &self.shared {
            shared.put(entry, head, rendition.bytes.clone());
        }
    }
}
