//! Loads the settings: the defaults, then `config.toml`, then the environment. Each module has its own section. The only module that reads the
//! environment. All wrong values and unknown keys are reported at once.

mod contradictions;
mod environment;
mod path;
mod reload;
mod user_cache;
mod variable;
mod wording;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use toml::Table;
use toml::Value;

use crate::admin;
use crate::bucket;
use crate::cache;
use crate::clients;
use crate::hosted;
use crate::options::{Formats, Quality};
use crate::pipeline;
use crate::pipeline::LimitsConfig;
use crate::policy;
use crate::policy::{
    HostedStore, NegotiateConfig, SignaturesConfig, SourcesConfig, ZoneConfig, ZoneOrigin,
};
use crate::request::{FlowConfig, Presets};
use crate::response;
use crate::server;
use crate::source;
use crate::telemetry;

use contradictions::contradictions;
use environment::{Overlay, variables};
use path::PathStep;
use path::as_written;
use path::name;
use path::{at, remove};
use wording::missing_field;
use wording::plain;

pub use reload::WrittenSettings;
pub use user_cache::user_cache_folder;
pub(crate) use variable::variable;

/// Every setting.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The public listener.
    pub server: server::Config,
    /// The admin listener.
    pub admin: admin::Config,
    /// The zone.
    pub zone: ZoneConfig,
    /// The other origins that are allowed.
    pub sources: SourcesConfig,
    /// The buckets, which are read with signed requests.
    pub bucket: Vec<bucket::Config>,
    /// The plain URLs that are transformed by rule.
    pub flow: Vec<FlowConfig>,
    /// How sources are fetched.
    pub fetch: source::Config,
    /// The values of options that a URL leaves out.
    pub defaults: Defaults,
    /// How URLs are interpreted.
    pub policy: PolicyConfig,
    /// What one client may take, and who says which client it is.
    pub clients: clients::Config,
    /// Which URLs need a signature, and who may sign.
    pub signatures: SignaturesConfig,
    /// Options under a name.
    pub presets: Presets,
    /// Which sites may read answers with their scripts.
    pub cors: response::Cors,
    /// How answers are saved.
    pub response: response::Config,
    /// What is cached, where, and for how long.
    pub cache: cache::Config,
    /// Images that are uploaded here.
    pub hosted: hosted::Config,
    /// What one request, and all of them together, may use.
    pub limits: LimitsConfig,
    /// The log.
    pub log: telemetry::Config,
    /// Traces for OpenTelemetry.
    pub traces: telemetry::TracesConfig,
}

/// Section `[defaults]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Encoder quality, 1 to 100.
    pub quality: Quality,
    /// Whether colours beyond sRGB are kept, with their profile.
    pub wide_gamut: bool,
    /// What `format=auto` may choose from, the best first.
    pub formats: Formats,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            quality: Quality::DEFAULT,
            wide_gamut: false,
            formats: Formats::ALL,
        }
    }
}

/// Section `[policy]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Whether URLs with anything that would be ignored are refused.
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
        Ok(Config::load_written(Some(path))?.0)
    }

    /// Reads a file, if one is named, and the environment over it. Returns what was written as well.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_written(path: Option<&Path>) -> Result<(Config, WrittenSettings), ConfigError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| {
                ConfigError(vec![format!(
                    "the config file `{}` cannot be read: {error}",
                    path.display()
                )])
            })
        };
        let text = path.map_or_else(|| Ok(String::new()), read)?;
        Config::parse_written(&text, variables())
    }

    /// Reads the environment alone, for commands that need no file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn of_environment() -> Result<Config, ConfigError> {
        Config::parse("", variables())
    }

    /// Whether the environment has a value for a setting, as in `admin.listen`.
    pub fn is_in_environment(setting: &str) -> bool {
        let mut table = Table::new();
        let mut overlay = Overlay::default();
        for (name, value) in variables() {
            // What is wrong with a variable is reported where the settings are read.
            let _ = overlay.put(&mut table, &name, &value);
        }
        let mut steps = setting.split('.');
        let first = steps.next().and_then(|first| table.get(first));
        steps
            .try_fold(first, |value, step| Some(value?.get(step)))
            .flatten()
            .is_some()
    }

    /// Reads the text of a file, and variables over it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        Ok(Config::parse_written(text, variables)?.0)
    }

    fn parse_written(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Config, WrittenSettings), ConfigError> {
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(0, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            // Not the error's own text: it quotes the line, which may contain a secret.
            ConfigError(vec![format!(
                "the config file is not TOML, line {line}: {}",
                error.message()
            )])
        })?;
        let mut wrong = Vec::new();
        let mut overlay = Overlay::default();
        for (name, value) in variables {
            if let Err(reason) = overlay.put(&mut table, &name, &value) {
                wrong.push(reason);
            }
        }
        let mut removed = BTreeSet::new();
        let mut config = loop {
            match read(&table, &removed) {
                Ok(config) => break config,
                Err(BadValue { path, problem }) => {
                    wrong
                        .extend(problem.map(|(setting, reason)| line(&setting, &reason, &overlay)));
                    // Without the bad value the setting has its default, and the next bad value is found.
                    let Some(depth) = remove(&mut table, &path) else {
                        return Err(ConfigError(wrong));
                    };
                    let (found, _) = path.split_at(depth);
                    removed.insert(as_written(found, &removed));
                }
            }
        };
        if config.hosted.store != hosted::Store::Off && !has_zone(&table) {
            config.zone.origin = ZoneOrigin::None;
        }
        if wrong.is_empty() {
            // A default in place of a bad value would contradict others.
            let found = contradictions(&config, &table);
            wrong.extend(
                found
                    .iter()
                    .map(|found| line(&found.setting, &found.reason, &overlay)),
            );
        }
        if wrong.is_empty() {
            Ok((config, WrittenSettings(table)))
        } else {
            Err(ConfigError(wrong))
        }
    }

    /// What the pipeline is built from.
    pub fn pipeline(&self) -> pipeline::Config {
        pipeline::Config {
            prefixes: self.server.prefixes.clone(),
            flows: self.flow.clone(),
            request_timeout: self.server.request_timeout.duration(),
            zone: self.zone.clone(),
            buckets: self.bucket.clone(),
            policy: self.policy(),
            clients: self.clients.clone(),
            signatures: self.signatures.clone(),
            presets: self.presets.clone(),
            cors: self.cors.clone(),
            response: self.response,
            fetch: self.fetch.clone(),
            cache: self.cache.clone(),
            hosted: self.hosted.clone(),
            limits: self.limits.clone(),
            worker_program: None,
        }
    }

    /// What decides about requests, from four sections.
    pub fn policy(&self) -> policy::Config {
        let cache_bucket = &self.cache.shared.bucket;
        policy::Config {
            sources: self.sources.clone(),
            negotiate: NegotiateConfig {
                output_side: self.limits.output_side,
                quality: self.defaults.quality,
                wide_gamut: self.defaults.wide_gamut,
                formats: self.defaults.formats,
                viewport_dpr: self.policy.viewport_dpr,
            },
            strict: self.policy.strict,
            cache_bucket: (!cache_bucket.is_empty()).then(|| cache_bucket.clone()),
            hosted: match &self.hosted.store {
                hosted::Store::Off => HostedStore::Off,
                hosted::Store::Folder(folder) => HostedStore::Folder(folder.clone()),
                hosted::Store::Bucket { name, prefix } => HostedStore::Bucket {
                    name: name.clone(),
                    prefix: prefix.clone(),
                },
            },
        }
    }
}

/// Whether the settings say where the zone is. A server of hosted images needs none.
fn has_zone(table: &Table) -> bool {
    let zone = table.get("zone").and_then(Value::as_table);
    zone.is_some_and(|zone| zone.contains_key("origin"))
}

/// What is wrong with a setting, in one line.
fn line(setting: &str, reason: &str, overlay: &Overlay) -> String {
    match overlay.source(setting) {
        Some(variable) => {
            format!("setting `{setting}`: {reason} (it comes from the variable `{variable}`)")
        }
        None => format!("setting `{setting}`: {reason}"),
    }
}

/// A value that cannot be read.
struct BadValue {
    /// Where it is in the table.
    path: Vec<PathStep>,
    /// The setting and what is wrong with it; `None` if that has been reported.
    problem: Option<(String, String)>,
}

/// Reads the settings up to the first bad value.
fn read(table: &Table, removed: &BTreeSet<Vec<PathStep>>) -> Result<Config, BadValue> {
    let mut track = serde_path_to_error::Track::new();
    let reader = serde_path_to_error::Deserializer::new(Value::Table(table.clone()), &mut track);
    let read: Result<Config, toml::de::Error> = Config::deserialize(reader);
    read.map_err(|error| {
        let path: Vec<PathStep> = track.path().iter().map(PathStep::of).collect();
        let written = as_written(&path, removed);
        let message = error.message().trim();
        // What is missing only because its bad value was taken out has been reported.
        let is_known = match missing_field(message) {
            Some(field) => {
                let field = PathStep::Key(field.to_owned());
                removed.contains(&[written.as_slice(), &[field]].concat())
            }
            None => removed
                .iter()
                .any(|gone| gone.len() > written.len() && gone.starts_with(&written)),
        };
        let reason = || plain(message, at(table, &path));
        BadValue {
            problem: (!is_known).then(|| (name(&written), reason())),
            path,
        }
    })
}

#[cfg(test)]
mod tests;
