//! Where the source begins, the forms that it may have, and whose host it is on.

use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use proptest::prelude::ProptestConfig;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;
use url::Url;

use super::check;
use super::head;
use super::parse;
use super::prefixes;
use crate::request::{ImageRequest, RequestError, SourceRef, SourceRefError};

#[test]
fn section_1_3_five_forms_of_a_source() {
    let source = "https://h.test/a%20b.jpg?v=1";
    for text in [
        source,
        "https%3A%2F%2Fh.test%2Fa%2520b.jpg%3Fv%3D1",
        "https%3a%2f%2fh.test%2fa%2520b.jpg%3fv=1",
        "https:%2F%2Fh.test%2Fa%2520b.jpg%3Fv=1",
        "https%3A%2F%2Fh.test%2Fa%20b.jpg%3Fv%3D1",
        "https:/h.test/a%20b.jpg?v=1",
        "https:////h.test/a%20b.jpg?v=1",
    ] {
        check(&format!("/cdn-cgi/image/width=8/{text}"), "width=8", source);
    }
    for text in ["uploads/a.jpg", "/uploads/a.jpg", "///uploads/a.jpg"] {
        check(
            &format!("/cdn-cgi/image/width=8/{text}"),
            "width=8",
            "/uploads/a.jpg",
        );
    }
    // Not a separator outside the encoded forms.
    check(
        "/cdn-cgi/image/width=8/a.jpg%3Fv=1",
        "width=8",
        "/a.jpg%3Fv=1",
    );
    assert!(matches!(
        parse("/cdn-cgi/image/width=8/data:image/png;base64,AAAA"),
        Err(RequestError::Source(SourceRefError::Scheme(_)))
    ));
}

#[test]
fn section_1_3_the_query_belongs_to_the_source() {
    check("/cdn-cgi/image/width=8/a.jpg?v=1", "width=8", "/a.jpg?v=1");
    check(
        "/cdn-cgi/image/width=8/https://h.test/a.jpg?v=1&w=2",
        "width=8",
        "https://h.test/a.jpg?v=1&w=2",
    );
}

#[test]
fn section_1_3_a_transformation_url_is_no_source() {
    for source in [
        "cdn-cgi/image/width=8/a.jpg",
        "/cdn-cgi/image/width=8/a.jpg",
        "//dynamic/image/width=8/a.jpg",
        "x/../cdn-cgi/image/width=8/a.jpg",
        "_next/image?url=/a.jpg",
        "https://zone.test/cdn-cgi/image/width=8/a.jpg",
        "http://ZONE.test./dynamic/image/width=8/a.jpg",
        "https%3A%2F%2Fzone.test%2Fcdn-cgi%2Fimage%2Fwidth=8%2Fa.jpg",
        "cdn-cgi/./image/width=8/a.jpg",
        "%63dn-cgi/image/width=8/a.jpg",
        "cdn-cgi%2Fimage%2Fwidth=8%2Fa.jpg",
        "x/%2E%2e/cdn-cgi/%69mage/width=8/a.jpg",
        "cdn-cgi\\image/width=8/a.jpg",
        "https:/zone.test:443//cdn-cgi/image/width=8/a.jpg",
        "https:%2F%2Fzone.test%2F%2563dn-cgi%2Fimage%2Fwidth=8%2Fa.jpg",
        "_next/%69mage?url=/a.jpg",
    ] {
        assert_eq!(
            parse(&format!("/cdn-cgi/image/width=8/{source}")),
            Err(RequestError::Loop),
            "{source}"
        );
    }
    assert_eq!(
        parse("/_next/image?url=%2F_next%2Fimage%3Furl%3D%252Fa&w=8&q=75"),
        Err(RequestError::Loop)
    );
    for source in [
        "https://other.test/cdn-cgi/image/width=8/a.jpg",
        "https://zone.test:8443/cdn-cgi/image/w=8/a",
        "uploads/cdn-cgi/image/a.jpg",
    ] {
        assert!(
            parse(&format!("/cdn-cgi/image/width=8/{source}")).is_ok(),
            "{source}"
        );
    }
}

#[test]
fn the_host_of_the_request_is_compared_with_its_port() {
    #[track_caller]
    fn check(target: &str, host: &str, url: &str, is_own: bool) {
        let request = ImageRequest::parse(&head("GET", target, &[("host", host)]), &prefixes())
            .expect("the target is sound");
        let url = Url::parse(url).expect("the table holds valid URLs");
        assert_eq!(request.is_own_host(&url), is_own, "{host} {url}");
    }
    let target = "/cdn-cgi/image/width=8/a.jpg";
    check(target, "Zone.test", "https://zone.test/a", true);
    check(target, "zone.test", "http://zone.test:80/a", true);
    check(target, "zone.test.", "https://zone.test./a", true);
    check(target, "zone.test:8080", "http://zone.test:8080/a", true);
    check(target, "zone.test:443", "https://zone.test/a", true);
    check(target, "[::1]:8080", "http://[::1]:8080/a", true);
    check(target, "zone.test", "https://zone.test:8443/a", false);
    check(target, "zone.test:8080", "http://zone.test/a", false);
    check(target, "zone.test.evil", "http://zone.test/a", false);
    check(target, "zone.testx", "http://zone.test/a", false);
    check(target, "img.zone.test", "http://zone.test/a", false);
    check(target, "zone.test", "http://img.zone.test/a", false);
    check(target, "not a host", "http://zone.test/a", false);
    // The authority of the target counts before the header.
    check(
        "http://zone.test/cdn-cgi/image/width=8/a.jpg",
        "other.test",
        "http://zone.test/a",
        true,
    );
    check(
        "http://zone.test/cdn-cgi/image/width=8/a.jpg",
        "other.test",
        "http://other.test/a",
        false,
    );
}

#[test]
fn section_2_15_subdomains_of_the_host_of_the_request() {
    #[track_caller]
    fn check(host: &str, url: &str, is_below: bool) {
        let target = "/cdn-cgi/image/width=8/a.jpg";
        let request = ImageRequest::parse(&head("GET", target, &[("host", host)]), &prefixes())
            .expect("the target is sound");
        let url = Url::parse(url).expect("the table holds valid URLs");
        assert_eq!(request.is_below_own_host(&url), is_below, "{host} {url}");
    }
    check("zone.test", "https://img.zone.test/a", true);
    check("Zone.test.", "https://a.b.ZONE.test./a", true);
    check("zone.test:8080", "http://img.zone.test:8080/a", true);
    check("zone.test", "https://zone.test/a", false);
    check("zone.test", "https://evilzone.test/a", false);
    check("zone.test", "https://zone.test.evil/a", false);
    check("zone.test", "https://img.zone.test:8443/a", false);
    check("zone.test:8080", "http://img.zone.test/a", false);
    check("img.zone.test", "https://zone.test/a", false);
    check("[::1]", "http://[::1]/a", false);
    check("[::1]:80", "http://a.test/", false);
    check("", "http://a.test/", false);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_source_is_total_and_keeps_its_shape(text in "(https?(:|%3A)?)?(%2F|[/\\\\.%a-f0-9:?@# \u{e9}]){0,40}") {
        for source in [SourceRef::parse(&text), SourceRef::parse_decoded(&text)].into_iter().flatten() {
            match source {
                SourceRef::Zone(path) => {
                    prop_assert!(path.starts_with('/') && !path.starts_with("//"), "{}", path);
                    prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{}", path);
                    // Reading it again changes nothing, so no dot segment is left.
                    prop_assert_eq!(SourceRef::parse(&path), Ok(SourceRef::Zone(path)));
                }
                SourceRef::Absolute(url) => {
                    prop_assert!(url.has_host() && url.username().is_empty() && url.fragment().is_none());
                    prop_assert_eq!(SourceRef::parse(url.as_str()), Ok(SourceRef::Absolute(url)));
                }
            }
        }
    }

    #[test]
    fn a_url_is_read_alike_encoded_or_as_the_query_of_next(path in "[a-z0-9/?&=+%~'\"<ü日😀 ]{0,24}") {
        let url = format!("https://h.test/{path}");
        let encoded = utf8_percent_encode(&url, NON_ALPHANUMERIC).to_string();
        let expected = Url::parse(&url).map(SourceRef::Absolute).expect("a sound URL");
        prop_assert_eq!(SourceRef::parse(&encoded), Ok(expected.clone()));
        let half = encoded.replacen("https%3A", "https:", 1);
        prop_assert_eq!(SourceRef::parse(&half), Ok(expected.clone()));
        let next = parse(&format!("/_next/image?url={encoded}&w=8&q=75")).map(|request| request.source);
        prop_assert_eq!(next, Ok(expected));
    }
}
