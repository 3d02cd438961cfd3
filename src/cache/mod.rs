//! Have we it; keep it.
//!
//! Sources and renditions are kept apart: twelve widths of one picture cost one download. Each is looked for in memory, then on disk, then made, by
//! one flight per key however many ask. A rendition's key contains the version of its source's bytes, so what is kept under a key never changes, and
//! an origin's "not modified" renews every rendition of a source without touching one.
//!
//! Never: an error for a client because of the disk, a client waiting for a write, an unverified byte served, memory or disk past its budget, a flight
//! that dies with whoever asked first, an error kept for the next asker, anything of a source that may not be stored left behind.

mod config;
mod disk;
mod entry;
mod flight;
mod index;
mod key;
mod memory;
mod outcome;
mod rendition;
mod scan;
mod source_record;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use bytes::Bytes;

use self::disk::Disk;
use self::entry::EntryKey;
use self::flight::FlightKey;
use self::flight::Flights;
use self::memory::Memory;
use crate::freshness::Rules;
use crate::freshness::Validators;
use crate::source::Answer;
use crate::source::Fetched;
use crate::units::ByteSize;

pub use self::config::Config;
pub use self::config::DiskConfig;
pub use self::config::MemoryConfig;
pub use self::flight::FlightLost;
pub use self::key::Key;
pub use self::key::RENDER_VERSION;
pub use self::key::SourceKey;
pub use self::key::Version;
pub use self::outcome::DiskStats;
pub use self::outcome::Held;
pub use self::outcome::Outcome;
pub use self::outcome::Stats;
pub use self::outcome::Tier;
pub use self::rendition::Rendition;
pub use self::source_record::SourceRecord;

/// Sources up to this length, in bytes, are hashed where they are; longer ones on a thread of their own.
const HASHED_AT_ONCE: usize = 256 << 10;

/// A source as the cache found it.
#[derive(Clone, Debug)]
pub struct FoundSource {
    pub record: Arc<SourceRecord>,
    /// There when the source was just fetched; else [`Cache::bytes_or_fetch`] finds them.
    pub bytes: Option<Bytes>,
    pub outcome: Outcome,
}

/// One state of a source with its bytes.
#[derive(Clone, Debug)]
pub struct SourceBytes {
    pub record: Arc<SourceRecord>,
    pub bytes: Bytes,
}

/// A rendition as the cache found it.
#[derive(Clone, Debug)]
pub struct Found {
    pub rendition: Arc<Rendition>,
    pub outcome: Outcome,
}

/// Everything that is kept, and every fetch and render under way.
pub struct Cache {
    memory: Memory,
    renditions: Option<Disk>,
    sources: Option<Disk>,
    flights: Flights,
}

/// Why the cache could not be opened. A disk that cannot be used is no reason: then there is memory only, and an error in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheError {
    FloorAboveCeiling { floor: Duration, ceiling: Duration },
}

impl fmt::Display for CacheError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CacheError::FloorAboveCeiling { floor, ceiling } = self;
        write!(
            out,
            "setting `cache.floor` must not exceed `cache.ceiling` ({} s), got {} s",
            ceiling.as_secs(),
            floor.as_secs()
        )
    }
}

impl std::error::Error for CacheError {}

impl Cache {
    /// Opens both tiers. What is on disk is looked through in the background; until that is done, reads ask the disk itself.
    pub async fn open(config: &Config) -> Result<Arc<Cache>, CacheError> {
        let Rules { floor, ceiling } = config.rules();
        if floor > ceiling {
            return Err(CacheError::FloorAboveCeiling { floor, ceiling });
        }
        let DiskConfig {
            path,
            renditions,
            sources,
        } = &config.disk;
        let store = async |name, budget: &ByteSize| match budget.bytes() {
            0 => None,
            _ if path.as_os_str().is_empty() => None,
            bytes => Disk::open(name, path.join(name), bytes).await,
        };
        Ok(Arc::new(Cache {
            memory: Memory::new(config.memory.renditions.bytes()),
            renditions: store("renditions", renditions).await,
            sources: store("sources", sources).await,
            flights: Flights::default(),
        }))
    }

    /// A fresh source, if memory has its record: at no cost beyond that of looking.
    pub async fn recall_source(&self, key: &SourceKey) -> Option<FoundSource> {
        let record = self.memory.record(key).await?;
        let is_fresh = record.freshness.is_fresh(SystemTime::now());
        is_fresh.then_some(FoundSource {
            record,
            bytes: None,
            outcome: Outcome::Hit(Tier::Memory),
        })
    }

    /// The rendition kept under `key`, if memory has it: at no cost beyond that of looking.
    pub async fn recall(&self, key: &Key) -> Option<Found> {
        let rendition = self.memory.rendition(key).await?;
        Some(Found {
            rendition,
            outcome: Outcome::Hit(Tier::Memory),
        })
    }

    /// A fresh source: the kept record while it is fresh, else what `fetch` gets. `fetch` is given the validators of what is kept, if anything is.
    ///
    /// Coalesced: of all who ask meanwhile, one fetches. An error is told to each and kept by nobody. What may not be stored is handed to those who
    /// wait, and kept nowhere.
    pub async fn get_or_fetch<E, F, Fut>(
        self: &Arc<Self>,
        key: SourceKey,
        fetch: F,
    ) -> Result<FoundSource, Arc<E>>
    where
        E: From<FlightLost> + Send + Sync + 'static,
        F: FnOnce(Option<Validators>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Answer, E>> + Send + 'static,
    {
        if let Some(found) = self.recall_source(&key).await {
            return Ok(found);
        }
        let cache = Arc::clone(self);
        let work = async move {
            let known = match cache.find_record(&key).await {
                Some((record, tier)) if record.freshness.is_fresh(SystemTime::now()) => {
                    return Ok(FoundSource {
                        record,
                        bytes: None,
                        outcome: Outcome::Hit(tier),
                    });
                }
                known => known.map(|(record, _)| record),
            };
            let validators = known.as_ref().map(|record| record.validators.clone());
            let answer = fetch(validators.filter(|validators| !validators.is_empty())).await?;
            match (answer, known) {
                (Answer::Fetched(fetched), _) => {
                    let SourceBytes { record, bytes } = cache.keep_source(key, fetched).await;
                    Ok(FoundSource {
                        record,
                        bytes: Some(bytes),
                        outcome: Outcome::Miss,
                    })
                }
                (
                    Answer::NotModified {
                        freshness,
                        validators,
                    },
                    Some(known),
                ) => {
                    let record = Arc::new(known.renewed(&validators, &freshness));
                    cache.keep_record(key, &record).await;
                    Ok(FoundSource {
                        record,
                        bytes: None,
                        outcome: Outcome::Revalidated,
                    })
                }
                (Answer::NotModified { .. }, None) => {
                    Err(Arc::new(E::from(FlightLost::NothingToRenew)))
                }
            }
        };
        let (landing, joined) = self.flights.join(FlightKey::Source(key), work).await;
        landing.map(|found| FoundSource {
            outcome: found.outcome.seen_by(joined),
            ..found
        })
    }

    /// The bytes of a source that [`get_or_fetch`](Self::get_or_fetch) found: those it fetched, or those kept, or, when those have been evicted,
    /// fetched again, whole and coalesced. The record is the one that belongs to the bytes; after a fetch it may be of a newer version.
    pub async fn bytes_or_fetch<E, F, Fut>(
        self: &Arc<Self>,
        key: SourceKey,
        found: FoundSource,
        fetch: F,
    ) -> Result<SourceBytes, Arc<E>>
    where
        E: From<FlightLost> + Send + Sync + 'static,
        F: FnOnce(Option<Validators>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Answer, E>> + Send + 'static,
    {
        let FoundSource { record, bytes, .. } = found;
        let bytes = match bytes {
            Some(bytes) => Some(bytes),
            None => self.source_bytes(&record).await,
        };
        match bytes {
            Some(bytes) => Ok(SourceBytes { record, bytes }),
            None => self.get_or_fetch_again(key, fetch).await,
        }
    }

    /// The kept bytes of a source; `None` if they have been evicted.
    pub async fn source_bytes(&self, record: &SourceRecord) -> Option<Bytes> {
        if let Some(bytes) = self.memory.source_bytes(&record.version).await {
            return Some(bytes);
        }
        let disk = self.sources.as_ref()?;
        let stored = disk.get(EntryKey::source_bytes(record.version)).await?;
        let whole = Some(stored).filter(|bytes| bytes.len() as u64 == record.len);
        let bytes = disk.readable(EntryKey::source_bytes(record.version), whole)?;
        self.memory
            .keep_source_bytes(record.version, bytes.clone())
            .await;
        Some(bytes)
    }

    /// A source with its bytes, fetched without condition unless somebody else did so a moment ago.
    pub async fn get_or_fetch_again<E, F, Fut>(
        self: &Arc<Self>,
        key: SourceKey,
        fetch: F,
    ) -> Result<SourceBytes, Arc<E>>
    where
        E: From<FlightLost> + Send + Sync + 'static,
        F: FnOnce(Option<Validators>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Answer, E>> + Send + 'static,
    {
        let cache = Arc::clone(self);
        let work = async move {
            if let Some((record, _)) = cache.find_record(&key).await
                && let Some(bytes) = cache.source_bytes(&record).await
            {
                return Ok(SourceBytes { record, bytes });
            }
            match fetch(None).await? {
                Answer::Fetched(fetched) => Ok(cache.keep_source(key, fetched).await),
                Answer::NotModified { .. } => Err(Arc::new(E::from(FlightLost::NothingToRenew))),
            }
        };
        self.flights.join(FlightKey::SourceBytes(key), work).await.0
    }

    /// The rendition kept under `key`, else what `render` makes, which is then kept.
    ///
    /// Coalesced: of all who ask meanwhile, one renders. An error is told to each and kept by nobody. With `keep` false, nothing is looked up and
    /// nothing kept. A rendition that was made for another key (because its source changed on the way) is handed out and not kept.
    pub async fn get_or_render<E, Fut>(
        self: &Arc<Self>,
        key: Key,
        keep: bool,
        render: Fut,
    ) -> Result<Found, Arc<E>>
    where
        E: From<FlightLost> + Send + Sync + 'static,
        Fut: Future<Output = Result<Rendition, Arc<E>>> + Send + 'static,
    {
        if keep && let Some(found) = self.recall(&key).await {
            return Ok(found);
        }
        let cache = Arc::clone(self);
        let work = async move {
            if keep && let Some(found) = cache.find_rendition(key).await {
                return Ok(found);
            }
            let rendition = Arc::new(render.await?);
            if keep && rendition.etag == key.etag() {
                cache.keep_rendition(key, &rendition).await;
            }
            Ok(Found {
                rendition,
                outcome: Outcome::Miss,
            })
        };
        let (landing, joined) = self.flights.join(FlightKey::Rendition(key), work).await;
        landing.map(|found| Found {
            outcome: found.outcome.seen_by(joined),
            ..found
        })
    }

    /// The rendition kept under `key`, if one is. Of all who ask meanwhile, one looks on disk.
    pub async fn find(self: &Arc<Self>, key: Key) -> Option<Found> {
        if let Some(found) = self.recall(&key).await {
            return Some(found);
        }
        let disk = self.renditions.as_ref()?;
        if !disk.may_have(&EntryKey::rendition(key)) {
            return None;
        }
        let cache = Arc::clone(self);
        let work = async move { Ok::<_, Arc<FlightLost>>(cache.find_rendition(key).await) };
        let (landing, _) = self.flights.join(FlightKey::Rendition(key), work).await;
        landing.ok().flatten()
    }

    /// Keeps a rendition no longer: a better one has taken its place.
    pub async fn forget(&self, key: Key) {
        self.memory.forget_rendition(&key).await;
        if let Some(disk) = &self.renditions {
            disk.remove(EntryKey::rendition(key));
        }
    }

    /// What is held and what went wrong, for metrics.
    pub fn stats(&self) -> Stats {
        Stats {
            memory_renditions: self.memory.renditions(),
            memory_sources: self.memory.sources(),
            disk_renditions: self.renditions.as_ref().map(Disk::stats),
            disk_sources: self.sources.as_ref().map(Disk::stats),
            flights: self.flights.len() as u64,
        }
    }

    /// Returns when everything that was to be kept until now is on disk, or has failed to get there.
    pub async fn flush(&self) {
        self.memory.settle().await;
        for disk in [&self.renditions, &self.sources].into_iter().flatten() {
            disk.flush().await;
        }
    }

    /// For a graceful end: [`flush`](Self::flush), for no longer than `within`. Says whether everything was done by then.
    pub async fn close(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.flush()).await.is_ok()
    }

    async fn find_record(&self, key: &SourceKey) -> Option<(Arc<SourceRecord>, Tier)> {
        if let Some(record) = self.memory.record(key).await {
            return Some((record, Tier::Memory));
        }
        let disk = self.sources.as_ref()?;
        let stored = disk.get(EntryKey::record(*key)).await?;
        let record = disk.readable(EntryKey::record(*key), SourceRecord::from_stored(&stored))?;
        let record = Arc::new(record);
        self.memory.keep_record(*key, Arc::clone(&record)).await;
        Some((record, Tier::Disk))
    }

    async fn keep_source(&self, key: SourceKey, fetched: Fetched) -> SourceBytes {
        let Fetched {
            bytes,
            validators,
            freshness,
        } = fetched;
        let version = version_of(&bytes).await;
        let record = Arc::new(SourceRecord {
            version,
            validators,
            freshness,
            len: bytes.len() as u64,
        });
        if record.freshness.is_storable() {
            self.memory.keep_source_bytes(version, bytes.clone()).await;
            if let Some(disk) = &self.sources {
                // Before the record, so that there is no moment at which a record leads nowhere.
                disk.put(EntryKey::source_bytes(version), Vec::new(), bytes.clone());
            }
        }
        self.keep_record(key, &record).await;
        SourceBytes { record, bytes }
    }

    /// Keeps a record, or sees to it that none is left of a source that may no longer be stored.
    async fn keep_record(&self, key: SourceKey, record: &Arc<SourceRecord>) {
        let stored = record
            .to_stored()
            .filter(|_| record.freshness.is_storable());
        match stored {
            Some(stored) => {
                self.memory.keep_record(key, Arc::clone(record)).await;
                if let Some(disk) = &self.sources {
                    disk.put(EntryKey::record(key), Vec::new(), stored);
                }
            }
            None => {
                self.memory.forget_record(&key).await;
                if let Some(disk) = &self.sources {
                    disk.remove(EntryKey::record(key));
                }
            }
        }
    }

    async fn find_rendition(&self, key: Key) -> Option<Found> {
        // Again, now that nobody else can be about to keep it.
        if let Some(found) = self.recall(&key).await {
            return Some(found);
        }
        let disk = self.renditions.as_ref()?;
        let stored = disk.get(EntryKey::rendition(key)).await?;
        let rendition = disk.readable(
            EntryKey::rendition(key),
            Rendition::from_stored(&key, stored),
        )?;
        let rendition = Arc::new(rendition);
        self.memory
            .keep_rendition(key, Arc::clone(&rendition))
            .await;
        Some(Found {
            rendition,
            outcome: Outcome::Hit(Tier::Disk),
        })
    }

    async fn keep_rendition(&self, key: Key, rendition: &Arc<Rendition>) {
        self.memory.keep_rendition(key, Arc::clone(rendition)).await;
        if let Some(disk) = &self.renditions
            && let Some(head) = rendition.stored_head()
        {
            disk.put(EntryKey::rendition(key), head, rendition.bytes.clone());
        }
    }
}

async fn version_of(bytes: &Bytes) -> Version {
    if bytes.len() > HASHED_AT_ONCE {
        let elsewhere = bytes.clone();
        if let Some(version) = blocking(move || Version::of(&elsewhere)).await {
            return version;
        }
    }
    Version::of(bytes)
}

/// Runs what may block on a thread for that. `None` if it panicked, or if the process is shutting down.
#[expect(
    clippy::disallowed_methods,
    reason = "file system calls and hashing; whatever calls this bounds how much of it runs at once"
)]
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
