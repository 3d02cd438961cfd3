//! Segments of a JPEG (ITU-T T.81, annex B).

use super::orientation;
use super::{Block, Blocks};

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const APP14: u8 = 0xEE;
const EXIF: &[u8] = b"Exif\0\0";
/// Bytes of JFIF before its thumbnail.
const JFIF_LENGTH: usize = 14;

#[derive(Default)]
pub(super) struct JpegSegments {
    has_begun: bool,
    /// Only the first EXIF block counts.
    has_exif: bool,
}

impl Blocks for JpegSegments {
    fn next(&mut self, head: &[u8]) -> Block {
        let &[0xFF, marker, ref after @ ..] = head else {
            // Decoders skip what is no marker.
            return match head {
                [0xFF] => Block::Need(2),
                _ => Block::Drop(1),
            };
        };
        match marker {
            SOI if !self.has_begun => {
                self.has_begun = true;
                return Block::Keep(2);
            }
            EOI => return Block::Last(2),
            0xFF => return Block::Drop(1),
            0x00 | 0x01 | 0xD0..=SOI => return Block::Drop(2),
            _ => {}
        }
        let &[high, low, ref content @ ..] = after else {
            return Block::Need(4);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < 2 {
            return Block::Drop(2);
        }
        let whole = 2 + length;
        match marker {
            SOS => Block::Scan(whole as u64),
            // Frames, tables, restart intervals, and what belongs to them.
            0xC0..=0xCF | 0xDB..=0xDF => Block::Keep(whole as u64),
            APP0 | APP1 | APP2 | APP14 if head.len() < whole => Block::Need(whole),
            APP0 if content.starts_with(b"JFIF\0") => jfif(content, whole),
            APP1 if content.starts_with(EXIF) && !self.has_exif => {
                self.has_exif = true;
                exif(content, whole)
            }
            APP2 if content.starts_with(b"ICC_PROFILE\0") => Block::Keep(whole as u64),
            APP14 if content.starts_with(b"Adobe") => Block::Keep(whole as u64),
            _ => Block::Drop(whole as u64),
        }
    }
}

/// JFIF without its thumbnail, which may show what the picture no longer does.
fn jfif(content: &[u8], whole: usize) -> Block {
    if content.len() <= JFIF_LENGTH {
        return Block::Keep(whole as u64);
    }
    let kept = &content[..JFIF_LENGTH - 2];
    let segment = [&[0xFF, APP0, 0, 16], kept, &[0, 0]].concat();
    Block::Replace(whole, segment)
}

/// EXIF with the orientation alone.
fn exif(content: &[u8], whole: usize) -> Block {
    let Some(tag) = orientation::tag(content) else {
        return Block::Drop(whole as u64);
    };
    let length = 2 + EXIF.len() + orientation::BLOCK_LENGTH;
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let block = orientation::block(tag);
    let segment = [&[0xFF, APP1], &length[..], EXIF, &block].concat();
    Block::Replace(whole, segment)
}
