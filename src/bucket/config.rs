//! Section `[[bucket]]`: one S3-compatible bucket.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};

/// Section `[[bucket]]`: one S3-compatible bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of this bucket in other settings: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The name of the bucket at its service.
    pub bucket: String,
    /// The region in signatures, `eu-west-1` for example. AWS needs it, most other services ignore it.
    #[serde(default)]
    pub region: String,
    /// `http(s)://host[:port][/path]`, or empty for AWS.
    #[serde(default)]
    pub endpoint: String,
    /// Where requests put the name of the bucket. URLs are recognised in both styles, whatever is set here.
    #[serde(default)]
    pub style: AddressingStyle,
    /// How requests are signed.
    #[serde(default)]
    pub credentials: Credentials,
}

/// Where requests put the name of the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressingStyle {
    /// In the host: `https://BUCKET.HOST/KEY`.
    #[default]
    Virtual,
    /// In the path: `https://HOST/BUCKET/KEY`.
    Path,
}

/// How requests to a bucket are signed. `Debug` does not show keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// With the credentials of the standard AWS chain: environment, profile, web identity, container and instance metadata.
    #[default]
    Chain,
    /// Not at all: the bucket is public.
    Anonymous,
    /// With these keys.
    Static {
        /// The access key id.
        key: String,
        /// The secret access key.
        secret: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Credentials::Chain => "Chain",
            Credentials::Anonymous => "Anonymous",
            Credentials::Static { .. } => "Static { hidden }",
        })
    }
}

impl<'de> Deserialize<'de> for Credentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CredentialsVisitor)
    }
}

struct CredentialsVisitor;

impl<'de> Visitor<'de> for CredentialsVisitor {
    type Value = Credentials;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"chain\", \"anonymous\" or { key = \"…\", secret = \"…\" }")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Credentials, E> {
        match word {
            "chain" => Ok(Credentials::Chain),
            "anonymous" => Ok(Credentials::Anonymous),
            // The message does not show the word: it may be a secret in the wrong place.
            _ => Err(E::custom(
                "`credentials` must be \"chain\", \"anonymous\" or { key = \"…\", secret = \"…\" }",
            )),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Credentials, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            key: String,
            secret: String,
        }
        let Keys { key, secret } = Keys::deserialize(MapAccessDeserializer::new(map))?;
        if key.is_empty() || secret.is_empty() {
            return Err(serde::de::Error::custom(
                "`key` and `secret` of `credentials` must not be empty; use \"anonymous\" for a public bucket",
            ));
        }
        Ok(Credentials::Static { key, secret })
    }
}
