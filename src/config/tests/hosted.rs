//! Wrong settings of hosted images, each with the whole of what is said of it.

use super::{variables, wrong};
use crate::config::Config;
use crate::units::Seconds;

const STORE: &str = "[hosted]\nstore = 'file:images'\n";
const TOKEN: &str = "token = 'a-token-of-sixteen-and-more'\n";

/// Each text, after the store, and the line about it.
#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (text, line) in table {
        assert_eq!(wrong(&format!("{STORE}{text}\n")), [*line], "{text}");
    }
}

/// Settings that are right, after the store.
fn right(text: &str) -> Config {
    Config::parse(&format!("{STORE}{text}\n"), []).expect(text)
}

#[test]
fn names_that_are_parts_of_paths_need_no_encoding() {
    for name in [
        "", " ", "a b", "a/b", "a%20b", ".", "..", "é", "a?b", "a\\tb",
    ] {
        for setting in ["account", "hash"] {
            let text = format!("{STORE}{setting} = \"{name}\"\n");
            let name = name.replace("\\t", "\t");
            let line = format!(
                "setting `hosted.{setting}`: must be letters, digits, `-`, `_` and `.`, because it is a part of paths, got `{name}`"
            );
            assert_eq!(wrong(&text).join("\n"), line);
        }
    }
    let config = right("account = '023e105f4ecef8ad9ca31a8372d0c353'\nhash = 'ZWd9_g1h-.x'");
    assert_eq!(config.hosted.hash, "ZWd9_g1h-.x");
}

#[test]
fn variants_made_ahead_can_be_names() {
    const WANTED: &str = "setting `hosted.eager`: must be names of variants (letters, digits, `-` and `_`; not `original`) such as \"thumb\", got";
    for name in ["width=3,,", "original", "", "a b", "a/b", &"a".repeat(100)] {
        let lines = wrong(&format!("{STORE}eager = ['thumb', '{name}']\n"));
        assert_eq!(lines, [format!("{WANTED} `{name}`")]);
    }
    check(&[(
        "eager = ['thumb', 'hero', 'thumb']",
        "setting `hosted.eager`: must name each variant once, got `thumb` twice",
    )]);
    assert_eq!(right("eager = ['thumb', 'Hero_2-x']").hosted.eager.len(), 2);
}

#[test]
fn hosts_and_origins_are_no_urls() {
    for host in [
        "https://img.test",
        "img.test/a",
        "",
        "*.img.test",
        "img.test:0",
    ] {
        let lines = wrong(&format!("{STORE}delivery_hosts = ['a.test', '{host}']\n"));
        assert_eq!(
            lines,
            [format!(
                "setting `hosted.delivery_hosts`: must be host names without scheme and path, such as \"img.example.com\" or \"img.example.com:8443\", got `{host}`"
            )]
        );
    }
    for origin in [
        "https://page.test/a",
        "https://page.test/",
        "page.test",
        "",
        "https://*.test",
    ] {
        let lines = wrong(&format!("{STORE}upload_origins = ['{origin}']\n"));
        assert_eq!(
            lines,
            [format!(
                "setting `hosted.upload_origins`: must be \"*\", or schemes and hosts without a path, such as \"https://example.com\", got `{origin}`"
            )]
        );
    }
    let config = right("upload_origins = ['HTTPS://Page.test:443', '*']");
    assert_eq!(config.hosted.upload_origins, ["https://page.test", "*"]);
}

#[test]
fn quantities_make_sense() {
    check(&[
        (
            "upload_bytes = '0 B'",
            "setting `hosted.upload_bytes`: must be more than zero, such as \"100 MiB\", got `0 B`",
        ),
        (
            "upload_rate = 0",
            "setting `hosted.upload_rate`: must be more than zero, such as \"1 KiB\", got `0 B`",
        ),
        (
            "upload_bytes = '99999999999 TiB'",
            "setting `hosted.upload_bytes`: must be a smaller size, below 16777216 TiB, got `99999999999 TiB`",
        ),
        (
            "index = ''",
            "setting `hosted.index`: must be a folder such as \"hosted-index\", got ``",
        ),
        (
            "formats = ['png', 'psd']",
            "setting `hosted.formats`: must be some of jpeg, png, webp, gif, avif, heic, svg, jxl, tiff, bmp, ico, pnm, qoi, got `psd`",
        ),
    ]);
    // Each request asks the bucket.
    assert_eq!(
        right("record_ttl = '0 s'").hosted.record_ttl,
        Seconds::new(0)
    );
}

#[test]
fn a_store_is_a_folder_or_a_bucket() {
    for store in [
        "file:",
        "images",
        "bucket:",
        "bucket:a//b",
        "bucket:a/b//",
        "bucket:a/../b",
    ] {
        assert_eq!(
            wrong(&format!("[hosted]\nstore = '{store}'\n")),
            [format!(
                "setting `hosted.store`: `store` must be `file:DIR`, `bucket:NAME` or `bucket:NAME/PREFIX`, or empty, got `{store}`"
            )]
        );
    }
}

#[test]
fn a_token_says_what_it_is_and_allows() {
    check(&[
        (
            "[[hosted.token]]\nrights = 'read'",
            "setting `hosted.token[0]`: must have a `token` or a `token_file`, has neither",
        ),
        (
            &format!("[[hosted.token]]\nrights = 'read'\ntoken_file = 'x'\n{TOKEN}"),
            "setting `hosted.token[0]`: must have a `token` or a `token_file`, has both",
        ),
        (
            &format!("[[hosted.token]]\n{TOKEN}"),
            "setting `hosted.token[0]`: must have `rights`, which are \"write\" (to change images) or \"read\" (to look at them), has none",
        ),
        (
            &format!("[[hosted.token]]\nrights = 'admin'\n{TOKEN}"),
            "setting `hosted.token[0].rights`: must be `read` or `write`, got `admin`",
        ),
        (
            "[[hosted.token]]\nrights = 'read'\ntoken = 'short'",
            "setting `hosted.token[0].token`: must be text in quotes, of at least 16 visible ASCII characters without spaces (`openssl rand -hex 16` prints one), or empty",
        ),
        (
            &format!("[[hosted.token]]\nrights = 'read'\nright = 'write'\n{TOKEN}"),
            "setting `hosted.token[0].right`: does not exist; there are `token`, `token_file`, `rights`, `creators`",
        ),
    ]);
}

#[test]
fn a_webhook_can_reach_its_receiver() {
    let hook = |text: &str| format!("[[hosted.webhook]]\n{text}\n");
    let private = |host: &str| {
        format!(
            "setting `hosted.webhook[0].url`: must not be at a private address, got `{host}`: set `private = true` beside it if that is meant"
        )
    };
    for host in [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.9",
        "[fd12::1]",
        "localhost",
        "a.localhost",
    ] {
        let url = format!("url = 'http://{host}:3000/hook?key=hunter2'");
        check(&[(&hook(&url), &private(host))]);
        right(&hook(&format!("{url}\nprivate = true")));
    }
    for host in ["169.254.169.254", "0.0.0.0", "[ff02::1]"] {
        let url = format!("url = 'http://{host}/hook'\nprivate = true");
        let line = format!(
            "setting `hosted.webhook[0].url`: must not be at an address that is reserved, got `{host}`"
        );
        check(&[(&hook(&url), &line)]);
    }
    right(&hook("url = 'http://93.184.215.14/hook'"));
    let one = hook("url = 'https://example.com/hook'");
    check(&[(
        &format!("{one}{}{one}", hook("url = 'https://example.com/other'")),
        "setting `hosted.webhook[2].url`: must be another one than `hosted.webhook[0].url`, got the same on `example.com`",
    )]);
}

#[test]
fn a_webhook_is_told_something_and_waits_between_tries() {
    let hook =
        |text: &str| format!("[[hosted.webhook]]\nurl = 'https://example.com/hook'\n{text}\n");
    check(&[
        (
            &hook("events = []"),
            "setting `hosted.webhook[0].events`: must name some of uploaded, ready, failed, deleted, updated, or be left out for all of them, got `[]`",
        ),
        (
            &hook("retry = '0 s'"),
            "setting `hosted.webhook[0].retry`: must be from \"10 ms\" to \"1 d\", got `0 s`",
        ),
        (
            &hook("retry = '2 d'"),
            "setting `hosted.webhook[0].retry`: must be from \"10 ms\" to \"1 d\", got `2 d`",
        ),
        (
            &hook("secret = 'short'"),
            "setting `hosted.webhook[0].secret`: must be text in quotes, of at least 16 visible ASCII characters without spaces (`openssl rand -hex 16` prints one), or empty",
        ),
    ]);
    right(&hook("retry = '20 ms'"));
}

#[test]
fn settings_without_a_store_ask_for_one() {
    for (text, beside) in [
        ("[hosted]\naccount = 'a'\n".to_owned(), "account"),
        (
            format!("[[hosted.token]]\nrights = 'read'\n{TOKEN}"),
            "token",
        ),
    ] {
        let line = format!(
            "setting `hosted.store`: must be there beside `hosted.{beside}`: `file:DIR`, `bucket:NAME`, or empty for no hosted images"
        );
        assert_eq!(wrong(&text), [line]);
        let variable = [("SAFELIGHT__HOSTED__STORE", "")];
        assert!(Config::parse(&text, variables(&variable)).is_ok());
    }
    assert!(Config::parse("[hosted]\n", []).is_ok());
    // A store that is wrong is not called missing as well.
    let lines = wrong("[hosted]\nstore = 'x'\naccount = 'a'\n");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn the_store_and_the_shared_cache_are_apart() {
    let settings = |store: &str, cache: &str, prefix: &str| {
        let bucket = |name: &str, bucket: &str| {
            format!("[[bucket]]\nname = '{name}'\nbucket = '{bucket}'\nregion = 'eu-west-1'\n")
        };
        let buckets = [bucket("a", "one"), bucket("b", "one"), bucket("c", "two")].concat();
        format!(
            "[hosted]\nstore = '{store}'\n[cache.shared]\nbucket = '{cache}'\nprefix = '{prefix}'\n{buckets}"
        )
    };
    for (store, cache, prefix) in [
        ("bucket:a", "a", "safelight"),
        ("bucket:a/x", "a", "x"),
        ("bucket:a/x/y", "a", "x"),
        ("bucket:a/x", "a", "x/y"),
        ("bucket:a/x", "b", "x"),
    ] {
        assert_eq!(
            wrong(&settings(store, cache, prefix)),
            [format!(
                "setting `hosted.store`: must not be around or among the objects of `cache.shared`, which are at `{cache}/{prefix}`, got `{store}`: give it a prefix of its own"
            )]
        );
    }
    for (store, cache, prefix) in [
        ("bucket:a/x", "a", "y"),
        ("bucket:a/x", "a", "x2"),
        ("bucket:a/x/y", "a", "x/z"),
        ("bucket:a", "c", "x"),
        ("file:a", "a", "x"),
        ("bucket:a", "", "x"),
    ] {
        let parsed = Config::parse(&settings(store, cache, prefix), []);
        assert!(parsed.is_ok(), "{store} {cache} {prefix}: {parsed:?}");
    }
}
