//! Cross-origin resource sharing (CORS, of the Fetch standard): which sites may read answers with their scripts, and measure them. Any site
//! may show a picture with `<img>` whatever is said here.
//!
//! Nothing here depends on who the client is: there is never an `Access-Control-Allow-Credentials`.

mod origins;

use hyper::HeaderMap;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    HeaderName, HeaderValue, ORIGIN, VARY,
};
use serde::Deserialize;

use crate::response::fields::METHODS;

pub use origins::Origins;

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What this server says of an answer and scripts cannot read without leave. Not `*`: a server in front may add headers of its own.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Age, Cache-Status, Cf-Resized, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After, Server-Timing, Warning",
);
/// Every request header but `Authorization`. No header does harm: those that are not known are not looked at.
const ANY: HeaderValue = HeaderValue::from_static("*");
/// A day, in seconds: no browser remembers the answer to a preflight for longer.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Section `[cors]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// The origins whose scripts may read answers.
    pub origins: Origins,
}

impl Cors {
    /// Adds the headers that are the same for every client. The headers of a picture have them before they are copied into answers.
    pub(super) fn insert_constant(&self, headers: &mut HeaderMap) {
        match &self.origins {
            Origins::Any => allow(headers, ANY),
            Origins::List(origins) if origins.is_empty() => return,
            // Said to requests without `Origin` as well, or a cache would give their answers to other sites.
            Origins::List(_) => add_origin_to_vary(headers),
        }
        // Pages that isolate themselves (COEP) show no picture without it.
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    }

    /// Adds all headers to an answer, whatever it is. `request` has the headers of the request.
    pub(crate) fn apply(&self, request: &HeaderMap, headers: &mut HeaderMap) {
        if !headers.contains_key(RESOURCE_POLICY) {
            self.insert_constant(headers);
        }
        if let Origins::List(_) = &self.origins
            && let Some(origin) = only_origin(request)
            && self.origins.contain(origin)
        {
            allow(headers, origin.clone());
        }
    }

    /// The headers of the answer to OPTIONS. A preflight names the method that is to follow.
    pub(super) fn of_options(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(ALLOW, METHODS);
        self.apply(request, &mut headers);
        let is_preflight = request.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight && headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ANY);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        headers
    }
}

/// Lets scripts of an origin, or `*`, read an answer and its times.
fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(TIMING_ALLOW_ORIGIN, origin);
}

/// One line of `Vary`, because some caches look at no other.
fn add_origin_to_vary(headers: &mut HeaderMap) {
    let Some(vary) = headers.get_mut(VARY) else {
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        return;
    };
    if let Ok(more) = HeaderValue::try_from([vary.as_bytes(), b", Origin"].concat()) {
        *vary = more;
    }
}

/// The origin of a request. A browser sends one; several could be read in several ways.
fn only_origin(request: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = request.get_all(ORIGIN).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Some(line),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
