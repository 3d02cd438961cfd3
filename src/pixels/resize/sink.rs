//! Converts resampled rows to the output: interleaved pixels, or the planes that encoders take.

use crate::pixels::error::PixelError;
use crate::pixels::resize::light::to_encoded;
use crate::pixels::simd::{LANES, Lane, Simd};
use crate::pixels::{buffer, eight_bits, rounded, sixteen_bits};

/// Takes resampled rows from top to bottom.
pub(crate) struct RowSink {
    /// Whether colours arrive as linear light.
    light: bool,
    /// Whether the last channel is alpha, by which the others were multiplied.
    alpha: bool,
    into: SinkBuffer,
    /// Buffers for luma and chroma before they are written to planes.
    planes: [Vec<Lane>; 3],
}

/// The output buffers.
pub(crate) enum SinkBuffer {
    /// Interleaved.
    U8(Vec<u8>),
    /// Interleaved.
    U16(Vec<u16>),
    /// Full-range BT.601 (JFIF, section 7) from three channels, or luma alone from one.
    Planes {
        luma: Vec<u8>,
        /// At the size of luma, if requested.
        full: Option<[Vec<u8>; 2]>,
        /// At half the size, if requested.
        halved: Option<[Vec<u8>; 2]>,
    },
}

impl RowSink {
    /// A sink for rows of `width` pixels.
    pub(super) fn new(
        light: bool,
        alpha: bool,
        width: usize,
        into: SinkBuffer,
    ) -> Result<Self, PixelError> {
        let length = match into {
            SinkBuffer::Planes { .. } => width,
            SinkBuffer::U8(_) | SinkBuffer::U16(_) => 0,
        };
        Ok(RowSink {
            light,
            alpha,
            into,
            planes: [
                buffer::zeroed(length)?,
                buffer::zeroed(length)?,
                buffer::zeroed(length)?,
            ],
        })
    }

    /// The output.
    pub(super) fn into(self) -> SinkBuffer {
        self.into
    }

    /// Takes up to `LANES` rows.
    #[inline(always)]
    pub(super) fn take<M: Simd, const CHANNELS: usize>(
        &mut self,
        pixels: &mut [Lane],
        rows: usize,
    ) {
        if self.alpha {
            for pixel in pixels.as_chunks_mut::<CHANNELS>().0 {
                let alpha = pixel[CHANNELS - 1].map(|alpha| alpha.clamp(0.0, 1.0));
                let parts = alpha.map(reciprocal);
                for color in &mut pixel[..CHANNELS - 1] {
                    for (color, part) in color.iter_mut().zip(parts) {
                        *color *= part;
                    }
                }
            }
        }
        match (self.light, self.alpha) {
            (false, _) => {}
            (true, false) => {
                for color in pixels.iter_mut() {
                    M::store(to_encoded::<M>(M::load(color)), color);
                }
            }
            (true, true) => {
                for pixel in pixels.as_chunks_mut::<CHANNELS>().0 {
                    for color in &mut pixel[..CHANNELS - 1] {
                        M::store(to_encoded::<M>(M::load(color)), color);
                    }
                }
            }
        }
        let [none, whole] = [0.0, 1.0].map(M::splat);
        for sample in pixels.iter_mut() {
            M::store(M::least(M::greatest(M::load(sample), none), whole), sample);
        }
        match &mut self.into {
            SinkBuffer::U8(into) => lay_in_rows::<M, _>(pixels, rows, into, eight_bits),
            SinkBuffer::U16(into) => lay_in_rows::<M, _>(pixels, rows, into, sixteen_bits),
            SinkBuffer::Planes { luma, full, halved } => {
                if CHANNELS < 3 {
                    lay_in_rows::<M, _>(pixels, rows, luma, eight_bits);
                    return;
                }
                let [first, second, third] = &mut self.planes;
                to_ycbcr::<M, CHANNELS>(pixels, first, second, third);
                lay_in_rows::<M, _>(first, rows, luma, rounded);
                if let Some([cb, cr]) = full {
                    lay_in_rows::<M, _>(second, rows, cb, rounded);
                    lay_in_rows::<M, _>(third, rows, cr, rounded);
                }
                if let Some([cb, cr]) = halved {
                    halve(second, rows, cb);
                    halve(third, rows, cr);
                }
            }
        }
    }
}

/// The factor that removes the premultiplication by alpha; 0 if there is almost no alpha, and so no colour.
#[inline(always)]
fn reciprocal(alpha: f32) -> f32 {
    /// A quarter of the smallest alpha above 0 in 8 bits.
    const FAINT: f32 = 1.0 / 1024.0;
    let whole = 1.0 / alpha;
    if alpha < FAINT { 0.0 } else { whole }
}

/// Converts red, green and blue from 0 to 1 to luma, Cb and Cr from 0 to 255.
#[inline(always)]
fn to_ycbcr<M: Simd, const CHANNELS: usize>(
    pixels: &[Lane],
    luma: &mut [Lane],
    cb: &mut [Lane],
    cr: &mut [Lane],
) {
    let planes = luma.iter_mut().zip(cb).zip(cr);
    let [none, most, middle] = [0.0, 255.0, 128.0].map(M::splat);
    for (pixel, ((luma, cb), cr)) in pixels.as_chunks::<CHANNELS>().0.iter().zip(planes) {
        let red = M::multiply(M::load(&pixel[0]), most);
        let green = M::multiply(M::load(&pixel[1]), most);
        let blue = M::multiply(M::load(&pixel[CHANNELS - 1]), most);
        let sum = M::multiply(blue, M::splat(0.114));
        let sum = M::multiply_add(green, M::splat(0.587), sum);
        let sum = M::multiply_add(red, M::splat(0.299), sum);
        M::store(sum, luma);
        let blue = M::multiply_add(M::subtract(blue, sum), M::splat(0.5 / 0.886), middle);
        M::store(M::least(M::greatest(blue, none), most), cb);
        let red = M::multiply_add(M::subtract(red, sum), M::splat(0.5 / 0.701), middle);
        M::store(M::least(M::greatest(red, none), most), cr);
    }
}

/// Appends rows to `into`.
#[inline(always)]
fn lay_in_rows<M: Simd, T: Copy + Default>(
    columns: &[Lane],
    rows: usize,
    into: &mut Vec<T>,
    convert: impl Fn(f32) -> T,
) {
    let start = into.len();
    let length = columns.len();
    into.resize(start + rows * length, T::default());
    let mut lines = into[start..].chunks_exact_mut(length);
    let mut lines: [&mut [T]; LANES] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    if rows < LANES {
        for (lane, line) in lines.into_iter().enumerate().take(rows) {
            for (sample, column) in line.iter_mut().zip(columns) {
                *sample = convert(column[lane]);
            }
        }
        return;
    }
    let squares = columns.as_chunks::<LANES>();
    for (at, square) in squares.0.iter().enumerate() {
        for (line, row) in lines.iter_mut().zip(M::turned(square)) {
            for (sample, value) in line[at * LANES..][..LANES].iter_mut().zip(row) {
                *sample = convert(value);
            }
        }
    }
    let done = length - squares.1.len();
    for (lane, line) in lines.into_iter().enumerate() {
        for (sample, column) in line[done..].iter_mut().zip(squares.1) {
            *sample = convert(column[lane]);
        }
    }
}

/// Appends subsampled chroma, averaged before it is rounded; at odd edges the last sample is repeated.
#[inline(always)]
fn halve(columns: &[Lane], rows: usize, into: &mut Vec<u8>) {
    let halved = rows.div_ceil(2);
    let width = columns.len().div_ceil(2);
    let start = into.len();
    into.resize(start + halved * width, 0);
    for (x, pair) in columns.chunks(2).enumerate() {
        let mut sum = pair[0];
        for (sum, &other) in sum.iter_mut().zip(&pair[pair.len() - 1]) {
            *sum += other;
        }
        let last = sum[rows - 1];
        sum[rows..].fill(last);
        let mut at = start + x;
        for two in sum.as_chunks::<2>().0.iter().take(halved) {
            into[at] = rounded((two[0] + two[1]) * 0.25);
            at += width;
        }
    }
}

const _: () = assert!(LANES.is_multiple_of(2), "chroma is halved within a block");
