//! How a URL is understood, and what would be made for it, without fetching or making anything.

use std::sync::Arc;

use hyper::http::request::Parts;
use serde::Serialize;

use crate::cache::{CacheStatus, SourceKey, Tier};
use crate::error::Error;
use crate::operator::purge::{host_and_target, request_head};
use crate::options::{Output, ParsedOptions, Recipe};
use crate::pipeline::{AdmittedRequest, Pipeline, RenditionRef, ResolvedRequest};
use crate::policy::{ApprovedSource, Policy};
use crate::request::{Dialect, ImageRequest, RequestKeyRef};
use crate::transform::{FileFacts, Plan, Size};

/// What is known of a URL before anything is done for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The URL.
    pub url: String,
    /// The `Accept` header that it is checked with.
    pub accept: String,
    /// How it is understood.
    pub kind: UrlKind,
    /// The flow that takes it.
    pub flow: Option<String>,
    /// Its options in their canonical spelling.
    pub options: Option<String>,
    /// What would be read.
    pub source: Option<SourceReport>,
    /// What would be made.
    pub picture: Option<PictureReport>,
    /// Why nothing would be made.
    pub refusal: Option<Refusal>,
    /// The headers that the answer depends on.
    pub vary: String,
    /// The warnings that the client would get.
    pub warnings: Vec<String>,
}

/// The kinds of URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UrlKind {
    /// `/cdn-cgi/image/OPTIONS/SOURCE`, or the same below another prefix.
    Transformation,
    /// `/_next/image`.
    NextImage,
    /// A plain URL that a flow takes.
    Flow,
    /// The delivery URL of a hosted image.
    Hosted,
    /// A path of the zone that is passed on as it is.
    Original,
    /// Nothing is served there.
    Nothing,
}

/// The source of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Its canonical address.
    pub address: String,
    /// The setting that allows it.
    pub allowed_by: String,
    /// The key that it is cached under.
    pub key: String,
    /// The tier of the cache that knows it.
    pub cached: Option<&'static str>,
}

/// The picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PictureReport {
    /// What would be made, in words.
    pub summary: String,
    /// The recipe, which is part of the key.
    pub recipe: String,
    /// The key that it is cached under, where the source is cached: a hash of the source's bytes is part of it.
    pub key: Option<String>,
    /// Its entity tag.
    pub etag: Option<String>,
    /// The tier of the cache that has it.
    pub cached: Option<&'static str>,
    /// Whether the one that is cached was made quickly, and a smaller one is to follow.
    pub is_interim: bool,
}

/// The error that a request would be answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Cloudflare's number of the error.
    pub number: u16,
    /// The word for it in logs and metrics.
    pub code: &'static str,
    /// The reason, as operators may know it.
    pub message: String,
    /// The setting that would have to change.
    pub setting: Option<&'static str>,
}

impl Refusal {
    fn of(error: &Error) -> Self {
        let info = error.info();
        Refusal {
            status: info.status.as_u16(),
            number: info.number,
            code: info.code,
            message: error.to_string(),
            setting: match error {
                Error::Denied(denied) => denied.setting(),
                _ => None,
            },
        }
    }
}

impl CheckReport {
    fn new(url: &str, accept: &str) -> Self {
        CheckReport {
            url: url.to_owned(),
            accept: accept.to_owned(),
            kind: UrlKind::Nothing,
            flow: None,
            options: None,
            source: None,
            picture: None,
            refusal: None,
            vary: String::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds how the options are spelled, and what is wrong with them.
    fn add_options(&mut self, options: &ParsedOptions) {
        let warnings = options.warnings().iter();
        self.warnings = warnings.map(ToString::to_string).collect();
        self.options = options.as_result().ok().map(ToString::to_string);
    }
}

impl SourceReport {
    fn of(source: &ApprovedSource, policy: &Policy) -> Self {
        SourceReport {
            address: source.canonical(),
            allowed_by: policy.allowlist().setting_of(source),
            key: SourceKey::of(source).to_string(),
            cached: None,
        }
    }
}

impl PictureReport {
    fn of(recipe: &Recipe) -> Self {
        PictureReport {
            summary: summary(recipe),
            recipe: recipe.to_string(),
            key: None,
            etag: None,
            cached: None,
            is_interim: false,
        }
    }

    /// Adds the key and the entity tag.
    fn name(&mut self, rendition: &RenditionRef) {
        self.key = Some(rendition.key.to_string());
        self.etag = Some(rendition.headers.etag().to_owned());
    }
}

impl Pipeline {
    /// Says how a URL is understood for a client with this `Accept` header. Nothing is fetched and nothing made, but the cache is looked at.
    ///
    /// # Errors
    /// The text is no URL.
    pub async fn check(self: &Arc<Self>, url: &str, accept: &str) -> Result<CheckReport, String> {
        let (host, target) = host_and_target(url);
        let head = match target {
            "" => None,
            target => request_head(host, target, accept),
        };
        let wrong =
            || "a URL must have a host or begin with `/`, as in `/cdn-cgi/image/width=80/cat.jpg`";
        let head = head.ok_or_else(wrong)?;
        let mut report = CheckReport::new(url, accept);
        self.add_kind(&head, &mut report);
        match self.understand(&head).await {
            Some(request) => {
                report.vary = request.vary.to_string();
                match &request.admitted {
                    Ok(admitted) => self.add_picture(&request, admitted, &mut report).await,
                    Err(error) => report.refusal = Some(Refusal::of(error)),
                }
            }
            None => self.add_original(&head, &mut report),
        }
        Ok(report)
    }

    /// Adds what the syntax says.
    fn add_kind(&self, head: &Parts, report: &mut CheckReport) {
        if self.is_image_path(head.uri.path()) {
            report.kind = UrlKind::Transformation;
            let read = |key: RequestKeyRef<'_>| {
                ImageRequest::of(&key, &self.prefixes, &self.extensions).ok()
            };
            if let Some(request) = RequestKeyRef::of(head).ok().and_then(read) {
                if request.dialect == Dialect::NextImage {
                    report.kind = UrlKind::NextImage;
                }
                report.add_options(&request.options);
            }
        } else if self.delivers(head).is_some() {
            report.kind = UrlKind::Hosted;
        } else if let Ok(key) = RequestKeyRef::of(head)
            && let Some((flow, request)) = ImageRequest::by_flow(&key, &self.flows, &self.prefixes)
        {
            report.kind = UrlKind::Flow;
            report.flow = Some(flow.name().to_string());
            report.add_options(&request.options);
        }
    }

    /// Adds what would be read and made, and what of it is cached.
    async fn add_picture(
        &self,
        request: &ResolvedRequest,
        admitted: &AdmittedRequest,
        report: &mut CheckReport,
    ) {
        let job = &admitted.job;
        report.warnings = job.warnings.iter().map(ToString::to_string).collect();
        let mut source = SourceReport::of(&job.source, &self.policy);
        let mut picture = PictureReport::of(&job.recipe);
        if let Some((record, tier)) = self.cache.find_record(&admitted.name.key).await {
            source.cached = Some(word(tier));
            let state = self.source_state(request, admitted, &record);
            picture.name(&state.settled);
            picture.cached = self.found(&state.settled).await.map(|(tier, _)| tier);
            if picture.cached.is_none()
                && let Some(interim) = self.interim_rendition(request, admitted, &state)
                && let Some((tier, facts)) = self.found(interim).await
            {
                picture.name(interim);
                picture.cached = Some(tier);
                picture.is_interim = Plan::is_interim(&job.recipe, &facts);
            }
        }
        report.source = Some(source);
        report.picture = Some(picture);
    }

    /// The tier that has a rendition, and what is known of it.
    async fn found(&self, rendition: &RenditionRef) -> Option<(&'static str, FileFacts)> {
        let found = self.cache.find(rendition.key).await?;
        let CacheStatus::Hit(tier) = found.outcome else {
            return None;
        };
        let made = &found.rendition;
        let facts = FileFacts {
            format: made.format,
            size: Size::new(made.width, made.height),
            bytes: made.bytes.len(),
        };
        Some((word(tier), facts))
    }

    /// Adds what would be passed on as it is.
    fn add_original(&self, head: &Parts, report: &mut CheckReport) {
        if !self.policy.serves_originals() {
            return;
        }
        report.kind = UrlKind::Original;
        let target = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        match self.policy.admit_original(target, 0) {
            Ok(job) => report.source = Some(SourceReport::of(&job.source, &self.policy)),
            Err(denied) => report.refusal = Some(Refusal::of(&Error::Denied(denied))),
        }
    }
}

fn word(tier: Tier) -> &'static str {
    match tier {
        Tier::Memory => "memory",
        Tier::Disk => "disk",
        Tier::Shared => "shared",
    }
}

/// A recipe in words: the format, the size and the quality. The rest follows from the options.
fn summary(recipe: &Recipe) -> String {
    let format = match recipe.output {
        Output::Auto(formats) => {
            let names: Vec<String> = formats.iter().map(|format| format.to_string()).collect();
            names.join(" or ")
        }
        Output::Compatible { .. } => "jpeg, or png with transparency, or gif that moves".to_owned(),
        Output::Avif => "avif, or webp where it is too large".to_owned(),
        Output::Jxl => "jxl, or webp that moves".to_owned(),
        Output::Webp => "webp".to_owned(),
        Output::Jpeg { .. } => "jpeg".to_owned(),
        Output::Png => "png".to_owned(),
        Output::Svg => return "svg, without scripts".to_owned(),
        Output::Json => return "json, facts about the picture".to_owned(),
    };
    let size = match (recipe.width, recipe.height) {
        (None, None) => "the size of the source".to_owned(),
        (Some(width), None) => format!("{width} wide"),
        (None, Some(height)) => format!("{height} high"),
        (Some(width), Some(height)) => format!("{width}x{height}"),
    };
    format!(
        "{format}; {size}, fit {}; quality {}",
        recipe.fit, recipe.quality
    )
}

#[cfg(test)]
mod tests {
    use super::summary;
    use crate::options::{Fit, Formats, Output, Recipe};

    #[test]
    fn a_recipe_is_told_in_words() {
        let of = |output, width, height| {
            summary(&Recipe {
                output,
                width,
                height,
                fit: Fit::Cover,
                ..Recipe::default()
            })
        };
        for (output, width, height, words) in [
            (
                Output::Auto(Formats::ALL),
                Some(640),
                None,
                "jxl or avif or webp; 640 wide, fit cover; quality 85",
            ),
            (
                Output::Webp,
                None,
                Some(9),
                "webp; 9 high, fit cover; quality 85",
            ),
            (
                Output::Png,
                Some(8),
                Some(9),
                "png; 8x9, fit cover; quality 85",
            ),
            (Output::Json, Some(8), None, "json, facts about the picture"),
        ] {
            assert_eq!(of(output, width, height), words);
        }
    }
}
