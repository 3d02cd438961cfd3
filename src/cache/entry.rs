//! The name of an entry on disk and in the shared bucket, and the header before its body.
//!
//! The header repeats the key, so that a file under a wrong name is not mistaken for another entry.

use std::fmt;
use std::str::FromStr;

use crate::cache::key;
use crate::cache::key::{ContentHash, RenditionKey, SourceId, SourceKey};

const MAGIC: [u8; 4] = *b"SFLT";

/// Raise this number when the layout of the header or of any body changes: entries of the old layout are then deleted when they are found.
pub(crate) const STORED_VERSION: u8 = 2;

/// Magic, version, kind, source, epoch, hash, length of the body. Numbers are little-endian.
pub(crate) const HEADER_LEN: usize = 4 + 1 + 1 + 16 + 8 + 32 + 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EntryKind {
    Rendition,
    Record,
    SourceBytes,
}

/// The name of an entry outside of memory. The names of all entries of one source begin with the same text.
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

    /// The source that the entry belongs to.
    pub(crate) fn source(self) -> SourceId {
        self.source
    }

    /// The number of the last purge that removed the source, when the entry was made. Zero for records and bytes of sources.
    pub(crate) fn epoch(self) -> u64 {
        self.epoch
    }

    /// The value of the last two digits of its name.
    pub(crate) fn last_byte(self) -> u8 {
        let [.., last] = self.hash;
        last
    }

    /// The key of the source, if the entry is a record.
    pub(crate) fn source_key(self) -> Option<SourceKey> {
        (self.kind == EntryKind::Record).then(|| SourceKey::from_bytes(self.hash))
    }

    /// Whether everything that is ever written under this key is equal.
    pub(crate) fn is_immutable(self) -> bool {
        self.kind != EntryKind::Record
    }

    pub(crate) fn header(self, body: u64) -> [u8; HEADER_LEN] {
        let parts: [&[u8]; 6] = [
            &MAGIC,
            &[STORED_VERSION, self.kind.code()],
            &self.source.bytes(),
            &self.epoch.to_le_bytes(),
            &self.hash,
            &body.to_le_bytes(),
        ];
        let mut header = [0; HEADER_LEN];
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
        // Digits in upper case are not accepted, so that each key has one name.
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
    use super::HEADER_LEN;
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
    fn names_are_parsed_as_they_were_written() {
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
        assert_eq!(header.len(), HEADER_LEN);
        for foreign in [other.header(4), third.header(4), key.header(5)] {
            assert_ne!(header, foreign);
        }
    }
}
