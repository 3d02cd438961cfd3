//! The `meta` box of an AVIF: items for EXIF and XMP, and a property for the ICC profile (ISO/IEC 14496-12, section 8.11; ISO/IEC 23008-12,
//! annexes A and C).
//!
//! It is not read by the parser of the decoder, because a file of some kilobytes can list the same bytes tens of thousands of times as
//! extents of an item.

mod alpha;
mod attach;
mod boxes;

use std::ops::Range;

use crate::codecs::metadata::blocks::{OutputMetadata, SourceMetadata};
use boxes::IsoBox;
use boxes::Item;
use boxes::MetaBox;
use boxes::boxes;
use boxes::find;

pub(crate) use alpha::AlphaGrid;
pub(crate) use alpha::alpha_grid;
pub(crate) use attach::attach;

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

/// Where EXIF and XMP are in a file, and what else describes it as an item; `None` for a file that cannot be read.
pub(super) fn metadata_places(source: &[u8]) -> Option<Vec<Range<usize>>> {
    let meta = MetaBox::of(source)?;
    let mut places = Vec::new();
    for item in &meta.items {
        if &item.kind != b"Exif" && &item.kind != b"mime" {
            continue;
        }
        for extent in meta.extents(source, item.id)? {
            let start = extent.as_ptr().addr() - source.as_ptr().addr();
            places.push(start..start + extent.len());
            // An item may list the whole file many times.
            if places.len() > source.len() {
                return None;
            }
        }
    }
    Some(places)
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
