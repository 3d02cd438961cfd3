//! A substitute for a scaled decode, if the pixels were decoded at full size.

use std::borrow::Cow;

use crate::codecs::TransformError;
use crate::codecs::decode::image::DecodeScale;
use crate::pixels::resize::ResampleSpace;
use crate::pixels::{Pixels, Raster, Rect, resize};

/// Scales a whole picture down.
pub(crate) fn at_scale(whole: &Raster, scale: DecodeScale) -> Result<Raster, TransformError> {
    let size = scale.of(whole.size);
    let pixels = 8.0 / f64::from(scale.eighths);
    // A size that was rounded up reaches beyond the picture.
    let extent = Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(size.width) * pixels,
        height: f64::from(size.height) * pixels,
    };
    let whole = Pixels::Raster(Cow::Borrowed(whole));
    Ok(resize::raster(whole, extent, size, ResampleSpace::Encoded)?)
}
