//! Colour quantization: a palette, and for each pixel its index. It is exact if the picture has few colours; otherwise the palette is
//! chosen in Oklab, where distances match perception, and the picture is dithered. `quantette` converts colours and finds the nearest one.
//! Its own palette selection (Wu) uses too coarse a grid for gradients, 38 dB where 48 dB are possible, and does not support alpha.

use std::ops::Range;

use quantette::ColorComponents;
use quantette::PaletteBuf;
use quantette::color_map::{IndexedColorMap, NearestNeighborColorMap};
use quantette::color_space::{oklab_to_srgb8, srgb8_to_oklab};
use quantette::deps::palette::{Oklab, Oklaba, Srgb, cast};

use crate::options::Quality;

use crate::codecs::TransformError;
use crate::pixels::{PixelError, buffer};

/// A colour with alpha, not premultiplied.
pub(crate) type Rgba8 = [u8; 4];

/// Every transparent pixel, whatever colour it hides.
pub(crate) const TRANSPARENT: Rgba8 = [0; 4];

/// The largest palette for indices of 8 bits.
pub(crate) const MOST: usize = 256;

/// A picture of at most 256 colours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PaletteImage {
    pub palette: Vec<Rgba8>,
    /// One index for each pixel, all of them inside the palette.
    pub indices: Vec<u8>,
}

/// The number of colours for a quality: all from 75 on, and fewer in proportion below.
pub(crate) fn colors(quality: Quality) -> usize {
    const ALL_FROM: usize = 75;
    const FEWEST: usize = 16;
    (MOST * usize::from(quality.get()) / ALL_FROM).clamp(FEWEST, MOST)
}

/// The picture without loss, if it has at most `most` colours. It stops at the first colour too many, so a photograph takes almost no time.
pub(crate) fn exact(
    pixels: impl Iterator<Item = Rgba8>,
    most: usize,
) -> Result<Option<PaletteImage>, TransformError> {
    let mut table = ColorTable::new();
    let mut indices = Vec::new();
    let (mut last, mut index) = (None, 0);
    for pixel in pixels {
        if last != Some(pixel) {
            let Some(found) = table.index(pixel, most.min(MOST)) else {
                return Ok(None);
            };
            index = found;
            last = Some(pixel);
        }
        buffer::reserve(&mut indices, 1)?;
        indices.push(index);
    }
    Ok(Some(PaletteImage {
        palette: table.palette,
        indices,
    }))
}

/// The colours found so far and their indices: a hash table with open addressing, at most a quarter full.
pub(crate) struct ColorTable {
    slots: [u16; 4 * MOST],
    pub palette: Vec<Rgba8>,
}

impl ColorTable {
    const EMPTY: u16 = u16::MAX;

    pub fn new() -> Self {
        ColorTable {
            slots: [Self::EMPTY; 4 * MOST],
            palette: Vec::new(),
        }
    }

    /// The index of a colour; `None` if it would be one more than `most`.
    pub fn index(&mut self, color: Rgba8, most: usize) -> Option<u8> {
        // Fibonacci hashing: the upper 10 bits.
        let hash = u32::from_ne_bytes(color).wrapping_mul(0x9E37_79B9) >> 22;
        let mut slot = hash as usize;
        loop {
            let index = self.slots[slot];
            if index == Self::EMPTY {
                let next = self.palette.len();
                let index = u8::try_from(next).ok().filter(|_| next < most)?;
                self.slots[slot] = u16::from(index);
                self.palette.push(color);
                return Some(index);
            }
            if self.palette[usize::from(index)] == color {
                return u8::try_from(index).ok();
            }
            slot = (slot + 1) % self.slots.len();
        }
    }
}

/// The picture reduced to at most `most` colours, 2 to 256, with transparent ones included. `width` is the row length in pixels.
pub(crate) fn reduced(
    pixels: &[Rgba8],
    width: usize,
    most: usize,
) -> Result<PaletteImage, TransformError> {
    let is_soft = pixels.iter().any(|pixel| (1..u8::MAX).contains(&pixel[3]));
    if is_soft {
        quantized(pixels, width, most, oklaba, soft_color)
    } else {
        quantized(pixels, width, most, oklab, opaque_color)
    }
}

/// Does the work of `reduced`. `to` converts colours to points in a space of `N` dimensions, and `from` converts a point to a colour.
fn quantized<C, const N: usize>(
    pixels: &[Rgba8],
    width: usize,
    most: usize,
    to: fn(&[Rgba8]) -> Vec<C>,
    from: fn([f32; N]) -> Rgba8,
) -> Result<PaletteImage, TransformError>
where
    C: ColorComponents<f32, N>,
{
    /// Iterations of Lloyd's algorithm. More of them change the error by less than 1 %.
    const ROUNDS: usize = 2;
    let has_holes = pixels.iter().any(|pixel| pixel[3] == 0);
    let room = most.clamp(2, MOST) - usize::from(has_holes);
    let mut sample = in_pieces(&sample(pixels, width), to)?;
    let mut palette: Vec<Rgba8> = split(&mut sample, room).into_iter().map(from).collect();
    if palette.is_empty() {
        palette.push(TRANSPARENT);
    }
    for _ in 0..ROUNDS {
        let map = NearestNeighborColorMap::new(points(&palette, to));
        settle(&mut palette, &sample, &map, from);
    }
    let hole = u8::try_from(palette.len()).ok().filter(|_| has_holes);
    let map = NearestNeighborColorMap::new(points(&palette, to));
    let indices = dithered(pixels, width, &map, hole, to)?;
    if has_holes {
        palette.push(TRANSPARENT);
    }
    Ok(PaletteImage { palette, indices })
}

/// Converts many colours to points, piece by piece: the conversion takes memory by itself, and ends the process where there is none.
fn in_pieces<C, const N: usize>(
    colors: &[Rgba8],
    to: fn(&[Rgba8]) -> Vec<C>,
) -> Result<Vec<[f32; N]>, PixelError>
where
    C: ColorComponents<f32, N>,
{
    const PIECE: usize = 1 << 10;
    let mut points = buffer::with_room(colors.len())?;
    for piece in colors.chunks(PIECE) {
        points.extend(cast::into_array_vec(to(piece)));
    }
    Ok(points)
}

/// The visible pixels from which the palette is chosen: all of a small picture, a grid of a large one.
fn sample(pixels: &[Rgba8], width: usize) -> Vec<Rgba8> {
    const ENOUGH: usize = 1 << 15;
    let mut step = pixels.len().div_ceil(ENOUGH).max(1);
    // A step with a common factor with the width would look at the same columns in every row.
    while greatest_common_divisor(step, width) > 1 {
        step += 1;
    }
    pixels
        .iter()
        .step_by(step)
        .copied()
        .filter(|pixel| pixel[3] > 0)
        .collect()
}

const fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The means of at most `most` clusters: the cluster with the greatest error is split again and again, at its mean, along the dimension
/// with the largest variance (Orchard and Bouman, 1991, with axes in place of eigenvectors).
fn split<const N: usize>(points: &mut [[f32; N]], most: usize) -> Vec<[f32; N]> {
    let mut groups = Vec::with_capacity(most);
    if !points.is_empty() {
        groups.push(Cluster::of(points, 0..points.len()));
    }
    while groups.len() < most {
        let worst = groups
            .iter()
            .enumerate()
            .max_by(|(_, one), (_, other)| one.error.total_cmp(&other.error));
        let Some((index, Cluster { error, .. })) = worst else {
            break;
        };
        if *error <= 0.0 {
            break;
        }
        let Cluster {
            range, axis, mean, ..
        } = groups.swap_remove(index);
        let members = &mut points[range.clone()];
        let mut below = 0;
        for place in 0..members.len() {
            if members[place][axis] < mean[axis] {
                members.swap(place, below);
                below += 1;
            }
        }
        let middle = range.start + below;
        for part in [range.start..middle, middle..range.end] {
            if !part.is_empty() {
                groups.push(Cluster::of(points, part));
            }
        }
        if below == 0 {
            // The variance is only a rounding error.
            if let Some(group) = groups.last_mut() {
                group.error = 0.0;
            }
        }
    }
    groups.into_iter().map(|group| group.mean).collect()
}

/// A contiguous range of the points.
struct Cluster<const N: usize> {
    range: Range<usize>,
    mean: [f32; N],
    /// Sum of the squared distances from the mean.
    error: f64,
    /// The dimension with most of the error.
    axis: usize,
}

impl<const N: usize> Cluster<N> {
    fn of(points: &[[f32; N]], range: Range<usize>) -> Self {
        let members = &points[range.clone()];
        let count = f64::from(u32::try_from(members.len()).unwrap_or(u32::MAX));
        let (mut sums, mut squares) = ([0f64; N], [0f64; N]);
        for member in members {
            for part in 0..N {
                let value = f64::from(member[part]);
                sums[part] += value;
                squares[part] += value * value;
            }
        }
        let (mut error, mut axis, mut greatest) = (0.0, 0, 0.0);
        for part in 0..N {
            let spread = squares[part] - sums[part] * sums[part] / count;
            error += spread.max(0.0);
            if spread > greatest {
                (axis, greatest) = (part, spread);
            }
        }
        Cluster {
            range,
            mean: sums.map(|sum| single(sum / count)),
            error,
            axis,
        }
    }
}

/// Moves each colour to the mean of the points that are nearest to it (Lloyd's algorithm). A colour that is nearest to no point stays.
fn settle<C, const N: usize>(
    palette: &mut [Rgba8],
    points: &[[f32; N]],
    map: &NearestNeighborColorMap<C, f32, N>,
    from: fn([f32; N]) -> Rgba8,
) where
    C: ColorComponents<f32, N>,
{
    let mut sums = vec![([0f64; N], 0u32); palette.len()];
    for &point in points {
        let nearest = map.palette_index(&cast::from_array(point));
        let (sum, count) = &mut sums[usize::from(nearest)];
        for (sum, part) in sum.iter_mut().zip(point) {
            *sum += f64::from(part);
        }
        *count += 1;
    }
    for (color, (sum, count)) in palette.iter_mut().zip(sums) {
        if count > 0 {
            *color = from(sum.map(|part| single(part / f64::from(count))));
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "single precision is enough for a mean"
)]
const fn single(value: f64) -> f32 {
    value as f32
}

/// The weight of a difference in alpha, compared with one in lightness. Between a black and a white background it would be one half; it is
/// larger because changes at edges are more visible than shades.
const ALPHA_WEIGHT: f32 = 0.75;

/// Converts opaque colours to points.
fn oklab(pixels: &[Rgba8]) -> Vec<Oklab> {
    let colors: Vec<Srgb<u8>> = pixels
        .iter()
        .map(|&[red, green, blue, _]| Srgb::new(red, green, blue))
        .collect();
    srgb8_to_oklab(&colors)
}

/// Converts translucent colours to premultiplied points, so that invisible colour has no weight.
fn oklaba(pixels: &[Rgba8]) -> Vec<Oklaba> {
    oklab(pixels)
        .into_iter()
        .zip(pixels)
        .map(|(Oklab { l, a, b, .. }, pixel)| {
            let alpha = f32::from(pixel[3]) / 255.0;
            Oklaba::new(l * alpha, a * alpha, b * alpha, alpha * ALPHA_WEIGHT)
        })
        .collect()
}

fn opaque_color([l, a, b]: [f32; 3]) -> Rgba8 {
    match oklab_to_srgb8(&[Oklab::new(l, a, b)])[..] {
        [
            Srgb {
                red, green, blue, ..
            },
        ] => [red, green, blue, u8::MAX],
        _ => TRANSPARENT,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u8 first"
)]
fn soft_color([l, a, b, alpha]: [f32; 4]) -> Rgba8 {
    let alpha = (alpha / ALPHA_WEIGHT).clamp(1.0 / 255.0, 1.0);
    let [red, green, blue, _] = opaque_color([l, a, b].map(|part| part / alpha));
    [red, green, blue, (alpha * 255.0).round() as u8]
}

/// Converts a palette of 1 to 256 colours to points.
fn points<C>(palette: &[Rgba8], to: fn(&[Rgba8]) -> Vec<C>) -> PaletteBuf<C> {
    PaletteBuf::new(to(palette)).unwrap_or_else(|_| unreachable!("a palette has 1 to 256 colours"))
}

/// Floyd-Steinberg dithering in alternating directions, row by row, so that the whole picture is never held as points. `quantette` has
/// dithering as well, but neither for pictures with transparent pixels, which take no colour and spread no error, nor for alpha.
fn dithered<C, const N: usize>(
    pixels: &[Rgba8],
    width: usize,
    map: &NearestNeighborColorMap<C, f32, N>,
    hole: Option<u8>,
    to: fn(&[Rgba8]) -> Vec<C>,
) -> Result<Vec<u8>, TransformError>
where
    C: ColorComponents<f32, N>,
{
    /// The part of the error of a pixel that its neighbours compensate. Seen from a distance, three quarters reduce the error by 2 to 5 dB
    /// for 5 to 25 % more bytes; the full error costs as many bytes again and gains almost nothing.
    const DIFFUSION: f32 = 0.75;
    let mut above: &[Rgba8] = &[];
    let mut indices = buffer::filled(hole.unwrap_or(0), pixels.len())?;
    // One more pixel on each side takes the error that falls off the edge.
    let (mut here, mut below) = (vec![[0f32; N]; width + 2], vec![[0f32; N]; width + 2]);
    for (row, (line, indices)) in pixels
        .chunks(width)
        .zip(indices.chunks_mut(width))
        .enumerate()
    {
        let points = to(line);
        let forward = row % 2 == 0;
        for column in 0..line.len() {
            let column = if forward {
                column
            } else {
                line.len() - 1 - column
            };
            if hole.is_some() && line[column][3] == 0 {
                continue;
            }
            let mut wanted = cast::into_array(points[column]);
            let before = if forward {
                column.checked_sub(1).and_then(|before| line.get(before))
            } else {
                line.get(column + 1)
            };
            let mut neighbours = before.into_iter().chain(above.get(column));
            if !neighbours.any(|&neighbour| is_edge(neighbour, line[column])) {
                for (part, error) in wanted.iter_mut().zip(here[column + 1]) {
                    *part += error;
                }
            }
            let index = map.palette_index(&cast::from_array(wanted));
            indices[column] = index;
            let got = cast::into_array(map.palette()[index]);
            let (next, previous) = if forward {
                (column + 2, column)
            } else {
                (column, column + 2)
            };
            for part in 0..N {
                let error = (wanted[part] - got[part]) * (DIFFUSION / 16.0);
                here[next][part] += error * 7.0;
                below[previous][part] += error * 3.0;
                below[column + 1][part] += error * 5.0;
                below[next][part] += error;
            }
        }
        std::mem::swap(&mut here, &mut below);
        below.fill([0.0; N]);
        above = line;
    }
    Ok(indices)
}

/// Whether there is an edge between two pixels. Errors end there: nobody sees a wrong shade beside one, but specks in letters and beside
/// them, which also take bytes.
fn is_edge(one: Rgba8, other: Rgba8) -> bool {
    const FAR: u8 = 40;
    one.iter()
        .zip(other)
        .any(|(one, other)| one.abs_diff(other) > FAR)
}

#[cfg(test)]
mod tests;
