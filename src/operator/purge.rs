//! What operators take back, told in their words: which sources and renditions that is, and having the cache forget them.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use hyper::Request;
use hyper::header::ACCEPT;
use hyper::header::HOST;
use hyper::http::request::Parts;
use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::utf8_percent_encode;
use serde::Serialize;

use crate::cache::Purge;
use crate::cache::PurgeError;
use crate::cache::RenditionKey;
use crate::cache::SourceKey;
use crate::cache::Target;
use crate::freshness::Tag;
use crate::options::Effort;
use crate::pipeline::Pipeline;
use crate::policy::ApprovedSource;
use crate::request::ImageRequest;
use crate::request::SourceRef;
use crate::request::VaryHeader;
use crate::telemetry::redacted;

/// What clients can show, as far as answers depend on it.
const ACCEPTS: [&str; 4] = ["*/*", "image/webp", "image/avif", "image/avif,image/webp"];

/// The longest value that a message repeats, in characters.
const QUOTED: usize = 200;

/// What browsers encode in a URL that is typed or pasted.
pub(crate) const UNTYPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// One thing to be purged, in the words of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeTarget {
    /// A source with all its renditions, by its own address or by that of one of its renditions.
    Source(String),
    /// What a transformation URL leads to, whoever asks.
    Url(String),
    /// All sources whose address begins so.
    Prefix(String),
    /// All sources with this tag.
    Tag(String),
    /// All sources.
    Everything,
}

/// What was purged, in canonical addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// It is stale, not gone.
    pub soft: bool,
    pub sources: BTreeSet<String>,
    /// Names of renditions that one URL leads to. How many of them were kept is not counted.
    pub renditions: usize,
    pub prefixes: BTreeSet<String>,
    pub tags: BTreeSet<String>,
    pub everything: bool,
    /// Where more was purged than was asked for, and why.
    pub notes: Vec<String>,
}

/// Why a purge did not take place, or not for good.
#[derive(Debug)]
pub enum PurgeRequestError {
    /// What the operator wrote makes no sense; a sentence for each mistake. Nothing was purged.
    ResolveError(Vec<String>),
    /// It holds here, for now.
    Cache(PurgeError),
    /// It ended in the middle.
    Broken,
}

impl fmt::Display for PurgeRequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PurgeRequestError::ResolveError(wrong) => out.write_str(&wrong.join("; ")),
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

/// What is to be purged, collected before anything is.
#[derive(Default)]
struct PurgeScope {
    purged: PurgeReport,
    known: HashSet<SourceKey>,
    targets: Vec<Target>,
}

impl PurgeScope {
    fn source(&mut self, source: &ApprovedSource) {
        let key = SourceKey::of(source);
        if self.known.insert(key) {
            self.purged.sources.insert(source.canonical());
            self.targets.push(Target::Source(key));
        }
    }

    fn prefix(&mut self, prefix: String) {
        if self.purged.prefixes.insert(prefix.clone()) {
            self.targets.push(Target::Prefix(prefix));
        }
    }

    fn everything(&mut self) {
        self.purged.everything = true;
    }

    fn note(&mut self, note: String) {
        if !self.purged.notes.contains(&note) {
            self.purged.notes.push(note);
        }
    }
}

impl Pipeline {
    /// Purges what is asked for, all of it or, where something makes no sense, nothing. When this returns, nobody is answered with it any more.
    ///
    /// # Errors
    /// [`PurgeRequestError`].
    pub async fn purge(
        &self,
        asked: &[PurgeTarget],
        soft: bool,
    ) -> Result<PurgeReport, PurgeRequestError> {
        let mut collected = PurgeScope::default();
        let mut wrong = Vec::new();
        for asked in asked {
            if let Err(reason) = self.collect(asked, &mut collected).await {
                wrong.push(target_error(asked, &reason));
            }
        }
        if !wrong.is_empty() {
            return Err(PurgeRequestError::ResolveError(wrong));
        }
        let PurgeScope {
            mut purged,
            targets,
            ..
        } = collected;
        purged.soft = soft;
        let targets = if purged.everything {
            vec![Target::Everything]
        } else {
            targets
        };
        let purges = targets.into_iter().map(|target| Purge { target, soft });
        let (cache, purges) = (Arc::clone(&self.cache), purges.collect());
        // On its own: half a purge, because whoever asked for it hung up, would be none.
        let done = tokio::spawn(async move { cache.purge(purges).await }).await;
        for asked in asked {
            self.metrics.caches.record_purge(asked.word(), soft);
            let text = &*redacted(asked.text());
            tracing::info!(what = asked.word(), text, soft, "purged");
        }
        match done.map_err(|_| PurgeRequestError::Broken)? {
            Ok(()) => Ok(purged),
            Err(error) => {
                tracing::error!(%error, "a purge may be lost");
                Err(PurgeRequestError::Cache(error))
            }
        }
    }

    async fn collect(&self, asked: &PurgeTarget, into: &mut PurgeScope) -> Result<(), TargetError> {
        let allowlist = self.policy.allowlist();
        match asked {
            PurgeTarget::Source(text) => {
                let request = self.request_of(text, "")?;
                let source = request.as_ref().map_or(text.as_str(), source_text);
                for source in allowlist.resolve(source).map_err(TargetError::of)? {
                    into.source(&source);
                }
            }
            PurgeTarget::Url(text) => self.collect_renditions(text, into).await?,
            PurgeTarget::Prefix(text) => {
                let (_, path) = host_and_target(text);
                let is_ours = self.prefixes.is_image_path(path)
                    || (path.len() > 1 && self.prefixes.lie_below(path));
                if !is_ours {
                    for prefix in allowlist.resolve_prefixes(text).map_err(TargetError::of)? {
                        into.prefix(prefix);
                    }
                    return Ok(());
                }
                // Of transformation URLs: those of sources whose addresses begin with what follows the options.
                match self.request_of(text, "") {
                    Ok(Some(request)) => {
                        let prefixes = allowlist.resolve_prefixes(source_text(&request));
                        for prefix in prefixes.map_err(TargetError::of)? {
                            into.prefix(prefix);
                        }
                    }
                    _ => {
                        into.everything();
                        into.note(format!("transformation URLs of every source begin with `{text}`: everything was purged"));
                    }
                }
            }
            PurgeTarget::Tag(text) => {
                let tag = Tag::new(text.trim()).map_err(TargetError::of)?;
                if into.purged.tags.insert(tag.as_str().to_owned()) {
                    into.targets.push(Target::Tag(tag));
                }
            }
            PurgeTarget::Everything => into.everything(),
        }
        Ok(())
    }

    /// What one transformation URL leads to, for clients of every kind.
    async fn collect_renditions(
        &self,
        text: &str,
        into: &mut PurgeScope,
    ) -> Result<(), TargetError> {
        let mut recipes = Vec::new();
        let mut sources = Vec::new();
        let mut is_by_hints = false;
        for accept in ACCEPTS {
            let request = self.request_of(text, accept)?.ok_or_else(|| {
                TargetError::of("must be a transformation URL, as in `/cdn-cgi/image/width=80/cat.jpg`; for that of a picture itself use `source`")
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
            // Without a record nobody knows what the renditions are called.
            let Some(record) = record.filter(|_| !is_by_hints) else {
                into.source(source);
                continue;
            };
            let keys = recipes
                .iter()
                .map(|recipe| RenditionKey::of(&key, &record, recipe, &self.render_fingerprint));
            let keys: Vec<RenditionKey> = keys.collect::<HashSet<_>>().into_iter().collect();
            into.purged.renditions += keys.len();
            into.targets.push(Target::Renditions { source: key, keys });
        }
        Ok(())
    }

    /// The request that a text is the URL of; `None` if it is not under a prefix of ours.
    fn request_of(&self, text: &str, accept: &str) -> Result<Option<ImageRequest>, TargetError> {
        let (host, target) = host_and_target(text);
        let path = target.split('?').next().unwrap_or_default();
        if !self.prefixes.is_image_path(path) {
            return Ok(None);
        }
        let unreadable = || TargetError::of("must be a URL that can be read");
        let head = head_of(host, target, accept).ok_or_else(unreadable)?;
        let request = ImageRequest::parse(&head, &self.prefixes).map_err(TargetError::of)?;
        Ok(Some(request))
    }
}

/// The source of a request, as the allowlist reads it.
fn source_text(request: &ImageRequest) -> &str {
    match &request.source {
        SourceRef::Zone(path) => path,
        SourceRef::Absolute(url) => url.as_str(),
    }
}

/// The host, where there is one, and the rest from its first slash, of a URL with or without a scheme. Canonical addresses have no rest: they
/// are those of sources.
pub(crate) fn host_and_target(text: &str) -> (&str, &str) {
    let is_canonical = ["zone:", "bucket:"]
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

pub(crate) fn head_of(host: &str, target: &str, accept: &str) -> Option<Parts> {
    let target = utf8_percent_encode(target, UNTYPED).to_string();
    let mut request = Request::get(target).header(ACCEPT, accept);
    if !host.is_empty() {
        request = request.header(HOST, host);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// What is wrong with a value.
struct TargetError(String);

impl TargetError {
    fn of(reason: impl fmt::Display) -> Self {
        TargetError(reason.to_string())
    }
}

fn target_error(asked: &PurgeTarget, TargetError(reason): &TargetError) -> String {
    let (word, text) = (asked.word(), asked.text());
    // What stands before an `@` may be a password.
    if text.contains('@') {
        return format!("`{word}`: {reason}");
    }
    let quoted: String = text.chars().take(QUOTED).collect();
    format!("`{word}`: {reason}, got `{quoted}`")
}
