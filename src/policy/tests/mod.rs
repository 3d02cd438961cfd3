//! Whole requests against a policy, and settings that contradict each other.

mod fallback;
mod sources;

use hyper::Request;
use proptest::prelude::ProptestConfig;
use proptest::proptest;
use serde::Deserialize;

use super::Config;
use super::Denial;
use super::Policy;
use super::PolicyError;
use super::SourcesConfig;
use super::ZoneConfig;
use super::ZoneOrigin;
use crate::bucket;
use crate::bucket::BucketAddress;
use crate::options::{Format, Formats, Output, Recipe, Warning};
use crate::request::{ImageRequest, Prefixes};

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

fn zone(origin: &str) -> ZoneConfig {
    ZoneConfig {
        origin: ZoneOrigin::try_from(origin.to_owned()).expect("the tables hold origins"),
        ..ZoneConfig::default()
    }
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

#[test]
fn section_6_2_image_proxies_are_denied() {
    let request = request(
        "/cdn-cgi/image/width=8/a.jpg",
        &[("via", "1.1 image-resizing")],
    );
    assert_eq!(policy("file:photos").admit(&request), Err(Denial::Loop));
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
    assert!(policy("file:photos").vary(&request).is_empty());
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
    let vary = policy("file:photos").vary(&request);
    assert_eq!(vary.to_string(), "Accept");
    let Recipe {
        width,
        quality,
        output,
        ..
    } = job.recipe;
    let webp = Formats::ALL.filter(|format| format == Format::Webp);
    assert_eq!(
        (width, quality.get(), output),
        (Some(640), 75, Output::Auto(webp))
    );
}

#[test]
fn contradicting_settings_are_refused() {
    let error = Policy::new(&Config::default(), zone("bucket:nowhere"), buckets())
        .expect_err("no such bucket");
    assert_eq!(
        error.to_string(),
        "setting `zone.origin`: `bucket:nowhere` must be the `name` of a [[bucket]] section"
    );
    let twice = [buckets(), buckets()].concat();
    let error = Policy::new(&Config::default(), ZoneConfig::default(), twice)
        .expect_err("two of each name");
    assert_eq!(error, PolicyError::DuplicateBucket("photos".to_owned()));
}

/// A policy for which the bucket `uploads` at `minio.test:9000` is the bucket of the cache.
fn beside_the_cache(zone_origin: &str) -> Result<Policy, PolicyError> {
    let allowed = "allowed = ['minio.test:9000', 'uploads.minio.test:9000', 'b.com']";
    let config = Config {
        sources: toml::from_str(allowed).expect("the entries are valid"),
        cache_bucket: Some("local".to_owned()),
        ..Config::default()
    };
    Policy::new(&config, zone(zone_origin), buckets())
}

#[test]
fn the_bucket_of_the_cache_is_no_source_whatever_allows_it() {
    let policy = beside_the_cache("file:photos").expect("the settings fit together");
    let admit = |source: &str| {
        let target = format!("/cdn-cgi/image/width=8/{source}");
        policy.admit(&request(&target, &[])).map(|job| job.source)
    };
    for source in [
        "http://minio.test:9000/uploads/safelight/v2/a",
        "http://minio.test:9000/uploads",
        "http://minio.test:9000//uploads/a.jpg",
        "http://minio.test:9000/%75ploads/a.jpg",
        "http%3A%2F%2Fminio.test:9000%2Fuploads%2Fa.jpg",
        "https://minio.test:9000/uploads/a.jpg",
        "http://uploads.minio.test:9000/a.jpg",
        "http://uploads.minio.test:9000/a.jpg?X-Amz-Signature=0",
    ] {
        let denied = admit(source);
        assert!(
            matches!(denied, Err(Denial::SourceNotAllowed { .. })),
            "{source}: {denied:?}"
        );
    }
    for source in [
        "http://minio.test:9000/other/a.jpg",
        "https://b.com/uploads/a.jpg",
    ] {
        admit(source).expect(source);
    }
    let allowlist = policy.allowlist();
    assert_eq!(allowlist.approve_key("local", "a.jpg"), None);
    assert!(allowlist.approve_key("photos", "a.jpg").is_some());
    for text in ["bucket:local/a.jpg", "bucket:local/"] {
        allowlist.resolve(text).expect_err(text);
        allowlist.resolve_prefixes(text).expect_err(text);
    }
    // Also below a zone that is the whole storage service.
    let policy = beside_the_cache("http://minio.test:9000").expect("they fit");
    for (source, is_denied) in [
        ("uploads/a.jpg", true),
        ("%75ploads", true),
        ("x/a.jpg", false),
    ] {
        let target = format!("/cdn-cgi/image/width=8/{source}");
        let denied = policy.admit(&request(&target, &[]));
        assert_eq!(denied == Err(Denial::PathNotAllowed), is_denied, "{source}");
    }
}

#[test]
fn the_bucket_of_the_cache_is_neither_the_zone_nor_another_section() {
    for origin in [
        "bucket:local",
        "http://minio.test:9000/uploads",
        "http://minio.test:9000/uploads/photos",
    ] {
        let error = beside_the_cache(origin).map(|_| ()).expect_err(origin);
        assert_eq!(
            error,
            PolicyError::PrivateBucketAsZone {
                setting: "cache.shared.bucket",
                name: "local".to_owned()
            }
        );
        assert!(error.to_string().contains("cache.shared.bucket"), "{error}");
    }
    let mut sections = buckets();
    let again = "name = 'again'\nbucket = 'uploads'\nendpoint = 'http://minio.test:9000/'\n";
    let again = toml::from_str(again).expect("a section");
    sections.push(BucketAddress::of(&again).expect("a bucket"));
    let config = Config {
        cache_bucket: Some("local".to_owned()),
        ..Config::default()
    };
    let error = Policy::new(&config, zone("file:photos"), sections).expect_err("twice");
    assert_eq!(
        error,
        PolicyError::PrivateBucketTwice {
            setting: "cache.shared.bucket",
            other: "again".to_owned()
        }
    );
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

#[test]
fn strict_mode_refuses_options_without_effect() {
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
    assert!(matches!(admit("blur=300"), Err(Denial::Strict(_))));
    assert!(matches!(
        admit("width=99999"),
        Err(Denial::OutputTooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_request_is_admitted_or_denied(target in "/cdn-cgi/image/[a-z=,0-9.]{1,16}/[ -~]{0,40}") {
        if let Ok(head) = Request::builder().uri(target).header("host", "zone.test").body(())
            && let Ok(request) = ImageRequest::parse(&head.into_parts().0, &Prefixes::default())
        {
            let _ = policy("http://origin.test").admit(&request);
        }
    }
}
