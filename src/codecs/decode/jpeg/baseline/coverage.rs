//! Finds how much of a truncated file is there: the rows for which data of every component was read.
//!
//! In a baseline file a row is there if all its blocks are. A progressive file has all blocks in its first scans, coarsely, and later scans
//! refine them. Browsers show such a picture as soon as it is visible at all, so a row is there if its first approximation is.

use crate::codecs::decode::jpeg::baseline::bits::ScanReader;
use crate::codecs::decode::jpeg::baseline::frame::MarkerSegments;
use crate::codecs::decode::jpeg::baseline::huffman::{HuffmanTable, NO_CODE};
use crate::codecs::metadata;

/// How much of a truncated file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Rows of pixels that are there, and all rows.
    pub rows: u32,
    pub of: u32,
    /// The end of the useful data: an incomplete segment at the end is not useful.
    pub end: usize,
}

/// The coverage of a file; `None` if it is not truncated, or is damaged in another way too, as far as its structure shows.
pub(crate) fn coverage(source: &[u8]) -> Option<Coverage> {
    const START: &[u8] = &[0xFF, 0xD8];
    let mut walk = SegmentWalk::default();
    let mut rest = source.strip_prefix(START)?;
    loop {
        let at = source.len() - rest.len();
        let (marker, after) = match rest {
            [] | [0xFF] => return walk.coverage(at),
            // A fill byte, and markers without a segment.
            [0xFF, 0xFF, ..] => {
                rest = &rest[1..];
                continue;
            }
            [0xFF, 0x01 | 0xD0..=0xD7, after @ ..] => {
                rest = after;
                continue;
            }
            // The end, or the start of another picture.
            [0xFF, 0x00 | 0xD8 | 0xD9, ..] => return None,
            [0xFF, marker, after @ ..] => (*marker, after),
            _ => return None,
        };
        let Some(length) = after.first_chunk() else {
            return walk.coverage(at);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            return None;
        }
        let Some((content, data)) = after.split_at_checked(length) else {
            return walk.coverage(at);
        };
        let content = &content[2..];
        rest = data;
        match marker {
            0xC0..=0xC2 => walk.begin(marker, content)?,
            0xC4 => walk.segments.read_codes(content)?,
            // Lossless or arithmetic coding.
            0xC3 | 0xC5..=0xCF => return None,
            0xDD => walk.restart_interval = u16::from_be_bytes(content.try_into().ok()?).into(),
            0xDA => {
                let scan = walk.scan(content)?;
                match metadata::jpeg_scan_length(data) {
                    Some(length) => {
                        rest = &data[length..];
                        walk.cover(&scan, u32::MAX);
                    }
                    None => {
                        let rows = walk.rows_of(&scan, data)?;
                        walk.cover(&scan, rows);
                        return walk.coverage(source.len());
                    }
                }
            }
            _ => {}
        }
    }
}

/// State of the walk through the segments.
#[derive(Default)]
struct SegmentWalk<'a> {
    width: u32,
    height: u32,
    components: Vec<ComponentCoverage>,
    is_progressive: bool,
    /// MCUs between restart markers; 0 if there are none.
    restart_interval: u32,
    segments: MarkerSegments<'a>,
}

#[derive(Clone, Copy)]
struct ComponentCoverage {
    identifier: u8,
    /// Blocks of one MCU.
    across: u32,
    down: u32,
    /// Rows of pixels that are there.
    rows: u32,
}

/// The header of a scan.
struct ScanHeader {
    /// Its components, each with its DC and AC tables.
    parts: Vec<(usize, [usize; 2])>,
    /// Whether it is the first scan of its blocks.
    is_first: bool,
}

impl<'a> SegmentWalk<'a> {
    fn begin(&mut self, marker: u8, content: &[u8]) -> Option<()> {
        let [_, height, low_height, width, low_width, count, rest @ ..] = content else {
            return None;
        };
        let side = |high: &u8, low: &u8| u32::from(u16::from_be_bytes([*high, *low]));
        let (components, rest) = rest.as_chunks::<3>();
        let is_whole = rest.is_empty() && components.len() == usize::from(*count);
        (self.width, self.height) = (side(width, low_width), side(height, low_height));
        self.is_progressive = marker == 0xC2;
        self.components = components
            .iter()
            .map(|&[identifier, sampling, _]| ComponentCoverage {
                identifier,
                across: u32::from(sampling >> 4),
                down: u32::from(sampling & 15),
                rows: 0,
            })
            .collect();
        let mut sides = self
            .components
            .iter()
            .flat_map(|part| [part.across, part.down]);
        let are_usual = sides.all(|side| (1..=4).contains(&side));
        let has_pixels = self.width > 0 && self.height > 0;
        (is_whole && are_usual && has_pixels).then_some(())
    }

    fn scan(&self, head: &[u8]) -> Option<ScanHeader> {
        let (&count, head) = head.split_first()?;
        let (parts, range) = head.split_at_checked(2 * usize::from(count))?;
        let &[first, _, precision] = range else {
            return None;
        };
        let part = |&[identifier, codes]: &[u8; 2]| {
            let mut components = self.components.iter();
            let component = components.position(|part| part.identifier == identifier)?;
            Some((component, [codes >> 4, codes & 15].map(usize::from)))
        };
        let parts: Vec<_> = parts
            .as_chunks()
            .0
            .iter()
            .map(part)
            .collect::<Option<_>>()?;
        (!parts.is_empty()).then_some(ScanHeader {
            parts,
            is_first: first == 0 && precision >> 4 == 0,
        })
    }

    /// Records the rows that a scan covers.
    fn cover(&mut self, scan: &ScanHeader, rows: u32) {
        if !scan.is_first {
            return;
        }
        let rows = rows.min(self.height);
        for &(component, _) in &scan.parts {
            if let Some(component) = self.components.get_mut(component) {
                component.rows = component.rows.max(rows);
            }
        }
    }

    /// The rows of pixels for which a truncated scan has all blocks; `None` if it has invalid codes.
    fn rows_of(&self, scan: &ScanHeader, data: &[u8]) -> Option<u32> {
        if !scan.is_first {
            return Some(0);
        }
        let table =
            |codes: Option<crate::codecs::decode::jpeg::baseline::frame::HuffmanSpec<'_>>| {
                codes.and_then(|(counts, symbols)| HuffmanTable::new(counts, symbols))
            };
        let most = |side: fn(&ComponentCoverage) -> u32| self.components.iter().map(side).max();
        let (most_across, most_down) = (most(|part| part.across)?, most(|part| part.down)?);
        let (width, height) = (self.width, self.height);
        let mut parts = Vec::with_capacity(scan.parts.len());
        for &(component, [dc, ac]) in &scan.parts {
            let component = *self.components.get(component)?;
            let ac = if self.is_progressive {
                None
            } else {
                Some(table(*self.segments.ac.get(ac)?)?)
            };
            let blocks = if scan.parts.len() == 1 {
                1
            } else {
                component.across * component.down
            };
            parts.push((blocks, table(*self.segments.dc.get(dc)?)?, ac));
        }
        // In a scan of one component, an MCU is one block.
        let (across, down, rows_of_mcu) = match &scan.parts[..] {
            &[(only, _)] => {
                let part = self.components.get(only)?;
                (
                    (width * part.across).div_ceil(8 * most_across),
                    (height * part.down).div_ceil(8 * most_down),
                    8 * most_down / part.down,
                )
            }
            _ => (
                width.div_ceil(8 * most_across),
                height.div_ceil(8 * most_down),
                8 * most_down,
            ),
        };
        let mut bits = ScanReader::new(data);
        let (mut until_restart, mut number) = (self.restart_interval, 0);
        for row in 0..down {
            for _ in 0..across {
                if self.restart_interval > 0 {
                    if until_restart == 0 {
                        if !bits.restart(number) {
                            return bits.is_at_end().then_some(row * rows_of_mcu);
                        }
                        number = (number + 1) % 8;
                        until_restart = self.restart_interval;
                    }
                    until_restart -= 1;
                }
                let is_mcu = parts.iter().all(|(blocks, dc, ac)| {
                    (0..*blocks).all(|_| pass_block(&mut bits, dc, ac.as_ref()))
                });
                if bits.is_overdrawn() {
                    return Some(row * rows_of_mcu);
                }
                if !is_mcu {
                    return bits.is_at_end().then_some(row * rows_of_mcu);
                }
            }
        }
        Some(height)
    }

    /// The coverage if nothing follows. If a baseline file has all its blocks, it is damaged in another way.
    fn coverage(&self, end: usize) -> Option<Coverage> {
        let rows = self
            .components
            .iter()
            .map(|component| component.rows)
            .min()?;
        (self.is_progressive || rows < self.height).then_some(Coverage {
            rows,
            of: self.height,
            end,
        })
    }
}

/// Skips a block, or the first part of a progressive one. Returns whether it is valid.
fn pass_block(bits: &mut ScanReader<'_>, dc: &HuffmanTable, ac: Option<&HuffmanTable>) -> bool {
    if dc.read(bits).zeros == NO_CODE {
        return false;
    }
    let Some(ac) = ac else { return true };
    let at = ac.pass(bits, 1);
    at == 64 || at >= crate::codecs::decode::jpeg::baseline::huffman::END
}
