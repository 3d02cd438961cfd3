use url::Url;

use crate::bucket::address::BucketAddress;
use crate::bucket::config::{AddressingStyle, Config, Credentials};

fn bucket(bucket: &str, region: &str, endpoint: &str) -> Config {
    Config {
        name: "photos".to_owned(),
        bucket: bucket.to_owned(),
        region: region.to_owned(),
        endpoint: endpoint.to_owned(),
        style: AddressingStyle::Virtual,
        credentials: Credentials::Chain,
    }
}

#[track_caller]
fn check(config: &Config, url: &str, key: Option<&str>) {
    let address = BucketAddress::of(config).expect("the table holds valid buckets");
    let parsed = Url::parse(url).expect("the table holds valid URLs");
    assert_eq!(address.key_of(&parsed).as_deref(), key, "{url}");
}

#[test]
fn aws_spellings_name_one_object() {
    let b = bucket("b", "eu-west-1", "");
    for url in [
        "https://b.s3.eu-west-1.amazonaws.com/a/k.jpg",
        "http://b.s3.eu-west-1.amazonaws.com/a/k.jpg",
        "https://B.S3.EU-WEST-1.AMAZONAWS.COM/a/k.jpg",
        "https://b.s3.eu-west-1.amazonaws.com./a/k.jpg",
        "https://b.s3.eu-west-1.amazonaws.com:443/a/k.jpg",
        "https://b.s3-eu-west-1.amazonaws.com/a/k.jpg",
        "https://b.s3.dualstack.eu-west-1.amazonaws.com/a/k.jpg",
        "https://b.s3.amazonaws.com/a/k.jpg",
        "https://s3.eu-west-1.amazonaws.com/b/a/k.jpg",
        "https://s3-eu-west-1.amazonaws.com/b/a/k.jpg",
        "https://s3.dualstack.eu-west-1.amazonaws.com/b/a/k.jpg",
        "https://s3.amazonaws.com/b/a/k.jpg",
        "https://s3.amazonaws.com/%62/a/k.jpg",
        "https://b.s3.amazonaws.com/a/k.jpg?X-Amz-Signature=00&X-Amz-Expires=60",
    ] {
        check(&b, url, Some("a/k.jpg"));
    }
}

#[test]
fn other_addresses_are_not_the_bucket() {
    let b = bucket("b", "eu-west-1", "");
    for url in [
        "https://b.s3.us-east-1.amazonaws.com/k",
        "https://s3.us-east-1.amazonaws.com/b/k",
        "https://c.s3.eu-west-1.amazonaws.com/k",
        "https://a.b.s3.eu-west-1.amazonaws.com/k",
        "https://s3.eu-west-1.amazonaws.com/c/k",
        "https://s3.eu-west-1.amazonaws.com/bb/k",
        "https://s3.eu-west-1.amazonaws.com/B/k",
        "https://s3.eu-west-1.amazonaws.com/b/../c/k",
        "https://s3.eu-west-1.amazonaws.com/b/%2e%2e/c/k",
        "https://b.s3.eu-west-1.amazonaws.com:8443/k",
        "https://b.s3.eu-west-1.amazonaws.com.evil.test/k",
        "https://b.s3.eu-west-1.amazonaws.com.cn/k",
        "https://b.s3-website-eu-west-1.amazonaws.com/k",
        "ftp://b.s3.eu-west-1.amazonaws.com/k",
    ] {
        check(&b, url, None);
    }
}

#[test]
fn the_chinese_partition_has_its_own_suffix() {
    let b = bucket("b", "cn-north-1", "");
    check(&b, "https://b.s3.cn-north-1.amazonaws.com.cn/k", Some("k"));
    check(&b, "https://s3.cn-north-1.amazonaws.com.cn/b/k", Some("k"));
    check(&b, "https://b.s3.cn-north-1.amazonaws.com/k", None);
    check(&b, "https://b.s3.amazonaws.com/k", None);
}

#[test]
fn a_dotted_bucket_matches_as_a_whole() {
    let b = bucket("my.shop", "eu-west-1", "");
    check(
        &b,
        "https://my.shop.s3.eu-west-1.amazonaws.com/k",
        Some("k"),
    );
    check(&b, "https://shop.s3.eu-west-1.amazonaws.com/k", None);
    check(
        &b,
        "https://s3.eu-west-1.amazonaws.com/my.shop/k",
        Some("k"),
    );
}

#[test]
fn endpoint_spellings_keep_scheme_port_and_path() {
    let b = bucket("b", "", "http://minio.test:9000");
    check(&b, "http://minio.test:9000/b/a/k", Some("a/k"));
    check(&b, "http://b.minio.test:9000/a/k", Some("a/k"));
    check(&b, "https://minio.test:9000/b/a/k", None);
    check(&b, "http://minio.test/b/a/k", None);
    check(&b, "http://minio.test:9001/b/a/k", None);
    check(&b, "http://c.minio.test:9000/a/k", None);

    let b = bucket("b", "", "https://storage.test/s3/");
    check(&b, "https://storage.test/s3/b/k", Some("k"));
    check(&b, "https://storage.test:443/s3/b/k", Some("k"));
    check(&b, "https://b.storage.test/s3/k", Some("k"));
    check(&b, "https://storage.test/s3b/b/k", None);
    check(&b, "https://storage.test/b/k", None);

    let b = bucket("b", "", "http://127.0.0.1:9000");
    check(&b, "http://127.0.0.1:9000/b/k", Some("k"));
    let b = bucket("b", "", "http://[::1]:9000");
    check(&b, "http://[0:0::1]:9000/b/k", Some("k"));
}

#[test]
fn keys_are_decoded_once() {
    let b = bucket("b", "eu-west-1", "");
    for (path, key) in [
        ("a%20b.jpg", Some("a b.jpg")),
        ("a+b.jpg", Some("a+b.jpg")),
        ("a%2Bb.jpg", Some("a+b.jpg")),
        ("a%2520b.jpg", Some("a%20b.jpg")),
        ("caf%C3%A9.jpg", Some("café.jpg")),
        ("café.jpg", Some("café.jpg")),
        ("a%2Fb", Some("a/b")),
        ("a//b", Some("a//b")),
        ("/b", Some("/b")),
        ("a/../b", Some("b")),
        ("a%3Fb", Some("a?b")),
        ("a...b/..c", Some("a...b/..c")),
        ("", None),
        ("%ff", None),
        ("a%00b", None),
        ("a%0Ab", None),
        ("..%2F..%2Fother/k", None),
        ("a%2F..%2Fb", None),
        ("a/%2E%2E%2Fb", None),
        ("..%5Cb", None),
    ] {
        check(&b, &format!("https://b.s3.amazonaws.com/{path}"), key);
    }
    check(&b, "https://s3.amazonaws.com/b", None);
    check(&b, "https://s3.amazonaws.com/b/", None);
    check(
        &b,
        &format!("https://b.s3.amazonaws.com/{}", "k".repeat(1025)),
        None,
    );
}

#[test]
fn wrong_settings_are_named() {
    for (config, message) in [
        (
            bucket("", "eu-west-1", ""),
            "`bucket` must be the name of a bucket",
        ),
        (bucket("a/b", "eu-west-1", ""), "got `a/b`"),
        (bucket("..", "eu-west-1", ""), "got `..`"),
        (
            bucket("b", "", ""),
            "`region` must name the bucket's AWS region",
        ),
        (bucket("b", "eu west", ""), "got `eu west`"),
        (
            bucket("b", "", "minio:9000"),
            "`endpoint` must be empty for AWS",
        ),
        (
            bucket("b", "", "https://key:secret@minio"),
            "they belong in `credentials`",
        ),
        (
            bucket("b", "", "https://minio/?x"),
            "got `https://minio/?x`",
        ),
    ] {
        let error = BucketAddress::of(&config).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn sections_parse_and_refuse_unknown_keys() {
    let config: Config = toml::from_str(
        "name = 'p'\nbucket = 'b'\nregion = 'r'\nstyle = 'path'\ncredentials = 'anonymous'",
    )
    .expect("every key is known");
    assert_eq!(
        (config.style, config.credentials),
        (AddressingStyle::Path, Credentials::Anonymous)
    );
    let config: Config =
        toml::from_str("name = 'p'\nbucket = 'b'\ncredentials = { key = 'k', secret = 's' }")
            .expect("keys are a table");
    assert_eq!(
        config.credentials,
        Credentials::Static {
            key: "k".to_owned(),
            secret: "s".to_owned()
        }
    );
    let config: Config = toml::from_str("name = 'p'\nbucket = 'b'").expect("the rest has defaults");
    assert_eq!(
        (config.style, config.credentials),
        (AddressingStyle::Virtual, Credentials::Chain)
    );
    for text in [
        "name = 'p'\nbucket = 'b'\nzone = 'r'",
        "name = 'p'\nbucket = 'b'\nstyle = 'host'",
        "name = 'p'\nbucket = 'b'\ncredentials = { key = 'k' }",
        "name = 'p'\nbucket = 'b'\ncredentials = { key = '', secret = '' }",
        "name = 'p'\nbucket = 'b'\ncredentials = { key = 'k', secret = 's', token = 't' }",
        "name = 'p'\nbucket = 'b'\ncredentials = 3",
    ] {
        toml::from_str::<Config>(text).expect_err(text);
    }
}

#[test]
fn secrets_stay_out_of_debug_and_messages() {
    let credentials = Credentials::Static {
        key: "AKIA123".to_owned(),
        secret: "hunter2".to_owned(),
    };
    let mut config = bucket("b", "r", "");
    config.credentials = credentials;
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("AKIA123"),
        "{shown}"
    );
    let error = toml::from_str::<Config>("name = 'p'\nbucket = 'b'\ncredentials = 'hunter2'")
        .expect_err("not a word we know");
    assert!(!error.message().contains("hunter2"), "{error}");
}

#[test]
fn a_bucket_is_covered_in_every_spelling() {
    let covers = |config: &Config, url: &str| {
        let address = BucketAddress::of(config).expect("a valid bucket");
        address.covers(&Url::parse(url).expect("a valid URL"))
    };
    let aws = bucket("b", "eu-west-1", "");
    let minio = bucket("b", "", "http://minio.test:9000/s3");
    let plain = bucket("b", "", "https://s3.test");
    for (config, url) in [
        (&aws, "https://b.s3.eu-west-1.amazonaws.com/k"),
        (&aws, "https://b.s3.eu-west-1.amazonaws.com/"),
        (&aws, "https://s3.amazonaws.com/b"),
        (&aws, "http://s3.eu-west-1.amazonaws.com/b/x%2f..%2fk"),
        (&aws, "http://s3.eu-west-1.amazonaws.com//%62%2Fk"),
        (&minio, "http://minio.test:9000/s3/b/k"),
        (&minio, "https://minio.test:9000/s3/b"),
        (&minio, "http://b.minio.test:9000/k"),
        (&plain, "http://s3.test/b/k"),
        (&plain, "https://b.s3.test./k"),
        (&plain, "http://s3.test:443/b/k"),
    ] {
        assert!(covers(config, url), "{url}");
    }
    for (config, url) in [
        (&aws, "https://s3.eu-west-1.amazonaws.com/bb/k"),
        (&aws, "https://s3.eu-west-1.amazonaws.com:9000/b/k"),
        (&minio, "http://minio.test:9000/s3/c/b/k"),
        (&minio, "http://minio.test:9000/b/k"),
        (&minio, "http://minio.test/s3/b/k"),
        (&plain, "https://s3.test/a/b/k"),
        (&plain, "https://xb.s3.test/k"),
    ] {
        assert!(!covers(config, url), "{url}");
    }
}

#[test]
fn two_sections_may_describe_the_same_bucket() {
    let is_same = |one: &Config, other: &Config| {
        let [one, other] =
            [one, other].map(|config| BucketAddress::of(config).expect("a valid bucket"));
        assert_eq!(one.is_same_bucket(&other), other.is_same_bucket(&one));
        one.is_same_bucket(&other)
    };
    let aws = bucket("b", "eu-west-1", "");
    assert!(is_same(&aws, &bucket("b", "EU-West-1", "")));
    let by_endpoint = bucket("b", "", "https://s3.eu-west-1.amazonaws.com");
    assert!(is_same(&aws, &by_endpoint));
    let minio = bucket("b", "", "http://minio.test:9000");
    assert!(is_same(
        &minio,
        &bucket("b", "x", "http://minio.test:9000/")
    ));
    assert!(!is_same(&minio, &bucket("b", "", "http://minio.test:9001")));
    assert!(!is_same(&minio, &bucket("c", "", "http://minio.test:9000")));
    assert!(!is_same(&minio, &bucket("b", "", "http://other.test:9000")));
}
