//! What clients do to images: they add, change, replace, rename and delete them.

use std::sync::Arc;

use ulid::Ulid;

use crate::hosted::clock::now_ms;
use crate::hosted::error::HostedError;
use crate::hosted::event::Event;
use crate::hosted::id::ImageId;
use crate::hosted::images::Hosted;
use crate::hosted::keys;
use crate::hosted::record::{Changes, Draft, Facts, NewImage, Record, Rendition, State, Upload};
use crate::hosted::spool::SpooledFile;
use crate::hosted::tombstone::tombstone;

impl Hosted {
    /// Stores an image.
    ///
    /// # Errors
    /// [`HostedError::Exists`] if its name is taken, [`HostedError::Store`].
    pub async fn create(
        self: &Arc<Self>,
        image: NewImage,
        file: SpooledFile,
        facts: Facts,
    ) -> Result<Arc<Record>, HostedError> {
        let this = Arc::clone(self);
        Self::to_the_end(async move {
            let id = image.id.clone().unwrap_or_else(ImageId::random);
            if image.id.is_some() && this.find(&id).await?.is_some() {
                return Err(HostedError::Exists);
            }
            let original = this.store_original(&this.name(&id), file, facts).await?;
            let key = original.key.clone();
            let mut record = new_record(id, image);
            record.state = State::Ready;
            record.original = Some(original);
            let added = this.add_record(record).await;
            this.unless_refused(added, key, |record| Event::Uploaded {
                record,
                from_draft: false,
            })
            .await
        })
        .await
    }

    /// Stores a draft: an image that somebody else will upload.
    ///
    /// # Errors
    /// [`HostedError::Exists`] if its name is taken, [`HostedError::Store`].
    pub async fn create_draft(self: &Arc<Self>, wanted: Draft) -> Result<Arc<Record>, HostedError> {
        let this = Arc::clone(self);
        Self::to_the_end(async move {
            let id = wanted.image.id.clone().unwrap_or_else(ImageId::random);
            let mut record = new_record(id, wanted.image);
            record.filename = None;
            record.expires = Some(wanted.expires);
            record.upload = Some(Upload {
                nonce: Ulid::generate().to_string(),
                max_bytes: wanted.max_bytes,
                formats: wanted.formats,
            });
            this.add_record(record).await
        })
        .await
    }

    /// Makes an image of the draft with this nonce.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::DraftUsed`], [`HostedError::DraftExpired`], [`HostedError::Store`].
    pub async fn fill_draft(
        self: &Arc<Self>,
        id: &ImageId,
        nonce: &str,
        filename: String,
        file: SpooledFile,
        facts: Facts,
    ) -> Result<Arc<Record>, HostedError> {
        let (this, id, nonce) = (Arc::clone(self), id.clone(), nonce.to_owned());
        Self::to_the_end(async move {
            // Not after the file is stored, if it can be known before.
            if let Some(found) = this.fresh(&id) {
                check_draft(&found, &nonce)?;
            }
            let original = this.store_original(&this.name(&id), file, facts).await?;
            let key = original.key.clone();
            let filled = this.change_any_record(&id, |record| {
                check_draft(record, &nonce)?;
                Ok(Some(Record {
                    state: State::Ready,
                    filename: Some(filename.clone()),
                    uploaded: now_ms(),
                    expires: None,
                    upload: None,
                    original: Some(original.clone()),
                    ..record.clone()
                }))
            });
            let filled = match filled.await {
                Ok(Some(change)) => Ok(change.after),
                Ok(None) => Err(HostedError::NotFound),
                Err(error) => Err(error),
            };
            this.unless_refused(filled, key, |record| Event::Uploaded {
                record,
                from_draft: true,
            })
            .await
        })
        .await
    }

    /// Changes the record of an image.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn update(
        self: &Arc<Self>,
        id: &ImageId,
        changes: Changes,
    ) -> Result<Arc<Record>, HostedError> {
        let (this, id) = (Arc::clone(self), id.clone());
        Self::to_the_end(async move {
            let changed = this.change_record(&id, |record| {
                let mut record = record.clone();
                if let Some(meta) = &changes.meta {
                    record.meta.clone_from(meta);
                }
                if let Some(creator) = &changes.creator {
                    record.creator.clone_from(creator);
                }
                if let Some(signed) = changes.require_signed_urls {
                    record.require_signed_urls = signed;
                }
                Ok(Some(record))
            });
            let change = changed.await?.ok_or(HostedError::NotFound)?;
            this.tell(Event::Updated {
                before: change.before,
                record: Arc::clone(&change.after),
            })
            .await;
            Ok(change.after)
        })
        .await
    }

    /// Puts another file in the place of the image's.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn replace(
        self: &Arc<Self>,
        id: &ImageId,
        filename: String,
        file: SpooledFile,
        facts: Facts,
    ) -> Result<Arc<Record>, HostedError> {
        let (this, id) = (Arc::clone(self), id.clone());
        Self::to_the_end(async move {
            let original = this.store_original(&this.name(&id), file, facts).await?;
            let changed = this
                .change_record(&id, |record| {
                    if !record.is_ready() {
                        return Err(HostedError::NotFound);
                    }
                    Ok(Some(Record {
                        filename: Some(filename.clone()),
                        original: Some(original.clone()),
                        renditions: Vec::new(),
                        ..record.clone()
                    }))
                })
                .await;
            let change = match changed {
                Ok(change) => change.ok_or(HostedError::NotFound)?,
                Err(error) => {
                    this.remove_if_refused(&error, original.key).await;
                    return Err(error);
                }
            };
            let record = Arc::clone(&change.after);
            this.clean_up(
                Arc::clone(&change.before),
                Event::Replaced {
                    before: change.before,
                    record: change.after,
                },
            )
            .await;
            Ok(record)
        })
        .await
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Exists`], [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn rename(
        self: &Arc<Self>,
        id: &ImageId,
        to: ImageId,
    ) -> Result<Arc<Record>, HostedError> {
        let (this, id) = (Arc::clone(self), id.clone());
        Self::to_the_end(async move {
            let before = this.find(&id).await?.ok_or(HostedError::NotFound)?;
            if !before.is_ready() {
                return Err(HostedError::NotFound);
            }
            if this.find(&to).await?.is_some() {
                return Err(HostedError::Exists);
            }
            let mut record = Record::clone(&before);
            record.id = to;
            record.rev = Ulid::generate().to_string();
            record.renditions = Vec::new();
            if let Some(original) = &mut record.original {
                let name = this.name(&record.id);
                let from = std::mem::replace(
                    &mut original.key,
                    keys::original(&name, &original.facts.extension),
                );
                if !this.objects.copy(&from, &original.key).await? {
                    return Err(HostedError::NotFound);
                }
            }
            let copy = record
                .original
                .as_ref()
                .map(|original| original.key.clone());
            let added = match this.add_record(record).await {
                Ok(added) => added,
                Err(error) => {
                    if let Some(copy) = copy {
                        this.remove_if_refused(&error, copy).await;
                    }
                    return Err(error);
                }
            };
            let removed = this
                .change_record(&id, |record| match record.rev == before.rev {
                    true => Ok(Some(tombstone(record))),
                    // Somebody changed it meanwhile, so the copy is out of date.
                    false => Err(HostedError::Busy),
                })
                .await;
            if let Err(error) = removed {
                // Nobody knows after a failure of the store whether the old name is gone. Two images are better than none.
                if !matches!(error, HostedError::Store(_)) {
                    this.take_back(&added).await;
                }
                return Err(error);
            }
            this.clean_up(
                Arc::clone(&before),
                Event::Renamed {
                    before,
                    record: Arc::clone(&added),
                },
            )
            .await;
            Ok(added)
        })
        .await
    }

    /// Deletes the copy of an image that keeps its old name.
    async fn take_back(&self, copy: &Record) {
        let buried = self.change_record(&copy.id, |record| Ok(Some(tombstone(record))));
        if buried.await.is_ok() {
            self.remove_files(copy).await;
        }
    }

    /// Deletes an image or a draft.
    ///
    /// # Errors
    /// [`HostedError::NotFound`], [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn delete(self: &Arc<Self>, id: &ImageId) -> Result<(), HostedError> {
        let (this, id) = (Arc::clone(self), id.clone());
        Self::to_the_end(async move {
            let before = this.bury(&id).await?;
            let event = Event::Deleted {
                before: Arc::clone(&before),
            };
            this.clean_up(before, event).await;
            Ok(())
        })
        .await
    }

    /// Puts a tombstone in the place of a record, and returns the record. On a full disk there is room for it, or nothing could be deleted there.
    async fn bury(&self, id: &ImageId) -> Result<Arc<Record>, HostedError> {
        self.check_open()?;
        let put = async || {
            let put = self.change_record(id, |record| Ok(Some(tombstone(record))));
            Ok(put.await?.ok_or(HostedError::NotFound)?.before)
        };
        match put().await {
            Err(HostedError::Store(reason) | HostedError::Full(reason)) if !self.is_in_bucket() => {
                // Another deletion may have given it up a moment ago.
                let _held = self.reserve.lock().await;
                if self.objects.free_reserve().await {
                    tracing::warn!(
                        reason,
                        "the reserve of the store is given up for a deletion"
                    );
                }
                put().await
            }
            buried => buried,
        }
    }

    /// Keeps room for deletions, unless there is none.
    pub(super) async fn keep_reserve(&self) {
        let _held = self.reserve.lock().await;
        self.objects.keep_reserve().await;
    }

    /// Notes renditions of an original in its record, in place of those of the same variants and formats. If the image has another original by now,
    /// the renditions are removed.
    ///
    /// # Errors
    /// [`HostedError::Busy`], [`HostedError::Store`].
    pub async fn add_renditions(
        self: &Arc<Self>,
        id: &ImageId,
        original: &str,
        renditions: Vec<Rendition>,
    ) -> Result<(), HostedError> {
        let (this, id, original) = (Arc::clone(self), id.clone(), original.to_owned());
        Self::to_the_end(async move {
            let changed = this.change_record(&id, |record| {
                let now = record.original.as_ref();
                if now.is_none_or(|now| now.key != original) {
                    return Ok(None);
                }
                let mut record = record.clone();
                record.renditions.retain(|old| {
                    let mut new = renditions.iter();
                    !new.any(|new| new.variant == old.variant && new.format == old.format)
                });
                record.renditions.extend(renditions.iter().cloned());
                Ok(Some(record))
            });
            match changed.await {
                Ok(Some(change)) => {
                    this.tell(Event::Rendered {
                        record: change.after,
                    })
                    .await;
                }
                Ok(None) | Err(HostedError::NotFound) => {
                    // They may lie where those of the new original belong: without them it has none, which is true.
                    let keys = renditions.into_iter().map(|rendition| rendition.key);
                    this.remove_keys(keys.collect()).await;
                }
                Err(error) => return Err(error),
            }
            Ok(())
        })
        .await
    }

    /// Tells that an image is there, or removes its file where it was refused.
    async fn unless_refused(
        &self,
        stored: Result<Arc<Record>, HostedError>,
        original: String,
        event: impl FnOnce(Arc<Record>) -> Event,
    ) -> Result<Arc<Record>, HostedError> {
        match &stored {
            Ok(record) => self.tell(event(Arc::clone(record))).await,
            Err(error) => self.remove_if_refused(error, original).await,
        }
        stored
    }

    /// Removes a file if it is certain that no record has it. After [`HostedError::Store`] it is not. A store that is full has no new record.
    async fn remove_if_refused(&self, error: &HostedError, key: String) {
        if !matches!(error, HostedError::Store(_)) {
            self.remove_keys(vec![key]).await;
        }
    }

    /// Tells of a change, and removes files that the image no longer has after the answer. Those who may miss something hear of it when the files are
    /// gone.
    async fn clean_up(self: &Arc<Self>, before: Arc<Record>, event: Event) {
        self.tell_completely(&event).await;
        let this = Arc::clone(self);
        tokio::spawn(async move {
            this.remove_files(&before).await;
            this.keep_reserve().await;
            this.tell_others(event);
        });
    }
}

/// Whether a record is the draft with this nonce and can be filled.
fn check_draft(record: &Record, nonce: &str) -> Result<(), HostedError> {
    match (record.state, &record.upload) {
        (State::Deleted, _) => Err(HostedError::NotFound),
        (State::Draft, Some(upload)) if upload.nonce == nonce => {
            match record.is_gone(now_ms() / 1000) {
                true => Err(HostedError::DraftExpired),
                false => Ok(()),
            }
        }
        (State::Draft | State::Ready, _) => Err(HostedError::DraftUsed),
    }
}

fn new_record(id: ImageId, image: NewImage) -> Record {
    Record {
        v: 1,
        rev: Ulid::generate().to_string(),
        id,
        state: State::Draft,
        filename: Some(image.filename),
        creator: image.creator,
        meta: image.meta,
        require_signed_urls: image.require_signed_urls,
        uploaded: now_ms(),
        expires: None,
        original: None,
        renditions: Vec::new(),
        upload: None,
    }
}
