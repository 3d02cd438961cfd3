//! Cache keys: hashes of everything that the stored bytes depend on.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::options::{Gravity, Recipe};
use crate::policy::ApprovedSource;

/// Raise this number whenever the same recipe would give other pixels or bytes: what older versions rendered is then never served again.
pub const RENDER_VERSION: u32 = 11;

/// The key of a source: a hash of its canonical address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SourceKey([u8; 32]);

impl SourceKey {
    /// All ways to write the address of one source give the same key.
    pub fn of(source: &ApprovedSource) -> Self {
        SourceKey(hash(&[b"source" as &[u8], source.canonical().as_bytes()]))
    }

    /// The beginning of the name of everything that is stored of this source.
    pub fn id(&self) -> SourceId {
        let (id, _) = self
            .0
            .split_first_chunk()
            .expect("32 bytes are more than 16");
        SourceId(*id)
    }

    pub(crate) fn bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        SourceKey(bytes)
    }
}

/// The first half of a source's key, which is enough to identify it. The name of everything that is stored of the source begins with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId([u8; 16]);

impl SourceId {
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(text, 16).ok()?;
        (text.len() == 32).then_some(SourceId(number.to_be_bytes()))
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SourceId({self})")
    }
}

/// The key of a source, with its address, which purges by prefix need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName {
    /// The hash of its address.
    pub key: SourceKey,
    /// The canonical address.
    pub address: Arc<str>,
}

impl SourceName {
    /// All ways to write the address of one source give the same name.
    pub fn of(source: &ApprovedSource) -> Self {
        SourceName {
            key: SourceKey::of(source),
            address: source.canonical().into(),
        }
    }
}

/// A hash of the bytes of a source.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Hashes about one megabyte per millisecond.
    pub fn of(source: &[u8]) -> Self {
        ContentHash(*blake3::hash(source).as_bytes())
    }

    pub(crate) fn bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text)
            .ok()
            .map(|hash| ContentHash(*hash.as_bytes()))
    }
}

/// The state of a source that its renditions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// Which bytes of the source.
    pub version: ContentHash,
    /// The number of the last purge that removed the source.
    pub epoch: u64,
}

/// The key of a rendition: which source bytes, by which recipe, rendered by which version. What is stored under a key never changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RenditionKey {
    source: SourceId,
    /// The number of the last purge that removed the source. What was made before it, or is being made of what was fetched before it, has another
    /// key.
    epoch: u64,
    hash: [u8; 32],
}

impl RenditionKey {
    /// `render_fingerprint` names everything else that the bytes depend on: the codecs of this build, and settings that are not in the recipe.
    pub fn of(
        source: &SourceKey,
        state: SourceState,
        recipe: &Recipe,
        render_fingerprint: &str,
    ) -> Self {
        let recipe = recipe.to_string();
        RenditionKey::made_of(
            source,
            state,
            b"rendition",
            &[recipe.as_bytes(), render_fingerprint.as_bytes()],
        )
    }

    /// The key of a saliency map. No recipe names it, but it is stored like a rendition.
    pub fn of_saliency_map(source: &SourceKey, state: SourceState, gravity: Gravity) -> Self {
        RenditionKey::made_of(source, state, b"look", &[gravity.to_string().as_bytes()])
    }

    /// The key of a copy of a source that is `denominator` times smaller on each axis. It is stored like a rendition.
    pub fn of_reduced_copy(source: &SourceKey, state: SourceState, denominator: u32) -> Self {
        RenditionKey::made_of(source, state, b"derivative", &[&denominator.to_le_bytes()])
    }

    fn made_of(source: &SourceKey, state: SourceState, what: &[u8], how: &[&[u8]]) -> Self {
        // The key of the source is hashed as well as its bytes: two sources with equal bytes can be purged separately.
        let made_of: [&[u8]; 4] = [
            what,
            &RENDER_VERSION.to_le_bytes(),
            &source.0,
            &state.version.0,
        ];
        RenditionKey {
            source: source.id(),
            epoch: state.epoch,
            hash: hash(made_of.iter().chain(how)),
        }
    }

    /// The strong entity tag of the rendition, with its quotes. Purges do not change it: equal bytes have equal tags.
    pub fn etag(&self) -> String {
        format!("\"{}\"", &hex(&self.hash)[..32])
    }

    /// The source of the rendition.
    pub fn source(&self) -> SourceId {
        self.source
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl fmt::Display for RenditionKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RenditionKey {
            source,
            epoch,
            hash,
        } = self;
        write!(out, "{source}-{epoch:x}-{}", hex(hash))
    }
}

impl fmt::Debug for RenditionKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RenditionKey({self})")
    }
}

/// Hashes each part with its length, so that no two different lists of parts give the same hash.
fn hash<'a>(parts: impl IntoIterator<Item = &'a &'a [u8]>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part);
    }
    *hasher.finalize().as_bytes()
}

pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

macro_rules! print_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({self})", stringify!($name))
            }
        }
    )*};
}

print_as_hex!(SourceKey, ContentHash);

/// Text that is not a cache key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("this is not a cache key")
    }
}

/// The exact inverse of `Display`, as is that of [`SourceKey`].
impl FromStr for RenditionKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().ok_or(KeyError);
        let (source, epoch, hash) = (next()?, next()?, next()?);
        let key = RenditionKey {
            source: SourceId::from_hex(source).ok_or(KeyError)?,
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| KeyError)?,
            hash: *blake3::Hash::from_hex(hash)
                .map_err(|_| KeyError)?
                .as_bytes(),
        };
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(KeyError)
        }
    }
}

impl FromStr for SourceKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| KeyError)?;
        Ok(SourceKey(*hash.as_bytes()))
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl From<$name> for String {
            fn from(key: $name) -> String {
                key.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = KeyError;

            fn try_from(text: String) -> Result<Self, KeyError> {
                text.parse()
            }
        }
    )*};
}

as_text!(SourceKey, RenditionKey);

#[cfg(test)]
impl SourceKey {
    pub(crate) fn numbered(number: u64) -> Self {
        SourceKey(hash(&[b"test" as &[u8], &number.to_le_bytes()]))
    }
}

#[cfg(test)]
impl SourceName {
    pub(crate) fn numbered(number: u64) -> Self {
        SourceName {
            key: SourceKey::numbered(number),
            address: format!("https://b.com/{number}.jpg").into(),
        }
    }
}

#[cfg(test)]
impl RenditionKey {
    pub(crate) fn numbered(number: u64) -> Self {
        RenditionKey::numbered_of(&SourceKey::numbered(number), 0, number)
    }

    /// The only rendition that tests make of a state of a source.
    pub(crate) fn numbered_in(source: &SourceKey, state: SourceState) -> Self {
        RenditionKey::made_of(source, state, b"test", &[])
    }

    pub(crate) fn numbered_of(source: &SourceKey, epoch: u64, number: u64) -> Self {
        RenditionKey {
            source: source.id(),
            epoch,
            hash: hash(&[b"test" as &[u8], &number.to_le_bytes()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ContentHash;
    use super::RenditionKey;
    use super::hash;

    #[test]
    fn parts_cannot_merge() {
        assert_ne!(hash(&[b"ab" as &[u8], b"c"]), hash(&[b"a" as &[u8], b"bc"]));
        assert_ne!(hash(&[b"ab" as &[u8]]), hash(&[b"ab" as &[u8], b""]));
    }

    #[test]
    fn a_content_hash_is_parsed_as_it_was_written() {
        let version = ContentHash::of(b"bytes");
        assert_eq!(ContentHash::from_hex(&version.to_string()), Some(version));
        assert_eq!(ContentHash::from_hex("00"), None);
        assert_ne!(version, ContentHash::of(b"other bytes"));
    }

    #[test]
    fn an_etag_is_a_quoted_strong_tag_of_its_key() {
        let etag = RenditionKey::numbered(1).etag();
        assert!(
            etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"'),
            "{etag}"
        );
        assert_ne!(etag, RenditionKey::numbered(2).etag());
    }
}
