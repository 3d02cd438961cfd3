//! Chooses the page of a TIFF that is the picture, and presents the file as if that page came first.

use std::io;
use std::io::{Read, Seek, SeekFrom};

use crate::codecs::TransformError;
use crate::codecs::decode::tiff::error::broken;

/// Pages that are examined: files with a thumbnail first have the picture second, pyramids have a dozen pages.
const MAX_PAGES: usize = 64;
/// Entries of a directory that are examined. Tags are in ascending order, and few come before those that matter here.
const MAX_ENTRIES: u64 = 4096;

/// The chosen page, as patches to the bytes that the decoder reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Page {
    /// Patches to the bytes of the file.
    changes: [BytePatch; 2],
    has_palette: bool,
}

/// Bytes that replace those of the file at an offset; of length 0 if nothing is replaced.
#[derive(Clone, Copy, Debug, Default)]
struct BytePatch {
    at: usize,
    bytes: [u8; 8],
    length: usize,
}

/// The fields of a directory that matter here.
#[derive(Clone, Copy)]
struct PageDirectory {
    /// Whether the page is a reduced copy of another page, or a mask for one (TIFF 6.0, `NewSubfileType`; before that, `SubfileType`).
    is_aside: bool,
    /// The offset of the value that says that samples are palette indices.
    palette: Option<usize>,
    /// The offset of the next directory.
    next: usize,
}

impl Page {
    /// Chooses the first page that is neither a reduced copy nor a mask; if there is none, the first page.
    pub(super) fn of(source: &[u8]) -> Result<Page, TransformError> {
        let numbers = TiffReader::of(source);
        let Some((pointer, first)) = numbers.first() else {
            return Ok(Page::default());
        };
        let Some(directory) = numbers.directory(first) else {
            return Ok(Page::default());
        };
        let (mut seen, mut at) = (vec![first], first);
        let mut found = None;
        let mut page = Some(directory);
        while let Some(directory) = page {
            if !directory.is_aside {
                found = Some((at, directory));
                break;
            }
            at = directory.next;
            if at == 0 {
                break;
            }
            if seen.contains(&at) {
                return Err(broken("its pages go round in a circle"));
            }
            if seen.len() == MAX_PAGES {
                return Err(broken("too many pages before the picture"));
            }
            seen.push(at);
            page = numbers.directory(at);
        }
        let (at, directory) = found.unwrap_or((first, directory));
        let pointed = if at == first {
            BytePatch::default()
        } else {
            numbers.change(pointer, at as u64, numbers.word())
        };
        // The decoder returns palette indices only if it thinks that they are grey.
        const GREY: u64 = 1;
        let grey = directory.palette.map(|at| numbers.change(at, GREY, 2));
        Ok(Page {
            changes: [pointed, grey.unwrap_or_default()],
            has_palette: directory.palette.is_some(),
        })
    }

    /// Whether the samples are palette indices.
    pub(super) fn has_palette(&self) -> bool {
        self.has_palette
    }
}

/// Reads numbers in the byte order of the file. BigTIFF has wider counts and offsets.
struct TiffReader<'a> {
    source: &'a [u8],
    is_big_endian: bool,
    is_big: bool,
}

impl<'a> TiffReader<'a> {
    fn of(source: &'a [u8]) -> Self {
        let mut numbers = TiffReader {
            source,
            is_big_endian: source.starts_with(b"MM"),
            is_big: false,
        };
        numbers.is_big = numbers.at(2, 2) == Some(43);
        numbers
    }

    fn at(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.source.get(at..at.checked_add(length)?)?;
        let next = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.is_big_endian {
            bytes.iter().fold(0, next)
        } else {
            bytes.iter().rev().fold(0, next)
        })
    }

    /// The length of an offset in bytes.
    fn word(&self) -> usize {
        if self.is_big { 8 } else { 4 }
    }

    fn change(&self, at: usize, value: u64, length: usize) -> BytePatch {
        let mut bytes = [0; 8];
        let spelled = value.to_be_bytes();
        bytes[..length].copy_from_slice(&spelled[8 - length..]);
        if !self.is_big_endian {
            bytes[..length].reverse();
        }
        BytePatch { at, bytes, length }
    }

    /// The position of the offset of the first directory, and that offset.
    fn first(&self) -> Option<(usize, usize)> {
        let pointer = if self.is_big { 8 } else { 4 };
        let first = usize::try_from(self.at(pointer, self.word())?).ok()?;
        Some((pointer, first))
    }

    fn directory(&self, start: usize) -> Option<PageDirectory> {
        const NEW_KIND: u64 = 254;
        const KIND: u64 = 255;
        const PHOTOMETRIC: u64 = 262;
        const SHORT: u64 = 3;
        const PALETTE: u64 = 3;
        const TRANSPARENCY: u64 = 4;
        /// Bits of the newer tag.
        const REDUCED: u64 = 1;
        const MASK: u64 = 4;
        /// A value of the older tag.
        const WAS_REDUCED: u64 = 2;
        let (count_length, entry_length, value_at) =
            if self.is_big { (8, 20, 12) } else { (2, 12, 8) };
        let count = self.at(start, count_length)?;
        let entries = start.checked_add(count_length)?;
        let mut directory = PageDirectory {
            is_aside: false,
            palette: None,
            next: 0,
        };
        for index in 0..usize::try_from(count.min(MAX_ENTRIES)).ok()? {
            let Some(at) = entries.checked_add(index * entry_length) else {
                break;
            };
            let (Some(tag), Some(kind)) = (self.at(at, 2), self.at(at + 2, 2)) else {
                break;
            };
            let value_at = at + value_at;
            let Some(value) = self.at(value_at, if kind == SHORT { 2 } else { 4 }) else {
                break;
            };
            match tag {
                NEW_KIND => directory.is_aside |= value & (REDUCED | MASK) != 0,
                KIND => directory.is_aside |= value == WAS_REDUCED,
                PHOTOMETRIC if kind == SHORT => {
                    directory.is_aside |= value == TRANSPARENCY;
                    directory.palette = (value == PALETTE).then_some(value_at);
                }
                _ => {}
            }
        }
        let end = usize::try_from(count).ok()?.checked_mul(entry_length)?;
        let next = self.at(entries.checked_add(end)?, self.word());
        directory.next = next
            .and_then(|next| usize::try_from(next).ok())
            .unwrap_or(0);
        Some(directory)
    }
}

/// Reads a file with the patches of a page applied, without copying it.
pub(crate) struct PageReader<'a> {
    source: &'a [u8],
    changes: [BytePatch; 2],
    position: u64,
}

impl<'a> PageReader<'a> {
    pub(super) fn new(source: &'a [u8], page: &Page) -> Self {
        PageReader {
            source,
            changes: page.changes,
            position: 0,
        }
    }
}

impl Read for PageReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(self.position).unwrap_or(usize::MAX);
        let rest = self.source.get(start..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        let (taken, _) = buffer.split_at_mut(length);
        taken.copy_from_slice(&rest[..length]);
        for BytePatch { at, bytes, length } in &self.changes {
            for (place, byte) in (*at..).zip(&bytes[..*length]) {
                let place = place
                    .checked_sub(start)
                    .and_then(|place| taken.get_mut(place));
                if let Some(place) = place {
                    *place = *byte;
                }
            }
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for PageReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(offset) => (self.position, offset),
            SeekFrom::End(offset) => (self.source.len() as u64, offset),
        };
        self.position = base
            .checked_add_signed(offset)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
