//! Whole requests: the URLs that generators emit, and arbitrary ones.

use hyper::Request;
use hyper::header::ACCEPT;
use proptest::prelude::ProptestConfig;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

use super::*;
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
    assert_eq!(request.asked.options(), Ok(&expected), "{target}");
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
fn section_1_3_five_forms_of_a_source() {
    let source = "https://h.test/a%20b.jpg?v=1";
    for text in [
        source,
        "https%3A%2F%2Fh.test%2Fa%2520b.jpg%3Fv%3D1",
        "https%3a%2f%2fh.test%2fa%2520b.jpg%3fv=1",
        "https:%2F%2Fh.test%2Fa%2520b.jpg%3Fv=1",
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
        Err(RequestError::Source(SourceFault::Scheme(_)))
    ));
}

#[test]
fn section_11_urls_of_known_generators_are_accepted() {
    let zone = "/cdn-cgi/image/";
    // The loader in Cloudflare's documentation, then the one in that of Next.js, which keeps the slash of a local path.
    check(
        "/cdn-cgi/image/width=640,quality=75/me.png",
        "width=640,quality=75",
        "/me.png",
    );
    check(
        "https://example.com/cdn-cgi/image/width=640,quality=75,format=auto//me.png",
        "width=640,quality=75,format=auto",
        "/me.png",
    );
    // OpenNext.
    check(
        "/cdn-cgi/image/width=640,quality=75,format=auto/_next/static/media/photo.png",
        "width=640,quality=75,format=auto",
        "/_next/static/media/photo.png",
    );
    check(
        "/cdn-cgi/image/width=640,quality=75,format=auto/https://example.com/photo.jpg",
        "width=640,quality=75,format=auto",
        "https://example.com/photo.jpg",
    );
    // Nuxt Image; `g=side` is not a value and is passed over.
    check(
        "/cdn-cgi/image/w=200,h=200,fit=contain,f=jpeg/test.png",
        "width=200,height=200,fit=contain,format=jpeg",
        "/test.png",
    );
    check(
        "https://that-test.site/cdn-cgi/image/h=300,fit=contain/https://s3.that-test.site/burger.jpeg",
        "height=300,fit=contain",
        "https://s3.that-test.site/burger.jpeg",
    );
    check(
        "/cdn-cgi/image/w=200,g=side/test.png",
        "width=200",
        "/test.png",
    );
    check(
        "/cdn-cgi/image/w=200,background=%23ff0000/test.png",
        "width=200,background=%23ff0000",
        "/test.png",
    );
    // unpic, and the component libraries built on it.
    check(
        "/cdn-cgi/image/width=200,height=100,f=webp,fit=cover/uploads/a.jpeg",
        "width=200,height=100,format=webp,fit=cover",
        "/uploads/a.jpeg",
    );
    check(
        "/cdn-cgi/image/width=200,f=auto,fit=cover/https%3A%2F%2Fb.s3.eu-west-1.amazonaws.com%2Fa.jpg%3FX-Amz-Signature%3D00",
        "width=200,format=auto,fit=cover",
        "https://b.s3.eu-west-1.amazonaws.com/a.jpg?X-Amz-Signature=00",
    );
    // The Astro adapter, which passes values of Astro's own vocabulary through.
    check(
        "/cdn-cgi/image/onerror=redirect,width=300,height=200,quality=80,fit=cover,format=webp/_astro/x.hash.png",
        "onerror=redirect,width=300,height=200,quality=80,fit=cover,format=webp",
        "/_astro/x.hash.png",
    );
    check(
        "/cdn-cgi/image/width=300,quality=mid,fit=fill/_astro/x.hash.png",
        "width=300,quality=mid,fit=fill",
        "/_astro/x.hash.png",
    );
    check(
        "/cdn-cgi/image/width=300,quality=max,fit=none/https://h.test/x.png",
        "width=300,quality=max,fit=none",
        "https://h.test/x.png",
    );
    // Angular.
    check(
        "https://site.test/cdn-cgi/image/format=auto,width=640/a/b.jpg",
        "format=auto,width=640",
        "/a/b.jpg",
    );
    // WordPress.
    let wordpress =
        "width=80,height=80,fit=crop,quality=80,format=auto,onerror=redirect,metadata=none";
    check(
        &format!("{zone}{wordpress}/wp-content/uploads/2024/01/a.jpg"),
        wordpress,
        "/wp-content/uploads/2024/01/a.jpg",
    );
    // PictureRenderer.
    let picture = "width=300,format=auto,fit=crop,height=300,gravity=0.5x0.321";
    check(
        &format!("{zone}{picture}/https://mydomain.com/myImage.jpg"),
        picture,
        "https://mydomain.com/myImage.jpg",
    );
    check(
        "https://example.com/cdn-cgi/image/w=640,q=75/images/example.jpg",
        "width=640,quality=75",
        "/images/example.jpg",
    );
    // Mappers that encode every value.
    check(
        "/cdn-cgi/image/trim=20%3B30%3B20%3B0,background=%23fff,gravity=0.5x0.5/a.jpg",
        "trim=20;30;20;0,background=%23fff,gravity=0.5x0.5",
        "/a.jpg",
    );
    // dev.to.
    check(
        "/dynamic/image/width=800%2Cheight=%2Cfit=scale-down%2Cgravity=auto%2Cformat=auto/https%3A%2F%2Fdev-to-uploads.s3.amazonaws.com%2Fuploads%2Farticles%2Fa.png",
        "width=800,fit=scale-down,gravity=auto,format=auto",
        "https://dev-to-uploads.s3.amazonaws.com/uploads/articles/a.png",
    );
    check(
        "/dynamic/image/width=90,height=90,fit=cover,gravity=auto,format=auto/https:%2F%2Fdev-to-uploads.s3.amazonaws.com%2Fuploads%2Fuser%2Fa.png",
        "width=90,height=90,fit=cover,gravity=auto,format=auto",
        "https://dev-to-uploads.s3.amazonaws.com/uploads/user/a.png",
    );
    // Hand-written.
    let docs = "onerror=redirect,width=1363,height=904,format=webp";
    check(&format!("{zone}{docs}/_astro/a.png"), docs, "/_astro/a.png");
    let upscaled = "f=webp,fit=scale-up,width=500,upscale=generate,q=55,onerror=redirect";
    check(
        &format!("{zone}{upscaled}/https://h.test/a.png"),
        upscaled,
        "https://h.test/a.png",
    );
    check(
        "/cdn-cgi/image/format=json,anim=false/a.png",
        "format=json,anim=false",
        "/a.png",
    );
    check(
        "/cdn-cgi/image/width=360,sharpen=1,compression=fast/a.png",
        "width=360,sharpen=1,compression=fast",
        "/a.png",
    );
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
fn next_image_asks_the_same() {
    let request = parse("/_next/image?url=%2Fme.png&w=640&q=75").expect("all three are there");
    let (options, _) =
        Options::parse("width=640,quality=75,fit=scale-down,format=auto").expect("valid options");
    assert_eq!(
        (
            request.asked.options(),
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
fn malformed_targets_are_told_apart() {
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
    // Options that make no sense are for the policy to refuse: it knows what else the client may get.
    let request = parse("/cdn-cgi/image/a,onerror=redirect/b.jpg").expect("a source");
    assert!(request.asked.options().is_err() && request.asked.redirects_on_error());
    assert!(matches!(
        parse("/cdn-cgi/image/width=8/ftp://h.test/a"),
        Err(RequestError::Source(SourceFault::Scheme(_)))
    ));
}

#[test]
fn section_1_3_an_image_of_ours_is_no_source() {
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
fn the_own_host_is_known_with_its_port() {
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
fn section_2_15_hosts_below_the_own_one() {
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

#[test]
fn hints_are_carried_along() {
    let headers = [("sec-ch-viewport-width", "400"), ("save-data", "on")];
    let head = head("GET", "/cdn-cgi/image/width=auto/a.jpg", &headers);
    let request = ImageRequest::parse(&head, &prefixes()).expect("the target is sound");
    assert_eq!(request.hints.viewport_width, Some(400));
    assert!(request.hints.save_data);
}

#[test]
fn accept_is_carried_along() {
    let head = head(
        "GET",
        "/cdn-cgi/image/width=8/a.jpg",
        &[(ACCEPT.as_str(), "image/webp")],
    );
    let request = ImageRequest::parse(&head, &prefixes()).expect("the target is sound");
    assert_eq!(
        request.accept,
        Accept {
            avif: false,
            webp: true
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

    #[test]
    fn a_source_is_total_and_keeps_its_shape(text in "(https?(:|%3A)?)?[/\\\\.%a-f0-9:?@# \u{e9}]{0,40}") {
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
}
