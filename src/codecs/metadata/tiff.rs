//! EXIF blocks, which are TIFF files without a picture (TIFF 6.0, section 2; EXIF 2.32, section 4.6).
//!
//! Blocks are patched in place, and nothing in them moves, because maker notes contain offsets in unknown formats.

use std::ops::Range;

const ORIENTATION: u16 = 0x0112;
const COPYRIGHT: u16 = 0x8298;
/// Tags for the offset and length of a thumbnail: as a JPEG, and as strips.
const THUMBNAIL: [(u16, u16); 2] = [(0x0201, 0x0202), (0x0111, 0x0117)];
/// Strips that a thumbnail may have: each has at least one row.
const MAX_STRIPS: u32 = 512;

/// The tag for the directory of positions.
const GPS: u16 = 0x8825;
/// The tags of XMP, IPTC and Photoshop's blocks.
const BLOCKS: [u16; 3] = [0x02BC, 0x83BB, 0x8649];
/// Pages of a file, of which more are not looked at.
const MAX_PAGES: usize = 1000;

const SHORT: u16 = 3;
const LONG: u16 = 4;
const ASCII: u16 = 2;
/// Text, from EXIF 3.0 on.
const UTF8: u16 = 129;

/// The block with upright orientation and without its thumbnail, which would show the source before it was cropped.
pub(crate) fn bare(mut block: Vec<u8>) -> Option<Vec<u8>> {
    if block.starts_with(b"Exif\0\0") {
        block.drain(..6);
    }
    Tiff::of(&block).is_some().then_some(block)
}

/// A new block with only the copyright tag of this one: the parts of the photographer and of the editor.
pub(crate) fn copyright(block: &[u8]) -> Option<Vec<u8>> {
    const DATA: u32 = 8 + 2 + 12 + 4;
    let tiff = Tiff::of(block)?;
    let entry = tiff
        .directory(tiff.u32(4)?)?
        .entries
        .into_iter()
        .find(|entry| entry.tag == COPYRIGHT && matches!(entry.kind, ASCII | UTF8))?;
    let mut text = block.get(entry.value(&tiff)?)?.to_vec();
    if text.iter().all(|&byte| byte == 0 || byte == b' ') {
        return None;
    }
    if text.last() != Some(&0) {
        text.push(0);
    }
    let length = u32::try_from(text.len()).ok()?;
    let mut made = b"MM\0*\0\0\0\x08\0\x01".to_vec();
    made.extend(COPYRIGHT.to_be_bytes());
    made.extend(entry.kind.to_be_bytes());
    made.extend(length.to_be_bytes());
    if length <= 4 {
        text.resize(4, 0);
        made.extend(text);
        made.extend([0; 4]);
    } else {
        made.extend(DATA.to_be_bytes());
        made.extend([0; 4]);
        made.extend(text);
    }
    Some(made)
}

/// The block with an upright orientation and without its thumbnail, which shows the source before it was cropped.
pub(crate) fn upright(block: &[u8]) -> Option<Vec<u8>> {
    let tiff = Tiff::of(block)?;
    let first = tiff.directory(tiff.u32(4)?)?;
    let mut patched = block.to_vec();
    for entry in first
        .entries
        .iter()
        .filter(|entry| entry.tag == ORIENTATION && entry.count > 0)
    {
        let place = entry.value(&tiff)?.start;
        match (entry.kind, tiff.little) {
            (SHORT, true) => patched[place..place + 2].copy_from_slice(&1u16.to_le_bytes()),
            (SHORT, false) => patched[place..place + 2].copy_from_slice(&1u16.to_be_bytes()),
            (LONG, true) => patched[place..place + 4].copy_from_slice(&1u32.to_le_bytes()),
            (LONG, false) => patched[place..place + 4].copy_from_slice(&1u32.to_be_bytes()),
            _ => patched[place] = 1,
        }
    }
    let Some(next) = tiff.u32(first.next).filter(|&next| next != 0) else {
        return Some(patched);
    };
    let thumbnail: Vec<Range<usize>> = tiff
        .directory(next)
        .map(|second| second.thumbnail(&tiff))
        .unwrap_or_default();
    for range in &thumbnail {
        patched[range.clone()].fill(0);
    }
    patched[first.next..first.next + 4].fill(0);
    // In most files the thumbnail is the last thing in the block.
    if let [.., last] = thumbnail.as_slice()
        && last.end == patched.len()
    {
        patched.truncate(last.start);
    }
    Some(patched)
}

/// Where positions, XMP, IPTC and Photoshop's blocks are in a TIFF file; `None` for a file that cannot be read.
pub(super) fn private_places(file: &[u8]) -> Option<Vec<Range<usize>>> {
    let tiff = Tiff::of(file)?;
    let mut places = Vec::new();
    let mut next = tiff.u32(4)?;
    for _ in 0..MAX_PAGES {
        if next == 0 {
            return Some(places);
        }
        let page = tiff.directory(next)?;
        for entry in &page.entries {
            if BLOCKS.contains(&entry.tag) {
                places.push(entry.value(&tiff)?);
            } else if entry.tag == GPS {
                let at = entry.value(&tiff)?.start;
                let positions = tiff.directory(tiff.u32(at)?)?;
                for position in &positions.entries {
                    places.push(position.value(&tiff)?);
                }
            }
        }
        next = tiff.u32(page.next)?;
    }
    None
}

/// A block with a valid header.
struct Tiff<'a> {
    block: &'a [u8],
    little: bool,
}

impl<'a> Tiff<'a> {
    fn of(block: &'a [u8]) -> Option<Self> {
        let little = match block.first_chunk()? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Tiff { block, little })
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.block.get(at..)?.first_chunk()?;
        Some(if self.little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.block.get(at..)?.first_chunk()?;
        Some(if self.little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    /// Parses the directory at an offset, if it is complete.
    fn directory(&self, at: u32) -> Option<Ifd> {
        let at = usize::try_from(at).ok()?;
        let count = usize::from(self.u16(at)?);
        let entries = (0..count)
            .map(|index| {
                let at = at + 2 + 12 * index;
                Some(IfdEntry {
                    tag: self.u16(at)?,
                    kind: self.u16(at + 2)?,
                    count: self.u32(at + 4)?,
                    // The offset of the value, or of the offset of the value.
                    field: (at + 8 + 4 <= self.block.len()).then_some(at + 8)?,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Ifd {
            entries,
            next: at + 2 + 12 * count,
        })
    }
}

struct Ifd {
    entries: Vec<IfdEntry>,
    /// The position of the offset of the next directory, if the block is long enough.
    next: usize,
}

impl Ifd {
    /// The ranges of the bytes of a thumbnail.
    fn thumbnail(&self, tiff: &Tiff) -> Vec<Range<usize>> {
        let numbers = |tag| {
            self.entries
                .iter()
                .find(|entry| entry.tag == tag)
                .map(|entry| entry.numbers(tiff))
                .unwrap_or_default()
        };
        THUMBNAIL
            .into_iter()
            .flat_map(|(starts, lengths)| numbers(starts).into_iter().zip(numbers(lengths)))
            .filter_map(|(start, length)| {
                // Some writers give a length that reaches beyond the block.
                let end = start.saturating_add(length).min(tiff.block.len());
                (8..end).contains(&start).then_some(start..end)
            })
            .collect()
    }
}

struct IfdEntry {
    tag: u16,
    kind: u16,
    count: u32,
    field: usize,
}

impl IfdEntry {
    /// The range of the value; up to four bytes are in the entry itself. `None` if the value is incomplete.
    fn value(&self, tiff: &Tiff) -> Option<Range<usize>> {
        let unit: usize = match self.kind {
            1 | ASCII | 6 | 7 | UTF8 => 1,
            SHORT | 8 => 2,
            LONG | 9 | 11 | 13 => 4,
            5 | 10 | 12 => 8,
            _ => return None,
        };
        let length = usize::try_from(self.count).ok()?.checked_mul(unit)?;
        let start = if length <= 4 {
            self.field
        } else {
            usize::try_from(tiff.u32(self.field)?).ok()?
        };
        let end = start.checked_add(length)?;
        (end <= tiff.block.len()).then_some(start..end)
    }

    fn numbers(&self, tiff: &Tiff) -> Vec<usize> {
        let Some(value) = self.value(tiff) else {
            return Vec::new();
        };
        (0..self.count.min(MAX_STRIPS) as usize)
            .filter_map(|index| match self.kind {
                SHORT => tiff.u16(value.start + 2 * index).map(usize::from),
                LONG => tiff
                    .u32(value.start + 4 * index)
                    .and_then(|number| usize::try_from(number).ok()),
                _ => None,
            })
            .collect()
    }
}
