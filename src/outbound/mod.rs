//! What all outgoing HTTP connections share: the settings of the client, the lookup of names, and the reading of errors.
//!
//! Never follows a redirect, uses a proxy of the environment or sends a `Referer` unless the caller asks for it, because requests may be signed or
//! carry a token, which are for one host.

use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::{HeaderName, HeaderValue};
use reqwest::Client;
use reqwest::ClientBuilder;
use reqwest::redirect::Policy;

pub(crate) use causes::causes;
pub(crate) use causes::root_cause;
pub(crate) use dns::LookupError;
pub(crate) use dns::Resolver;

mod causes;
mod dns;

/// What this program calls itself in `User-Agent`.
pub(crate) const USER_AGENT: &str = concat!("safelight/", env!("CARGO_PKG_VERSION"));

/// The settings of every client.
pub(crate) fn client() -> ClientBuilder {
    // reqwest uses the provider of the process. A second installation is refused, and then the first one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
}

/// The settings of a client that fetches sources, from a web server or a bucket.
pub(crate) fn source_client() -> ClientBuilder {
    // Compressed pictures do not get smaller. An answer that is compressed all the same is decoded.
    let identity = [(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    )];
    client()
        .default_headers(HeaderMap::from_iter(identity))
        // Browsers forgive these header lines. A line that cannot be read is left out, and the rest of the answer counts.
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
}

/// Whether a response holds all of the content. A partial response (206) does if its range is the whole: some caches answer so.
pub(crate) fn is_complete(status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => true,
        StatusCode::PARTIAL_CONTENT => is_complete_range(headers).unwrap_or(false),
        _ => false,
    }
}

/// Whether `Content-Range: bytes 0-9/10` ends with the last byte, and `Content-Length` agrees. `None` for a header of another form.
fn is_complete_range(headers: &HeaderMap) -> Option<bool> {
    let value = |name: HeaderName| headers.get(name)?.to_str().ok();
    let range = value(header::CONTENT_RANGE)?.strip_prefix("bytes 0-")?;
    let (last, total) = range.split_once('/')?;
    let (last, total): (u64, u64) = (last.parse().ok()?, total.parse().ok()?);
    let length = match value(header::CONTENT_LENGTH) {
        Some(length) => length.parse().ok()?,
        None => total,
    };
    Some(last.checked_add(1) == Some(total) && length == total)
}
