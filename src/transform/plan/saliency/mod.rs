//! What catches the eye, for `gravity=auto`, and what has detail, for `gravity=entropy`: a small grey map of a picture, and the place
//! of a window on it.
//!
//! Classical and quick, without a network. Four maps of a picture reduced to 128 pixels are added up:
//! - *contrast*: the distance of each pixel's colour from the mean of the largest window that is symmetric around it (Achanta and
//!   Süsstrunk, "Saliency Detection using Maximum Symmetric Surround", 2010, the algorithm that Cloudflare names). What reaches the
//!   edges is mostly background, and gets little
//! - *edges*: the gradient of luma, because subjects are sharp and backgrounds blurred
//! - *saturation*, where it is neither dark nor blown out
//! - *skin*: closeness to the hue of human skin of any shade
//!
//! The sum is raised to the power of 3/2, so that what stands out most weighs more than much that stands out a little.
//!
//! A picture always gives the same map on every machine: there is no arithmetic in it but IEEE sums, products, quotients and roots.

mod view;
mod window;

use png::BitDepth;
use png::ColorType;
use png::Transformations;

use crate::options::Gravity;

use crate::codecs::TransformError;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Raster, Rect, Size};

use view::CELLS;
use view::View;
use view::normalized;

/// Weights of the four maps, tuned by eye on photographs of people, animals, things and landscapes.
const EDGES: f32 = 0.8;
const CONTRAST: f32 = 1.0;
const SATURATION: f32 = 0.2;
const SKIN: f32 = 1.2;
/// Skin that is neither sharp nor different from what surrounds it counts as this part: sand and wood have its colour too.
const SKIN_ALONE: f32 = 0.2;

/// How salient each part of a picture is, as a grey map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SaliencyMap {
    size: Size,
    cells: Vec<u8>,
}

impl SaliencyMap {
    /// Size of the map, in cells.
    pub(crate) const fn size(&self) -> Size {
        self.size
    }

    /// What a gravity looks for in an RGB or RGBA picture in sRGB.
    pub(crate) fn for_gravity(gravity: Gravity, raster: &Raster) -> SaliencyMap {
        match gravity {
            Gravity::Entropy => SaliencyMap::detail_of(raster),
            _ => SaliencyMap::of(raster),
        }
    }

    /// The saliency of an RGB or RGBA picture in sRGB. A thumbnail of about 256 pixels is enough.
    pub(crate) fn of(raster: &Raster) -> SaliencyMap {
        let view = View::of(raster);
        let edges = normalized(view.edges());
        let contrast = normalized(view.contrast());
        let saturation = view.saturation();
        let skin = view.skin();
        let sum = (0..view.size.len())
            .map(|index| {
                let seen = EDGES * edges[index]
                    + CONTRAST * contrast[index]
                    + SATURATION * saturation[index]
                    + SKIN * skin[index] * (SKIN_ALONE + edges[index] + contrast[index]).min(1.0);
                seen * seen.sqrt() * view.pixels[index].alpha
            })
            .collect();
        SaliencyMap::of_view(&view, sum)
    }

    /// The detail in an RGB or RGBA picture in sRGB, whatever its colours: edges alone.
    pub(crate) fn detail_of(raster: &Raster) -> SaliencyMap {
        let view = View::of(raster);
        let edges = view.edges();
        SaliencyMap::of_view(&view, edges)
    }

    fn of_view(view: &View, values: Vec<f32>) -> SaliencyMap {
        let (size, cells) = view.cells(values);
        SaliencyMap { size, cells }
    }

    /// The map as a picture.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>, TransformError> {
        let failed = |cause: png::EncodingError| TransformError::Encode(cause.to_string());
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.size.width, self.size.height);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&self.cells).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(bytes)
    }

    /// The map of a picture that `to_png` has made; `None` for every other.
    pub(crate) fn from_png(bytes: &[u8]) -> Option<SaliencyMap> {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().ok()?;
        let info = reader.info();
        let size = Size::new(info.width, info.height);
        let is_ours = info.color_type == ColorType::Grayscale
            && info.bit_depth == BitDepth::Eight
            && size.width.max(size.height) <= CELLS
            && reader.output_buffer_size() == Some(size.len());
        if !is_ours {
            return None;
        }
        let mut cells = vec![0; size.len()];
        reader.next_frame(&mut cells).ok()?;
        Some(SaliencyMap { size, cells })
    }

    /// The map of the picture after it is turned upright.
    pub(crate) fn turned(&self, orientation: Orientation) -> SaliencyMap {
        let mut cells = Vec::new();
        orientation.turn_into(&self.cells, self.size, 1, &mut cells);
        SaliencyMap {
            size: orientation.size(self.size),
            cells,
        }
    }

    /// Where in the part `part` of the picture a window of the extent `window` keeps most of what is salient, in the sense of
    /// `Gravity::At`: `(0, 0)` is the upper left corner of the part, `(1, 1)` the lower right.
    ///
    /// `part` is in shares of the picture, `window` in shares of the part. What lies deep in the window counts for more than what lies
    /// at its edges, so that nothing that matters is cut. Of equal places, the one nearest to the centre is taken.
    pub(crate) fn focus(&self, part: Rect, window: (f64, f64)) -> (f64, f64) {
        window::best_place(self.size, &self.cells, part, window)
    }
}

#[cfg(test)]
mod tests;
