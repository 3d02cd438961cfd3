//! Opens the rules about signed URLs.

use std::fmt;

use crate::policy::{Access, Required, SignaturesConfig};
use crate::signature::{KeyError, SigningKeys};

/// Why the rules about signed URLs cannot work.
#[derive(Debug)]
pub enum AccessError {
    /// A key cannot be used.
    Key(KeyError),
    /// All URLs need a signature that nobody can make.
    NoKey,
}

impl fmt::Display for AccessError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessError::Key(error) => error.fmt(out),
            AccessError::NoKey => out.write_str(
                "setting `signatures.required`: with \"always\" there must be a [[signatures.key]]",
            ),
        }
    }
}

impl std::error::Error for AccessError {}

/// Reads the keys, and joins them with the rules.
pub(super) fn open(config: &SignaturesConfig) -> Result<Access, AccessError> {
    let keys = SigningKeys::open(&config.key).map_err(AccessError::Key)?;
    let is_impossible = config.required == Required::Always && config.key.is_empty();
    match is_impossible {
        true => Err(AccessError::NoKey),
        false => Ok(Access::new(config, keys)),
    }
}
