//! The `Location` for clients that ask for a redirect on error: the source, and never another host.

use hyper::Request;
use proptest::prelude::ProptestConfig;
use proptest::prop_assert_eq;
use proptest::proptest;
use url::Url;

use super::policy;
use super::request;
use crate::request::{ImageRequest, Prefixes};

/// The `Location` for a request on `host` with `onerror=redirect`.
fn fallback(origin: &str, host: &str, source: &str) -> Option<String> {
    let target = format!("/cdn-cgi/image/width=8,onerror=redirect/{source}");
    policy(origin).fallback(&request(&target, &[("host", host)]))
}

#[test]
fn section_2_15_a_source_on_the_zone_takes_the_place_of_the_picture() {
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
    // A subdomain, but not an allowed source.
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
fn section_2_15_a_path_never_names_another_host() {
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
    // A proxy could decode these into the start of another host.
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
fn section_2_15_only_requests_with_the_option_are_redirected() {
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
    // The option works even where all others are malformed.
    assert_eq!(sent("blur=300,onerror=redirect"), (true, false));
    assert_eq!(sent("nonsense,onerror=redirect"), (true, false));
    assert_eq!(sent("w=%zz,onerror=redirect"), (true, false));
    assert_eq!(sent("w=%zz,onerror%3Dredirect"), (false, false));
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
}
