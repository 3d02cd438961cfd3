//! Origins of every kind, over real sockets and files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::bucket::{AddressingStyle, BucketAddress, Config as BucketConfig, Credentials};
use crate::freshness::Rules;
use crate::policy::{
    Allowlist, Config as PolicyConfig, HostedStore, Policy, SourcesConfig, ZoneConfig, ZoneOrigin,
};
use crate::source::{Config, FileKind, Origins, RuleConfig, SetupError, SourceMemory, Sources};
use crate::units::ByteSize;
use origin::TestOrigin;

mod answers;
mod hostile;
mod lenient;
mod origin;
mod originals;
mod redirects;
mod rules;
mod suite;

/// The limit on the size of sources in these tests.
const LIMIT: u64 = 1 << 20;

/// Short timeouts, and private networks are allowed, because every test origin is on this machine.
fn config() -> Config {
    let seconds = |text: &str| text.parse().expect("a length of time");
    Config {
        connect_timeout: seconds("2 s"),
        first_byte_timeout: seconds("400 ms"),
        idle_timeout: seconds("300 ms"),
        total_timeout: seconds("3 s"),
        private_networks: true,
        ..Config::default()
    }
}

/// HTML is no picture, and a declaration may become a drawing.
fn sniff(beginning: &[u8]) -> FileKind {
    let has = |text: &[u8]| beginning.windows(text.len()).any(|part| part == text);
    match beginning {
        [] => FileKind::Unclear,
        _ if has(b"<svg") => FileKind::Picture("image/svg+xml"),
        [b'<', b'?', ..] => FileKind::Unclear,
        [b'<', ..] => FileKind::Unknown,
        [b'%', ..] => FileKind::Unsupported("PDF"),
        [0x1F, 0x8B, ..] => FileKind::Picture("image/svg+xml"),
        _ => FileKind::Picture("image/test"),
    }
}

/// The sources of one proxy, with the allowlist that approves them.
struct TestSources {
    sources: Sources,
    allowlist: Arc<Allowlist>,
}

fn world(
    config: &Config,
    zone: ZoneOrigin,
    allowed: &[String],
    buckets: &[BucketConfig],
) -> TestSources {
    test_sources_with_rules(config, zone, allowed, buckets, &[])
}

/// With `[[cache.rule]]`s.
fn test_sources_with_rules(
    config: &Config,
    zone: ZoneOrigin,
    allowed: &[String],
    buckets: &[BucketConfig],
    rules: &[RuleConfig],
) -> TestSources {
    let addresses = buckets
        .iter()
        .map(|bucket| BucketAddress::of(bucket).expect("a right address"))
        .collect();
    let allowed = allowed
        .iter()
        .map(|entry| entry.clone().try_into().expect("a right entry"))
        .collect();
    let policy = PolicyConfig {
        sources: SourcesConfig { allowed },
        ..PolicyConfig::default()
    };
    let zone_config = ZoneConfig {
        origin: zone.clone(),
        ..ZoneConfig::default()
    };
    let allowlist = Policy::new(&policy, zone_config, addresses)
        .expect("a right policy")
        .allowlist();
    let sources = Sources::new(
        config,
        SourceMemory::new(8 * LIMIT, LIMIT),
        Origins {
            zone: &zone,
            buckets,
            hosted: &HostedStore::Off,
            allowlist: Arc::clone(&allowlist),
            sniff,
        },
        Rules::default(),
        rules,
    );
    TestSources {
        sources: sources.expect("right settings"),
        allowlist,
    }
}

/// A zone that these tests do not use.
fn no_zone() -> ZoneOrigin {
    ZoneOrigin::Folder(std::env::temp_dir())
}

/// A proxy with `origin` in its allowlist.
fn allowing(config: &Config, origin: &TestOrigin) -> TestSources {
    world(config, no_zone(), &[origin.authority()], &[])
}

fn bucket(endpoint: &Url) -> BucketConfig {
    BucketConfig {
        name: "photos".to_owned(),
        bucket: "my-bucket".to_owned(),
        region: String::new(),
        endpoint: endpoint.to_string(),
        style: AddressingStyle::Path,
        credentials: Credentials::Anonymous,
    }
}

#[test]
fn a_missing_zone_is_named() {
    let allowlist = world(&config(), no_zone(), &[], &[]).allowlist;
    for (zone, expected) in [
        (
            ZoneOrigin::Folder(PathBuf::from("/nonexistent/photos")),
            "`zone.origin` must name an existing folder, got `/nonexistent/photos`: set it, or name what is served, as in `safelight serve ./photos`; `file:.` is the folder that the server is started in, `none` is no zone",
        ),
        (
            ZoneOrigin::Bucket("photos".to_owned()),
            "`zone.origin` must name a configured [[bucket]], got `photos`",
        ),
    ] {
        let sources = Sources::new(
            &config(),
            SourceMemory::new(8 * LIMIT, LIMIT),
            Origins {
                zone: &zone,
                buckets: &[],
                hosted: &HostedStore::Off,
                allowlist: Arc::clone(&allowlist),
                sniff,
            },
            Rules::default(),
            &[],
        );
        let error: SetupError = sources.err().expect("there is no such zone");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_user_agent_that_breaks_the_line_is_named() {
    let config = Config {
        user_agent: "a\r\nCookie: b".to_owned(),
        ..config()
    };
    let allowlist = world(&Config::default(), no_zone(), &[], &[]).allowlist;
    let sources = Sources::new(
        &config,
        SourceMemory::new(8 * LIMIT, LIMIT),
        Origins {
            zone: &no_zone(),
            buckets: &[],
            hosted: &HostedStore::Off,
            allowlist,
            sniff,
        },
        Rules::default(),
        &[],
    );
    let error = sources.err().expect("it is no header value").to_string();
    assert!(
        error.starts_with("`fetch.user_agent` must be printable ASCII"),
        "{error}"
    );
}

#[test]
fn settings_are_read_with_their_units() {
    let read: Config =
        toml::from_str("total_timeout = \"1 min\"\nmax_redirects = 0").expect("right settings");
    assert_eq!(read.total_timeout.duration(), Duration::from_secs(60));
    assert_eq!(
        read,
        Config {
            total_timeout: read.total_timeout,
            max_redirects: 0,
            ..Config::default()
        }
    );
    for wrong in [
        "max_redirect = 1",
        "connect_timeout = \"0 s\"",
        "first_byte_timeout = \"0 s\"",
        "idle_timeout = \"0 ms\"",
        "total_timeout = \"0 d\"",
        "concurrency = 0",
        "connections_per_origin = 0",
    ] {
        assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_memory_of_sources_holds_two_of_the_largest() {
    let (mib, gib) = (ByteSize::mib, ByteSize::gib);
    let config = |text: &str| -> Config {
        toml::from_str(&format!("memory = {text}")).expect("right settings")
    };
    let largest = |config: &Config, largest, render| {
        let memory = config.source_memory(largest, render).expect("enough");
        // Three quarters of the memory are for sources that are not small.
        let held: Vec<_> = std::iter::from_fn(|| memory.try_reserve(100 << 20)).collect();
        held.len()
    };
    assert_eq!(largest(&config("\"auto\""), mib(100), gib(1)), 3);
    assert_eq!(largest(&config("\"auto\""), mib(100), gib(16)), 7);
    assert_eq!(largest(&config("\"auto\""), mib(100), mib(64)), 1);
    assert_eq!(largest(&config("\"400 MiB\""), mib(100), mib(64)), 3);
    let error = config("\"199 MiB\"").source_memory(mib(100), gib(1));
    assert_eq!(
        error.expect_err("too little").to_string(),
        "`fetch.memory` must be at least twice `limits.source_bytes` (209715200 bytes), got 208666624"
    );
}
