//! Settings: each room's own section, from their defaults, then `config.toml`, then the environment. The only place that reads the
//! environment. One run reports every bad value and every unknown key.

mod limits;
mod wording;

use std::env;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use toml::Table;
use toml::Value;

use crate::admin;
use crate::bucket;
use crate::cache;
use crate::options::Quality;
use crate::policy;
use crate::policy::NegotiateConfig;
use crate::policy::SourcesConfig;
use crate::policy::ZoneConfig;
use crate::server;
use crate::source;
use crate::telemetry;

pub use limits::LimitsConfig;

use wording::plain;

/// Variables that begin with this are settings: `SAFELIGHT__SERVER__LISTEN` is `server.listen`.
const PREFIX: &str = "SAFELIGHT__";

/// Every setting.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where and how requests are taken.
    pub server: server::Config,
    /// The operator's listener.
    pub admin: admin::Config,
    /// What paths without a host are relative to.
    pub zone: ZoneConfig,
    /// Which other sources there may be.
    pub sources: SourcesConfig,
    /// Buckets that are read with signed requests.
    pub bucket: Vec<bucket::Config>,
    /// How sources are fetched.
    pub fetch: source::Config,
    /// What stands in for options that a URL leaves open.
    pub defaults: Defaults,
    /// How URLs are taken.
    pub policy: PolicyConfig,
    /// What is kept, where, and for how long.
    pub cache: cache::Config,
    /// What one request and all of them together may take.
    pub limits: LimitsConfig,
    /// What is logged, and how.
    pub log: telemetry::Config,
}

/// Section `[defaults]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Encoder quality, 1 to 100.
    pub quality: Quality,
    /// Whether colours beyond sRGB are kept, with their profile.
    pub wide_gamut: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            quality: Quality::DEFAULT,
            wide_gamut: false,
        }
    }
}

/// Section `[policy]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Whether URLs with anything that does not count are refused.
    pub strict: bool,
    /// Whether `width=auto` multiplies the width of the viewport by `Sec-CH-DPR`.
    pub viewport_dpr: bool,
}

/// Everything that is wrong with the settings, one line each.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a file, and the environment over it.
    ///
    /// # Errors
    /// [`ConfigError`] has a line for each thing that is wrong.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError(vec![format!(
                "the config file `{}` cannot be read: {error}",
                path.display()
            )])
        })?;
        Config::parse(&text, variables())
    }

    /// Reads the environment alone, for commands that need no file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn of_environment() -> Result<Config, ConfigError> {
        Config::parse("", variables())
    }

    /// Reads the text of a file, and variables over it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(0, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            // Not the error's own text: it quotes the line, which may hold a secret.
            ConfigError(vec![format!(
                "the config file is not TOML, line {line}: {}",
                error.message()
            )])
        })?;
        let mut wrong = Vec::new();
        for (name, value) in variables {
            if let Err(reason) = set(&mut table, &name, &value) {
                wrong.push(reason);
            }
        }
        let config = loop {
            match read(&table, &mut wrong) {
                Ok(config) => break config,
                // Taken out, the setting has its default, and the next bad one shows.
                Err(at) if remove(&mut table, &at) => {}
                Err(_) => return Err(ConfigError(wrong)),
            }
        };
        if wrong.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(wrong))
        }
    }

    /// What the policy room needs, which is spread over four sections.
    pub fn policy(&self) -> policy::Config {
        policy::Config {
            sources: self.sources.clone(),
            negotiate: NegotiateConfig {
                output_side: self.limits.output_side,
                quality: self.defaults.quality,
                wide_gamut: self.defaults.wide_gamut,
                viewport_dpr: self.policy.viewport_dpr,
            },
            strict: self.policy.strict,
            cache_bucket: self.cache_bucket().map(str::to_owned),
        }
    }

    /// The name of the bucket that renditions are kept in.
    fn cache_bucket(&self) -> Option<&str> {
        let name = self.cache.shared.bucket.as_str();
        (!name.is_empty()).then_some(name)
    }

    /// Those buckets that sources may be in.
    pub fn source_buckets(&self) -> Vec<bucket::Config> {
        let is_source =
            |bucket: &&bucket::Config| Some(bucket.name.as_str()) != self.cache_bucket();
        self.bucket.iter().filter(is_source).cloned().collect()
    }
}

/// The settings in the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "settings come from here and nowhere else"
)]
fn variables() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with(PREFIX)
            .then(|| (name, value.to_string_lossy().into_owned()))
    })
}

/// Reads what there is; at the first bad value says where it is.
fn read(table: &Table, wrong: &mut Vec<String>) -> Result<Config, Vec<PathStep>> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let reader = serde_path_to_error::Deserializer::new(Value::Table(table.clone()), &mut track);
    let read: Result<Config, toml::de::Error> =
        serde_ignored::deserialize(reader, |path| unknown.push(path.to_string()));
    match read {
        Ok(config) => {
            wrong.extend(
                unknown
                    .iter()
                    .map(|path| format!("setting `{path}` does not exist")),
            );
            Ok(config)
        }
        Err(error) => {
            let path = track.path();
            wrong.push(format!(
                "setting `{path}`: {}",
                plain(error.message().trim())
            ));
            Err(path
                .iter()
                .map(|segment| match segment {
                    serde_path_to_error::Segment::Seq { index } => PathStep::Index(*index),
                    other => PathStep::Key(other.to_string()),
                })
                .collect())
        }
    }
}

/// One step down into a table.
#[derive(Clone, Debug)]
enum PathStep {
    Key(String),
    Index(usize),
}

/// Removes the deepest thing of a path that exists. Says whether anything was removed.
fn remove(table: &mut Table, path: &[PathStep]) -> bool {
    let Some((PathStep::Key(first), rest)) = path.split_first() else {
        return false;
    };
    let within = table
        .get_mut(first)
        .is_some_and(|inner| remove_within(inner, rest));
    within || table.remove(first).is_some()
}

fn remove_within(value: &mut Value, path: &[PathStep]) -> bool {
    match (value, path) {
        (Value::Table(table), [PathStep::Key(_), ..]) => remove(table, path),
        (Value::Array(array), [PathStep::Index(index), rest @ ..]) if *index < array.len() => {
            if !remove_within(&mut array[*index], rest) {
                array.remove(*index);
            }
            true
        }
        _ => false,
    }
}

/// Puts a variable into the table. Its value is read as TOML where it is some (numbers, lists, tables), else as text.
fn set(table: &mut Table, name: &str, text: &str) -> Result<(), String> {
    let path = name
        .strip_prefix(PREFIX)
        .unwrap_or(name)
        .to_ascii_lowercase();
    let steps: Vec<&str> = path.split("__").collect();
    let Some((last, sections)) = steps.split_last() else {
        return Ok(());
    };
    let value = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    let mut inner = table;
    for section in sections {
        let entry = inner
            .entry((*section).to_owned())
            .or_insert_with(|| Value::Table(Table::new()));
        inner = entry
            .as_table_mut()
            .ok_or_else(|| format!("variable `{name}`: `{section}` is no section"))?;
    }
    inner.insert((*last).to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Config;
    use crate::units::AutoByteSize;
    use crate::units::ByteSize;

    const SHIPPED: &str = include_str!("../../config.toml");

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
    fn the_shipped_file_names_every_setting() {
        let sections: toml::Table = SHIPPED.parse().expect("the shipped file is TOML");
        for section in [
            "server", "admin", "zone", "sources", "fetch", "defaults", "policy", "cache", "limits",
            "log",
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
        assert_eq!(config.cache.memory.renditions.bytes(), 1 << 30);
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
        assert!(
            error.contains("server.listn") || error.contains("listn"),
            "{error}"
        );
        assert!(error.contains("limits.queue"), "{error}");
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
}
