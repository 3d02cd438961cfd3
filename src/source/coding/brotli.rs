//! Brotli (RFC 7932), with windows of up to 16 MiB as the RFC defines them. Large-window Brotli is another coding and refused.

use brotli_decompressor::BrotliDecompressStream;
use brotli_decompressor::BrotliResult;
use brotli_decompressor::BrotliState;
use brotli_decompressor::StandardAlloc;
use bytes::Buf as _;
use bytes::Bytes;

use crate::source::coding::step::{CorruptData, STEP, StreamState};

/// The largest window, in bytes.
pub(super) const MAX_WINDOW: u64 = 16 << 20;

/// A Brotli stream.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    written: usize,
    is_complete: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Brotli {
            state: BrotliState::new_strict(alloc(), alloc(), alloc()),
            written: 0,
            is_complete: false,
        }
    }

    pub(super) fn step(
        &mut self,
        input: &mut Bytes,
        output: &mut Vec<u8>,
    ) -> Result<StreamState, CorruptData> {
        if self.is_complete {
            return Ok(StreamState::Complete);
        }
        output.resize(STEP, 0);
        let (mut unread, mut read) = (input.len(), 0);
        let (mut room, mut unpacked) = (output.len(), 0);
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            input,
            &mut room,
            &mut unpacked,
            output,
            &mut self.written,
            &mut self.state,
        );
        input.advance(read);
        output.truncate(unpacked);
        match result {
            BrotliResult::ResultSuccess => self.is_complete = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => return Err(CorruptData),
        }
        Ok(StreamState::of(self.is_complete))
    }
}
