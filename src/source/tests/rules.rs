//! Freshness and tags of responses, under the rules of their source.

use std::time::{Duration, SystemTime};

use crate::freshness::{Tag, Validators};
use crate::policy::{SourcePattern, ZoneOrigin};
use crate::source::tests::origin::{TestOrigin, answer, header, redirect, target};
use crate::source::tests::{bucket, config, no_zone, test_sources_with_rules, world};
use crate::source::{FetchOutcome, FetchedSource, RuleConfig, SourceError};

/// The length of a source that is too large, in bytes.
const TOO_LARGE: usize = (1 << 20) + 1;

fn pattern(text: &str) -> SourcePattern {
    SourcePattern::try_from(text.to_owned()).expect("sources")
}

/// A rule with a minimum of so many hours, and a tag.
fn rule(sources: &str, hours: u64, tag: &str) -> RuleConfig {
    RuleConfig {
        sources: vec![pattern(sources)],
        min_ttl: format!("{hours} h").parse().ok(),
        tags: vec![Tag::new(tag).expect("a tag")],
        ..RuleConfig::default()
    }
}

#[track_caller]
fn fetched(answer: Result<FetchOutcome, SourceError>) -> FetchedSource {
    match answer {
        Ok(FetchOutcome::Fetched(fetched)) => fetched,
        other => panic!("expected content, got {other:?}"),
    }
}

#[track_caller]
fn check(fetched: FetchedSource, hours: u64, tags: &[&str]) {
    let lifetime = fetched.freshness.lifetime();
    assert_eq!(lifetime, Duration::from_secs(hours * 60 * 60));
    let found = fetched.tags.into_tags();
    let found: Vec<&str> = found.iter().map(Tag::as_str).collect();
    assert_eq!(found, tags);
}

#[tokio::test]
async fn all_kinds_of_sources_get_their_rules_and_tags() {
    let origin = TestOrigin::start(|_| answer(200, "Cache-Tag: Cat, dog\r\n", b"cat")).await;
    let rules = [
        rule("zone", 2, "of-zone"),
        rule("bucket:photos", 3, "of-bucket"),
        rule(&format!("{}/themes", origin.authority()), 4, "of-themes"),
    ];
    let world = test_sources_with_rules(
        &config(),
        ZoneOrigin::Http(origin.url("/zone")),
        &[origin.authority()],
        &[bucket(&origin.url(""))],
        &rules,
    );
    for (path, hours, tags) in [
        ("/zone/a", 2, &["of-zone", "cat", "dog"][..]),
        ("/my-bucket/a", 3, &["of-bucket", "cat", "dog"]),
        ("/themes/a", 4, &["of-themes", "cat", "dog"]),
        ("/a", 1, &["cat", "dog"]),
    ] {
        let source = world.allowlist.approve(&origin.url(path)).expect(path);
        check(
            fetched(world.sources.fetch(&source, None).await),
            hours,
            tags,
        );
    }

    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("a"), "cat").expect("a file within");
    let zone = ZoneOrigin::Folder(folder.path().to_owned());
    let world = test_sources_with_rules(&config(), zone, &[], &[], &rules[..1]);
    let source = world.allowlist.approve_zone("/a").expect("a path");
    check(
        fetched(world.sources.fetch(&source, None).await),
        2,
        &["of-zone"],
    );
}

#[tokio::test]
async fn a_redirect_does_not_change_the_rules() {
    let end = TestOrigin::start(|_| answer(200, "", b"cat")).await;
    let to = end.url("/end");
    let origin = TestOrigin::start(move |_| redirect(302, to.as_str())).await;
    let rules = [
        rule(&end.authority(), 2, "end"),
        rule(&origin.authority(), 3, "start"),
    ];
    let allowed = [origin.authority(), end.authority()];
    let world = test_sources_with_rules(&config(), no_zone(), &allowed, &[], &rules);
    let source = world.allowlist.approve(&origin.url("/start"));
    let source = source.expect("it is allowed");
    check(
        fetched(world.sources.fetch(&source, None).await),
        3,
        &["start"],
    );
}

#[tokio::test]
async fn a_304_gets_rules_and_tags_too() {
    let origin = TestOrigin::start(|head| {
        if header(head, "if-none-match").is_none() {
            return answer(200, "ETag: \"1\"\r\n", b"cat");
        }
        match target(head) {
            "/tagged" => answer(304, "Cache-Tag: new\r\n", b""),
            _ => answer(304, "", b""),
        }
    })
    .await;
    let rules = [rule(&origin.authority(), 2, "ours")];
    let world = test_sources_with_rules(&config(), no_zone(), &[origin.authority()], &[], &rules);
    let known = Validators {
        etag: Some("\"1\"".to_owned()),
        last_modified: None,
    };
    let old = [Tag::new("old").expect("a tag")];
    for (path, expected) in [("/tagged", ["ours", "new"]), ("/untagged", ["ours", "old"])] {
        let source = world.allowlist.approve(&origin.url(path)).expect(path);
        match world.sources.fetch(&source, Some(&known)).await {
            Ok(FetchOutcome::NotModified {
                freshness, tags, ..
            }) => {
                assert_eq!(freshness.lifetime(), Duration::from_secs(2 * 60 * 60));
                assert!(freshness.is_fresh(SystemTime::now()));
                let tags = tags.renewing(&old);
                let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
                assert_eq!(tags, expected);
            }
            other => panic!("{path}: expected no change, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn errors_have_the_negative_ttl_of_their_origin() {
    let held = async |status: u16, headers: &'static str, path: &str| {
        // Too large for a source.
        let body = if status == 200 {
            vec![0; TOO_LARGE]
        } else {
            Vec::new()
        };
        let origin = TestOrigin::start(move |_| answer(status, headers, &body)).await;
        let buckets = [bucket(&origin.url(""))];
        let world = world(&config(), no_zone(), &[origin.authority()], &buckets);
        let source = world.allowlist.approve(&origin.url(path)).expect(path);
        let answer = world.sources.fetch(&source, None).await;
        answer.expect_err("nothing here is a source").negative_ttl()
    };
    for path in ["/a", "/my-bucket/a"] {
        for status in [404, 410, 200] {
            for (headers, seconds) in [
                ("", None),
                ("Cache-Control: no-store\r\n", Some(0)),
                ("Cache-Control: max-age=60\r\nAge: 57\r\n", Some(3)),
            ] {
                let held = held(status, headers, path).await;
                let seconds = seconds.map(Duration::from_secs);
                assert_eq!(held, seconds, "{path}: {status} {headers}");
            }
        }
    }
}
