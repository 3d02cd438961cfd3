//! What operators may write for a source or a prefix, and what that leads to.

use proptest::prelude::any;
use proptest::proptest;

use super::Allowlist;
use super::ApprovedSource;
use super::ResolveError;
use crate::bucket::BucketAddress;
use crate::policy::{OriginPattern, ZoneOrigin};

fn allowlist(zone: &str) -> Allowlist {
    let bucket = toml::from_str("name = 'photos'\nbucket = 'shop'\nregion = 'eu-west-1'\n")
        .expect("a bucket");
    let allowed = ["b.com", "*.c.com/themes"]
        .map(|entry| OriginPattern::try_from(entry.to_owned()).expect("an origin"));
    Allowlist::new(
        allowed.to_vec(),
        ZoneOrigin::try_from(zone.to_owned()).expect("a zone"),
        vec![BucketAddress::of(&bucket).expect("an address")],
        &[],
    )
    .expect("they fit")
}

#[track_caller]
fn check(zone: &str, text: &str, expected: &[&str]) {
    let sources = allowlist(zone).resolve(text).expect(text);
    let spellings: Vec<_> = sources.iter().map(ApprovedSource::canonical).collect();
    assert_eq!(spellings, expected, "{text}");
}

#[track_caller]
fn check_prefix(zone: &str, text: &str, expected: &[&str]) {
    assert_eq!(
        allowlist(zone).resolve_prefixes(text).expect(text),
        expected,
        "{text}"
    );
}

#[test]
fn a_source_may_be_named_in_every_way() {
    let zone = "file:x";
    check(zone, "/uploads/a.jpg", &["zone:/uploads/a.jpg"]);
    check(zone, "uploads/a.jpg", &["zone:/uploads/a.jpg"]);
    check(zone, "a.jpg", &["zone:/a.jpg"]);
    check(zone, "/a b.jpg?v=1", &["zone:/a%20b.jpg"]);
    check("http://o.test", "/a b.jpg?v=1", &["zone:/a%20b.jpg?v=1"]);
    check(zone, "zone:/a.jpg", &["zone:/a.jpg"]);
    check(
        zone,
        "bucket:photos/cats/a b.jpg",
        &["bucket:photos/cats/a b.jpg"],
    );
    for url in [
        "https://shop.s3.eu-west-1.amazonaws.com/cats/a%20b.jpg",
        "http://s3.eu-west-1.amazonaws.com/shop/cats/a%20b.jpg",
        "https://shop.s3.amazonaws.com/cats/a%20b.jpg?X-Amz-Signature=x",
    ] {
        check(zone, url, &["bucket:photos/cats/a b.jpg"]);
    }
}

#[test]
fn a_url_may_be_encoded_as_a_whole() {
    let both = ["https://b.com/a%20%C3%BC.jpg?v=1", "zone:/a%20%C3%BC.jpg"];
    for text in [
        "https://b.com/a \u{fc}.jpg?v=1",
        "https%3A%2F%2Fb.com%2Fa%20%C3%BC.jpg%3Fv%3D1",
        "https%3A%2F%2Fb.com%2Fa%2520%25C3%25BC.jpg%3Fv%3D1",
        "https:%2F%2Fb.com%2Fa \u{fc}.jpg%3Fv=1#top",
    ] {
        check("file:x", text, &both);
    }
    let prefixes = ["https://b.com/a%20b/", "zone:/a%20b/"];
    check_prefix("file:x", "https%3A%2F%2Fb.com%2Fa%20b%2F", &prefixes);
    let allowlist = allowlist("file:x");
    for (text, error) in [
        ("https%3A%2F%2Fu%40b.com%2Fa", ResolveError::Credentials),
        ("https%3A%2F%2Fb.com%2F%FF", ResolveError::Malformed),
        ("https%3A%2F%2Fb.com%2F%0A", ResolveError::Characters),
        ("https%3A%2F%2F", ResolveError::Malformed),
    ] {
        assert_eq!(allowlist.resolve(text), Err(error), "{text}");
        assert_eq!(allowlist.resolve_prefixes(text), Err(error), "{text}");
    }
    let text = "https%3A%2F%2Fb.com%2Fa%3Fv";
    assert_eq!(allowlist.resolve_prefixes(text), Err(ResolveError::Query));
}

#[test]
fn keys_with_empty_segments_are_resolved_and_are_prefixes() {
    let root = "https://shop.s3.eu-west-1.amazonaws.com";
    for (text, source) in [
        (format!("{root}//lead.png"), "bucket:photos//lead.png"),
        (format!("{root}/%2Flead.png"), "bucket:photos//lead.png"),
        (
            "bucket:photos//lead.png".to_owned(),
            "bucket:photos//lead.png",
        ),
        (format!("{root}/b//c.png"), "bucket:photos/b//c.png"),
        (
            "bucket:photos/b//c.png".to_owned(),
            "bucket:photos/b//c.png",
        ),
        (format!("{root}/trail/"), "bucket:photos/trail/"),
        ("bucket:photos/trail/".to_owned(), "bucket:photos/trail/"),
    ] {
        check("file:x", &text, &[source]);
    }
    for (text, prefix) in [
        (format!("{root}//"), "bucket:photos//"),
        (format!("{root}//lead"), "bucket:photos//lead"),
        (format!("{root}/b//"), "bucket:photos/b//"),
        ("bucket:photos/b//".to_owned(), "bucket:photos/b//"),
    ] {
        check_prefix("file:x", &text, &[prefix]);
    }
    check(
        "bucket:photos",
        "/%2Flead.png",
        &["bucket:photos//lead.png"],
    );
    check("bucket:photos", "//lead.png", &["bucket:photos/lead.png"]);
    check("bucket:photos", "/b//c.png", &["bucket:photos/b//c.png"]);
}

#[test]
fn a_url_means_its_path_on_the_zone_as_well() {
    let zone = "file:x";
    let url = "https://www.shop.com/u/a.jpg?v=1";
    check(zone, url, &["zone:/u/a.jpg"]);
    check("http://o.test", url, &["zone:/u/a.jpg?v=1"]);
    check(
        zone,
        "https://b.com./u/a.jpg#x",
        &["https://b.com/u/a.jpg", "zone:/u/a.jpg"],
    );
    check(
        zone,
        "https://x.c.com/private/a.jpg",
        &["zone:/private/a.jpg"],
    );
    let bare = [
        "zone:/b.com/a.jpg",
        "https://b.com/a.jpg",
        "zone:/a.jpg",
        "http://b.com/a.jpg",
    ];
    check(zone, "b.com/a.jpg", &bare);
    let zone = "http://o.test:9000/base";
    let both = ["zone:/a.jpg", "zone:/base/a.jpg"];
    check(zone, "http://o.test:9000/base/a.jpg", &both);
    check(
        "bucket:photos",
        "https://www.shop.com/a.jpg?v=1",
        &["bucket:photos/a.jpg"],
    );
}

#[test]
fn a_prefix_becomes_the_beginning_of_canonical_spellings() {
    let zone = "file:x";
    check_prefix(zone, "/uploads/", &["zone:/uploads/"]);
    check_prefix(zone, "/uploads", &["zone:/uploads"]);
    check_prefix(zone, "/", &["zone:/"]);
    check_prefix(zone, "zone:", &["zone:"]);
    check_prefix(zone, "uploads/2024", &["zone:/uploads/2024"]);
    check_prefix(zone, "bucket:photos/cats", &["bucket:photos/cats"]);
    check_prefix(zone, "bucket:photos", &["bucket:photos/"]);
    check_prefix(zone, "bucket:photos/what?", &["bucket:photos/what?"]);
    let root = "https://shop.s3.eu-west-1.amazonaws.com";
    check_prefix(zone, root, &["bucket:photos/"]);
    check_prefix(zone, &format!("{root}/a%20b/"), &["bucket:photos/a b/"]);
    check_prefix("bucket:photos", "/cats", &["bucket:photos/cats"]);
    check_prefix("bucket:photos", "/", &["bucket:photos/"]);
}

#[test]
fn a_prefix_may_be_on_the_zone_or_on_an_origin_that_was_allowed_once() {
    let zone = "file:x";
    check_prefix(
        zone,
        "https://b.com/themes",
        &["https://b.com/themes", "zone:/themes"],
    );
    // The prefix itself is not allowed, but paths below it are.
    check_prefix(zone, "https://x.c.com", &["https://x.c.com/", "zone:/"]);
    let both = [
        "http://www.shop.com/css",
        "https://www.shop.com/css",
        "zone:/css",
        "zone:/www.shop.com/css",
    ];
    check_prefix(zone, "www.shop.com/css", &both);
}

#[test]
fn texts_without_a_meaning_have_an_error() {
    let allowlist = allowlist("file:x");
    for (text, error) in [
        ("", ResolveError::Characters),
        ("/a\nb", ResolveError::Characters),
        ("s3://shop/a.jpg", ResolveError::Scheme),
        ("ftp://b.com/a.jpg", ResolveError::Scheme),
        ("https://", ResolveError::Malformed),
        ("https://b.com:x/a", ResolveError::Malformed),
        ("https://u:p@b.com/a.jpg", ResolveError::Credentials),
        ("u:p@b.com/a.jpg", ResolveError::Credentials),
        ("bucket:other/a.jpg", ResolveError::Bucket),
    ] {
        assert_eq!(allowlist.resolve(text), Err(error), "{text}");
        assert_eq!(allowlist.resolve_prefixes(text), Err(error), "{text}");
    }
    assert_eq!(
        allowlist.resolve("bucket:photos"),
        Err(ResolveError::Bucket)
    );
    assert_eq!(allowlist.resolve("/..%2fa.jpg"), Err(ResolveError::Path));
    assert_eq!(allowlist.resolve_prefixes("/a?b"), Err(ResolveError::Query));
}

proptest! {
    #[test]
    fn any_text_is_resolved_or_refused(text in any::<String>()) {
        let allowlist = allowlist("bucket:photos");
        let _ = allowlist.resolve(&text);
        let _ = allowlist.resolve_prefixes(&text);
    }
}
