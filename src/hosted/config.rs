//! Section `[hosted]` of the settings.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::units::{ByteSize, Seconds};

/// Section `[hosted]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where hosted images are kept.
    pub store: Store,
    /// The account in the paths of the API.
    pub account: String,
    /// The account hash in delivery URLs.
    pub hash: String,
    /// Whether several processes share the bucket.
    pub replicas: bool,
    /// The folder of the index.
    pub index: PathBuf,
    /// The longest time that a record is used without asking the bucket again, where there are replicas.
    pub record_ttl: Seconds,
    /// The largest upload.
    pub upload_bytes: ByteSize,
    /// Whether delivery URLs may hold options in place of the name of a variant, until the API says otherwise.
    pub flexible_variants: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            store: Store::Off,
            account: "main".to_owned(),
            hash: "main".to_owned(),
            replicas: false,
            index: PathBuf::from("hosted-index"),
            record_ttl: Seconds::new(10),
            upload_bytes: ByteSize::mib(20),
            flexible_variants: false,
        }
    }
}

/// Where hosted images are kept: `file:DIR`, `bucket:NAME` or `bucket:NAME/PREFIX` in the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Store {
    /// Nowhere: there are no hosted images.
    #[default]
    Off,
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a configured bucket.
    Bucket {
        /// The `name` of the `[[bucket]]`.
        name: String,
        /// What all keys begin with, without a slash at its end; may be empty.
        prefix: String,
    },
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreNameError(String);

impl fmt::Display for StoreNameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`store` must be `file:DIR`, `bucket:NAME` or `bucket:NAME/PREFIX`, or empty, got `{}`",
            self.0
        )
    }
}

impl std::error::Error for StoreNameError {}

impl TryFrom<String> for Store {
    type Error = StoreNameError;

    fn try_from(text: String) -> Result<Self, StoreNameError> {
        match text.split_once(':') {
            None if text.is_empty() => Ok(Store::Off),
            Some(("file", folder)) if !folder.is_empty() => {
                Ok(Store::Folder(PathBuf::from(folder)))
            }
            Some(("bucket", place)) => {
                let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
                let prefix = prefix.trim_end_matches('/');
                if name.is_empty()
                    || prefix
                        .split('/')
                        .any(|segment| matches!(segment, "." | ".."))
                {
                    return Err(StoreNameError(text));
                }
                Ok(Store::Bucket {
                    name: name.to_owned(),
                    prefix: prefix.to_owned(),
                })
            }
            _ => Err(StoreNameError(text)),
        }
    }
}
