//! The keys of objects in the store. `name` is the name of an image as a part of keys.

use ulid::Ulid;

/// The folder of records.
pub(super) const RECORDS: &str = "records/";
/// The folder of originals.
pub(super) const ORIGINALS: &str = "originals/";
/// The folder of renditions.
pub(super) const RENDITIONS: &str = "renditions/";
/// The folder of the log.
pub(super) const LOG: &str = "log/";

/// The key of a record.
pub(super) fn record(name: &str) -> String {
    format!("{RECORDS}{name}/-/record.json")
}

/// The name of the image whose record has this key.
pub(super) fn name_of_record(key: &str) -> Option<&str> {
    key.strip_prefix(RECORDS)?.strip_suffix("/-/record.json")
}

/// The key of a new original.
pub(super) fn original(name: &str, extension: &str) -> String {
    format!("{ORIGINALS}{name}/-/{}.{extension}", Ulid::generate())
}

/// The name of the image that an original or a rendition belongs to.
pub(super) fn name_of_file(key: &str) -> Option<&str> {
    let below = key
        .strip_prefix(ORIGINALS)
        .or_else(|| key.strip_prefix(RENDITIONS))?;
    below.rsplit_once("/-/").map(|(name, _)| name)
}

/// The key of a new entry of the log.
pub(super) fn log_entry(now_ms: u64) -> String {
    format!("{LOG}{now_ms:013}-{}", Ulid::generate())
}

/// The first key of the log at a time.
pub(super) fn log_at(ms: u64) -> String {
    format!("{LOG}{ms:013}")
}

/// When an entry of the log was written.
pub(super) fn time_of_log_entry(key: &str) -> Option<u64> {
    key.strip_prefix(LOG)?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_which_image_they_are_of() {
        assert_eq!(name_of_record(&record("a/b")), Some("a/b"));
        assert_eq!(name_of_record("records/a/-/other"), None);
        let original = original("users/7/cat", "jpg");
        assert_eq!(name_of_file(&original), Some("users/7/cat"));
        assert_eq!(name_of_file("renditions/cat/-/thumb.webp"), Some("cat"));
        assert_eq!(name_of_file("records/cat/-/record.json"), None);
        let entry = log_entry(1_700_000_000_000);
        assert_eq!(time_of_log_entry(&entry), Some(1_700_000_000_000));
        assert!(entry > log_at(1_700_000_000_000) && entry < log_at(1_700_000_000_001));
        assert_eq!(time_of_log_entry("log/x"), None);
    }
}
