//! What can change while a server runs.

use toml::{Table, Value};

use super::Config;
use crate::admin;
use crate::bucket;
use crate::cache;
use crate::hosted;
use crate::pipeline::LimitsConfig;
use crate::policy::ZoneConfig;
use crate::server;
use crate::source;
use crate::telemetry;

/// Settings that count after a restart alone: sections, and what of them is no exception.
const RESTART: [(&str, &[&str]); 12] = [
    ("server", &["server.prefixes", "server.request_timeout"]),
    ("admin.listen", &[]),
    ("zone.origin", &[]),
    ("fetch.memory", &[]),
    ("cache.memory", &[]),
    ("cache.disk", &[]),
    ("cache.shared", &[]),
    ("cache.errors", &[]),
    ("hosted", &["hosted.token"]),
    ("limits", &["limits.output_side"]),
    ("log.format", &[]),
    ("traces", &[]),
];

/// Settings as they were written: those of the file, with the environment over it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WrittenSettings(pub(super) Table);

impl WrittenSettings {
    /// The names of all that is written differently in `other`, in order. A list is one setting.
    pub(crate) fn changes(&self, other: &WrittenSettings) -> Vec<String> {
        let mut names = Vec::new();
        compare(&self.0, &other.0, "", &mut names);
        names
    }
}

fn compare(before: &Table, after: &Table, path: &str, names: &mut Vec<String>) {
    let empty = Table::new();
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let name = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match (before.get(key), after.get(key)) {
            (before, after) if before == after => {}
            (Some(Value::Table(before)), Some(Value::Table(after))) => {
                compare(before, after, &name, names);
            }
            // A section that has come or gone.
            (Some(Value::Table(section)), None) => compare(section, &empty, &name, names),
            (None, Some(Value::Table(section))) => compare(&empty, section, &name, names),
            _ => names.push(name),
        }
    }
}

impl Config {
    /// Whether a change of a setting counts after a restart alone.
    pub(crate) fn needs_restart(name: &str) -> bool {
        let is_of = |section: &str| {
            name.strip_prefix(section)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        RESTART.iter().any(|(section, exceptions)| {
            is_of(section) && !exceptions.iter().any(|exception| is_of(exception))
        })
    }

    /// The names of the buckets that caches and hosted images are kept in.
    pub(crate) fn store_buckets(&self) -> impl Iterator<Item = &str> {
        let hosted = match &self.hosted.store {
            hosted::Store::Bucket { name, .. } => Some(name.as_str()),
            hosted::Store::Folder(_) | hosted::Store::Off => None,
        };
        let shared = Some(self.cache.shared.bucket.as_str()).filter(|name| !name.is_empty());
        hosted.into_iter().chain(shared)
    }

    /// The bucket with this name.
    pub(crate) fn bucket_named(&self, name: &str) -> Option<&bucket::Config> {
        self.bucket.iter().find(|bucket| bucket.name == name)
    }

    /// These settings, with those of a running server where a change needs a restart.
    pub(crate) fn within(self, running: &Config) -> Config {
        Config {
            server: server::Config {
                prefixes: self.server.prefixes,
                request_timeout: self.server.request_timeout,
                ..running.server.clone()
            },
            admin: admin::Config {
                listen: running.admin.listen,
                ..self.admin
            },
            zone: ZoneConfig {
                origin: running.zone.origin.clone(),
                ..self.zone
            },
            fetch: source::Config {
                memory: running.fetch.memory,
                ..self.fetch
            },
            cache: cache::Config {
                memory: running.cache.memory.clone(),
                disk: running.cache.disk.clone(),
                shared: running.cache.shared.clone(),
                errors: running.cache.errors.clone(),
                ..self.cache
            },
            hosted: hosted::Config {
                token: self.hosted.token,
                ..running.hosted.clone()
            },
            limits: LimitsConfig {
                output_side: self.limits.output_side,
                ..running.limits.clone()
            },
            log: telemetry::Config {
                level: self.log.level,
                ..running.log.clone()
            },
            traces: running.traces.clone(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::WrittenSettings;
    use crate::config::Config;

    fn read(text: &str) -> (Config, WrittenSettings) {
        let settings = Config::parse_written(text, []);
        settings.unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_is_written_differently_is_named() {
        let (_, before) = read(
            "[sources]\nallowed = ['a.test']\n[cache]\nmin_ttl = '1 h'\n[[bucket]]\nname = 'p'\nbucket = 'q'\nregion = 'r'\n",
        );
        let (_, after) = read(
            "[sources]\nallowed = ['b.test']\n[cache]\nmin_ttl = '1 h'\n[defaults]\nquality = 70\n[cache.disk]\npath = 'x'\n",
        );
        let names = [
            "bucket",
            "cache.disk.path",
            "defaults.quality",
            "sources.allowed",
        ];
        assert_eq!(before.changes(&after), names);
        assert_eq!(after.changes(&before), names);
        assert_eq!(before.changes(&before), [""; 0]);
    }

    /// Each setting of the shipped file, with another value, either counts or keeps the value of the running server, as its name says.
    #[test]
    fn names_and_values_agree() {
        let root = env!("CARGO_MANIFEST_DIR");
        let shipped = fs::read_to_string(format!("{root}/config.toml")).expect("the shipped file");
        let (running, _) = read(&shipped);
        let mut count = 0;
        for (name, value) in [
            ("server.listen", "'127.0.0.1:9'"),
            ("server.prefixes", "['/x/']"),
            ("server.request_timeout", "'9 s'"),
            ("server.connections", "9"),
            ("server.drain_delay", "'9 s'"),
            ("admin.listen", "'127.0.0.1:9'"),
            ("admin.token", "'a-token-of-ours-9'"),
            ("admin.hosts", "['x']"),
            ("zone.origin", "'file:/x'"),
            ("zone.originals", "'none'"),
            ("sources.allowed", "['x.test']"),
            ("fetch.memory", "'9 MiB'"),
            ("fetch.idle_timeout", "'9 s'"),
            ("defaults.quality", "9"),
            ("policy.strict", "true"),
            ("cors.origins", "['https://x.test']"),
            ("cache.min_ttl", "'9 s'"),
            ("cache.memory.renditions", "'9 MiB'"),
            ("cache.disk.path", "'/x'"),
            ("cache.shared.timeout", "'9 s'"),
            ("cache.errors.source", "'9 s'"),
            ("hosted.store", "'file:/x'"),
            ("limits.output_side", "9"),
            ("limits.queue", "9"),
            ("log.level", "'debug'"),
            ("log.format", "'json'"),
            ("traces.sample_ratio", "0.5"),
        ] {
            let (section, key) = name.rsplit_once('.').expect("a section");
            let (changed, written) = read(&format!("[{section}]\n{key} = {value}\n"));
            let (default, nothing) = read("");
            assert_eq!(nothing.changes(&written), [name]);
            let kept = changed.clone().within(&default) == default.clone().within(&default);
            assert_ne!(changed, default, "{name} has another value");
            assert_eq!(kept, Config::needs_restart(name), "{name}");
            count += 1;
        }
        assert!(count > 20);
        assert_eq!(running.clone().within(&running), running);
    }
}
