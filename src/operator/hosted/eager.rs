//! Makes the renditions that `hosted.eager` names, ahead of requests, one image at a time, while no client needs a worker: all of one image from one
//! decode. They are stored under readable names, and listed in the record of the image.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use crate::cache::{CachedRendition, FlightError, RenditionKey, SourceName, SourceRecord};
use crate::cpu::Priority;
use crate::error::Error;
use crate::hosted::{EagerFormat, Hosted, HostedError, ImageId, Original, Record, Rendition};
use crate::operator::hosted::walk::Walk;
use crate::operator::prewarm::batch::WarmOutcome;
use crate::pipeline::render::RenderTask;
use crate::pipeline::{EagerQueue, Pipeline, recipe_name, variant_options, variant_request};
use crate::policy::{Allowlist, Job};
use crate::request::Accept;

/// The pause between two images, when all are looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a list that could not be read is left alone.
const RETRY: Duration = Duration::from_secs(5);

/// Makes renditions for as long as the pipeline exists.
pub(super) async fn keep_rendering(pipeline: Weak<Pipeline>, queue: Arc<EagerQueue>) {
    let mut walk: Option<Walk> = None;
    loop {
        let Some(pipeline) = pipeline.upgrade() else {
            return;
        };
        let Some(hosted) = pipeline.hosted() else {
            return;
        };
        if let Some(id) = queue.take() {
            pipeline.render_ahead(hosted, &id).await;
            continue;
        }
        if let Some(scan) = queue.take_scan() {
            walk = Some(Walk::new(scan));
        }
        let Some(walking) = &mut walk else {
            drop(pipeline);
            queue.wait().await;
            continue;
        };
        match walking.next(hosted).await {
            Ok(Some(id)) => {
                pipeline.render_ahead(hosted, &id).await;
                drop(pipeline);
                sleep(PAUSE).await;
            }
            Ok(None) => walk = None,
            Err(error) => {
                tracing::debug!(%error, "hosted images cannot be listed now");
                walk = Some(Walk::new(walking.scan));
                drop(pipeline);
                sleep(RETRY).await;
            }
        }
    }
}

/// A rendition that is to be there ahead of requests.
struct EagerRendition {
    variant: String,
    client: EagerFormat,
    job: Job,
}

/// Why not all renditions of an image are there.
struct Failure {
    reason: String,
    may_pass: bool,
}

impl Failure {
    fn of(variant: &str, error: &Error) -> Self {
        Failure {
            reason: format!("{variant}: {}", error.public_message()),
            may_pass: error.may_pass(),
        }
    }

    /// Of two failures: there is another try if one of them may pass; what lasts is told.
    fn or(self, other: Option<Failure>) -> Self {
        match other {
            Some(other) => Failure {
                may_pass: self.may_pass || other.may_pass,
                reason: if other.may_pass {
                    self.reason
                } else {
                    other.reason
                },
            },
            None => self,
        }
    }
}

impl From<HostedError> for Failure {
    fn from(error: HostedError) -> Self {
        Failure {
            reason: error.to_string(),
            may_pass: matches!(
                error,
                HostedError::Store(_) | HostedError::Full(_) | HostedError::Busy
            ),
        }
    }
}

impl Pipeline {
    /// Makes the eager renditions of one image that are not there yet. What cannot be made now is tried again later.
    async fn render_ahead(self: &Arc<Self>, hosted: &Arc<Hosted>, id: &ImageId) {
        let record = match hosted.find(id).await {
            Ok(Some(record)) if record.is_ready() => record,
            Ok(_) => return self.eager.forget(id),
            Err(error) => {
                if !self.eager.retry(id) {
                    tracing::warn!(image = id.as_str(), %error, "variants are not made ahead: the record cannot be read");
                }
                return;
            }
        };
        let Err(failure) = self.make_missing(hosted, &record).await else {
            return self.eager.forget(id);
        };
        let reason = failure.reason;
        if failure.may_pass && self.eager.retry(id) {
            let image = id.as_str();
            tracing::debug!(image, reason, "variants are made ahead later");
            return;
        }
        self.eager.forget(id);
        tracing::warn!(
            image = id.as_str(),
            reason,
            "a variant could not be made ahead"
        );
        self.metrics.work.record_hosted_rendition("failed");
        hosted.tell_failed(&record, reason).await;
    }

    /// Makes the renditions, unless the record lists all of them as they would be made now.
    async fn make_missing(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        record: &Record,
    ) -> Result<(), Failure> {
        let Some(original) = &record.original else {
            return Ok(());
        };
        let wanted = self.wanted(hosted, record, original);
        let Some(first) = wanted.first() else {
            return Ok(());
        };
        let name = SourceName::of(&first.job.source);
        if let Some(source) = self.cache.get_record(&name.key).await
            && self.are_listed(&wanted, record, &name, &source)
        {
            return Ok(());
        }
        self.make_ahead(hosted, record, original, wanted).await
    }

    /// The renditions of an image that are wanted: each eager variant for each kind of client. A drawing stays as it is.
    fn wanted(&self, hosted: &Hosted, record: &Record, original: &Original) -> Vec<EagerRendition> {
        if original.facts.format == "svg" {
            return Vec::new();
        }
        let (config, settings) = (hosted.config(), hosted.settings());
        let mut wanted = Vec::new();
        for name in &config.eager {
            let Some(variant) = settings.variants.get(name) else {
                continue;
            };
            let Ok(options) = variant_options(variant, false) else {
                continue;
            };
            for &format in &config.eager_formats {
                let request = variant_request(options.clone(), accept(format));
                let filename = record.filename.as_deref().unwrap_or_default();
                let source = Allowlist::approve_hosted(&original.key, filename);
                let is_new = |job: &Job| {
                    let mut others = wanted.iter();
                    !others.any(|other: &EagerRendition| {
                        other.variant == *name && other.job.recipe == job.recipe
                    })
                };
                if let Ok(job) = self.policy.admit_approved(&request, source)
                    && is_new(&job)
                {
                    wanted.push(EagerRendition {
                        variant: name.clone(),
                        client: format,
                        job,
                    });
                }
            }
        }
        wanted
    }

    fn key_of(&self, job: &Job, name: &SourceName, source: &SourceRecord) -> RenditionKey {
        RenditionKey::of(
            &name.key,
            source.state(),
            &job.recipe,
            &self.render_fingerprint,
        )
    }

    /// Whether the record lists all of them as they would be made now.
    fn are_listed(
        &self,
        wanted: &[EagerRendition],
        record: &Record,
        name: &SourceName,
        source: &SourceRecord,
    ) -> bool {
        wanted.iter().all(|EagerRendition { variant, job, .. }| {
            let recipe = recipe_name(&self.key_of(job, name, source));
            let mut listed = record.renditions.iter();
            listed.any(|listed| listed.variant == *variant && listed.is_of(&recipe))
        })
    }

    /// Makes them, stores them, and notes them in the record. What could be made is noted even if something else failed.
    async fn make_ahead(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        record: &Record,
        original: &Original,
        wanted: Vec<EagerRendition>,
    ) -> Result<(), Failure> {
        let jobs: Vec<Job> = wanted.iter().map(|wanted| wanted.job.clone()).collect();
        let outcomes = self.prepare(&jobs).await;
        let mut failure: Option<Failure> = None;
        let mut noted: Vec<(Rendition, blake3::Hash)> = Vec::new();
        for (wanted, outcome) in wanted.into_iter().zip(outcomes) {
            let EagerRendition {
                variant,
                client,
                job,
            } = wanted;
            let made = match outcome {
                WarmOutcome::Failed(error) => Err(error),
                _ => self.made(&job).await.map_err(|failed| failed.error),
            };
            let (key, found) = match made {
                Ok(made) => made,
                Err(error) => {
                    failure = Some(Failure::of(&variant, &error).or(failure));
                    continue;
                }
            };
            let made = rendition(original, variant, &key, &found);
            let bytes = found.rendition.bytes.clone();
            let hash = blake3::hash(&bytes);
            let Some(made) = named(&mut noted, made, hash, client) else {
                continue;
            };
            match self.store_ahead(hosted, record, &made, bytes).await {
                Ok(true) => noted.push((made, hash)),
                Ok(false) => break,
                Err(error) => {
                    failure = Some(Failure::from(error).or(failure));
                    break;
                }
            }
        }
        let noted: Vec<Rendition> = noted.into_iter().map(|(made, _)| made).collect();
        if !noted.is_empty() {
            hosted
                .add_renditions(&record.id, &original.key, noted)
                .await?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Stores a rendition, unless the image has been deleted or has another file by now. Returns whether it did.
    async fn store_ahead(
        &self,
        hosted: &Hosted,
        record: &Record,
        made: &Rendition,
        bytes: Bytes,
    ) -> Result<bool, HostedError> {
        let now = hosted.find(&record.id).await?;
        let file = |record: &Record| Some(record.original.as_ref()?.key.clone());
        if now.is_none_or(|now| file(&now) != file(record)) {
            return Ok(false);
        }
        hosted.put_rendition(&made.key, bytes).await?;
        self.metrics.work.record_hosted_rendition("made");
        Ok(true)
    }

    /// A picture that was prepared, or is made again where no cache had room for it.
    async fn made(
        self: &Arc<Self>,
        job: &Job,
    ) -> Result<(RenditionKey, CachedRendition), FlightError<Error>> {
        let name = SourceName::of(&job.source);
        let fetch = self.fetch(job.source.clone());
        let source = self.cache.get_or_fetch(&name, fetch).await?;
        let key = self.key_of(job, &name, &source.record);
        let task = RenderTask {
            job: job.clone(),
            name,
            priority: Priority::Idle,
            asker: None,
            timings: Arc::new(OnceLock::new()),
        };
        let render = Arc::clone(self).render(task, source);
        let found = self.cache.get_or_render(key, true, render).await?;
        Ok((key, found))
    }
}

/// What clients accept that get this format.
fn accept(format: EagerFormat) -> Accept {
    let (jxl, avif, webp) = match format {
        EagerFormat::Jxl => (true, true, true),
        EagerFormat::Avif => (false, true, true),
        EagerFormat::Webp => (false, false, true),
        EagerFormat::Jpeg => (false, false, false),
    };
    Accept { jxl, avif, webp }
}

/// A name with the kind of client in front of its extension.
fn named_for(client: EagerFormat, key: &str) -> String {
    match key.rsplit_once('.') {
        Some((name, extension)) => format!("{name}.{}.{extension}", client.word()),
        None => format!("{key}.{}", client.word()),
    }
}

/// The rendition with a name that no other one has. `None` where one has the same name and the same bytes: that is made by this recipe as well.
fn named(
    noted: &mut [(Rendition, blake3::Hash)],
    mut made: Rendition,
    hash: blake3::Hash,
    client: EagerFormat,
) -> Option<Rendition> {
    let mut noted = noted.iter_mut();
    match noted.find(|(earlier, _)| earlier.key == made.key) {
        Some((earlier, same)) if *same == hash => {
            earlier.aliases.push(made.recipe);
            return None;
        }
        // Another kind of client gets a file of the same format, and not the same file.
        Some(_) => made.key = named_for(client, &made.key),
        None => {}
    }
    Some(made)
}

/// How the record lists a rendition. Its name is that of the image and the variant.
fn rendition(
    original: &Original,
    variant: String,
    key: &RenditionKey,
    found: &CachedRendition,
) -> Rendition {
    let made = &found.rendition;
    let key_of_image = original.key.strip_prefix("originals/").unwrap_or_default();
    let key_of_image = key_of_image.rsplit_once("/-/").map_or("", |(key, _)| key);
    let extension = made.format.extension();
    Rendition {
        key: format!("renditions/{key_of_image}/-/{variant}.{extension}"),
        variant,
        format: made.format.to_string(),
        width: made.width,
        height: made.height,
        bytes: made.bytes.len() as u64,
        recipe: recipe_name(key),
        aliases: Vec::new(),
    }
}
