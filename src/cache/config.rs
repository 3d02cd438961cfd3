//! Section `[cache]` of the settings.

use std::path::PathBuf;

use serde::Deserialize;

use crate::freshness::Rules;
use crate::source::RuleConfig;
use crate::units::{AutoByteSize, ByteSize, Seconds};

/// Section `[cache]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The shortest time for which a source is fresh.
    pub min_ttl: Seconds,
    /// The longest time for which a source is fresh.
    pub max_ttl: Seconds,
    /// For how long a source is fresh if its origin says nothing about it; `min_ttl` if left out.
    pub default_ttl: Option<Seconds>,
    /// For how long a stale source is used while it is revalidated, if its origin does not say.
    pub stale_while_revalidate: Seconds,
    /// For how long a stale source is used if its origin fails, and if the origin does not say.
    pub stale_if_error: Seconds,
    /// The longest time for which clients may store an interim rendition; zero: no interim renditions are made.
    pub interim_ttl: Seconds,
    /// Whether smaller copies of large sources are made.
    pub reduced_copies: bool,
    /// For how long errors are stored.
    pub errors: ErrorTtls,
    /// Settings for some sources only.
    pub rule: Vec<RuleConfig>,
    /// Section `[cache.memory]`.
    pub memory: MemoryConfig,
    /// Section `[cache.disk]`.
    pub disk: DiskConfig,
    /// Section `[cache.shared]`.
    pub shared: SharedConfig,
}

/// Section `[cache.errors]`: for how long an error is stored. Errors that may be over at once, such as a failing origin, are never answered from the
/// cache.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorTtls {
    /// The source does not exist.
    pub not_found: Seconds,
    /// The options in the URL are impossible.
    pub options: Seconds,
    /// The source is no picture, is damaged or too large, or takes too long to render.
    pub source: Seconds,
}

/// Section `[cache.memory]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// The memory for renditions; by default a share of the memory of the system.
    pub renditions: AutoByteSize,
}

/// Section `[cache.disk]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskConfig {
    /// The folder of the disk cache, which is created if it is missing; empty: nothing is stored on disk.
    pub path: PathBuf,
    /// Zero: no renditions are stored on disk.
    pub renditions: ByteSize,
    /// Zero: no sources are stored on disk.
    pub sources: ByteSize,
}

/// Section `[cache.shared]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SharedConfig {
    /// The name of a `[[bucket]]`; empty: nothing is shared.
    pub bucket: String,
    /// The beginning of the names of all objects.
    pub prefix: String,
    /// The longest time that one request waits for the shared bucket, all its reads together.
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
            renditions: AutoByteSize::Auto,
        }
    }
}

impl MemoryConfig {
    /// The memory for renditions on a system with `memory` bytes (`None`: unknown).
    pub fn renditions(&self, memory: Option<u64>) -> ByteSize {
        /// Enough for some thousand pictures. A system with less than sixteen times of this needs its memory for renders.
        const MOST: ByteSize = ByteSize::mib(256);
        match (&self.renditions, memory) {
            (AutoByteSize::Fixed(size), _) => *size,
            (AutoByteSize::Auto, Some(memory)) => MOST.min(ByteSize::new(memory / 16)),
            (AutoByteSize::Auto, None) => MOST,
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
    /// How freshness is computed for sources without a rule of their own.
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

#[cfg(test)]
mod tests {
    use super::{AutoByteSize, ByteSize, MemoryConfig};

    #[test]
    fn renditions_have_a_sixteenth_of_the_memory() {
        let auto = MemoryConfig::default();
        for (memory, share) in [
            (None, 256),
            (Some(256), 16),
            (Some(1024), 64),
            (Some(4096), 256),
            (Some(65_536), 256),
        ] {
            let found = auto.renditions(memory.map(|mib: u64| mib << 20));
            assert_eq!(found, ByteSize::mib(share), "{memory:?} MiB");
        }
        let fixed = MemoryConfig {
            renditions: AutoByteSize::Fixed(ByteSize::mib(7)),
        };
        assert_eq!(fixed.renditions(Some(1 << 20)), ByteSize::mib(7));
    }
}
