//! The sources that may be read, and the canonical spelling of each.

use proptest::prelude::ProptestConfig;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;
use url::Url;

use super::policy;
use super::request;
use crate::policy::{Denial, SourceLocation};

fn source(origin: &str, source: &str) -> Result<String, Denial> {
    let request = request(
        &format!("/cdn-cgi/image/width=8/{source}"),
        &[("host", "zone.test")],
    );
    policy(origin)
        .admit(&request)
        .map(|job| job.source.canonical())
}

#[track_caller]
fn check(origin: &str, asked: &str, canonical: &str) {
    assert_eq!(
        source(origin, asked).as_deref(),
        Ok(canonical),
        "{origin} {asked}"
    );
}

#[test]
fn section_8_zone_paths_belong_to_the_zone() {
    for (origin, query) in [("file:photos", ""), ("http://origin.test/base", "?v=1")] {
        check(origin, "a/b%20c.jpg", "zone:/a/b%20c.jpg");
        check(origin, "//a.jpg?v=1", &format!("zone:/a.jpg{query}"));
        check(origin, "../../a.jpg", "zone:/a.jpg");
        check(
            origin,
            "https://zone.test/a.jpg?v=1",
            &format!("zone:/a.jpg{query}"),
        );
        check(origin, "http://ZONE.test./a.jpg", "zone:/a.jpg");
        check(origin, "a...b/..c", "zone:/a...b/..c");
        check(origin, "a%2Fb.jpg", "zone:/a%2Fb.jpg");
    }
}

#[test]
fn the_last_segment_is_decoded_once() {
    for (origin, asked, expected) in [
        ("file:photos", "a/b%20c.jpg", "b c.jpg"),
        ("file:photos", "a/b.jpg?v=/c.png", "b.jpg"),
        ("file:photos", "a/", ""),
        ("file:photos", "a%2Fb%2520c.jpg", "a/b%20c.jpg"),
        ("file:photos", "%ff.jpg", "\u{fffd}.jpg"),
        ("http://origin.test/base", "a.jpg?v=/c.png", "a.jpg"),
        ("bucket:photos", "a/b%20c+d%2525.jpg", "b c+d%25.jpg"),
        (
            "file:photos",
            "https://b.com/x/k%C3%A4se.jpg?v=/1",
            "k\u{e4}se.jpg",
        ),
        ("file:photos", "https://b.com", ""),
    ] {
        let request = request(&format!("/cdn-cgi/image/width=8/{asked}"), &[]);
        let job = policy(origin).admit(&request).expect(asked);
        assert_eq!(job.source.last_segment(), expected, "{origin} {asked}");
    }
}

#[test]
fn zone_paths_cannot_hide_dot_segments() {
    for origin in ["file:photos", "http://origin.test/base", "bucket:photos"] {
        for path in [
            "..%2f..%2fetc%2fpasswd",
            "a/..%5c..%5cb",
            "a%2f..%2fb",
            "%2e%2e%2fa",
            "a%2f.",
            "a%00b",
            "https://zone.test/..%2Fa",
        ] {
            assert_eq!(
                source(origin, path),
                Err(Denial::PathNotAllowed),
                "{origin} {path}"
            );
        }
    }
}

#[test]
fn a_file_is_one_source_whatever_its_query() {
    for asked in [
        "a.jpg",
        "a.jpg?",
        "a.jpg?v=1",
        "a.jpg%3Fv=2",
        "https://zone.test/a.jpg?v=3&v=4",
    ] {
        let expected = if asked.contains('%') {
            "zone:/a.jpg%3Fv=2"
        } else {
            "zone:/a.jpg"
        };
        check("file:photos", asked, expected);
    }
    check("http://origin.test", "a.jpg?v=1", "zone:/a.jpg?v=1");
}

#[test]
fn a_bucket_may_be_the_zone() {
    check(
        "bucket:photos",
        "a/b%20c+d.jpg?v=1",
        "bucket:photos/a/b c+d.jpg",
    );
    check(
        "bucket:photos",
        "https://zone.test/a.jpg",
        "bucket:photos/a.jpg",
    );
    check(
        "bucket:photos",
        "https://b.s3.eu-west-1.amazonaws.com/a.jpg",
        "bucket:photos/a.jpg",
    );
    assert_eq!(source("bucket:photos", "/"), Err(Denial::PathNotAllowed));
    assert_eq!(source("bucket:photos", "%ff"), Err(Denial::PathNotAllowed));
}

#[test]
fn urls_on_the_server_of_the_zone_belong_to_the_zone() {
    check(
        "http://origin.test:8080/base",
        "http://origin.test:8080/base/a.jpg?v=1",
        "zone:/a.jpg?v=1",
    );
    for url in [
        "http://origin.test:8080/a.jpg",
        "http://origin.test/base/a.jpg",
        "https://origin.test:8080/base/a.jpg",
    ] {
        assert!(
            matches!(
                source("http://origin.test:8080/base", url),
                Err(Denial::SourceNotAllowed { .. })
            ),
            "{url}"
        );
    }
    assert_eq!(
        source("http://origin.test", "http://origin.test/..%2fa"),
        Err(Denial::PathNotAllowed)
    );
}

#[test]
fn configured_buckets_are_recognised_in_every_spelling() {
    for url in [
        "https://b.s3.eu-west-1.amazonaws.com/a/k.jpg",
        "https://s3.eu-west-1.amazonaws.com/b/a/k.jpg",
        "https%3A%2F%2Fb.s3.amazonaws.com%2Fa%2Fk.jpg%3FX-Amz-Algorithm%3DAWS4-HMAC-SHA256%26X-Amz-Signature%3D00",
        "https://b.s3.eu-west-1.amazonaws.com/a/k.jpg?v=2",
    ] {
        check("file:photos", url, "bucket:photos/a/k.jpg");
    }
    check(
        "file:photos",
        "http://minio.test:9000/uploads/k.jpg",
        "bucket:local/k.jpg",
    );
    check(
        "file:photos",
        "http://uploads.minio.test:9000/k.jpg",
        "bucket:local/k.jpg",
    );
}

#[test]
fn keys_with_empty_segments_are_keys_of_their_own() {
    for (asked, key) in [
        (
            "https://b.s3.eu-west-1.amazonaws.com//lead.png",
            "/lead.png",
        ),
        (
            "https://b.s3.eu-west-1.amazonaws.com/%2Flead.png",
            "/lead.png",
        ),
        (
            "https://s3.eu-west-1.amazonaws.com/b//lead.png",
            "/lead.png",
        ),
        (
            "https%3A%2F%2Fb.s3.amazonaws.com%2F%2Flead.png",
            "/lead.png",
        ),
        ("https://b.s3.eu-west-1.amazonaws.com/lead.png", "lead.png"),
        (
            "https://b.s3.eu-west-1.amazonaws.com/b//c.png?X-Amz-Signature=00",
            "b//c.png",
        ),
        ("https://b.s3.eu-west-1.amazonaws.com/trail/", "trail/"),
        // The slashes in front of a path are no part of it.
        ("lead.png", "lead.png"),
        ("//lead.png", "lead.png"),
        ("https://zone.test//lead.png", "lead.png"),
        ("%2Flead.png", "/lead.png"),
        ("/%2flead.png", "/lead.png"),
        ("%2F%2Flead.png", "//lead.png"),
        ("b//c.png", "b//c.png"),
        ("b%2F%2Fc.png", "b//c.png"),
        ("trail/", "trail/"),
    ] {
        check("bucket:photos", asked, &format!("bucket:photos/{key}"));
    }
    for (asked, canonical) in [
        ("b//c.png", "zone:/b//c.png"),
        ("//b//c.png", "zone:/b//c.png"),
        ("trail/", "zone:/trail/"),
        ("https://b.com//lead.png", "https://b.com//lead.png"),
    ] {
        check("http://origin.test", asked, canonical);
    }
}

#[test]
fn section_8_other_sources_need_an_entry() {
    check(
        "file:photos",
        "https://b.com/a.jpg?v=1",
        "https://b.com/a.jpg?v=1",
    );
    check(
        "file:photos",
        "https://B.com.:443/a.jpg",
        "https://b.com/a.jpg",
    );
    check(
        "file:photos",
        "https://x.c.com/themes/a.jpg",
        "https://x.c.com/themes/a.jpg",
    );
    let presigned = "https://other.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=00";
    check("file:photos", presigned, presigned);
    for (url, host) in [
        ("https://evil.test/a.jpg", "evil.test"),
        ("https://media.b.com/a.jpg", "media.b.com"),
        ("https://x.c.com/a.jpg", "x.c.com"),
        ("https://b.com:8443/a.jpg", "b.com"),
        (
            "https://b.s3.us-east-1.amazonaws.com/k",
            "b.s3.us-east-1.amazonaws.com",
        ),
        ("http://minio.test:9000/other/k", "minio.test"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
        ("https://zone.test:8443/a.jpg", "zone.test"),
    ] {
        let denied = source("file:photos", url).expect_err(url);
        assert_eq!(
            denied,
            Denial::SourceNotAllowed {
                host: host.to_owned()
            },
            "{url}"
        );
        assert_eq!(
            denied.to_string(),
            format!(
                "source host `{host}` is not in the list of allowed origins: see `sources.allowed` and `--allow`"
            )
        );
    }
}

#[test]
fn section_8_redirects_are_checked_against_the_same_list() {
    let allowlist = policy("file:photos").allowlist();
    for url in [
        "ftp://b.com/a",
        "file:///etc/passwd",
        "https://u:p@b.com/a",
        "https://u@b.s3.eu-west-1.amazonaws.com/k",
        "data:,a",
    ] {
        let url = Url::parse(url).expect("the table holds valid URLs");
        assert!(
            matches!(
                allowlist.approve(&url),
                Err(Denial::SourceNotAllowed { .. })
            ),
            "{url}"
        );
    }
    let url = Url::parse("https://b.com/a#top").expect("a valid URL");
    assert_eq!(
        allowlist
            .approve(&url)
            .map(|source| source.canonical())
            .as_deref(),
        Ok("https://b.com/a")
    );
}

#[test]
fn every_way_to_encode_one_path_is_one_source() {
    let policy = policy("http://origin.test");
    let allowlist = policy.allowlist();
    for (spelling, canonical) in [
        ("/%61.jpg", "zone:/a.jpg"),
        ("/a%2ejpg?v=%31", "zone:/a.jpg?v=1"),
        ("/a%2fb%c3%A9%7e.jpg", "zone:/a%2Fb%C3%A9~.jpg"),
        ("/a%2541.jpg", "zone:/a%2541.jpg"),
        ("/100%25.jpg?100%", "zone:/100%25.jpg?100%"),
    ] {
        let source = allowlist.approve_zone(spelling).expect(spelling);
        assert_eq!(source.canonical(), canonical, "{spelling}");
    }
    let url = Url::parse("https://b.com/%7Ea%2f%41").expect("a valid URL");
    let source = allowlist.approve(&url).expect("an allowed origin");
    assert_eq!(source.canonical(), "https://b.com/~a%2FA");
    assert!(
        matches!(source.location(), SourceLocation::Http(asked) if *asked == url),
        "the origin is asked for what was written"
    );
}

#[test]
fn a_url_on_the_host_of_the_request_leads_to_the_zone_only() {
    let request = request(
        "/cdn-cgi/image/width=8/https://evil.test/a.jpg",
        &[("host", "evil.test")],
    );
    let job = policy("file:photos")
        .admit(&request)
        .expect("a path of the zone");
    assert_eq!(job.source.canonical(), "zone:/a.jpg");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_approved_url_is_approved_again_as_itself(
        host in "(b\\.com|x\\.c\\.com|b\\.s3\\.amazonaws\\.com|s3\\.eu-west-1\\.amazonaws\\.com|minio\\.test:9000|origin\\.test)\\.?",
        path in "(/themes|/b|/uploads)?[/\\\\.%0-9a-f?#&=+ \u{e9}]{0,24}",
    ) {
        for origin in ["file:photos", "http://origin.test", "bucket:photos"] {
            let allowlist = policy(origin).allowlist();
            let Ok(url) = Url::parse(&format!("http://{host}{path}")) else { continue };
            let Ok(first) = allowlist.approve(&url) else { continue };
            let again = match first.location() {
                SourceLocation::Zone { .. } => allowlist.approve_zone(first.canonical().trim_start_matches("zone:")),
                SourceLocation::Http(url) => allowlist.approve(url),
                SourceLocation::Hosted { .. } => return Err(proptest::test_runner::TestCaseError::fail("no URL is a hosted image")),
                SourceLocation::Bucket { key, .. } => {
                    prop_assert!(!key.is_empty() && !key.split('/').any(|segment| matches!(segment, "." | "..")), "{}", key);
                    continue;
                }
            };
            prop_assert_eq!(again.map(|source| source.canonical()), Ok(first.canonical()));
        }
    }

    #[test]
    fn an_approved_zone_path_stays_in_the_zone(path in "[/\\\\.%25cfF0-9a-z?:@ \u{e9}]{0,32}") {
        for origin in ["file:photos", "bucket:photos"] {
            let allowlist = policy(origin).allowlist();
            let Ok(source) = allowlist.approve_zone(&path) else { continue };
            if let SourceLocation::Zone { path, .. } = source.location() {
                prop_assert!(path.starts_with('/') && !path.starts_with("//"), "{}", path);
                let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
                let mut segments = decoded.split(|&byte| matches!(byte, b'/' | b'\\'));
                prop_assert!(!segments.any(|segment| matches!(segment, b"." | b"..")), "{}", path);
            }
        }
    }
}
