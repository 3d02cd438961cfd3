//! What is known of a source without its bytes, and how that is written down.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use super::key::Version;
use crate::freshness::Freshness;
use crate::freshness::Validators;

/// Longest record that is read back, in bytes. A real one has a few hundred.
const MAX_STORED: usize = 16 << 10;

/// One state of a source: which, how long it may be used, and how to ask whether it is still the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    pub version: Version,
    pub validators: Validators,
    pub freshness: Freshness,
    /// Length of the source in bytes.
    pub len: u64,
}

/// The stored form is a small TOML document, so that an operator can read it.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: String,
    len: u64,
    #[serde(default)]
    validators: Validators,
    freshness: Freshness,
}

impl SourceRecord {
    /// This state after the origin said that it still holds.
    pub(super) fn renewed(&self, validators: &Validators, freshness: &Freshness) -> Self {
        SourceRecord {
            version: self.version,
            validators: self.validators.renewed_by(validators),
            freshness: self.freshness.renewed_by(freshness),
            len: self.len,
        }
    }

    /// What it takes in memory, in bytes, without the map it sits in.
    pub(super) fn weight(&self) -> usize {
        size_of::<SourceRecord>() + self.validators.etag.as_ref().map_or(0, String::len)
    }

    pub(super) fn to_stored(&self) -> Option<Bytes> {
        let SourceRecord {
            version,
            validators,
            freshness,
            len,
        } = self;
        let stored = Stored {
            version: version.to_string(),
            len: *len,
            validators: validators.clone(),
            freshness: freshness.clone(),
        };
        toml::to_string(&stored).ok().map(Bytes::from)
    }

    /// Reads the stored form; `None` if it is anything but that, or of a source that may not be kept.
    pub(super) fn from_stored(stored: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(stored)
            .ok()
            .filter(|text| text.len() <= MAX_STORED)?;
        let Stored {
            version,
            len,
            validators,
            freshness,
        } = toml::from_str(text).ok()?;
        let version = Version::from_hex(&version)?;
        freshness.is_storable().then_some(SourceRecord {
            version,
            validators,
            freshness,
            len,
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
    use super::SourceRecord;
    use super::Validators;
    use super::Version;
    use crate::freshness::Rules;

    fn record() -> SourceRecord {
        let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        SourceRecord {
            version: Version::of(b"bytes"),
            validators: Validators {
                etag: Some("W/\"a'\\\"".to_owned()),
                last_modified: Some(now),
            },
            freshness: Freshness::of(&HeaderMap::new(), now, &Rules::default()),
            len: 5,
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
