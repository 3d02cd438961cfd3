//! What is known of a source without its bytes, and how that is written down.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::cache::key::ContentHash;
use crate::cache::key::SourceName;
use crate::freshness::Freshness;
use crate::freshness::Tag;
use crate::freshness::Tags;
use crate::freshness::Validators;
use crate::source::FetchedSource;

/// Longest record that is read back, in bytes. A real one has a few hundred, and up to 16 KiB of tags.
const MAX_STORED: usize = 64 << 10;

/// One state of a source: which, how long it may be used, and how to ask whether it is still the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    pub version: ContentHash,
    pub validators: Validators,
    pub freshness: Freshness,
    /// Length of the source in bytes.
    pub len: u64,
    /// The one spelling of its address.
    pub address: Arc<str>,
    /// What it can be purged by.
    pub tags: Vec<Tag>,
    /// The number of the last purge that was known when its fetch began.
    pub generation: u64,
    /// The number of the last purge that left nothing of the states before.
    pub epoch: u64,
    /// The number of the last purge that is known to leave it alone.
    judged: CheckedUntil,
}

/// Not part of a record: what was found out about it.
#[derive(Debug, Default)]
struct CheckedUntil(AtomicU64);

impl Clone for CheckedUntil {
    fn clone(&self) -> Self {
        CheckedUntil(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl PartialEq for CheckedUntil {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for CheckedUntil {}

/// The stored form is a small TOML document, so that an operator can read it.
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
    /// The state that a source was just fetched in, by a fetch that began after the purge `generation`.
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
            judged: CheckedUntil::default(),
        }
    }

    /// This state after the origin said that it still holds, asked after the purge `generation`.
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
            judged: CheckedUntil::default(),
            ..self.clone()
        }
    }

    /// This state with a life of at most `cap`.
    pub(crate) fn capped(&self, cap: Duration) -> Self {
        SourceRecord {
            freshness: self.freshness.capped(cap),
            judged: CheckedUntil::default(),
            ..self.clone()
        }
    }

    /// This state, stale since a purge that only made it so; later ones than `generation` were not looked at.
    pub(crate) fn ended(&self, at: SystemTime, generation: u64) -> Self {
        SourceRecord {
            freshness: self.freshness.ended(at),
            generation,
            judged: CheckedUntil::default(),
            ..self.clone()
        }
    }

    /// This state, which may have been purged: to be fetched whole, and to stand in for nothing.
    pub(crate) fn distrusted(&self, at: SystemTime, generation: u64) -> Self {
        SourceRecord {
            freshness: self.freshness.distrusted(),
            validators: Validators::default(),
            ..self.ended(at, generation)
        }
    }

    /// Whether what is made of it may take the place of what was to be made of another: of the same bytes, with no purge between that left nothing
    /// of them, and still to be kept.
    pub fn is_same_state(&self, other: &SourceRecord) -> bool {
        let terms = |record: &SourceRecord| record.freshness.is_storable();
        (self.version, self.epoch, terms(self)) == (other.version, other.epoch, terms(other))
    }

    /// The number of the last purge that is known to leave it alone.
    pub(crate) fn checked_until(&self) -> u64 {
        self.generation.max(self.judged.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set_checked_until(&self, generation: u64) {
        self.judged.0.fetch_max(generation, Ordering::Relaxed);
    }

    /// What it takes in memory, in bytes, without the map it sits in.
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

    /// Reads the stored form; `None` if it is anything but that, or of a source that may not be kept.
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
            judged: CheckedUntil::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    use hyper::HeaderMap;
    use hyper::header::CACHE_CONTROL;
    use hyper::header::HeaderValue;
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
    fn what_is_written_is_read() {
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
    fn what_may_not_be_kept_is_not_read() {
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
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = SourceRecord::from_stored(text.as_bytes());
        }
    }
}
