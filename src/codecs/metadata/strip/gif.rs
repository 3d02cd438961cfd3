//! Blocks of a GIF (GIF89a specification, section 17).

use super::{Block, Blocks};

/// Header and logical screen descriptor.
const HEADER: usize = 13;
/// Introducer, label, length, and the name of an application.
const APPLICATION: usize = 14;
/// Applications whose data changes how the picture looks: loops, and a colour profile.
const KEPT: [&[u8]; 3] = [b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"];

#[derive(Default)]
enum Place {
    #[default]
    Start,
    Block,
    /// Within a chain of sub-blocks, which is kept or not.
    SubBlocks(bool),
}

#[derive(Default)]
pub(super) struct GifBlocks(Place);

impl Blocks for GifBlocks {
    fn next(&mut self, head: &[u8]) -> Block {
        match self.0 {
            Place::Start => {
                let Some(flags) = head.get(10) else {
                    return Block::Need(HEADER);
                };
                self.0 = Place::Block;
                Block::Keep(HEADER as u64 + palette(*flags))
            }
            Place::SubBlocks(is_kept) => {
                let length = u64::from(head[0]) + 1;
                if length == 1 {
                    self.0 = Place::Block;
                }
                if is_kept {
                    Block::Keep(length)
                } else {
                    Block::Drop(length)
                }
            }
            Place::Block => self.block(head),
        }
    }
}

impl GifBlocks {
    fn block(&mut self, head: &[u8]) -> Block {
        match *head {
            [0x2C, ..] => {
                let Some(flags) = head.get(9) else {
                    return Block::Need(10);
                };
                self.0 = Place::SubBlocks(true);
                // The descriptor, the palette, and the size of the codes.
                Block::Keep(10 + palette(*flags) + 1)
            }
            [0x21, 0xF9 | 0x01, ..] => {
                self.0 = Place::SubBlocks(true);
                Block::Keep(2)
            }
            [0x21, 0xFF, 11, ..] => {
                let Some(name) = head.get(3..APPLICATION) else {
                    return Block::Need(APPLICATION);
                };
                let is_kept = KEPT.contains(&name);
                self.0 = Place::SubBlocks(is_kept);
                if is_kept {
                    Block::Keep(APPLICATION as u64)
                } else {
                    Block::Drop(APPLICATION as u64)
                }
            }
            [0x21] | [0x21, 0xFF] => Block::Need(head.len() + 1),
            [0x21, ..] => {
                self.0 = Place::SubBlocks(false);
                Block::Drop(2)
            }
            // Some writers leave zeros between blocks.
            [0, ..] => Block::Drop(1),
            [0x3B, ..] => Block::Last(1),
            _ => Block::Last(0),
        }
    }
}

/// The length of the palette that flags announce.
fn palette(flags: u8) -> u64 {
    match flags & 0x80 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    }
}
