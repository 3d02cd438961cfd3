//! The intrinsic size of a drawing.

use crate::codecs::svg::markup::attributes;
use crate::codecs::svg::prologue::root;
use crate::pixels::Size;

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
pub(crate) fn whole(side: f64) -> u32 {
    side.round().clamp(1.0, f64::from(u32::MAX)) as u32
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
