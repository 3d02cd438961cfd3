//! What is asked: syntax only. A request head becomes an [`ImageRequest`]; nothing here touches a socket, looks anything up, or
//! judges whether the source may be read. Every byte is hostile, so nothing here may panic, and the time and memory taken stay in
//! proportion to the request head.

mod accept;
mod cloudflare;
mod conditional;
mod hints;
mod next_image;
mod prefixes;
mod request_key;
mod source_ref;
mod vary;

use std::fmt;

use hyper::Method;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use url::Url;

pub use accept::Accept;
pub use conditional::Conditional;
pub use conditional::PreconditionOutcome;
pub use conditional::RangeOutcome;
pub use hints::ClientHints;
pub use hints::EffectiveConnectionType;
pub use prefixes::PrefixError;
pub use prefixes::Prefixes;
pub use request_key::RequestKey;
pub use request_key::RequestKeyRef;
pub use source_ref::SourceRef;
pub use source_ref::SourceRefError;
pub use vary::Vary;
pub use vary::VaryHeader;

use crate::options::ParsedOptions;

/// A request for an image, as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRequest {
    /// The transformation, with what is wrong with it: whether that matters is for the policy to say.
    pub options: ParsedOptions,
    /// The image to transform.
    pub source: SourceRef,
    /// What the client can show.
    pub accept: Accept,
    /// What the client says about its screen and its connection.
    pub hints: ClientHints,
    /// `host` or `host:port` that the client asked, in lower case and without a trailing dot. The client may say anything here.
    pub host: Option<String>,
    /// Another image proxy, or this one, is asking.
    pub via_image_resizing: bool,
    /// How the request was spelled.
    pub dialect: Dialect,
}

/// The grammars of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `/cdn-cgi/image/OPTIONS/SOURCE` and the same under further prefixes.
    Cloudflare,
    /// `/_next/image?url=SOURCE&w=WIDTH&q=QUALITY`.
    NextImage,
}

impl ImageRequest {
    /// Reads the head of a request whose path [`Prefixes::is_image_path`].
    ///
    /// # Errors
    /// [`RequestError`] says what in the request is wrong.
    pub fn parse(head: &Parts, prefixes: &Prefixes) -> Result<ImageRequest, RequestError> {
        Self::of(&RequestKeyRef::of(head)?, prefixes)
    }

    /// Reads what was key of a head.
    ///
    /// # Errors
    /// [`RequestError`] says what in the request is wrong.
    pub fn of(key: &RequestKeyRef<'_>, prefixes: &Prefixes) -> Result<ImageRequest, RequestError> {
        let RequestKeyRef {
            target,
            host,
            accept,
            hints,
            via_image_resizing,
        } = *key;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (dialect, options, source) = if prefixes::is_next_image(path) {
            let asked = next_image::parse(query)?;
            (
                Dialect::NextImage,
                ParsedOptions::parse(&asked.options),
                asked.source,
            )
        } else {
            let (options, source) =
                cloudflare::split(prefixes.strip(target).ok_or(RequestError::NotFound)?)?;
            (
                Dialect::Cloudflare,
                ParsedOptions::parse(options),
                SourceRef::parse(source)?,
            )
        };
        let request = ImageRequest {
            options,
            source,
            accept,
            hints,
            host: host.and_then(asked_host),
            via_image_resizing,
            dialect,
        };
        if request.is_own_image(prefixes) {
            return Err(RequestError::Loop);
        }
        Ok(request)
    }

    /// Whether a URL is on the host that the client asked, so that its path is a path of the zone.
    ///
    /// A host without a port stands for the default ports of http and https alike: what stands before us may end TLS.
    pub fn is_own_host(&self, url: &Url) -> bool {
        self.subdomain_of(url) == Some("")
    }

    /// Whether a URL is on a host below the one that the client asked, at the same port.
    pub fn is_below_own_host(&self, url: &Url) -> bool {
        self.subdomain_of(url)
            .is_some_and(|subdomain| subdomain.ends_with('.'))
    }

    /// What a URL's host has before the host that the client asked; `None` where it ends differently or the port is another.
    fn subdomain_of<'a>(&self, url: &'a Url) -> Option<&'a str> {
        let own = self.host.as_deref()?;
        let (own, port) = match own.rsplit_once(':') {
            // The last colon may be one of an IPv6 address.
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

    /// Whether the source is itself a transformed image of ours.
    fn is_own_image(&self, prefixes: &Prefixes) -> bool {
        match &self.source {
            SourceRef::Zone(path) => prefixes.leads_to_image(path),
            SourceRef::Absolute(url) => {
                self.is_own_host(url) && prefixes.leads_to_image(url.path())
            }
        }
    }
}

/// Why a request is not one for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// Neither GET nor HEAD.
    Method(Method),
    /// Not under a prefix of ours, or in the dialect of another provider (`fastly/`, `akamai/`).
    NotFound,
    /// Nothing between the prefix and the source.
    NoOptions,
    /// Nothing after the options.
    NoSource,
    /// The source is not an address of anything.
    Source(SourceRefError),
    /// The source is itself a transformed image.
    Loop,
    /// The query of `/_next/image` is wrong; the text says how.
    Query(String),
}

impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Method(_) => formatter.write_str("images are read with GET or HEAD"),
            RequestError::NotFound => formatter.write_str("no image is served at this path"),
            RequestError::NoOptions => formatter.write_str(
                "at least one option is needed before the source, as in `width=640/cat.jpg`",
            ),
            RequestError::NoSource => formatter
                .write_str("a source is needed after the options, as in `width=640/cat.jpg`"),
            RequestError::Source(fault) => fault.fmt(formatter),
            RequestError::Loop => formatter.write_str("the source is itself a transformed image"),
            RequestError::Query(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for RequestError {}

impl From<SourceRefError> for RequestError {
    fn from(fault: SourceRefError) -> Self {
        RequestError::Source(fault)
    }
}

/// What is malformed is no host.
fn asked_host(text: &[u8]) -> Option<String> {
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
