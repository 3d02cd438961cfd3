//! The resampling loops: rows in, rows out, with only a few rows in memory, whatever the sizes. One source text is compiled for AVX2 with
//! FMA, for NEON, and for all other processors.
//!
//! Every source row is converted once to single precision, to linear light if requested, with premultiplied colours. The vertical pass
//! comes first, because the rows that it reads are still in the cache. Eight result rows are then laid side by side for the horizontal
//! pass, so that one weight serves eight samples at once. The sink converts the results to the requested output.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calls code compiled for AVX2 once the processor is known to have it"
    )
)]

use std::ops::Range;

use crate::pixels::error::PixelError;
use crate::pixels::resize::axis::Axis;
use crate::pixels::resize::light::to_light;
use crate::pixels::resize::sink::RowSink;
#[cfg(target_arch = "x86_64")]
use crate::pixels::simd::Avx2;
use crate::pixels::simd::{Baseline, LANES, Lane, Simd};
use crate::pixels::{Scanlines, buffer};

/// Interleaved samples.
pub(crate) enum SampleSource<'a> {
    U8(&'a [u8]),
    U16(&'a [u16]),
    /// Decoded row by row.
    Scanlines(&'a mut dyn Scanlines),
}

/// The pixels to resample.
pub(crate) struct KernelSource<'a> {
    pub samples: SampleSource<'a>,
    /// Pixels in a row.
    pub width: usize,
    /// Samples of a pixel, 1 to 4.
    pub channels: usize,
    /// Whether the last channel is alpha, by which the others are multiplied.
    pub alpha: bool,
    /// Whether the colours are converted to linear light.
    pub light: bool,
}

/// Resamples `source` along both axes and passes the rows to `sink`, from top to bottom.
pub(crate) fn resample(
    source: KernelSource<'_>,
    across: &Axis,
    down: &Axis,
    sink: &mut RowSink,
) -> Result<(), PixelError> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both, as was asked right above.
        return unsafe { resample_avx2(source, across, down, sink) };
    }
    run::<Baseline>(source, across, down, sink)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn resample_avx2(
    source: KernelSource<'_>,
    across: &Axis,
    down: &Axis,
    sink: &mut RowSink,
) -> Result<(), PixelError> {
    run::<Avx2>(source, across, down, sink)
}

/// The longest window, in rows, for which all of its source rows are kept in memory. Longer windows occur in reductions by more than ten.
/// For them the unfinished output rows are kept and added to, which is slower, because they are written as often as read.
const LONGEST_KEPT: usize = 64;

#[inline(always)]
fn run<M: Simd>(
    source: KernelSource<'_>,
    across: &Axis,
    down: &Axis,
    sink: &mut RowSink,
) -> Result<(), PixelError> {
    match source.channels {
        1 => run_channels::<M, 1>(source, across, down, sink),
        2 => run_channels::<M, 2>(source, across, down, sink),
        3 => run_channels::<M, 3>(source, across, down, sink),
        _ => run_channels::<M, 4>(source, across, down, sink),
    }
}

#[inline(always)]
fn run_channels<M: Simd, const CHANNELS: usize>(
    mut source: KernelSource<'_>,
    across: &Axis,
    down: &Axis,
    sink: &mut RowSink,
) -> Result<(), PixelError> {
    let (left, right) = across.used();
    let (top, _) = down.used();
    let length = CHANNELS * (right - left);
    let columns = left..right;
    let mut block = RowBlock::<CHANNELS> {
        across,
        left,
        length,
        rows: buffer::zeroed(LANES * length)?,
        filled: 0,
        columns: buffer::zeroed(length)?,
        made: buffer::zeroed(CHANNELS * across.len())?,
        sink,
    };
    // Short windows keep their source rows. Long ones keep the last source row, and the sums of the output rows that are not finished.
    let keeps_rows = down.longest() <= LONGEST_KEPT;
    let (kept, unfinished) = if keeps_rows {
        (down.longest(), 0)
    } else {
        (1, down.most_open())
    };
    let mut rows: Vec<f32> = buffer::zeroed(kept * length)?;
    let mut sums: Vec<f32> = buffer::zeroed(unfinished * length)?;
    let (mut read, mut begun) = (top, 0);
    for sample in 0..down.len() {
        let (start, weights) = down.window(sample);
        while read < start + weights.len() {
            let row = &mut rows[read % kept * length..][..length];
            source.read::<M, CHANNELS>(read, columns.clone(), row);
            if !keeps_rows {
                while begun < down.len() && down.window(begun).0 <= read {
                    sums[begun % unfinished * length..][..length].fill(0.0);
                    begun += 1;
                }
                for sample in sample..begun {
                    let (start, weights) = down.window(sample);
                    let sum = &mut sums[sample % unfinished * length..][..length];
                    add::<M>(sum, row, weights[read - start]);
                }
            }
            read += 1;
        }
        let finished = block.next_row();
        if keeps_rows {
            sum::<M>(finished, weights, |at| {
                &rows[(start + at) % kept * length..][..length]
            });
        } else {
            finished.copy_from_slice(&sums[sample % unfinished * length..][..length]);
        }
        block.filled += 1;
        // The only call: all of it is inlined here, and that for each number of channels and each instruction set.
        if block.filled == LANES || sample + 1 == down.len() {
            block.finish::<M>();
        }
    }
    Ok(())
}

/// Computes the weighted sum of rows, a few vectors of all rows at a time, so that the sums stay in registers.
#[inline(always)]
fn sum<'a, M: Simd>(sum: &mut [f32], weights: &[f32], row: impl Fn(usize) -> &'a [f32]) {
    /// Vectors in parallel: enough to hide the latency of an addition.
    const AT_ONCE: usize = 8;
    const WIDE: usize = AT_ONCE * LANES;
    let (wide, rest) = sum.as_chunks_mut::<WIDE>();
    let done = wide.len() * WIDE;
    for (index, wide) in wide.iter_mut().enumerate() {
        let mut sums = [M::splat(0.0); AT_ONCE];
        for (at, &weight) in weights.iter().enumerate() {
            let weight = M::splat(weight);
            let lanes = row(at)[index * WIDE..][..WIDE].as_chunks::<LANES>().0;
            for (sum, lane) in sums.iter_mut().zip(lanes) {
                *sum = M::multiply_add(M::load(lane), weight, *sum);
            }
        }
        for (lane, sum) in wide.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
            M::store(sum, lane);
        }
    }
    rest.fill(0.0);
    for (at, &weight) in weights.iter().enumerate() {
        add::<M>(rest, &row(at)[done..], weight);
    }
}

/// Adds one row, multiplied by its weight.
#[inline(always)]
fn add<M: Simd>(sum: &mut [f32], row: &[f32], weight: f32) {
    let (lanes, rest) = sum.as_chunks_mut::<LANES>();
    let (row, last) = row.as_chunks::<LANES>();
    let by = M::splat(weight);
    for (sum, row) in lanes.iter_mut().zip(row) {
        M::store(M::multiply_add(M::load(row), by, M::load(sum)), sum);
    }
    for (sum, &sample) in rest.iter_mut().zip(last) {
        *sum = M::mul_add(sample, weight, *sum);
    }
}

/// Rows that are collected for the horizontal pass.
struct RowBlock<'a, const CHANNELS: usize> {
    across: &'a Axis,
    /// The source column of the first sample in a row.
    left: usize,
    /// Samples of a row.
    length: usize,
    rows: Vec<f32>,
    /// Rows that were collected.
    filled: usize,
    columns: Vec<Lane>,
    made: Vec<Lane>,
    sink: &'a mut RowSink,
}

impl<const CHANNELS: usize> RowBlock<'_, CHANNELS> {
    /// The memory for the next row, every sample of which must be written.
    #[inline(always)]
    fn next_row(&mut self) -> &mut [f32] {
        &mut self.rows[self.filled * self.length..][..self.length]
    }

    /// Resamples the collected rows horizontally, and passes them to the sink.
    #[inline(always)]
    fn finish<M: Simd>(&mut self) {
        lay_side_by_side::<M>(&self.rows, self.length, &mut self.columns);
        let columns = self.columns.as_chunks::<CHANNELS>().0;
        let made = self.made.as_chunks_mut::<CHANNELS>().0;
        for (sample, made) in made.iter_mut().enumerate() {
            let (start, weights) = self.across.window(sample);
            let columns = &columns[start - self.left..][..weights.len()];
            let mut sums = [M::splat(0.0); CHANNELS];
            for (pixel, &weight) in columns.iter().zip(weights) {
                let weight = M::splat(weight);
                for (sum, column) in sums.iter_mut().zip(pixel) {
                    *sum = M::multiply_add(M::load(column), weight, *sum);
                }
            }
            for (lane, sum) in made.iter_mut().zip(sums) {
                M::store(sum, lane);
            }
        }
        self.sink.take::<M, CHANNELS>(&mut self.made, self.filled);
        self.filled = 0;
    }
}

/// Transposes `LANES` rows of `length` samples to columns, in squares of eight by eight.
#[inline(always)]
fn lay_side_by_side<M: Simd>(rows: &[f32], length: usize, columns: &mut [Lane]) {
    let mut lines: [&[f32]; LANES] = [&[]; LANES];
    for (line, row) in lines.iter_mut().zip(rows.chunks_exact(length)) {
        *line = row;
    }
    let whole = length / LANES * LANES;
    let (squares, rest) = columns.split_at_mut(whole);
    for (at, square) in squares.chunks_exact_mut(LANES).enumerate() {
        let mut from = [[0.0; LANES]; LANES];
        for (from, line) in from.iter_mut().zip(lines) {
            from.copy_from_slice(&line[at * LANES..][..LANES]);
        }
        square.copy_from_slice(&M::turned(&from));
    }
    for (x, column) in rest.iter_mut().enumerate() {
        for (sample, line) in column.iter_mut().zip(lines) {
            *sample = line[whole + x];
        }
    }
}

impl KernelSource<'_> {
    /// Converts columns of one row.
    #[inline(always)]
    fn read<M: Simd, const CHANNELS: usize>(
        &mut self,
        y: usize,
        columns: Range<usize>,
        into: &mut [f32],
    ) {
        let start = y * self.width;
        let part = |columns: Range<usize>| columns.start * CHANNELS..columns.end * CHANNELS;
        let whole = part(start + columns.start..start + columns.end);
        let alike = SampleConversion {
            light: self.light,
            alpha: self.alpha,
        };
        match &mut self.samples {
            SampleSource::U8(samples) => {
                alike.convert::<M, CHANNELS, _>(&samples[whole], into, |sample| {
                    f32::from(sample) * (1.0 / 255.0)
                });
            }
            SampleSource::U16(samples) => {
                alike.convert::<M, CHANNELS, _>(&samples[whole], into, |sample| {
                    f32::from(sample) * (1.0 / 65_535.0)
                });
            }
            SampleSource::Scanlines(rows) => {
                let row = &rows.row(y)[part(columns)];
                alike.convert::<M, CHANNELS, _>(row, into, |sample| sample);
            }
        }
    }
}

/// The conversion of samples, which is the same for all sample types.
struct SampleConversion {
    light: bool,
    alpha: bool,
}

impl SampleConversion {
    #[inline(always)]
    fn convert<M: Simd, const CHANNELS: usize, T: Copy>(
        &self,
        samples: &[T],
        into: &mut [f32],
        part_of_white: impl Fn(T) -> f32,
    ) {
        /// Samples that are converted before the conversion to light: few enough to stay in the first-level cache.
        const AT_ONCE: usize = 1024;
        for (into, samples) in into.chunks_mut(AT_ONCE).zip(samples.chunks(AT_ONCE)) {
            for (into, &sample) in into.iter_mut().zip(samples) {
                *into = part_of_white(sample);
            }
            if self.light {
                let (lanes, rest) = into.as_chunks_mut::<LANES>();
                for lane in lanes {
                    M::store(to_light::<M>(M::load(lane)), lane);
                }
                let mut lane = [0.0; LANES];
                lane[..rest.len()].copy_from_slice(rest);
                M::store(to_light::<M>(M::load(&lane)), &mut lane);
                rest.copy_from_slice(&lane[..rest.len()]);
            }
        }
        if self.alpha {
            let pixels = into.as_chunks_mut::<CHANNELS>().0.iter_mut();
            for (pixel, samples) in pixels.zip(samples.as_chunks::<CHANNELS>().0) {
                let alpha = part_of_white(samples[CHANNELS - 1]);
                for color in &mut pixel[..CHANNELS - 1] {
                    *color *= alpha;
                }
                pixel[CHANNELS - 1] = alpha;
            }
        }
    }
}
