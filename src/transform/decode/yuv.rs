//! Decoded AV1 planes to RGB: ITU-T H.273 matrices and ranges, any depth, chroma interpolated between its neighbours.

use super::super::color::ColorSpace;
use super::super::pixels::Channels;
use super::super::pixels::Raster;
use super::super::pixels::Samples;
use super::super::pixels::Size;

/// One decoded picture, one component or three.
pub(super) struct Frame {
    pub size: Size,
    /// Whether chroma has half the samples, across and down.
    pub subsampled: (bool, bool),
    /// Bits of a sample, 8 to 16.
    pub depth: u32,
    /// Luma, Cb, Cr; or luma alone. Rows without gaps.
    pub planes: Vec<Vec<u16>>,
    pub matrix: Matrix,
    pub full_range: bool,
    pub space: ColorSpace,
}

/// How components become red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Matrix {
    /// Green, blue, red as they are.
    Identity,
    YCgCo,
    /// Shares of red and of blue in luma.
    Luma {
        red: f32,
        blue: f32,
    },
}

impl Matrix {
    /// From a code point of H.273, table 4. Unknown ones count as BT.601, as decoders of AVIF have it.
    pub fn from_cicp(code: u8) -> Self {
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

    /// Takes luma in 0 to 1 and chroma in -0.5 to 0.5.
    fn rgb(self, luma: f32, cb: f32, cr: f32) -> [f32; 3] {
        match self {
            Matrix::Identity => [cr + 0.5, luma, cb + 0.5],
            Matrix::YCgCo => [luma - cb + cr, luma + cb, luma - cb - cr],
            Matrix::Luma { red, blue } => {
                let r = luma + 2.0 * (1.0 - red) * cr;
                let b = luma + 2.0 * (1.0 - blue) * cb;
                [r, (luma - red * r - blue * b) / (1.0 - red - blue), b]
            }
        }
    }
}

impl Frame {
    /// Puts tiles of one kind together, row by row, and cuts what reaches beyond `size`.
    pub fn joined(tiles: Vec<Frame>, columns: usize, size: Size) -> Option<Frame> {
        let first = tiles.first()?;
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
        let rows = tiles.len().checked_div(columns)?;
        let covered = tile.width as usize * columns >= size.width as usize
            && tile.height as usize * rows >= size.height as usize;
        if !alike || !covered || rows * columns != tiles.len() {
            return None;
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
                let mut plane = Vec::with_capacity(to.len());
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
                plane
            })
            .collect();
        let Frame {
            matrix,
            full_range,
            ref space,
            ..
        } = *first;
        Some(Frame {
            size,
            subsampled,
            depth,
            planes,
            matrix,
            full_range,
            space: space.clone(),
        })
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

/// Sample values of black, of the distance from black to white, and of half the range of chroma.
struct Range {
    black: f32,
    luma: f32,
    chroma: f32,
    middle: f32,
}

impl Range {
    fn of(depth: u32, full: bool) -> Self {
        let unit = f32::from(1u16 << (depth - 8));
        if full {
            let most = 256.0 * unit - 1.0;
            Range {
                black: 0.0,
                luma: most,
                chroma: most,
                middle: 128.0 * unit,
            }
        } else {
            Range {
                black: 16.0 * unit,
                luma: 219.0 * unit,
                chroma: 224.0 * unit,
                middle: 128.0 * unit,
            }
        }
    }
}

/// Converts a frame, with the luma of another as its alpha, to grey or RGB: 8 bits from 8, 16 bits from more.
pub(super) fn to_raster(
    frame: &Frame,
    alpha: Option<&Frame>,
    matrix: Matrix,
    full_range: bool,
    premultiplied: bool,
) -> Raster {
    let colored = frame.planes.len() == 3;
    let channels = match (colored, alpha.is_some()) {
        (false, false) => Channels::Gray,
        (false, true) => Channels::GrayAlpha,
        (true, false) => Channels::Rgb,
        (true, true) => Channels::Rgba,
    };
    let mut values = Vec::with_capacity(channels.count() * frame.size.width as usize);
    if frame.depth == 8 {
        let mut samples = Vec::with_capacity(frame.size.len() * channels.count());
        for y in 0..frame.size.height as usize {
            row(
                frame,
                alpha,
                (matrix, full_range, premultiplied),
                y,
                &mut values,
            );
            samples.extend(values.iter().map(|&value| to_u8(value)));
        }
        Raster {
            size: frame.size,
            channels,
            samples: Samples::U8(samples),
        }
    } else {
        let mut samples = Vec::with_capacity(frame.size.len() * channels.count());
        for y in 0..frame.size.height as usize {
            row(
                frame,
                alpha,
                (matrix, full_range, premultiplied),
                y,
                &mut values,
            );
            samples.extend(values.iter().map(|&value| to_u16(value)));
        }
        Raster {
            size: frame.size,
            channels,
            samples: Samples::U16(samples),
        }
    }
}

/// One row of samples in 0 to 1 (or a little beyond), interleaved.
fn row(
    frame: &Frame,
    alpha: Option<&Frame>,
    how: (Matrix, bool, bool),
    y: usize,
    values: &mut Vec<f32>,
) {
    let (matrix, full_range, premultiplied) = how;
    let width = frame.size.width as usize;
    let range = Range::of(frame.depth, full_range);
    let luma = &frame.planes[0][y * width..][..width];
    let chroma = match &frame.planes[..] {
        [_, cb, cr] => Some([cb, cr].map(|plane| interpolated(plane, frame, y))),
        _ => None,
    };
    let opacity = alpha.map(|alpha| {
        (
            &alpha.planes[0][y * width..][..width],
            Range::of(alpha.depth, alpha.full_range),
        )
    });
    values.clear();
    for (x, &sample) in luma.iter().enumerate() {
        let luma = (f32::from(sample) - range.black) / range.luma;
        let color = chroma.as_ref().map(|[cb, cr]| {
            if matrix == Matrix::Identity {
                // All three components are on the scale of luma.
                let plain = |value: f32| (value - range.black) / range.luma - 0.5;
                return matrix.rgb(luma, plain(cb[x]), plain(cr[x]));
            }
            matrix.rgb(
                luma,
                (cb[x] - range.middle) / range.chroma,
                (cr[x] - range.middle) / range.chroma,
            )
        });
        let opacity = opacity.as_ref().map(|(plane, range)| {
            ((f32::from(plane[x]) - range.black) / range.luma).clamp(0.0, 1.0)
        });
        let by = match opacity {
            Some(opacity) if premultiplied && opacity > 0.0 => opacity.recip(),
            _ => 1.0,
        };
        match color {
            Some(rgb) => values.extend(rgb.map(|component| component * by)),
            None => values.push(luma * by),
        }
        values.extend(opacity);
    }
}

/// A row of chroma at the width of luma. Samples of half-size planes stand between two luma samples: three parts of the nearer
/// and one of the farther, on each axis.
fn interpolated(plane: &[u16], frame: &Frame, y: usize) -> Vec<f32> {
    let (across, down) = frame.subsampled;
    let size = halved(frame.size, frame.subsampled);
    let (width, height) = (size.width as usize, size.height as usize);
    let line = |row: usize| &plane[row * width..][..width];
    let (near, far) = if down {
        (y / 2, neighbour(y, height))
    } else {
        (y, y)
    };
    let column = |x: usize| 3.0 * f32::from(line(near)[x]) + f32::from(line(far)[x]);
    (0..frame.size.width as usize)
        .map(|x| {
            let (near, far) = if across {
                (x / 2, neighbour(x, width))
            } else {
                (x, x)
            };
            (3.0 * column(near) + column(far)) / 16.0
        })
        .collect()
}

/// The chroma sample on the other side of a luma sample, or the last one at the edge.
fn neighbour(luma: usize, length: usize) -> usize {
    let near = luma / 2;
    if luma.is_multiple_of(2) {
        near.saturating_sub(1)
    } else {
        (near + 1).min(length - 1)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u8 first"
)]
fn to_u8(value: f32) -> u8 {
    (value * 255.0).round().clamp(0.0, 255.0) as u8
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u16 first"
)]
fn to_u16(value: f32) -> u16 {
    (value * 65_535.0).round().clamp(0.0, 65_535.0) as u16
}

#[cfg(test)]
mod tests {
    use super::super::super::color::ColorSpace;
    use super::super::super::pixels::Samples;
    use super::super::super::pixels::Size;
    use super::Frame;
    use super::Matrix;
    use super::to_raster;

    fn frame(depth: u32, planes: &[&[u16]], size: Size, subsampled: (bool, bool)) -> Frame {
        Frame {
            size,
            subsampled,
            depth,
            planes: planes.iter().map(|plane| plane.to_vec()).collect(),
            matrix: Matrix::from_cicp(6),
            full_range: true,
            space: ColorSpace::Srgb,
        }
    }

    fn one(depth: u32, planes: [u16; 3], code: u8, full: bool) -> Samples {
        let [y, cb, cr] = planes;
        let frame = frame(
            depth,
            &[&[y], &[cb], &[cr]],
            Size::new(1, 1),
            (false, false),
        );
        to_raster(&frame, None, Matrix::from_cicp(code), full, false).samples
    }

    #[test]
    fn colours_follow_their_matrix_and_range() {
        assert_eq!(
            one(8, [255, 128, 128], 6, true),
            Samples::U8(vec![255, 255, 255])
        );
        assert_eq!(
            one(8, [235, 128, 128], 6, false),
            Samples::U8(vec![255, 255, 255])
        );
        assert_eq!(one(8, [16, 128, 128], 1, false), Samples::U8(vec![0, 0, 0]));
        // Pure red: luma 76, Cb 85, Cr 255 in BT.601 full range (JFIF, section 7); 63, 102, 240 in BT.709 limited range.
        assert_eq!(one(8, [76, 85, 255], 6, true), Samples::U8(vec![254, 0, 0]));
        assert_eq!(
            one(8, [63, 102, 240], 1, false),
            Samples::U8(vec![255, 1, 0])
        );
        assert_eq!(one(8, [10, 20, 30], 0, true), Samples::U8(vec![30, 10, 20]));
        assert_eq!(
            one(10, [1023, 512, 512], 9, true),
            Samples::U16(vec![65_535; 3])
        );
    }

    #[test]
    fn chroma_is_interpolated_between_samples() {
        let frame = frame(
            8,
            &[&[128; 8], &[128, 128], &[100, 200]],
            Size::new(4, 2),
            (true, true),
        );
        let cr: Vec<f32> = super::interpolated(&frame.planes[2], &frame, 0);
        assert_eq!(cr, [100.0, 125.0, 175.0, 200.0]);
    }

    #[test]
    fn tiles_are_joined_and_cut() {
        let tile = |value: u16| frame(8, &[&[value; 4]], Size::new(2, 2), (false, false));
        let joined = Frame::joined(vec![tile(1), tile(2), tile(3), tile(4)], 2, Size::new(3, 3))
            .expect("they fit");
        assert_eq!(joined.planes[0], [1, 1, 2, 1, 1, 2, 3, 3, 4]);
        assert!(Frame::joined(vec![tile(1), tile(2)], 2, Size::new(5, 2)).is_none());
        assert!(Frame::joined(vec![tile(1), tile(2), tile(3)], 2, Size::new(4, 4)).is_none());
        assert!(Frame::joined(vec![], 2, Size::new(1, 1)).is_none());
        assert!(Frame::joined(vec![tile(1)], 0, Size::new(1, 1)).is_none());
    }

    #[test]
    fn premultiplied_colours_are_divided() {
        let color = frame(8, &[&[64], &[128], &[128]], Size::new(1, 1), (false, false));
        let alpha = frame(8, &[&[128]], Size::new(1, 1), (false, false));
        let made = to_raster(&color, Some(&alpha), Matrix::from_cicp(6), true, true);
        assert_eq!(made.samples, Samples::U8(vec![128, 128, 128, 128]));
    }
}
