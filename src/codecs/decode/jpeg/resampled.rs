//! What stands for a scaled decode where pixels are decoded already.

use std::borrow::Cow;

use crate::codecs::TransformError;
use crate::codecs::decode::DecodeScale;
use crate::pixels::Pixels;
use crate::pixels::Raster;
use crate::pixels::Rect;
use crate::pixels::resize;
use crate::pixels::resize::ResampleSpace;

/// A whole picture at a scale.
pub(crate) fn at_scale(whole: &Raster, scale: DecodeScale) -> Result<Raster, TransformError> {
    let size = scale.of(whole.size);
    let pixels = 8.0 / f64::from(scale.eighths);
    // Where the size was rounded up, it ends beyond the picture.
    let extent = Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(size.width) * pixels,
        height: f64::from(size.height) * pixels,
    };
    let whole = Pixels::Raster(Cow::Borrowed(whole));
    Ok(resize::raster(whole, extent, size, ResampleSpace::Encoded)?)
}
