//! Adds metadata to an AVIF that the encoders here have written.

use crate::codecs::TransformError;
use crate::codecs::metadata::avif::boxes::{IsoBox, MetaBox, XMP, boxes, find, locations};
use crate::codecs::metadata::blocks::{OutputMetadata, failed};

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
