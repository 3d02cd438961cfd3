//! Chunks of a PNG (PNG, third edition, section 5.3).

use super::orientation;
use super::{Block, Blocks, MAX_HELD};

const SIGNATURE: usize = 8;
/// Length, type and checksum.
const FRAME: usize = 12;
/// Chunks that are not critical but change how the picture looks, and those of animations.
const KEPT: [&[u8; 4]; 18] = [
    b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"mDCv", b"cLLI",
    b"cLLi", b"bKGD", b"hIST", b"pHYs", b"sPLT", b"acTL", b"fcTL", b"fdAT",
];

#[derive(Default)]
pub(super) struct PngChunks {
    has_begun: bool,
}

impl Blocks for PngChunks {
    fn next(&mut self, head: &[u8]) -> Block {
        if !self.has_begun {
            self.has_begun = true;
            return Block::Keep(SIGNATURE as u64);
        }
        let Some((length, after)) = head.split_first_chunk::<4>() else {
            return Block::Need(8);
        };
        let Some((name, content)) = after.split_first_chunk::<4>() else {
            return Block::Need(8);
        };
        let length = u32::from_be_bytes(*length);
        let whole = u64::from(length) + FRAME as u64;
        // The limit of the format. A decoder stops here.
        if length > i32::MAX as u32 {
            return Block::Last(0);
        }
        match name {
            b"IEND" => Block::Last(whole),
            b"eXIf" => exif(content, length),
            name if KEPT.contains(&name) || name[0].is_ascii_uppercase() => Block::Keep(whole),
            _ => Block::Drop(whole),
        }
    }
}

/// EXIF with the orientation alone.
fn exif(content: &[u8], length: u32) -> Block {
    let dropped = Block::Drop(u64::from(length) + FRAME as u64);
    let Some(length) = usize::try_from(length)
        .ok()
        .filter(|&length| length <= MAX_HELD - FRAME)
    else {
        return dropped;
    };
    let Some(content) = content.get(..length) else {
        return Block::Need(length + FRAME);
    };
    let Some(tag) = orientation::tag(content) else {
        return dropped;
    };
    let block = orientation::block(tag);
    let mut checksum = flate2::Crc::new();
    checksum.update(b"eXIf");
    checksum.update(&block);
    let size = u32::try_from(block.len()).unwrap_or(u32::MAX);
    let chunk = [
        &size.to_be_bytes()[..],
        b"eXIf",
        &block,
        &checksum.sum().to_be_bytes(),
    ]
    .concat();
    Block::Replace(length + FRAME, chunk)
}
