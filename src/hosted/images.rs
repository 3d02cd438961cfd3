//! The images: everything that is read and written.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::broadcast;
use ulid::Ulid;
use uuid::Uuid;

use crate::hosted::config::{Config, Store};
use crate::hosted::error::HostedError;
use crate::hosted::event::Event;
use crate::hosted::id::ImageId;
use crate::hosted::query::{ImageQuery, Page};
use crate::hosted::record::{
    Changes, Draft, Facts, NewImage, Original, Record, Rendition, State, Upload,
};
use crate::hosted::settings::{AccountSettings, SigningKey, Variant};
use crate::hosted::spool::SpooledFile;

/// How many events wait for a slow listener. One that is slower still misses events, and is told how many.
const EVENTS: usize = 4096;

/// Hosted images.
pub struct Hosted {
    config: Config,
    root: PathBuf,
    records: Mutex<BTreeMap<ImageId, Arc<Record>>>,
    settings: RwLock<Arc<AccountSettings>>,
    events: broadcast::Sender<Event>,
}

impl Hosted {
    /// Opens the store, and begins to build the index where it is missing. `None` where there is no store.
    ///
    /// # Errors
    /// [`HostedError::Store`] when the store cannot be used with these settings.
    pub async fn open(config: &Config) -> Result<Option<Arc<Self>>, HostedError> {
        let Store::Folder(root) = &config.store else {
            return Ok(None);
        };
        fs::create_dir_all(root).map_err(|error| HostedError::Store(error.to_string()))?;
        let settings = AccountSettings {
            variants: BTreeMap::from([("public".to_owned(), Variant::default())]),
            keys: vec![SigningKey {
                name: "default".to_owned(),
                value: Ulid::generate().to_string(),
            }],
            secret: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
            flexible_variants: config.flexible_variants,
            browser_ttl: None,
        };
        Ok(Some(Arc::new(Hosted {
            config: config.clone(),
            root: root.clone(),
            records: Mutex::default(),
            settings: RwLock::new(Arc::new(settings)),
            events: broadcast::channel(EVENTS).0,
        })))
    }

    /// Tells those who listen that a rendition could not be made ahead of requests.
    pub fn tell_failed(&self, record: &Arc<Record>, reason: String) {
        let record = Arc::clone(record);
        // Nobody may listen.
        let _ = self.events.send(Event::Failed { record, reason });
    }

    /// The settings of section `[hosted]`.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What this process does to images from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The record of an image or a draft.
    ///
    /// # Errors
    /// [`HostedError::Store`].
    pub async fn find(&self, id: &ImageId) -> Result<Option<Arc<Record>>, HostedError> {
        Ok(self.records().get(id).cloned())
    }

    /// The record, if it is known without asking the store and need not be asked for again: for the path of pictures.
    pub fn known(&self, id: &ImageId) -> Option<Arc<Record>> {
        self.records().get(id).cloned()
    }

    /// A page of the list of images.
    ///
    /// # Errors
    /// [`HostedError::Indexing`] while the index is being built, [`HostedError::Store`].
    pub async fn list(&self, query: &ImageQuery) -> Result<Page, HostedError> {
        let records = self.records();
        let mut images: Vec<_> = records.values().cloned().collect();
        images.retain(|record| query.drafts != record.is_ready());
        images.truncate(query.limit);
        Ok(Page {
            images,
            has_more: false,
        })
    }

    /// How many images there are.
    ///
    /// # Errors
    /// As [`Hosted::list`].
    pub async fn count(&self, query: &ImageQuery) -> Result<u64, HostedError> {
        Ok(self.list(query).await?.images.len() as u64)
    }

    /// Stores an image.
    ///
    /// # Errors
    /// [`HostedError::Exists`] if its name is taken, [`HostedError::Store`].
    pub async fn create(
        &self,
        image: NewImage,
        file: SpooledFile,
        facts: Facts,
    ) -> Result<Arc<Record>, HostedError> {
        let id = image.id.clone().unwrap_or_else(ImageId::random);
        if self.records().contains_key(&id) {
            return Err(HostedError::Exists);
        }
        let mut record = draft(id, image);
        self.store(&mut record, file, facts)?;
        Ok(self.insert(record))
    }

    /// Stores a draft: an image that somebody else will upload.
    ///
    /// # Errors
    /// [`HostedError::Exists`] if its name is taken, [`HostedError::Store`].
    pub async fn create_draft(&self, wanted: Draft) -> Result<Arc<Record>, HostedError> {
        let id = wanted.image.id.clone().unwrap_or_else(ImageId::random);
        if self.records().contains_key(&id) {
            return Err(HostedError::Exists);
        }
        let mut record = draft(id, wanted.image);
        record.filename = None;
        record.expires = Some(wanted.expires);
        record.upload = Some(Upload {
            nonce: Ulid::generate().to_string(),
            max_bytes: wanted.max_bytes,
            formats: wanted.formats,
        });
        Ok(self.insert(record))
    }

    /// Makes an image of the draft with this nonce.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::DraftUsed`], [`HostedError::DraftExpired`], [`HostedError::Store`].
    pub async fn fill_draft(
        &self,
        id: &ImageId,
        nonce: &str,
        filename: String,
        file: SpooledFile,
        facts: Facts,
    ) -> Result<Arc<Record>, HostedError> {
        let draft = self.find(id).await?.ok_or(HostedError::NotFound)?;
        if draft
            .upload
            .as_ref()
            .is_none_or(|upload| upload.nonce != nonce)
        {
            return Err(HostedError::DraftUsed);
        }
        let mut record = Record::clone(&draft);
        record.filename = Some(filename);
        self.store(&mut record, file, facts)?;
        Ok(self.insert(record))
    }

    /// Changes the record of an image.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn update(&self, id: &ImageId, changes: Changes) -> Result<Arc<Record>, HostedError> {
        let found = self.find(id).await?.ok_or(HostedError::NotFound)?;
        let mut record = Record::clone(&found);
        if let Some(meta) = changes.meta {
            record.meta = meta;
        }
        if let Some(creator) = changes.creator {
            record.creator = creator;
        }
        if let Some(signed) = changes.require_signed_urls {
            record.require_signed_urls = signed;
        }
        Ok(self.insert(record))
    }

    /// Puts another file in the place of the image's.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn replace(
        &self,
        id: &ImageId,
        filename: String,
        file: SpooledFile,
        facts: Facts,
    ) -> Result<Arc<Record>, HostedError> {
        let found = self.find(id).await?.ok_or(HostedError::NotFound)?;
        let mut record = Record::clone(&found);
        record.filename = Some(filename);
        self.store(&mut record, file, facts)?;
        Ok(self.insert(record))
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Exists`], [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn rename(&self, id: &ImageId, to: ImageId) -> Result<Arc<Record>, HostedError> {
        let found = self.find(id).await?.ok_or(HostedError::NotFound)?;
        if self.find(&to).await?.is_some() {
            return Err(HostedError::Exists);
        }
        let mut record = Record::clone(&found);
        record.id = to;
        self.records().remove(id);
        Ok(self.insert(record))
    }

    /// Deletes an image or a draft.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn delete(&self, id: &ImageId) -> Result<(), HostedError> {
        let removed = self.records().remove(id);
        removed.map(|_| ()).ok_or(HostedError::NotFound)
    }

    /// Notes renditions of an original in its record, in place of those of the same variants and formats. Does nothing if the image has another
    /// original by now.
    ///
    /// # Errors
    /// [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn add_renditions(
        &self,
        id: &ImageId,
        original: &str,
        renditions: Vec<Rendition>,
    ) -> Result<(), HostedError> {
        let Some(found) = self.find(id).await? else {
            return Ok(());
        };
        if found
            .original
            .as_ref()
            .is_none_or(|now| now.key != original)
        {
            return Ok(());
        }
        let mut record = Record::clone(&found);
        record.renditions = renditions;
        self.insert(record);
        Ok(())
    }

    /// Stores the bytes of a rendition under its key.
    ///
    /// # Errors
    /// [`HostedError::Store`].
    pub async fn put_rendition(&self, key: &str, bytes: Bytes) -> Result<(), HostedError> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        let stored = fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes));
        stored.map_err(|error| HostedError::Store(error.to_string()))
    }

    /// The bytes of an original or a rendition.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Store`].
    pub async fn read(&self, key: &str) -> Result<Bytes, HostedError> {
        match fs::read(self.root.join(key)) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(HostedError::Store(error.to_string())),
        }
    }

    /// The variants, keys and switches.
    pub fn settings(&self) -> Arc<AccountSettings> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&settings)
    }

    /// Changes the settings of the account. `change` may be called several times; what it returns as an error ends the change.
    ///
    /// # Errors
    /// [`HostedError::Busy`], [`HostedError::Store`]; the inner one is that of `change`.
    pub async fn change_settings<E>(
        &self,
        change: impl Fn(&mut AccountSettings) -> Result<(), E> + Send,
    ) -> Result<Result<Arc<AccountSettings>, E>, HostedError> {
        let mut settings = AccountSettings::clone(&self.settings());
        if let Err(refused) = change(&mut settings) {
            return Ok(Err(refused));
        }
        let settings = Arc::new(settings);
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(&settings);
        Ok(Ok(settings))
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<ImageId, Arc<Record>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, mut record: Record) -> Arc<Record> {
        record.rev = Ulid::generate().to_string();
        let record = Arc::new(record);
        self.records()
            .insert(record.id.clone(), Arc::clone(&record));
        record
    }

    fn store(
        &self,
        record: &mut Record,
        spooled: SpooledFile,
        facts: Facts,
    ) -> Result<(), HostedError> {
        let id = record.id.key(false);
        let key = format!("originals/{id}/-/{}.{}", Ulid::generate(), facts.extension);
        let path = self.root.join(&key);
        let copied = (|| {
            let mut from: File = spooled.file;
            from.seek(SeekFrom::Start(0))?;
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes)?;
            fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            fs::write(&path, bytes)
        })();
        copied.map_err(|error: std::io::Error| HostedError::Store(error.to_string()))?;
        record.state = State::Ready;
        record.upload = None;
        record.expires = None;
        record.original = Some(Original {
            key,
            bytes: spooled.bytes,
            sha256: spooled.sha256,
            facts,
        });
        Ok(())
    }
}

fn draft(id: ImageId, image: NewImage) -> Record {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Record {
        v: 1,
        rev: String::new(),
        id,
        state: State::Draft,
        filename: Some(image.filename),
        creator: image.creator,
        meta: image.meta,
        require_signed_urls: image.require_signed_urls,
        uploaded: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        expires: None,
        original: None,
        renditions: Vec::new(),
        upload: None,
    }
}
