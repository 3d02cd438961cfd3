//! The headers of each kind of answer.

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::{
    AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};

use super::context::{ErrorCaching, ResponseContext};
use super::fields::{
    CACHE_STATUS, CF_RESIZED, CONTENT_POLICY, NO_STORE, NOSNIFF, SERVER_TIMING, insert, insert_vary,
};
use super::values::{cache_status, server_timing, stale_status};
use crate::request::Vary;

/// The headers that a picture and its "not modified" have in common (RFC 9110, section 15.4.5).
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
    if let Some(lifetime) = representation.lifetime {
        if interim.is_some() || lifetime.passes() {
            let control = lifetime.cache_control(*interim, now);
            insert(&mut headers, CACHE_CONTROL, &control);
        }
    } else if freshness.is_storable() {
        match representation.limit(*interim, now) {
            Some(limit) => {
                let control = freshness.cache_control_within(limit, now);
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

/// The headers of an error that is not cached.
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

/// Lets clients cache an error for its lifetime.
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

/// The headers of an answer that depends on the precondition or on the range of this one request, and that nobody may cache.
pub(super) fn of_unmet_condition(context: &ResponseContext<'_>) -> HeaderMap {
    let mut headers = of_image(context);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.remove(AGE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    headers
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_error_says_how_long_it_may_be_cached() {
        let seconds = Duration::from_secs;
        let headers_of = |life, age| {
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
        assert_eq!(
            headers_of(seconds(10), None),
            ["public, max-age=10", "", ""]
        );
        for (age, expected) in [(0, "0"), (9, "9")] {
            assert_eq!(
                headers_of(seconds(10), Some(seconds(age))),
                [
                    "public, max-age=10",
                    expected,
                    "safelight; hit; detail=error"
                ]
            );
        }
        for life in [Duration::ZERO, Duration::from_millis(999)] {
            assert_eq!(headers_of(life, Some(seconds(1))), ["no-store", "", ""]);
        }
    }
}
