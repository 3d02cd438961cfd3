//! How long a thing may be reused, and how to ask its origin whether it changed.
//!
//! [`Freshness`] is what an origin's headers come to under our own [`Rules`] (RFC 9111, with a floor and a ceiling); [`Validators`] are what the next
//! question carries. Headers are hostile input: garbage, repeated and enormous values all end in a short life, never in an error or a panic.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use hyper::HeaderMap;
use hyper::header::AGE;
use hyper::header::AsHeaderName;
use hyper::header::CACHE_CONTROL;
use hyper::header::DATE;
use hyper::header::ETAG;
use hyper::header::EXPIRES;
use hyper::header::LAST_MODIFIED;
use serde::Deserialize;
use serde::Serialize;

/// Longest entity tag that is kept and sent back, in bytes. A longer one is nobody's honest tag.
const MAX_ETAG: usize = 1024;

/// Longest time that is told apart from "for ever", in seconds: 68 years, the limit that RFC 9111 section 1.2.2 names.
const FOREVER: u64 = 1 << 31;

/// How far into the future a stored answer may lie before the clock is taken to have been wrong, in seconds.
const CLOCK_SLACK: u64 = 60;

/// The least and the most that a thing is kept, whatever its origin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A shorter life, or none given, becomes this.
    pub floor: Duration,
    /// A longer life becomes this. Where the two contradict, the floor holds.
    pub ceiling: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            floor: Duration::from_secs(60 * 60),
            ceiling: Duration::from_secs(365 * 24 * 60 * 60),
        }
    }
}

/// What an origin gave to tell one state of a thing from another: sent back in `If-None-Match` and `If-Modified-Since`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The entity tag exactly as the origin wrote it, quotes and `W/` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// To the second, as HTTP dates are.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub last_modified: Option<SystemTime>,
}

impl Validators {
    /// The validators among an answer's headers. What could not be sent back, or would match anything, is left out.
    pub fn of(headers: &HeaderMap) -> Self {
        Validators {
            etag: headers
                .get(ETAG)
                .and_then(|value| value.to_str().ok())
                .map(str::trim)
                .filter(|etag| is_etag(etag))
                .map(str::to_owned),
            last_modified: headers
                .get(LAST_MODIFIED)
                .and_then(|value| date(value.to_str().ok()?)),
        }
    }

    /// Whether there is nothing to ask with: the thing can only be fetched whole.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// These validators after a "not modified" that brought `newer` ones: what it repeats is replaced, the rest stays (RFC 9111 section 3.2).
    pub fn renewed_by(&self, newer: &Validators) -> Validators {
        Validators {
            etag: newer.etag.clone().or_else(|| self.etag.clone()),
            last_modified: newer.last_modified.or(self.last_modified),
        }
    }
}

/// An entity tag in quotes, or the bare word that some origins send. A lone `*` in `If-None-Match` would match anything, and a comma would be a list.
fn is_etag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let quoted = opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"');
    let inside = if quoted {
        &opaque[1..opaque.len() - 1]
    } else {
        opaque
    };
    text.len() <= MAX_ETAG
        && inside
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"')
        && (quoted || !(inside.is_empty() || inside == "*" || inside.contains(',')))
}

/// For how long an answer may be reused, from when, and what its clients are told.
///
/// Everything is in whole seconds, because HTTP is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// When the answer came, in seconds since 1970.
    received: u64,
    /// How old it was then.
    #[serde(default)]
    initial_age: u64,
    /// The whole life, counted from age nought, after floor and ceiling.
    lifetime: u64,
    /// Whether the origin said anything about it.
    #[serde(default)]
    stated: bool,
    #[serde(default = "yes")]
    storable: bool,
    /// Whether the origin asked for less than the floor.
    #[serde(default)]
    raised: bool,
    #[serde(default)]
    immutable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_while_revalidate: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_if_error: Option<u64>,
}

fn yes() -> bool {
    true
}

impl Freshness {
    /// What the headers of an answer received at `now` come to under `rules`.
    ///
    /// `s-maxage` goes before `max-age`, that before `Expires` minus `Date`; `Age` is subtracted. Nothing given means the floor. Of contradicting or
    /// unreadable values the shortest life is taken. `no-store` and `private` make it unstorable; all else is raised to the floor.
    pub fn of(headers: &HeaderMap, now: SystemTime, rules: &Rules) -> Self {
        let directives = Directives::of(headers);
        let received = since_epoch(now);
        let storable = !(directives.no_store || directives.private);
        let asked = directives.lifetime(headers, received);
        let floor = rules.floor.as_secs().min(FOREVER);
        let ceiling = rules.ceiling.as_secs().min(FOREVER);

        let age = smallest(headers, AGE, number).unwrap_or(0);
        let lifetime = asked.unwrap_or(floor).min(ceiling);
        // What little is left of an old answer is raised as well: asking again at once would be given the same old answer.
        let (lifetime, initial_age) = if lifetime.saturating_sub(age) < floor {
            (floor, 0)
        } else {
            (lifetime, age)
        };
        Freshness {
            received,
            initial_age,
            lifetime: if storable { lifetime } else { 0 },
            stated: asked.is_some() || !storable,
            storable,
            raised: storable && asked.is_some_and(|asked| asked < floor),
            immutable: directives.immutable,
            stale_while_revalidate: directives
                .stale_while_revalidate
                .map(|value| value.min(ceiling)),
            stale_if_error: directives.stale_if_error.map(|value| value.min(ceiling)),
        }
    }

    /// This freshness after a "not modified" whose headers came to `newer`. One that says nothing of its own leaves the terms as they were and starts
    /// the clock anew (RFC 9111 section 4.3.4).
    pub fn renewed_by(&self, newer: &Freshness) -> Freshness {
        if newer.stated || !self.storable {
            return newer.clone();
        }
        Freshness {
            received: newer.received,
            initial_age: 0,
            ..self.clone()
        }
    }

    /// Whether it may be used without asking the origin.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        // An answer from the future was stored while the clock was wrong; it would stay fresh until the clock got there.
        let from_the_future = self.received > since_epoch(now).saturating_add(CLOCK_SLACK);
        self.storable && !from_the_future && self.age(now).as_secs() < self.lifetime
    }

    /// Whether it may be used although it is not fresh, while its origin is asked.
    pub fn may_serve_while_revalidating(&self, now: SystemTime) -> bool {
        self.is_stale_for_at_most(self.stale_while_revalidate.unwrap_or(0), now)
    }

    /// Whether it may be used although it is not fresh, because its origin failed.
    pub fn may_serve_on_error(&self, now: SystemTime) -> bool {
        self.is_stale_for_at_most(self.stale_if_error.unwrap_or(0), now)
    }

    fn is_stale_for_at_most(&self, window: u64, now: SystemTime) -> bool {
        self.storable && self.age(now).as_secs() < self.lifetime.saturating_add(window)
    }

    /// This freshness with its life ended at a time, if it did not end before.
    pub fn ended(&self, at: SystemTime) -> Self {
        Freshness {
            lifetime: self.lifetime.min(self.age(at).as_secs()),
            ..self.clone()
        }
    }

    /// Whether it may be kept at all.
    pub fn is_storable(&self) -> bool {
        self.storable
    }

    /// How much of its life is gone, for the `Age` header: whole seconds.
    pub fn age(&self, now: SystemTime) -> Duration {
        let elapsed = since_epoch(now).saturating_sub(self.received);
        Duration::from_secs(self.initial_age.saturating_add(elapsed).min(FOREVER))
    }

    /// The whole life, of which [`age`](Self::age) is gone; nought if it may not be kept.
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime)
    }

    /// `Cache-Control` for the client. `max-age` is the whole life: it belongs with an `Age` header.
    pub fn cache_control(&self) -> String {
        if !self.storable {
            return "private, no-store".to_owned();
        }
        let mut header = format!("public, max-age={}", self.lifetime);
        if self.immutable {
            header.push_str(", immutable");
        }
        for (name, value) in [
            ("stale-while-revalidate", self.stale_while_revalidate),
            ("stale-if-error", self.stale_if_error),
        ] {
            if let Some(value) = value {
                header.push_str(&format!(", {name}={value}"));
            }
        }
        header
    }

    /// `Cache-Control` for a client that should come back within `limit`, and not later than the rest of this life. Its `max-age`
    /// counts from now: no `Age` header belongs with it.
    pub fn cache_control_within(&self, limit: Duration, now: SystemTime) -> String {
        if !self.storable {
            return self.cache_control();
        }
        let left = self.lifetime().saturating_sub(self.age(now));
        format!("public, max-age={}", left.min(limit).as_secs())
    }

    /// Whether the origin asked for less than the floor, which the client is warned of: `cache-control is too restrictive`.
    pub fn is_too_restrictive(&self) -> bool {
        self.raised
    }
}

/// What we read in `Cache-Control`, over all its lines.
#[derive(Default)]
struct Directives {
    no_store: bool,
    private: bool,
    no_cache: bool,
    must_revalidate: bool,
    immutable: bool,
    max_age: Option<u64>,
    s_maxage: Option<u64>,
    stale_while_revalidate: Option<u64>,
    stale_if_error: Option<u64>,
}

impl Directives {
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Directives::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for directive in split_outside_quotes(line.as_bytes()) {
                let text = String::from_utf8_lossy(directive);
                let (name, value) = text.split_once('=').unwrap_or((&text, ""));
                found.note(name.trim(), value.trim());
            }
        }
        found
    }

    /// `private="set-cookie"` and `no-cache="set-cookie"` count as the bare words: stricter than asked, and allowed.
    fn note(&mut self, name: &str, value: &str) {
        match name.to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            "private" => self.private = true,
            "no-cache" => self.no_cache = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "immutable" => self.immutable = true,
            "max-age" => lower(&mut self.max_age, number(value)),
            "s-maxage" => lower(&mut self.s_maxage, number(value)),
            "stale-while-revalidate" => lower(&mut self.stale_while_revalidate, number(value)),
            "stale-if-error" => lower(&mut self.stale_if_error, number(value)),
            _ => {}
        }
    }

    /// The life asked for, in seconds; `None` where nothing was said.
    fn lifetime(&self, headers: &HeaderMap, received: u64) -> Option<u64> {
        if self.no_cache {
            return Some(0);
        }
        let expires = || {
            let sent = headers
                .get(DATE)
                .and_then(|value| date(value.to_str().ok()?));
            let sent = sent.map_or(received, since_epoch);
            smallest(headers, EXPIRES, |text| {
                Some(since_epoch(date(text)?).saturating_sub(sent))
            })
        };
        self.s_maxage
            .or(self.max_age)
            .or_else(expires)
            .or(self.must_revalidate.then_some(0))
            .map(|seconds| seconds.min(FOREVER))
    }
}

/// A repeated value counts once, as the smaller; an unreadable one as nought, which is how RFC 9111 section 4.2.1 wants it.
fn lower(kept: &mut Option<u64>, read: Option<u64>) {
    let read = read.unwrap_or(0);
    *kept = Some(kept.map_or(read, |kept| kept.min(read)));
}

/// The smallest reading over all lines of one header; an unreadable line counts as nought.
fn smallest(
    headers: &HeaderMap,
    name: impl AsHeaderName,
    read: impl Fn(&str) -> Option<u64>,
) -> Option<u64> {
    headers
        .get_all(name)
        .iter()
        .map(|line| line.to_str().ok().and_then(&read).unwrap_or(0))
        .min()
}

/// Whole seconds, bare or in quotes. More digits than fit mean for ever.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(FOREVER).min(FOREVER))
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

/// A time as HTTP writes it; `None` for times that it cannot write, because its years have four digits and begin in 1970.
pub fn http_date(time: SystemTime) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since.as_secs() < YEAR_10000).then(|| httpdate::fmt_http_date(time))
}

fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |duration| duration.as_secs())
}

/// The parts between commas, where a comma inside a quoted string (with its backslash escapes) is not one.
fn split_outside_quotes(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    line.split(move |&byte| {
        let separates = byte == b',' && !quoted;
        if escaped {
            escaped = false;
        } else {
            escaped = quoted && byte == b'\\';
            quoted ^= byte == b'"';
        }
        separates
    })
}

/// Whole seconds since 1970, clamped to what a clock can hold, so that a stored record cannot overflow one.
mod seconds {
    use std::time::Duration;
    use std::time::SystemTime;
    use std::time::UNIX_EPOCH;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serialize;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(super::since_epoch).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let seconds = Option::<u64>::deserialize(deserializer)?;
        Ok(seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))))
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;
    use hyper::header::HeaderValue;
    use proptest::prelude::any;
    use proptest::prop_assert;
    use proptest::proptest;

    use super::FOREVER;
    use super::Freshness;
    use super::Rules;
    use super::Validators;
    use hyper::HeaderMap;
    use hyper::header::AGE;
    use hyper::header::CACHE_CONTROL;
    use hyper::header::ETAG;
    use hyper::header::EXPIRES;
    use std::time::Duration;
    use std::time::SystemTime;
    use std::time::UNIX_EPOCH;

    const HOUR: u64 = 60 * 60;
    const DAY: u64 = 24 * HOUR;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// 2026-01-01 00:00:00 UTC.
    const NOW: u64 = 1_767_225_600;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a test's own header name");
            headers.append(
                name,
                HeaderValue::from_bytes(value.as_bytes()).expect("a test's own header value"),
            );
        }
        headers
    }

    fn freshness(pairs: &[(&str, &str)]) -> Freshness {
        Freshness::of(&headers(pairs), at(NOW), &Rules::default())
    }

    /// Life and whether the client is warned, for one `Cache-Control`.
    #[track_caller]
    fn check(cache_control: &str, lifetime: u64, too_restrictive: bool) {
        let found = freshness(&[("cache-control", cache_control)]);
        assert_eq!(
            (
                found.lifetime().as_secs(),
                found.is_too_restrictive(),
                found.is_storable()
            ),
            (lifetime, too_restrictive, true),
            "{cache_control}"
        );
    }

    #[test]
    fn nothing_given_means_the_floor() {
        let found = freshness(&[]);
        assert_eq!(found.lifetime().as_secs(), HOUR);
        assert!(!found.is_too_restrictive());
        assert_eq!(found.cache_control(), "public, max-age=3600");
    }

    #[test]
    fn lifetimes_are_read_in_order_of_rank() {
        check("max-age=86400", DAY, false);
        check("max-age=7200, s-maxage=86400", DAY, false);
        check("s-maxage=7200, max-age=86400", 7200, false);
        check("public, MAX-AGE = 86400", DAY, false);
        check("max-age=\"86400\"", DAY, false);
    }

    #[test]
    fn short_lives_are_raised_to_the_floor_and_warned_of() {
        check("max-age=1800", HOUR, true);
        check("max-age=0", HOUR, true);
        check("no-cache", HOUR, true);
        check("no-cache=\"set-cookie, x\", max-age=86400", HOUR, true);
        check("must-revalidate", HOUR, true);
        check("max-age=0, must-revalidate", HOUR, true);
        check("s-maxage=1, max-age=86400", HOUR, true);
    }

    #[test]
    fn must_revalidate_does_not_shorten_a_long_life() {
        check("max-age=86400, must-revalidate", DAY, false);
    }

    #[test]
    fn long_lives_are_clamped_to_the_ceiling() {
        check("max-age=999999999", 365 * DAY, false);
        check("max-age=99999999999999999999999999999999", 365 * DAY, false);
    }

    #[test]
    fn garbage_counts_as_a_short_life() {
        for garbage in [
            "max-age=-1",
            "max-age=",
            "max-age",
            "max-age=1e9",
            "max-age=86400.5",
            "max-age=\"86400",
            "max-age=+86400",
        ] {
            check(garbage, HOUR, true);
        }
    }

    #[test]
    fn of_repeated_values_the_shortest_is_taken() {
        check("max-age=86400, max-age=7200", 7200, false);
        let found = freshness(&[
            ("cache-control", "max-age=7200"),
            ("cache-control", "max-age=86400, immutable"),
        ]);
        assert_eq!(found.cache_control(), "public, max-age=7200, immutable");
    }

    #[test]
    fn words_inside_quotes_are_not_directives() {
        check(
            "ext=\"a, no-store, \\\", private\", max-age=86400",
            DAY,
            false,
        );
        check("unknown, x-no-store, max-age=86400", DAY, false);
    }

    #[test]
    fn no_store_and_private_are_not_kept() {
        for refused in [
            "no-store",
            "private",
            "No-Store, max-age=86400",
            "private=\"set-cookie\"",
            "public, s-maxage=86400, private",
        ] {
            let found = freshness(&[("cache-control", refused)]);
            assert!(!found.is_storable(), "{refused}");
            assert!(!found.is_fresh(at(NOW)), "{refused}");
            assert!(!found.is_too_restrictive(), "{refused}");
            assert_eq!(found.cache_control(), "private, no-store", "{refused}");
        }
    }

    #[test]
    fn expires_is_measured_from_the_origins_own_clock() {
        let wrong_clock = [
            ("date", "Thu, 01 Jan 2015 00:00:00 GMT"),
            ("expires", "Fri, 02 Jan 2015 00:00:00 GMT"),
        ];
        assert_eq!(freshness(&wrong_clock).lifetime().as_secs(), DAY);
        let no_clock = [("expires", "Fri, 02 Jan 2026 00:00:00 GMT")];
        assert_eq!(freshness(&no_clock).lifetime().as_secs(), DAY);
        assert_eq!(
            freshness(&[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")])
                .lifetime()
                .as_secs(),
            365 * DAY
        );
    }

    #[test]
    fn an_unreadable_or_past_expires_is_a_short_life() {
        for expires in [
            "0",
            "-1",
            "",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Fri, 02 Jan 99999 00:00:00 GMT",
        ] {
            let found = freshness(&[("expires", expires)]);
            assert_eq!(
                (found.lifetime().as_secs(), found.is_too_restrictive()),
                (HOUR, true),
                "{expires}"
            );
        }
    }

    #[test]
    fn max_age_overrules_expires() {
        let found = freshness(&[("expires", "0"), ("cache-control", "max-age=86400")]);
        assert_eq!(found.lifetime().as_secs(), DAY);
    }

    #[test]
    fn a_short_stay_is_never_longer_than_the_rest_of_a_life() {
        let found = freshness(&[
            ("cache-control", "max-age=86400, immutable"),
            ("age", "3600"),
        ]);
        let within =
            |later: u64| found.cache_control_within(Duration::from_secs(300), at(NOW + later));
        assert_eq!(within(0), "public, max-age=300");
        assert_eq!(within(DAY - HOUR - 10), "public, max-age=10");
        assert_eq!(within(DAY), "public, max-age=0");
        let refused = freshness(&[("cache-control", "no-store")]);
        assert_eq!(
            refused.cache_control_within(Duration::from_secs(300), at(NOW)),
            "private, no-store"
        );
    }

    #[test]
    fn age_is_subtracted() {
        let found = freshness(&[("cache-control", "max-age=86400"), ("age", "3600")]);
        assert_eq!(found.age(at(NOW)).as_secs(), HOUR);
        assert_eq!(found.cache_control(), "public, max-age=86400");
        assert!(found.is_fresh(at(NOW + DAY - HOUR - 1)));
        assert!(!found.is_fresh(at(NOW + DAY - HOUR)));
    }

    #[test]
    fn an_answer_that_is_nearly_over_lives_for_the_floor_unwarned() {
        let found = freshness(&[("cache-control", "max-age=86400"), ("age", "86399")]);
        assert_eq!(
            (found.age(at(NOW)).as_secs(), found.lifetime().as_secs()),
            (0, HOUR)
        );
        assert!(!found.is_too_restrictive());
    }

    #[test]
    fn a_huge_or_unreadable_age_does_no_harm() {
        for age in [
            "18446744073709551615",
            "99999999999999999999999",
            "-5",
            "soon",
        ] {
            let found = freshness(&[("cache-control", "max-age=86400"), ("age", age)]);
            assert!(found.is_fresh(at(NOW)), "{age}");
        }
    }

    #[test]
    fn what_clients_can_use_is_passed_on() {
        let found = freshness(&[(
            "cache-control",
            "max-age=86400, stale-while-revalidate=60, immutable, stale-if-error=9999999999999",
        )]);
        assert_eq!(
            found.cache_control(),
            "public, max-age=86400, immutable, stale-while-revalidate=60, stale-if-error=31536000"
        );
    }

    #[test]
    fn a_clock_set_back_does_not_keep_things_for_ever() {
        let found = freshness(&[]);
        assert!(found.is_fresh(at(NOW - 30)));
        assert!(!found.is_fresh(at(NOW - HOUR)));
        assert_eq!(found.age(at(0)).as_secs(), 0);
    }

    #[test]
    fn rules_that_contradict_keep_to_the_floor() {
        let rules = Rules {
            floor: Duration::from_secs(100),
            ceiling: Duration::from_secs(10),
        };
        let found = Freshness::of(
            &headers(&[("cache-control", "max-age=50")]),
            at(NOW),
            &rules,
        );
        assert_eq!(found.lifetime().as_secs(), 100);
        let rules = Rules {
            floor: Duration::MAX,
            ceiling: Duration::MAX,
        };
        assert!(Freshness::of(&HeaderMap::new(), at(NOW), &rules).is_fresh(at(NOW)));
        let rules = Rules {
            floor: Duration::ZERO,
            ceiling: Duration::ZERO,
        };
        assert!(!Freshness::of(&HeaderMap::new(), at(NOW), &rules).is_fresh(at(NOW)));
    }

    #[test]
    fn a_silent_not_modified_starts_the_clock_anew() {
        let first = freshness(&[
            ("cache-control", "max-age=86400, immutable"),
            ("age", "100"),
        ]);
        let silent = Freshness::of(&HeaderMap::new(), at(NOW + 2 * DAY), &Rules::default());
        let renewed = first.renewed_by(&silent);
        assert_eq!(renewed.cache_control(), first.cache_control());
        assert_eq!(renewed.age(at(NOW + 2 * DAY)).as_secs(), 0);
        let spoken = Freshness::of(
            &headers(&[("cache-control", "max-age=7200")]),
            at(NOW + 2 * DAY),
            &Rules::default(),
        );
        assert_eq!(first.renewed_by(&spoken), spoken);
    }

    #[test]
    fn validators_keep_what_can_be_sent_back() {
        let kept = |etag: &str| Validators::of(&headers(&[("etag", etag)])).etag;
        for good in ["\"abc\"", "W/\"abc\"", "\"\"", "abc", "\"a,b\"", "\"*\""] {
            assert_eq!(kept(good).as_deref(), Some(good));
        }
        for bad in [
            "*",
            "a,b",
            "W/",
            "",
            "\"a\"b\"",
            "\"a b\"",
            "\u{e9}",
            &"x".repeat(2000),
        ] {
            assert_eq!(kept(bad), None, "{bad}");
        }
        let dated = Validators::of(&headers(&[(
            "last-modified",
            "Thu, 01 Jan 2026 00:00:00 GMT",
        )]));
        assert_eq!(dated.last_modified, Some(at(NOW)));
        assert!(Validators::of(&headers(&[("last-modified", "yesterday")])).is_empty());
    }

    #[test]
    fn validators_are_renewed_one_by_one() {
        let old = Validators {
            etag: Some("\"1\"".to_owned()),
            last_modified: Some(at(5)),
        };
        let newer = Validators {
            etag: None,
            last_modified: Some(at(9)),
        };
        assert_eq!(
            old.renewed_by(&newer),
            Validators {
                etag: old.etag.clone(),
                last_modified: Some(at(9))
            }
        );
    }

    #[test]
    fn both_survive_being_written_down() {
        let validators = Validators {
            etag: Some("\"a\\b\"".to_owned()),
            last_modified: Some(at(NOW)),
        };
        let text = toml::to_string(&validators).expect("validators are plain data");
        assert_eq!(
            toml::from_str::<Validators>(&text).expect("just written"),
            validators
        );
        let found = freshness(&[
            ("cache-control", "max-age=86400, stale-if-error=5"),
            ("age", "7"),
        ]);
        let text = toml::to_string(&found).expect("freshness is plain data");
        assert_eq!(
            toml::from_str::<Freshness>(&text).expect("just written"),
            found
        );
    }

    #[test]
    fn a_record_of_the_end_of_time_is_read_without_overflow() {
        let text = format!("last_modified = {}", i64::MAX);
        assert!(toml::from_str::<Validators>(&text).is_ok());
        let text = format!(
            "received = {0}\nlifetime = {0}\ninitial_age = {0}",
            i64::MAX
        );
        let found: Freshness = toml::from_str(&text).expect("numbers in range");
        assert!(!found.is_fresh(at(NOW)));
        assert!(found.age(at(NOW)).as_secs() <= FOREVER);
    }

    proptest! {
        #[test]
        fn any_headers_end_in_a_life_within_the_rules(line in any::<Vec<u8>>(), expires in ".{0,40}", age in ".{0,24}", now in any::<u32>()) {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CACHE_CONTROL, &line[..]), (EXPIRES, expires.as_bytes()), (AGE, age.as_bytes()), (ETAG, &line[..])] {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(name, value);
                }
            }
            Validators::of(&headers);
            let found = Freshness::of(&headers, at(now.into()), &Rules::default());
            if found.is_storable() {
                prop_assert!((HOUR..=365 * DAY).contains(&found.lifetime().as_secs()));
                prop_assert!(found.is_fresh(at(now.into())));
            }
            prop_assert!(HeaderValue::from_str(&found.cache_control()).is_ok());
        }
    }
}
