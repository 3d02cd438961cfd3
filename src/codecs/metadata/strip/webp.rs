//! Chunks of a WebP (RFC 9649, section 2). The length of the file is stated at its start, so that metadata is overwritten and not left out.

use super::orientation;
use super::{Block, Blocks, MAX_HELD};

const HEADER: usize = 12;
/// Name and length of a chunk.
const FRAME: usize = 8;
const HAS_XMP: u8 = 0b0000_0100;
/// Readers skip chunks that they do not know.
const NOTHING: &[u8; 4] = b"JUNK";

#[derive(Default)]
pub(super) struct WebpChunks {
    /// Bytes of the file that are left; `None` before its header.
    left: Option<u64>,
}

impl Blocks for WebpChunks {
    fn next(&mut self, head: &[u8]) -> Block {
        let Some(left) = self.left else {
            let Some(length) = head.get(4..8).and_then(|length| length.first_chunk()) else {
                return Block::Need(HEADER);
            };
            self.left = Some(u64::from(u32::from_le_bytes(*length)).saturating_sub(4));
            return Block::Keep(HEADER as u64);
        };
        if left < FRAME as u64 {
            return Block::Last(0);
        }
        let (Some(name), Some(length)) = (head.first_chunk::<4>(), head.get(4..FRAME)) else {
            return Block::Need(FRAME);
        };
        let length = length
            .first_chunk()
            .map_or(0, |length| u32::from_le_bytes(*length));
        // Chunks are padded to even lengths.
        let padded = u64::from(length) + u64::from(length % 2);
        let content = head.get(FRAME..).unwrap_or_default();
        let is_held = padded <= MAX_HELD as u64;
        let held = usize::try_from(padded).unwrap_or(usize::MAX);
        let is_short = content.len() < held;
        match name {
            b"VP8X" | b"EXIF" if is_held && is_short => return Block::Need(FRAME + held),
            _ => {}
        }
        self.left = Some(left.saturating_sub(FRAME as u64 + padded));
        match name {
            b"VP8X" if is_held => {
                let mut chunk = head[..FRAME + held].to_vec();
                if let Some(flags) = chunk.get_mut(FRAME) {
                    *flags &= !HAS_XMP;
                }
                Block::Replace(FRAME + held, chunk)
            }
            b"EXIF" if is_held && held >= orientation::BLOCK_LENGTH => {
                let tag = orientation::tag(&content[..held]).unwrap_or(1);
                let mut chunk = [&head[..FRAME], &orientation::block(tag)].concat();
                chunk.resize(FRAME + held, 0);
                Block::Replace(FRAME + held, chunk)
            }
            b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP" => {
                Block::Keep(FRAME as u64 + padded)
            }
            _ => Block::Blank([*NOTHING, length.to_le_bytes()].concat(), padded),
        }
    }
}
