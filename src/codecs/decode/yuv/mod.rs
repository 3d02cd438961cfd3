//! Converts decoded AV1 planes to RGB: the matrices and ranges of ITU-T H.273, any bit depth, chroma interpolated between neighbours.

use bytemuck::Zeroable;

use crate::codecs::TransformError;
use crate::pixels::color::ColorSpace;
use crate::pixels::{Channels, Raster, Samples, Size, buffer, eight_bits, sixteen_bits};

/// One decoded picture of one or three planes.
pub(crate) struct YuvFrame {
    pub size: Size,
    /// Whether chroma is subsampled by two, across and down.
    pub subsampled: (bool, bool),
    /// Bits of a sample, 8 to 16.
    pub depth: u32,
    /// Luma, Cb and Cr; or luma alone. Rows have no gaps.
    pub planes: Vec<Vec<u16>>,
    pub matrix: Matrix,
    pub full_range: bool,
    pub space: ColorSpace,
}

/// The matrix from components to red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Matrix {
    /// The components are green, blue and red.
    Identity,
    YCgCo,
    /// The weights of red and of blue in luma.
    Luma {
        red: f32,
        blue: f32,
    },
}

impl Matrix {
    /// From a code point of H.273, table 4. Unknown ones count as BT.601, as in other AVIF decoders.
    pub(super) fn from_cicp(code: u8) -> Self {
        let (red, blue) = match code {
            0 => return Matrix::Identity,
            8 => return Matrix::YCgCo,
            1 => (0.2126, 0.0722),
            4 => (0.30, 0.11),
            7 => (0.212, 0.087),
            9 | 10 => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        };
        Matrix::Luma { red, blue }
    }

    /// The weights of luma (0 to 1), Cb and Cr (-0.5 to 0.5) for red, green and blue, and an offset.
    fn weights(self) -> [[f32; 4]; 3] {
        match self {
            Matrix::Identity => [
                [0.0, 0.0, 1.0, 0.5],
                [1.0, 0.0, 0.0, 0.0],
                [0.0, 1.0, 0.0, 0.5],
            ],
            Matrix::YCgCo => [
                [1.0, -1.0, 1.0, 0.0],
                [1.0, 1.0, 0.0, 0.0],
                [1.0, -1.0, -1.0, 0.0],
            ],
            Matrix::Luma { red, blue } => {
                let green = 1.0 - red - blue;
                let (of_cr, of_cb) = (2.0 * (1.0 - red), 2.0 * (1.0 - blue));
                [
                    [1.0, 0.0, of_cr, 0.0],
                    [1.0, -of_cb * blue / green, -of_cr * red / green, 0.0],
                    [1.0, of_cb, 0.0, 0.0],
                ]
            }
        }
    }
}

impl YuvFrame {
    /// Joins tiles of equal layout, row by row, and crops the result to `size`. `None` if the tiles differ or do not cover it.
    pub(super) fn joined(
        tiles: Vec<YuvFrame>,
        columns: usize,
        size: Size,
    ) -> Result<Option<YuvFrame>, TransformError> {
        let Some(first) = tiles.first() else {
            return Ok(None);
        };
        let (tile, subsampled, depth, components) = (
            first.size,
            first.subsampled,
            first.depth,
            first.planes.len(),
        );
        let alike = tiles.iter().all(|other| {
            other.size == tile
                && other.subsampled == subsampled
                && other.depth == depth
                && other.planes.len() == components
        });
        let Some(rows) = tiles.len().checked_div(columns) else {
            return Ok(None);
        };
        let covered = tile.width as usize * columns >= size.width as usize
            && tile.height as usize * rows >= size.height as usize;
        if !alike || !covered || rows * columns != tiles.len() {
            return Ok(None);
        }
        let planes = (0..components)
            .map(|component| {
                let of = |size: Size| {
                    if component == 0 {
                        size
                    } else {
                        halved(size, subsampled)
                    }
                };
                let (from, to) = (of(tile), of(size));
                let mut plane = buffer::with_room(to.len())?;
                for y in 0..to.height as usize {
                    let (row, inner) = (y / from.height as usize, y % from.height as usize);
                    let start = plane.len();
                    for tile in &tiles[row * columns..(row + 1) * columns] {
                        let left = to.width as usize - (plane.len() - start);
                        let line = &tile.planes[component][inner * from.width as usize..]
                            [..from.width as usize];
                        plane.extend_from_slice(&line[..left.min(line.len())]);
                    }
                }
                Ok(plane)
            })
            .collect::<Result<_, TransformError>>()?;
        let YuvFrame {
            matrix,
            full_range,
            ref space,
            ..
        } = *first;
        Ok(Some(YuvFrame {
            size,
            subsampled,
            depth,
            planes,
            matrix,
            full_range,
            space: space.clone(),
        }))
    }
}

fn halved(size: Size, (across, down): (bool, bool)) -> Size {
    Size::new(
        if across {
            size.width.div_ceil(2)
        } else {
            size.width
        },
        if down {
            size.height.div_ceil(2)
        } else {
            size.height
        },
    )
}

/// Converts samples to numbers by a factor and an offset.
#[derive(Clone, Copy)]
struct SampleScale {
    factor: f32,
    added: f32,
}

impl SampleScale {
    /// Luma from 0 to 1.
    fn luma(depth: u32, full: bool) -> Self {
        let unit = f32::from(1u16 << (depth - 8));
        let (black, white) = if full {
            (0.0, 256.0 * unit - 1.0)
        } else {
            (16.0 * unit, 235.0 * unit)
        };
        let factor = (white - black).recip();
        SampleScale {
            factor,
            added: -black * factor,
        }
    }

    /// Chroma from -0.5 to 0.5.
    fn chroma(depth: u32, full: bool) -> Self {
        let unit = f32::from(1u16 << (depth - 8));
        let range = if full {
            256.0 * unit - 1.0
        } else {
            224.0 * unit
        };
        let factor = range.recip();
        SampleScale {
            factor,
            added: -128.0 * unit * factor,
        }
    }

    fn of(self, samples: &[u16], into: &mut Vec<f32>) {
        let SampleScale { factor, added } = self;
        into.clear();
        into.extend(
            samples
                .iter()
                .map(|&sample| f32::from(sample) * factor + added),
        );
    }
}

/// Converts a frame, with the luma of another frame as its alpha, to grey or RGB: 8 bits from 8, 16 bits from more.
pub(crate) fn to_raster(
    frame: &YuvFrame,
    alpha: Option<&YuvFrame>,
    matrix: Matrix,
    full_range: bool,
    premultiplied: bool,
) -> Result<Raster, TransformError> {
    let channels = match (frame.planes.len() == 3, alpha.is_some()) {
        (false, false) => Channels::Gray,
        (false, true) => Channels::GrayAlpha,
        (true, false) => Channels::Rgb,
        (true, true) => Channels::Rgba,
    };
    let chroma_scale = match matrix {
        // All three components have the range of luma, and none is centred at grey.
        Matrix::Identity => {
            let SampleScale { factor, added } = SampleScale::luma(frame.depth, full_range);
            let added = added - 0.5;
            SampleScale { factor, added }
        }
        _ => SampleScale::chroma(frame.depth, full_range),
    };
    let rows = RowConverter {
        frame,
        alpha: alpha.map(|alpha| (alpha, SampleScale::luma(alpha.depth, alpha.full_range))),
        luma: SampleScale::luma(frame.depth, full_range),
        chroma: ChromaInterpolator {
            scale: chroma_scale,
            rows: Default::default(),
        },
        weights: matrix.weights(),
        premultiplied,
        colors: Default::default(),
        opacity: Vec::new(),
    };
    let samples = if frame.depth == 8 {
        Samples::U8(rows.all(eight_bits)?)
    } else {
        Samples::U16(rows.all(sixteen_bits)?)
    };
    Ok(Raster {
        size: frame.size,
        channels,
        samples,
    })
}

/// Converts the rows of a frame one by one, with buffers that are reused.
struct RowConverter<'a> {
    frame: &'a YuvFrame,
    alpha: Option<(&'a YuvFrame, SampleScale)>,
    luma: SampleScale,
    chroma: ChromaInterpolator,
    weights: [[f32; 4]; 3],
    premultiplied: bool,
    /// Luma, Cb and Cr, which are then replaced by red, green and blue.
    colors: [Vec<f32>; 3],
    opacity: Vec<f32>,
}

impl RowConverter<'_> {
    /// Converts all pixels of the frame, interleaved.
    fn all<T: Copy + Zeroable>(
        mut self,
        convert: impl Fn(f32) -> T,
    ) -> Result<Vec<T>, TransformError> {
        let channels = self.frame.planes.len() + usize::from(self.alpha.is_some());
        let mut pixels = buffer::zeroed(self.frame.size.len() * channels)?;
        let length = channels * self.frame.size.width as usize;
        for (y, row) in pixels.chunks_exact_mut(length.max(1)).enumerate() {
            self.convert(y);
            let [red, green, blue] = &self.colors;
            let opacity = &self.opacity;
            match channels {
                1 => interleave([red], row, &convert),
                2 => interleave([red, opacity], row, &convert),
                3 => interleave([red, green, blue], row, &convert),
                _ => interleave([red, green, blue, opacity], row, &convert),
            }
        }
        Ok(pixels)
    }

    /// Computes the colours and the opacity of a row, from 0 to 1.
    fn convert(&mut self, y: usize) {
        let frame = self.frame;
        let width = frame.size.width as usize;
        let [first, second, third] = &mut self.colors;
        self.luma.of(&frame.planes[0][y * width..][..width], first);
        if let [_, cb, cr] = &frame.planes[..] {
            for (plane, into) in [(cb, &mut *second), (cr, &mut *third)] {
                self.chroma.row(plane, frame, y, into);
            }
            let [of_red, of_green, of_blue] = self.weights;
            for ((first, second), third) in first.iter_mut().zip(second).zip(third) {
                let (luma, cb, cr) = (*first, *second, *third);
                let weighed = |[of_luma, of_cb, of_cr, added]: [f32; 4]| {
                    of_luma * luma + of_cb * cb + (of_cr * cr + added)
                };
                *first = weighed(of_red);
                *second = weighed(of_green);
                *third = weighed(of_blue);
            }
        }
        if let Some((alpha, scale)) = self.alpha {
            scale.of(&alpha.planes[0][y * width..][..width], &mut self.opacity);
            self.opacity
                .iter_mut()
                .for_each(|opacity| *opacity = opacity.clamp(0.0, 1.0));
        }
        for color in &mut self.colors {
            if self.premultiplied && self.alpha.is_some() {
                for (color, &opacity) in color.iter_mut().zip(&self.opacity) {
                    *color /= if opacity > 0.0 { opacity } else { 1.0 };
                }
            }
            color
                .iter_mut()
                .for_each(|color| *color = color.clamp(0.0, 1.0));
        }
    }
}

/// Interleaves planes.
#[inline(always)]
fn interleave<T: Copy, const N: usize>(
    planes: [&Vec<f32>; N],
    into: &mut [T],
    convert: impl Fn(f32) -> T,
) {
    let pixels = into.as_chunks_mut::<N>().0;
    let planes = planes.map(|plane| &plane[..pixels.len()]);
    for (x, pixel) in pixels.iter_mut().enumerate() {
        for (sample, plane) in pixel.iter_mut().zip(planes) {
            *sample = convert(plane[x]);
        }
    }
}

/// Interpolates chroma, with buffers that are reused.
struct ChromaInterpolator {
    scale: SampleScale,
    /// Two rows of chroma.
    rows: [Vec<f32>; 2],
}

impl ChromaInterpolator {
    /// A row of chroma at the width of luma. A sample of subsampled chroma lies between two luma samples, so each of these takes three
    /// quarters of the nearer and one quarter of the farther chroma sample, on each axis.
    fn row(&mut self, plane: &[u16], frame: &YuvFrame, y: usize, into: &mut Vec<f32>) {
        let scale = self.scale;
        let (across, down) = frame.subsampled;
        let size = halved(frame.size, frame.subsampled);
        let (width, height) = (size.width as usize, size.height as usize);
        let line = |row: usize| &plane[row * width..][..width];
        let [blended, farther] = &mut self.rows;
        scale.of(line(if down { y / 2 } else { y }), blended);
        if down {
            scale.of(line(neighbour(y, height)), farther);
            for (near, far) in blended.iter_mut().zip(farther) {
                *near = *near * 0.75 + *far * 0.25;
            }
        }
        into.clear();
        if !across {
            into.extend_from_slice(blended);
            return;
        }
        // The last sample is repeated for the missing neighbour.
        let last = blended[width - 1];
        blended.push(last);
        into.resize(2 * width, 0.0);
        let mut left = blended[0];
        for (pair, near) in into
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .zip(blended.windows(2))
        {
            let (here, right) = (near[0], near[1]);
            *pair = [here * 0.75 + left * 0.25, here * 0.75 + right * 0.25];
            left = here;
        }
        into.truncate(frame.size.width as usize);
    }
}

/// The chroma row on the other side of a luma row; at the edge the last one.
fn neighbour(luma: usize, length: usize) -> usize {
    let near = luma / 2;
    if luma.is_multiple_of(2) {
        near.saturating_sub(1)
    } else {
        (near + 1).min(length - 1)
    }
}

#[cfg(test)]
mod tests;
