//! What goes into the headers of an answer, and how it is spelled.

use std::fmt::Write;
use std::time::Duration;
use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::AGE;
use hyper::header::CACHE_CONTROL;
use hyper::header::CONTENT_LENGTH;
use hyper::header::CONTENT_SECURITY_POLICY;
use hyper::header::CONTENT_TYPE;
use hyper::header::ETAG;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use hyper::header::LAST_MODIFIED;
use hyper::header::VARY;
use hyper::header::WARNING;
use hyper::header::X_CONTENT_TYPE_OPTIONS;

use crate::cache::Outcome;
use crate::cache::Rendition;
use crate::cache::Tier;
use crate::freshness::http_date;
use crate::request::Consulted;

use super::About;
use super::Spent;

pub(super) const CF_RESIZED: HeaderName = HeaderName::from_static("cf-resized");
/// An answer that is not the picture may be the right one for this moment only, or for this client.
const KEPT_BY_NOBODY: HeaderValue = HeaderValue::from_static("no-store");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// A picture opened as a document runs and loads nothing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
);

/// What pictures and "not modified" have in common (RFC 9110, section 15.4.5).
pub(super) fn of_picture(about: &About<'_>) -> HeaderMap {
    let About {
        source,
        etag,
        vary,
        warnings,
        spent,
        interim,
    } = about;
    let freshness = &source.freshness;
    let mut headers = HeaderMap::with_capacity(16);
    insert(&mut headers, ETAG, etag);
    let now = SystemTime::now();
    let control = match interim {
        Some(limit) => freshness.cache_control_within(*limit, now),
        None => freshness.cache_control(),
    };
    insert(&mut headers, CACHE_CONTROL, &control);
    if freshness.is_storable() && interim.is_none() {
        headers.insert(AGE, HeaderValue::from(freshness.age(now).as_secs()));
    }
    if let Some(modified) = source.validators.last_modified.and_then(http_date) {
        insert(&mut headers, LAST_MODIFIED, &modified);
    }
    insert_vary(&mut headers, *vary);
    let restrictive = freshness
        .is_too_restrictive()
        .then_some("cache-control is too restrictive");
    append_warnings(
        &mut headers,
        warnings
            .iter()
            .map(|warning| warning.as_str())
            .chain(restrictive),
    );
    insert(
        &mut headers,
        CACHE_STATUS,
        &cache_status(spent, freshness.is_storable(), interim.is_some()),
    );
    insert(&mut headers, SERVER_TIMING, &server_timing(spent));
    // Without it an answer was not transformed; a picture says more.
    headers.insert(CF_RESIZED, HeaderValue::from_static("internal=ok/m"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers
}

pub(super) fn of_error(number: u16, vary: Consulted) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    insert_vary(&mut headers, vary);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, KEPT_BY_NOBODY);
    insert(&mut headers, CF_RESIZED, &format!("err={number}"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers
}

/// For what depends on the condition or the range of this one request: what is said of the picture, and that nobody keeps it.
pub(super) fn of_refusal(about: &About<'_>) -> HeaderMap {
    let mut headers = of_picture(about);
    headers.insert(CACHE_CONTROL, KEPT_BY_NOBODY);
    headers.remove(AGE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    headers
}

fn insert_vary(headers: &mut HeaderMap, vary: Consulted) {
    if !vary.is_empty() {
        insert(headers, VARY, &vary.to_string());
    }
}

pub(super) fn append_warnings<'a>(headers: &mut HeaderMap, texts: impl Iterator<Item = &'a str>) {
    for text in texts {
        if let Ok(value) = HeaderValue::try_from(format!("cf-images 299 \"{text}\"")) {
            headers.append(WARNING, value);
        }
    }
}

/// `internal=ok/m` where the picture was made or read from disk, `internal=ram/h` where it came from memory; then milliseconds for
/// the source (`n`) and the processor (`c`), our version (`v`) and the length (`l`).
pub(super) fn resized(rendition: &Rendition, spent: &Spent) -> HeaderValue {
    let internal = if spent.outcome == Outcome::Hit(Tier::Memory) {
        "ram/h"
    } else {
        "ok/m"
    };
    let render = spent.render.unwrap_or_default();
    let text = format!(
        "internal={internal} q=0 n={} c={}+{} v={} l={}",
        spent.fetch.as_millis(),
        (render.decode + render.resize).as_millis(),
        render.encode.as_millis(),
        env!("CARGO_PKG_VERSION"),
        rendition.bytes.len()
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("internal=ok/m"))
}

/// RFC 9211.
fn cache_status(spent: &Spent, storable: bool, interim: bool) -> String {
    let mut text = "safelight".to_owned();
    // One detail is all that there may be, and where it came from matters less than that it will not stay.
    text.push_str(match spent.outcome {
        Outcome::Hit(_) if interim => "; hit; detail=interim",
        Outcome::Miss if interim => "; fwd=miss; stored; detail=interim",
        Outcome::Coalesced if interim => "; fwd=miss; collapsed; detail=interim",
        Outcome::Hit(Tier::Memory) => "; hit; detail=memory",
        Outcome::Hit(Tier::Disk) => "; hit; detail=disk",
        Outcome::Miss if storable => "; fwd=miss; stored",
        Outcome::Miss => "; fwd=bypass; detail=no-store",
        Outcome::Revalidated => "; fwd=stale; fwd-status=304",
        Outcome::Coalesced => "; fwd=miss; collapsed",
    });
    text
}

/// Milliseconds for each step, and for the answer as a whole what the cache had.
fn server_timing(spent: &Spent) -> String {
    let mut text = String::new();
    let mut add = |name: &str, time: Duration| {
        if !text.is_empty() {
            text.push_str(", ");
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{name};dur={:.1}", time.as_secs_f64() * 1000.0);
    };
    add("fetch", spent.fetch);
    let mut known = spent.fetch;
    if let Some(render) = spent.render {
        add("decode", render.decode);
        add("resize", render.resize);
        add("encode", render.encode);
        known += render.decode + render.resize + render.encode;
    }
    add("cache", spent.total.saturating_sub(known));
    text
}

pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Everything that is inserted is ASCII of our own making.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
