//! What an operator writes for a source or a prefix, resolved to sources and to the beginnings of canonical spellings.
//!
//! A purge of too much costs a fetch, and a purge of too little leaves old pictures, so an ambiguous text means everything that it may mean.

use std::fmt;

use url::Url;

use crate::policy::error::Denial;
use crate::policy::sources::{Allowlist, ApprovedSource, SourceLocation, without_ornaments};
use crate::request::{SourceRef, SourceRefError};

/// A segment that is added to a prefix for its approval, because only a source below the prefix can be approved.
const MARKER: &str = "~";

/// Why a text names neither a source nor a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveError {
    /// The text is empty or has control characters.
    Characters,
    /// Another scheme than `http` and `https`.
    Scheme,
    /// The URL parser refuses it.
    Malformed,
    /// `user:password@`. The text must not be repeated.
    Credentials,
    /// A prefix with `?` or `#`.
    Query,
    /// No `[[bucket]]` has this name, or the key is invalid.
    Bucket,
    /// A path that hides dot segments, or that is not a valid key of the zone's bucket.
    Path,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ResolveError::Characters => "must not be empty or hold control characters",
            ResolveError::Scheme => {
                "must be a URL with `http://` or `https://`, a path of the zone as in `/uploads/cat.jpg`, or `bucket:NAME/KEY`"
            }
            ResolveError::Malformed => "must be a URL that can be read",
            ResolveError::Credentials => "must not hold a user or password",
            ResolveError::Query => "must end before the query: a prefix takes in every query",
            ResolveError::Bucket => "must name a [[bucket]] and a key, as in `bucket:NAME/KEY`",
            ResolveError::Path => "must not hide `.` or `..` and must name something of the zone",
        })
    }
}

impl std::error::Error for ResolveError {}

impl From<SourceRefError> for ResolveError {
    fn from(error: SourceRefError) -> Self {
        match error {
            SourceRefError::Characters => ResolveError::Characters,
            SourceRefError::Scheme(_) => ResolveError::Scheme,
            SourceRefError::Credentials => ResolveError::Credentials,
            SourceRefError::Encoding | SourceRefError::Malformed(_) => ResolveError::Malformed,
        }
    }
}

/// The ways to name a source or a prefix.
enum SourceSpec<'a> {
    /// A path, or `zone:` and a path.
    Zone(&'a str),
    /// `bucket:NAME/KEY`, with the key not encoded.
    Object {
        bucket: &'a str,
        key: &'a str,
    },
    Url(Url),
    /// A text without a scheme and a slash in front: a path, or a host and a path.
    Bare(&'a str),
}

impl<'a> SourceSpec<'a> {
    fn of(text: &'a str) -> Result<Self, ResolveError> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(ResolveError::Characters);
        }
        if let Some(path) = text.strip_prefix("zone:") {
            return Ok(SourceSpec::Zone(path));
        }
        if let Some(object) = text.strip_prefix("bucket:") {
            let (bucket, key) = object.split_once('/').unwrap_or((object, ""));
            return Ok(SourceSpec::Object { bucket, key });
        }
        if text.starts_with(['/', '\\']) {
            return Ok(SourceSpec::Zone(text));
        }
        if let Some(encoded) = SourceRef::parse_encoded(text) {
            return match encoded {
                Ok(SourceRef::Absolute(url)) => Ok(SourceSpec::Url(url)),
                Ok(SourceRef::Zone(_)) => Err(ResolveError::Malformed),
                Err(error) => Err(ResolveError::from(error)),
            };
        }
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.contains(['/', '?']) => {
                absolute(text).map(SourceSpec::Url)
            }
            _ => Ok(SourceSpec::Bare(text)),
        }
    }
}

fn absolute(text: &str) -> Result<Url, ResolveError> {
    let mut url = Url::parse(text).map_err(|_| ResolveError::Malformed)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ResolveError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ResolveError::Credentials);
    }
    url.set_fragment(None);
    Ok(url)
}

/// The two URLs that a text without a scheme may stand for, or none where it does not begin with a host.
fn with_schemes(text: &str) -> Result<Vec<Url>, ResolveError> {
    let host = text.split(['/', '?']).next().unwrap_or_default();
    if !host.contains(['.', ':']) && host != "localhost" {
        return Ok(Vec::new());
    }
    let schemes = ["https://", "http://"];
    schemes
        .map(|scheme| absolute(&format!("{scheme}{text}")))
        .into_iter()
        .collect()
}

impl Allowlist {
    /// Every source that a text may mean: a URL in any spelling, a path of the zone, `zone:PATH` or `bucket:NAME/KEY`.
    ///
    /// A URL means the source at that URL and also the one at its path on the zone, because its host may be a name of the zone.
    ///
    /// # Errors
    /// [`ResolveError`] where the text can mean no source.
    pub(crate) fn resolve(&self, text: &str) -> Result<Vec<ApprovedSource>, ResolveError> {
        let mut found = Vec::new();
        match SourceSpec::of(text)? {
            SourceSpec::Zone(path) => found.push(self.approve_zone(path)),
            SourceSpec::Object { bucket, key } => {
                found.push(Ok(self
                    .approve_key(bucket, key)
                    .ok_or(ResolveError::Bucket)?));
            }
            SourceSpec::Url(url) => self.resolve_url(&url, &mut found),
            SourceSpec::Bare(text) => {
                found.push(self.approve_zone(text));
                if text.contains('/') {
                    for url in with_schemes(text)? {
                        self.resolve_url(&url, &mut found);
                    }
                }
            }
        }
        let mut sources = Vec::new();
        for source in found.into_iter().flatten() {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        if sources.is_empty() {
            return Err(ResolveError::Path);
        }
        Ok(sources)
    }

    fn resolve_url(&self, url: &Url, found: &mut Vec<Result<ApprovedSource, Denial>>) {
        let source = self.approve(url);
        let is_object = is_object(&source);
        found.push(source);
        if !is_object {
            found.push(
                self.approve_zone(&url[url::Position::BeforePath..url::Position::AfterQuery]),
            );
        }
    }

    /// Every beginning of a canonical spelling that a text may mean. The text is written like a source and ends at the end of a segment. The sources
    /// below it need not be allowed: they may have been allowed when they were read.
    ///
    /// # Errors
    /// [`ResolveError`] where the text can mean no prefix.
    pub(crate) fn resolve_prefixes(&self, text: &str) -> Result<Vec<String>, ResolveError> {
        let mut found = Vec::new();
        match SourceSpec::of(text)? {
            SourceSpec::Object { bucket, key } => {
                if !self.has_bucket(bucket) {
                    return Err(ResolveError::Bucket);
                }
                found.push(format!("bucket:{bucket}/{key}"));
            }
            _ if text.contains(['?', '#']) => return Err(ResolveError::Query),
            SourceSpec::Url(url) if url.query().is_some() => return Err(ResolveError::Query),
            SourceSpec::Zone(path) => found.extend(self.prefix_of_zone(path)),
            SourceSpec::Url(url) => self.resolve_prefixes_of_url(&url, &mut found),
            SourceSpec::Bare(text) => {
                found.extend(self.prefix_of_zone(text));
                for url in with_schemes(text)? {
                    self.resolve_prefixes_of_url(&url, &mut found);
                }
            }
        }
        if found.is_empty() {
            return Err(ResolveError::Path);
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn resolve_prefixes_of_url(&self, url: &Url, found: &mut Vec<String>) {
        let (path, marker) = with_marker(url.path());
        let mut below = url.clone();
        below.set_path(&path);
        let source = self.approve(&below);
        if !is_object(&source) {
            found.extend(self.prefix_of_zone(url.path()));
        }
        found.push(match source {
            Ok(source) => without_marker(&source, marker),
            Err(_) => without_ornaments(url).to_string(),
        });
    }

    fn prefix_of_zone(&self, path: &str) -> Option<String> {
        let (path, marker) = with_marker(path);
        let below = self.approve_zone(&path).ok()?;
        Some(without_marker(&below, marker))
    }
}

fn is_object(source: &Result<ApprovedSource, Denial>) -> bool {
    let location = source.as_ref().map(ApprovedSource::location);
    matches!(location, Ok(SourceLocation::Bucket { .. }))
}

/// The path of a source below a prefix, and how many bytes it is longer than the prefix.
fn with_marker(prefix: &str) -> (String, usize) {
    let marker = if prefix.ends_with('/') { "" } else { "/" };
    (
        format!("{prefix}{marker}{MARKER}"),
        marker.len() + MARKER.len(),
    )
}

fn without_marker(below: &ApprovedSource, marker: usize) -> String {
    let mut prefix = below.canonical();
    prefix.truncate(prefix.len().saturating_sub(marker));
    prefix
}

#[cfg(test)]
mod tests;
