//! Uploads on their way into the store: in a file without a name, with their hash.

use std::fs::File;
use std::io;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

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

impl SpooledFile {
    /// Reads `length` bytes from the beginning of a file.
    ///
    /// # Errors
    /// As the system has it; a file that is shorter is one.
    pub(crate) fn read(mut file: File, length: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length)?;
        file.seek(SeekFrom::Start(0))?;
        file.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Puts other content in the place of the file's.
    ///
    /// # Errors
    /// As the system has it.
    pub(crate) fn rewrite(mut self, content: &[u8]) -> io::Result<Self> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.set_len(0)?;
        self.file.write_all(content)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(SpooledFile {
            file: self.file,
            bytes: content.len() as u64,
            sha256: HEXLOWER.encode(&Sha256::digest(content)),
        })
    }
}
