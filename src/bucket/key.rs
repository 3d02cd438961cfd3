//! Which strings are object keys.

use object_store::path::Path;

/// The longest key that S3 stores, in bytes of UTF-8.
const MAX_KEY_BYTES: usize = 1024;

/// Whether objects with this key can be read. Empty segments are allowed, because `/a`, `a//b` and `a/` are keys of their own.
///
/// Not allowed are the empty key, and slashes alone, which a server may merge: they would name the listing of the bucket; control characters; and the segments `.` and `..`, which every URL
/// parser on the way resolves, and which then lead to another object, perhaps of another bucket. Some parsers read a backslash as a slash.
pub(super) fn is_readable(key: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len())
        && key.bytes().any(|byte| byte != b'/')
        && !key.contains(|character: char| character.is_ascii_control())
        && !key
            .split(['/', '\\'])
            .any(|segment| matches!(segment, "." | ".."))
}

/// Whether objects with this key can be read and written: `object_store` would change a key with empty segments.
pub fn is_writable(key: &str) -> bool {
    path(key).is_some()
}

/// The path of a writable key.
pub(super) fn path(key: &str) -> Option<Path> {
    let path = is_readable(key).then(|| Path::parse(key).ok()).flatten();
    path.filter(|path| path.as_ref() == key)
}
