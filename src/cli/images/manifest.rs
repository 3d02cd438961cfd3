//! `manifest.json` of an exported folder: which file is which image, and what was stored with it.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cli::error::CommandError;

/// The name of the file.
pub(super) const MANIFEST: &str = "manifest.json";
/// The version of its layout.
const VERSION: u32 = 1;

/// What an exported folder holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub version: u32,
    pub account: String,
    pub images: Vec<ExportedImage>,
    /// The variants, as the API describes them.
    #[serde(default)]
    pub variants: Vec<Value>,
}

/// An image, and the file with its original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ExportedImage {
    pub id: String,
    /// The path of the file below the folder, with slashes.
    pub file: String,
    pub sha256: String,
    #[serde(default)]
    pub filename: Option<String>,
    #[serde(default)]
    pub creator: Option<String>,
    #[serde(default)]
    pub meta: Map<String, Value>,
    #[serde(default, rename = "requireSignedURLs")]
    pub require_signed_urls: bool,
    #[serde(default)]
    pub uploaded: String,
}

impl Manifest {
    /// The manifest of an account, without images.
    pub(super) fn new(account: &str) -> Self {
        Manifest {
            version: VERSION,
            account: account.to_owned(),
            ..Manifest::default()
        }
    }

    /// The manifest of a folder, if it has one.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, CommandError> {
        let path = folder.join(MANIFEST);
        let wrong = |reason: &dyn std::fmt::Display| {
            CommandError::new(format!("`{}` cannot be read: {reason}", path.display()))
        };
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|error| wrong(&error))?,
        };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
        if manifest.version != VERSION {
            return Err(wrong(&format!(
                "its version must be {VERSION}, got {}",
                manifest.version
            )));
        }
        Ok(Some(manifest))
    }

    /// Writes the manifest in place of the one before.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(folder.join(MANIFEST))?;
        Ok(())
    }
}
