//! What all signed URLs have in common: HMAC-SHA256, compared in constant time, and keys that never show.
//!
//! What is signed is text as it came. Nothing here decodes it, so that no two readings of it can differ.

mod config;
mod keys;
mod mac;

pub use config::KeyConfig;
pub use config::Secret;
pub use keys::KeyError;
pub use keys::SigningKeys;
pub(crate) use keys::is_id;
pub(crate) use mac::HEX_LENGTH;
pub(crate) use mac::MacKey;
pub(crate) use mac::now;
pub(crate) use mac::parse_mac;
pub(crate) use mac::parse_seconds;
