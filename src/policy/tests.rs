//! Whole requests against a policy, and arbitrary sources.

use hyper::Request;
use proptest::prelude::ProptestConfig;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;
use url::Url;

use super::*;
use crate::bucket;
use crate::options::Output;
use crate::request::Prefixes;

const BUCKETS: &str = "
    [[bucket]]
    name = 'photos'
    bucket = 'b'
    region = 'eu-west-1'
    [[bucket]]
    name = 'local'
    bucket = 'uploads'
    endpoint = 'http://minio.test:9000'
";

fn buckets() -> Vec<BucketAddress> {
    #[derive(Deserialize)]
    struct File {
        bucket: Vec<bucket::Config>,
    }
    let file: File = toml::from_str(BUCKETS).expect("the sections are valid");
    file.bucket
        .iter()
        .map(|config| BucketAddress::of(config).expect("the sections name buckets"))
        .collect()
}

fn zone(origin: &str) -> ZoneOrigin {
    ZoneOrigin::try_from(origin.to_owned()).expect("the tables hold origins")
}

fn policy(origin: &str) -> Policy {
    let allowed = "allowed = ['b.com', '*.c.com/themes', 'other.s3.eu-west-1.amazonaws.com']";
    let config = Config {
        sources: toml::from_str(allowed).expect("the entries are valid"),
        ..Config::default()
    };
    Policy::new(&config, zone(origin), buckets()).expect("the settings fit together")
}

fn request(target: &str, headers: &[(&str, &str)]) -> ImageRequest {
    let mut head = Request::builder().uri(target);
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    let head = head
        .body(())
        .expect("the tables hold valid requests")
        .into_parts()
        .0;
    ImageRequest::parse(&head, &Prefixes::default()).expect(target)
}

fn source(origin: &str, source: &str) -> Result<String, Denied> {
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
    for origin in ["file:photos", "http://origin.test/base"] {
        check(origin, "a/b%20c.jpg", "zone:/a/b%20c.jpg");
        check(origin, "//a.jpg?v=1", "zone:/a.jpg?v=1");
        check(origin, "../../a.jpg", "zone:/a.jpg");
        check(origin, "https://zone.test/a.jpg?v=1", "zone:/a.jpg?v=1");
        check(origin, "http://ZONE.test./a.jpg", "zone:/a.jpg");
        check(origin, "a...b/..c", "zone:/a...b/..c");
        check(origin, "a%2Fb.jpg", "zone:/a%2Fb.jpg");
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
                Err(Denied::PathNotAllowed),
                "{origin} {path}"
            );
        }
    }
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
    assert_eq!(source("bucket:photos", "/"), Err(Denied::PathNotAllowed));
    assert_eq!(source("bucket:photos", "%ff"), Err(Denied::PathNotAllowed));
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
                Err(Denied::SourceNotAllowed { .. })
            ),
            "{url}"
        );
    }
    assert_eq!(
        source("http://origin.test", "http://origin.test/..%2fa"),
        Err(Denied::PathNotAllowed)
    );
}

#[test]
fn configured_buckets_are_known_in_every_spelling() {
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
            Denied::SourceNotAllowed {
                host: host.to_owned()
            },
            "{url}"
        );
        assert_eq!(
            denied.to_string(),
            format!("source host `{host}` is not in the list of allowed origins")
        );
    }
}

#[test]
fn section_8_redirects_are_judged_by_the_same_list() {
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
                Err(Denied::SourceNotAllowed { .. })
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
    let policy = policy("file:photos");
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
        matches!(source.place(), Place::Http(asked) if *asked == url),
        "the origin is asked for what was written"
    );
}

#[test]
fn a_claimed_host_leads_to_the_zone_only() {
    let request = request(
        "/cdn-cgi/image/width=8/https://evil.test/a.jpg",
        &[("host", "evil.test")],
    );
    let job = policy("file:photos")
        .admit(&request)
        .expect("a path of the zone");
    assert_eq!(job.source.canonical(), "zone:/a.jpg");
}

#[test]
fn section_6_2_image_proxies_are_denied() {
    let request = request(
        "/cdn-cgi/image/width=8/a.jpg",
        &[("via", "1.1 image-resizing")],
    );
    assert_eq!(policy("file:photos").admit(&request), Err(Denied::Loop));
}

#[test]
fn a_job_carries_the_warnings_of_the_request() {
    let request = request(
        "/cdn-cgi/image/width=8,fit=cover,dpr=9/a.jpg",
        &[("accept", "image/avif")],
    );
    let job = policy("file:photos")
        .admit(&request)
        .expect("a path of the zone");
    let warnings: Vec<String> = job.warnings.iter().map(Warning::to_string).collect();
    assert_eq!(
        warnings,
        [
            "dpr > 3 should never be used",
            "cover fit mode needs both width and height"
        ]
    );
    assert!(policy("file:photos").consulted(&request).is_empty());
}

#[test]
fn next_image_depends_on_accept() {
    let request = request(
        "/_next/image?url=%2Fa.jpg&w=640&q=75",
        &[("accept", "image/webp")],
    );
    let job = policy("file:photos")
        .admit(&request)
        .expect("a path of the zone");
    let vary = policy("file:photos").consulted(&request);
    assert_eq!(vary.to_string(), "Accept");
    let Recipe {
        width,
        quality,
        output,
        ..
    } = job.recipe;
    assert_eq!(
        (width, quality.get(), output),
        (Some(640), 75, Output::Webp)
    );
}

#[test]
fn settings_must_fit_together() {
    let error = Policy::new(&Config::default(), zone("bucket:nowhere"), buckets())
        .expect_err("no such bucket");
    assert_eq!(
        error.to_string(),
        "zone origin `bucket:nowhere` must be the `name` of a [[bucket]] section"
    );
    let twice = [buckets(), buckets()].concat();
    let error = Policy::new(&Config::default(), ZoneOrigin::default(), twice)
        .expect_err("two of each name");
    assert_eq!(error, PolicyError::DuplicateBucket("photos".to_owned()));
}

#[test]
fn sections_refuse_unknown_keys() {
    toml::from_str::<SourcesConfig>("allow = []").expect_err("no such key");
    toml::from_str::<ZoneConfig>("source = 'file:a'").expect_err("no such key");
    let error =
        toml::from_str::<SourcesConfig>("allowed = ['https://b.com']").expect_err("a scheme");
    assert!(error.message().contains("leave the scheme out"), "{error}");
    assert_eq!(
        toml::from_str::<ZoneConfig>("").expect("it has a default"),
        ZoneConfig::default()
    );
}

/// Where a client is sent that asked on `host` for a redirect on error.
fn fallback(origin: &str, host: &str, source: &str) -> Option<String> {
    let target = format!("/cdn-cgi/image/width=8,onerror=redirect/{source}");
    policy(origin).fallback(&request(&target, &[("host", host)]))
}

#[test]
fn section_2_15_the_source_stands_in_on_the_same_zone() {
    #[track_caller]
    fn check(source: &str, location: Option<&str>) {
        for origin in ["file:photos", "http://origin.test/base", "bucket:photos"] {
            assert_eq!(
                fallback(origin, "zone.test", source).as_deref(),
                location,
                "{origin} {source}"
            );
        }
    }
    check(
        "uploads/a%20b.jpg?v=1&w=2",
        Some("/uploads/a%20b.jpg?v=1&w=2"),
    );
    check("//a.jpg", Some("/a.jpg"));
    check("https://zone.test/a.jpg?x", Some("/a.jpg?x"));
    check("http://ZONE.test.:80/a.jpg", Some("/a.jpg"));
    check("https%3A%2F%2Fzone.test%2Fa%2520b.jpg", Some("/a%20b.jpg"));
    check("https://b.com/a.jpg", None);
    check("https://zone.test:8443/a.jpg", None);
    check("https://evilzone.test/a.jpg", None);
    check("https://zone.test.b.com/a.jpg", None);
    // Below the own host, but not among the sources.
    check("https://img.zone.test/a.jpg", None);
}

#[test]
fn section_2_15_subdomains_count() {
    let at = |host, source| fallback("file:photos", host, source);
    let url = "https://x.c.com/themes/a.jpg?v=1";
    assert_eq!(at("c.com", url).as_deref(), Some(url));
    assert_eq!(at("x.c.com", url).as_deref(), Some("/themes/a.jpg?v=1"));
    assert_eq!(at("y.c.com", url), None);
    assert_eq!(at("c.com", "https://x.c.com/themes/..%2fa.jpg"), None);
    assert_eq!(at("c.com", "https://x.c.com/private/a.jpg"), None);
}

#[test]
fn section_2_15_no_source_is_another_host() {
    for source in [
        "//evil.com",
        "///evil.com/a.jpg",
        "\\\\evil.com",
        "/\\evil.com",
        "https://zone.test//evil.com/a.jpg",
        "https://zone.test/\\evil.com/a.jpg",
        "https://zone.test///\\/evil.com/a.jpg",
        "https:%2F%2Fzone.test%2F%2Fevil.com",
        "https:%2F%2Fzone.test%2F%5Cevil.com",
        "..//evil.com",
        "a/..//..//evil.com",
        "@evil.com",
        ":80@evil.com",
    ] {
        let location = fallback("file:photos", "zone.test", source).expect(source);
        let base = Url::parse("https://zone.test/cdn-cgi/image/x/y").expect("a valid URL");
        let target = base.join(&location).expect("a valid reference");
        assert_eq!(target.host_str(), Some("zone.test"), "{source} {location}");
        assert!(
            location.starts_with('/') && !location[1..].starts_with(['/', '\\']),
            "{source} {location}"
        );
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    // What a server between might decode into the start of another host.
    for source in [
        "%2Fevil.com",
        "/%2f%2fevil.com",
        "%5Cevil.com",
        "%09%2Fevil.com",
        "%0D%0A%5Cevil.com",
        "%20//evil.com",
        "%00/evil.com",
        "%20",
        "https://zone.test/%2F%2Fevil.com",
        "..%2f..%2fetc%2fpasswd",
        "/",
    ] {
        assert_eq!(
            fallback("file:photos", "zone.test", source),
            None,
            "{source}"
        );
    }
}

#[test]
fn section_2_15_only_who_asks_is_sent_away() {
    let policy = policy("file:photos");
    let sent = |options: &str| {
        let request = request(
            &format!("/cdn-cgi/image/{options}/a.jpg"),
            &[("host", "zone.test")],
        );
        (
            policy.fallback(&request).is_some(),
            policy.admit(&request).is_ok(),
        )
    };
    assert_eq!(sent("width=8"), (false, true));
    assert_eq!(sent("width=8,onerror=nothing"), (false, true));
    assert_eq!(sent("width=8,onerror=redirect"), (true, true));
    assert_eq!(sent("width=8,onerror=redirect,onerror=x"), (false, true));
    // Options that make no sense at all do not take that away.
    assert_eq!(sent("blur=300,onerror=redirect"), (true, false));
    assert_eq!(sent("nonsense,onerror=redirect"), (true, false));
    assert_eq!(sent("w=%zz,onerror=redirect"), (true, false));
    assert_eq!(sent("w=%zz,onerror%3Dredirect"), (false, false));
}

#[test]
fn strict_mode_refuses_what_does_not_count() {
    let strict = Config {
        strict: true,
        ..Config::default()
    };
    let strict = Policy::new(&strict, zone("file:photos"), Vec::new()).expect("one setting");
    let admit = |options: &str| {
        let head = [("host", "zone.test")];
        strict.admit(&request(&format!("/cdn-cgi/image/{options}/a.jpg"), &head))
    };
    assert!(admit("width=8,format=auto,onerror=redirect").is_ok());
    let denied = admit("width=8,height=,bogus=1,gravity=left,fit=cover").expect_err("four reasons");
    assert_eq!(
        denied.to_string(),
        "strict mode: option `height` is empty; option `bogus` is unknown; cover fit mode needs both width and height; \
         option `gravity` counts only where fit is cover, crop or aspect-crop and there are width and height"
    );
    assert!(matches!(admit("blur=300"), Err(Denied::Strict(_))));
    assert!(matches!(
        admit("width=99999"),
        Err(Denied::OutputTooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_redirect_never_leaves_the_zone(source in "(https?:/{1,3}zone.test|https:%2F%2Fzone.test%2F)?[/\\\\.%@:?#0259cdefF a-d]{0,24}") {
        let target = format!("/cdn-cgi/image/width=8,onerror=redirect/{source}");
        if let Ok(head) = Request::builder().uri(target).header("host", "zone.test").body(())
            && let Ok(request) = ImageRequest::parse(&head.into_parts().0, &Prefixes::default())
            && let Some(location) = policy("file:photos").fallback(&request)
        {
            let base = Url::parse("https://zone.test/cdn-cgi/image/x/y").expect("a valid URL");
            let reached = base.join(&location).expect("a valid reference");
            prop_assert_eq!(reached.host_str(), Some("zone.test"), "{}", location);
            let decoded = percent_encoding::percent_decode_str(&location).decode_utf8_lossy();
            let reached = base.join(&decoded).expect("a valid reference");
            prop_assert_eq!(reached.host_str(), Some("zone.test"), "{}", location);
        }
    }

    #[test]
    fn an_approved_url_is_approved_again_as_itself(
        host in "(b\\.com|x\\.c\\.com|b\\.s3\\.amazonaws\\.com|s3\\.eu-west-1\\.amazonaws\\.com|minio\\.test:9000|origin\\.test)\\.?",
        path in "(/themes|/b|/uploads)?[/\\\\.%0-9a-f?#&=+ \u{e9}]{0,24}",
    ) {
        for origin in ["file:photos", "http://origin.test", "bucket:photos"] {
            let allowlist = policy(origin).allowlist();
            let Ok(url) = Url::parse(&format!("http://{host}{path}")) else { continue };
            let Ok(first) = allowlist.approve(&url) else { continue };
            let again = match first.place() {
                Place::Zone { .. } => allowlist.approve_zone(first.canonical().trim_start_matches("zone:")),
                Place::Http(url) => allowlist.approve(url),
                Place::Bucket { key, .. } => {
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
            if let Place::Zone { path, .. } = source.place() {
                prop_assert!(path.starts_with('/') && !path.starts_with("//"), "{}", path);
                let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
                let mut segments = decoded.split(|&byte| matches!(byte, b'/' | b'\\'));
                prop_assert!(!segments.any(|segment| matches!(segment, b"." | b"..")), "{}", path);
            }
        }
    }

    #[test]
    fn every_request_is_admitted_or_denied(target in "/cdn-cgi/image/[a-z=,0-9.]{1,16}/[ -~]{0,40}") {
        if let Ok(head) = Request::builder().uri(target).header("host", "zone.test").body(())
            && let Ok(request) = ImageRequest::parse(&head.into_parts().0, &Prefixes::default())
        {
            let _ = policy("http://origin.test").admit(&request);
        }
    }
}
