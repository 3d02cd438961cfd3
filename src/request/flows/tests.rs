use std::collections::BTreeSet;

use hyper::Request;
use proptest::collection;
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::request::{Dialect, ImageRequest, RequestKeyRef, SourceRef};

/// A flow for each entry: its globs and its options.
fn flows(entries: &[(&[&str], &str)], query: &[&str]) -> Flows {
    let config = |(globs, options): &(&[&str], &str)| {
        let text = format!("match = {globs:?}\noptions = {options:?}\nquery = {query:?}");
        toml::from_str(&text).expect("the tables hold flows")
    };
    let configs: Vec<FlowConfig> = entries.iter().map(config).collect();
    Flows::new(&configs, &Prefixes::default()).expect("the tables hold flows")
}

fn find<'a>(flows: &'a Flows, path: &str) -> Option<&'a str> {
    flows.find(path).map(|flow| &**flow.name())
}

fn read(flows: &Flows, target: &str, headers: &[(&str, &str)]) -> Option<(String, ImageRequest)> {
    let mut head = Request::builder().uri(target);
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    let head = head.body(()).expect(target).into_parts().0;
    let key = RequestKeyRef::of(&head).expect("GET and a path");
    let (flow, request) = ImageRequest::by_flow(&key, flows, &Prefixes::default())?;
    Some((flow.name().to_string(), request))
}

#[test]
fn globs_match_whole_paths() {
    for (glob, matching, others) in [
        (
            "/uploads/**",
            &["/uploads/a.jpg", "/uploads/2026/11/a.jpg", "/uploads/.a"][..],
            &[
                "/uploads",
                "/uploadsx/a.jpg",
                "/x/uploads/a.jpg",
                "/UPLOADS/a.jpg",
            ][..],
        ),
        (
            "/uploads/*.jpg",
            &["/uploads/a.jpg", "/uploads/.jpg", "/uploads/a%20b.jpg"],
            &[
                "/uploads/x/a.jpg",
                "/uploads/a.JPG",
                "/uploads/a.jpg.exe",
                "/uploads/a%2Fb.jpg",
            ],
        ),
        (
            "/products/**/*.{jpg,jpeg,png}",
            &[
                "/products/a.jpg",
                "/products/1/2/a.jpeg",
                "/products/1/a.png",
            ],
            &[
                "/products/a.gif",
                "/products/ajpg",
                "/products/a.{jpg,jpeg,png}",
            ],
        ),
        (
            "**/*.png",
            &["/a.png", "/x/y/a.png"],
            &["/a.png/b", "/a.jpg"],
        ),
        ("/**", &["/a.png", "/", "/x/y"], &[]),
        (
            "/a/?.png",
            &["/a/b.png", "/a/%20.png"],
            &["/a/bc.png", "/a//.png"],
        ),
        ("/a/[0-9]*", &["/a/1.png"], &["/a/x.png", "/a/1/x.png"]),
        ("/a/\\*.png", &["/a/*.png", "/a/%2A.png"], &["/a/b.png"]),
        ("/ü/*", &["/%C3%BC/a", "/%c3%bc/%FF"], &["/u/a"]),
        ("/a{,-old}/*", &["/a/x", "/a-old/x"], &["/a-/x"]),
        (
            "/{a,b/**}/*.png",
            &["/a/x.png", "/b/1/2/x.png"],
            &["/a/1/x.png"],
        ),
    ] {
        let flows = flows(&[(&[glob], "width=80")], &[]);
        for path in matching {
            assert_eq!(find(&flows, path), Some(glob), "{path}");
        }
        for path in others {
            assert_eq!(find(&flows, path), None, "{glob}: {path}");
        }
    }
}

#[test]
fn the_first_flow_counts() {
    let flows = flows(
        &[
            (&["/a/*.png", "/b/**"], "width=1"),
            (&["/a/**", "/b/*.png"], "width=2"),
            (&["/**"], "width=3"),
        ],
        &[],
    );
    for (path, name) in [
        ("/a/x.png", "/a/*.png"),
        ("/a/x.jpg", "/a/**"),
        ("/b/x.png", "/a/*.png"),
        ("/c", "/**"),
    ] {
        assert_eq!(find(&flows, path), Some(name), "{path}");
    }
}

#[test]
fn the_path_is_that_of_the_source() {
    let flows = flows(&[(&["/uploads/**"], "width=80")], &[]);
    for (target, source) in [
        ("/uploads/a.jpg", "/uploads/a.jpg"),
        ("//uploads/a.jpg", "/uploads/a.jpg"),
        ("/x/../uploads/a.jpg", "/uploads/a.jpg"),
        ("/uploads/./a.jpg?v=1&w=2", "/uploads/a.jpg?v=1&w=2"),
        ("/%75ploads/a%20b.jpg", "/%75ploads/a%20b.jpg"),
        (
            "/uploads/https://h.test/a.jpg",
            "/uploads/https://h.test/a.jpg",
        ),
        ("http://h.test/uploads/a.jpg", "/uploads/a.jpg"),
    ] {
        let (_, request) = read(&flows, target, &[]).expect(target);
        assert_eq!(request.source, SourceRef::Zone(source.to_owned()));
        assert_eq!(request.dialect, Dialect::Flow);
    }
    for target in [
        "/uploads/../a.jpg",
        "/uploads/%2e%2e/a.jpg",
        "/a.jpg?/uploads/b.jpg",
    ] {
        assert_eq!(read(&flows, target, &[]), None, "{target}");
    }
}

#[test]
fn no_flow_takes_what_leads_to_a_transformation_or_comes_from_an_image_proxy() {
    let flows = flows(&[(&["/**"], "width=80")], &[]);
    for target in [
        "/%63dn-cgi/image/width=8/a.jpg",
        "/x/../cdn-cgi/image/width=8/a.jpg",
        "/x%2f..%2fcdn-cgi/image/width=8/a.jpg",
        "/_next/%69mage?url=/a.jpg&w=8&q=75",
    ] {
        assert_eq!(read(&flows, target, &[]), None, "{target}");
    }
    let via = [("via", "1.1 image-resizing")];
    assert_eq!(read(&flows, "/a.jpg", &via), None);
    let via = [("via", "1.1 a-cache")];
    assert!(read(&flows, "/a.jpg", &via).is_some());
}

/// What a request with this query asks for: the options in their canonical spelling, and the query of the source.
#[track_caller]
fn check(query: &str, options: &str, source: &str) {
    let flows = flows(
        &[(&["/**"], "quality=80,w=800")],
        &["width", "w", "height", "trim.top"],
    );
    let (_, request) = read(&flows, &format!("/a.jpg?{query}"), &[]).expect(query);
    let asked = request.options.as_result().map(ToString::to_string);
    assert_eq!(asked.as_deref(), Ok(options), "{query}");
    let expected = match source {
        "" => "/a.jpg".to_owned(),
        source => format!("/a.jpg?{source}"),
    };
    assert_eq!(request.source, SourceRef::Zone(expected), "{query}");
}

#[test]
fn parameters_become_options_and_the_rest_stays_with_the_source() {
    let plain = "quality=80,width=800";
    check("v=1", plain, "v=1");
    check("width=400", "quality=80,width=400", "");
    check("w=400", "quality=80,width=400", "");
    check("v=1&width=400&x=2", "quality=80,width=400", "v=1&x=2");
    check(
        "width=400&height=300",
        "height=300,quality=80,width=400",
        "",
    );
    check("width=200&w=400", "quality=80,width=400", "");
    check("w=400&width=200", "quality=80,width=200", "");
    check("trim%2Etop=5", "quality=80,trim.top=5,width=800", "");
    check("%77idth=4%300", "quality=80,width=400", "");
    // Not in the list.
    check("h=300&quality=1&blur=9", plain, "h=300&quality=1&blur=9");
    check(
        "WIDTH=1&width[]=2&+width=3",
        plain,
        "WIDTH=1&width[]=2&+width=3",
    );
    // The rest keeps its order and its spelling.
    check(
        "b=%2f&a&=&width=400&a&b=x=y",
        "quality=80,width=400",
        "b=%2f&a&=&a&b=x=y",
    );
    check("a=1;width=400", plain, "a=1;width=400");
    // Without a value a parameter counts for nothing.
    check("width", plain, "");
    check("width=&v=1", plain, "v=1");
}

#[test]
fn the_source_of_a_url_with_options_is_known() {
    let flows = flows(&[(&["/a/**"], "width=80")], &["width"]);
    for (path, query, source) in [
        ("/a/b.jpg", "width=4", Some("/a/b.jpg")),
        ("/a/b.jpg", "v=1&width=4", Some("/a/b.jpg?v=1")),
        ("/a/b.jpg", "v=1", None),
        ("/b/b.jpg", "width=4", None),
    ] {
        let found = flows.without_options(path, query);
        assert_eq!(found.as_deref(), source, "{path}?{query}");
    }
}

#[test]
fn a_value_brings_no_further_options() {
    for value in [
        "400,blur=9",
        "400%2Cblur=9",
        "400/../x",
        "400%2F",
        "400%26blur=9",
        "%FF",
        "0",
        "x",
    ] {
        check(&format!("width={value}&v=1"), "quality=80,width=800", "v=1");
    }
    let flows = flows(&[(&["/**"], "width=80")], &["format", "quality"]);
    for query in ["format=exe", "quality=0", "quality=101&v=1"] {
        let (_, request) = read(&flows, &format!("/a.jpg?{query}"), &[]).expect(query);
        assert!(request.options.as_result().is_err(), "{query}");
    }
}

#[test]
fn what_can_never_match_is_refused() {
    let new = |globs: &[&str]| {
        let text = format!("match = {globs:?}\noptions = 'width=80'");
        let config: FlowConfig = toml::from_str(&text).expect("a flow");
        let other: FlowConfig =
            toml::from_str("match = ['/x']\noptions = 'width=80'").expect("a flow");
        Flows::new(&[other, config], &Prefixes::default()).map(drop)
    };
    for glob in [
        "/cdn-cgi/image/**",
        "/cdn-cgi/image/*/a.jpg",
        "/_next/image",
    ] {
        assert_eq!(
            new(&["/a/**", glob]),
            Err(FlowError::TransformationUrls {
                flow: 1,
                glob: glob.to_owned()
            })
        );
    }
    for glob in [
        "/**",
        "/cdn-cgi/**",
        "/cdn-cgi/image*",
        "/_next/image*",
        "/_next/static/**",
    ] {
        assert_eq!(new(&[glob]), Ok(()), "{glob}");
    }
    assert_eq!(new(&vec!["/a"; 999]), Ok(()));
    let error = new(&vec!["/a"; 1000]).expect_err("one too many");
    assert_eq!(
        error.to_string(),
        "setting `flow`: all flows together must have at most 1000 globs, got 1001"
    );
}

proptest! {
    #[test]
    fn no_query_changes_options_outside_the_list(
        pieces in collection::vec("(width|w|blur|quality|format|%77idth)?=?[a-z0-9=,;/.%+#-]{0,12}", 0..6),
    ) {
        let flows = flows(&[(&["/**"], "quality=80,blur=3")], &["width", "w"]);
        let query = pieces.join("&").replace('#', "");
        let Some((_, request)) = read(&flows, &format!("/a.jpg?{query}"), &[]) else {
            return Err(proptest::test_runner::TestCaseError::fail(query));
        };
        // Nothing that `width` may be is an error, so there always are options.
        let options = request.options.as_result().map(ToString::to_string).unwrap_or_default();
        let others: BTreeSet<&str> =
            options.split(',').filter(|pair| !pair.starts_with("width=")).collect();
        prop_assert_eq!(others, BTreeSet::from(["quality=80", "blur=3"]), "{}", query);
        // Every parameter but those of the list is with the source.
        let SourceRef::Zone(source) = &request.source else {
            return Err(proptest::test_runner::TestCaseError::fail(query));
        };
        for piece in query.split('&') {
            let name = piece.split('=').next().unwrap_or_default();
            let is_option = ["width", "w", "%77idth", "%77"].contains(&name);
            prop_assert!(is_option || source.contains(piece), "{} is not in {}", piece, source);
        }
    }
}
