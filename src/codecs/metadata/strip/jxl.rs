//! Boxes of a JPEG XL (ISO/IEC 18181-2). The bare codestream has no metadata.

use super::{Block, Blocks};

/// Boxes that are needed to show the picture. What restores a JPEG (`jbrd`) is not among them: it holds the metadata of that JPEG.
const KEPT: [&[u8; 4]; 6] = [b"JXL ", b"ftyp", b"jxll", b"jxli", b"jxlc", b"jxlp"];

pub(super) struct JxlBoxes;

impl Blocks for JxlBoxes {
    fn next(&mut self, head: &[u8]) -> Block {
        if head.first() == Some(&0xFF) {
            return Block::Keep(u64::MAX);
        }
        let (Some(size), Some(name)) = (head.first_chunk::<4>(), head.get(4..8)) else {
            return Block::Need(8);
        };
        let length = match u32::from_be_bytes(*size) {
            // Up to the end of the file.
            0 => u64::MAX,
            1 => {
                let Some(long) = head.get(8..16).and_then(|long| long.first_chunk()) else {
                    return Block::Need(16);
                };
                u64::from_be_bytes(*long)
            }
            length => u64::from(length),
        };
        if length < 8 {
            return Block::Last(0);
        }
        if KEPT.iter().any(|kept| kept[..] == *name) {
            Block::Keep(length)
        } else {
            Block::Drop(length)
        }
    }
}
