//! What stands for a scaled decode where pixels are decoded already.

use std::borrow::Cow;

use super::super::super::pixels::Pixels;
use super::super::super::pixels::Raster;
use super::super::super::pixels::Rect;
use super::super::super::resize;
use super::super::super::resize::Mixing;
use super::super::Wanted;

/// A whole picture at a scale.
pub(super) fn at_scale(whole: &Raster, wanted: Wanted) -> Raster {
    let size = wanted.of(whole.size);
    let pixels = 8.0 / f64::from(wanted.eighths);
    // Where the size was rounded up, it ends beyond the picture.
    let extent = Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(size.width) * pixels,
        height: f64::from(size.height) * pixels,
    };
    let whole = Pixels::Raster(Cow::Borrowed(whole));
    resize::raster(whole, extent, size, Mixing::Stored)
}
