//! May it happen, and how exactly: an [`ImageRequest`] becomes a [`Job`] with an approved source and a recipe that leaves nothing
//! open, or it is [`Denial`]. Pure decisions: never a socket, a file or an HTTP type, and no other room may approve a source.

mod negotiate;
mod origin_pattern;
mod resolve;
mod source_pattern;
mod sources;
mod strict;
mod zone;

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

pub use negotiate::NegotiateConfig;
pub use origin_pattern::OriginPattern;
pub use origin_pattern::OriginPatternError;
pub use resolve::ResolveError;
pub use source_pattern::SourcePattern;
pub use source_pattern::SourcePatternError;
pub use sources::Allowlist;
pub use sources::ApprovedSource;
pub use sources::SourceLocation;
pub use zone::ZoneOrigin;
pub use zone::ZoneOriginError;
pub use zone::zone_url;

use self::negotiate::Decision;
use crate::bucket::BucketAddress;
use crate::options::Diagnostics;
use crate::options::Format;
use crate::options::OptionError;
use crate::options::Options;
use crate::options::Recipe;
use crate::options::Warning;
use crate::request::Accept;
use crate::request::ClientHints;
use crate::request::ImageRequest;
use crate::request::SourceRef;
use crate::request::Vary;

/// Section `[sources]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourcesConfig {
    /// What may be read beside the zone and the configured buckets.
    pub allowed: Vec<OriginPattern>,
}

/// Section `[zone]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZoneConfig {
    /// What a source without a host is relative to.
    pub origin: ZoneOrigin,
}

/// What the operator decides about requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Section `[sources]`.
    pub sources: SourcesConfig,
    /// What negotiation may know, from several sections.
    pub negotiate: NegotiateConfig,
    /// Whether URLs with anything that does not count are refused.
    pub strict: bool,
    /// The name of the bucket that renditions are kept in: no URL may read it.
    pub cache_bucket: Option<String>,
}

/// The judge of requests.
#[derive(Debug, Clone)]
pub struct Policy {
    allowlist: Arc<Allowlist>,
    negotiate: NegotiateConfig,
    strict: bool,
}

/// An admitted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The image to read.
    pub source: ApprovedSource,
    /// What to make of it.
    pub recipe: Recipe,
    /// The URL names a format of pixels: a source that is a drawing, and stays one, is no answer.
    pub must_be_pixels: bool,
    /// What the client should know, those of the request included.
    pub warnings: Vec<Warning>,
}

impl Job {
    /// Judges what was made by what it came to be.
    ///
    /// # Errors
    /// [`Denial::Drawing`].
    pub fn check_output(&self, made: Format) -> Result<(), Denial> {
        check_output(self.must_be_pixels, made)
    }
}

impl Decision {
    fn job(self, request: &ImageRequest, source: ApprovedSource) -> Job {
        let mut warnings = request.options.warnings().to_vec();
        warnings.extend(self.warnings);
        Job {
            source,
            recipe: self.recipe,
            must_be_pixels: self.must_be_pixels,
            warnings,
        }
    }
}

fn check_output(must_be_pixels: bool, made: Format) -> Result<(), Denial> {
    if must_be_pixels && made == Format::Svg {
        return Err(Denial::Drawing);
    }
    Ok(())
}

impl Policy {
    /// A policy for one zone and the configured buckets.
    ///
    /// # Errors
    /// [`PolicyError`] when the zone is a bucket that is not among `buckets`, two buckets share a name, or the bucket of the cache is a source as well.
    pub fn new(
        config: &Config,
        zone: ZoneOrigin,
        buckets: Vec<BucketAddress>,
    ) -> Result<Policy, PolicyError> {
        let Config {
            sources,
            negotiate,
            strict,
            cache_bucket,
        } = config;
        let allowed = sources.allowed.clone();
        let allowlist = Allowlist::new(allowed, zone, buckets, cache_bucket.as_deref())?;
        Ok(Policy {
            allowlist: Arc::new(allowlist),
            negotiate: negotiate.clone(),
            strict: *strict,
        })
    }

    /// Which headers take part in the decision about a request, whatever it is.
    pub fn vary(&self, request: &ImageRequest) -> Vary {
        request.options.as_result().map_or_else(
            |_| Vary::default(),
            |options| negotiate::vary(options, &request.hints, &self.negotiate),
        )
    }

    /// Where the client may be sent when there is no picture for it: to the source, where `onerror=redirect` asks for that and the
    /// source is on the host that the client asked or below it. A path stays a path: it leads to the same host for every client.
    pub fn fallback(&self, request: &ImageRequest) -> Option<String> {
        if !request.options.redirects_on_error() {
            return None;
        }
        match &request.source {
            SourceRef::Zone(path) => self.path_on_zone(path),
            SourceRef::Absolute(url) if request.is_own_host(url) => {
                self.path_on_zone(&url[url::Position::BeforePath..url::Position::AfterQuery])
            }
            SourceRef::Absolute(url) if request.is_below_own_host(url) => {
                self.allowlist.approve(url).ok()?;
                Some(url.to_string())
            }
            SourceRef::Absolute(_) => None,
        }
    }

    /// A path for the `Location` of a redirect. Two slashes at its start would be another host, and so would what somebody between
    /// makes of two encoded ones, of backslashes, and of control characters before either.
    fn path_on_zone(&self, path_and_query: &str) -> Option<String> {
        let rest = path_and_query.trim_start_matches(['/', '\\']);
        let path = rest.split('?').next().unwrap_or_default();
        let first = percent_decode_str(path).find(|byte| *byte > b' ');
        if matches!(first, None | Some(b'/' | b'\\')) {
            return None;
        }
        self.allowlist.approve_zone(path_and_query).ok()?;
        Some(format!("/{rest}"))
    }

    /// Decides about one request.
    ///
    /// # Errors
    /// [`Denial`] says what is not allowed.
    pub fn admit(&self, request: &ImageRequest) -> Result<Job, Denial> {
        if request.via_image_resizing {
            return Err(Denial::Loop);
        }
        // What is wrong with the options is told first.
        let decision = self.decision(request)?;
        let source = match &request.source {
            SourceRef::Zone(path) => self.allowlist.approve_zone(path)?,
            // Whatever host the client claims to have asked, what it gets is an image of the zone.
            SourceRef::Absolute(url) if request.is_own_host(url) => self
                .allowlist
                .approve_zone(&url[url::Position::BeforePath..url::Position::AfterQuery])?,
            SourceRef::Absolute(url) => self.allowlist.approve(url)?,
        };
        Ok(decision.job(request, source))
    }

    /// Decides about a request whose source was approved already, whatever it says of it.
    ///
    /// # Errors
    /// [`Denial`] says what is wrong with its options.
    pub fn admit_approved(
        &self,
        request: &ImageRequest,
        source: ApprovedSource,
    ) -> Result<Job, Denial> {
        Ok(self.decision(request)?.job(request, source))
    }

    fn decision(&self, request: &ImageRequest) -> Result<Decision, Denial> {
        let ImageRequest {
            options,
            accept,
            hints,
            ..
        } = request;
        let decision = options
            .as_result()
            .map_err(|error| Denial::Options(error.clone()))
            .and_then(|options| negotiate::negotiate(options, *accept, hints, &self.negotiate));
        if self.strict {
            let diagnostics = strict::diagnostics(options, decision.as_ref());
            if !diagnostics.is_empty() {
                return Err(Denial::Strict(diagnostics));
            }
        }
        decision
    }

    /// Decides about a request alone, whatever its source is.
    ///
    /// # Errors
    /// [`Denial`] says what is wrong with its options.
    pub fn recipe(&self, request: &ImageRequest) -> Result<Recipe, Denial> {
        Ok(self.decision(request)?.recipe)
    }

    /// Decides about options alone, for a source that is at hand and a client that gives no hints.
    ///
    /// # Errors
    /// [`Denial::OutputTooLarge`].
    pub fn decide(
        &self,
        options: &Options,
        accept: Accept,
    ) -> Result<(Recipe, Vec<Warning>), Denial> {
        let hints = ClientHints::default();
        let decision = negotiate::negotiate(options, accept, &hints, &self.negotiate)?;
        Ok((decision.recipe, decision.warnings))
    }

    /// Judges what was made for options alone, as [`Job::judge`] does.
    ///
    /// # Errors
    /// [`Denial::Drawing`].
    pub fn check_output(&self, options: &Options, made: Format) -> Result<(), Denial> {
        check_output(negotiate::names_pixels(options), made)
    }

    /// The judge of sources, for what is found on the way: redirects.
    pub fn allowlist(&self) -> Arc<Allowlist> {
        Arc::clone(&self.allowlist)
    }
}

/// Why a request may not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The options ask for no picture.
    Options(OptionError),
    /// Something in the options does not count, and everything should.
    Strict(Diagnostics),
    /// Neither the zone, nor a configured bucket, nor in the list of allowed origins.
    SourceNotAllowed {
        /// The host of the source.
        host: String,
    },
    /// The path cannot name an image here: it hides dot segments, or is no key of the zone's bucket.
    PathNotAllowed,
    /// An image proxy is asking for what it is asked itself.
    Loop,
    /// The source is a drawing, and a format of pixels was named.
    Drawing,
    /// A side of the output, `dpr` included, is beyond the limit.
    OutputTooLarge {
        /// `width` or `height`.
        option: &'static str,
        /// What was asked, in output pixels.
        pixels: u32,
        /// What is allowed, in output pixels.
        limit: u32,
    },
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Options(error) => error.fmt(formatter),
            Denial::Strict(diagnostics) => write!(formatter, "strict mode: {diagnostics}"),
            Denial::SourceNotAllowed { host } => write!(
                formatter,
                "source host `{host}` is not in the list of allowed origins"
            ),
            Denial::PathNotAllowed => formatter.write_str(
                "the path of the source must not hide `.` or `..` and must name an image",
            ),
            Denial::Loop => {
                formatter.write_str("an image proxy is asking: the source leads back here")
            }
            Denial::Drawing => formatter.write_str(
                "the source is SVG, which is not made into pixels here: leave `format` out or use `format=auto`",
            ),
            Denial::OutputTooLarge {
                option,
                pixels,
                limit,
            } => {
                write!(
                    formatter,
                    "option `{option}` times `dpr` must be at most {limit} pixels, got {pixels}"
                )
            }
        }
    }
}

impl std::error::Error for Denial {}

/// Settings that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// The zone is a bucket that no `[[bucket]]` section describes.
    UnknownZoneBucket(String),
    /// Two `[[bucket]]` sections have this name.
    DuplicateBucket(String),
    /// The section of this name describes the bucket that the cache has to itself.
    CacheBucketTwice(String),
    /// The zone is the bucket of this name, which the cache has to itself.
    CacheBucketAsZone(String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::UnknownZoneBucket(name) => {
                write!(
                    formatter,
                    "zone origin `bucket:{name}` must be the `name` of a [[bucket]] section"
                )
            }
            PolicyError::DuplicateBucket(name) => write!(
                formatter,
                "the `name` of a [[bucket]] section must be its own, got `{name}` twice"
            ),
            PolicyError::CacheBucketTwice(name) => write!(
                formatter,
                "setting `cache.shared.bucket` must name a bucket that is no source, but [[bucket]] `{name}` describes the same one: take that out, or give the cache a bucket of its own"
            ),
            PolicyError::CacheBucketAsZone(name) => write!(
                formatter,
                "setting `cache.shared.bucket` must name a bucket that is no source, but `zone.origin` is in `{name}`: give the cache a bucket of its own"
            ),
        }
    }
}

impl std::error::Error for PolicyError {}

#[cfg(test)]
mod tests;
