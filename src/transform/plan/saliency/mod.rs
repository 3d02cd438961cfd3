//! What catches the eye, for `gravity=auto`, and what has detail, for `gravity=entropy`: a small grey map of a picture, and the place
//! of a window on it.
//!
//! Classical and quick, without a network. Four maps of a picture reduced to `ANALYZED` pixels are added up:
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

use png::BitDepth;
use png::ColorType;
use png::Transformations;

use crate::options::Gravity;

use crate::codecs::TransformError;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Raster, Rect, Samples, Size, to_u8};

/// The longest side of a map, in cells.
const CELLS: u32 = 64;

/// The longest side of what is looked at, in pixels: two on each axis for a cell.
const ANALYZED: u32 = 128;

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
        view.map(sum)
    }

    /// The detail in an RGB or RGBA picture in sRGB, whatever its colours: edges alone.
    pub(crate) fn detail_of(raster: &Raster) -> SaliencyMap {
        let view = View::of(raster);
        let edges = view.edges();
        view.map(edges)
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
        let sums = Sums::of(self);
        let (left, top) = (share(part.left, 0.0), share(part.top, 0.0));
        let part = Rect {
            left,
            top,
            width: share(part.width, 1.0).min(1.0 - left),
            height: share(part.height, 1.0).min(1.0 - top),
        }
        .scaled(f64::from(self.size.width), f64::from(self.size.height));
        let (width, height) = (
            part.width * share(window.0, 1.0),
            part.height * share(window.1, 1.0),
        );
        let (slack_x, slack_y) = (part.width - width, part.height - height);
        let mut best = (-1.0, 0.5, 0.5);
        for (x, y) in places(slack_x, slack_y) {
            let score = sums.score(Rect {
                left: part.left + x * slack_x,
                top: part.top + y * slack_y,
                width,
                height,
            });
            if score > best.0 * (1.0 + NOTICEABLE) {
                best = (score, x, y);
            }
        }
        (best.1, best.2)
    }
}

/// Weights of the four maps, tuned by eye on photographs of people, animals, things and landscapes.
const EDGES: f32 = 0.8;
const CONTRAST: f32 = 1.0;
const SATURATION: f32 = 0.2;
const SKIN: f32 = 1.2;
/// Skin that is neither sharp nor different from what surrounds it counts as this part: sand and wood have its colour too.
const SKIN_ALONE: f32 = 0.2;

/// By what share a place must be better than one nearer to the centre.
const NOTICEABLE: f64 = 0.002;

/// A number in 0..1, or what stands for it where it is none.
fn share(value: f64, otherwise: f64) -> f64 {
    if value.is_nan() {
        otherwise
    } else {
        value.clamp(0.0, 1.0)
    }
}

/// Places for a window with so many cells of room, half a cell apart, the nearest to the centre first.
fn places(slack_x: f64, slack_y: f64) -> Vec<(f64, f64)> {
    let along = |slack: f64| -> Vec<f64> {
        let steps = (1..=CELLS)
            .find(|&steps| f64::from(steps) >= slack)
            .unwrap_or(CELLS)
            * 2;
        if slack > 0.0 {
            (0..=steps)
                .map(|step| f64::from(step) / f64::from(steps))
                .collect()
        } else {
            vec![0.5]
        }
    };
    let across = along(slack_x);
    let mut places: Vec<(f64, f64)> = along(slack_y)
        .into_iter()
        .flat_map(|y| across.iter().map(move |&x| (x, y)))
        .collect();
    let distance = |(x, y): (f64, f64)| (x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5);
    places.sort_by(|&one, &other| distance(one).total_cmp(&distance(other)));
    places
}

/// Sums of all cells to the left of and above each corner between cells.
struct Sums {
    size: Size,
    corners: Vec<u32>,
}

impl Sums {
    fn of(map: &SaliencyMap) -> Sums {
        let (width, stride) = (map.size.width as usize, map.size.width as usize + 1);
        let mut corners = vec![0; stride * (map.size.height as usize + 1)];
        for (y, row) in map.cells.chunks_exact(width).enumerate() {
            let mut sum = 0;
            for (x, &cell) in row.iter().enumerate() {
                sum += u32::from(cell);
                corners[(y + 1) * stride + x + 1] = corners[y * stride + x + 1] + sum;
            }
        }
        Sums {
            size: map.size,
            corners,
        }
    }

    /// What a window is worth: all in it, and what lies within its inner parts once more for each of them. They leave more at the top
    /// than at the bottom, so that a subject too high for the window loses its feet and not its head.
    fn score(&self, window: Rect) -> f64 {
        /// Shares of the window that stay outside: on the left and on the right, at the top, at the bottom.
        const MARGINS: [(f64, f64, f64); 3] =
            [(0.0, 0.0, 0.0), (0.1, 0.12, 0.06), (0.25, 0.32, 0.18)];
        MARGINS
            .into_iter()
            .map(|(beside, above, below)| {
                self.within(Rect {
                    left: window.left + beside * window.width,
                    top: window.top + above * window.height,
                    width: window.width * (1.0 - 2.0 * beside),
                    height: window.height * (1.0 - above - below),
                })
            })
            .sum()
    }

    fn within(&self, window: Rect) -> f64 {
        let (right, bottom) = (window.left + window.width, window.top + window.height);
        self.before(right, bottom)
            - self.before(window.left, bottom)
            - self.before(right, window.top)
            + self.before(window.left, window.top)
    }

    /// The sum of everything to the left of `x` and above `y`, parts of cells included: cells are even within themselves, so it is
    /// the bilinear mean of the four corners around the point.
    fn before(&self, x: f64, y: f64) -> f64 {
        let (column, across) = split(x, self.size.width);
        let (row, down) = split(y, self.size.height);
        let stride = self.size.width as usize + 1;
        let at = |column: usize, row: usize| f64::from(self.corners[row * stride + column]);
        let upper = at(column, row) * (1.0 - across) + at(column + 1, row) * across;
        let lower = at(column, row + 1) * (1.0 - across) + at(column + 1, row + 1) * across;
        upper * (1.0 - down) + lower * down
    }
}

/// The cell that a position lies in, and where in it, 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the cells of a map first"
)]
fn split(position: f64, cells: u32) -> (usize, f64) {
    let cell = position.floor().clamp(0.0, f64::from(cells - 1));
    (cell as usize, (position - cell).clamp(0.0, 1.0))
}

/// A pixel as it is looked at. The colour is in encoded sRGB, whose steps look about equal, on axes from 0 to 1 and -1 to 1.
#[derive(Clone, Copy, Debug, Default)]
struct Pixel {
    red: f32,
    green: f32,
    blue: f32,
    alpha: f32,
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
struct View {
    size: Size,
    pixels: Vec<Pixel>,
}

impl View {
    /// Reduces a picture to `ANALYZED` pixels by averaging, transparent pixels left out.
    fn of(raster: &Raster) -> View {
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
    fn edges(&self) -> Vec<f32> {
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
    fn contrast(&self) -> Vec<f32> {
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

    fn saturation(&self) -> Vec<f32> {
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
    fn skin(&self) -> Vec<f32> {
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
    fn map(&self, values: Vec<f32>) -> SaliencyMap {
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
        SaliencyMap {
            size,
            cells: means
                .into_iter()
                .map(|mean| to_cell(mean * scale))
                .collect(),
        }
    }
}

/// A value below which nothing is seen at all: rounding, not a picture.
const FAINTEST: f32 = 0.002;

/// Values brought to the range 0..1, by what all but a fiftieth of them stay below: one glint does not make the rest invisible.
fn normalized(values: Vec<f32>) -> Vec<f32> {
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

#[cfg(test)]
mod tests;
