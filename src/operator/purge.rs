//! Purging: what operators ask for becomes the sources and renditions that the cache then purges.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use hyper::Request;
use hyper::header::{ACCEPT, HOST};
use hyper::http::request::Parts;
use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::utf8_percent_encode;
use serde::Serialize;

use crate::cache::{Purge, PurgeError, RenditionKey, SourceKey, Target};
use crate::freshness::Tag;
use crate::options::Effort;
use crate::pipeline::Pipeline;
use crate::policy::{ApprovedSource, SourceLocation};
use crate::request::{ImageRequest, RequestKeyRef, SourceRef, VaryHeader};
use crate::telemetry::redacted;

/// The `Accept` headers that lead to different renditions.
const ACCEPTS: [&str; 4] = ["*/*", "image/webp", "image/avif", "image/avif,image/webp"];

/// The longest value that a message quotes, in characters.
const QUOTED: usize = 200;

/// The characters that browsers encode in a URL that somebody types or pastes.
pub(crate) const UNTYPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// One thing to be purged, as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeTarget {
    /// A source with all its renditions, named by its own address or by a transformation URL of it.
    Source(String),
    /// The renditions that a transformation URL leads to, for clients of every kind.
    Url(String),
    /// All sources whose address begins with this.
    Prefix(String),
    /// All sources with this tag.
    Tag(String),
    /// All sources.
    Everything,
}

/// What was purged, in canonical addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// Whether it became stale instead of being removed.
    pub soft: bool,
    /// Addresses of sources that were purged with all their renditions.
    pub sources: BTreeSet<String>,
    /// The number of renditions that were purged one by one. Whether they were cached is not known.
    pub renditions: usize,
    /// Beginnings of addresses: sources that begin so were purged.
    pub prefixes: BTreeSet<String>,
    /// Tags: sources that have one were purged.
    pub tags: BTreeSet<String>,
    /// Whether all sources were purged.
    pub everything: bool,
    /// Why more was purged than was asked for, where it was.
    pub notes: Vec<String>,
}

/// Why a purge was not done, or may not last.
#[derive(Debug)]
pub enum PurgeRequestError {
    /// The targets cannot be purged as they are written; one message for each error. Nothing was purged.
    Targets(Vec<String>),
    /// The purge is done on this server, but it could not be recorded everywhere.
    Cache(PurgeError),
    /// The purge ended before it was complete.
    Broken,
}

impl fmt::Display for PurgeRequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PurgeRequestError::Targets(errors) => out.write_str(&errors.join("; ")),
            PurgeRequestError::Cache(error) => error.fmt(out),
            PurgeRequestError::Broken => {
                out.write_str("the server failed or stopped during the purge: purge again")
            }
        }
    }
}

impl std::error::Error for PurgeRequestError {}

impl PurgeTarget {
    /// The word for metrics, logs and messages.
    pub const fn word(&self) -> &'static str {
        match self {
            PurgeTarget::Source(_) => "source",
            PurgeTarget::Url(_) => "url",
            PurgeTarget::Prefix(_) => "prefix",
            PurgeTarget::Tag(_) => "tag",
            PurgeTarget::Everything => "everything",
        }
    }

    fn text(&self) -> &str {
        match self {
            PurgeTarget::Source(text)
            | PurgeTarget::Url(text)
            | PurgeTarget::Prefix(text)
            | PurgeTarget::Tag(text) => text,
            PurgeTarget::Everything => "",
        }
    }
}

/// Everything that one call purges. It is complete before anything is purged.
#[derive(Default)]
struct PurgeScope {
    report: PurgeReport,
    sources: HashSet<SourceKey>,
    targets: Vec<Target>,
}

impl PurgeScope {
    fn source(&mut self, source: &ApprovedSource) {
        let key = SourceKey::of(source);
        if self.sources.insert(key) {
            self.report.sources.insert(source.canonical());
            self.targets.push(Target::Source(key));
        }
    }

    fn prefix(&mut self, prefix: String) {
        if self.report.prefixes.insert(prefix.clone()) {
            self.targets.push(Target::Prefix(prefix));
        }
    }

    /// The report of the purge, and what the cache has to do.
    fn into_purges(self, soft: bool) -> (PurgeReport, Vec<Purge>) {
        let PurgeScope {
            mut report,
            targets,
            ..
        } = self;
        report.soft = soft;
        let targets = if report.everything {
            vec![Target::Everything]
        } else {
            targets
        };
        let purges = targets.into_iter().map(|target| Purge { target, soft });
        (report, purges.collect())
    }

    fn everything(&mut self) {
        self.report.everything = true;
    }

    fn note(&mut self, note: String) {
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
    }
}

impl Pipeline {
    /// Purges all targets or, where one of them cannot be understood, none. After it has returned, no request is answered with what was purged.
    ///
    /// # Errors
    /// [`PurgeRequestError`] says whether anything was purged.
    pub async fn purge(
        &self,
        targets: &[PurgeTarget],
        soft: bool,
    ) -> Result<PurgeReport, PurgeRequestError> {
        let mut scope = PurgeScope::default();
        let mut errors = Vec::new();
        for target in targets {
            if let Err(reason) = self.collect(target, &mut scope).await {
                errors.push(target_error(target, &reason));
            }
        }
        if !errors.is_empty() {
            return Err(PurgeRequestError::Targets(errors));
        }
        let (report, purges) = scope.into_purges(soft);
        let cache = Arc::clone(&self.cache);
        // A task of its own: the purge must be completed even if the client disconnects.
        let done = tokio::spawn(async move { cache.purge(purges).await }).await;
        for target in targets {
            self.metrics.caches.record_purge(target.word(), soft);
            let text = &*redacted(target.text());
            tracing::info!(what = target.word(), text, soft, "purged");
        }
        match done.map_err(|_| PurgeRequestError::Broken)? {
            Ok(()) => Ok(report),
            Err(error) => {
                tracing::error!(%error, "a purge may be lost");
                Err(PurgeRequestError::Cache(error))
            }
        }
    }

    async fn collect(
        &self,
        target: &PurgeTarget,
        into: &mut PurgeScope,
    ) -> Result<(), TargetError> {
        let allowlist = self.policy.allowlist();
        match target {
            PurgeTarget::Source(text) | PurgeTarget::Url(text) if self.names_hosted(text) => {
                let source = self.hosted_source(text).await.map_err(TargetError::of)?;
                into.source(&source);
            }
            PurgeTarget::Source(text) => {
                let request = self.request_of(text, "")?;
                let source = request.as_ref().map_or(text.as_str(), source_text);
                for source in allowlist.resolve(source).map_err(TargetError::of)? {
                    into.source(&source);
                    // The URL may be one that a flow takes, with options in its query.
                    if let Some(plain) = self.without_options(&source) {
                        into.source(&plain);
                    }
                }
            }
            PurgeTarget::Url(text) => self.collect_renditions(text, into).await?,
            PurgeTarget::Prefix(text) => self.collect_prefixes(text, into)?,
            PurgeTarget::Tag(text) => {
                let tag = Tag::new(text.trim()).map_err(TargetError::of)?;
                if into.report.tags.insert(tag.as_str().to_owned()) {
                    into.targets.push(Target::Tag(tag));
                }
            }
            PurgeTarget::Everything => into.everything(),
        }
        Ok(())
    }

    /// The sources whose addresses begin with a text, or whose transformation URLs begin with it.
    fn collect_prefixes(&self, text: &str, into: &mut PurgeScope) -> Result<(), TargetError> {
        let allowlist = self.policy.allowlist();
        let (_, path) = host_and_target(text);
        let is_transformation =
            self.prefixes.is_image_path(path) || (path.len() > 1 && self.prefixes.lie_below(path));
        if !is_transformation {
            for prefix in allowlist.resolve_prefixes(text).map_err(TargetError::of)? {
                into.prefix(prefix);
            }
            return Ok(());
        }
        // The address of the source is what follows the options.
        match self.request_of(text, "") {
            Ok(Some(request)) => {
                let prefixes = allowlist.resolve_prefixes(source_text(&request));
                for prefix in prefixes.map_err(TargetError::of)? {
                    into.prefix(prefix);
                }
            }
            _ => {
                into.everything();
                into.note(format!(
                    "transformation URLs of every source begin with `{text}`: everything was purged"
                ));
            }
        }
        Ok(())
    }

    /// The renditions that one transformation URL leads to, for clients of every kind.
    async fn collect_renditions(
        &self,
        text: &str,
        into: &mut PurgeScope,
    ) -> Result<(), TargetError> {
        let mut recipes = Vec::new();
        let mut sources = Vec::new();
        let mut is_by_hints = false;
        for accept in ACCEPTS {
            let request = self.request_of(text, accept)?;
            let request = request.or_else(|| self.request_by_flow(text, accept));
            let request = request.ok_or_else(|| {
                TargetError::of("must be a transformation URL, as in `/cdn-cgi/image/width=80/cat.jpg`, or one that a flow takes; for that of a picture itself use `source`")
            })?;
            let mut recipe = self.policy.recipe(&request).map_err(TargetError::of)?;
            let vary = self.policy.vary(&request);
            is_by_hints |= !vary.without(VaryHeader::Accept).is_empty();
            recipes.push(recipe.clone());
            recipe.effort = Effort::Quick;
            recipes.push(recipe);
            let source = source_text(&request);
            sources = self
                .policy
                .allowlist()
                .resolve(source)
                .map_err(TargetError::of)?;
        }
        if is_by_hints {
            into.note(format!(
                "`{text}` leads to other renditions by client hints: its source was purged with all of them"
            ));
        }
        for source in &sources {
            let key = SourceKey::of(source);
            let record = self.cache.get_record(&key).await;
            // Without a record the keys of the renditions are not known.
            let Some(record) = record.filter(|_| !is_by_hints) else {
                into.source(source);
                continue;
            };
            let keys = recipes.iter().map(|recipe| {
                RenditionKey::of(&key, record.state(), recipe, &self.render_fingerprint)
            });
            let keys: Vec<RenditionKey> = keys.collect::<HashSet<_>>().into_iter().collect();
            into.report.renditions += keys.len();
            into.targets.push(Target::Renditions { source: key, keys });
        }
        Ok(())
    }

    /// The request for a transformation URL; `None` if the text is none.
    fn request_of(&self, text: &str, accept: &str) -> Result<Option<ImageRequest>, TargetError> {
        let (host, target) = host_and_target(text);
        let path = target.split('?').next().unwrap_or_default();
        if !self.prefixes.is_image_path(path) {
            return Ok(None);
        }
        let unreadable = || TargetError::of("must be a URL that can be read");
        let head = request_head(host, target, accept).ok_or_else(unreadable)?;
        let key = RequestKeyRef::of(&head).map_err(TargetError::of)?;
        let request = ImageRequest::of(&key, &self.prefixes, &self.extensions);
        let request = request.map_err(TargetError::of)?;
        Ok(Some(request))
    }

    /// The request for a plain URL that a flow takes; `None` if none does.
    fn request_by_flow(&self, text: &str, accept: &str) -> Option<ImageRequest> {
        let (host, target) = host_and_target(text);
        let head = request_head(host, target, accept)?;
        let key = RequestKeyRef::of(&head).ok()?;
        let (_, request) = ImageRequest::by_flow(&key, &self.flows, &self.prefixes)?;
        Some(request)
    }

    /// The source of the requests for a URL in whose query a flow reads options; `None` where no flow does.
    fn without_options(&self, source: &ApprovedSource) -> Option<ApprovedSource> {
        let SourceLocation::Zone { path, query } = source.location() else {
            return None;
        };
        let plain = self.flows.without_options(path, query.as_deref()?)?;
        self.policy.allowlist().approve_zone(&plain).ok()
    }
}

/// The source of a request, in the form that the allowlist parses.
fn source_text(request: &ImageRequest) -> &str {
    match &request.source {
        SourceRef::Zone(path) => path,
        SourceRef::Absolute(url) => url.as_str(),
    }
}

/// Splits a URL, with or without a scheme, before its path. The host may be empty. A canonical address of a source (`zone:…`, `bucket:…`) is
/// returned whole as the host.
pub(crate) fn host_and_target(text: &str) -> (&str, &str) {
    let is_canonical = ["zone:", "bucket:", "hosted:"]
        .iter()
        .any(|start| text.starts_with(start));
    if is_canonical {
        return (text, "");
    }
    let text = text.split('#').next().unwrap_or_default();
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => rest,
        _ => text,
    };
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// The head of a client's request for a target; `None` if there can be no such request.
pub(crate) fn request_head(host: &str, target: &str, accept: &str) -> Option<Parts> {
    let target = utf8_percent_encode(target, UNTYPED).to_string();
    let mut request = Request::get(target).header(ACCEPT, accept);
    if !host.is_empty() {
        request = request.header(HOST, host);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// Why a target cannot be purged as it is written.
struct TargetError(String);

impl TargetError {
    fn of(reason: impl fmt::Display) -> Self {
        TargetError(reason.to_string())
    }
}

fn target_error(target: &PurgeTarget, TargetError(reason): &TargetError) -> String {
    let (word, text) = (target.word(), target.text());
    // The text before an `@` may be a password: it must not be quoted.
    if text.contains('@') {
        return format!("`{word}`: {reason}");
    }
    let quoted: String = text.chars().take(QUOTED).collect();
    format!("`{word}`: {reason}, got `{quoted}`")
}
