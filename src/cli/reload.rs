//! Reads the settings of a running server again, and lets those count that can change while it runs: all of them, or none where one is wrong.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::startup::{ServeArguments, Startup};
use crate::admin::{AdminRules, ReloadOutcome, ReloadReport};
use crate::config::{Config, WrittenSettings};
use crate::server::Live;
use crate::telemetry::{Level, LogLevel};

/// A running server, as far as settings can change it.
pub(super) struct Reloader {
    pub arguments: ServeArguments,
    /// The settings that count.
    pub config: Config,
    /// The settings as they were written when the server was started.
    pub started: WrittenSettings,
    /// The settings as they were written when they were last read.
    pub written: WrittenSettings,
    pub live: Arc<Live>,
    pub rules: Arc<AdminRules>,
    pub level: LogLevel,
    /// What follows hosted images for the pipeline that answers now.
    pub followers: Vec<AbortHandle>,
}

impl Reloader {
    /// Reads the settings. The outcome is logged as well.
    pub(super) fn reload(&mut self) -> ReloadOutcome {
        let outcome = self.try_reload();
        match &outcome {
            Ok(ReloadReport { applied, restart }) => {
                let (applied, restart) = (applied.join(" "), restart.join(" "));
                tracing::info!(applied, restart, "the settings were read again");
            }
            Err(errors) => {
                let errors = errors.join("; ");
                tracing::error!(errors, "the settings stay as they are");
            }
        }
        outcome
    }

    fn try_reload(&mut self) -> ReloadOutcome {
        let lines = |error: &dyn std::fmt::Display| -> Vec<String> {
            error.to_string().lines().map(str::to_owned).collect()
        };
        let startup = Startup::of(&self.arguments).map_err(|error| lines(&error))?;
        let report = self.report(&startup.written, &startup.config);
        let config = self.allowed(startup.config);
        let level = Level::of(&config.log).map_err(|error| lines(&error))?;
        let live = self.live.get();
        let renewed = live.pipeline.reopen(config.pipeline());
        let renewed = renewed.map_err(|error| lines(&error))?;
        let api = live.api.as_ref();
        let api = api.map(|api| api.reopen(&renewed, &config.hosted, &config.admin.token));
        let api = api.transpose().map_err(|error| lines(&error))?;
        // From here on nothing can fail.
        let followers = renewed.follow_hosted();
        for follower in std::mem::replace(&mut self.followers, followers) {
            follower.abort();
        }
        self.live.replace(renewed, api);
        self.rules.replace(&config.admin);
        self.level.set(&level);
        self.config = config;
        self.written = startup.written;
        Ok(report)
    }

    /// The settings, but where a change needs a restart.
    fn allowed(&self, read: Config) -> Config {
        let changes_stores = self.changes_bucket_of_stores(&read);
        let mut config = read.within(&self.config);
        if changes_stores {
            config.bucket = self.config.bucket.clone();
        }
        config
    }

    fn report(&self, written: &WrittenSettings, read: &Config) -> ReloadReport {
        let changes_stores = self.changes_bucket_of_stores(read);
        let needs_restart =
            |name: &String| Config::needs_restart(name) || (name == "bucket" && changes_stores);
        let (mut applied, mut restart) =
            (self.written.changes(written), self.started.changes(written));
        applied.retain(|name| !needs_restart(name));
        restart.retain(needs_restart);
        ReloadReport { applied, restart }
    }

    /// Whether a bucket changes that is open for the cache or for hosted images.
    fn changes_bucket_of_stores(&self, read: &Config) -> bool {
        let running = &self.config;
        running
            .store_buckets()
            .any(|name| running.bucket_named(name) != read.bucket_named(name))
    }
}
