//! A picture as it is looked at: reduced, and what in it is salient in one way or another.

use crate::pixels::{Raster, Samples, Size, to_u8};

/// The longest side of a map, in cells.
pub(super) const CELLS: u32 = 64;

/// The longest side of what is looked at, in pixels: two on each axis for a cell.
const ANALYZED: u32 = 128;

/// A pixel as it is looked at. The colour is in encoded sRGB, whose steps look about equal, on axes from 0 to 1 and -1 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pixel {
    red: f32,
    green: f32,
    blue: f32,
    pub(super) alpha: f32,
}

impl Pixel {
    fn luma(self) -> f32 {
        0.299 * self.red + 0.587 * self.green + 0.114 * self.blue
    }

    /// Luma, red against green, yellow against blue.
    fn opponents(self) -> [f32; 3] {
        [
            self.luma(),
            self.red - self.green,
            (self.red + self.green) * 0.5 - self.blue,
        ]
    }
}

/// A picture of a size to be looked at.
pub(super) struct View {
    pub(super) size: Size,
    pub(super) pixels: Vec<Pixel>,
}

impl View {
    /// Reduces a picture to `ANALYZED` pixels by averaging, transparent pixels left out.
    pub(super) fn of(raster: &Raster) -> View {
        let size = reduced(raster.size, ANALYZED);
        let mut pixels = Vec::with_capacity(size.len());
        for y in 0..size.height {
            let rows = span(y, size.height, raster.size.height);
            for x in 0..size.width {
                let columns = span(x, size.width, raster.size.width);
                pixels.push(average(raster, columns, rows.clone()));
            }
        }
        View { size, pixels }
    }

    fn at(&self, x: usize, y: usize) -> Pixel {
        self.pixels[y * self.size.width as usize + x]
    }

    /// The gradient of luma by Sobel. Luma goes over into mid grey with transparency, so a cut-out has an outline of its own.
    pub(super) fn edges(&self) -> Vec<f32> {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let lumas: Vec<f32> = self
            .pixels
            .iter()
            .map(|pixel| pixel.luma() * pixel.alpha + 0.5 * (1.0 - pixel.alpha))
            .collect();
        let mut edges = Vec::with_capacity(lumas.len());
        for y in 0..height {
            let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)];
            for x in 0..width {
                let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
                let at = |column: usize, row: usize| lumas[rows[row] * width + columns[column]];
                let across =
                    at(2, 0) - at(0, 0) + 2.0 * (at(2, 1) - at(0, 1)) + at(2, 2) - at(0, 2);
                let down = at(0, 2) - at(0, 0) + 2.0 * (at(1, 2) - at(1, 0)) + at(2, 2) - at(2, 0);
                edges.push((across * across + down * down).sqrt());
            }
        }
        edges
    }

    /// Distance of each colour from that of its maximum symmetric surround.
    pub(super) fn contrast(&self) -> Vec<f32> {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let stride = width + 1;
        // Sums over everything to the left and above: the three opponents, times alpha, and alpha.
        let mut sums = vec![[0.0_f64; 4]; stride * (height + 1)];
        for y in 0..height {
            let mut row = [0.0; 4];
            for x in 0..width {
                let pixel = self.at(x, y);
                let [light, red, yellow] = pixel.opponents();
                for (sum, part) in row.iter_mut().zip([light, red, yellow, 1.0]) {
                    *sum += f64::from(part * pixel.alpha);
                }
                for (channel, part) in row.iter().enumerate() {
                    sums[(y + 1) * stride + x + 1][channel] =
                        sums[y * stride + x + 1][channel] + part;
                }
            }
        }
        let mean = |left: usize, top: usize, right: usize, bottom: usize| {
            let sum = |channel: usize| {
                sums[bottom * stride + right][channel]
                    - sums[bottom * stride + left][channel]
                    - sums[top * stride + right][channel]
                    + sums[top * stride + left][channel]
            };
            let weight = sum(3);
            (weight > 1e-6).then(|| [sum(0), sum(1), sum(2)].map(|sum| sum / weight))
        };
        let mut contrast = Vec::with_capacity(self.pixels.len());
        for y in 0..height {
            let reach_y = y.min(height - 1 - y);
            for x in 0..width {
                let reach_x = x.min(width - 1 - x);
                let around = mean(x - reach_x, y - reach_y, x + reach_x + 1, y + reach_y + 1);
                // A little of what is near, so that grain is no contrast.
                let near = mean(
                    x.saturating_sub(1),
                    y.saturating_sub(1),
                    (x + 2).min(width),
                    (y + 2).min(height),
                );
                let (Some(around), Some(near)) = (around, near) else {
                    contrast.push(0.0);
                    continue;
                };
                let square: f64 = around
                    .iter()
                    .zip(near)
                    .map(|(around, near)| (around - near) * (around - near))
                    .sum();
                contrast.push(narrowed(square.sqrt()));
            }
        }
        contrast
    }

    pub(super) fn saturation(&self) -> Vec<f32> {
        self.pixels
            .iter()
            .map(|pixel| {
                let most = pixel.red.max(pixel.green).max(pixel.blue);
                let least = pixel.red.min(pixel.green).min(pixel.blue);
                let light = (most + least) * 0.5;
                let is_visible = (0.08..0.92).contains(&light);
                if is_visible { most - least } else { 0.0 }
            })
            .collect()
    }

    /// Closeness to skin: in any shade of it, red to green to blue are about as 1 to 0.75 to 0.6.
    pub(super) fn skin(&self) -> Vec<f32> {
        const RATIO: [f32; 2] = [0.75, 0.60];
        const WIDTH: [f32; 2] = [0.20, 0.30];
        self.pixels
            .iter()
            .map(|pixel| {
                if pixel.red < 0.2 || pixel.luma() > 0.95 {
                    return 0.0;
                }
                let green = (pixel.green / pixel.red - RATIO[0]) / WIDTH[0];
                let blue = (pixel.blue / pixel.red - RATIO[1]) / WIDTH[1];
                (1.0 - (green * green + blue * blue)).max(0.0)
            })
            .collect()
    }

    /// Averages a value for every pixel into cells, of which the largest becomes 255.
    pub(super) fn cells(&self, values: Vec<f32>) -> (Size, Vec<u8>) {
        let size = reduced(self.size, CELLS);
        let width = self.size.width as usize;
        let mut means = Vec::with_capacity(size.len());
        for y in 0..size.height {
            let rows = span(y, size.height, self.size.height);
            for x in 0..size.width {
                let columns = span(x, size.width, self.size.width);
                let (mut sum, mut count) = (0.0, 0.0);
                for row in rows.clone() {
                    for value in &values[row * width..][columns.clone()] {
                        sum += value;
                        count += 1.0;
                    }
                }
                means.push(sum / count);
            }
        }
        let largest = means.iter().copied().fold(0.0, f32::max);
        let scale = if largest > FAINTEST {
            255.0 / largest
        } else {
            0.0
        };
        let cells = means.into_iter().map(|mean| to_cell(mean * scale));
        (size, cells.collect())
    }
}

/// A value below which nothing is seen at all: rounding, not a picture.
const FAINTEST: f32 = 0.002;

/// Values brought to the range 0..1, by what all but a fiftieth of them stay below: one glint does not make the rest invisible.
pub(super) fn normalized(values: Vec<f32>) -> Vec<f32> {
    let mut sorted = values.clone();
    sorted.sort_by(f32::total_cmp);
    let high = sorted[sorted.len() - 1 - sorted.len() / 50].max(FAINTEST);
    values
        .into_iter()
        .map(|value| (value / high).min(1.0))
        .collect()
}

/// The size with its longest side reduced to `most`; small ones stay.
fn reduced(size: Size, most: u32) -> Size {
    let longest = u64::from(size.width.max(size.height));
    if longest <= u64::from(most) {
        return size;
    }
    let side = |side: u32| {
        let exact = (u64::from(side) * u64::from(most) + longest / 2) / longest;
        u32::try_from(exact).unwrap_or(most).max(1)
    };
    Size::new(side(size.width), side(size.height))
}

/// The pixels that stand for one of `count` cells along a side: at least one, each of them in one cell only where there are enough.
fn span(index: u32, count: u32, side: u32) -> std::ops::Range<usize> {
    let edge = |index: u32| u64::from(index) * u64::from(side) / u64::from(count);
    let (start, end) = (edge(index), edge(index + 1));
    let index = |edge: u64| usize::try_from(edge).unwrap_or(usize::MAX);
    index(start)..index(end.max(start + 1))
}

/// The mean colour of a rectangle of pixels, weighted by their alpha, and their mean alpha.
fn average(
    raster: &Raster,
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
) -> Pixel {
    let count = raster.channels.count();
    let stride = raster.size.width as usize * count;
    let mut sums = [0_u64; 4];
    let mut add = |pixel: [u8; 4]| {
        let alpha = u64::from(pixel[3]);
        for (sum, sample) in sums.iter_mut().zip(&pixel[..3]) {
            *sum += u64::from(*sample) * alpha;
        }
        sums[3] += alpha;
    };
    let area = (columns.len() * rows.len()) as f32;
    for row in rows {
        let part = row * stride + columns.start * count..row * stride + columns.end * count;
        match &raster.samples {
            Samples::U8(samples) => {
                samples[part]
                    .chunks_exact(count)
                    .for_each(|pixel| add(opaque(pixel)));
            }
            Samples::U16(samples) => {
                for pixel in samples[part].chunks_exact(count) {
                    let mut shallow = [u8::MAX; 4];
                    for (shallow, deep) in shallow.iter_mut().zip(pixel) {
                        *shallow = to_u8(*deep);
                    }
                    add(shallow);
                }
            }
        }
    }
    let weight = sums[3] as f32;
    if weight == 0.0 {
        return Pixel::default();
    }
    let mean = |sum: u64| sum as f32 / weight / 255.0;
    Pixel {
        red: mean(sums[0]),
        green: mean(sums[1]),
        blue: mean(sums[2]),
        alpha: weight / area / 255.0,
    }
}

fn opaque(pixel: &[u8]) -> [u8; 4] {
    let mut rgba = [u8::MAX; 4];
    rgba[..pixel.len()].copy_from_slice(pixel);
    rgba
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a distance of colours needs no more digits than f32 has"
)]
fn narrowed(value: f64) -> f32 {
    value as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float to integer saturates, which is what is wanted"
)]
fn to_cell(value: f32) -> u8 {
    value.round() as u8
}
