//! Zstandard (RFC 8878), block by block. The decoder of `ruzstd` would decode all blocks of its input at once, and 4 bytes may be a block of 128 KiB.

use bytes::Buf as _;
use bytes::Bytes;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::source::coding::step::{CorruptData, STEP, StreamState};

/// The largest window that HTTP allows (RFC 9659), in bytes.
pub(super) const MAX_WINDOW: u64 = 8 << 20;
/// The largest block, coded or decoded, in bytes.
const BLOCK: usize = 128 << 10;
/// The header of each block, in bytes.
const BLOCK_HEADER: usize = 3;
/// The longest frame header, with its magic number, in bytes.
const FRAME_HEADER: usize = 18;
/// The header of a skippable frame, in bytes.
const SKIPPABLE_HEADER: usize = 8;
/// The optional checksum after the last block of a frame, in bytes. It is read but not verified: image decoders find corrupt data themselves.
const CHECKSUM: usize = 4;

/// A stream of Zstandard frames.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// Coded bytes of an incomplete header or block.
    packed: Vec<u8>,
    state: ParseState,
    has_frame: bool,
}

/// What comes next in the stream.
enum ParseState {
    Header,
    Blocks {
        has_checksum: bool,
    },
    /// The rest of a skippable frame, in bytes.
    Skipped(usize),
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Zstd {
            decoder,
            packed: Vec::new(),
            state: ParseState::Header,
            has_frame: false,
        }
    }

    pub(super) fn step(
        &mut self,
        input: &mut Bytes,
        has_ended: bool,
        output: &mut Vec<u8>,
    ) -> Result<StreamState, CorruptData> {
        while output.len() < STEP {
            let room = (BLOCK_HEADER + BLOCK + CHECKSUM).saturating_sub(self.packed.len());
            let taken = input.split_to(room.min(input.len()));
            self.packed.extend_from_slice(&taken);
            let read = self.advance(has_ended && input.is_empty(), output)?;
            if read == 0 {
                break;
            }
            self.packed.drain(..read);
        }
        let is_between = matches!(self.state, ParseState::Header) && self.packed.is_empty();
        Ok(StreamState::of(
            self.has_frame && is_between && input.is_empty(),
        ))
    }

    /// Decodes one header or block. Returns its length in coded bytes, or 0 if it is incomplete.
    fn advance(&mut self, is_all: bool, output: &mut Vec<u8>) -> Result<usize, CorruptData> {
        let packed = self.packed.as_slice();
        match self.state {
            ParseState::Skipped(left) => {
                let skipped = left.min(packed.len());
                self.state = match left - skipped {
                    0 => ParseState::Header,
                    left => ParseState::Skipped(left),
                };
                Ok(skipped)
            }
            ParseState::Header if packed.is_empty() || (packed.len() < FRAME_HEADER && !is_all) => {
                Ok(0)
            }
            ParseState::Header => {
                let mut rest = packed;
                match self.decoder.reset(&mut rest) {
                    Ok(()) => {
                        let has_checksum = packed.get(4).is_some_and(|byte| byte & 4 != 0);
                        self.state = ParseState::Blocks { has_checksum };
                        Ok(packed.len() - rest.remaining())
                    }
                    Err(FrameDecoderError::ReadFrameHeaderError(
                        ReadFrameHeaderError::SkipFrame { length, .. },
                    )) => {
                        let length = usize::try_from(length).map_err(|_| CorruptData)?;
                        self.state = ParseState::Skipped(length);
                        Ok(SKIPPABLE_HEADER)
                    }
                    // Bytes after the last frame are padding.
                    Err(_) if self.has_frame => Ok(packed.len()),
                    // A header that was cut off is incomplete, not corrupt.
                    Err(_) if is_all && packed.len() < FRAME_HEADER && is_magic(packed) => Ok(0),
                    Err(_) => Err(CorruptData),
                }
            }
            ParseState::Blocks { has_checksum } => {
                let Some(length) = block_length(packed, has_checksum)? else {
                    return Ok(0);
                };
                let Some(mut block) = packed.get(..length) else {
                    return Ok(0);
                };
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                let is_last = self
                    .decoder
                    .decode_blocks(&mut block, strategy)
                    .map_err(|_| CorruptData)?;
                if let Some(mut unpacked) = self.decoder.collect() {
                    output.append(&mut unpacked);
                }
                if is_last {
                    self.state = ParseState::Header;
                    self.has_frame = true;
                }
                Ok(length - block.len())
            }
        }
    }
}

/// Whether the bytes start with the magic number of a frame, or with a part of it.
fn is_magic(packed: &[u8]) -> bool {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    packed.iter().zip(magic).all(|(byte, magic)| *byte == magic)
}

/// The coded length of a block with its header, and with the checksum if it is the last. `None` if the header is incomplete.
fn block_length(packed: &[u8], has_checksum: bool) -> Result<Option<usize>, CorruptData> {
    let Some(&[low, middle, high]) = packed.first_chunk() else {
        return Ok(None);
    };
    let header = u32::from_le_bytes([low, middle, high, 0]);
    let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, header >> 3);
    let size = usize::try_from(size).map_err(|_| CorruptData)?;
    if size > BLOCK {
        return Err(CorruptData);
    }
    // Type 1 (RLE) is one byte that is repeated.
    let content = if kind == 1 { 1 } else { size };
    let checksum = if is_last && has_checksum { CHECKSUM } else { 0 };
    Ok(Some(BLOCK_HEADER + content + checksum))
}
