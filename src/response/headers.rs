//! What goes into the headers of an answer, and how it is spelled.

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

use crate::cache::CacheStatus;
use crate::cache::Rendition;
use crate::cache::SourceRecord;
use crate::cache::Stale;
use crate::cache::Tier;
use crate::freshness::http_date;
use crate::options::Warning;
use crate::request::Vary;

use super::ErrorCaching;
use super::RequestTimings;
use super::ResponseContext;

pub(super) const CF_RESIZED: HeaderName = HeaderName::from_static("cf-resized");
/// An answer that is not the picture may be the right one for this moment only, or for this client.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// A picture opened as a document runs and loads nothing.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
);

/// What pictures and "not modified" have in common (RFC 9110, section 15.4.5), as far as it is the same for everybody who asks for one
/// picture. What each answer says for itself has a place already, so that a copy need not grow.
pub(super) fn of_representation(
    source: &SourceRecord,
    etag: &str,
    vary: Vary,
    warnings: &[Warning],
) -> HeaderMap {
    let freshness = &source.freshness;
    let mut headers = HeaderMap::with_capacity(16);
    insert(&mut headers, ETAG, etag);
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
    append_warnings(
        &mut headers,
        warnings
            .iter()
            .map(|warning| warning.as_str())
            .chain(restrictive),
    );
    headers.insert(CACHE_STATUS, HeaderValue::from_static("safelight"));
    headers.insert(SERVER_TIMING, HeaderValue::from_static("total"));
    // Without it an answer was not transformed; a picture says more.
    headers.insert(CF_RESIZED, HeaderValue::from_static("internal=ok/m"));
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers
}

/// What pictures and "not modified" have in common, in one answer.
pub(super) fn of_image(context: &ResponseContext<'_>) -> HeaderMap {
    let ResponseContext {
        representation,
        source,
        timings,
        interim,
        stale,
    } = context;
    let freshness = &source.freshness;
    let mut headers = representation.headers.clone();
    let now = SystemTime::now();
    if freshness.is_storable() {
        match interim {
            Some(limit) => {
                let control = freshness.cache_control_within(*limit, now);
                insert(&mut headers, CACHE_CONTROL, &control);
                headers.remove(AGE);
            }
            None => {
                headers.insert(AGE, HeaderValue::from(freshness.age(now).as_secs()));
            }
        }
    }
    let status = match stale {
        Some(stale) => {
            let overdue = freshness.age(now).saturating_sub(freshness.lifetime());
            stale_status(timings, *stale, overdue)
        }
        None => cache_status(timings, freshness.is_storable(), interim.is_some()),
    };
    headers.insert(CACHE_STATUS, status);
    headers.insert(SERVER_TIMING, server_timing(timings));
    headers
}

pub(super) fn of_error(number: u16, vary: Vary) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    insert_vary(&mut headers, vary);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, NO_STORE);
    insert(&mut headers, CF_RESIZED, &format!("err={number}"));
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers
}

/// Lets others keep an error for as long as it has to live.
pub(super) fn cache_error(headers: &mut HeaderMap, caching: ErrorCaching) {
    let life = caching.life.as_secs();
    if life == 0 {
        return;
    }
    insert(headers, CACHE_CONTROL, &format!("public, max-age={life}"));
    if let Some(age) = caching.age {
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
        let hit = HeaderValue::from_static("safelight; hit; detail=error");
        headers.insert(CACHE_STATUS, hit);
    }
}

/// For what depends on the condition or the range of this one request: what is said of the picture, and that nobody keeps it.
pub(super) fn of_unmet_condition(context: &ResponseContext<'_>) -> HeaderMap {
    let mut headers = of_image(context);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.remove(AGE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    headers
}

fn insert_vary(headers: &mut HeaderMap, vary: Vary) {
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
pub(super) fn resized(rendition: &Rendition, timings: &RequestTimings) -> HeaderValue {
    let internal = if timings.outcome == CacheStatus::Hit(Tier::Memory) {
        "internal=ram/h"
    } else {
        "internal=ok/m"
    };
    let render = timings.render.unwrap_or_default();
    let mut line = Line::default();
    line.push(internal);
    line.push(" q=0 n=");
    line.push_number(millis(timings.fetch));
    line.push(" c=");
    line.push_number(millis(render.decode + render.resize));
    line.push("+");
    line.push_number(millis(render.encode));
    line.push(concat!(" v=", env!("CARGO_PKG_VERSION"), " l="));
    line.push_number(rendition.bytes.len() as u64);
    line.value()
        .unwrap_or(HeaderValue::from_static("internal=ok/m"))
}

/// RFC 9211.
fn cache_status(timings: &RequestTimings, storable: bool, interim: bool) -> HeaderValue {
    // One detail is all that there may be, and where it came from matters less than that it will not stay.
    HeaderValue::from_static(match timings.outcome {
        CacheStatus::Hit(_) if interim => "safelight; hit; detail=interim",
        CacheStatus::Miss if interim => "safelight; fwd=miss; stored; detail=interim",
        CacheStatus::Coalesced if interim => "safelight; fwd=miss; collapsed; detail=interim",
        CacheStatus::Hit(Tier::Memory) => "safelight; hit; detail=memory",
        CacheStatus::Hit(Tier::Disk) => "safelight; hit; detail=disk",
        CacheStatus::Hit(Tier::Shared) => "safelight; hit; detail=shared",
        CacheStatus::Miss if storable => "safelight; fwd=miss; stored",
        CacheStatus::Miss => "safelight; fwd=bypass; detail=no-store",
        CacheStatus::Revalidated => "safelight; fwd=stale; fwd-status=304",
        CacheStatus::Coalesced => "safelight; fwd=miss; collapsed",
    })
}

/// RFC 9211 of a picture whose source is not fresh: a negative time to live says since when.
fn stale_status(timings: &RequestTimings, stale: Stale, overdue: Duration) -> HeaderValue {
    let mut line = Line::default();
    line.push(match timings.outcome {
        CacheStatus::Hit(_) | CacheStatus::Revalidated => "safelight; hit; ttl=-",
        CacheStatus::Miss => "safelight; fwd=miss; stored; ttl=-",
        CacheStatus::Coalesced => "safelight; fwd=miss; collapsed; ttl=-",
    });
    line.push_number(overdue.as_secs());
    line.push(match stale {
        Stale::Revalidating => "; detail=stale-while-revalidate",
        Stale::OriginFailed => "; detail=stale-if-error",
    });
    line.value()
        .unwrap_or(HeaderValue::from_static("safelight; hit"))
}

/// Milliseconds for each step, and for the answer as a whole what the cache had.
fn server_timing(timings: &RequestTimings) -> HeaderValue {
    let mut line = Line::default();
    let mut add = |name: &str, time: Duration| {
        let tenths = time
            .as_secs()
            .saturating_mul(10_000)
            .saturating_add(u64::from((time.subsec_nanos() + 50_000) / 100_000));
        line.push(name);
        line.push(";dur=");
        line.push_number(tenths / 10);
        line.push(".");
        line.push_number(tenths % 10);
    };
    add("fetch", timings.fetch);
    let mut known = timings.fetch;
    if let Some(render) = timings.render {
        add(", decode", render.decode);
        add(", resize", render.resize);
        add(", encode", render.encode);
        known += render.decode + render.resize + render.encode;
    }
    add(", cache", timings.total.saturating_sub(known));
    line.value().unwrap_or(HeaderValue::from_static("total"))
}

fn millis(time: Duration) -> u64 {
    time.as_secs()
        .saturating_mul(1000)
        .saturating_add(u64::from(time.subsec_millis()))
}

/// The text of one value, put together without asking for memory: numbers are in every answer, and the general way to print them costs more
/// than all else that is said.
struct Line {
    text: [u8; Line::ROOM],
    length: usize,
}

impl Line {
    /// Five steps with the longest numbers are shorter.
    const ROOM: usize = 256;

    fn push(&mut self, text: &str) {
        let end = self.length + text.len();
        if let Some(place) = self.text.get_mut(self.length..end) {
            place.copy_from_slice(text.as_bytes());
            self.length = end;
        }
    }

    fn push_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        let mut rest = number;
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10).to_le_bytes()[0];
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push(std::str::from_utf8(&digits[first..]).unwrap_or_default());
    }

    fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.text[..self.length]).ok()
    }
}

impl Default for Line {
    fn default() -> Self {
        Line {
            text: [0; Line::ROOM],
            length: 0,
        }
    }
}

pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Everything that is inserted is ASCII of our own making.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_spelled_as_everywhere(number in any::<u64>(), small in 0..1000_u64) {
            let mut line = Line::default();
            line.push_number(number);
            line.push(" ");
            line.push_number(small);
            prop_assert_eq!(line.value(), HeaderValue::try_from(format!("{number} {small}")).ok());
        }
    }

    #[test]
    fn an_error_is_told_with_the_rest_of_its_life() {
        let seconds = Duration::from_secs;
        let told = |life, age| {
            let mut headers = of_error(9404, Vary::default());
            cache_error(&mut headers, ErrorCaching { life, age });
            let header = |name| {
                let value: Option<&HeaderValue> = headers.get(name);
                value
                    .map_or("", |value| value.to_str().expect("ASCII"))
                    .to_owned()
            };
            [header(CACHE_CONTROL), header(AGE), header(CACHE_STATUS)]
        };
        assert_eq!(told(seconds(10), None), ["public, max-age=10", "", ""]);
        for (age, expected) in [(0, "0"), (9, "9")] {
            assert_eq!(
                told(seconds(10), Some(seconds(age))),
                [
                    "public, max-age=10",
                    expected,
                    "safelight; hit; detail=error"
                ]
            );
        }
        for life in [Duration::ZERO, Duration::from_millis(999)] {
            assert_eq!(told(life, Some(seconds(1))), ["no-store", "", ""]);
        }
    }

    #[test]
    fn times_are_told_to_a_tenth_of_a_millisecond() {
        let timings = |fetch, total| RequestTimings {
            outcome: CacheStatus::Hit(Tier::Memory),
            fetch: Duration::from_micros(fetch),
            render: None,
            total: Duration::from_micros(total),
        };
        for (fetch, total, told) in [
            (0, 0, "fetch;dur=0.0, cache;dur=0.0"),
            (3, 49, "fetch;dur=0.0, cache;dur=0.0"),
            (60, 151, "fetch;dur=0.1, cache;dur=0.1"),
            (999_950, 2_000_000, "fetch;dur=1000.0, cache;dur=1000.1"),
            (12_340, 12_000, "fetch;dur=12.3, cache;dur=0.0"),
        ] {
            assert_eq!(server_timing(&timings(fetch, total)), told);
        }
    }

    #[test]
    fn no_time_is_too_long_to_be_told() {
        let render = crate::transform::Timings {
            decode: Duration::MAX / 4,
            resize: Duration::MAX / 4,
            encode: Duration::MAX / 4,
        };
        let timings = RequestTimings {
            outcome: CacheStatus::Miss,
            fetch: Duration::MAX / 4,
            render: Some(render),
            total: Duration::MAX,
        };
        let told = server_timing(&timings);
        let told = told.to_str().expect("ASCII");
        assert_eq!(told.matches(";dur=").count(), 5, "{told}");
    }
}
