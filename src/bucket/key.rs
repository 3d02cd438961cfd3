//! Which strings are object keys.

use object_store::path::Path;

/// The longest key that S3 stores, in bytes of UTF-8.
pub(super) const MAX_KEY_BYTES: usize = 1024;

/// Whether an object can have this key, and requests can name it: `object_store` would change a key with empty segments.
pub fn is_key(key: &str) -> bool {
    path(key).is_some()
}

/// The path of an object key. The empty key would name the listing of the bucket.
pub(super) fn path(key: &str) -> Option<Path> {
    let is_length = (1..=MAX_KEY_BYTES).contains(&key.len());
    let path = is_length.then(|| Path::parse(key).ok()).flatten();
    path.filter(|path| path.as_ref() == key)
}
