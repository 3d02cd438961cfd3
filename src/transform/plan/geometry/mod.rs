//! Where every pixel goes, as arithmetic: decided from two sizes and the recipe, before any pixel is touched.
//!
//! Sizes here are of the picture as the recipe sees it: upright, trimmed, flipped and rotated. `Placement` translates them to the stored one.

use crate::options::{Border, Fit, Gravity, Length, Recipe, Trim};

use crate::pixels::canvas::Canvas;
use crate::pixels::{PixelRect, Rect, Size};

/// Where every pixel goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layout {
    /// The part of the source that is kept, in source pixels.
    pub crop: Rect,
    /// The size that part is scaled to.
    pub scaled: Size,
    /// What the scaled part is laid on, for `fit=pad`; none where it is the whole output.
    pub canvas: Option<Canvas>,
    /// What is laid around all of it.
    pub border: Option<Border>,
}

/// Finds the position of a crop in the picture itself: from the extents of the window, as shares of the source, to the position in
/// the sense of `Gravity::At`.
pub(crate) type Focus<'a> = &'a dyn Fn((f64, f64)) -> (f64, f64);

impl Layout {
    /// Size of the finished picture.
    pub(crate) fn output(&self) -> Size {
        let inner = self.canvas.map_or(self.scaled, |canvas| canvas.size);
        self.border.map_or(inner, |border| {
            let across = border.left.saturating_add(border.right);
            let down = border.top.saturating_add(border.bottom);
            Size::new(
                inner.width.saturating_add(across),
                inner.height.saturating_add(down),
            )
        })
    }

    /// The same layout for a picture whose longest side is at most `longest` pixels. Borders that become thinner than half a pixel are
    /// left out.
    pub(crate) fn reduced(&self, longest: u32) -> Layout {
        let size = self.output();
        let factor = f64::from(longest) / f64::from(size.width.max(size.height));
        if factor >= 1.0 {
            return *self;
        }
        let line = |pixels: u32| side_or_none(f64::from(pixels) * factor);
        let area = |size: Size| scaled(size, factor);
        let scaled = area(self.scaled);
        Layout {
            crop: self.crop,
            scaled,
            canvas: self.canvas.map(|canvas| {
                let size = area(canvas.size);
                Canvas {
                    size: Size::new(size.width.max(scaled.width), size.height.max(scaled.height)),
                    left: line(canvas.left).min(size.width.saturating_sub(scaled.width)),
                    top: line(canvas.top).min(size.height.saturating_sub(scaled.height)),
                }
            }),
            border: self.border.map(|border| Border {
                color: border.color,
                top: line(border.top),
                right: line(border.right),
                bottom: line(border.bottom),
                left: line(border.left),
            }),
        }
    }

    /// Source pixels per output pixel, on the axis where there are fewer of them; below 1 where the picture is enlarged.
    pub(crate) fn shrink(&self) -> f64 {
        (self.crop.width / f64::from(self.scaled.width))
            .min(self.crop.height / f64::from(self.scaled.height))
    }
}

/// What is left of an upright picture when the amounts of `trim` are cut off; `None` when nothing is.
///
/// `left` and `top` are the corner of what stays, `width` and `height` its size. Cloudflare lets `right` or `bottom` stand beside them,
/// and does not document what happens then: here, the one that leaves less counts.
pub(crate) fn trimmed(source: Size, trim: &Trim) -> Option<PixelRect> {
    let (left, width) = kept(source.width, trim.left, trim.right, trim.width)?;
    let (top, height) = kept(source.height, trim.top, trim.bottom, trim.height)?;
    Some(PixelRect {
        left,
        top,
        width,
        height,
    })
}

/// Start and extent of what stays of one side.
fn kept(
    side: u32,
    before: Option<Length>,
    after: Option<Length>,
    extent: Option<Length>,
) -> Option<(u32, u32)> {
    let pixels = |length: Length| match length {
        Length::Pixels(pixels) => pixels,
        Length::Share(share) => side_or_none(f64::from(side) * share.get()),
    };
    let start = before.map_or(0, pixels);
    let rest = side
        .checked_sub(start)?
        .checked_sub(after.map_or(0, pixels))?;
    let kept = extent.map_or(rest, |extent| pixels(extent).min(rest));
    (kept > 0).then_some((start, kept))
}

/// The layout of a source of `source` pixels (both sides at least 1) for a recipe. `focus` finds the position of a crop where the gravity
/// names none; without `focus`, it is the centre.
///
/// With one side given, the other follows from the ratio of the source and nothing is cut or padded; with none, the size stays.
/// Sides round to the nearest pixel and are at least 1.
pub(crate) fn layout(source: Size, recipe: &Recipe, focus: Option<Focus<'_>>) -> Layout {
    Layout {
        border: recipe.border,
        ..inside_border(source, recipe, focus)
    }
}

fn inside_border(source: Size, recipe: &Recipe, focus: Option<Focus<'_>>) -> Layout {
    let (width, height) = (f64::from(source.width), f64::from(source.height));
    let (fit, wanted_width, wanted_height) = match (recipe.width, recipe.height) {
        (None, None) => return uncut(source, source),
        (Some(wide), None) => (
            recipe.fit.of_one_side(),
            f64::from(wide),
            f64::from(wide) * height / width,
        ),
        (None, Some(high)) => (
            recipe.fit.of_one_side(),
            f64::from(high) * width / height,
            f64::from(high),
        ),
        (Some(wide), Some(high)) => (recipe.fit, f64::from(wide), f64::from(high)),
    };
    let inside = (wanted_width / width).min(wanted_height / height);
    let around = (wanted_width / width).max(wanted_height / height);
    let by = |scale: f64| uncut(source, Size::new(side(width * scale), side(height * scale)));
    let place = |width: f64, height: f64| place(source, width, height, recipe.gravity, focus);
    let filled = |scale: f64| Layout {
        crop: place(wanted_width / scale, wanted_height / scale),
        scaled: Size::new(side(wanted_width), side(wanted_height)),
        canvas: None,
        border: None,
    };
    // A part of the source at its native size, so on whole pixels: nothing is resampled.
    let cut = |width: f64, height: f64| {
        let size = Size::new(
            side(width).min(source.width),
            side(height).min(source.height),
        );
        let exact = place(f64::from(size.width), f64::from(size.height));
        Layout {
            crop: Rect {
                left: exact.left.round(),
                top: exact.top.round(),
                ..exact
            },
            scaled: size,
            canvas: None,
            border: None,
        }
    };
    match fit {
        Fit::ScaleDown => by(inside.min(1.0)),
        Fit::ScaleUp => by(inside.max(1.0)),
        Fit::Contain => by(inside),
        Fit::Squeeze => uncut(source, Size::new(side(wanted_width), side(wanted_height))),
        Fit::Pad => {
            let Layout { crop, scaled, .. } = by(inside);
            let size = Size::new(side(wanted_width), side(wanted_height));
            let canvas = Canvas {
                size,
                left: size.width.saturating_sub(scaled.width) / 2,
                top: size.height.saturating_sub(scaled.height) / 2,
            };
            Layout {
                crop,
                scaled,
                canvas: (size != scaled).then_some(canvas),
                border: None,
            }
        }
        Fit::Cover => filled(around),
        Fit::Crop | Fit::AspectCrop if around <= 1.0 => filled(around),
        Fit::Crop => cut(wanted_width.min(width), wanted_height.min(height)),
        Fit::AspectCrop => {
            let scale = inside_ratio(width, height, wanted_width, wanted_height);
            cut(wanted_width * scale, wanted_height * scale)
        }
    }
}

/// The largest factor for a box that then still fits inside the source.
fn inside_ratio(width: f64, height: f64, wanted_width: f64, wanted_height: f64) -> f64 {
    (width / wanted_width).min(height / wanted_height)
}

/// The whole source, scaled.
fn uncut(source: Size, scaled: Size) -> Layout {
    let crop = Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(source.width),
        height: f64::from(source.height),
    };
    Layout {
        crop,
        scaled,
        canvas: None,
        border: None,
    }
}

/// Where a box of the given extent lies in the source: the point at relative (x, y) of the box on relative (x, y) of the source.
fn place(
    source: Size,
    width: f64,
    height: f64,
    gravity: Gravity,
    focus: Option<Focus<'_>>,
) -> Rect {
    let (full_width, full_height) = (f64::from(source.width), f64::from(source.height));
    let (width, height) = (width.min(full_width), height.min(full_height));
    let (x, y) = match (gravity.position(), focus) {
        (Some((x, y)), _) => (x.get(), y.get()),
        (None, Some(focus)) => focus((width / full_width, height / full_height)),
        (None, None) => (0.5, 0.5),
    };
    Rect {
        left: x * (full_width - width),
        top: y * (full_height - height),
        width,
        height,
    }
}

/// A size times a factor, in whole pixels.
pub(crate) fn scaled(size: Size, factor: f64) -> Size {
    Size::new(
        side(f64::from(size.width) * factor),
        side(f64::from(size.height) * factor),
    )
}

/// A side in whole pixels: the nearest, and at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped first; NaN becomes 0, which max() raises"
)]
fn side(exact: f64) -> u32 {
    (exact.round().clamp(1.0, f64::from(u32::MAX)) as u32).max(1)
}

/// A line in whole pixels: the nearest, which may be none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped first; NaN becomes 0"
)]
fn side_or_none(exact: f64) -> u32 {
    exact.round().clamp(0.0, f64::from(u32::MAX)) as u32
}

// One row, one line: a table.
#[cfg(test)]
#[rustfmt::skip]
mod tests;
