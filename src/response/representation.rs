//! The headers of one picture that are the same whoever asks for it.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{
    AGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, LAST_MODIFIED,
    X_CONTENT_TYPE_OPTIONS,
};

use super::cors::Cors;
use super::fields::{
    CACHE_STATUS, CF_RESIZED, CONTENT_POLICY, NOSNIFF, SERVER_TIMING, append_warnings, insert,
    insert_vary,
};
use super::lifetime::Lifetime;
use crate::cache::SourceRecord;
use crate::freshness::http_date;
use crate::options::Warning;
use crate::request::Vary;

/// The most headers of one answer: those that are written here, those of the picture itself, of a range, and of the protocol. A copy of a map
/// has as many slots as the map, and a map that has too few is built anew.
const CAPACITY: usize = 24;

/// The headers of one picture that are the same in each of its answers. They are written once, and copied into each answer.
#[derive(Debug)]
pub(crate) struct RepresentationHeaders {
    etag: Box<str>,
    pub(super) headers: HeaderMap,
    /// `Content-Disposition`, once there was an answer with the picture: it names the format, which is known then.
    disposition: OnceLock<HeaderValue>,
    /// How long clients may cache it, where that does not follow from its source.
    pub(super) lifetime: Option<Lifetime>,
    /// When its URL expires, in seconds since 1970.
    expires: Option<u64>,
}

impl RepresentationHeaders {
    /// The headers of a picture made of `source`. `etag` is its strong entity tag with the quotes, `vary` names the request headers that
    /// could have led to another picture, `warnings` say what differs from what was asked for, apart from those of the rendition, and `cors` has
    /// the headers of every answer.
    ///
    /// Those that each answer sets for itself have a value already, so that a copy of the map need not grow.
    pub(crate) fn of(
        source: &SourceRecord,
        etag: String,
        vary: Vary,
        warnings: &[Warning],
        cors: &Cors,
    ) -> Self {
        let freshness = &source.freshness;
        let mut headers = HeaderMap::with_capacity(CAPACITY);
        insert(&mut headers, ETAG, &etag);
        insert(&mut headers, CACHE_CONTROL, &freshness.cache_control());
        if freshness.is_storable() {
            headers.insert(AGE, HeaderValue::from_static("0"));
        }
        if let Some(modified) = source.validators.last_modified.and_then(http_date) {
            insert(&mut headers, LAST_MODIFIED, &modified);
        }
        insert_vary(&mut headers, vary);
        let restrictive = freshness
            .is_too_restrictive()
            .then_some("cache-control is too restrictive");
        let warnings = warnings.iter().map(|warning| warning.as_str());
        append_warnings(&mut headers, warnings.chain(restrictive));
        headers.insert(CACHE_STATUS, HeaderValue::from_static("safelight"));
        headers.insert(SERVER_TIMING, HeaderValue::from_static("total"));
        // Cloudflare's clients take an answer without this header for one that was not transformed.
        headers.insert(CF_RESIZED, HeaderValue::from_static("internal=ok/m"));
        headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        cors.insert_constant(&mut headers);
        RepresentationHeaders {
            etag: etag.into(),
            headers,
            disposition: OnceLock::new(),
            lifetime: None,
            expires: None,
        }
    }

    /// The same, cached by clients for this long, whatever the freshness of the source is.
    pub(crate) fn with_lifetime(mut self, lifetime: Option<Lifetime>) -> Self {
        if let Some(lifetime) = lifetime {
            let control = lifetime.cache_control(None, SystemTime::now());
            insert(&mut self.headers, CACHE_CONTROL, &control);
            self.headers.remove(AGE);
            self.lifetime = Some(lifetime);
        }
        self
    }

    /// The same, cached by clients for no longer than its URL is valid.
    pub(crate) fn until(mut self, expires: Option<u64>) -> Self {
        self.expires = expires;
        self
    }

    /// The longest that clients may cache it, where the picture itself would be good for longer: an interim one is replaced soon, and a URL expires.
    pub(super) fn limit(&self, interim: Option<Duration>, now: SystemTime) -> Option<Duration> {
        let Some(expires) = self.expires else {
            return interim;
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_secs(expires).saturating_sub(now);
        Some(interim.map_or(left, |interim| interim.min(left)))
    }

    /// The entity tag, with its quotes.
    pub(crate) fn etag(&self) -> &str {
        &self.etag
    }

    /// Sets `Content-Disposition`, unless it is set.
    pub(crate) fn set_disposition(&self, header: impl FnOnce() -> HeaderValue) {
        self.disposition.get_or_init(header);
    }

    /// `Content-Disposition`, if it is set.
    pub(super) fn disposition(&self) -> Option<&HeaderValue> {
        self.disposition.get()
    }
}
