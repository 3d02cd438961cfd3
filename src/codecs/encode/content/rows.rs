//! Differences between neighbours, and noise, in bands of rows.

use std::ops::Range;

use crate::codecs::encode::quantize::Rgba8;
use crate::pixels::Size;

/// About how many pixels are examined.
const EXAMINED: usize = 1 << 18;
/// Rows of a band.
const BAND: usize = 6;
/// Columns of a block in which noise is measured.
const BLOCK: usize = 16;
/// Differences up to here are soft: those of light and of noise.
const SOFT: u8 = 16;
/// Differences up to here are those of a gradient.
const NEAR: u8 = 2;

/// What was counted, as shares of the examined pixels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statistics {
    /// Equal to the neighbours to the left and above.
    pub flat: f32,
    /// Different from one of them, and from neither by much.
    pub soft: f32,
    /// Different from them by next to nothing.
    pub near: f32,
    /// The standard deviation of noise in luma, in steps of 8 bits (Immerkær, 1996): in half of the blocks that are not flat there is less.
    pub texture: f32,
}

/// A row: its channels apart, and its luma with two bits of fraction.
#[derive(Default)]
struct Row {
    channels: [Vec<u8>; 4],
    luma: Vec<i16>,
}

impl Row {
    fn fill(&mut self, pixels: impl Iterator<Item = Rgba8>) {
        for channel in &mut self.channels {
            channel.clear();
        }
        self.luma.clear();
        for pixel in pixels {
            for (channel, sample) in self.channels.iter_mut().zip(pixel) {
                channel.push(sample);
            }
            let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
            self.luma.push(luma(red, green, blue));
        }
    }
}

/// Luma by BT.601, times four.
#[expect(clippy::cast_possible_truncation, reason = "at most 1020")]
const fn luma(red: u32, green: u32, blue: u32) -> i16 {
    ((307 * red + 602 * green + 115 * blue + 128) >> 8) as i16
}

/// Examines a picture. `pixels` gives a range of its pixels.
pub(super) fn examine<P: Iterator<Item = Rgba8>>(
    size: Size,
    pixels: impl Fn(Range<usize>) -> P,
) -> Statistics {
    let (width, height) = (size.width as usize, size.height as usize);
    let step = size.len().div_ceil(EXAMINED).max(1);
    let bands = (height / BAND).max(1);
    let mut counts = Counts::default();
    let mut rows: [Row; BAND] = Default::default();
    for band in (0..bands).step_by(step) {
        let first = band * BAND;
        let rows = &mut rows[..BAND.min(height - first)];
        for (y, row) in (first..).zip(rows.iter_mut()) {
            row.fill(pixels(y * width..(y + 1) * width));
        }
        counts.add(rows, width);
    }
    counts.statistics()
}

#[derive(Default)]
struct Counts {
    seen: usize,
    flat: usize,
    soft: usize,
    near: usize,
    /// The noise of each block that is not flat.
    blocks: Vec<f32>,
    differences: Vec<u8>,
    second: Vec<i16>,
}

impl Counts {
    fn add(&mut self, rows: &[Row], width: usize) {
        self.differences.resize(width.saturating_sub(1), 0);
        for pair in rows.windows(2) {
            let [above, row] = pair else { continue };
            self.compare(above, row);
        }
        self.measure(rows, width);
    }

    /// Counts the differences of a row from its neighbours: the largest one of all channels.
    fn compare(&mut self, above: &Row, row: &Row) {
        self.differences.fill(0);
        for (channel, above) in row.channels.iter().zip(&above.channels) {
            let left = channel.iter();
            let here = channel.iter().skip(1).zip(above.iter().skip(1));
            for ((most, left), (here, above)) in self.differences.iter_mut().zip(left).zip(here) {
                *most = (*most).max(here.abs_diff(*left)).max(here.abs_diff(*above));
            }
        }
        let up_to = |limit: u8| self.differences.iter().filter(|&&far| far <= limit).count();
        let flat = up_to(0);
        self.seen += self.differences.len();
        self.flat += flat;
        self.near += up_to(NEAR);
        self.soft += up_to(SOFT) - flat;
    }

    /// Measures noise by the second difference in both directions, which is zero where light changes evenly.
    fn measure(&mut self, rows: &[Row], width: usize) {
        /// The mean of the absolute value becomes the standard deviation: the root of half of pi over the norm of the operator, 6; and luma
        /// has two bits of fraction.
        const SCALE: f32 = 0.208_89 / 4.0;
        let columns = width.saturating_sub(2) / BLOCK;
        let mut sums = vec![0u32; columns];
        let mut lines = 0;
        for three in rows.windows(3) {
            let [above, row, below] = three else { continue };
            self.second.clear();
            let columns = above.luma.iter().zip(&row.luma).zip(&below.luma);
            self.second
                .extend(columns.map(|((above, here), below)| above - 2 * here + below));
            for (block, sum) in sums.iter_mut().enumerate() {
                let part = &self.second[block * BLOCK..(block + 1) * BLOCK + 2];
                let edges = part.windows(3).map(|three| match three {
                    [left, here, right] => u32::from((left - 2 * here + right).unsigned_abs()),
                    _ => 0,
                });
                *sum += edges.sum::<u32>();
            }
            lines += 1;
        }
        let pixels = (lines * BLOCK) as f32;
        let uneven = sums.iter().filter(|&&sum| sum > 0);
        self.blocks
            .extend(uneven.map(|&sum| sum as f32 / pixels * SCALE));
    }

    fn statistics(mut self) -> Statistics {
        let seen = self.seen.max(1) as f32;
        let share = |count: usize| count as f32 / seen;
        let (flat, soft, near) = (share(self.flat), share(self.soft), share(self.near));
        let middle = self.blocks.len() / 2;
        let texture = if self.blocks.is_empty() {
            0.0
        } else {
            *self.blocks.select_nth_unstable_by(middle, f32::total_cmp).1
        };
        Statistics {
            flat,
            soft,
            near,
            texture,
        }
    }
}
