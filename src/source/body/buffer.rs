//! Where the content of a source is while it arrives: in ordinary memory, or, where another process will read it, in a file that both can map.

use std::fs::File;
use std::io::Write;

use bytes::Bytes;

use crate::memfd;
use crate::source::error::{BusyReason, SourceError};
use crate::source::file_kind::LAST_LOOK;
use crate::source::memory::{Reservation, SHARED_FROM};

/// The content so far.
#[derive(Debug)]
pub(super) struct SourceBuffer {
    /// All of it, or what was there before it became too long for that.
    bytes: Vec<u8>,
    /// All of it, once it is long.
    file: Option<File>,
    /// How much there is.
    length: usize,
    /// Whether long content goes into a file.
    is_shared: bool,
}

impl SourceBuffer {
    /// A buffer with room for so many bytes.
    pub(super) fn new(is_shared: bool, capacity: u64) -> Result<Self, SourceError> {
        let mut buffer = SourceBuffer {
            bytes: Vec::new(),
            file: None,
            length: 0,
            is_shared,
        };
        buffer.grow(if is_shared {
            capacity.min(SHARED_FROM)
        } else {
            capacity
        })?;
        Ok(buffer)
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The beginning: everything, or at least what a look at a file needs.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds bytes, so that there are `total`, never more than `limit`.
    ///
    /// # Errors
    /// There is no memory.
    pub(super) fn push(&mut self, piece: &[u8], total: u64, limit: u64) -> Result<(), SourceError> {
        if self.is_shared && self.file.is_none() && total > SHARED_FROM {
            match memfd::create_source() {
                Ok(mut file) => {
                    file.write_all(&self.bytes).map_err(no_memory)?;
                    self.file = Some(file);
                    // The beginning is looked at once more.
                    let missing = LAST_LOOK.saturating_sub(self.bytes.len());
                    let rest = piece.get(..missing).unwrap_or(piece);
                    self.bytes.extend_from_slice(rest);
                }
                // The process that reads it will get a copy.
                Err(_) => self.is_shared = false,
            }
        }
        self.length = self.length.saturating_add(piece.len());
        if let Some(file) = &mut self.file {
            return file.write_all(piece).map_err(no_memory);
        }
        if piece.len() > self.bytes.capacity() - self.bytes.len() {
            let twice = u64::try_from(self.bytes.capacity()).map_or(limit, |room| 2 * room);
            self.grow(twice.min(limit).max(total))?;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The content, with the memory that is reserved for it.
    ///
    /// # Errors
    /// There is no memory.
    pub(super) fn finish(self, mut reservation: Reservation) -> Result<Bytes, SourceError> {
        reservation.shrink_to(u64::try_from(self.length).unwrap_or(u64::MAX));
        if let Some(file) = self.file {
            let sealed = memfd::seal(file).map_err(no_memory)?;
            return Ok(reservation.hold(sealed));
        }
        let mut bytes = self.bytes;
        // The reservation counts the length, so the vector must not keep spare capacity.
        bytes.shrink_to_fit();
        Ok(reservation.hold(bytes))
    }

    /// Gives the vector a capacity of so many bytes.
    fn grow(&mut self, capacity: u64) -> Result<(), SourceError> {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        let more = capacity.saturating_sub(self.bytes.len());
        self.bytes
            .try_reserve_exact(more)
            .map_err(|_| SourceError::Busy(BusyReason::Memory))
    }
}

fn no_memory(_: std::io::Error) -> SourceError {
    SourceError::Busy(BusyReason::Memory)
}
