//! Renditions: kept, or made once for all who ask.

use std::sync::Arc;

use crate::cache::Cache;
use crate::cache::CachedRendition;
use crate::cache::RenderOutput;
use crate::cache::entry::EntryKey;
use crate::cache::key::RenditionKey;
use crate::cache::negative::CacheableError;
use crate::cache::negative::NegativeKey;
use crate::cache::rendition::Rendition;
use crate::cache::single_flight::FlightError;
use crate::cache::single_flight::FlightKey;
use crate::cache::single_flight::FlightLost;
use crate::cache::single_flight::FlightResult;
use crate::cache::stats::CacheStatus;
use crate::cache::stats::Tier;
use crate::options::Format;

impl Cache {
    /// The rendition kept under `key`, if memory has it: at no cost beyond that of looking.
    pub async fn get(&self, key: &RenditionKey) -> Option<CachedRendition> {
        let rendition = self.memory.rendition(key).await?;
        if let Some(disk) = &self.renditions {
            disk.hit(&EntryKey::rendition(*key));
        }
        Some(CachedRendition::kept(rendition, Tier::Memory))
    }

    /// The rendition kept under `key`, else what `render` makes, which is then kept.
    ///
    /// Coalesced: of all who ask meanwhile, one renders. An error is told to each, and kept as long as its kind is. With `keep` false, nothing is
    /// looked up and nothing kept. A rendition that was made for another key (because its source changed on the way) is handed out and not kept.
    /// So is one of a source that was fetched anew on the way and may not be kept.
    pub async fn get_or_render<E, M, Fut>(
        self: &Arc<Self>,
        key: RenditionKey,
        keep: bool,
        render: Fut,
    ) -> FlightResult<CachedRendition, E>
    where
        E: CacheableError,
        M: Into<RenderOutput> + Send + 'static,
        Fut: Future<Output = FlightResult<M, E>> + Send + 'static,
    {
        if keep && let Some(found) = self.get(&key).await {
            return Ok(found);
        }
        let cache = Arc::clone(self);
        let work = async move {
            let generation = cache.purges.generation();
            if keep {
                if let Some(found) = cache.find_rendition(key).await {
                    return Ok(found);
                }
                let failure = NegativeKey::Rendition(key);
                let now = cache.clock.now();
                if let Some(failed) = cache.failures.get(&failure, generation, now) {
                    return Err(failed);
                }
            }
            let RenderOutput { rendition, source } = match render.await {
                Ok(made) => made.into(),
                Err(failed) => {
                    if keep {
                        let life = failed.error.life(&cache.error_lives);
                        let failure = NegativeKey::Rendition(key);
                        let now = cache.clock.now();
                        cache
                            .failures
                            .insert(failure, &failed, life, generation, now);
                    }
                    return Err(failed);
                }
            };
            let rendition = Arc::new(rendition);
            let storable = source
                .as_ref()
                .is_none_or(|source| source.freshness.is_storable());
            if keep && storable && rendition.etag == key.etag() {
                cache.insert_rendition(key, &rendition).await;
            }
            Ok(CachedRendition {
                rendition,
                outcome: CacheStatus::Miss,
                source,
            })
        };
        let (landing, joined) = self.flights.join(FlightKey::Rendition(key), work).await;
        landing.map(|found| CachedRendition {
            outcome: found.outcome.seen_by(joined),
            ..found
        })
    }

    /// The rendition kept under `key`, if one is. Of all who ask meanwhile, one looks on disk and in the shared bucket.
    pub async fn find(self: &Arc<Self>, key: RenditionKey) -> Option<CachedRendition> {
        if let Some(found) = self.get(&key).await {
            return Some(found);
        }
        let entry = EntryKey::rendition(key);
        let disk = self.renditions.as_ref();
        let shared = self.shared.as_ref();
        if !disk.is_some_and(|disk| disk.may_have(&entry))
            && !shared.is_some_and(|shared| shared.looks_for(&entry))
        {
            return None;
        }
        let cache = Arc::clone(self);
        let work = async move { Ok::<_, FlightError<FlightLost>>(cache.find_rendition(key).await) };
        let (landing, _) = self.flights.join(FlightKey::Rendition(key), work).await;
        landing.ok().flatten()
    }

    /// The format of the rendition kept under `key`, if one is that would be answered with. No more than its beginning is read, so that one that has
    /// rotted since it was written is found out by who asks for it; and it is copied to no tier that does not have it.
    pub async fn get_format(&self, key: RenditionKey) -> Option<Format> {
        if let Some(found) = self.get(&key).await {
            return Some(found.rendition.format);
        }
        let entry = EntryKey::rendition(key);
        if let Some(disk) = &self.renditions
            && let Some(beginning) = disk.beginning(entry, 1).await
            && let Some(format) = disk.readable(entry, Rendition::stored_format(&beginning))
        {
            return Some(format);
        }
        let shared = self.shared.as_ref()?;
        let beginning = shared.beginning(entry, 1).await?;
        shared.readable(entry, Rendition::stored_format(&beginning))
    }

    /// Keeps a rendition no longer: a better one has taken its place.
    pub async fn remove(&self, key: RenditionKey) {
        self.remove_locally(key).await;
        if let Some(shared) = &self.shared {
            shared.remove(EntryKey::rendition(key));
        }
    }

    /// Keeps a rendition no longer in this process, nor on its disk.
    pub(crate) async fn remove_locally(&self, key: RenditionKey) {
        self.memory.remove_rendition(&key).await;
        if let Some(disk) = &self.renditions {
            disk.remove(EntryKey::rendition(key));
        }
    }

    async fn find_rendition(&self, key: RenditionKey) -> Option<CachedRendition> {
        // Again, now that nobody else can be about to keep it.
        if let Some(found) = self.get(&key).await {
            return Some(found);
        }
        let (rendition, tier) = match self.on_disk(key).await {
            Some(rendition) => (rendition, Tier::Disk),
            None => (self.in_bucket(key).await?, Tier::Shared),
        };
        let rendition = Arc::new(rendition);
        self.memory
            .insert_rendition(key, Arc::clone(&rendition))
            .await;
        Some(CachedRendition::kept(rendition, tier))
    }

    async fn on_disk(&self, key: RenditionKey) -> Option<Rendition> {
        let disk = self.renditions.as_ref()?;
        let entry = EntryKey::rendition(key);
        let stored = disk.get(entry).await?;
        disk.readable(entry, Rendition::from_stored(&key, stored))
    }

    /// What another replica made. It is on disk here from then on.
    async fn in_bucket(&self, key: RenditionKey) -> Option<Rendition> {
        let shared = self.shared.as_ref()?;
        let entry = EntryKey::rendition(key);
        let stored = shared.get(entry).await?;
        let read = Rendition::from_stored(&key, stored.clone());
        let rendition = shared.readable(entry, read)?;
        if let Some(disk) = &self.renditions {
            disk.put(entry, Vec::new(), stored);
        }
        Some(rendition)
    }

    async fn insert_rendition(&self, key: RenditionKey, rendition: &Arc<Rendition>) {
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
