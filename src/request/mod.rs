//! The syntax of requests: the head of a request becomes an [`ImageRequest`].
//!
//! This module touches no socket, looks nothing up, and does not decide whether a source may be read. Every byte is hostile, so nothing here
//! may panic, and time and memory stay in proportion to the head.

mod accept;
mod cloudflare;
mod conditional;
mod error;
mod flows;
mod hints;
mod next_image;
mod prefixes;
mod presets;
mod request_key;
mod signature;
mod source_ref;
mod vary;
mod via;

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use url::Url;

pub use accept::Accept;
pub use conditional::Conditional;
pub use conditional::PreconditionOutcome;
pub use conditional::RangeOutcome;
pub use error::RequestError;
pub(crate) use flows::Flow;
pub use flows::FlowConfig;
pub use flows::FlowError;
use flows::FlowQuery;
pub(crate) use flows::Flows;
pub use hints::ClientHints;
pub use hints::EffectiveConnectionType;
pub use prefixes::PrefixError;
pub use prefixes::Prefixes;
pub use presets::Presets;
pub use request_key::RequestKey;
pub use request_key::RequestKeyRef;
pub use signature::SignedText;
pub use signature::UrlSignature;
pub(crate) use signature::sign;
pub(crate) use signature::without_mac;
pub use source_ref::SourceRef;
pub use source_ref::SourceRefError;
pub use vary::Vary;
pub use vary::VaryHeader;
pub(crate) use via::proxy_hops;

use crate::options::ParsedOptions;

/// A request for an image, as the client wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRequest {
    /// The options, with everything that is wrong with them; the policy decides whether that is an error.
    pub options: ParsedOptions,
    /// Those of the options that the client chose, where it did not choose all: the settings have the others.
    pub chosen: Option<ParsedOptions>,
    /// The signature of the URL.
    pub signature: Option<UrlSignature>,
    /// The image to transform.
    pub source: SourceRef,
    /// The formats that the client can show.
    pub accept: Accept,
    /// What the client says about its screen and its connection.
    pub hints: ClientHints,
    /// The `host` or `host:port` of the request, in lower case and without a trailing dot. The client may write anything here.
    pub host: Option<String>,
    /// The request comes from an image proxy, perhaps this one.
    pub via_image_resizing: bool,
    /// The grammar of the target.
    pub dialect: Dialect,
}

/// The grammars of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `/cdn-cgi/image/OPTIONS/SOURCE` and the same under further prefixes.
    Cloudflare,
    /// `/_next/image?url=SOURCE&w=WIDTH&q=QUALITY`.
    NextImage,
    /// The URL of the source itself, with the options of a flow.
    Flow,
}

/// What the settings add to the grammar of URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Options under a name.
    pub presets: Presets,
    /// Whether URLs may have signatures.
    pub signatures: bool,
}

/// A target, taken apart.
struct Target {
    dialect: Dialect,
    options: ParsedOptions,
    chosen: Option<ParsedOptions>,
    signature: Option<UrlSignature>,
    source: SourceRef,
}

impl ImageRequest {
    /// Reads the head of a request whose path is an image path, as [`Prefixes::is_image_path`] says.
    ///
    /// # Errors
    /// [`RequestError`] says what in the request is wrong.
    pub fn parse(head: &Parts, prefixes: &Prefixes) -> Result<ImageRequest, RequestError> {
        Self::of(&RequestKeyRef::of(head)?, prefixes, &Extensions::default())
    }

    /// Reads what was key of a head.
    ///
    /// # Errors
    /// [`RequestError`] says what in the request is wrong.
    pub(crate) fn of(
        key: &RequestKeyRef<'_>,
        prefixes: &Prefixes,
        extensions: &Extensions,
    ) -> Result<ImageRequest, RequestError> {
        let path = key.target.split('?').next().unwrap_or_default();
        let target = if prefixes::is_next_image(path) {
            Target::of_next_image(key.target, extensions)?
        } else {
            let rest = prefixes.strip(key.target).ok_or(RequestError::NotFound)?;
            Target::of_cloudflare(key.target, rest, extensions)?
        };
        let request = ImageRequest::new(key, target);
        if request.is_own_image(prefixes) {
            return Err(RequestError::Loop);
        }
        Ok(request)
    }

    /// Reads what was key of the head of a request for another path than an image path, by the first flow that takes the path. `None` where there
    /// is no such flow, and for an image proxy: what that asks for is the source.
    pub(crate) fn by_flow(
        key: &RequestKeyRef<'_>,
        flows: &Flows,
        prefixes: &Prefixes,
    ) -> Option<(Arc<Flow>, ImageRequest)> {
        let (path, query) = key.target.split_once('?').unwrap_or((key.target, ""));
        // The path as the source has it. It begins with a slash, so that no path can be read as a URL of another host.
        let source = SourceRef::parse(path).ok()?;
        let SourceRef::Zone(resolved) = &source else {
            return None;
        };
        if key.via_image_resizing || prefixes.leads_to_image(resolved) {
            return None;
        }
        let flow = flows.find(resolved)?;
        let (query, signature) = flows.split_signature(key.target, query);
        let FlowQuery {
            options,
            chosen,
            rest,
        } = flow.read_query(query);
        let source = match &*rest {
            "" => source,
            rest => SourceRef::parse(&format!("{path}?{rest}")).ok()?,
        };
        let target = Target {
            dialect: Dialect::Flow,
            options,
            chosen: Some(chosen),
            signature,
            source,
        };
        Some((Arc::clone(flow), ImageRequest::new(key, target)))
    }

    /// A request that names no source: what is made of which is decided elsewhere.
    pub(crate) fn without_source(key: &RequestKeyRef<'_>, options: ParsedOptions) -> Self {
        let target = Target {
            dialect: Dialect::Cloudflare,
            options,
            chosen: None,
            signature: None,
            source: SourceRef::Zone("/".to_owned()),
        };
        ImageRequest::new(key, target)
    }

    /// What the target says, with what the headers say.
    fn new(key: &RequestKeyRef<'_>, target: Target) -> Self {
        let Target {
            dialect,
            options,
            chosen,
            signature,
            source,
        } = target;
        ImageRequest {
            options,
            chosen,
            signature,
            source,
            accept: key.accept,
            hints: key.hints,
            host: key.host.and_then(parse_host),
            via_image_resizing: key.via_image_resizing,
            dialect,
        }
    }

    /// Whether it is a plain URL that a flow takes.
    pub(crate) fn is_by_flow(&self) -> bool {
        self.dialect == Dialect::Flow
    }

    /// The options that the client chose.
    pub(crate) fn chosen(&self) -> &ParsedOptions {
        self.chosen.as_ref().unwrap_or(&self.options)
    }

    /// Whether a URL is on the host of the request, so that its path is a path of the zone.
    ///
    /// A host without a port stands for the default ports of http and https alike, because a proxy in front may terminate TLS.
    pub(crate) fn is_own_host(&self, url: &Url) -> bool {
        self.subdomain_of(url) == Some("")
    }

    /// Whether a URL is on a subdomain of the host of the request, at the same port.
    pub(crate) fn is_below_own_host(&self, url: &Url) -> bool {
        self.subdomain_of(url)
            .is_some_and(|subdomain| subdomain.ends_with('.'))
    }

    /// The part of a URL's host before the host of the request; `None` where the host ends differently or the port is another.
    fn subdomain_of<'a>(&self, url: &'a Url) -> Option<&'a str> {
        let own = self.host.as_deref()?;
        let (own, port) = match own.rsplit_once(':') {
            // The last colon may belong to an IPv6 address.
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (own, None),
        };
        let is_own_port = match port {
            Some(port) => port.parse().ok() == url.port_or_known_default(),
            None => url.port().is_none(),
        };
        let host = url.host_str()?;
        let host = host.strip_suffix('.').unwrap_or(host);
        host.strip_suffix(own).filter(|_| is_own_port)
    }

    /// Whether the source is itself a transformation URL of this server.
    fn is_own_image(&self, prefixes: &Prefixes) -> bool {
        match &self.source {
            SourceRef::Zone(path) => prefixes.leads_to_image(path),
            SourceRef::Absolute(url) => {
                self.is_own_host(url) && prefixes.leads_to_image(url.path())
            }
        }
    }
}

impl Target {
    /// Reads `/_next/image?url=…&w=…&q=…`. The client chose width and quality.
    fn of_next_image(target: &str, extensions: &Extensions) -> Result<Self, RequestError> {
        let (_, query) = target.split_once('?').unwrap_or((target, ""));
        let (query, signature) = match extensions.signatures {
            true => signature::of_query(target, query),
            false => (query, None),
        };
        let next = next_image::parse(query)?;
        Ok(Target {
            dialect: Dialect::NextImage,
            options: ParsedOptions::parse(&next.options()),
            chosen: Some(ParsedOptions::parse(&next.chosen())),
            signature,
            source: next.source,
        })
    }

    /// Reads `OPTIONS/SOURCE`, which is `rest`, the end of the target.
    fn of_cloudflare(
        target: &str,
        rest: &str,
        extensions: &Extensions,
    ) -> Result<Self, RequestError> {
        let (segment, source) = cloudflare::split(rest)?;
        let (segment, signature) = match extensions.signatures {
            true => signature::of_options(target, segment, source),
            false => (segment, None),
        };
        if segment.is_empty() {
            return Err(RequestError::NoOptions);
        }
        let (options, chosen) = match extensions.presets.read(segment)? {
            Some((options, chosen)) => (options, Some(chosen)),
            None => (ParsedOptions::parse(segment), None),
        };
        Ok(Target {
            dialect: Dialect::Cloudflare,
            options,
            chosen,
            signature,
            source: SourceRef::parse(source)?,
        })
    }
}

/// The host of the request in one spelling, or `None` where it is malformed.
fn parse_host(text: &[u8]) -> Option<String> {
    let authority = Authority::try_from(text).ok()?;
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    Some(match authority.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

#[cfg(test)]
mod tests;
