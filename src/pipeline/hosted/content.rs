//! Reads uploads back from the files in which they arrived.

use std::fs::File;
use std::io;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use bytes::Bytes;

use crate::hosted::SpooledFile;
use crate::memfd;
use crate::transform::{Cost, Source};
use crate::worker::Workers;

/// What is longer is read into a file in memory where processes make pictures: they would get a copy of it.
const SHARED_FROM: u64 = 256 << 10;

/// The content of an upload.
///
/// # Errors
/// As the system has it; a file that is shorter than it was is one.
pub(super) fn read(mut file: File, length: u64, workers: &Workers) -> io::Result<Bytes> {
    let is_shared = workers.are_processes() && length > SHARED_FROM;
    let Some(mut shared) = is_shared.then(|| memfd::create_source().ok()).flatten() else {
        return Ok(SpooledFile::read(file, length)?.into());
    };
    file.seek(SeekFrom::Start(0))?;
    if io::copy(&mut file.take(length), &mut shared)? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::from_owner(memfd::seal(shared)?))
}

/// What it costs to copy so many bytes from one place to another, of which the memory is counted elsewhere.
pub(super) fn cost_of_copy(bytes: u64) -> Cost {
    /// Nanoseconds for each byte.
    const TIME: u64 = 1;
    let cost = Source::cost_of_open(&[]);
    Cost {
        cpu: cost.cpu + Duration::from_nanos(bytes.saturating_mul(TIME)),
        ..cost
    }
}
