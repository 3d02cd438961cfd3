//! `hosted.store` of the settings: where hosted images are kept.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

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
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
                if name.is_empty() || !prefix.is_empty() && !prefix.split('/').all(is_segment) {
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
