//! An approximate Gaussian blur whose cost does not depend on the radius.
//!
//! Three box blurs, one after the other, on rows and then on columns. The boxes may end inside a pixel, so that any standard deviation is
//! met exactly, not only those of whole pixels (Gwosdek, Grewenig, Bruhn and Weickert, "Theoretical Foundations of Gaussian Convolution by
//! Extended Box Filtering", 2011). An edge differs from a true Gaussian by at most 2 % of its height, a thin line by at most 7 %.
//!
//! Colours are premultiplied during the blur, so that invisible colours do not bleed into visible pixels. Beyond the edges the outermost
//! pixels are repeated. The work is done in 16 bits on encoded values, as in CSS and most editors.

use crate::pixels::Channels;
use crate::pixels::Raster;
use crate::pixels::Samples;
use crate::pixels::buffer;
use crate::pixels::error::PixelError;
use crate::pixels::to_u8;

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
mod tests {
    use crate::pixels::Channels;
    use crate::pixels::Raster;
    use crate::pixels::Samples;
    use crate::pixels::Size;

    fn blurred(raster: Raster, deviation: f64) -> Raster {
        super::blurred(raster, deviation).expect("there is memory")
    }

    /// What a blur makes of a row of 97 red values, from 0 to 1.
    fn response(deviation: f64, value: impl Fn(u16) -> f64) -> Vec<f64> {
        let raster = Raster {
            size: Size::new(97, 1),
            channels: Channels::Rgb,
            samples: Samples::U16(
                (0..97)
                    .flat_map(|x| [if value(x) > 0.5 { 65_535 } else { 0 }, 0, 0])
                    .collect(),
            ),
        };
        let Samples::U16(samples) = blurred(raster, deviation).samples else {
            panic!("16 bits in, 16 bits out")
        };
        samples
            .iter()
            .step_by(3)
            .map(|&sample| f64::from(sample) / 65_535.0)
            .collect()
    }

    /// A true Gaussian blur of the same row.
    fn expected(deviation: f64, value: impl Fn(u16) -> f64) -> Vec<f64> {
        let weight = |distance: f64| (-distance * distance / (2.0 * deviation * deviation)).exp();
        let total: f64 = (-48..=48).map(|distance| weight(f64::from(distance))).sum();
        (0..97_u16)
            .map(|x| {
                (0..97)
                    .map(|from| value(from) * weight(f64::from(from) - f64::from(x)) / total)
                    .sum()
            })
            .collect()
    }

    #[test]
    fn edges_and_hairlines_look_like_under_a_gaussian() {
        let hairline = |x: u16| if x == 48 { 1.0 } else { 0.0 };
        let band = |x: u16| {
            if (30..60).contains(&x) { 1.0 } else { 0.0 }
        };
        for deviation in [1.0, 1.3, 2.0, 3.5, 6.0, 9.0] {
            let peak = expected(deviation, hairline)[48];
            let pairs = response(deviation, hairline)
                .into_iter()
                .zip(expected(deviation, hairline));
            for (x, (made, expected)) in pairs.enumerate() {
                assert!(
                    (made - expected).abs() < 0.07 * peak,
                    "hairline, deviation {deviation}, at {x}: {made}, expected {expected}"
                );
            }
            let pairs = response(deviation, band)
                .into_iter()
                .zip(expected(deviation, band));
            for (x, (made, expected)) in pairs.enumerate() {
                assert!(
                    (made - expected).abs() < 0.02,
                    "band, deviation {deviation}, at {x}: {made}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn a_point_keeps_its_weight_and_gets_its_spread() {
        for deviation in [1.0, 1.7, 2.5, 7.0, 12.25] {
            let row = response(deviation, |x| if x == 48 { 1.0 } else { 0.0 });
            let total: f64 = row.iter().sum();
            assert!((total - 1.0).abs() < 0.001, "{deviation}: {total}");
            let variance: f64 = row
                .iter()
                .enumerate()
                .map(|(x, sample)| (x as f64 - 48.0).powi(2) * sample)
                .sum();
            assert!(
                (variance.sqrt() - deviation).abs() < 0.002 * deviation,
                "{deviation}: {}",
                variance.sqrt()
            );
        }
    }

    #[test]
    fn the_largest_blur_of_a_small_picture_is_its_mean() {
        let samples: Vec<u8> = (0..8 * 8)
            .flat_map(|pixel| {
                if pixel % 8 < 4 {
                    [0, 40, 255]
                } else {
                    [255, 40, 0]
                }
            })
            .collect();
        let raster = Raster {
            size: Size::new(8, 8),
            channels: Channels::Rgb,
            samples: Samples::U8(samples),
        };
        for pixel in blurred(raster, 250.0)
            .into_u8()
            .expect("there is memory")
            .chunks_exact(3)
        {
            assert!(
                pixel[0].abs_diff(128) <= 3 && pixel[1] == 40 && pixel[2].abs_diff(128) <= 3,
                "{pixel:?}"
            );
        }
    }

    #[test]
    fn one_colour_stays_one_colour() {
        for deviation in [1.0, 3.3, 77.0, 250.0] {
            for value in [0_u8, 1, 127, 254, 255] {
                let raster = Raster {
                    size: Size::new(37, 5),
                    channels: Channels::Rgba,
                    samples: Samples::U8([value, 255 - value, 9, 255].repeat(37 * 5)),
                };
                assert_eq!(blurred(raster.clone(), deviation), raster);
            }
        }
    }

    #[test]
    fn what_is_transparent_does_not_bleed_and_alpha_is_kept() {
        // An opaque red square in transparent green.
        let samples: Vec<u8> = (0..40 * 40)
            .flat_map(|pixel| {
                let (x, y) = (pixel % 40, pixel / 40);
                if (15..25).contains(&x) && (15..25).contains(&y) {
                    [200, 0, 0, 255]
                } else {
                    [0, 255, 0, 0]
                }
            })
            .collect();
        let raster = Raster {
            size: Size::new(40, 40),
            channels: Channels::Rgba,
            samples: Samples::U8(samples),
        };
        let made = blurred(raster, 3.0).into_u8().expect("there is memory");
        let total: f64 = made
            .chunks_exact(4)
            .map(|pixel| f64::from(pixel[3]) / 255.0)
            .sum();
        assert!((total - 100.0).abs() < 1.0, "{total}");
        for pixel in made.chunks_exact(4).filter(|pixel| pixel[3] > 0) {
            assert!(
                pixel[0].abs_diff(200) <= 1 && pixel[1] == 0,
                "{pixel:?} is not red"
            );
        }
    }

    #[test]
    fn slivers_are_blurred_along_their_length() {
        for size in [Size::new(1, 9), Size::new(9, 1), Size::new(1, 1)] {
            let mut samples = vec![0; size.len() * 3];
            samples[size.len() / 2 * 3] = 255;
            let raster = Raster {
                size,
                channels: Channels::Rgb,
                samples: Samples::U8(samples),
            };
            let made = blurred(raster, 1.0).into_u8().expect("there is memory");
            let reds: u32 = made.iter().step_by(3).map(|&red| u32::from(red)).sum();
            assert!((250..=260).contains(&reds), "{size:?}: {made:?}");
        }
    }
}
