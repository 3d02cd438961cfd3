//! Names of images: chosen by the client, or a UUID.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The most characters of a name.
const MAX_CHARACTERS: usize = 1024;
/// The most bytes of a name that is part of keys as it is.
const MAX_KEY_BYTES: usize = 200;
/// The most bytes of a segment of such a name.
const MAX_SEGMENT_BYTES: usize = 100;
/// First segments that are paths of the API.
const RESERVED: [&str; 6] = [
    "keys",
    "stats",
    "variants",
    "config",
    "batch_token",
    "direct_upload",
];

/// The name of an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(String);

/// Why a text cannot be the name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdError(&'static str);

impl fmt::Display for IdError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl std::error::Error for IdError {}

impl ImageId {
    /// A new random name: a UUID.
    pub fn random() -> Self {
        ImageId(Uuid::new_v4().to_string())
    }

    /// A name that a client chose.
    ///
    /// # Errors
    /// [`IdError`] says what is wrong with it.
    pub fn custom(text: &str) -> Result<Self, IdError> {
        if is_uuid(text) {
            return Err(IdError("it must not be a UUID"));
        }
        Self::new(text)
    }

    /// Any name, as a request for an existing image has it.
    ///
    /// # Errors
    /// [`IdError`] if no image can have this name.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError("it must not be empty"));
        }
        if text.chars().count() > MAX_CHARACTERS {
            return Err(IdError("it must have no more than 1024 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(IdError("it must not contain control characters"));
        }
        if text.starts_with('/') || text.ends_with('/') {
            return Err(IdError("it must not start or end with `/`"));
        }
        let mut segments = text.split('/');
        if segments.clone().any(str::is_empty) {
            return Err(IdError("it must not contain `//`"));
        }
        if segments
            .clone()
            .any(|segment| matches!(segment, "." | ".."))
        {
            return Err(IdError("it must not contain the segments `.` and `..`"));
        }
        let first = segments.next().unwrap_or_default();
        if RESERVED.contains(&first) {
            return Err(IdError("its first segment is a path of the API"));
        }
        if text.ends_with("/blob") {
            return Err(IdError("it must not end with `/blob`"));
        }
        Ok(ImageId(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a UUID, which nobody chose.
    pub fn is_random(&self) -> bool {
        is_uuid(&self.0)
    }

    /// The name as a part of keys in the store: itself where it is harmless, else a hash. `folds_case` says that the store cannot tell `A` from `a`.
    pub fn key(&self, folds_case: bool) -> String {
        let is_plain = self.0.len() <= MAX_KEY_BYTES
            && self.0.split('/').all(is_plain_segment)
            && !(folds_case && self.0.bytes().any(|byte| byte.is_ascii_uppercase()));
        if is_plain {
            return self.0.clone();
        }
        let hash = BASE32_NOPAD.encode(&Sha256::digest(self.0.as_bytes()));
        format!("~/{}", hash.to_ascii_lowercase())
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Whether a text is a UUID as it is usually written. Thirty-two digits without hyphens are a name as any other: the MD5 of a file, for example.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// Whether a segment can be the name of a file or folder everywhere.
fn is_plain_segment(segment: &str) -> bool {
    segment.len() <= MAX_SEGMENT_BYTES
        && segment
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric)
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_are_refused() {
        let long = "x".repeat(1025);
        for text in [
            "", "/a", "a/", "a//b", "a/../b", ".", "a\u{1}b", &long, "keys", "stats/x", "a/blob",
        ] {
            assert!(ImageId::new(text).is_err(), "{text}");
        }
        let uuid = "2cdc28f0-017a-49c4-9ed7-87056c83901f";
        assert!(ImageId::custom(uuid).is_err());
        assert!(ImageId::new(uuid).is_ok_and(|id| id.is_random()));
        assert!(ImageId::random().is_random());
        for text in [
            "d41d8cd98f00b204e9800998ecf8427e",
            "a/b%c d",
            "é ü",
            "x#y?z",
            "cat.jpg",
            "blob",
            "a/keys",
        ] {
            assert!(
                ImageId::custom(text).is_ok_and(|id| !id.is_random()),
                "{text}"
            );
        }
    }

    #[test]
    fn harmless_names_are_keys_as_they_are() {
        let key = |text: &str, folds_case| ImageId::new(text).expect("a name").key(folds_case);
        for text in ["cat", "users/7/cat.webp", "A_b-c"] {
            assert_eq!(key(text, false), text);
        }
        assert_eq!(key("cat", true), "cat");
        let long = "x".repeat(101);
        for text in ["é", "a b", "-", "a/-", ".a", "~/a", &long, "a%b"] {
            let key = key(text, false);
            assert!(key.starts_with("~/") && key.len() == 54, "{text}: {key}");
        }
        assert_ne!(key("Cat", true), key("cat", true));
        assert!(key("Cat", true).starts_with("~/"));
    }
}
