//! An approximate Gaussian blur whose cost does not depend on the radius.
//!
//! Three box blurs, one after the other, on rows and then on columns. The boxes may end inside a pixel, so that any standard deviation is
//! met exactly, not only those of whole pixels (Gwosdek, Grewenig, Bruhn and Weickert, "Theoretical Foundations of Gaussian Convolution by
//! Extended Box Filtering", 2011). An edge differs from a true Gaussian by at most 2 % of its height, a thin line by at most 7 %.
//!
//! Colours are premultiplied during the blur, so that invisible colours do not bleed into visible pixels. Beyond the edges the outermost
//! pixels are repeated. The work is done in 16 bits on encoded values, as in CSS and most editors.

use crate::pixels::error::PixelError;
use crate::pixels::{Channels, Raster, Samples, buffer, to_u8};

/// Columns that are blurred together: their samples in one row fill a cache line.
const STRIP: usize = 32;

/// Blurs an RGB or RGBA raster with a standard deviation of `deviation` pixels, which is at most 250.
pub(crate) fn blurred(raster: Raster, deviation: f64) -> Result<Raster, PixelError> {
    let Raster {
        size,
        channels,
        samples,
    } = raster;
    let is_deep = matches!(samples, Samples::U16(_));
    let mut deep = match samples {
        Samples::U8(samples) => buffer::collected(
            samples.len(),
            samples.into_iter().map(|sample| u16::from(sample) * 257),
        )?,
        Samples::U16(samples) => samples,
    };
    let kernel = BoxKernel::of(deviation);
    let width = size.width as usize;
    match channels {
        Channels::Rgba => {
            deep.chunks_exact_mut(4).for_each(multiply_alpha);
            blur_rows::<4>(&mut deep, width, &kernel)?;
            blur_columns(&mut deep, width * 4, &kernel)?;
            deep.chunks_exact_mut(4).for_each(divide_alpha);
        }
        _ => {
            blur_rows::<3>(&mut deep, width, &kernel)?;
            blur_columns(&mut deep, width * 3, &kernel)?;
        }
    }
    let samples = if is_deep {
        Samples::U16(deep)
    } else {
        Samples::U8(buffer::collected(deep.len(), deep.into_iter().map(to_u8))?)
    };
    Ok(Raster {
        size,
        channels,
        samples,
    })
}

/// A box filter of `2 * radius + 1` whole samples and a part of one more at each end.
#[derive(Debug)]
struct BoxKernel {
    radius: usize,
    /// The weight of each whole sample.
    inner: f32,
    /// The weight of the samples at the ends.
    outer: f32,
}

impl BoxKernel {
    /// The box that has the given standard deviation when it is applied three times.
    ///
    /// With `r` whole samples on each side and the part `p` of one more, the variance of a box is `(r (r + 1) (2 r + 1) / 3 + 2 p (r +
    /// 1)^2) / (2 r + 1 + 2 p)`, and variances add up. `r` is the largest radius whose own variance is not too large; the equation is then
    /// solved for `p`, which lies in 0..1.
    fn of(deviation: f64) -> BoxKernel {
        let variance = deviation * deviation / 3.0;
        let (mut radius, mut whole) = (0, 0.0);
        while (whole + 1.0) * (whole + 2.0) / 3.0 <= variance {
            radius += 1;
            whole += 1.0;
        }
        let count = 2.0 * whole + 1.0;
        let next = (whole + 1.0) * (whole + 1.0);
        let part = count * (variance - whole * (whole + 1.0) / 3.0) / (2.0 * (next - variance));
        let total = count + 2.0 * part;
        BoxKernel {
            radius,
            inner: to_f32(1.0 / total),
            outer: to_f32(part / total),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the weights of a mean need no more digits than f32 has"
)]
fn to_f32(weight: f64) -> f32 {
    weight as f32
}

fn blur_rows<const LANES: usize>(
    samples: &mut [u16],
    width: usize,
    kernel: &BoxKernel,
) -> Result<(), PixelError> {
    let mut first = buffer::filled([0; LANES], width)?;
    let mut second = buffer::filled([0; LANES], width)?;
    for row in samples.chunks_exact_mut(width * LANES) {
        let (row, _) = row.as_chunks_mut::<LANES>();
        pass(row, &mut first, kernel);
        pass(&first, &mut second, kernel);
        pass(&second, row, kernel);
    }
    Ok(())
}

fn blur_columns(samples: &mut [u16], stride: usize, kernel: &BoxKernel) -> Result<(), PixelError> {
    let height = samples.len() / stride;
    let mut first = buffer::filled([0; STRIP], height)?;
    let mut second = buffer::filled([0; STRIP], height)?;
    for left in (0..stride).step_by(STRIP) {
        let lanes = STRIP.min(stride - left);
        for (row, line) in samples.chunks_exact(stride).zip(&mut first) {
            line[..lanes].copy_from_slice(&row[left..left + lanes]);
        }
        pass(&first, &mut second, kernel);
        pass(&second, &mut first, kernel);
        pass(&first, &mut second, kernel);
        for (row, line) in samples.chunks_exact_mut(stride).zip(&second) {
            row[left..left + lanes].copy_from_slice(&line[..lanes]);
        }
    }
    Ok(())
}

/// One box blur along a line, with several samples in parallel. The sum under the box is updated from sample to sample. It stays below 501
/// * 65535.
fn pass<const LANES: usize>(from: &[[u16; LANES]], to: &mut [[u16; LANES]], kernel: &BoxKernel) {
    let (radius, last) = (kernel.radius, from.len() - 1);
    let mut sums = [0_i32; LANES];
    let mut add = |samples: &[u16; LANES], times: usize| {
        let times = i32::try_from(times).unwrap_or(0);
        for (sum, sample) in sums.iter_mut().zip(samples) {
            *sum += i32::from(*sample) * times;
        }
    };
    let inside = radius.min(last);
    add(&from[0], radius + 1);
    for samples in &from[1..=inside] {
        add(samples, 1);
    }
    add(&from[last], radius - inside);
    for (index, target) in to.iter_mut().enumerate() {
        let before = &from[index.saturating_sub(radius + 1)];
        let leaving = &from[index.saturating_sub(radius)];
        let entering = &from[(index + radius + 1).min(last)];
        for lane in 0..LANES {
            let ends = i32::from(before[lane]) + i32::from(entering[lane]);
            target[lane] = mean(sums[lane], ends, kernel);
            sums[lane] += i32::from(entering[lane]) - i32::from(leaving[lane]);
        }
    }
}

/// Rounds a mean of 16-bit samples. Above 2^23 the last bit of an `f32` has the value 1, so adding that number rounds, and leaves the
/// result in the low bits; a cast would check each sample for NaN.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a mean of 16-bit samples has 16 bits; sums are rounded by less than a hundredth of a sample"
)]
fn mean(sum: i32, ends: i32, kernel: &BoxKernel) -> u16 {
    const WHOLE: f32 = 8_388_608.0;
    let mean = sum as f32 * kernel.inner + ends as f32 * kernel.outer;
    (mean + WHOLE).to_bits() as u16
}

fn multiply_alpha(pixel: &mut [u16]) {
    let alpha = u32::from(pixel[3]);
    for sample in &mut pixel[..3] {
        let product = (u32::from(*sample) * alpha + 32_767) / 65_535;
        *sample = u16::try_from(product).unwrap_or(u16::MAX);
    }
}

fn divide_alpha(pixel: &mut [u16]) {
    let alpha = u32::from(pixel[3]);
    for sample in &mut pixel[..3] {
        let quotient = (u32::from(*sample) * 65_535 + alpha / 2)
            .checked_div(alpha)
            .unwrap_or(0);
        *sample = u16::try_from(quotient).unwrap_or(u16::MAX);
    }
}

#[cfg(test)]
mod tests;
