//! The names under which things are kept: hashes that miss nothing they depend on.

use std::fmt;

use crate::options::Gravity;
use crate::options::Recipe;
use crate::policy::ApprovedSource;

/// Raised whenever the same recipe would come out in other pixels or bytes: what older versions made is then never served again.
pub const RENDER_VERSION: u32 = 3;

/// Which source: a hash of the one spelling of its address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceKey([u8; 32]);

impl SourceKey {
    /// Every way to write one source's address gives one key.
    pub fn of(source: &ApprovedSource) -> Self {
        SourceKey(hash(&[b"source", source.canonical().as_bytes()]))
    }

    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }
}

/// Which state of a source: a hash of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version([u8; 32]);

impl Version {
    /// Takes about a millisecond per megabyte.
    pub fn of(source: &[u8]) -> Self {
        Version(*blake3::hash(source).as_bytes())
    }

    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }

    pub(super) fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text)
            .ok()
            .map(|hash| Version(*hash.as_bytes()))
    }
}

/// Which rendition: of these source bytes, by this recipe, as this version renders. What is kept under a key never changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The source itself counts as well as its bytes: two sources that happen to be equal can be purged apart. `manner` is what else
    /// the bytes depend on: the codecs of this build, and settings that no recipe names.
    pub fn of(source: &SourceKey, version: &Version, recipe: &Recipe, manner: &str) -> Self {
        let recipe = recipe.to_string();
        Key(hash(&[
            b"rendition",
            &RENDER_VERSION.to_le_bytes(),
            &source.0,
            &version.0,
            recipe.as_bytes(),
            manner.as_bytes(),
        ]))
    }

    /// What a look at the source found out for a gravity, which no recipe names: it is kept like a rendition.
    pub fn of_look(source: &SourceKey, version: &Version, gravity: Gravity) -> Self {
        Key(hash(&[
            b"look",
            &RENDER_VERSION.to_le_bytes(),
            &source.0,
            &version.0,
            gravity.to_string().as_bytes(),
        ]))
    }

    /// A copy of a source that is so many times smaller on each axis: it is kept like a rendition.
    pub fn of_derivative(source: &SourceKey, version: &Version, denominator: u32) -> Self {
        Key(hash(&[
            b"derivative",
            &RENDER_VERSION.to_le_bytes(),
            &source.0,
            &version.0,
            &denominator.to_le_bytes(),
        ]))
    }

    /// The strong entity tag of the rendition, quotes included.
    pub fn etag(&self) -> String {
        format!("\"{}\"", &hex(&self.0)[..32])
    }

    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }
}

/// Each part goes in with its length, so that no two lists of parts read alike.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part);
    }
    *hasher.finalize().as_bytes()
}

pub(super) fn hex(bytes: &[u8; 32]) -> String {
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

print_as_hex!(SourceKey, Version, Key);

#[cfg(test)]
impl SourceKey {
    pub(super) fn numbered(number: u64) -> Self {
        SourceKey(hash(&[b"test", &number.to_le_bytes()]))
    }
}

#[cfg(test)]
impl Key {
    pub(crate) fn numbered(number: u64) -> Self {
        Key(hash(&[b"test", &number.to_le_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::Key;
    use super::Version;
    use super::hash;

    #[test]
    fn parts_cannot_merge() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"ab"]), hash(&[b"ab", b""]));
    }

    #[test]
    fn a_version_is_written_and_read_alike() {
        let version = Version::of(b"bytes");
        assert_eq!(Version::from_hex(&version.to_string()), Some(version));
        assert_eq!(Version::from_hex("00"), None);
        assert_ne!(version, Version::of(b"other bytes"));
    }

    #[test]
    fn an_etag_is_a_quoted_strong_tag_of_its_key() {
        let etag = Key::numbered(1).etag();
        assert!(
            etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"'),
            "{etag}"
        );
        assert_ne!(etag, Key::numbered(2).etag());
    }
}
