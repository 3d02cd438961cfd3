//! What `safelight serve` starts with: the settings, the arguments over them, and what is there where nobody has written any settings.
//!
//! Without a file of settings the current folder is served, the disk cache is in the cache folder of the user, and nothing is written elsewhere.

mod cache_folder;
mod exposure;
mod folders;
mod pictures;
mod real_path;
mod s3;
mod target;
mod welcome;

use std::path::{Path, PathBuf, absolute};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::error::CommandError;
use super::settings_file::settings_file;
use crate::config::{Config, WrittenSettings};
use crate::policy::{OriginPattern, ZoneOrigin};

use target::Target;
use welcome::Welcome;

/// The arguments of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArguments {
    /// What is served, as in ./photos, https://www.example.com or 's3://my-bucket?region=eu-west-1' (also endpoint=URL, style=path, anonymous); without
    /// it, the zone of the settings, and where there are none, the current folder.
    #[arg(value_name = "TARGET")]
    pub(super) target: Option<PathBuf>,
    #[command(flatten)]
    pub(super) options: ServeOptions,
}

/// The arguments of `serve` that may stand without that word.
#[derive(Clone, Debug, Args)]
pub struct ServeOptions {
    /// The address of the public listener, as in 0.0.0.0:8080, in place of `server.listen`.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// An origin that pictures may come from as well, as in b.com, *.b.com or b.com/themes; may be given several times, in place of `sources.allowed`.
    #[arg(long, value_name = "ORIGIN")]
    allow: Vec<String>,
    /// The folder of the disk cache, in place of `cache.disk.path`; each TARGET has a folder of its own in it; empty: nothing is cached on disk.
    #[arg(long, value_name = "DIR", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    cache: Option<PathBuf>,
    /// The file with the settings; without it, config.toml if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What a server starts with.
pub(super) struct Startup {
    pub(super) config: Config,
    /// The settings as they were written, without the arguments.
    pub(super) written: WrittenSettings,
    /// Whether there is a file with settings.
    pub(super) has_file: bool,
    /// Whether `--listen` named the address of the public listener.
    pub(super) has_listen_argument: bool,
    /// Whether the admin listener takes any port where its usual one is in use: nobody has said which it should have.
    pub(super) has_any_admin_port: bool,
    pub(super) welcome: Welcome,
}

impl Startup {
    /// Reads the settings and the arguments. The arguments win over the environment, and the environment over the file.
    ///
    /// # Errors
    /// [`CommandError`] has a line for everything that is wrong with the settings, or else with the arguments.
    pub(super) fn of(arguments: &ServeArguments) -> Result<Startup, CommandError> {
        let file = settings_file(arguments.options.config.as_deref());
        let (mut config, written) = arguments.read(file)?;
        let is_unconfigured = file.is_none();
        let has_default_zone = config.zone.origin == Config::default().zone.origin;
        let is_new_zone = arguments.apply(&mut config, is_unconfigured)?;
        let mut notes = Vec::new();
        let cache = arguments.set_cache(&mut config, is_unconfigured, is_new_zone)?;
        exposure::check(&config, file)?;
        folders::check(&config)?;
        if is_new_zone || is_unconfigured {
            notes = vec![welcome::origin(&config), cache];
        }
        Ok(Startup {
            config,
            written,
            has_file: file.is_some(),
            has_listen_argument: arguments.options.listen.is_some(),
            has_any_admin_port: is_unconfigured && !Config::is_in_environment("admin.listen"),
            welcome: Welcome {
                // The default zone is the photographs of the examples.
                has_examples: !notes.is_empty() || has_default_zone,
                notes,
            },
        })
    }
}

impl ServeArguments {
    /// Arguments for those who only look at settings: what would be served, and which origins would be allowed.
    pub(super) fn of_zone(
        target: Option<PathBuf>,
        allow: Vec<String>,
        config: Option<PathBuf>,
    ) -> Self {
        ServeArguments {
            target,
            options: ServeOptions {
                listen: None,
                allow,
                cache: None,
                config,
            },
        }
    }

    /// The settings with the arguments over them, but for the cache.
    ///
    /// # Errors
    /// As [`Startup::of`].
    pub(super) fn settings(&self) -> Result<Config, CommandError> {
        let file = settings_file(self.options.config.as_deref());
        let (mut config, _) = self.read(file)?;
        self.apply(&mut config, file.is_none())?;
        Ok(config)
    }

    fn read(&self, file: Option<&Path>) -> Result<(Config, WrittenSettings), CommandError> {
        Config::load_written(file).map_err(|error| match (file, &self.options.config) {
            (Some(file), None) => CommandError::new(format!(
                "{error}\nthe settings are those of `{}` in this folder; `--config FILE` names another file",
                file.display()
            )),
            _ => CommandError::new(error),
        })
    }

    /// Puts the arguments over the settings, but for the cache. Returns whether the zone is not that of the settings.
    fn apply(&self, config: &mut Config, is_unconfigured: bool) -> Result<bool, CommandError> {
        let mut wrong = Vec::new();
        if let Some(listen) = &self.options.listen {
            match listen.parse() {
                Ok(address) => config.server.listen = address,
                Err(_) => wrong.push(format!(
                    "`--listen` must be an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`, got `{listen}`"
                )),
            }
        }
        if !self.options.allow.is_empty() {
            let patterns = self
                .options
                .allow
                .iter()
                .cloned()
                .map(OriginPattern::try_from);
            let (right, errors): (Vec<_>, Vec<_>) = patterns.partition(Result::is_ok);
            config.sources.allowed = right.into_iter().flatten().collect();
            let errors = errors.into_iter().filter_map(Result::err);
            wrong.extend(errors.map(|error| format!("`--allow`: {error}")));
        }
        let zone = match &self.target {
            Some(target) => Some(Target::parse(target)),
            None if is_unconfigured
                && config.zone.origin != ZoneOrigin::None
                && !Config::is_in_environment("zone.origin") =>
            {
                Some(current_folder())
            }
            None => None,
        };
        let is_new_zone = zone.is_some();
        let applied = zone.map(|target| target.and_then(|target| target.apply(config)));
        wrong.extend(applied.and_then(Result::err));
        if wrong.is_empty() {
            Ok(is_new_zone)
        } else {
            Err(CommandError(wrong.join("\n")))
        }
    }

    /// Decides where the disk cache is, and returns a line about it.
    fn set_cache(
        &self,
        config: &mut Config,
        is_unconfigured: bool,
        is_new_zone: bool,
    ) -> Result<String, CommandError> {
        let is_nowhere = is_unconfigured && !Config::is_in_environment("cache.disk.path");
        if self.options.cache.is_none() && is_nowhere {
            let (folder, note) = match cache_folder::in_user_cache(config) {
                Ok(folder) => (folder.clone(), cached_in(&folder)),
                Err(reason) => (PathBuf::new(), reason),
            };
            config.cache.disk.path = folder;
            return Ok(note);
        }
        let named = self
            .options
            .cache
            .as_ref()
            .unwrap_or(&config.cache.disk.path);
        if named.as_os_str().is_empty() {
            config.cache.disk.path = PathBuf::new();
            return Ok("nothing is cached on disk".to_owned());
        }
        let folder = if is_new_zone {
            cache_folder::own_folder(named, config)
        } else {
            named.clone()
        };
        if self.options.cache.is_some() {
            cache_folder::made(&folder).map_err(|reason| {
                CommandError(format!("`--cache` must be a folder to write to: {reason}"))
            })?;
        }
        let note = cached_in(&folder);
        config.cache.disk.path = folder;
        Ok(note)
    }
}

fn cached_in(folder: &Path) -> String {
    let folder = absolute(folder).unwrap_or_else(|_| folder.to_owned());
    format!("the disk cache is in the folder {}", folder.display())
}

/// The current folder as what is served. The top of the file system is where services start whose settings were forgotten.
fn current_folder() -> Result<Target, String> {
    let folder = Path::new(".");
    if absolute(folder).is_ok_and(|folder| folder.parent().is_none()) {
        return Err(
            "there is no `config.toml` in `/`, and all files of a machine are served only on request: name what is served, as in `safelight serve ./photos`, or the settings with `--config FILE`"
                .to_owned(),
        );
    }
    Ok(Target::Folder(folder.to_owned()))
}
