//! What the API can change for the whole account: variants, signing keys and a few switches. Each is one object in the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The name under which the uploaded file itself is delivered. No variant has it.
pub const ORIGINAL: &str = "original";
/// The longest name of a variant.
const MAX_VARIANT_NAME: usize = 99;

/// The variants, the keys and the switches of the account.
#[derive(Clone, Default, PartialEq)]
pub struct AccountSettings {
    /// The variants by their names. `public` is always there.
    pub variants: BTreeMap<String, Variant>,
    /// The keys that sign URLs. At least one.
    pub keys: Vec<SigningKey>,
    /// The key of upload URLs, of batch tokens and of continuation tokens: a random text that never changes and is never shown.
    pub secret: String,
    /// Whether delivery URLs may hold options in place of the name of a variant.
    pub flexible_variants: bool,
    /// How long browsers may keep a picture, in seconds; none: 172,800.
    pub browser_ttl: Option<u32>,
}

impl std::fmt::Debug for AccountSettings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AccountSettings")
            .field("variants", &self.variants)
            .field("keys", &self.keys)
            .field("flexible_variants", &self.flexible_variants)
            .field("browser_ttl", &self.browser_ttl)
            .finish_non_exhaustive()
    }
}

/// A named set of options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// The options by their long names, as the client wrote them.
    pub options: Map<String, Value>,
    /// Whether everybody may see images that need signed URLs in this variant.
    #[serde(default, rename = "neverRequireSignedURLs")]
    pub never_require_signed_urls: bool,
}

/// Whether a variant can have a name: letters, digits, hyphens and underscores, but not [`ORIGINAL`].
pub fn is_variant_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_VARIANT_NAME).contains(&name.len()) && name.bytes().all(is_letter) && name != ORIGINAL
}

/// A key that signs URLs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its name.
    pub name: String,
    /// Its text, which is used as bytes.
    pub value: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SigningKey {{ name: {:?}, hidden }}", self.name)
    }
}
