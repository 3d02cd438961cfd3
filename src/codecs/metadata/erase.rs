//! Takes the metadata out of a whole file without touching its pixels. What can pass without it loses it; formats that refer to places in the file keep
//! their length, and what tells about places and people is overwritten with zeros.

use std::ops::Range;

use bytes::Bytes;

use crate::codecs::metadata::strip::Stripper;
use crate::codecs::metadata::{avif, tiff};
use crate::codecs::sniff::SourceFormat;

/// The file without its metadata; `None` where that cannot be done.
pub(crate) fn erase(file: Bytes, format: SourceFormat) -> Option<Vec<u8>> {
    if let Some(mut stripper) = Stripper::of(format) {
        let mut kept = Vec::with_capacity(file.len());
        stripper.push(&file, &mut kept);
        return Some(kept);
    }
    let places = match format {
        SourceFormat::Avif | SourceFormat::Heic => avif::metadata_places(&file)?,
        SourceFormat::Tiff => tiff::private_places(&file)?,
        _ => return None,
    };
    // A hostile file may list the same bytes again and again.
    let length: usize = places.iter().map(Range::len).fold(0, usize::saturating_add);
    if length > file.len() {
        return None;
    }
    let mut file = Vec::from(file);
    for place in places {
        file.get_mut(place)?.fill(0);
    }
    Some(file)
}
