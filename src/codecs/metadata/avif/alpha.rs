//! The alpha of an AVIF grid, which is another grid with its own tiles (ISO/IEC 23008-12, sections 6.5.8 and 6.6.2.3). The parser of the
//! decoder supports only the tiles of the picture.

use std::borrow::Cow;

use crate::codecs::metadata::avif::boxes::{ByteReader, IsoBox, MetaBox, boxes, find};

/// The URN of alpha in an `auxC` property, after version and flags.
const ALPHA: &[u8] = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0";
/// Auxiliary pictures that are examined: alpha and a depth map are usual. Each check reads all properties of the file.
const MAX_AUXILIARIES: usize = 16;

/// The tiles of the alpha of a picture, row by row.
pub(crate) struct AlphaGrid<'a> {
    source: &'a [u8],
    meta: MetaBox,
    tiles: Vec<u32>,
    pub columns: u32,
    pub rows: u32,
}

/// The alpha grid of the primary picture; `None` if it has no alpha, or alpha in one piece.
pub(crate) fn alpha_grid(source: &[u8]) -> Option<AlphaGrid<'_>> {
    let meta = MetaBox::of(source)?;
    let child = |kind| find(boxes(source, meta.children.clone()), kind);
    let primary = {
        let part = child(b"pitm")?;
        let mut content = ByteReader(&source[part.content..part.end]);
        let id_size = if content.number(1)? == 0 { 2 } else { 4 };
        content.number(3)?;
        content.number(id_size)?
    };
    let all = child(b"iref")?;
    let grid = |id: u64| meta.items.iter().find(|item| u64::from(item.id) == id);
    let alpha = references(source, &all)
        .filter(|reference| {
            &reference.kind == b"auxl" && reference.targets().any(|id| id == primary)
        })
        .take(MAX_AUXILIARIES)
        .filter(|reference| grid(reference.from).is_some_and(|item| &item.kind == b"grid"))
        .find(|reference| is_alpha(source, &meta, reference.from) == Some(true))?
        .from;
    let tiles: Vec<u32> = references(source, &all)
        .find(|reference| &reference.kind == b"dimg" && reference.from == alpha)?
        .targets()
        .filter_map(|id| u32::try_from(id).ok())
        .collect();
    // Version, flags, and the numbers of rows and columns minus one.
    let (rows, columns) = match *item(source, &meta, u32::try_from(alpha).ok()?)? {
        [0, _, rows, columns, ..] => (u32::from(rows) + 1, u32::from(columns) + 1),
        _ => return None,
    };
    Some(AlphaGrid {
        source,
        meta,
        tiles,
        columns,
        rows,
    })
}

impl AlphaGrid<'_> {
    pub(crate) fn len(&self) -> usize {
        self.tiles.len()
    }

    /// The AV1 data of a tile.
    pub(crate) fn tile(&self, index: usize) -> Option<Cow<'_, [u8]>> {
        item(self.source, &self.meta, *self.tiles.get(index)?)
    }
}

/// An item reference, from `iref`.
struct ItemReference<'a> {
    kind: [u8; 4],
    from: u64,
    id_size: usize,
    /// The IDs of the referenced items.
    to: &'a [u8],
}

impl ItemReference<'_> {
    fn targets(&self) -> impl Iterator<Item = u64> {
        self.to
            .chunks_exact(self.id_size)
            .filter_map(|id| ByteReader(id).number(self.id_size))
    }
}

/// The item references in an `iref` box.
fn references<'a>(source: &'a [u8], iref: &IsoBox) -> impl Iterator<Item = ItemReference<'a>> {
    let id_size = match source[iref.content..iref.end].first() {
        Some(0) => 2,
        _ => 4,
    };
    boxes(source, iref.content + 4..iref.end).filter_map(move |part| {
        let mut content = ByteReader(&source[part.content..part.end]);
        let from = content.number(id_size)?;
        let count = usize::try_from(content.number(2)?).ok()?;
        Some(ItemReference {
            kind: part.kind,
            from,
            id_size,
            to: content.0.get(..count * id_size)?,
        })
    })
}

/// Whether a property of an item says that it is alpha.
fn is_alpha(source: &[u8], meta: &MetaBox, id: u64) -> Option<bool> {
    let iprp = find(boxes(source, meta.children.clone()), b"iprp")?;
    let child = |kind| find(boxes(source, iprp.content..iprp.end), kind);
    let (properties, associations) = (child(b"ipco")?, child(b"ipma")?);
    let mut content = ByteReader(&source[associations.content..associations.end]);
    let id_size = if content.number(1)? == 0 { 2 } else { 4 };
    // The highest bit of a property index says whether readers must support the property.
    let index_size = if content.number(3)? & 1 == 0 { 1 } else { 2 };
    let essential = 1 << (8 * index_size - 1);
    for _ in 0..content.number(4)? {
        let item = content.number(id_size)?;
        let indices = (0..content.number(1)?)
            .map(|_| content.number(index_size))
            .collect::<Option<Vec<u64>>>()?;
        if item != id {
            continue;
        }
        let is_one = |index: u64| indices.iter().any(|of| of & !essential == index);
        let mut properties = (1..).zip(boxes(source, properties.content..properties.end));
        return Some(properties.any(|(index, part)| {
            let content = &source[part.content..part.end];
            &part.kind == b"auxC"
                && content.get(4..).is_some_and(|name| name.starts_with(ALPHA))
                && is_one(index)
        }));
    }
    None
}

/// The bytes of an item, joined if it has several extents. `is_bounded` guarantees that they are no more than the file.
fn item<'a>(source: &'a [u8], meta: &MetaBox, id: u32) -> Option<Cow<'a, [u8]>> {
    match &meta.extents(source, id)?[..] {
        [one] => Some(Cow::Borrowed(one)),
        extents => Some(Cow::Owned(extents.concat())),
    }
}
