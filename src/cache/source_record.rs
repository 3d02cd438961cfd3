//! What is known about a source without its bytes, and its stored form.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::cache::key::{ContentHash, SourceName, SourceState};
use crate::freshness::{Freshness, Tag, Tags, Validators};
use crate::source::FetchedSource;

/// The longest record that is read, in bytes. A usual one has a few hundred bytes, and at most 16 KiB of tags.
const MAX_STORED: usize = 64 << 10;

/// One state of a source: a hash of its bytes, for how long it is fresh, and its validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    /// The hash of its bytes.
    pub version: ContentHash,
    /// The validators with which its origin is asked whether it has changed.
    pub validators: Validators,
    /// How long it may be used, and whether it may be stored.
    pub freshness: Freshness,
    /// Length of the source in bytes.
    pub len: u64,
    /// The canonical address.
    pub address: Arc<str>,
    /// The tags that it can be purged by.
    pub tags: Vec<Tag>,
    /// The number of the last purge that was known when its fetch began.
    pub generation: u64,
    /// The number of the last purge that removed the source.
    pub epoch: u64,
    /// The number of the last purge that is known not to match it.
    checked_until: LastCheck,
}

/// A memory of earlier checks against purges. It is not part of the record: records that differ only in it are equal.
#[derive(Debug, Default)]
struct LastCheck(AtomicU64);

impl Clone for LastCheck {
    fn clone(&self) -> Self {
        LastCheck(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl PartialEq for LastCheck {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for LastCheck {}

/// The stored form is a small TOML document, which an operator can read.
#[derive(Serialize, Deserialize)]
struct RecordFile {
    version: String,
    len: u64,
    address: String,
    #[serde(default)]
    tags: Vec<Tag>,
    generation: u64,
    epoch: u64,
    #[serde(default)]
    validators: Validators,
    freshness: Freshness,
}

impl SourceRecord {
    /// The state of a source that was just fetched, by a fetch that began after the purge `generation`.
    pub fn new(
        name: &SourceName,
        version: ContentHash,
        fetched: FetchedSource,
        generation: u64,
    ) -> Self {
        let FetchedSource {
            bytes,
            validators,
            freshness,
            tags,
        } = fetched;
        SourceRecord {
            version,
            validators,
            freshness,
            len: bytes.len() as u64,
            address: Arc::clone(&name.address),
            tags: tags.into_tags(),
            generation,
            epoch: 0,
            checked_until: LastCheck::default(),
        }
    }

    /// This state after the origin answered "not modified" to a request that began after the purge `generation`.
    pub(crate) fn renewed(
        &self,
        validators: &Validators,
        freshness: &Freshness,
        tags: Tags,
        generation: u64,
    ) -> Self {
        SourceRecord {
            tags: tags.renewing(&self.tags),
            validators: self.validators.renewed_by(validators),
            freshness: self.freshness.renewed_by(freshness),
            generation,
            checked_until: LastCheck::default(),
            ..self.clone()
        }
    }

    /// This state, fresh for at most `cap`.
    pub(crate) fn capped(&self, cap: Duration) -> Self {
        SourceRecord {
            freshness: self.freshness.capped(cap),
            checked_until: LastCheck::default(),
            ..self.clone()
        }
    }

    /// This state, stale since `at` because of a soft purge. Purges after `generation` are yet to be checked.
    pub(crate) fn ended(&self, at: SystemTime, generation: u64) -> Self {
        SourceRecord {
            freshness: self.freshness.ended(at),
            generation,
            checked_until: LastCheck::default(),
            ..self.clone()
        }
    }

    /// This state, which may have been purged by a hard purge: the source must be fetched without validators, and the state is never served stale.
    pub(crate) fn distrusted(&self, at: SystemTime, generation: u64) -> Self {
        SourceRecord {
            freshness: self.freshness.distrusted(),
            validators: Validators::default(),
            ..self.ended(at, generation)
        }
    }

    /// Whether a rendition of this state may be stored as one of the other: equal bytes, no hard purge in between, and both or none may be stored.
    pub fn is_same_state(&self, other: &SourceRecord) -> bool {
        self.state() == other.state()
            && self.freshness.is_storable() == other.freshness.is_storable()
    }

    /// The part of this record that the keys of its renditions contain.
    pub fn state(&self) -> SourceState {
        SourceState {
            version: self.version,
            epoch: self.epoch,
        }
    }

    /// The number of the last purge that is known not to match it.
    pub(crate) fn checked_until(&self) -> u64 {
        self.generation
            .max(self.checked_until.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set_checked_until(&self, generation: u64) {
        self.checked_until
            .0
            .fetch_max(generation, Ordering::Relaxed);
    }

    /// Its size in memory, in bytes, without the map entry.
    pub(crate) fn weight(&self) -> usize {
        let tags = self.tags.iter().map(Tag::as_str);
        let texts = tags.chain(self.validators.etag.as_deref());
        let texts: usize = texts.map(|text| text.len() + size_of::<String>()).sum();
        size_of::<SourceRecord>() + texts + self.address.len()
    }

    pub(crate) fn to_stored(&self) -> Option<Bytes> {
        let stored = RecordFile {
            version: self.version.to_string(),
            len: self.len,
            address: self.address.to_string(),
            tags: self.tags.clone(),
            generation: self.generation,
            epoch: self.epoch,
            validators: self.validators.clone(),
            freshness: self.freshness.clone(),
        };
        let stored = toml::to_string(&stored).ok()?;
        (stored.len() <= MAX_STORED).then(|| Bytes::from(stored))
    }

    /// Parses the stored form; `None` if it is malformed, or if the source may not be stored.
    pub(crate) fn from_stored(stored: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(stored)
            .ok()
            .filter(|text| text.len() <= MAX_STORED)?;
        let RecordFile {
            version,
            len,
            address,
            tags,
            generation,
            epoch,
            validators,
            freshness,
        } = toml::from_str(text).ok()?;
        let version = ContentHash::from_hex(&version)?;
        freshness.is_storable().then_some(SourceRecord {
            version,
            validators,
            freshness,
            len,
            address: address.into(),
            tags,
            generation,
            epoch,
            checked_until: LastCheck::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use hyper::HeaderMap;
    use hyper::header::{CACHE_CONTROL, HeaderValue};
    use proptest::proptest;

    use super::Freshness;
    use super::MAX_STORED;
    use super::SourceName;
    use super::SourceRecord;
    use super::Tag;
    use super::Validators;
    use crate::freshness::Rules;

    fn record() -> SourceRecord {
        let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        SourceRecord {
            tags: ["cats", "a\"b"]
                .map(|tag| Tag::new(tag).expect("a tag"))
                .to_vec(),
            epoch: 3,
            ..crate::cache::tests::record(&SourceName::numbered(1), b"bytes", now, 7)
        }
    }

    #[test]
    fn the_stored_form_is_parsed_as_it_was_written() {
        let stored = record().to_stored().expect("plain data");
        assert_eq!(SourceRecord::from_stored(&stored), Some(record()));
        let bare = SourceRecord {
            validators: Validators::default(),
            ..record()
        };
        assert_eq!(
            SourceRecord::from_stored(&bare.to_stored().expect("plain data")),
            Some(bare)
        );
    }

    #[test]
    fn a_record_that_may_not_be_stored_is_not_parsed() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let freshness = Freshness::of(&headers, UNIX_EPOCH, &Rules::default());
        let stored = SourceRecord {
            freshness,
            ..record()
        }
        .to_stored()
        .expect("plain data");
        assert_eq!(SourceRecord::from_stored(&stored), None);
    }

    #[test]
    fn garbage_is_refused() {
        let stored = record().to_stored().expect("plain data");
        for cut in 0..stored.len() / 2 {
            assert_eq!(
                SourceRecord::from_stored(&stored[..cut]),
                None,
                "{cut} bytes"
            );
        }
        let huge = format!(
            "{}\n#{}",
            String::from_utf8_lossy(&stored),
            "x".repeat(MAX_STORED)
        );
        assert_eq!(SourceRecord::from_stored(huge.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn parsing_any_text_does_not_panic(text in ".*") {
            let _ = SourceRecord::from_stored(text.as_bytes());
        }
    }
}
