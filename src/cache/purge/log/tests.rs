use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::MAX_EVENTS;
use super::Purge;
use super::PurgeEffect;
use super::PurgeEvent;
use super::PurgeLog;
use super::SourceName;
use super::Tag;
use super::Target;
use super::prefixes_of;
use super::starts_with_segments;
use crate::cache::{RenditionKey, SourceKey, SourceRecord, tests};

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

fn tag(text: &str) -> Tag {
    Tag::new(text).expect("a tag")
}

fn record(number: u64, tags: &[&str], generation: u64) -> SourceRecord {
    let name = SourceName::numbered(number);
    let mut record = tests::record(&name, b"bytes", now(), generation);
    record.tags = tags.iter().map(|text| tag(text)).collect();
    record
}

fn purged(purges: &PurgeLog, target: Target, soft: bool) -> u64 {
    let event = purges.next(Purge { target, soft }, now());
    let number = event.number;
    assert!(purges.learn(event));
    number
}

#[test]
fn a_prefix_ends_at_the_end_of_a_segment() {
    for (address, prefix, matches) in [
        ("https://b.com/a/b.jpg", "https://b.com/a", true),
        ("https://b.com/a/b.jpg", "https://b.com/a/", true),
        ("https://b.com/a", "https://b.com/a", true),
        ("https://b.com/a?x=1", "https://b.com/a", true),
        ("https://b.com/ab", "https://b.com/a", false),
        ("https://b.com.evil/a", "https://b.com", false),
        ("https://b.com/a", "https://b.com/a/", false),
        ("bucket:photos/a.jpg", "bucket:photos", true),
        ("zone:/a.jpg", "zone:", true),
    ] {
        assert_eq!(
            starts_with_segments(address, prefix),
            matches,
            "{address} {prefix}"
        );
        let listed = prefixes_of(address).any(|known| known == prefix);
        assert_eq!(listed, matches, "{address} {prefix}");
    }
}

#[test]
fn a_purge_matches_what_was_fetched_before_it() {
    let key = SourceKey::numbered(1);
    let targets = [
        Target::Source(key),
        Target::Prefix("https://b.com".to_owned()),
        Target::Tag(tag("cats")),
        Target::Everything,
    ];
    for target in targets {
        let purges = PurgeLog::default();
        let before = record(1, &["cats"], purges.generation());
        assert_eq!(purges.check(&key, &before), PurgeEffect::Unaffected);
        purged(&purges, target.clone(), false);
        assert_eq!(
            purges.check(&key, &before),
            PurgeEffect::Removed,
            "{target:?}"
        );
        let after = record(1, &["cats"], purges.generation());
        assert_eq!(
            purges.check(&key, &after),
            PurgeEffect::Unaffected,
            "{target:?}"
        );
    }
}

#[test]
fn a_purge_of_something_else_does_not_affect_a_record() {
    let purges = PurgeLog::default();
    let kept = record(1, &["cats"], 0);
    for target in [
        Target::Source(SourceKey::numbered(2)),
        Target::Prefix("https://c.com".to_owned()),
        Target::Tag(tag("dogs")),
    ] {
        purged(&purges, target, false);
    }
    assert_eq!(
        purges.check(&SourceKey::numbered(1), &kept),
        PurgeEffect::Unaffected
    );
    assert_eq!(kept.checked_until(), purges.generation());
}

#[test]
fn soft_purges_and_purges_of_renditions_make_stale_and_hard_ones_remove() {
    let (purges, key) = (PurgeLog::default(), SourceKey::numbered(1));
    let kept = record(1, &[], 0);
    let keys = vec![RenditionKey::numbered(1)];
    purged(&purges, Target::Renditions { source: key, keys }, false);
    assert_eq!(purges.check(&key, &kept), PurgeEffect::Stale(now()));
    purged(&purges, Target::Source(key), true);
    assert_eq!(purges.check(&key, &kept), PurgeEffect::Stale(now()));
    let name = SourceName::numbered(1);
    assert_eq!(purges.epoch(&name, &[], u64::MAX), 0);
    let number = purged(&purges, Target::Everything, false);
    assert_eq!(purges.check(&key, &kept), PurgeEffect::Removed);
    assert_eq!(purges.epoch(&name, &[], u64::MAX), number);
    assert_eq!(purges.epoch(&name, &[], number - 1), 0);
}

#[test]
fn numbers_grow_when_the_clock_is_set_back() {
    let purges = PurgeLog::default();
    let first = purged(&purges, Target::Everything, true);
    let event = purges.next(
        Purge::hard(Target::Everything),
        UNIX_EPOCH + Duration::from_secs(1),
    );
    assert!(event.number > first);
    assert!(purges.learn(event.clone()) && !purges.learn(event));
}

#[test]
fn after_too_many_purges_older_records_are_uncertain() {
    let (purges, key) = (PurgeLog::default(), SourceKey::numbered(1));
    let kept = record(1, &[], 0);
    let name = SourceName::numbered(1);
    let first = PurgeEvent {
        number: 1,
        at: 1,
        purge: Purge::hard(Target::Source(key)),
        folded: false,
    };
    assert!(purges.learn(first));
    assert_eq!(purges.epoch(&name, &[], u64::MAX), 1);
    for number in 2..=MAX_EVENTS as u64 + 1 {
        purges.learn(PurgeEvent {
            number,
            at: 1,
            purge: Purge::hard(Target::Tag(tag(&format!("t{number}")))),
            folded: false,
        });
    }
    assert!(purges.events().len() <= MAX_EVENTS / 2 + 1);
    assert!(matches!(
        purges.check(&key, &kept),
        PurgeEffect::Uncertain(_)
    ));
    // What was made before the first purge has a key that nobody asks for again.
    assert!(purges.epoch(&name, &[], u64::MAX) > 1);
}

#[test]
fn an_event_is_parsed_as_it_was_written() {
    let keys = vec![RenditionKey::numbered(1), RenditionKey::numbered(2)];
    let source = SourceKey::numbered(1);
    for target in [
        Target::Source(source),
        Target::Renditions { source, keys },
        Target::Prefix("zone:/a".to_owned()),
        Target::Tag(tag("t")),
        Target::Everything,
    ] {
        let event = PurgeLog::default().next(Purge { target, soft: true }, now());
        let text = serde_json::to_string(&event).expect("plain data");
        let read: PurgeEvent = serde_json::from_str(&text).expect("just written");
        assert_eq!(read, event, "{text}");
    }
}
