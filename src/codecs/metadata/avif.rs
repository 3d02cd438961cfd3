//! The `meta` box of an AVIF: items for EXIF and XMP, and a property for the ICC profile (ISO/IEC 14496-12, section 8.11; ISO/IEC 23008-12,
//! annexes A and C).
//!
//! It is not read by the parser of the decoder, because a file of some kilobytes can list the same bytes tens of thousands of times as
//! extents of an item.

use crate::codecs::TransformError;
use crate::codecs::metadata::blocks::MAX_BLOCK;
use crate::codecs::metadata::blocks::OutputMetadata;
use crate::codecs::metadata::blocks::SourceMetadata;
use crate::codecs::metadata::blocks::failed;

/// Extents that all items of a file may have together. Encoders write one for each item, and items for at most 256 tiles.
const MAX_EXTENTS: usize = 16_384;
/// The MIME type of an XMP packet.
const XMP: &[u8] = b"application/rdf+xml\0";

/// Whether each item is no larger than the file, all its extents added up. A parser that joins the extents of larger items would run out of
/// memory.
pub(crate) fn is_bounded(source: &[u8]) -> bool {
    let Some(meta) = MetaBox::of(source) else {
        // A sequence has no `meta` box. Damaged data has none either, and the decoder refuses it.
        return find(boxes(source, 0..source.len()), b"meta").is_none();
    };
    meta.locations.iter().all(|location| {
        let length: u64 = location
            .extents
            .iter()
            .map(|&(start, length)| match length {
                0 => (source.len() as u64).saturating_sub(start),
                length => length,
            })
            .fold(0, u64::saturating_add);
        length <= source.len() as u64
    })
}

/// Whether a file holds a picture and exactly these metadata blocks: no thumbnail, no signature, no second picture. It must also have the
/// usual structure, which browsers insist on and the decoder here does not.
pub(crate) fn holds_only(source: &[u8], kept: &OutputMetadata, carried: &SourceMetadata) -> bool {
    let Some(meta) = MetaBox::of(source) else {
        return false;
    };
    let inside = |part: Option<IsoBox>, skipped: usize| {
        let range = part.map_or(0..0, |part| part.content + skipped..part.end);
        boxes(source, range).map(|part| part.kind)
    };
    let child = |kind| find(boxes(source, meta.children.clone()), kind);
    let parts: Vec<IsoBox> = boxes(source, 0..source.len()).collect();
    let is_whole = parts.last().is_some_and(|part| part.end == source.len());
    let is_plain = parts
        .iter()
        .all(|part| matches!(&part.kind, b"ftyp" | b"meta" | b"mdat" | b"free"))
        && parts.iter().filter(|part| &part.kind == b"meta").count() == 1
        && inside(child(b"iprp"), 0).eq([*b"ipco", *b"ipma"])
        && inside(child(b"iref"), 4).all(|kind| &kind != b"thmb");
    let items = |kind: &[u8; 4]| meta.items.iter().filter(|item| &item.kind == kind).count();
    let (exif, xmp) = (items(b"Exif"), items(b"mime"));
    // Every item is the picture, a tile of it, or one of the blocks.
    let is_known = meta.items.len() == meta.locations.len()
        && meta.items.len() == items(b"av01") + items(b"grid") + exif + xmp
        && exif == usize::from(kept.exif.is_some())
        && xmp == usize::from(kept.xmp.is_some());
    let is_exact = kept.exif == carried.exif && kept.xmp == carried.xmp;
    is_whole && is_plain && is_known && is_exact
}

pub(crate) fn read(source: &[u8]) -> SourceMetadata {
    let Some(meta) = MetaBox::of(source) else {
        return SourceMetadata::default();
    };
    let content = |item: &Item| meta.content(source, item.id);
    let exif = meta
        .items
        .iter()
        .find(|item| &item.kind == b"Exif")
        .and_then(content)
        .and_then(|item| {
            // The block begins at an offset that precedes it.
            let (offset, rest) = item.split_first_chunk()?;
            let offset = usize::try_from(u32::from_be_bytes(*offset)).ok()?;
            rest.get(offset..).map(<[u8]>::to_vec)
        });
    let xmp = meta.items.iter().find(|item| item.is_xmp).and_then(content);
    let icc = find(boxes(source, meta.children.clone()), b"iprp")
        .and_then(|part| find(boxes(source, part.content..part.end), b"ipco"))
        .and_then(|part| {
            boxes(source, part.content..part.end)
                .filter(|part| &part.kind == b"colr")
                .find_map(|part| {
                    let content = &source[part.content..part.end];
                    content
                        .strip_prefix(b"prof")
                        .or(content.strip_prefix(b"rICC"))
                })
        })
        .map(<[u8]>::to_vec);
    SourceMetadata { exif, xmp, icc }
}

/// A box: its type, its start, the start of its content, and its end.
#[derive(Clone, Debug)]
pub(crate) struct IsoBox {
    pub kind: [u8; 4],
    start: usize,
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
    is_xmp: bool,
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
    pub fn of(source: &[u8]) -> Option<Self> {
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
    fn content(&self, source: &[u8], id: u32) -> Option<Vec<u8>> {
        let extents = self.extents(source, id)?;
        let length: usize = extents.iter().map(|extent| extent.len()).sum();
        (length <= MAX_BLOCK).then(|| extents.concat())
    }

    /// The extents of an item.
    pub fn extents<'a>(&self, source: &'a [u8], id: u32) -> Option<Vec<&'a [u8]>> {
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

fn locations(iloc: &[u8]) -> Option<Vec<ItemLocation>> {
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
    pub fn number(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |number, &byte| number << 8 | u64::from(byte)),
        )
    }
}

/// Adds items and a property to a file as the encoders here write it: one `meta` box, 4-byte offsets to what follows, and the picture as
/// item 1. The new contents go into a second `mdat` box at the end.
pub(crate) fn attach(
    file: &[u8],
    kept: &OutputMetadata,
    icc: Option<&[u8]>,
) -> Result<Vec<u8>, TransformError> {
    let unusual = || failed("an AVIF of an unusual build");
    let meta = find(boxes(file, 0..file.len()), b"meta").ok_or_else(unusual)?;
    let known = MetaBox::of(file).ok_or_else(unusual)?;
    let mut added: Vec<NewItem> = Vec::new();
    let mut id = known.items.iter().map(|item| item.id).max().unwrap_or(1);
    let exif = kept
        .exif
        .as_ref()
        .map(|block| (*b"Exif", [&[0; 4], &block[..]].concat()));
    let xmp = kept.xmp.as_ref().map(|packet| (*b"mime", packet.clone()));
    for (kind, content) in exif.into_iter().chain(xmp) {
        id += 1;
        added.push(NewItem {
            id: u16::try_from(id).map_err(failed)?,
            kind,
            content,
        });
    }
    // The offsets depend on the new length of the box, which does not depend on the offsets.
    let additions = Additions { items: &added, icc };
    let length = rewritten(file, &meta, additions, Offsets::default())
        .ok_or_else(unusual)?
        .len();
    let shift = length - (meta.end - meta.start);
    let data = file.len() + shift + 8;
    let offsets = Offsets { shift, data };
    let made = rewritten(file, &meta, additions, offsets).ok_or_else(unusual)?;
    let contents: Vec<u8> = added.into_iter().flat_map(|item| item.content).collect();
    let mut whole = Vec::with_capacity(data + contents.len());
    whole.extend_from_slice(&file[..meta.start]);
    whole.extend(made);
    whole.extend_from_slice(&file[meta.end..]);
    if !contents.is_empty() {
        whole.extend(boxed(*b"mdat", &contents).ok_or_else(unusual)?);
    }
    Ok(whole)
}

/// An item to add.
struct NewItem {
    id: u16,
    kind: [u8; 4],
    content: Vec<u8>,
}

/// What is added to a `meta` box.
#[derive(Clone, Copy)]
struct Additions<'a> {
    items: &'a [NewItem],
    icc: Option<&'a [u8]>,
}

/// Where contents are after the `meta` box has grown.
#[derive(Clone, Copy, Default)]
struct Offsets {
    /// Bytes by which the existing contents move.
    shift: usize,
    /// The start of the new contents.
    data: usize,
}

/// The `meta` box with the additions.
fn rewritten(
    file: &[u8],
    meta: &IsoBox,
    additions: Additions<'_>,
    offsets: Offsets,
) -> Option<Vec<u8>> {
    let Additions { items: added, icc } = additions;
    let mut content = file.get(meta.content..meta.content + 4)?.to_vec();
    let mut has_references = false;
    for part in boxes(file, meta.content + 4..meta.end) {
        let old = &file[part.content..part.end];
        match &part.kind {
            b"iloc" => content.extend(boxed(part.kind, &located(old, added, offsets)?)?),
            b"iinf" => content.extend(boxed(part.kind, &listed(old, added)?)?),
            b"iref" => {
                has_references = true;
                content.extend(boxed(part.kind, &[old, &references(added)?].concat())?);
            }
            b"iprp" => content.extend(boxed(part.kind, &described(file, &part, icc)?)?),
            _ => content.extend_from_slice(&file[part.start..part.end]),
        }
    }
    if !has_references && !added.is_empty() {
        let references = [&[0; 4], &references(added)?[..]].concat();
        content.extend(boxed(*b"iref", &references)?);
    }
    boxed(meta.kind, &content)
}

/// Rewrites `iloc` of version 0 with 4-byte numbers and no base offsets: moves locations, and adds new ones.
fn located(old: &[u8], added: &[NewItem], offsets: Offsets) -> Option<Vec<u8>> {
    if !old.starts_with(&[0, 0, 0, 0, 0x44, 0]) {
        return None;
    }
    let mut content = old[..6].to_vec();
    let old = locations(old)?;
    content.extend(u16::try_from(old.len() + added.len()).ok()?.to_be_bytes());
    for location in &old {
        content.extend(u16::try_from(location.id).ok()?.to_be_bytes());
        content.extend([0, 0]);
        content.extend(u16::try_from(location.extents.len()).ok()?.to_be_bytes());
        for &(start, length) in &location.extents {
            content.extend(
                u32::try_from(start + offsets.shift as u64)
                    .ok()?
                    .to_be_bytes(),
            );
            content.extend(u32::try_from(length).ok()?.to_be_bytes());
        }
    }
    let mut at = offsets.data;
    for item in added {
        content.extend(item.id.to_be_bytes());
        content.extend([0, 0, 0, 1]);
        content.extend(u32::try_from(at).ok()?.to_be_bytes());
        content.extend(u32::try_from(item.content.len()).ok()?.to_be_bytes());
        at += item.content.len();
    }
    Some(content)
}

/// Rewrites `iinf` of version 0: adds entries.
fn listed(old: &[u8], added: &[NewItem]) -> Option<Vec<u8>> {
    let (head, entries) = old.split_first_chunk::<6>()?;
    let [0, 0, 0, 0, high, low] = *head else {
        return None;
    };
    let count = u16::from_be_bytes([high, low]).checked_add(u16::try_from(added.len()).ok()?)?;
    let mut content = [&[0; 4], &count.to_be_bytes()[..], entries].concat();
    for item in added {
        let mut entry = vec![2, 0, 0, 0];
        entry.extend(item.id.to_be_bytes());
        entry.extend([0, 0]);
        entry.extend(item.kind);
        // The name is empty.
        entry.push(0);
        if &item.kind == b"mime" {
            entry.extend(XMP);
        }
        content.extend(boxed(*b"infe", &entry)?);
    }
    Some(content)
}

/// References that say that each new item describes item 1.
fn references(added: &[NewItem]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    for item in added {
        let reference = [&item.id.to_be_bytes()[..], &[0, 1, 0, 1]].concat();
        content.extend(boxed(*b"cdsc", &reference)?);
    }
    Some(content)
}

/// Rewrites `iprp`: adds an ICC profile for item 1.
fn described(file: &[u8], iprp: &IsoBox, icc: Option<&[u8]>) -> Option<Vec<u8>> {
    let Some(profile) = icc else {
        return Some(file[iprp.content..iprp.end].to_vec());
    };
    let mut content = Vec::new();
    let mut index = 0;
    for part in boxes(file, iprp.content..iprp.end) {
        let old = &file[part.content..part.end];
        match &part.kind {
            b"ipco" => {
                index = boxes(file, part.content..part.end).count() + 1;
                let property = boxed(*b"colr", &[b"prof", profile].concat())?;
                content.extend(boxed(part.kind, &[old, &property].concat())?);
            }
            b"ipma" => {
                // Version 0, an entry for item 1 first, indices of 7 bits.
                let (head, rest) = old.split_first_chunk::<10>()?;
                let ([0, 0, 0, 0, _, _, _, _, 0, 1], [count, rest @ ..]) = (head, rest) else {
                    return None;
                };
                let index = u8::try_from(index)
                    .ok()
                    .filter(|index| (1..0x80).contains(index))?;
                let associations = [&head[..], &[count + 1, index], rest].concat();
                content.extend(boxed(part.kind, &associations)?);
            }
            _ => content.extend_from_slice(&file[part.start..part.end]),
        }
    }
    Some(content)
}

fn boxed(kind: [u8; 4], content: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(content.len() + 8).ok()?;
    Some([&length.to_be_bytes()[..], &kind, content].concat())
}
