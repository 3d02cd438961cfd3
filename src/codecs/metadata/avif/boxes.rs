//! Parses the boxes of an AVIF, and the items of its `meta` box (ISO/IEC 14496-12, section 8.11).

use crate::codecs::metadata::blocks::MAX_BLOCK;

/// Extents that all items of a file may have together. Encoders write one for each item, and items for at most 256 tiles.
const MAX_EXTENTS: usize = 16_384;
/// The MIME type of an XMP packet.
pub(crate) const XMP: &[u8] = b"application/rdf+xml\0";

/// A box: its type, its start, the start of its content, and its end.
#[derive(Clone, Debug)]
pub(crate) struct IsoBox {
    pub kind: [u8; 4],
    pub start: usize,
    pub content: usize,
    pub end: usize,
}

/// The boxes in a range, up to the first invalid one.
pub(crate) fn boxes(source: &[u8], range: std::ops::Range<usize>) -> impl Iterator<Item = IsoBox> {
    let source = source.get(..range.end).unwrap_or_default();
    let mut start = range.start;
    std::iter::from_fn(move || {
        let head = source.get(start..)?;
        let length = usize::try_from(u32::from_be_bytes(*head.first_chunk()?)).ok()?;
        let kind = *head.get(4..)?.first_chunk()?;
        let (header, length) = match length {
            0 => (8, head.len()),
            1 => {
                let length = u64::from_be_bytes(*head.get(8..)?.first_chunk()?);
                (16, usize::try_from(length).ok()?)
            }
            length => (8, length),
        };
        if length < header || length > head.len() {
            return None;
        }
        let part = IsoBox {
            kind,
            start,
            content: start + header,
            end: start + length,
        };
        start = part.end;
        Some(part)
    })
}

pub(crate) fn find(mut boxes: impl Iterator<Item = IsoBox>, kind: &[u8; 4]) -> Option<IsoBox> {
    boxes.find(|part| &part.kind == kind)
}

/// An item, from `iinf`.
pub(crate) struct Item {
    pub id: u32,
    pub kind: [u8; 4],
    pub is_xmp: bool,
}

/// The location of an item, from `iloc`.
pub(crate) struct ItemLocation {
    pub id: u32,
    /// Whether offsets count from the `idat` box instead of the beginning of the file.
    pub in_idat: bool,
    /// Offset and length; a length of 0 means up to the end.
    pub extents: Vec<(u64, u64)>,
}

/// The items of a `meta` box.
pub(crate) struct MetaBox {
    /// The range of its boxes.
    pub children: std::ops::Range<usize>,
    pub items: Vec<Item>,
    pub locations: Vec<ItemLocation>,
}

impl MetaBox {
    pub(super) fn of(source: &[u8]) -> Option<Self> {
        let meta = find(boxes(source, 0..source.len()), b"meta")?;
        let children = meta.content + 4..meta.end;
        let child = |kind| find(boxes(source, children.clone()), kind);
        let items = child(b"iinf").map_or_else(Vec::new, |part| items(source, &part));
        let locations = match child(b"iloc") {
            Some(part) => locations(&source[part.content..part.end])?,
            None => Vec::new(),
        };
        Some(MetaBox {
            children,
            items,
            locations,
        })
    }

    /// The bytes of an item, joined from its extents; `None` if they are longer than `MAX_BLOCK`.
    pub(super) fn content(&self, source: &[u8], id: u32) -> Option<Vec<u8>> {
        let extents = self.extents(source, id)?;
        let length: usize = extents.iter().map(|extent| extent.len()).sum();
        (length <= MAX_BLOCK).then(|| extents.concat())
    }

    /// The extents of an item.
    pub(super) fn extents<'a>(&self, source: &'a [u8], id: u32) -> Option<Vec<&'a [u8]>> {
        let location = self.locations.iter().find(|location| location.id == id)?;
        let base = if location.in_idat {
            let idat = find(boxes(source, self.children.clone()), b"idat")?;
            &source[idat.content..idat.end]
        } else {
            source
        };
        let extent = |&(start, length): &(u64, u64)| {
            let rest = base.get(usize::try_from(start).ok()?..)?;
            match usize::try_from(length).ok()? {
                0 => Some(rest),
                length => rest.get(..length),
            }
        };
        location.extents.iter().map(extent).collect()
    }
}

fn items(source: &[u8], iinf: &IsoBox) -> Vec<Item> {
    // Version and flags, then a count, which has 4 bytes from version 1 on.
    let count = if source[iinf.content..iinf.end].first() == Some(&0) {
        2
    } else {
        4
    };
    let entry = |part: IsoBox| {
        let mut content = ByteReader(&source[part.content..part.end]);
        let version = content.number(1)?;
        content.number(3)?;
        let id = content.number(if version < 3 { 2 } else { 4 })?;
        content.number(2)?;
        let (kind, rest) = content.0.split_first_chunk()?;
        let after_name = rest.splitn(2, |&byte| byte == 0).nth(1);
        Some(Item {
            id: u32::try_from(id).ok()?,
            kind: *kind,
            is_xmp: kind == b"mime" && after_name.is_some_and(|mime| mime.starts_with(XMP)),
        })
    };
    boxes(source, iinf.content + 4 + count..iinf.end)
        .filter(|part| &part.kind == b"infe")
        .filter_map(entry)
        .collect()
}

pub(crate) fn locations(iloc: &[u8]) -> Option<Vec<ItemLocation>> {
    let mut content = ByteReader(iloc);
    let version = content.number(1)?;
    content.number(3)?;
    let sizes = content.number(2)?;
    let size = |shift: u32| usize::try_from(sizes >> shift & 0xF).ok();
    let (offset_size, length_size, base_size) = (size(12)?, size(8)?, size(4)?);
    let index_size = if version > 0 { size(0)? } else { 0 };
    let id_size = if version < 2 { 2 } else { 4 };
    let mut left = MAX_EXTENTS;
    let mut locations = Vec::new();
    for _ in 0..content.number(id_size)? {
        let id = u32::try_from(content.number(id_size)?).ok()?;
        let method = if version > 0 {
            content.number(2)? & 0xF
        } else {
            0
        };
        content.number(2)?;
        let base = content.number(base_size)?;
        let count = usize::try_from(content.number(2)?).ok()?;
        left = left.checked_sub(count.max(1))?;
        let mut extents = Vec::with_capacity(count);
        for _ in 0..count {
            content.number(index_size)?;
            let start = base.checked_add(content.number(offset_size)?)?;
            extents.push((start, content.number(length_size)?));
        }
        locations.push(ItemLocation {
            id,
            in_idat: method == 1,
            extents,
        });
    }
    Some(locations)
}

/// Reads big-endian numbers.
pub(crate) struct ByteReader<'a>(pub &'a [u8]);

impl ByteReader<'_> {
    /// Reads a number of up to 8 bytes; a number of no bytes is 0.
    pub(super) fn number(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |number, &byte| number << 8 | u64::from(byte)),
        )
    }
}
