//! How the values of `Cf-Resized`, `Cache-Status` and `Server-Timing` are written. They are in every answer, and the general way to print
//! numbers costs more than all else that is written, hence `itoa`.

use std::time::Duration;

use hyper::header::HeaderValue;

use super::context::RequestTimings;
use crate::cache::{CacheStatus, Rendition, Stale, Tier};

/// Room for the longest value in an ordinary answer.
const CAPACITY: usize = 96;

/// `Cf-Resized`: `internal=ram/h` for a picture from memory, `internal=ok/m` for all others; then milliseconds for the source (`n`) and for
/// the processor (`c`), our version (`v`) and the length (`l`).
pub(super) fn resized(rendition: &Rendition, timings: &RequestTimings) -> HeaderValue {
    let is_memory_hit = timings.outcome == CacheStatus::Hit(Tier::Memory);
    let render = timings.render.unwrap_or_default();
    let mut text = String::with_capacity(CAPACITY);
    text.push_str(if is_memory_hit {
        "internal=ram/h q=0 n="
    } else {
        "internal=ok/m q=0 n="
    });
    push_number(&mut text, millis(timings.fetch));
    text.push_str(" c=");
    push_number(&mut text, millis(render.decode + render.resize));
    text.push('+');
    push_number(&mut text, millis(render.encode));
    text.push_str(concat!(" v=", env!("CARGO_PKG_VERSION"), " l="));
    push_number(&mut text, rendition.bytes.len() as u64);
    value(&text, "internal=ok/m")
}

/// `Cache-Status` (RFC 9211) of a picture whose source is fresh.
pub(super) fn cache_status(timings: &RequestTimings, storable: bool, interim: bool) -> HeaderValue {
    // The field takes one detail, and that a picture is interim matters more than its tier.
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

/// `Cache-Status` (RFC 9211) of a picture whose source is not fresh: a negative `ttl` says for how long it has not been.
pub(super) fn stale_status(
    timings: &RequestTimings,
    stale: Stale,
    overdue: Duration,
) -> HeaderValue {
    let mut text = String::with_capacity(CAPACITY);
    text.push_str(match timings.outcome {
        CacheStatus::Hit(_) | CacheStatus::Revalidated => "safelight; hit; ttl=-",
        CacheStatus::Miss => "safelight; fwd=miss; stored; ttl=-",
        CacheStatus::Coalesced => "safelight; fwd=miss; collapsed; ttl=-",
    });
    push_number(&mut text, overdue.as_secs());
    text.push_str(match stale {
        Stale::Revalidating => "; detail=stale-while-revalidate",
        Stale::OriginFailed => "; detail=stale-if-error",
    });
    value(&text, "safelight; hit")
}

/// `Server-Timing`: milliseconds for each step; what is left of the total is the cache's.
pub(super) fn server_timing(timings: &RequestTimings) -> HeaderValue {
    let mut text = String::with_capacity(CAPACITY);
    push_timing(&mut text, "fetch", timings.fetch);
    let mut known = timings.fetch;
    if let Some(render) = timings.render {
        push_timing(&mut text, ", decode", render.decode);
        push_timing(&mut text, ", resize", render.resize);
        push_timing(&mut text, ", encode", render.encode);
        known += render.decode + render.resize + render.encode;
    }
    let cache = timings.total.saturating_sub(known);
    push_timing(&mut text, ", cache", cache);
    value(&text, "total")
}

/// `Server-Timing` of an original.
pub(super) fn fetch_timing(elapsed: Duration) -> HeaderValue {
    let mut text = String::with_capacity(CAPACITY);
    push_timing(&mut text, "fetch", elapsed);
    value(&text, "fetch")
}

/// `Server-Timing` that names the flow of a request, as a quoted string (RFC 9110, section 5.6.4).
pub(super) fn flow_timing(flow: &str) -> HeaderValue {
    /// The most characters of a name.
    const LONGEST: usize = 100;
    let mut text = String::with_capacity(CAPACITY);
    text.push_str("flow;desc=\"");
    for character in flow.chars().take(LONGEST) {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            ' '..='~' => text.push(character),
            _ => text.push('?'),
        }
    }
    text.push('"');
    value(&text, "flow")
}

/// A step and its time in milliseconds, with a tenth.
fn push_timing(text: &mut String, name: &str, time: Duration) {
    let tenths = time
        .as_secs()
        .saturating_mul(10_000)
        .saturating_add(u64::from((time.subsec_nanos() + 50_000) / 100_000));
    text.push_str(name);
    text.push_str(";dur=");
    push_number(text, tenths / 10);
    text.push('.');
    push_number(text, tenths % 10);
}

fn millis(time: Duration) -> u64 {
    time.as_secs()
        .saturating_mul(1000)
        .saturating_add(u64::from(time.subsec_millis()))
}

fn push_number(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// A header value. The texts above are ASCII, so the fallback is for the compiler alone.
fn value(text: &str, fallback: &'static str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(fallback))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_tenth_of_a_millisecond() {
        let timings = |fetch, total| RequestTimings {
            outcome: CacheStatus::Hit(Tier::Memory),
            fetch: Duration::from_micros(fetch),
            render: None,
            total: Duration::from_micros(total),
        };
        for (fetch, total, expected) in [
            (0, 0, "fetch;dur=0.0, cache;dur=0.0"),
            (3, 49, "fetch;dur=0.0, cache;dur=0.0"),
            (60, 151, "fetch;dur=0.1, cache;dur=0.1"),
            (999_950, 2_000_000, "fetch;dur=1000.0, cache;dur=1000.1"),
            (12_340, 12_000, "fetch;dur=12.3, cache;dur=0.0"),
        ] {
            assert_eq!(server_timing(&timings(fetch, total)), expected);
        }
    }

    #[test]
    fn the_name_of_a_flow_is_a_quoted_string() {
        for (name, expected) in [
            ("/uploads/**", "flow;desc=\"/uploads/**\""),
            ("/a/*.{jpg,png}", "flow;desc=\"/a/*.{jpg,png}\""),
            ("/\\*\"\u{fc}\r\n", "flow;desc=\"/\\\\*\\\"???\""),
        ] {
            assert_eq!(flow_timing(name), expected);
        }
        assert_eq!(flow_timing(&"/".repeat(5000)).len(), 112);
    }

    #[test]
    fn no_time_is_too_long_to_be_written() {
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
        let value = server_timing(&timings);
        let value = value.to_str().expect("ASCII");
        assert_eq!(value.matches(";dur=").count(), 5, "{value}");
    }
}
