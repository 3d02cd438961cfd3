//! SVG: detected after any prologue, sanitized, measured, and rasterized if the operator allows that. An SVG is a document that may contain
//! scripts, so it is never passed on as it came, and what cannot be parsed to its end is refused.

mod cost;
mod draw;
mod elements;
mod markup;
mod properties;
mod rings;
mod sanitize;
mod style;
mod text_path;

use std::borrow::Cow;
use std::io::Read;

use flate2::read::GzDecoder;

use crate::codecs::TransformError;
use crate::pixels::Size;

use self::markup::Encoding;
use self::markup::attributes;
use self::markup::document;
use self::markup::root;
use self::sanitize::sanitize;

pub(crate) use self::draw::rasterize;

/// Bytes that are searched for the root element. A file with a longer prologue is not recognised.
const HEAD: usize = 64 << 10;
/// Bytes of markup, before and after sanitizing: the largest maps and drawings on the web have a tenth of this.
pub(crate) const MARKUP: u64 = 32 << 20;
/// How many times a file may be gzipped: some servers compress files that are compressed already; more is an attack.
const LAYERS: usize = 2;

/// Whether the root element is `svg`, with any prefix, after a byte order mark, white space, processing instructions, comments and a
/// document type; in UTF-8, UTF-16 or an encoding that contains ASCII; gzipped or not.
pub(crate) fn is_svg(bytes: &[u8]) -> bool {
    let mut head = Cow::Borrowed(&bytes[..bytes.len().min(HEAD)]);
    for _ in 0..LAYERS {
        if !is_gzip(&head) {
            break;
        }
        let mut unpacked = Vec::new();
        // The stream is cut, so it ends with an error: what was decompressed before is enough.
        let _ = GzDecoder::new(&head[..])
            .take(HEAD as u64)
            .read_to_end(&mut unpacked);
        head = Cow::Owned(unpacked);
    }
    let (encoding, text) = Encoding::of(&head);
    root(&encoding.lossy(text)).is_some_and(|(name, _)| local(name) == "svg")
}

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

/// The intrinsic size of a sanitized SVG: its width and height in CSS pixels, or those of its view box; one is derived from the other if
/// one is missing. `None` if the drawing has no size of its own.
pub(crate) fn size(cleaned: &[u8]) -> Option<Size> {
    let text = std::str::from_utf8(cleaned).ok()?;
    let (name, tag) = root(text)?;
    let mut view = None;
    let (mut width, mut height) = (None, None);
    for (attribute, value) in attributes(&tag[name.len()..]) {
        match attribute {
            "width" => width = length(value),
            "height" => height = length(value),
            "viewBox" => view = view_box(value),
            _ => {}
        }
    }
    let (width, height) = match (width, height, view) {
        (Some(width), Some(height), _) => (width, height),
        (Some(width), None, Some((across, down))) => (width, width * down / across),
        (None, Some(height), Some((across, down))) => (height * across / down, height),
        (None, None, Some(view)) => view,
        _ => return None,
    };
    Some(Size::new(whole(width), whole(height)))
}

/// Rounds to a whole number of pixels, at least 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u32 first"
)]
fn whole(side: f64) -> u32 {
    side.round().clamp(1.0, f64::from(u32::MAX)) as u32
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1F, 0x8B])
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

/// A CSS length in pixels (CSS Values 3, section 5.2); `None` for a length that depends on the surroundings.
fn length(text: &str) -> Option<f64> {
    /// `em` and `ex` of a font of 16 pixels, the default of browsers.
    const UNITS: [(&str, f64); 10] = [
        ("px", 1.0),
        ("pt", 4.0 / 3.0),
        ("pc", 16.0),
        ("in", 96.0),
        ("cm", 96.0 / 2.54),
        ("mm", 9.6 / 2.54),
        ("q", 2.4 / 2.54),
        ("rem", 16.0),
        ("em", 16.0),
        ("ex", 8.0),
    ];
    let text = text.trim().to_ascii_lowercase();
    let (number, pixels) = UNITS
        .iter()
        .find_map(|(unit, pixels)| Some((text.strip_suffix(unit)?, *pixels)))
        .unwrap_or((&text, 1.0));
    let length = number.trim_end().parse::<f64>().ok()? * pixels;
    (length.is_finite() && length > 0.0).then_some(length)
}

/// Width and height of a view box.
fn view_box(text: &str) -> Option<(f64, f64)> {
    let mut numbers = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|number| !number.is_empty())
        .map(str::parse::<f64>);
    let mut next = || numbers.next()?.ok().filter(|number| number.is_finite());
    let (_, _, width, height) = (next()?, next()?, next()?, next()?);
    (width > 0.0 && height > 0.0).then_some((width, height))
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn broken(what: &str) -> TransformError {
    TransformError::Decode(format!("SVG: {what}"))
}

#[cfg(test)]
mod tests;
