use hyper::Request;
use proptest::prop_assert;
use proptest::proptest;

use super::*;

const TAG: &str = "\"a,b\"";

fn conditional(method: &str, lines: &[(HeaderName, &str)]) -> Conditional {
    let mut request = Request::builder().method(method);
    for (name, value) in lines {
        request = request.header(name, *value);
    }
    let request = request.body(()).expect("the tables hold header values");
    Conditional::of(&request.into_parts().0)
}

/// Sun, 06 Nov 1994 08:49:37 GMT, and a part of a second, which headers cannot express.
fn modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_900)
}

#[track_caller]
fn check_outcome(lines: &[(HeaderName, &str)], expected: Option<PreconditionOutcome>) {
    let outcome = conditional("GET", lines).evaluate_preconditions(TAG, Some(modified()));
    assert_eq!(outcome, expected, "{lines:?}");
}

#[track_caller]
fn check(lines: &[(HeaderName, &str)], is_not_modified: bool) {
    check_outcome(
        lines,
        is_not_modified.then_some(PreconditionOutcome::NotModified),
    );
}

#[track_caller]
fn check_range(lines: &[(HeaderName, &str)], expected: RangeOutcome) {
    let found = conditional("GET", lines).select_range(TAG, None, 100);
    assert_eq!(found, expected, "{lines:?}");
}

#[test]
fn without_preconditions_the_request_goes_on() {
    check(&[], false);
}

#[test]
fn a_tag_is_found_in_every_header() {
    for name in [IF_NONE_MATCH, IF_MATCH] {
        assert!(conditional("GET", &[(name.clone(), "\"x\", \"a,b\"")]).names(TAG));
        assert!(!conditional("GET", &[(name.clone(), "\"x\"")]).names(TAG));
        assert!(!conditional("GET", &[(name, "*")]).names(TAG));
    }
    let range = [(RANGE, "bytes=5-"), (IF_RANGE, TAG)];
    assert!(conditional("GET", &range).names(TAG));
    assert!(!conditional("GET", &range).names("\"x\""));
}

#[test]
fn tags_compare_weakly() {
    check(&[(IF_NONE_MATCH, "\"a,b\"")], true);
    check(&[(IF_NONE_MATCH, "W/\"a,b\"")], true);
    check(&[(IF_NONE_MATCH, "\"x\", W/\"y\" ,\"a,b\"")], true);
    check(
        &[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"a,b\"")],
        true,
    );
    check(&[(IF_NONE_MATCH, "\"a\", \"b\"")], false);
    check(&[(IF_NONE_MATCH, "\"A,B\"")], false);
    check(&[(IF_NONE_MATCH, "*")], true);
    check(&[(IF_NONE_MATCH, " * ")], true);
}

#[test]
fn malformed_tags_match_nothing() {
    check(&[(IF_NONE_MATCH, "")], false);
    check(&[(IF_NONE_MATCH, "a,b")], false);
    check(&[(IF_NONE_MATCH, "\"a,b")], false);
    check(&[(IF_NONE_MATCH, "\"*\"")], false);
}

#[test]
fn dates_compare_in_whole_seconds() {
    check(
        &[(IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 GMT")],
        true,
    );
    check(
        &[(IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT")],
        true,
    );
    check(
        &[(IF_MODIFIED_SINCE, "Mon, 07 Nov 1994 08:49:37 GMT")],
        true,
    );
    check(
        &[(IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:36 GMT")],
        false,
    );
    check(&[(IF_MODIFIED_SINCE, "yesterday")], false);
}

#[test]
fn a_date_needs_a_date_of_the_rendition() {
    for name in [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
        let dated = conditional("GET", &[(name, "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(dated.evaluate_preconditions("\"a\"", None), None);
    }
}

#[test]
fn tags_override_the_date() {
    let date = "Mon, 07 Nov 1994 08:49:37 GMT";
    check(
        &[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, date)],
        false,
    );
    check(
        &[(IF_NONE_MATCH, "nonsense"), (IF_MODIFIED_SINCE, date)],
        false,
    );
    check(
        &[(IF_MODIFIED_SINCE, date), (IF_MODIFIED_SINCE, date)],
        false,
    );
}

#[test]
fn if_match_compares_strongly() {
    let failed = Some(PreconditionOutcome::PreconditionFailed);
    check_outcome(&[(IF_MATCH, TAG)], None);
    check_outcome(&[(IF_MATCH, "*")], None);
    check_outcome(&[(IF_MATCH, "W/\"x\", \"a,b\"")], None);
    check_outcome(&[(IF_MATCH, "W/\"a,b\"")], failed);
    check_outcome(&[(IF_MATCH, "\"x\"")], failed);
    check_outcome(&[(IF_MATCH, "nonsense")], failed);
    let since = |date| [(IF_UNMODIFIED_SINCE, date)];
    check_outcome(&since("Sun, 06 Nov 1994 08:49:37 GMT"), None);
    check_outcome(&since("Mon, 07 Nov 1994 08:49:37 GMT"), None);
    check_outcome(&since("Sun, 06 Nov 1994 08:49:36 GMT"), failed);
    check_outcome(&since("yesterday"), None);
}

#[test]
fn if_match_comes_before_if_none_match() {
    let early = "Sun, 06 Nov 1994 08:49:36 GMT";
    let failed = Some(PreconditionOutcome::PreconditionFailed);
    check_outcome(&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, TAG)], failed);
    check_outcome(
        &[(IF_UNMODIFIED_SINCE, early), (IF_NONE_MATCH, "*")],
        failed,
    );
    check_outcome(&[(IF_MATCH, TAG), (IF_UNMODIFIED_SINCE, early)], None);
    check_outcome(
        &[(IF_MATCH, TAG), (IF_NONE_MATCH, TAG)],
        Some(PreconditionOutcome::NotModified),
    );
}

#[test]
fn one_range_is_a_part() {
    let range = |range| [(RANGE, range)];
    check_range(&[], RangeOutcome::Whole);
    check_range(&range("bytes=0-0"), RangeOutcome::Part(0..1));
    check_range(&range("bytes=10-19"), RangeOutcome::Part(10..20));
    check_range(&range("bytes=10-"), RangeOutcome::Part(10..100));
    check_range(&range("bytes=99-99"), RangeOutcome::Part(99..100));
    check_range(&range("bytes=10-1000"), RangeOutcome::Part(10..100));
    check_range(&range("bytes=-10"), RangeOutcome::Part(90..100));
    check_range(&range("bytes=-1000"), RangeOutcome::Part(0..100));
    check_range(&range("Bytes = 0-4"), RangeOutcome::Part(0..5));
    check_range(
        &range("bytes=0-99999999999999999999999"),
        RangeOutcome::Part(0..100),
    );
}

#[test]
fn a_range_beyond_the_end_is_unsatisfiable() {
    for range in [
        "bytes=100-",
        "bytes=100-200",
        "bytes=-0",
        "bytes=99999999999999999999999-",
    ] {
        check_range(&[(RANGE, range)], RangeOutcome::Unsatisfiable);
    }
}

#[test]
fn other_ranges_are_ignored() {
    for range in [
        "bytes=0-4,10-14",
        "bytes=0-4,",
        "bytes=4-0",
        "bytes=-",
        "bytes=",
        "bytes",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1-2-3",
        "bytes=1 - 2",
        "lines=0-4",
        "",
    ] {
        check_range(&[(RANGE, range)], RangeOutcome::Whole);
    }
    check_range(
        &[(RANGE, "bytes=0-4"), (RANGE, "bytes=0-4")],
        RangeOutcome::Whole,
    );
    let head = conditional("HEAD", &[(RANGE, "bytes=0-4")]);
    assert_eq!(head.select_range(TAG, None, 100), RangeOutcome::Whole);
}

#[test]
fn a_date_stands_for_content_that_has_it_alone() {
    for (condition, is_same) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", true),
        ("Sun, 06 Nov 1994 08:49:36 GMT", false),
        ("Sun, 06 Nov 1994 08:49:38 GMT", false),
        ("yesterday", false),
    ] {
        let asked = conditional("GET", &[(RANGE, "bytes=0-4"), (IF_RANGE, condition)]);
        let expected = match is_same {
            true => RangeOutcome::Part(0..5),
            false => RangeOutcome::Whole,
        };
        let found = asked.select_range(TAG, Some(modified()), 100);
        assert_eq!(found, expected, "{condition}");
    }
}

#[test]
fn a_part_of_another_rendition_is_not_sent() {
    let range = (RANGE, "bytes=0-4");
    let part = RangeOutcome::Part(0..5);
    let given = |condition| [range.clone(), (IF_RANGE, condition)];
    check_range(&given(TAG), part);
    for condition in [
        // The date of the source, which other renditions have as well.
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "\"x\"",
        "W/\"a,b\"",
        "*",
        "\"",
        "",
        "Sun, 06 Nov 1994 08:49:36 GMT",
        "Mon, 07 Nov 1994 08:49:37 GMT",
    ] {
        check_range(&given(condition), RangeOutcome::Whole);
    }
    let far = [(RANGE, "bytes=100-"), (IF_RANGE, "\"x\"")];
    check_range(&far, RangeOutcome::Whole);
}

proptest! {
    #[test]
    fn a_part_lies_within(range in "(bytes=)?[0-9,= -]{0,30}", length in 0..300_usize) {
        let asked = conditional("GET", &[(RANGE, &range)]);
        if let RangeOutcome::Part(part) = asked.select_range(TAG, None, length) {
            prop_assert!(part.start < part.end && part.end <= length);
        }
    }
}
