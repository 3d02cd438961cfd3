//! The samples of one component, one row of MCUs at a time. If chroma is upsampled vertically, the last row of the previous MCUs is kept as
//! well.

use crate::codecs::decode::jpeg::baseline::bits::ScanReader;
use crate::codecs::decode::jpeg::baseline::frame::ComponentParameters;
use crate::codecs::decode::jpeg::baseline::huffman::{END, HuffmanTable, LOOKS, NO_CODE};
use crate::codecs::decode::jpeg::baseline::idct;
use crate::codecs::decode::jpeg::baseline::idct::CoefficientBlocks;
use crate::pixels::buffer;
use crate::pixels::simd::{LANES, Simd};

/// The position in a block of each coefficient in coding order (zigzag, figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, //
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, //
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, //
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Limit for the mean of a block: half as far again from grey as any real block. A mean beyond it shows that earlier codes were damaged.
const MOST: f32 = 192.0;

/// A component of a picture that is being decoded.
pub(crate) struct Component {
    /// Blocks of one MCU.
    across: usize,
    down: usize,
    dc: HuffmanTable,
    ac: HuffmanTable,
    /// Samples of a decoded block, on each axis.
    points: (usize, usize),
    /// Factors for the coefficients, in coding order.
    scales: [f32; 64],
    /// The last coefficient, in coding order, that affects the result.
    last: usize,
    /// DC of the previous block.
    predicted: i32,
    /// The blocks of eight MCUs, transformed together.
    blocks: Vec<CoefficientBlocks>,
    samples: Vec<f32>,
    /// Samples in a row, padding beyond the picture included.
    stride: usize,
    /// Samples inside the picture.
    pub width: usize,
    pub height: usize,
    /// Rows kept from the previous row of MCUs.
    kept: usize,
    /// Number of the first row in `samples`.
    first: usize,
}

/// The layout of a component in its picture.
#[derive(Clone, Copy)]
pub(crate) struct ComponentLayout {
    /// MCUs in a row.
    pub mcus: usize,
    /// Samples of a decoded block on each axis, at most 8.
    pub points: (usize, usize),
    /// Samples within the picture.
    pub width: usize,
    pub height: usize,
    /// Whether rows of the previous MCUs are needed.
    pub looks_back: bool,
}

impl Component {
    /// A component before its first row; `None` if its tables are invalid or memory is short.
    pub(super) fn new(
        parameters: &ComponentParameters<'_>,
        place: ComponentLayout,
    ) -> Option<Component> {
        let ComponentParameters { across, down, .. } = *parameters;
        let dc = HuffmanTable::new(parameters.dc.0, parameters.dc.1)?;
        let ac = HuffmanTable::new(parameters.ac.0, parameters.ac.1)?;
        let points = place.points;
        let mut last = 0;
        let mut scales = [0.0; 64];
        for (at, scale) in scales.iter_mut().enumerate() {
            let (x, y) = (usize::from(ZIGZAG[at] % 8), usize::from(ZIGZAG[at] / 8));
            if x < points.0 && y < points.1 {
                last = at;
                let step = f64::from(parameters.steps[at]);
                *scale = single(step * idct::scale(points.0, x) * idct::scale(points.1, y));
            }
        }
        let kept = usize::from(place.looks_back);
        let stride = place.mcus.next_multiple_of(LANES) * across * points.0;
        let rows = down * points.1;
        let samples = buffer::zeroed((rows + kept) * stride).ok()?;
        dc.is_for_dc().then(|| Component {
            across,
            down,
            dc,
            ac,
            points,
            scales,
            last,
            predicted: 0,
            blocks: vec![[[0.0; LANES]; 64]; across * down],
            samples,
            stride,
            width: place.width,
            height: place.height,
            kept,
            first: 0,
        })
    }

    /// Moves on to the row of MCUs that begins with the sample row `row`.
    pub(super) fn advance(&mut self, row: usize) {
        let first = row - self.kept.min(row);
        let kept = (first - self.first) * self.stride..(row - self.first) * self.stride;
        self.samples.copy_within(kept, 0);
        self.first = first;
    }

    /// Rows of samples in a row of MCUs.
    pub(super) fn rows(&self) -> usize {
        self.down * self.points.1
    }

    /// A row of samples. Beyond the edges of the picture it is the nearest row.
    pub(super) fn row(&self, y: usize) -> &[f32] {
        let at = y.min(self.height - 1).saturating_sub(self.first) * self.stride;
        &self.samples[at..at + self.width]
    }

    /// Resets the DC prediction, as a restart marker demands.
    pub(super) fn restart(&mut self) {
        self.predicted = 0;
    }

    /// Decodes the blocks of an MCU, whose number is among eight. Returns whether they are valid.
    #[inline(always)]
    pub(super) fn read(&mut self, bits: &mut ScanReader<'_>, mcu: usize) -> bool {
        for y in 0..self.down {
            for x in 0..self.across {
                if !self.read_block(bits, y, mcu * self.across + x) {
                    return false;
                }
            }
        }
        true
    }

    /// Decodes a block, given its row in the MCU and its position in that row of eight MCUs.
    #[inline(always)]
    fn read_block(&mut self, bits: &mut ScanReader<'_>, y: usize, place: usize) -> bool {
        let blocks = &mut self.blocks[y * self.across + place / LANES];
        let (lane, scales) = (place % LANES, &self.scales);
        let first = self.dc.read(bits);
        self.predicted = self.predicted.wrapping_add(first.value);
        set(blocks, lane, 0, self.predicted, scales);
        let mut at = 1;
        'block: while at <= self.last {
            bits.fill();
            for _ in 0..LOOKS {
                let entry = self.ac.look(bits);
                let place = at + entry.zeros();
                if entry.is_in_parts() || place >= 63 {
                    bits.refill();
                    let symbol = self.ac.read_entry(entry, bits);
                    at += symbol.zeros;
                    if at > 63 {
                        break 'block;
                    }
                    set(blocks, lane, at, symbol.value, scales);
                    at += 1;
                    break;
                }
                // And the second symbol, or a zero at the next position.
                bits.skip(entry.length_of_both());
                set(blocks, lane, place, entry.value(), scales);
                at = place + 1 + entry.second_zeros();
                if at > 63 {
                    break 'block;
                }
                set(blocks, lane, at, entry.second_value(), scales);
                at += entry.seconds();
                if at > self.last {
                    break;
                }
            }
        }
        at = self.ac.pass(bits, at);
        let is_code = first.zeros != NO_CODE && (at == 64 || at >= END);
        is_code && (self.predicted as f32 * self.scales[0]).abs() <= MOST
    }

    /// Transforms the blocks of eight MCUs to samples. `first` is the first of these MCUs in its row.
    #[inline(always)]
    pub(super) fn transform<M: Simd>(&mut self, first: usize, row: usize) {
        let top = row - self.first;
        for (at, blocks) in self.blocks.iter_mut().enumerate() {
            let (x, y) = (at % self.across, at / self.across);
            let left = (first * self.across + x * LANES) * self.points.0;
            let start = (top + y * self.points.1) * self.stride + left;
            let into = &mut self.samples[start..];
            idct::inverse::<M>(self.points, blocks, into, self.stride);
        }
    }
}

/// Sets a coefficient of a block, by its position in coding order.
#[inline(always)]
fn set(blocks: &mut CoefficientBlocks, lane: usize, at: usize, value: i32, scales: &[f32; 64]) {
    let place = usize::from(ZIGZAG[at % 64]) % 64;
    blocks[place][lane % LANES] = value as f32 * scales[at % 64];
}

#[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
fn single(value: f64) -> f32 {
    value as f32
}
