//! The canvas of GIF and APNG: each frame covers an area and says how to dispose of it afterwards.

use crate::codecs::TransformError;
use crate::codecs::animation::Area;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

/// Canvas, saved pixels, the frame as stored, and the frame as returned.
const BYTES_PER_PIXEL: u64 = 16;

/// Returns an error if the canvas does not fit into `max_bytes`.
pub(crate) fn check_memory(size: Size, max_bytes: u64) -> Result<(), TransformError> {
    if size.width == 0 || size.height == 0 {
        return Err(TransformError::ZeroSized);
    }
    let bytes = size.area().saturating_mul(BYTES_PER_PIXEL);
    if bytes > max_bytes {
        return Err(TransformError::TooCostly {
            bytes,
            limit: max_bytes,
        });
    }
    Ok(())
}

/// How the area of a frame is disposed of before the next frame is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposal {
    Keep,
    /// The area becomes transparent. GIF calls this "background colour", but no browser paints that colour.
    Clear,
    /// The area shows again what it showed before the frame.
    Restore,
}

const CHANNELS: usize = Channels::Rgba.count();

/// RGBA pixels, transparent at first. Of earlier frames, only the area under a frame with disposal `Restore` is saved.
pub(crate) struct AnimationCanvas {
    size: Size,
    pixels: Vec<u8>,
    last: (Area, Disposal),
    kept: Vec<u8>,
}

impl AnimationCanvas {
    pub(super) fn new(size: Size) -> Result<Self, TransformError> {
        Ok(AnimationCanvas {
            size,
            pixels: buffer::zeroed(size.len() * CHANNELS)?,
            last: (Area::EMPTY, Disposal::Keep),
            kept: Vec::new(),
        })
    }

    pub(super) const fn size(&self) -> Size {
        self.size
    }

    /// Disposes of the previous frame, and paints this one. `paint` gets the row number within the frame and the pixels of the canvas under
    /// that row, which are fewer than the width of the frame if it reaches beyond the canvas.
    pub(super) fn show(
        &mut self,
        area: Area,
        disposal: Disposal,
        mut paint: impl FnMut(usize, &mut [u8]),
    ) -> Result<Raster, TransformError> {
        self.dispose();
        let area = area.within(self.size);
        self.last = (area, disposal);
        if disposal == Disposal::Restore {
            buffer::reserve(&mut self.kept, area.size.len() * CHANNELS)?;
        }
        for (row, range) in area.rows(self.size.width).enumerate() {
            let pixels = &mut self.pixels[range.start * CHANNELS..range.end * CHANNELS];
            if disposal == Disposal::Restore {
                self.kept.extend_from_slice(pixels);
            }
            paint(row, pixels);
        }
        Ok(Raster {
            size: self.size,
            channels: Channels::Rgba,
            samples: Samples::U8(buffer::copied(&self.pixels)?),
        })
    }

    fn dispose(&mut self) {
        let (area, disposal) = self.last;
        let row = area.size.width as usize * CHANNELS;
        for (index, range) in area.rows(self.size.width).enumerate() {
            let pixels = &mut self.pixels[range.start * CHANNELS..range.end * CHANNELS];
            match disposal {
                Disposal::Keep => return,
                Disposal::Clear => pixels.fill(0),
                Disposal::Restore => pixels.copy_from_slice(&self.kept[index * row..][..row]),
            }
        }
        self.kept.clear();
    }
}
