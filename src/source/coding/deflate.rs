//! Deflate: RFC 9110 means zlib (RFC 1950) by this name, but some servers send raw deflate (RFC 1951). Both are accepted.

use bytes::Buf as _;
use bytes::Bytes;
use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;

use crate::source::coding::step::{CorruptData, STEP, StreamState};

/// A zlib or raw deflate stream.
#[derive(Default)]
pub(super) struct Deflate {
    inflate: Option<Decompress>,
    is_complete: bool,
}

impl Deflate {
    pub(super) fn step(
        &mut self,
        input: &mut Bytes,
        output: &mut Vec<u8>,
    ) -> Result<StreamState, CorruptData> {
        let inflate = match (&mut self.inflate, input.first()) {
            (Some(inflate), _) => inflate,
            (None, None) => return Ok(StreamState::Incomplete),
            // A raw stream that starts like this would be a stored block with padding bits that are not zero.
            (None, Some(first)) => {
                let is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
                self.inflate.insert(Decompress::new(is_zlib))
            }
        };
        if self.is_complete {
            return Ok(StreamState::Complete);
        }
        output.reserve(STEP);
        let before = inflate.total_in();
        let status = inflate
            .decompress_vec(input, output, FlushDecompress::None)
            .map_err(|_| CorruptData)?;
        let read = usize::try_from(inflate.total_in() - before).map_err(|_| CorruptData)?;
        let is_stuck = read == 0 && output.is_empty() && !input.is_empty();
        input.advance(read);
        self.is_complete = status == Status::StreamEnd;
        if is_stuck && !self.is_complete {
            return Err(CorruptData);
        }
        Ok(StreamState::of(self.is_complete))
    }
}
