mod hosted;

use super::Config;
use crate::policy::ZoneOrigin;
use crate::units::{AutoByteSize, ByteSize};

const SHIPPED: &str = include_str!("../../../config.toml");

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn wrong(text: &str) -> Vec<String> {
    let error = Config::parse(text, []).expect_err("the text is wrong");
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn the_shipped_file_states_the_defaults() {
    assert_eq!(Config::parse(SHIPPED, []), Ok(Config::default()));
}

#[test]
fn a_server_of_hosted_images_has_a_zone_only_where_one_is_named() {
    let zone = |text: &str, pairs: &[(&str, &str)]| {
        let config = Config::parse(text, variables(pairs));
        config.expect("right settings").zone.origin
    };
    let origin = |text: &str| ZoneOrigin::try_from(text.to_owned()).expect("an origin");
    let hosted = "[hosted]\nstore = 'file:images'\n";
    assert_eq!(zone(hosted, &[]), ZoneOrigin::None);
    assert_eq!(
        zone("", &[("SAFELIGHT__HOSTED__STORE", "file:images")]),
        ZoneOrigin::None
    );
    let both = format!("{hosted}[zone]\norigin = 'file:photos'\n");
    assert_eq!(zone(&both, &[]), origin("file:photos"));
    let other = [("SAFELIGHT__ZONE__ORIGIN", "file:b")];
    assert_eq!(zone(hosted, &other), origin("file:b"));
    let rest = format!("{hosted}[zone]\nstrip = true\n");
    assert_eq!(zone(&rest, &[]), ZoneOrigin::None);
    assert_eq!(zone("[zone]\norigin = 'none'\n", &[]), ZoneOrigin::None);
    assert_eq!(zone("", &[]), ZoneOrigin::default());
}

#[test]
fn the_shipped_file_names_every_setting() {
    let sections: toml::Table = SHIPPED.parse().expect("the shipped file is TOML");
    for section in [
        "server", "admin", "zone", "sources", "fetch", "defaults", "policy", "cors", "response",
        "cache", "limits", "log",
    ] {
        assert!(sections.contains_key(section), "[{section}] is missing");
    }
}

#[test]
fn every_bad_value_is_reported_at_once() {
    let lines = wrong(
        "[server]\nlisten = \"nowhere\"\nprefixes = [\"images\"]\n[limits]\nsource_bytes = \"12 MB\"\n[cache.disk]\npaht = \"x\"\n\
         [defaults]\nquality = 300\n[nonsense]\nx = 1\n[zone]\norigin = \"ftp://x\"\n",
    );
    for part in [
        "server.listen",
        "server.prefixes",
        "limits.source_bytes",
        "12 MB",
        "paht",
        "defaults.quality",
        "nonsense",
        "zone.origin",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(part)),
            "{part} is not reported: {lines:#?}"
        );
    }
}

#[test]
fn entries_of_lists_keep_their_numbers() {
    let lines = wrong(
        "[sources]\nallowed = [\"b.com\", \"a b\", \"c.com\", \"d e\", \"f g\"]\n\
         [[bucket]]\nname = 1\n[[bucket]]\nname = \"b\"\nstyle = \"odd\"\n[[bucket]]\nregion = 7\n",
    );
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split('`').nth(1))
        .collect();
    for name in [
        "sources.allowed[1]",
        "sources.allowed[3]",
        "sources.allowed[4]",
        "bucket[0].name",
        "bucket[1].style",
        "bucket[2].region",
    ] {
        assert!(names.contains(&name), "{name} is not in {lines:#?}");
    }
}

#[test]
fn the_environment_goes_over_the_file() {
    let config = Config::parse(
        SHIPPED,
        variables(&[
            ("SAFELIGHT__SERVER__LISTEN", "0.0.0.0:9000"),
            ("SAFELIGHT__LIMITS__SOURCE_PIXELS", "1000"),
            ("SAFELIGHT__CACHE__MEMORY__RENDITIONS", "1 GiB"),
            (
                "SAFELIGHT__SERVER__PREFIXES",
                "[\"/cdn-cgi/image/\", \"/dynamic/image/\"]",
            ),
            ("SAFELIGHT__ZONE__ORIGIN", "https://example.com/pictures"),
        ]),
    )
    .expect("all of them are right");
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.limits.source_pixels, 1000);
    assert_eq!(config.cache.memory.renditions(None).bytes(), 1 << 30);
    assert!(
        config
            .server
            .prefixes
            .is_image_path("/dynamic/image/w=1/a.jpg")
    );
}

#[test]
fn workers_are_bounded() {
    let config = Config::parse("[limits]\nworkers = 1024\n", []).expect("as many as may be");
    assert_eq!(config.limits.workers, 1024);
    let error = Config::parse("[limits]\nworkers = 1025\n", []).expect_err("too many");
    assert_eq!(
        error.to_string().trim(),
        "setting `limits.workers`: must be a number from 0 to 1024, got `1025`"
    );
}

#[test]
fn the_share_of_upgrades_is_a_percentage() {
    let config = Config::parse("[limits]\nupgrade_share = 100\n", []).expect("all of them");
    assert_eq!(config.limits.upgrade_share, 100);
    let error = Config::parse("[limits]\nupgrade_share = 101\n", []).expect_err("too many");
    assert_eq!(
        error.to_string().trim(),
        "setting `limits.upgrade_share`: must be a number from 0 to 100, got `101`"
    );
}

#[test]
fn the_memory_of_renders_is_auto_or_a_size() {
    for (value, size) in [
        ("\"auto\"", AutoByteSize::Auto),
        ("\"700 MiB\"", AutoByteSize::Fixed(ByteSize::mib(700))),
        ("1048576", AutoByteSize::Fixed(ByteSize::mib(1))),
    ] {
        let text = format!("[limits]\nrender_memory = {value}\n");
        let config = Config::parse(&text, []).expect("is right");
        assert_eq!(config.limits.render_memory, size, "{value}");
    }
    for value in ["half", "1 GB", "-1"] {
        let lines = wrong(&format!("[limits]\nrender_memory = \"{value}\"\n"));
        let expected = format!(
            "setting `limits.render_memory`: must be \"auto\" or a size such as \"100 MiB\" (units B, KiB, MiB, GiB, TiB), got `{value}`"
        );
        assert_eq!(lines, [expected]);
    }
    for value in ["true", "-1", "[1]"] {
        let lines = wrong(&format!("[limits]\nrender_memory = {value}\n"));
        assert!(lines[0].contains("limits.render_memory"), "{lines:?}");
    }
}

#[test]
fn a_wrong_variable_is_named() {
    let error = Config::parse(
        "",
        variables(&[
            ("SAFELIGHT__SERVER__LISTN", "x"),
            ("SAFELIGHT__LIMITS__QUEUE", "many"),
        ]),
    )
    .expect_err("both are wrong")
    .to_string();
    let lines: Vec<&str> = error.lines().collect();
    let [queue, listen] = lines[..] else {
        panic!("{lines:#?}");
    };
    assert_eq!(
        queue,
        "setting `limits.queue`: must be a whole number of at least 0, got `many` (it comes from the variable `SAFELIGHT__LIMITS__QUEUE`)"
    );
    assert!(
        listen.starts_with("setting `server.listn`: does not exist; there are `listen`, ")
            && listen.ends_with(" (it comes from the variable `SAFELIGHT__SERVER__LISTN`)"),
        "{listen}"
    );
}

#[test]
fn a_value_is_named_with_where_it_comes_from() {
    for (text, name, value, line) in [
        (
            "",
            "SAFELIGHT__CACHE__DISK",
            "{ path = 1 }",
            "setting `cache.disk.path`: must be text in quotes, got `1` (it comes from the variable `SAFELIGHT__CACHE__DISK`)",
        ),
        (
            "",
            "SAFELIGHT__SOURCES__ALLOWED",
            "['a b']",
            "setting `sources.allowed[0]`: an allowed origin must be `host`, `*.host` or either with `:port` and `/path`, got `a b`: it holds a space or a backslash (it comes from the variable `SAFELIGHT__SOURCES__ALLOWED`)",
        ),
        (
            "",
            "SAFELIGHT__HOSTED__ACCOUNT",
            "a",
            "setting `hosted.store`: must be there beside `hosted.account`: `file:DIR`, `bucket:NAME`, or empty for no hosted images",
        ),
        // The file is wrong, and the variable is of something else.
        (
            "[limits]\nqueue = 'many'\n",
            "SAFELIGHT__LIMITS__WORKERS",
            "2",
            "setting `limits.queue`: must be a whole number of at least 0, got `many`",
        ),
        (
            "[limits]\nworkers = 'many'\n",
            "SAFELIGHT__LIMITS__WORK",
            "2",
            "setting `limits.workers`: must be a whole number of at least 0, got `many`",
        ),
    ] {
        let error = Config::parse(text, variables(&[(name, value)])).expect_err(line);
        let error = error.to_string();
        assert!(error.lines().any(|told| told == line), "{error}");
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_section() {
    let uncommented: String = SHIPPED
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|line| line.starts_with('['))
                .unwrap_or(line)
        })
        .filter(|line| line.starts_with('['))
        .map(|header| format!("{header}\n"))
        .collect();
    let headers: Vec<&str> = uncommented.lines().collect();
    assert!(headers.len() > 25, "{headers:?}");
    for header in headers {
        // The keys of presets are names.
        if header.starts_with("[presets]") {
            continue;
        }
        let header = header.split_once(" #").map_or(header, |(header, _)| header);
        let told = wrong(&format!("{header}\nunheard_of = 1\n")).join("\n");
        assert!(
            told.contains("unheard_of`: does not exist; there are `"),
            "{header}: {told}"
        );
    }
    let lines = wrong("[hostd]\nstore = 'file:x'\n");
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0]
            .starts_with("setting `hostd`: does not exist; there are `server`, `admin`, `zone`, "),
        "{lines:?}"
    );
}

#[test]
fn a_bucket_without_an_address_is_named() {
    let bucket = |rest: &str| {
        format!(
            "[[bucket]]\nname = 'one'\nbucket = 'a'\nregion = 'eu-west-1'\n[[bucket]]\nname = 'photos'\n{rest}\n"
        )
    };
    for (rest, reason) in [
        (
            "bucket = 'b'\nendpoint = 's3.test:9000'",
            "`endpoint` must be empty for AWS or `http(s)://host[:port][/path]`, got `s3.test:9000`",
        ),
        (
            "bucket = 'b'",
            "`region` must name the bucket's AWS region (`eu-west-1`, for example), or `endpoint` another service",
        ),
        (
            "bucket = 'b/c'",
            "`bucket` must be the name of a bucket (letters, digits, `-`, `_` and `.`), got `b/c`",
        ),
    ] {
        let line = format!("setting `bucket[1]`: {reason}, in the [[bucket]] `photos`");
        assert_eq!(wrong(&bucket(rest)), [line]);
    }
}

#[test]
fn a_bad_bucket_never_tells_its_secret() {
    let text = "[[bucket]]\nname = \"b\"\nbucket = \"b\"\nregion = \"eu-west-1\"\ncredentials = { key = \"AK\", secrt = \"hunter2\" }\n";
    assert!(!wrong(text).concat().contains("hunter2"));
    assert!(
        !wrong("[[bucket]]\ncredentials = { key = \"AK\", secret = \"hunter2\" \n")
            .concat()
            .contains("hunter2")
    );
}
