//! The planes that lossy WebP stores: BT.601 in limited range, with chroma of half the size.
//!
//! Colour that changes within a square of four is lost, and with it some of the light: red beside black comes out too dark. Luma makes
//! up for that. It is chosen so that each pixel is as light as it was, once a decoder has interpolated the chroma. Over six photographs 800
//! pixels wide that saves 2 % of the bytes at a score of 80 (SSIMULACRA2), and 8 % at 86.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calls code compiled for AVX2 once the processor is known to have it"
    )
)]

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
#[cfg(target_arch = "x86_64")]
use crate::pixels::simd::Avx2;
use crate::pixels::simd::{Baseline, LANES, Simd};
use crate::pixels::{PixelError, Planar, Plane, Size, Subsampling, buffer, of_both, rounded};

/// Luma, Cb and Cr in limited range; chroma has half the size, rounded up.
pub(crate) struct LimitedPlanes {
    pub luma: Vec<u8>,
    pub chroma: [Vec<u8>; 2],
}

/// Cb and Cr of one row at full size, from 0 to 255 around 128.
type ChromaRow = [Vec<f32>; 2];

/// The planes for a picture with chroma of either size. Where it has half the size already, there is nothing to make up for.
pub(crate) fn of(
    planar: &Planar,
    subsampling: Subsampling,
) -> Result<LimitedPlanes, TransformError> {
    let (size, half) = (
        planar.luma.size,
        Subsampling::Both.chroma_size(planar.luma.size),
    );
    let fits = |plane: &Plane, size: Size| plane.size == size && plane.samples.len() == size.len();
    let stored = subsampling.chroma_size(size);
    let chroma = planar.chroma.iter().flatten();
    if !fits(&planar.luma, size) || !chroma.into_iter().all(|plane| fits(plane, stored)) {
        return Err(failed("planes that do not make the picture"));
    }
    let Some(chroma) = &planar.chroma else {
        return Ok(LimitedPlanes {
            luma: limited_luma(&planar.luma)?,
            chroma: of_both([128; 2], |grey| buffer::filled(grey, half.len()))?,
        });
    };
    let halved = match subsampling {
        Subsampling::Both => of_both(chroma.each_ref(), limited_chroma)?,
        Subsampling::None => of_both(chroma.each_ref(), halved_chroma)?,
    };
    let luma = match subsampling {
        Subsampling::Both => limited_luma(&planar.luma)?,
        Subsampling::None => corrected_luma(&planar.luma, chroma, &halved)?,
    };
    Ok(LimitedPlanes {
        luma,
        chroma: halved,
    })
}

/// Converts luma from full range to 16..=235.
fn limited_luma(plane: &Plane) -> Result<Vec<u8>, PixelError> {
    // 219 / 255 in 14 bits.
    let limited = |&sample: &u8| sample_of((u32::from(sample) * 14_071 + (16 << 14) + 8_192) >> 14);
    buffer::collected(plane.samples.len(), plane.samples.iter().map(limited))
}

/// Converts chroma from full range to 16..=240 around 128.
fn limited_chroma(plane: &Plane) -> Result<Vec<u8>, PixelError> {
    let limited = |&sample: &u8| limited_sum(4 * u32::from(sample));
    buffer::collected(plane.samples.len(), plane.samples.iter().map(limited))
}

/// The same for the means of squares of four; at odd edges the last sample is repeated.
fn halved_chroma(plane: &Plane) -> Result<Vec<u8>, PixelError> {
    let width = plane.size.width as usize;
    let mut samples = buffer::with_room(Subsampling::Both.chroma_size(plane.size).len())?;
    let sum = |upper: [u8; 2], lower: [u8; 2]| {
        let [a, b] = upper.map(u32::from);
        let [c, d] = lower.map(u32::from);
        limited_sum(a + b + c + d)
    };
    for rows in plane.samples.chunks(2 * width) {
        let (upper, below) = rows.split_at(width);
        let lower = if below.is_empty() { upper } else { below };
        let (upper, last) = upper.as_chunks::<2>();
        let (lower, last_lower) = lower.as_chunks::<2>();
        samples.extend(
            upper
                .iter()
                .zip(lower)
                .map(|(&upper, &lower)| sum(upper, lower)),
        );
        let edge = last.iter().zip(last_lower);
        samples.extend(edge.map(|(&upper, &lower)| sum([upper; 2], [lower; 2])));
    }
    Ok(samples)
}

/// The mean of four samples of chroma in limited range, from their sum.
fn limited_sum(sum: u32) -> u8 {
    // 224 / 255 in 14 bits and a quarter of it; 128 * 14_392 is taken off, so the sum never goes below 0.
    sample_of((sum * 14_392 + ((128 << 16) + (1 << 15) - 4 * 128 * 14_392)) >> 16)
}

/// Luma in limited range that makes up for the light that chroma loses.
fn corrected_luma(
    luma: &Plane,
    full: &[Plane; 2],
    halved: &[Vec<u8>; 2],
) -> Result<Vec<u8>, PixelError> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both, as was asked right above.
        return unsafe { corrected_luma_avx2(luma, full, halved) };
    }
    corrected_rows::<Baseline>(luma, full, halved)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn corrected_luma_avx2(
    luma: &Plane,
    full: &[Plane; 2],
    halved: &[Vec<u8>; 2],
) -> Result<Vec<u8>, PixelError> {
    corrected_rows::<Avx2>(luma, full, halved)
}

// Loops, not closures, which would not be compiled with the target features of the function that this is inlined into.
#[inline(always)]
fn corrected_rows<M: Simd>(
    luma: &Plane,
    full: &[Plane; 2],
    halved: &[Vec<u8>; 2],
) -> Result<Vec<u8>, PixelError> {
    let width = luma.size.width as usize;
    let mut samples = buffer::filled(0, luma.samples.len())?;
    let mut shown: ChromaRow = of_both([0.0; 2], |none| buffer::filled(none, width))?;
    // With a sample beyond each end.
    let mut blended = buffer::filled(0.0, width.div_ceil(2) + 2)?;
    let [cb, cr] = full
        .each_ref()
        .map(|plane| plane.samples.chunks_exact(width));
    let rows = samples
        .chunks_exact_mut(width)
        .zip(luma.samples.chunks_exact(width));
    for (y, ((into, luma), stored)) in rows.zip(cb.zip(cr)).enumerate() {
        for (shown, plane) in shown.iter_mut().zip(halved) {
            interpolate_row(plane, y, &mut blended, shown);
        }
        correct_row::<M>(into, luma, stored, &shown);
    }
    Ok(samples)
}

/// One row of it, `LANES` samples at a time.
#[inline(always)]
fn correct_row<M: Simd>(into: &mut [u8], luma: &[u8], (cb, cr): (&[u8], &[u8]), shown: &ChromaRow) {
    let [shown_cb, shown_cr] = shown;
    let width = into.len();
    let mut at = 0;
    while at < width {
        // The last samples are computed together with those before them, again.
        let from = if width < LANES {
            0
        } else {
            at.min(width - LANES)
        };
        let luma = lane_of_bytes::<M>(&luma[from..]);
        let stored = [
            lane_of_bytes::<M>(&cb[from..]),
            lane_of_bytes::<M>(&cr[from..]),
        ];
        let shown = [
            lane_of::<M>(&shown_cb[from..]),
            lane_of::<M>(&shown_cr[from..]),
        ];
        let luma = M::add(luma, lost_luma::<M>(luma, stored, shown));
        let luma = M::least(M::greatest(luma, M::splat(0.0)), M::splat(255.0));
        let mut made = [0.0; LANES];
        let limited = M::multiply_add(luma, M::splat(219.0 / 255.0), M::splat(16.0));
        M::store(limited, &mut made);
        let made = made.map(rounded);
        match into[from..].first_chunk_mut() {
            Some(into) => *into = made,
            None => into.copy_from_slice(&made[..width]),
        }
        at += LANES;
    }
}

/// The first `LANES` samples, and zeros where there are fewer.
#[inline(always)]
fn lane_of_bytes<M: Simd>(samples: &[u8]) -> M::Vector {
    M::load(&first_samples(samples).map(f32::from))
}

#[inline(always)]
fn lane_of<M: Simd>(samples: &[f32]) -> M::Vector {
    M::load(&first_samples(samples))
}

#[inline(always)]
fn first_samples<T: Copy + Default>(samples: &[T]) -> [T; LANES] {
    match samples.first_chunk() {
        Some(lane) => *lane,
        None => {
            let mut lane = [T::default(); LANES];
            lane[..samples.len()].copy_from_slice(samples);
            lane
        }
    }
}

/// A row of chroma as decoders show it: three parts of the nearer sample, one of the farther, along both axes. `blended` is room for half a
/// row, with a sample beyond each end.
#[inline(always)]
fn interpolate_row(plane: &[u8], y: usize, blended: &mut [f32], shown: &mut [f32]) {
    let half = blended.len() - 2;
    let last = (plane.len() / half).saturating_sub(1);
    let near = (y / 2).min(last);
    let far = if y.is_multiple_of(2) {
        near.saturating_sub(1)
    } else {
        (near + 1).min(last)
    };
    let (near, far) = (&plane[near * half..][..half], &plane[far * half..][..half]);
    for ((into, &near), &far) in blended[1..=half].iter_mut().zip(near).zip(far) {
        let limited = f32::from(near) * 0.75 + f32::from(far) * 0.25;
        *into = (limited - 128.0) * (255.0 / 224.0) + 128.0;
    }
    blended[0] = blended[1];
    blended[half + 1] = blended[half];
    let (pairs, odd) = shown.as_chunks_mut::<2>();
    let whole = pairs.len();
    let (before, own, after) = (&blended[..whole], &blended[1..], &blended[2..]);
    for (((pair, &before), &own), &after) in pairs.iter_mut().zip(before).zip(own).zip(after) {
        *pair = [own * 0.75 + before * 0.25, own * 0.75 + after * 0.25];
    }
    for into in odd {
        *into = blended[whole + 1] * 0.75 + blended[whole] * 0.25;
    }
}

/// How much luma makes up for the light that is lost where one chroma is shown in place of another: one step of Newton's method, in whose
/// sight samples end at 0 and 255.
#[inline(always)]
fn lost_luma<M: Simd>(luma: M::Vector, stored: [M::Vector; 2], shown: [M::Vector; 2]) -> M::Vector {
    /// Where chroma is far off, one step may be far off too.
    const MOST: f32 = 24.0;
    /// Keeps the step of saturated colours within bounds.
    const LEAST: f32 = 0.02;
    // No `map` of arrays, which would call functions without the instructions of `M`.
    let [red, green, blue] = rgb::<M>(luma, stored);
    let before = [light::<M>(red), light::<M>(green), light::<M>(blue)];
    let [red, green, blue] = rgb::<M>(luma, shown);
    let after = [light::<M>(red), light::<M>(green), light::<M>(blue)];
    let slopes = [slope::<M>(red), slope::<M>(green), slope::<M>(blue)];
    let (before, after) = (
        weighted::<M>(before, M::splat(0.0)),
        weighted::<M>(after, M::splat(0.0)),
    );
    let slope = weighted::<M>(slopes, M::splat(LEAST));
    let lost = M::multiply(M::subtract(before, after), M::splat(255.0));
    let step = M::divide(lost, slope);
    M::least(M::greatest(step, M::splat(-MOST)), M::splat(MOST))
}

/// The light of red, green and blue together, and `rest`.
#[inline(always)]
fn weighted<M: Simd>([red, green, blue]: [M::Vector; 3], rest: M::Vector) -> M::Vector {
    let sum = M::multiply_add(blue, M::splat(0.0722), rest);
    let sum = M::multiply_add(green, M::splat(0.7152), sum);
    M::multiply_add(red, M::splat(0.2126), sum)
}

/// Red, green and blue from 0 to 1.
#[inline(always)]
fn rgb<M: Simd>(luma: M::Vector, chroma: [M::Vector; 2]) -> [M::Vector; 3] {
    const UNIT: f32 = 1.0 / 255.0;
    let [cb, cr] = chroma;
    let (cb, cr) = (
        M::subtract(cb, M::splat(128.0)),
        M::subtract(cr, M::splat(128.0)),
    );
    let luma = M::multiply(luma, M::splat(UNIT));
    let green = M::multiply_add(cb, M::splat(-0.344_136 * UNIT), luma);
    [
        M::multiply_add(cr, M::splat(1.402 * UNIT), luma),
        M::multiply_add(cr, M::splat(-0.714_136 * UNIT), green),
        M::multiply_add(cb, M::splat(1.772 * UNIT), luma),
    ]
}

/// The light of an sRGB sample: the curve whose slope is below.
#[inline(always)]
fn light<M: Simd>(sample: M::Vector) -> M::Vector {
    let part = M::least(M::greatest(sample, M::splat(0.0)), M::splat(1.0));
    let curve = M::multiply_add(part, M::splat(0.366_7), M::splat(0.55));
    M::multiply(part, M::multiply_add(part, curve, M::splat(0.077)))
}

/// How much light a step of an sRGB sample adds: the derivative of its curve, which this polynomial follows within 0.04; nothing where the
/// sample is beyond black or white.
#[inline(always)]
fn slope<M: Simd>(sample: M::Vector) -> M::Vector {
    let none = M::splat(0.0);
    let square = M::multiply_add(sample, sample, sample);
    let slope = M::multiply_add(square, M::splat(1.1), M::splat(0.077));
    let slope = M::choose(sample, M::splat(1.0), slope, none);
    M::choose(none, sample, slope, none)
}

#[expect(clippy::cast_possible_truncation, reason = "both formulas end at 240")]
fn sample_of(value: u32) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests {
    use super::{limited_luma, limited_sum, of};
    use crate::pixels::{Planar, Plane, Size, Subsampling};

    fn plane(size: Size, samples: Vec<u8>) -> Plane {
        Plane { size, samples }
    }

    #[test]
    fn ranges_end_where_bt601_says() {
        let luma = plane(Size::new(3, 1), vec![0, 128, 255]);
        assert_eq!(limited_luma(&luma), Ok(vec![16, 126, 235]));
        let chroma = [0, 128, 255].map(|sample| limited_sum(4 * sample));
        assert_eq!(chroma, [16, 128, 240]);
    }

    /// Stripes of pure red and black, one pixel wide, whose chroma is lost.
    fn stripes(size: Size) -> Planar {
        let of = |red: u8, black: u8| {
            let samples = (0..size.len()).map(|at| if at % 2 == 0 { red } else { black });
            plane(size, samples.collect())
        };
        Planar {
            luma: of(76, 0),
            chroma: Some([of(85, 128), of(255, 128)]),
        }
    }

    #[test]
    fn luma_makes_up_for_lost_chroma_and_only_for_that() {
        let size = Size::new(8, 4);
        let stripes = stripes(size);
        let made = of(&stripes, Subsampling::None).expect("there is memory");
        let plain = limited_luma(&stripes.luma).expect("there is memory");
        let pairs = || made.luma.iter().zip(&plain);
        // Without their colour red stripes would be too dark, and black ones too light.
        assert!(pairs().step_by(2).all(|(made, plain)| made > plain));
        assert!(
            pairs()
                .skip(1)
                .step_by(2)
                .all(|(made, plain)| made <= plain)
        );

        let flat = Planar {
            luma: plane(size, (0..32).map(|at| at * 8).collect()),
            chroma: Some([90, 200].map(|level| plane(size, vec![level; 32]))),
        };
        let made = of(&flat, Subsampling::None).expect("there is memory");
        let plain = limited_luma(&flat.luma).expect("there is memory");
        let differs = |(made, plain): (&u8, &u8)| made.abs_diff(*plain) > 1;
        assert!(!made.luma.iter().zip(&plain).any(differs));
    }

    #[test]
    fn odd_sides_and_single_pixels_are_complete() {
        for (width, height) in [(1, 1), (1, 4), (5, 3), (2, 1), (7, 2)] {
            let size = Size::new(width, height);
            let made = of(&stripes(size), Subsampling::None).expect("there is memory");
            let half = Subsampling::Both.chroma_size(size).len();
            assert_eq!(made.luma.len(), size.len(), "{size:?}");
            assert!(made.chroma.iter().all(|chroma| chroma.len() == half));
        }
    }

    #[test]
    fn planes_that_do_not_fit_are_refused() {
        let mut broken = stripes(Size::new(4, 4));
        broken.luma.samples.pop();
        assert!(of(&broken, Subsampling::None).is_err());
        assert!(of(&stripes(Size::new(4, 4)), Subsampling::Both).is_err());
    }
}
