//! SVG: detected after any prologue, sanitized, measured, and rasterized if the operator allows that. An SVG is a document that may contain
//! scripts, so it is never passed on as it came, and what cannot be parsed to its end is refused.

mod cost;
pub(crate) mod detect;
mod draw;
mod elements;
mod error;
mod limits;
mod markup;
mod prologue;
mod properties;
mod rings;
mod sanitize;
mod size;
mod style;
mod text_path;

use std::borrow::Cow;
use std::io::Read;

use flate2::read::GzDecoder;

use crate::codecs::TransformError;

use self::detect::{LAYERS, is_gzip};
use self::error::broken;
use self::markup::document;
use self::prologue::Encoding;
use self::sanitize::sanitize;

pub(crate) use self::draw::{DRAWING_STACK, draw_on_this_thread, open_fonts, rasterize};
pub(crate) use self::size::size;

/// Bytes of markup, before and after sanitizing: the largest maps and drawings on the web have a tenth of this.
pub(crate) const MARKUP: u64 = 32 << 20;

/// Removes everything that could do more than be looked at: scripts, event handlers, foreign objects, links, references to other documents,
/// and entities. Embedded raster pictures and fonts stay. The result is UTF-8, whatever the source was, and never longer than the limit.
///
/// # Errors
/// `Decode` for a document that is not valid to its last byte, or is larger than `limit` or 32 MiB at any stage.
pub(crate) fn clean(source: &[u8], limit: u64) -> Result<Vec<u8>, TransformError> {
    let limit = limit.min(MARKUP);
    let bytes = unpacked(source, limit)?;
    let (encoding, text) = Encoding::of(&bytes);
    let text = encoding
        .exact(text)
        .ok_or_else(|| broken("its characters are of no encoding that is read"))?;
    let text = document(&text)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(sanitize(&text, limit)?.into_bytes())
}

/// An upper bound for the bytes of markup in a file: deflate expands a byte to at most 1032.
pub(crate) fn most_markup(source: &[u8], limit: u64) -> u64 {
    const EXPANSION: u64 = 1032;
    let length = source.len() as u64;
    let unpacked = if is_gzip(source) {
        length.saturating_mul(EXPANSION)
    } else {
        length
    };
    unpacked.min(limit).min(MARKUP)
}

/// Decompresses the file if it is gzipped.
fn unpacked(source: &[u8], limit: u64) -> Result<Cow<'_, [u8]>, TransformError> {
    let too_large = || broken(&format!("more than {limit} bytes"));
    let mut bytes = Cow::Borrowed(source);
    for _ in 0..LAYERS {
        if !is_gzip(&bytes) {
            break;
        }
        let mut unpacked = Vec::new();
        // One byte more distinguishes a file of exactly the limit from a larger one.
        GzDecoder::new(&bytes[..])
            .take(limit + 1)
            .read_to_end(&mut unpacked)
            .map_err(|error| broken(&error.to_string()))?;
        if unpacked.len() as u64 > limit {
            return Err(too_large());
        }
        bytes = Cow::Owned(unpacked);
    }
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
