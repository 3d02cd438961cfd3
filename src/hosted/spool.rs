//! Uploads on their way into the store: in a file without a name, with their hash.

use std::fs::File;

/// An upload that has arrived completely.
#[derive(Debug)]
pub struct SpooledFile {
    /// The file, which has no name.
    pub file: File,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}
