//! How one entry lies on disk and in the shared bucket: its name, and the header before its body.
//!
//! The header repeats the key, so that a file under a wrong name is recognised as somebody else's.

use std::fmt;
use std::str::FromStr;

use crate::cache::key;
use crate::cache::key::ContentHash;
use crate::cache::key::RenditionKey;
use crate::cache::key::SourceId;
use crate::cache::key::SourceKey;

const MAGIC: [u8; 4] = *b"SFLT";

/// Raised when the header or any body changes its layout; what was written before is then deleted on sight.
pub(crate) const STORED_VERSION: u8 = 2;

/// magic, version, kind, source, epoch, hash, length of the body (numbers little-endian).
pub(crate) const HEADER: usize = 4 + 1 + 1 + 16 + 8 + 32 + 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EntryKind {
    Rendition,
    Record,
    SourceBytes,
}

/// What an entry is called outside of memory: everything of one source begins alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EntryKey {
    kind: EntryKind,
    source: SourceId,
    epoch: u64,
    hash: [u8; 32],
}

impl EntryKey {
    pub(crate) fn rendition(key: RenditionKey) -> Self {
        EntryKey {
            kind: EntryKind::Rendition,
            source: key.source(),
            epoch: key.epoch(),
            hash: key.hash(),
        }
    }

    pub(crate) fn record(key: SourceKey) -> Self {
        EntryKey {
            kind: EntryKind::Record,
            source: key.id(),
            epoch: 0,
            hash: key.bytes(),
        }
    }

    pub(crate) fn source_bytes(source: SourceId, version: ContentHash) -> Self {
        EntryKey {
            kind: EntryKind::SourceBytes,
            source,
            epoch: 0,
            hash: version.bytes(),
        }
    }

    pub(crate) fn kind(self) -> EntryKind {
        self.kind
    }

    /// The source that the entry is of.
    pub(crate) fn source(self) -> SourceId {
        self.source
    }

    /// The number of the last purge that left nothing of what was made before.
    pub(crate) fn epoch(self) -> u64 {
        self.epoch
    }

    /// What the last two digits of its name say.
    pub(crate) fn last_byte(self) -> u8 {
        let [.., last] = self.hash;
        last
    }

    /// The source whose record it is.
    pub(crate) fn source_key(self) -> Option<SourceKey> {
        (self.kind == EntryKind::Record).then(|| SourceKey::from_bytes(self.hash))
    }

    /// Whether all that will ever be written under this key is the same.
    pub(crate) fn is_immutable(self) -> bool {
        self.kind != EntryKind::Record
    }

    pub(crate) fn header(self, body: u64) -> [u8; HEADER] {
        let parts: [&[u8]; 6] = [
            &MAGIC,
            &[STORED_VERSION, self.kind.code()],
            &self.source.bytes(),
            &self.epoch.to_le_bytes(),
            &self.hash,
            &body.to_le_bytes(),
        ];
        let mut header = [0; HEADER];
        let mut rest = &mut header[..];
        for part in parts {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        header
    }
}

impl EntryKind {
    fn code(self) -> u8 {
        match self {
            EntryKind::Rendition => 1,
            EntryKind::Record => 2,
            EntryKind::SourceBytes => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            EntryKind::Rendition => "rendition",
            EntryKind::Record => "record",
            EntryKind::SourceBytes => "source",
        }
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EntryKey {
            kind,
            source,
            epoch,
            hash,
        } = self;
        write!(out, "{}-{source}-{epoch:x}-{}", kind.name(), key::hex(hash))
    }
}

/// The exact inverse of `Display`.
impl FromStr for EntryKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(4, '-');
        let mut next = || parts.next().ok_or(());
        let (name, source, epoch, hash) = (next()?, next()?, next()?, next()?);
        let kind = [
            EntryKind::Rendition,
            EntryKind::Record,
            EntryKind::SourceBytes,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or(())?;
        let key = EntryKey {
            kind,
            source: SourceId::from_hex(source).ok_or(())?,
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| ())?,
            hash: *blake3::Hash::from_hex(hash).map_err(|_| ())?.as_bytes(),
        };
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
    use super::ContentHash;
    use super::EntryKey;
    use super::HEADER;
    use super::RenditionKey;
    use super::SourceKey;

    fn keys() -> [EntryKey; 3] {
        [
            EntryKey::rendition(RenditionKey::numbered(1)),
            EntryKey::record(SourceKey::numbered(1)),
            EntryKey::source_bytes(SourceKey::numbered(1).id(), ContentHash::of(b"1")),
        ]
    }

    #[test]
    fn names_are_read_as_written() {
        for key in keys() {
            assert_eq!(key.to_string().parse(), Ok(key));
            assert!(
                key.to_string()
                    .ends_with(&format!("{:02x}", key.last_byte()))
            );
            assert!(key.to_string().to_uppercase().parse::<EntryKey>().is_err());
        }
        for garbage in ["", "-", "rendition-", "record-00", "picture-00"] {
            assert!(garbage.parse::<EntryKey>().is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_header_belongs_to_one_key_and_one_length() {
        let [key, other, third] = keys();
        let header = key.header(4);
        assert_eq!(header.len(), HEADER);
        for foreign in [other.header(4), third.header(4), key.header(5)] {
            assert_ne!(header, foreign);
        }
    }
}
