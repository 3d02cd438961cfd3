//! The settings that decide about requests.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use crate::options::{Formats, Quality};
use crate::policy::origin_pattern::OriginPattern;
use crate::policy::zone::{Originals, ZoneOrigin};

/// Section `[sources]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourcesConfig {
    /// The origins that may be read, besides the zone and the configured buckets.
    pub allowed: Vec<OriginPattern>,
}

/// Section `[zone]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZoneConfig {
    /// The folder, server or bucket in which a source without a host is found.
    pub origin: ZoneOrigin,
    /// What of it is served as it is; left out, pictures of a folder or server, and nothing of a bucket.
    pub originals: Option<Originals>,
    /// Whether metadata such as GPS positions is taken out of originals.
    pub strip: bool,
}

/// All settings of this module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Section `[sources]`.
    pub sources: SourcesConfig,
    /// Defaults and limits of options.
    pub negotiate: NegotiateConfig,
    /// Whether a URL is refused when a part of it has no effect.
    pub strict: bool,
    /// The name of the bucket that the cache stores renditions in. No URL may read it.
    pub cache_bucket: Option<String>,
    /// Where hosted images are kept. Only delivery URLs may read it.
    pub hosted: HostedStore,
}

/// Where hosted images are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HostedStore {
    /// Nowhere.
    #[default]
    Off,
    /// In a folder.
    Folder(PathBuf),
    /// In a configured bucket.
    Bucket {
        /// The `name` of the `[[bucket]]` section.
        name: String,
        /// What all keys begin with, without a slash at its end; may be empty.
        prefix: String,
    },
}

/// Defaults and limits of options, from several sections of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NegotiateConfig {
    /// The largest width and height that a URL may ask for, in output pixels, `dpr` included.
    pub output_side: NonZeroU32,
    /// Encoder quality for URLs without one, 1 to 100.
    pub quality: Quality,
    /// Whether colours beyond sRGB are kept, with their profile.
    pub wide_gamut: bool,
    /// What `format=auto` may choose from, the best first.
    pub formats: Formats,
    /// Whether `width=auto` multiplies the width of the viewport by `Sec-CH-DPR`.
    pub viewport_dpr: bool,
}

impl Default for NegotiateConfig {
    fn default() -> Self {
        const OUTPUT_SIDE: NonZeroU32 =
            NonZeroU32::new(12_000).expect("the default limit is not zero");
        NegotiateConfig {
            output_side: OUTPUT_SIDE,
            quality: Quality::DEFAULT,
            wide_gamut: false,
            formats: Formats::ALL,
            viewport_dpr: false,
        }
    }
}
