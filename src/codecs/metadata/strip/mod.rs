//! Removes metadata from a picture while its bytes pass, without touching its pixels: what is known to be needed to show it is kept, and everything
//! else is left out, or overwritten where a length is stated before.
//!
//! Kept are pixels, colour profiles, orientation and animation. Never holds more than one short block. What cannot be parsed is left out, with all
//! that follows it: nothing is passed on that was not understood.

mod gif;
mod jpeg;
mod jxl;
mod orientation;
mod png;
#[cfg(test)]
mod tests;
mod webp;

use crate::codecs::sniff::SourceFormat;

use self::gif::GifBlocks;
use self::jpeg::JpegSegments;
use self::jxl::JxlBoxes;
use self::png::PngChunks;
use self::webp::WebpChunks;

/// The longest block that is held to be rewritten, in bytes.
const MAX_HELD: usize = 64 << 10;

/// What is done with the block that the bytes so far begin.
enum Block {
    /// So many bytes from its start are needed to tell.
    Need(usize),
    /// So many bytes pass.
    Keep(u64),
    /// So many bytes are left out.
    Drop(u64),
    /// All of it, so many bytes that have been asked for, becomes this.
    Replace(usize, Vec<u8>),
    /// Its header becomes this, and so many bytes after that become zeros. The header is as long as before.
    Blank(Vec<u8>, u64),
    /// So many bytes pass, and then compressed data of a JPEG, up to the next marker.
    Scan(u64),
    /// So many bytes pass, and nothing that follows.
    Last(u64),
}

/// The blocks of one format.
trait Blocks: Send {
    /// What is done with the block that begins with `head`, which holds at least one byte.
    fn next(&mut self, head: &[u8]) -> Block;
}

/// What is done with the next bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The head of a block of so many bytes is collected.
    Head(usize),
    Keep(u64),
    Drop(u64),
    Blank(u64),
    /// Compressed data of a JPEG; whether its last byte was 0xFF, which may begin a marker.
    Scan(bool),
    End,
}

/// Removes metadata from one picture.
pub(crate) struct Stripper {
    blocks: Box<dyn Blocks>,
    mode: Mode,
    head: Vec<u8>,
    /// What follows the bytes that are kept now.
    after: Mode,
}

impl Stripper {
    /// `None` for a format whose metadata cannot be removed while it passes: AVIF, HEIC and TIFF refer to places in the file.
    ///
    /// Bitmaps of the simple kinds have no metadata. Drawings are text that their author wrote, and pass as they are.
    pub(crate) fn of(format: SourceFormat) -> Option<Self> {
        let blocks: Box<dyn Blocks> = match format {
            SourceFormat::Jpeg => Box::new(JpegSegments::default()),
            SourceFormat::Png => Box::new(PngChunks::default()),
            SourceFormat::Webp => Box::new(WebpChunks::default()),
            SourceFormat::Gif => Box::new(GifBlocks::default()),
            SourceFormat::JpegXl => Box::new(JxlBoxes),
            SourceFormat::Bmp
            | SourceFormat::Ico
            | SourceFormat::Pnm
            | SourceFormat::Qoi
            | SourceFormat::Svg => Box::new(Everything),
            SourceFormat::Avif
            | SourceFormat::Heic
            | SourceFormat::Tiff
            | SourceFormat::Unsupported(_) => return None,
        };
        Some(Stripper {
            blocks,
            mode: Mode::Head(1),
            head: Vec::new(),
            after: Mode::Head(1),
        })
    }

    /// Takes the next bytes of the file, and appends what is kept.
    pub(crate) fn push(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        loop {
            match self.mode {
                Mode::Head(needed) => {
                    let missing = needed.saturating_sub(self.head.len());
                    let (more, rest) = input.split_at(missing.min(input.len()));
                    self.head.extend_from_slice(more);
                    input = rest;
                    if self.head.len() < needed {
                        return;
                    }
                    self.begin(output);
                }
                Mode::Keep(length) => {
                    let (kept, rest) = input.split_at(part(length, input));
                    output.extend_from_slice(kept);
                    input = rest;
                    self.mode = self.left(length, kept.len(), Mode::Keep);
                }
                Mode::Drop(length) => {
                    let (dropped, rest) = input.split_at(part(length, input));
                    input = rest;
                    self.mode = self.left(length, dropped.len(), Mode::Drop);
                }
                Mode::Blank(length) => {
                    let (blank, rest) = input.split_at(part(length, input));
                    output.resize(output.len() + blank.len(), 0);
                    input = rest;
                    self.mode = self.left(length, blank.len(), Mode::Blank);
                }
                Mode::Scan(after_ff) => input = self.scan(after_ff, input, output),
                Mode::End => return,
            }
            if input.is_empty() && !matches!(self.mode, Mode::Head(_)) {
                return;
            }
        }
    }

    /// The mode after `done` of `length` bytes.
    fn left(&self, length: u64, done: usize, mode: fn(u64) -> Mode) -> Mode {
        match length.saturating_sub(done as u64) {
            0 => self.after,
            left => mode(left),
        }
    }

    /// Begins the block whose head has been collected.
    fn begin(&mut self, output: &mut Vec<u8>) {
        self.after = Mode::Head(1);
        let head = std::mem::take(&mut self.head);
        let (mode, used) = match self.blocks.next(&head) {
            Block::Need(needed) => {
                let needed = needed.max(head.len() + 1);
                self.head = head;
                self.mode = Mode::Head(needed);
                return;
            }
            Block::Keep(length) => (Mode::Keep(length), 0),
            Block::Drop(length) => (Mode::Drop(length), 0),
            Block::Replace(length, with) => {
                output.extend_from_slice(&with);
                (Mode::Drop(0), length)
            }
            Block::Blank(header, length) => {
                output.extend_from_slice(&header);
                (Mode::Blank(length), header.len())
            }
            Block::Scan(length) => {
                self.after = Mode::Scan(false);
                (Mode::Keep(length), 0)
            }
            Block::Last(length) => {
                self.after = Mode::End;
                (Mode::Keep(length), 0)
            }
        };
        self.mode = match mode {
            Mode::Keep(0) | Mode::Drop(0) | Mode::Blank(0) => self.after,
            mode => mode,
        };
        // The bytes of the head that this block has not used are read again.
        let rest = head.get(used..).unwrap_or_default();
        if !rest.is_empty() {
            self.push(rest, output);
        }
    }

    /// Passes compressed data of a JPEG. Returns the input after it.
    fn scan<'a>(&mut self, after_ff: bool, input: &'a [u8], output: &mut Vec<u8>) -> &'a [u8] {
        let Some((&first, rest)) = input.split_first() else {
            return input;
        };
        if after_ff {
            match first {
                // A stuffed byte, or a restart marker.
                0x00 | 0xD0..=0xD7 => {
                    output.extend_from_slice(&[0xFF, first]);
                    self.mode = Mode::Scan(false);
                }
                0xFF => {}
                _ => {
                    self.head = vec![0xFF, first];
                    self.mode = Mode::Head(1);
                }
            }
            return rest;
        }
        let at = input.iter().position(|&byte| byte == 0xFF);
        let (data, rest) = input.split_at(at.unwrap_or(input.len()));
        output.extend_from_slice(data);
        if at.is_none() {
            return rest;
        }
        self.mode = Mode::Scan(true);
        &rest[1..]
    }
}

/// How much of the input belongs to a block that has so many bytes left.
fn part(length: u64, input: &[u8]) -> usize {
    usize::try_from(length).map_or(input.len(), |length| length.min(input.len()))
}

/// One block that never ends.
struct Everything;

impl Blocks for Everything {
    fn next(&mut self, _: &[u8]) -> Block {
        Block::Keep(u64::MAX)
    }
}
