//! `[[signatures.key]]`: the keys in the settings.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Visitor;

/// The shortest secret, in bytes: nobody can try all of that length.
pub(super) const MIN_LENGTH: usize = 16;

/// One key of those who sign URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyConfig {
    /// The name of the key in URLs.
    pub id: String,
    /// The secret.
    pub secret: Secret,
    /// A file with the secret, in its place.
    pub secret_file: Option<PathBuf>,
}

/// A secret, or none. `Debug` hides it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret, or none if the text is empty; it must be long enough.
    pub fn new(text: &str) -> Option<Self> {
        let is_long = text.is_empty() || text.len() >= MIN_LENGTH;
        is_long.then(|| Secret(text.to_owned()))
    }

    /// The text, if there is one.
    pub(super) fn text(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_empty() {
            "Secret { none }"
        } else {
            "Secret { hidden }"
        })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Accepts text only. No message repeats another value, because it may be the secret without its quotes.
struct SecretVisitor;

const EXPECTED: &str = "`secret` must be text in quotes, of at least 16 bytes (`openssl rand -hex 32` prints one), or empty";

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
        Secret::new(text).ok_or_else(|| E::custom(EXPECTED))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom(EXPECTED))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom(EXPECTED))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom(EXPECTED))
    }
}
