//! How long stale responses may be used.

use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::proptest;

use super::DAY;
use super::HOUR;
use super::NOW;
use super::at;
use super::freshness;
use super::headers;
use crate::freshness::{Freshness, Rules};

/// How many seconds after its lifetime a response is used: while it is revalidated, and if that fails.
fn graces(freshness: &Freshness) -> (u64, u64) {
    let end = NOW + freshness.lifetime().as_secs();
    let last = |may: &dyn Fn(SystemTime) -> bool| {
        let (mut least, mut most) = (0, 1 << 32);
        while least < most {
            let middle = (least + most) / 2;
            if may(at(end + middle)) {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        least
    };
    (
        last(&|now| freshness.may_serve_while_revalidating(now)),
        last(&|now| freshness.may_serve_on_error(now)),
    )
}

#[track_caller]
fn check(cache_control: &str, expected: (u64, u64)) {
    let found = freshness(&[("cache-control", cache_control)]);
    assert_eq!(graces(&found), expected, "{cache_control}");
}

#[test]
fn after_its_lifetime_a_response_is_stale() {
    let found = freshness(&[]);
    let end = NOW + HOUR;
    assert!(found.is_fresh(at(end - 1)));
    assert!(!found.is_fresh(at(end)));
    assert!(found.may_serve_while_revalidating(at(end)));
    assert!(found.may_serve_while_revalidating(at(end + HOUR - 1)));
    assert!(!found.may_serve_while_revalidating(at(end + HOUR)));
    assert!(found.may_serve_on_error(at(end + DAY - 1)));
    assert!(!found.may_serve_on_error(at(end + DAY)));
}

#[test]
fn the_origins_directives_come_before_the_operators_rules() {
    check("max-age=86400", (HOUR, DAY));
    check("stale-while-revalidate=60", (60, DAY));
    check("stale-if-error=60", (HOUR, 60));
    check("stale-while-revalidate=0, stale-if-error=0", (0, 0));
    check("stale-if-error=9999999999999", (HOUR, 365 * DAY));
    check("stale-if-error=soon", (HOUR, 0));
    check("stale-if-error=60, stale-if-error=30", (HOUR, 30));
}

#[test]
fn must_revalidate_leaves_only_the_origins_own_grace() {
    for strict in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        check(strict, (0, 0));
        check(&format!("max-age=86400, {strict}"), (0, 0));
        check(&format!("{strict}, stale-if-error=60"), (0, 60));
    }
    check("s-maxage=86400", (HOUR, DAY));
}

#[test]
fn an_unstorable_response_is_never_used_stale() {
    for refused in ["no-store", "private, stale-if-error=60"] {
        let found = freshness(&[("cache-control", refused)]);
        assert!(!found.may_serve_while_revalidating(at(NOW)), "{refused}");
        assert!(!found.may_serve_on_error(at(NOW)), "{refused}");
    }
}

#[test]
fn the_operators_grace_is_not_sent_to_clients() {
    assert_eq!(freshness(&[]).cache_control(), "public, max-age=3600");
}

#[test]
fn a_stale_response_has_an_age_beyond_its_max_age() {
    let found = freshness(&[("cache-control", "max-age=7200, immutable")]);
    let later = at(NOW + 3 * HOUR);
    assert_eq!(found.cache_control(), "public, max-age=7200, immutable");
    assert!(found.age(later) >= found.lifetime());
    assert_eq!(
        found.cache_control_within(Duration::from_secs(300), later),
        "public, max-age=0"
    );
}

#[test]
fn ended_means_stale_from_now_on() {
    let found = freshness(&[("cache-control", "max-age=86400, immutable")]);
    let cut = found.ended(at(NOW + 100));
    assert!(!cut.is_fresh(at(NOW + 100)));
    assert_eq!(cut.age(at(NOW + 100)), cut.lifetime());
    assert_eq!(cut.cache_control(), "public, max-age=100, immutable");
    assert!(cut.may_serve_while_revalidating(at(NOW + 100 + HOUR - 1)));
    assert!(!cut.may_serve_while_revalidating(at(NOW + 100 + HOUR)));
    assert!(cut.may_serve_on_error(at(NOW + 100 + DAY - 1)));
    assert!(!cut.may_serve_on_error(at(NOW + 100 + DAY)));
    // Ending it again does not extend it.
    assert_eq!(cut.ended(at(NOW + 200)), cut);
    // Nor does ending extend a lifetime that is over already.
    let over = found.ended(at(NOW + 2 * DAY));
    assert_eq!(over.lifetime().as_secs(), DAY);
    assert!(!over.may_serve_while_revalidating(at(NOW + 2 * DAY)));
}

#[test]
fn a_304_restores_an_ended_lifetime() {
    let found = freshness(&[("cache-control", "max-age=86400")]);
    let later = at(NOW + 2 * HOUR);
    let silent = Freshness::of(&HeaderMap::new(), later, &Rules::default());
    let renewed = found.ended(at(NOW)).renewed_by(&silent);
    assert!(renewed.is_fresh(at(NOW + 2 * HOUR + DAY - 1)));
    assert_eq!(renewed.cache_control(), found.cache_control());
    let spoken = headers(&[("cache-control", "max-age=7200")]);
    let spoken = Freshness::of(&spoken, later, &Rules::default());
    assert_eq!(found.ended(at(NOW)).renewed_by(&spoken), spoken);
}

#[test]
fn an_ended_lifetime_survives_serialization() {
    let cut = freshness(&[("cache-control", "stale-if-error=5")]).ended(at(NOW + 7));
    let text = toml::to_string(&cut).expect("freshness is plain data");
    assert_eq!(toml::from_str::<Freshness>(&text), Ok(cut));
}

#[test]
fn a_record_without_grace_has_none() {
    let text = format!("received = {NOW}\nlifetime = 60\nstale_if_error = 60");
    let found: Freshness = toml::from_str(&text).expect("an old record");
    assert!(found.is_fresh(at(NOW)));
    assert_eq!(graces(&found), (0, 0));
    let text = format!(
        "received = {0}\nlifetime = {0}\ninitial_age = {0}\ngrace_on_error = {0}\ncut = {0}",
        i64::MAX
    );
    let found: Freshness = toml::from_str(&text).expect("numbers in range");
    assert!(!found.may_serve_on_error(at(NOW)));
}

#[test]
fn a_clock_set_back_keeps_nothing_stale_for_ever() {
    let found = freshness(&[]);
    let back = at(NOW - DAY);
    assert!(!found.is_fresh(back));
    assert!(!found.may_serve_while_revalidating(back));
    assert!(!found.may_serve_on_error(back));
    // Such a clock does not undo a purge either.
    let cut = found.ended(at(NOW + 50));
    assert!(!cut.is_fresh(at(NOW - 30)));
    assert!(cut.may_serve_while_revalidating(at(NOW - 30)));
}

#[test]
fn a_clock_set_ahead_ends_all_grace() {
    let found = freshness(&[]).ended(at(NOW));
    for ahead in [
        at(NOW + 10_000 * DAY),
        at(1 << 40),
        SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 62),
    ] {
        assert!(!found.may_serve_while_revalidating(ahead));
        assert!(!found.may_serve_on_error(ahead));
        assert!(!found.ended(ahead).may_serve_on_error(ahead));
    }
}

proptest! {
    #[test]
    fn a_fresh_response_may_always_be_served(control in "[a-z0-9=, -]{0,60}", elapsed in any::<u32>(), cut in any::<Option<u32>>()) {
        let mut found = freshness(&[("cache-control", &control)]);
        if let Some(cut) = cut {
            found = found.ended(at(NOW + u64::from(cut)));
        }
        let now = at(NOW + u64::from(elapsed));
        if found.is_fresh(now) {
            prop_assert!(found.may_serve_while_revalidating(now));
            prop_assert!(found.may_serve_on_error(now));
        }
        prop_assert!(!found.ended(now).is_fresh(now));
        prop_assert!(found.ended(now).age(now) >= found.ended(now).lifetime());
    }
}
