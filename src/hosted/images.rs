//! The images: how they are found and listed.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};

use crate::bucket;
use crate::hosted::account::Account;
use crate::hosted::clock::now_ms;
use crate::hosted::config::{Config, Store};
use crate::hosted::error::HostedError;
use crate::hosted::event::Event;
use crate::hosted::id::ImageId;
use crate::hosted::index::{Index, Row};
use crate::hosted::keys;
use crate::hosted::locks::Locks;
use crate::hosted::memory::Memory;
use crate::hosted::query::{ImageQuery, Page};
use crate::hosted::record::Record;
use crate::hosted::settings::AccountSettings;
use crate::hosted::stats::Stats;
use crate::hosted::store::{Condition, Fetched, Folder, Objects};
use crate::hosted::tail::Tail;

/// How many events wait for a slow listener. One that is slower still misses events, and is told how many; for the one that must miss none, those wait
/// who change images.
const EVENTS: usize = if cfg!(test) { 16 } else { 4096 };

/// How long a record is believed although a file that it names is missing.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Hosted images.
pub struct Hosted {
    pub(super) config: Config,
    pub(super) objects: Objects,
    pub(super) index: Index,
    pub(super) memory: Memory,
    pub(super) locks: Locks,
    pub(super) account: Account,
    pub(super) tail: Tail,
    pub(super) stats: Stats,
    /// Who uses the reserve of the store, or fills it, holds this.
    pub(super) reserve: tokio::sync::Mutex<()>,
    /// Why the store could not be opened yet.
    pub(super) closed: Mutex<String>,
    pub(super) events: broadcast::Sender<Event>,
    /// To the listener that misses nothing.
    pub(super) complete_events: OnceLock<mpsc::Sender<Event>>,
}

impl Hosted {
    /// Opens the store, and begins to build the index where it is missing. `None` where there is no store. A bucket that does not answer now is opened
    /// later.
    ///
    /// # Errors
    /// [`HostedError::Store`] when the store cannot be used with these settings.
    pub async fn open(
        config: &Config,
        buckets: &[bucket::Config],
    ) -> Result<Option<Arc<Self>>, HostedError> {
        let objects = match &config.store {
            Store::Off => return Ok(None),
            Store::Folder(_) if config.replicas => {
                return Err(HostedError::Store(
                    "`hosted.replicas` needs a store that several processes can use: a bucket, not a folder".to_owned(),
                ));
            }
            Store::Folder(root) => Objects::Folder(Folder::open(root.clone()).await?),
            Store::Bucket { name, prefix } => {
                let found = buckets.iter().find(|bucket| bucket.name == *name);
                let found = found.ok_or_else(|| {
                    HostedError::Store(format!("`hosted.store` names the bucket `{name}`, but there is no `[[bucket]]` of this name"))
                })?;
                Objects::open_bucket(found, prefix)?
            }
        };
        let (index, is_complete) =
            Index::open(PathBuf::from(&config.index), objects.place()).await?;
        let stats = Stats::default();
        // What other processes did meanwhile is not in the index yet.
        let can_list = is_complete && !config.replicas;
        stats.can_list.store(can_list, Ordering::Release);
        let hosted = Arc::new(Hosted {
            config: config.clone(),
            account: Account::new(config.flexible_variants),
            objects,
            index,
            memory: Memory::new(),
            locks: Locks::default(),
            tail: Tail::new(now_ms()),
            closed: Mutex::default(),
            stats,
            reserve: tokio::sync::Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            complete_events: OnceLock::new(),
        });
        hosted.open_at_start().await?;
        hosted.start_background();
        Ok(Some(hosted))
    }

    /// Tells those who listen that a rendition could not be made ahead of requests.
    pub async fn tell_failed(&self, record: &Arc<Record>, reason: String) {
        let record = Arc::clone(record);
        self.tell(Event::Failed { record, reason }).await;
    }

    /// The settings of section `[hosted]`.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether other processes change images as well: by the settings, or because one was seen to.
    pub(super) fn is_shared(&self) -> bool {
        self.config.replicas || self.stats.has_other_writers.load(Ordering::Acquire)
    }

    /// The record in memory, tombstones included, if the store need not be asked again.
    pub(super) fn fresh(&self, id: &ImageId) -> Option<Arc<Record>> {
        let ttl = self.is_shared().then(|| self.config.record_ttl.duration());
        self.memory.fresh(id, ttl)
    }

    /// What this process does to images from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// What this process does to images from now on, without a gap: whoever changes an image waits where too many events do. There can be one such
    /// listener.
    pub fn subscribe_completely(&self) -> Option<mpsc::Receiver<Event>> {
        let (sender, receiver) = mpsc::channel(EVENTS);
        self.complete_events.set(sender).ok().map(|()| receiver)
    }

    /// What is counted, for metrics.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The record of an image or a draft.
    ///
    /// # Errors
    /// [`HostedError::Store`].
    pub async fn find(&self, id: &ImageId) -> Result<Option<Arc<Record>>, HostedError> {
        self.check_open()?;
        if let Some(record) = self.fresh(id) {
            return Ok(visible(record));
        }
        let name = self.name(id);
        let _held = self.locks.lock(&name).await;
        // Somebody else may have asked meanwhile.
        if let Some(record) = self.fresh(id) {
            return Ok(visible(record));
        }
        let found = self.load(id, &name).await?;
        Ok(found.and_then(|(record, _)| visible(record)))
    }

    /// Whether an image is no longer in the state `rev`. Where others may have changed it, the store is asked, once in a while.
    pub async fn has_changed(&self, id: &ImageId, rev: &str) -> bool {
        if self.is_shared() && self.memory.is_older(id, LOOK_AGAIN) {
            let name = self.name(id);
            let _held = self.locks.lock(&name).await;
            if let Err(error) = self.read_record(id, &name).await {
                tracing::debug!(%error, "a record cannot be looked at again");
            }
        }
        let known = self.memory.any(id);
        known.is_none_or(|(record, _)| record.rev != rev)
    }

    /// The record, if it is known without asking the store and need not be asked for again: for the path of pictures.
    pub fn known(&self, id: &ImageId) -> Option<Arc<Record>> {
        self.fresh(id).and_then(visible)
    }

    /// A page of the list of images.
    ///
    /// # Errors
    /// [`HostedError::Indexing`] while the index is being built, [`HostedError::Store`].
    pub async fn list(&self, query: &ImageQuery) -> Result<Page, HostedError> {
        self.prepare_list().await?;
        self.index.list(query, now_ms() / 1000).await
    }

    /// How many images there are.
    ///
    /// # Errors
    /// As [`Hosted::list`].
    pub async fn count(&self, query: &ImageQuery) -> Result<u64, HostedError> {
        self.prepare_list().await?;
        self.index.count(query, now_ms() / 1000).await
    }

    /// Stores the bytes of a rendition under its key.
    ///
    /// # Errors
    /// [`HostedError::Store`].
    pub async fn put_rendition(&self, key: &str, bytes: Bytes) -> Result<(), HostedError> {
        let put = self.objects.put(key, bytes, Condition::Always).await;
        put.map(|_| ())
    }

    /// The bytes of an original or a rendition.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Store`].
    pub async fn read(&self, key: &str) -> Result<Bytes, HostedError> {
        match self.objects.get(key, None).await? {
            Fetched::Object(bytes, _) => Ok(bytes),
            Fetched::Missing | Fetched::Same => Err(HostedError::NotFound),
        }
    }

    /// The variants, keys and switches.
    pub fn settings(&self) -> Arc<AccountSettings> {
        self.account.settings()
    }

    /// Changes the settings of the account. `change` may be called several times; what it returns as an error ends the change.
    ///
    /// # Errors
    /// [`HostedError::Busy`], [`HostedError::Store`]; the inner one is that of `change`.
    pub async fn change_settings<E>(
        &self,
        change: impl Fn(&mut AccountSettings) -> Result<(), E> + Send,
    ) -> Result<Result<Arc<AccountSettings>, E>, HostedError> {
        self.check_open()?;
        let change = match self.account.change(&self.objects, change).await? {
            Ok(change) => change,
            Err(refused) => return Ok(Err(refused)),
        };
        let (before, after) = (&change.before.variants, &change.after.variants);
        let names = before.keys().chain(after.keys());
        let mut changed: Vec<&String> = names
            .filter(|name| before.get(*name) != after.get(*name))
            .collect();
        changed.sort_unstable();
        changed.dedup();
        for name in changed {
            self.tell(Event::VariantChanged { name: name.clone() })
                .await;
        }
        Ok(Ok(change.after))
    }

    /// The name of an image as a part of keys.
    pub(super) fn name(&self, id: &ImageId) -> String {
        id.key(self.objects.folds_case())
    }

    pub(super) async fn tell(&self, event: Event) {
        self.tell_completely(&event).await;
        self.tell_others(event);
    }

    /// Tells the listener that misses nothing.
    pub(super) async fn tell_completely(&self, event: &Event) {
        if let Some(listener) = self.complete_events.get() {
            // It may have ended.
            let _ = listener.send(event.clone()).await;
        }
    }

    /// Tells those who may miss something.
    pub(super) fn tell_others(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// The record, tombstones included, and its tag: as the index has it if nobody else writes, or else as the store has it. The caller holds the lock
    /// of the image.
    pub(super) async fn load(
        &self,
        id: &ImageId,
        name: &str,
    ) -> Result<Option<(Arc<Record>, Arc<str>)>, HostedError> {
        if !self.is_shared() && self.stats.is_reconciled.load(Ordering::Acquire) {
            let row = self.index.get(id).await?;
            return Ok(row.map(|row| {
                let etag: Arc<str> = row.etag.into();
                self.memory
                    .insert(Arc::clone(&row.record), Arc::clone(&etag), Instant::now());
                (row.record, etag)
            }));
        }
        self.read_record(id, name).await
    }

    /// The record as the store has it, and its tag. The caller holds the lock of the image.
    pub(super) async fn read_record(
        &self,
        id: &ImageId,
        name: &str,
    ) -> Result<Option<(Arc<Record>, Arc<str>)>, HostedError> {
        let known = self.memory.any(id);
        let tag = known.as_ref().map(|(_, etag)| &**etag);
        let checked = Instant::now();
        match (self.objects.get(&keys::record(name), tag).await?, known) {
            (Fetched::Same, Some((record, etag))) => {
                self.memory
                    .insert(Arc::clone(&record), Arc::clone(&etag), checked);
                Ok(Some((record, etag)))
            }
            (Fetched::Missing | Fetched::Same, _) => {
                self.memory.remove(id);
                self.forget(name).await?;
                Ok(None)
            }
            (Fetched::Object(bytes, etag), _) => {
                let record = Arc::new(parse(name, &bytes)?);
                if record.id != *id {
                    return Err(HostedError::Store(format!(
                        "the record `{}` has the name of another image",
                        keys::record(name)
                    )));
                }
                let etag: Arc<str> = etag.into();
                self.note(Arc::clone(&record), &etag, name, checked).await;
                Ok(Some((record, etag)))
            }
        }
    }

    /// Forgets an image that the store does not have. Most were never known, and clients ask for any name: those cost no write. The caller holds the lock
    /// of the image.
    pub(super) async fn forget(&self, name: &str) -> Result<(), HostedError> {
        if let Some(row) = self.index.get_key(name).await? {
            self.memory.remove(&row.record.id);
            self.index.remove(name.to_owned()).await?;
        }
        Ok(())
    }

    /// Notes what the store has, in memory and in the index. The caller holds the lock of the image.
    pub(super) async fn note(
        &self,
        record: Arc<Record>,
        etag: &Arc<str>,
        name: &str,
        checked: Instant,
    ) {
        self.memory
            .insert(Arc::clone(&record), Arc::clone(etag), checked);
        let row = Row {
            record,
            etag: etag.to_string(),
            key: name.to_owned(),
            seen: self.stats.pass.load(Ordering::Acquire),
        };
        if let Err(error) = self.index.apply(row).await {
            // The image is stored: it is the index that lacks it, until the next pass over the store.
            tracing::error!(%error, "the index of hosted images cannot be written, so there are no lists until it can");
            self.stats.lost_rows.fetch_add(1, Ordering::AcqRel);
            self.stats.believe_index(false);
        }
    }

    async fn prepare_list(&self) -> Result<(), HostedError> {
        self.check_open()?;
        if !self.stats.can_list.load(Ordering::Acquire) {
            return Err(HostedError::Indexing);
        }
        if self.is_shared() {
            self.follow_log().await?;
        }
        Ok(())
    }
}

/// The record, unless there is nothing to see: it is a tombstone, or a draft that expired.
fn visible(record: Arc<Record>) -> Option<Arc<Record>> {
    (!record.is_gone(now_ms() / 1000)).then_some(record)
}

/// Reads the record of the image with this name in keys.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Record, HostedError> {
    serde_json::from_slice(bytes).map_err(|error| {
        HostedError::Store(format!("`{}` is no record: {error}", keys::record(name)))
    })
}
