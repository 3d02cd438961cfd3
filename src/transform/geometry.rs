//! Where every pixel goes, as arithmetic: decided from two sizes and the recipe, before any pixel is touched.
//!
//! All sizes here are of the upright picture, after its orientation; `resize` translates them to the stored one.

use crate::options::Fit;
use crate::options::Gravity;
use crate::options::Recipe;

use super::pixels::Rect;
use super::pixels::Size;

/// Where every pixel goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// The part of the source that is kept, in source pixels.
    pub crop: Rect,
    /// The size that part is scaled to.
    pub scaled: Size,
    /// What the scaled part is laid on, for `fit=pad`; none where it is the whole output.
    pub canvas: Option<Canvas>,
}

/// A larger surface with the picture on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// Size of the surface.
    pub size: Size,
    /// Free pixels to the left of the picture.
    pub left: u32,
    /// Free pixels above the picture.
    pub top: u32,
}

impl Layout {
    /// Size of the finished picture.
    pub fn output(&self) -> Size {
        self.canvas.map_or(self.scaled, |canvas| canvas.size)
    }

    /// Source pixels per output pixel, on the axis where there are fewer of them; below 1 where the picture is enlarged.
    pub fn shrink(&self) -> f64 {
        (self.crop.width / f64::from(self.scaled.width))
            .min(self.crop.height / f64::from(self.scaled.height))
    }
}

/// Lays a source of `source` pixels (both sides at least 1) out for a recipe.
///
/// With one side given, the other follows from the ratio of the source and nothing is cut or padded; with none, the size stays.
/// Sides round to the nearest pixel and are at least 1.
pub fn layout(source: Size, recipe: &Recipe) -> Layout {
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
    let filled = |scale: f64| Layout {
        crop: place(
            source,
            wanted_width / scale,
            wanted_height / scale,
            recipe.gravity,
        ),
        scaled: Size::new(side(wanted_width), side(wanted_height)),
        canvas: None,
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
            }
        }
        Fit::Cover => filled(around),
        Fit::Crop | Fit::AspectCrop if around <= 1.0 => filled(around),
        Fit::Crop => cut(
            source,
            wanted_width.min(width),
            wanted_height.min(height),
            recipe.gravity,
        ),
        Fit::AspectCrop => {
            let scale = inside_ratio(width, height, wanted_width, wanted_height);
            cut(
                source,
                wanted_width * scale,
                wanted_height * scale,
                recipe.gravity,
            )
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
    }
}

/// A part of the source at its native size, so on whole pixels: nothing is resampled.
fn cut(source: Size, width: f64, height: f64, gravity: Gravity) -> Layout {
    let size = Size::new(
        side(width).min(source.width),
        side(height).min(source.height),
    );
    let exact = place(
        source,
        f64::from(size.width),
        f64::from(size.height),
        gravity,
    );
    let crop = Rect {
        left: exact.left.round(),
        top: exact.top.round(),
        ..exact
    };
    Layout {
        crop,
        scaled: size,
        canvas: None,
    }
}

/// Where a box of the given extent lies in the source: the point at relative (x, y) of the box on relative (x, y) of the source.
fn place(source: Size, width: f64, height: f64, gravity: Gravity) -> Rect {
    // What needs the pixels (`auto`, `face`, `entropy`) has been decided before a recipe gets here; the centre stands for it otherwise.
    let (x, y) = gravity
        .position()
        .map_or((0.5, 0.5), |(x, y)| (x.get(), y.get()));
    let (full_width, full_height) = (f64::from(source.width), f64::from(source.height));
    let (width, height) = (width.min(full_width), height.min(full_height));
    Rect {
        left: x * (full_width - width),
        top: y * (full_height - height),
        width,
        height,
    }
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

// One row, one line: a table.
#[cfg(test)]
#[rustfmt::skip]
#[path = "geometry_tests.rs"]
mod tests;
