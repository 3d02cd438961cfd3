//! Freshness and validators of headers, correct and hostile.

mod stale;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{AGE, CACHE_CONTROL, ETAG, EXPIRES, HeaderName, HeaderValue};
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::proptest;

use super::Freshness;
use super::Rules;
use super::Validators;
use super::negative_ttl;
use crate::freshness::time::FOREVER;

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

/// Checks the lifetime, and whether the client gets a warning, for a `Cache-Control`.
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
fn no_lifetime_means_the_minimum() {
    let found = freshness(&[]);
    assert_eq!(found.lifetime().as_secs(), HOUR);
    assert!(!found.is_too_restrictive());
    assert_eq!(found.cache_control(), "public, max-age=3600");
}

#[test]
fn no_lifetime_means_the_default_within_the_bounds() {
    for (default, lifetime) in [(7200, 7200), (1, HOUR), (400 * DAY, 365 * DAY)] {
        let rules = Rules {
            default_ttl: Some(Duration::from_secs(default)),
            ..Rules::default()
        };
        let found = Freshness::of(&HeaderMap::new(), at(NOW), &rules);
        assert_eq!(found.lifetime().as_secs(), lifetime, "{default} s");
        assert!(!found.is_too_restrictive());
        // No lifetime is guessed from `Last-Modified`.
        let dated = headers(&[("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT")]);
        assert_eq!(Freshness::of(&dated, at(NOW), &rules), found);
    }
}

#[test]
fn lifetimes_are_read_in_order_of_precedence() {
    check("max-age=86400", DAY, false);
    check("max-age=7200, s-maxage=86400", DAY, false);
    check("s-maxage=7200, max-age=86400", 7200, false);
    check("public, MAX-AGE = 86400", DAY, false);
    check("max-age=\"86400\"", DAY, false);
}

#[test]
fn short_lifetimes_are_raised_to_the_minimum_with_a_warning() {
    check("max-age=1800", HOUR, true);
    check("max-age=0", HOUR, true);
    check("no-cache", HOUR, true);
    check("no-cache=\"set-cookie, x\", max-age=86400", HOUR, true);
    check("must-revalidate", HOUR, true);
    check("max-age=0, must-revalidate", HOUR, true);
    check("s-maxage=1, max-age=86400", HOUR, true);
}

#[test]
fn must_revalidate_does_not_shorten_a_long_lifetime() {
    check("max-age=86400, must-revalidate", DAY, false);
}

#[test]
fn long_lifetimes_are_clamped_to_the_maximum() {
    check("max-age=999999999", 365 * DAY, false);
    check("max-age=99999999999999999999999999999999", 365 * DAY, false);
}

#[test]
fn malformed_values_count_as_zero() {
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
fn of_repeated_values_the_shortest_counts() {
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
fn no_store_and_private_are_not_storable() {
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
fn a_malformed_or_past_expires_means_stale() {
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
fn max_age_comes_before_expires() {
    let found = freshness(&[("expires", "0"), ("cache-control", "max-age=86400")]);
    assert_eq!(found.lifetime().as_secs(), DAY);
}

#[test]
fn max_age_within_a_limit_is_never_more_than_the_rest_of_the_lifetime() {
    let found = freshness(&[
        ("cache-control", "max-age=86400, immutable"),
        ("age", "3600"),
    ]);
    let within = |later: u64| found.cache_control_within(Duration::from_secs(300), at(NOW + later));
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
fn a_response_that_is_nearly_stale_gets_the_minimum_without_a_warning() {
    let found = freshness(&[("cache-control", "max-age=86400"), ("age", "86399")]);
    assert_eq!(
        (found.age(at(NOW)).as_secs(), found.lifetime().as_secs()),
        (0, HOUR)
    );
    assert!(!found.is_too_restrictive());
}

#[test]
fn a_huge_or_malformed_age_does_no_harm() {
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
fn directives_for_clients_are_passed_on() {
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
fn a_clock_set_back_keeps_nothing_fresh_for_ever() {
    let found = freshness(&[]);
    assert!(found.is_fresh(at(NOW - 30)));
    assert!(!found.is_fresh(at(NOW - HOUR)));
    assert_eq!(found.age(at(0)).as_secs(), 0);
}

#[test]
fn with_contradictory_rules_the_minimum_counts() {
    let rules = |min_ttl, max_ttl| Rules {
        min_ttl,
        max_ttl,
        ..Rules::default()
    };
    let contradicting = rules(Duration::from_secs(100), Duration::from_secs(10));
    let found = Freshness::of(
        &headers(&[("cache-control", "max-age=50")]),
        at(NOW),
        &contradicting,
    );
    assert_eq!(found.lifetime().as_secs(), 100);
    let for_ever = rules(Duration::MAX, Duration::MAX);
    assert!(Freshness::of(&HeaderMap::new(), at(NOW), &for_ever).is_fresh(at(NOW)));
    let never = rules(Duration::ZERO, Duration::ZERO);
    assert!(!Freshness::of(&HeaderMap::new(), at(NOW), &never).is_fresh(at(NOW)));
}

#[test]
fn a_304_without_a_lifetime_restarts_the_old_one() {
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
fn each_validator_is_renewed_on_its_own() {
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
fn freshness_and_validators_survive_serialization() {
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
    fn any_header_results_in_a_lifetime_within_the_rules(line in any::<Vec<u8>>(), expires in ".{0,40}", age in ".{0,24}", now in any::<u32>()) {
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
            prop_assert!(found.may_serve_while_revalidating(at(now.into())));
            prop_assert!(found.may_serve_on_error(at(now.into())));
        }
        prop_assert!(HeaderValue::from_str(&found.cache_control()).is_ok());
    }
}

#[test]
fn errors_are_cached_no_longer_than_their_origin_says() {
    let held =
        |pairs: &[(&str, &str)]| negative_ttl(&headers(pairs), at(NOW)).map(|life| life.as_secs());
    assert_eq!(held(&[]), None);
    for (control, life) in [
        ("public", None),
        ("no-store", Some(0)),
        ("private, max-age=60", Some(0)),
        ("no-cache", Some(0)),
        ("max-age=3", Some(3)),
        ("max-age=60, s-maxage=2", Some(2)),
        ("max-age=x", Some(0)),
        ("max-age=86400", Some(DAY)),
    ] {
        assert_eq!(held(&[("cache-control", control)]), life, "{control}");
    }
    let old = [("cache-control", "max-age=10"), ("age", "7")];
    assert_eq!(held(&old), Some(3));
    let expired = [("expires", "Thu, 01 Jan 2015 00:00:00 GMT")];
    assert_eq!(held(&expired), Some(0));
}

#[test]
fn a_cap_counts_whatever_the_origin_says() {
    let control = "max-age=86400, immutable, stale-while-revalidate=600, stale-if-error=600";
    let long = freshness(&[("cache-control", control), ("age", "100")]);
    let cap = Duration::from_secs(60);
    let capped = long.capped(cap);
    assert_eq!(capped.cap(), Some(cap));
    assert_eq!(capped.cache_control(), "public, max-age=160");
    assert_eq!(capped.age(at(NOW)).as_secs(), 100);
    assert!(capped.is_fresh(at(NOW + 59)));
    let after = at(NOW + 60);
    assert!(!capped.is_fresh(after));
    assert!(!capped.may_serve_while_revalidating(after) && !capped.may_serve_on_error(after));
    // A 304 does not extend it either, with or without a lifetime of its own.
    let silent = capped.renewed_by(&freshness(&[]));
    assert_eq!((silent.lifetime().as_secs(), silent.cap()), (60, Some(cap)));
    let stated = capped.renewed_by(&long);
    assert_eq!(
        (stated.lifetime().as_secs(), stated.cap()),
        (160, Some(cap))
    );
    // A shorter lifetime stays.
    let short = capped.capped(Duration::from_secs(10));
    assert_eq!(short.lifetime().as_secs(), 110);
    assert_eq!(freshness(&[]).cap(), None);
}
