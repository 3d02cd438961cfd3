//! How one entry lies on disk: its name in the index, and the header before its body.
//!
//! The header repeats the key. So no two keys ever share a content file (cacache stores equal content once, and deleting one would delete both), and
//! an entry forged to collide in xxh3, which is no cryptographic hash, is recognised as somebody else's.

use std::fmt;
use std::str::FromStr;

use super::key;
use super::key::Key;
use super::key::SourceKey;
use super::key::Version;

const MAGIC: [u8; 4] = *b"SFLT";

/// Raised when the header or any body changes its layout; what was written before is then deleted on sight.
const STORED_VERSION: u8 = 1;

/// magic, version, kind, key, length of the body (little-endian).
pub(super) const HEADER: usize = 4 + 1 + 1 + 32 + 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Rendition,
    Record,
    SourceBytes,
}

/// What an entry is called on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EntryKey {
    kind: Kind,
    hash: [u8; 32],
}

impl EntryKey {
    pub(super) fn rendition(key: Key) -> Self {
        EntryKey {
            kind: Kind::Rendition,
            hash: key.bytes(),
        }
    }

    pub(super) fn record(key: SourceKey) -> Self {
        EntryKey {
            kind: Kind::Record,
            hash: key.bytes(),
        }
    }

    pub(super) fn source_bytes(version: Version) -> Self {
        EntryKey {
            kind: Kind::SourceBytes,
            hash: version.bytes(),
        }
    }

    /// Whether all that will ever be written under this key is the same.
    pub(super) fn is_immutable(self) -> bool {
        self.kind != Kind::Record
    }

    pub(super) fn header(self, body: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&MAGIC);
        header[4] = STORED_VERSION;
        header[5] = self.kind.code();
        header[6..38].copy_from_slice(&self.hash);
        header[38..].copy_from_slice(&body.to_le_bytes());
        header
    }

    /// Whether `content` is an entry of this key in today's layout, whole.
    pub(super) fn owns(self, content: &[u8]) -> bool {
        content
            .split_first_chunk::<HEADER>()
            .is_some_and(|(header, body)| *header == self.header(body.len() as u64))
    }
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Rendition => 1,
            Kind::Record => 2,
            Kind::SourceBytes => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Rendition => "rendition",
            Kind::Record => "record",
            Kind::SourceBytes => "source",
        }
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.kind.name(), key::hex(&self.hash))
    }
}

/// The exact inverse of `Display`.
impl FromStr for EntryKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, hex) = text.split_once('-').ok_or(())?;
        let kind = [Kind::Rendition, Kind::Record, Kind::SourceBytes]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or(())?;
        let hash = *blake3::Hash::from_hex(hex).map_err(|_| ())?.as_bytes();
        let key = EntryKey { kind, hash };
        // Hexadecimal has two cases, keys have one.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EntryKey;
    use super::HEADER;
    use super::Key;
    use super::SourceKey;
    use super::Version;

    fn keys() -> [EntryKey; 3] {
        [
            EntryKey::rendition(Key::numbered(1)),
            EntryKey::record(SourceKey::numbered(1)),
            EntryKey::source_bytes(Version::of(b"1")),
        ]
    }

    #[test]
    fn names_are_read_as_written() {
        for key in keys() {
            assert_eq!(key.to_string().parse(), Ok(key));
            assert!(key.to_string().to_uppercase().parse::<EntryKey>().is_err());
        }
        for garbage in ["", "-", "rendition-", "record-00", "picture-00"] {
            assert!(garbage.parse::<EntryKey>().is_err(), "{garbage}");
        }
    }

    #[test]
    fn an_entry_belongs_to_one_key_and_is_whole() {
        let [key, other, third] = keys();
        let mut content = key.header(4).to_vec();
        content.extend_from_slice(b"body");
        assert!(key.owns(&content));
        assert!(!other.owns(&content) && !third.owns(&content));
        for cut in 0..content.len() {
            assert!(!key.owns(&content[..cut]));
        }
        for position in 0..HEADER {
            let mut changed = content.clone();
            changed[position] ^= 1;
            assert!(!key.owns(&changed), "byte {position}");
        }
    }
}
