//! The decision about a request: an [`ImageRequest`] becomes a [`Job`], with an approved source and a complete recipe, or a [`Denial`].
//!
//! This module never sees a socket, a file or an HTTP type. No other module may approve a source.

mod access;
mod config;
mod dot_segments;
mod error;
mod hosted_store;
mod negotiate;
mod origin_pattern;
mod refusal;
mod resolve;
mod source_pattern;
mod sources;
mod strict;
mod zone;

use std::sync::Arc;

use percent_encoding::percent_decode_str;

pub use access::Access;
pub use access::AllowedOptions;
pub use access::Required;
pub use access::SignaturesConfig;
pub use config::Config;
pub use config::HostedStore;
pub use config::NegotiateConfig;
pub use config::SourcesConfig;
pub use config::ZoneConfig;
pub use error::Denial;
pub use error::PolicyError;
pub use origin_pattern::OriginPattern;
pub use origin_pattern::OriginPatternError;
pub use refusal::SignatureError;
pub use refusal::Unlisted;
pub use resolve::ResolveError;
pub use source_pattern::SourcePattern;
pub use source_pattern::SourcePatternError;
pub use sources::Allowlist;
pub use sources::ApprovedSource;
pub use sources::SourceLocation;
pub use zone::Originals;
pub use zone::ZoneOrigin;
pub use zone::ZoneOriginError;
pub(crate) use zone::zone_url;

use self::access::Terms;
use self::hosted_store::PrivateBucket;
use self::negotiate::Decision;
use crate::bucket::BucketAddress;
use crate::options::{Format, Formats, Options, Output, Recipe, Warning};
use crate::request::{Accept, ClientHints, ImageRequest, Prefixes, SourceRef, Vary};

/// How many servers of this kind may pass a request for an original on to the next: more are a loop.
const MAX_HOPS: usize = 3;

/// Decides about requests.
#[derive(Debug, Clone)]
pub struct Policy {
    allowlist: Arc<Allowlist>,
    originals: Originals,
    strip: bool,
    negotiate: NegotiateConfig,
    strict: bool,
    access: Access,
}

/// An admitted request for an original: what is read, and what of it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OriginalJob {
    /// What is read.
    pub source: ApprovedSource,
    /// Whether only a picture may be sent.
    pub pictures_only: bool,
    /// Whether metadata is taken out.
    pub strip: bool,
}

/// An admitted request: what is read, and what is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The image that is read.
    pub source: ApprovedSource,
    /// What is made of it.
    pub recipe: Recipe,
    /// Formats in the recipe that the client does not name: see [`Job::narrowed`].
    pub unnamed: Formats,
    /// The URL names a raster format, so that an SVG, which stays SVG, is no answer.
    pub must_be_raster: bool,
    /// The warnings for the client, those about the request included.
    pub warnings: Vec<Warning>,
    /// When the URL expires, in seconds since 1970, if it does.
    pub expires: Option<u64>,
}

impl Job {
    /// Checks the format of the finished rendition.
    ///
    /// # Errors
    /// [`Denial::Drawing`].
    pub(crate) fn check_output(&self, format: Format) -> Result<(), Denial> {
        check_output(self.must_be_raster, format)
    }

    /// The job with nothing in its recipe but what the client names. It is done where a rendition of the wider recipe, which is shared with
    /// other clients, has turned out to be of a format that this one does not name.
    pub(crate) fn narrowed(&self) -> Job {
        let mut job = self.clone();
        if let Output::Auto(formats) = job.recipe.output {
            job.recipe.output =
                Output::Auto(formats.filter(|format| !self.unnamed.contains(format)));
        }
        job.unnamed = Formats::NONE;
        job
    }
}

impl Decision {
    fn into_job(self, request: &ImageRequest, source: ApprovedSource) -> Job {
        let mut warnings = request.options.warnings().to_vec();
        warnings.extend(self.warnings);
        Job {
            source,
            recipe: self.recipe,
            unnamed: self.unnamed,
            must_be_raster: self.must_be_raster,
            warnings,
            expires: None,
        }
    }
}

fn check_output(must_be_raster: bool, format: Format) -> Result<(), Denial> {
    if must_be_raster && format == Format::Svg {
        return Err(Denial::Drawing);
    }
    Ok(())
}

impl Policy {
    /// Makes the policy for one zone and the configured buckets.
    ///
    /// # Errors
    /// [`PolicyError`] when the zone is a bucket that is not among `buckets`, two buckets share a name, or the bucket of the cache is a source as well.
    pub fn new(
        config: &Config,
        zone: ZoneConfig,
        buckets: Vec<BucketAddress>,
    ) -> Result<Policy, PolicyError> {
        let Config {
            sources,
            negotiate,
            strict,
            cache_bucket,
            hosted,
        } = config;
        let ZoneConfig {
            origin,
            originals,
            strip,
        } = zone;
        let originals = originals.unwrap_or_else(|| origin.default_originals());
        let allowed = sources.allowed.clone();
        let of_cache = cache_bucket.as_deref().map(PrivateBucket::of_cache);
        let private: Vec<_> = of_cache
            .into_iter()
            .chain(PrivateBucket::of_hosted(hosted))
            .collect();
        let allowlist = Allowlist::new(allowed, origin, buckets, &private)?.hiding(hosted);
        Ok(Policy {
            allowlist: Arc::new(allowlist),
            originals,
            strip,
            negotiate: negotiate.clone(),
            strict: *strict,
            access: Access::default(),
        })
    }

    /// The same with rules about which URLs need a signature.
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The headers on which the decision about a request depends, whatever it is.
    pub(crate) fn vary(&self, request: &ImageRequest) -> Vary {
        request.options.as_result().map_or_else(
            |_| Vary::default(),
            |options| negotiate::vary(options, &request.hints, &self.negotiate),
        )
    }

    /// The `Location` for a client that cannot get the picture: the source, where `onerror=redirect` asks for it and the source is on the host of the
    /// request or a subdomain. A path stays a path, which leads to the same host for every client.
    pub(crate) fn fallback(&self, request: &ImageRequest) -> Option<String> {
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

    /// A path for the `Location` of a redirect. Two slashes at its start would name another host; proxies and browsers may also turn encoded
    /// slashes, backslashes, and control characters before them into such slashes.
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
    /// [`Denial`] says why it is not allowed.
    pub fn admit(&self, request: &ImageRequest) -> Result<Job, Denial> {
        if request.via_image_resizing {
            return Err(Denial::Loop);
        }
        let terms = self.terms(request)?;
        self.admit_on(request, &terms)
    }

    /// Decides about a request of an operator, which needs no signature.
    ///
    /// # Errors
    /// [`Denial`] says why it is not allowed.
    pub(crate) fn admit_operator(&self, request: &ImageRequest) -> Result<Job, Denial> {
        self.admit_on(request, &Terms::default())
    }

    /// Whether URLs may have signatures.
    pub(crate) fn reads_signatures(&self) -> bool {
        self.access.reads_signatures()
    }

    /// A URL, from the slash of its path on, signed by the first key, so that operators see what clients with a signature would. `None` where there is no
    /// key, or the URL cannot be signed.
    pub(crate) fn sign(&self, target: &str, prefixes: &Prefixes) -> Option<String> {
        self.access.sign(target, prefixes)
    }

    fn terms(&self, request: &ImageRequest) -> Result<Terms, Denial> {
        self.access.terms(request, |options| {
            negotiate::wanted_width(options, &request.hints, &self.negotiate)
        })
    }

    fn admit_on(&self, request: &ImageRequest, terms: &Terms) -> Result<Job, Denial> {
        // Wrong options are reported before a source that is not allowed.
        let decision = self.decision(request, terms)?;
        let source = match &request.source {
            SourceRef::Zone(path) => self.allowlist.approve_zone(path)?,
            // The host in a request may be a lie, so a URL on it is read from the zone and nowhere else.
            SourceRef::Absolute(url) if request.is_own_host(url) => self
                .allowlist
                .approve_zone(&url[url::Position::BeforePath..url::Position::AfterQuery])?,
            SourceRef::Absolute(url) => self.allowlist.approve(url)?,
        };
        let mut job = decision.into_job(request, source);
        job.warnings.extend(terms.warning.clone());
        job.expires = terms.expires;
        Ok(job)
    }

    /// Whether anything is served as it is.
    pub(crate) fn serves_originals(&self) -> bool {
        self.originals != Originals::None
    }

    /// Whether everything is served as it is, the redirects of an origin as well.
    pub(crate) fn serves_all_originals(&self) -> bool {
        self.originals == Originals::All
    }

    /// Decides about a request for the original at a path of the zone. `hops` says how many servers of this kind have passed the request on
    /// already, as `Via` tells.
    ///
    /// # Errors
    /// [`Denial::PathNotAllowed`], or [`Denial::Loop`] where the server of the zone seems to be this one.
    pub(crate) fn admit_original(
        &self,
        path_and_query: &str,
        hops: usize,
    ) -> Result<OriginalJob, Denial> {
        if hops > MAX_HOPS {
            return Err(Denial::Loop);
        }
        Ok(OriginalJob {
            source: self.allowlist.approve_zone(path_and_query)?,
            pictures_only: self.originals != Originals::All,
            strip: self.strip,
        })
    }

    /// Decides about a request whose source is approved already. The source in the request is ignored.
    ///
    /// # Errors
    /// [`Denial`] says what is wrong with its options.
    pub(crate) fn admit_approved(
        &self,
        request: &ImageRequest,
        source: ApprovedSource,
    ) -> Result<Job, Denial> {
        let decision = self.decision(request, &Terms::default())?;
        Ok(decision.into_job(request, source))
    }

    /// Checks that a client may choose the options of a request without a signature, or that the request has one.
    ///
    /// # Errors
    /// [`Denial::Signature`], [`Denial::Unlisted`].
    pub(crate) fn check_access(&self, request: &ImageRequest) -> Result<(), Denial> {
        self.terms(request).map(drop)
    }

    fn decision(&self, request: &ImageRequest, terms: &Terms) -> Result<Decision, Denial> {
        let ImageRequest {
            options,
            accept,
            hints,
            ..
        } = request;
        let decision = options
            .as_result()
            .map_err(|error| Denial::Options(error.clone()))
            .and_then(|options| {
                let changed = terms.change(options);
                let options = changed.as_ref().unwrap_or(options);
                negotiate::negotiate(options, *accept, hints, &self.negotiate)
            });
        if self.strict {
            let diagnostics = strict::diagnostics(options, decision.as_ref());
            if !diagnostics.is_empty() {
                return Err(Denial::Strict(diagnostics));
            }
        }
        decision
    }

    /// Decides about the options of a request, whatever its source is.
    ///
    /// # Errors
    /// [`Denial`] says what is wrong with its options.
    pub(crate) fn recipe(&self, request: &ImageRequest) -> Result<Recipe, Denial> {
        Ok(self.decision(request, &Terms::default())?.recipe)
    }

    /// Decides about options, for a local source and a client without hints.
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

    /// Checks the format of what was made for options, as [`Job::check_output`] does.
    ///
    /// # Errors
    /// [`Denial::Drawing`].
    pub(crate) fn check_output(&self, options: &Options, format: Format) -> Result<(), Denial> {
        check_output(negotiate::asks_for_raster(options), format)
    }

    /// The list of sources that may be read, for the checks of redirects.
    pub(crate) fn allowlist(&self) -> Arc<Allowlist> {
        Arc::clone(&self.allowlist)
    }
}

#[cfg(test)]
mod tests;
