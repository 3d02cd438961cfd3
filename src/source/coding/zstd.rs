//! Zstandard (RFC 8878), block by block. The decoder below would unpack all blocks that it is given at once, and 4 bytes may be a block of 128 KiB.

use bytes::Buf as _;
use bytes::Bytes;
use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::errors::ReadFrameHeaderError;

use super::CorruptData;
use super::STEP;
use super::StreamState;

/// The largest window that a body may ask its reader to keep (RFC 9659), in bytes.
pub(super) const WINDOW: u64 = 8 << 20;
/// The largest block, packed or not, in bytes.
const BLOCK: usize = 128 << 10;
/// The header of each block, in bytes.
const BLOCK_HEADER: usize = 3;
/// The longest header of a frame, with its magic number, in bytes.
const FRAME_HEADER: usize = 18;
/// The header of a frame that is to be skipped, in bytes.
const SKIPPABLE_HEADER: usize = 8;
/// The checksum after the last block of a frame, where the frame has one, in bytes. It is read and not checked: decoders of pictures find damage, and most have checks of their own.
const CHECKSUM: usize = 4;

/// Frames one after the other, as far as they were unpacked.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// Packed bytes that do not make a whole header or block yet.
    packed: Vec<u8>,
    state: ParseState,
    has_frame: bool,
}

/// What comes next.
enum ParseState {
    Header,
    Blocks {
        has_checksum: bool,
    },
    /// So many bytes that are to be skipped.
    Skipped(usize),
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
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

    /// Unpacks one header or block. Says how many bytes it had; 0: it is not whole yet.
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
                    // What follows the last frame and is none.
                    Err(_) if self.has_frame => Ok(packed.len()),
                    // One that was cut off is not damaged.
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

/// Whether bytes begin like a frame, as far as they go.
fn is_magic(packed: &[u8]) -> bool {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    packed.iter().zip(magic).all(|(byte, magic)| *byte == magic)
}

/// How many bytes a block has with its header, and with the checksum where it is the last; `None` where its header is not there yet.
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
    // The second kind is one byte that is repeated.
    let content = if kind == 1 { 1 } else { size };
    let checksum = if is_last && has_checksum { CHECKSUM } else { 0 };
    Ok(Some(BLOCK_HEADER + content + checksum))
}
