//! Whole requests, from tables and arbitrary ones.

mod generators;
mod sources;

use hyper::Request;
use hyper::header::ACCEPT;
use hyper::http::request::Parts;
use proptest::prelude::ProptestConfig;
use proptest::proptest;

use super::Accept;
use super::Dialect;
use super::ImageRequest;
use super::Prefixes;
use super::RequestError;
use super::SourceRef;
use super::SourceRefError;
use crate::options::Options;

fn prefixes() -> Prefixes {
    Prefixes::new(vec![
        "/cdn-cgi/image/".to_owned(),
        "/dynamic/image/".to_owned(),
    ])
    .expect("both are paths")
}

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(())
        .expect("the tables hold valid requests")
        .into_parts()
        .0
}

fn parse(target: &str) -> Result<ImageRequest, RequestError> {
    ImageRequest::parse(&head("GET", target, &[("host", "zone.test")]), &prefixes())
}

fn shown(source: &SourceRef) -> &str {
    match source {
        SourceRef::Zone(path) => path,
        SourceRef::Absolute(url) => url.as_str(),
    }
}

/// Options are compared by what they parse to, so that this table is about where they start and end.
#[track_caller]
fn check(target: &str, options: &str, source: &str) {
    let request = parse(target).unwrap_or_else(|error| panic!("{target}: {error}"));
    let (expected, _) = Options::parse(options).expect("the table holds valid options");
    assert_eq!(request.options.as_result(), Ok(&expected), "{target}");
    assert_eq!(shown(&request.source), source, "{target}");
}

#[test]
fn section_1_1_options_are_one_segment() {
    check("/cdn-cgi/image/width=8/a/b.jpg", "width=8", "/a/b.jpg");
    check("/dynamic/image/width=8/a/b.jpg", "width=8", "/a/b.jpg");
    check("/cdn-cgi/image/flow/width=8/a.jpg", "width=8", "/a.jpg");
    check(
        "/cdn-cgi/image/width=8/flow/a.jpg",
        "width=8",
        "/flow/a.jpg",
    );
    for adapter in ["fastly", "akamai"] {
        assert_eq!(
            parse(&format!("/cdn-cgi/image/{adapter}/width=8/a.jpg")),
            Err(RequestError::NotFound)
        );
    }
    assert_eq!(parse("/cdn-cgi/image//a.jpg"), Err(RequestError::NoOptions));
    assert_eq!(
        parse("/cdn-cgi/image/width=640"),
        Err(RequestError::NoSource)
    );
}

#[test]
fn next_image_urls_mean_the_same_options() {
    let request = parse("/_next/image?url=%2Fme.png&w=640&q=75").expect("all three are there");
    let (options, _) =
        Options::parse("width=640,quality=75,fit=scale-down,format=auto").expect("valid options");
    assert_eq!(
        (
            request.options.as_result(),
            request.dialect,
            shown(&request.source)
        ),
        (Ok(&options), Dialect::NextImage, "/me.png")
    );
    assert!(matches!(parse("/_next/image"), Err(RequestError::Query(_))));
    assert!(parse("/_next/image/?url=%2Fme.png&w=640&q=75").is_ok());
}

#[test]
fn section_6_3_only_reading_methods_are_answered() {
    for method in ["GET", "HEAD"] {
        let head = head(method, "/cdn-cgi/image/width=8/a.jpg", &[]);
        assert!(ImageRequest::parse(&head, &prefixes()).is_ok(), "{method}");
    }
    for method in ["POST", "PUT", "OPTIONS", "get", "BREW"] {
        let head = head(method, "/cdn-cgi/image/width=8/a.jpg", &[]);
        assert!(
            matches!(
                ImageRequest::parse(&head, &prefixes()),
                Err(RequestError::Method(_))
            ),
            "{method}"
        );
    }
}

#[test]
fn malformed_targets_have_different_errors() {
    assert_eq!(parse("/"), Err(RequestError::NotFound));
    assert_eq!(parse("*"), Err(RequestError::NotFound));
    assert_eq!(
        parse("/cdn-cgi/image/fastly/width=8/a.jpg"),
        Err(RequestError::NotFound)
    );
    assert_eq!(parse("/cdn-cgi/image//a.jpg"), Err(RequestError::NoOptions));
    assert_eq!(
        parse("/cdn-cgi/image/width=640"),
        Err(RequestError::NoSource)
    );
    // The policy refuses bad options, because it knows what else the client may get.
    let request = parse("/cdn-cgi/image/a,onerror=redirect/b.jpg").expect("a source");
    assert!(request.options.as_result().is_err() && request.options.redirects_on_error());
    assert!(matches!(
        parse("/cdn-cgi/image/width=8/ftp://h.test/a"),
        Err(RequestError::Source(SourceRefError::Scheme(_)))
    ));
}

#[test]
fn section_6_2_an_image_proxy_is_recognised_by_its_via() {
    let target = "/cdn-cgi/image/width=8/a.jpg";
    for (via, expected) in [
        ("1.1 image-resizing", true),
        ("1.1 a, Image-Resizing", true),
        ("1.1 varnish", false),
        ("", false),
    ] {
        let request = ImageRequest::parse(
            &head("GET", target, &[("via", "2 x"), ("via", via)]),
            &prefixes(),
        );
        assert_eq!(
            request.expect("the target is sound").via_image_resizing,
            expected,
            "{via}"
        );
    }
}

#[test]
fn hints_are_part_of_the_request() {
    let headers = [("sec-ch-viewport-width", "400"), ("save-data", "on")];
    let head = head("GET", "/cdn-cgi/image/width=auto/a.jpg", &headers);
    let request = ImageRequest::parse(&head, &prefixes()).expect("the target is sound");
    assert_eq!(request.hints.viewport_width, Some(400));
    assert!(request.hints.save_data);
}

#[test]
fn accept_is_part_of_the_request() {
    let head = head(
        "GET",
        "/cdn-cgi/image/width=8/a.jpg",
        &[(ACCEPT.as_str(), "image/webp")],
    );
    let request = ImageRequest::parse(&head, &prefixes()).expect("the target is sound");
    assert_eq!(
        request.accept,
        Accept {
            webp: true,
            ..Accept::default()
        }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_target_is_read_or_refused(start in "/(cdn-cgi/image|dynamic/image|_next/image)", rest in "[ -~\u{e9}]{0,60}") {
        let target = format!("{start}{rest}");
        if let Ok(request) = Request::builder().uri(target).body(()) {
            let _ = ImageRequest::parse(&request.into_parts().0, &prefixes());
        }
    }
}
