//! Section `[cache]` of the settings.

use std::path::PathBuf;

use serde::Deserialize;

use crate::freshness::Rules;
use crate::source::RuleConfig;
use crate::units::ByteSize;
use crate::units::Seconds;

/// Section `[cache]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A source is taken to be fresh for at least this long.
    pub min_ttl: Seconds,
    /// And for at most this long.
    pub max_ttl: Seconds,
    /// The life where its origin says nothing; left out, `min_ttl`.
    pub default_ttl: Option<Seconds>,
    /// How long after its life a source is used while it is asked for anew, where its origin does not say.
    pub stale_while_revalidate: Seconds,
    /// And when its origin fails.
    pub stale_if_error: Seconds,
    /// What clients keep an interim rendition for, at most; nought: there are none.
    pub interim_ttl: Seconds,
    /// Whether smaller copies of large sources are made.
    pub reduced_copies: bool,
    /// How long errors are kept.
    pub errors: ErrorTtls,
    /// What is different for some sources.
    pub rule: Vec<RuleConfig>,
    pub memory: MemoryConfig,
    pub disk: DiskConfig,
    pub shared: SharedConfig,
}

/// Section `[cache.errors]`: how long an error holds, by what it takes to make it go away. What passes by itself is never kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorTtls {
    /// There is no such source.
    pub not_found: Seconds,
    /// The URL asks for what cannot be.
    pub options: Seconds,
    /// The source is no picture, damaged, too large, or takes too long.
    pub source: Seconds,
}

/// Section `[cache.memory]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    pub renditions: ByteSize,
}

/// Section `[cache.disk]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskConfig {
    /// RenderOutput where it is missing; empty: nothing is kept on disk.
    pub path: PathBuf,
    /// Nought: none are kept on disk.
    pub renditions: ByteSize,
    /// Nought: none are kept on disk.
    pub sources: ByteSize,
}

/// Section `[cache.shared]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SharedConfig {
    /// The name of a `[[bucket]]`; empty: nothing is shared.
    pub bucket: String,
    /// What the names of all objects begin with.
    pub prefix: String,
    /// For all that one request waits for it.
    pub timeout: Seconds,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            min_ttl: Seconds::new(60 * 60),
            max_ttl: Seconds::new(365 * 24 * 60 * 60),
            default_ttl: None,
            stale_while_revalidate: Seconds::new(60 * 60),
            stale_if_error: Seconds::new(24 * 60 * 60),
            interim_ttl: Seconds::new(5 * 60),
            reduced_copies: true,
            errors: ErrorTtls::default(),
            rule: Vec::new(),
            memory: MemoryConfig::default(),
            disk: DiskConfig::default(),
            shared: SharedConfig::default(),
        }
    }
}

impl Default for ErrorTtls {
    fn default() -> Self {
        ErrorTtls {
            not_found: Seconds::new(10),
            options: Seconds::new(5 * 60),
            source: Seconds::new(60),
        }
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        MemoryConfig {
            renditions: ByteSize::mib(256),
        }
    }
}

impl Default for DiskConfig {
    fn default() -> Self {
        DiskConfig {
            path: PathBuf::from("cache"),
            renditions: ByteSize::gib(10),
            sources: ByteSize::gib(5),
        }
    }
}

impl Default for SharedConfig {
    fn default() -> Self {
        SharedConfig {
            bucket: String::new(),
            prefix: "safelight".to_owned(),
            timeout: Seconds::millis(300),
        }
    }
}

impl Config {
    /// What origins' headers are read by, where no rule of its own holds for a source.
    pub fn rules(&self) -> Rules {
        Rules {
            min_ttl: self.min_ttl.duration(),
            max_ttl: self.max_ttl.duration(),
            default_ttl: self.default_ttl.map(Seconds::duration),
            stale_while_revalidate: self.stale_while_revalidate.duration(),
            stale_if_error: self.stale_if_error.duration(),
        }
    }
}
