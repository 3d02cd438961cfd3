//! Converts components to pixels: chroma upsampling, and YCbCr to RGB.

use crate::codecs::decode::jpeg::baseline::component::Component;
use crate::pixels::simd::Simd;

/// The offset of samples, which are signed before the level shift.
const LEVEL: f32 = 128.0;

/// Converts a row of luma to grey samples.
#[inline(always)]
pub(crate) fn to_gray(luma: &[f32], into: &mut [f32]) {
    for (into, &luma) in into.iter_mut().zip(luma) {
        *into = whole(luma + LEVEL);
    }
}

/// Converts a row of YCbCr to RGB pixels (JFIF, section 7).
#[inline(always)]
pub(crate) fn to_rgb<M: Simd>(luma: &[f32], cb: &[f32], cr: &[f32], into: &mut [f32]) {
    let chroma = cb.iter().zip(cr);
    let pixels = into.as_chunks_mut::<3>().0.iter_mut();
    for ((pixel, &luma), (&cb, &cr)) in pixels.zip(luma).zip(chroma) {
        let luma = luma + LEVEL;
        let green = M::mul_add(cb, -0.344_136_3, M::mul_add(cr, -0.714_136_3, luma));
        *pixel = [
            whole(M::mul_add(cr, 1.402, luma)),
            whole(green),
            whole(M::mul_add(cb, 1.772, luma)),
        ];
    }
}

/// Rounds to a whole number from 0 to 255 and returns it as a part of 255, so that pixels are the same whether they are stored in 8 bits in
/// between or not. Adding 2^23 removes the fraction.
#[inline(always)]
fn whole(value: f32) -> f32 {
    const NO_FRACTION: f32 = 8_388_608.0;
    (value.clamp(0.0, 255.0) + NO_FRACTION - NO_FRACTION) * (1.0 / 255.0)
}

/// Upsamples chroma to the size of luma.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChromaUpsampler {
    /// Whether one chroma sample covers two luma samples, on each axis.
    pub across: bool,
    pub down: bool,
}

impl ChromaUpsampler {
    /// The last row of chroma that a row of luma needs.
    pub(super) fn last_row(self, y: usize) -> usize {
        if self.down { y.div_ceil(2) } else { y }
    }

    /// The upsampled chroma of a row of luma. If one sample covers two, each of the two is three quarters of that sample and one quarter of
    /// the nearer neighbour, as in libjpeg ("fancy upsampling").
    #[inline(always)]
    pub(super) fn row<'a, M: Simd>(
        self,
        chroma: &'a Component,
        y: usize,
        blended: &mut Vec<f32>,
        spread: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let (near, far) = if self.down {
            let far = if y.is_multiple_of(2) {
                (y / 2).saturating_sub(1)
            } else {
                y / 2 + 1
            };
            (chroma.row(y / 2), chroma.row(far))
        } else {
            (chroma.row(y), chroma.row(y))
        };
        if !self.across && !self.down {
            return near;
        }
        // One more sample on each side of the row.
        blended.clear();
        blended.resize(near.len() + 2, 0.0);
        let last = near.len() + 1;
        for ((blended, &near), &far) in blended[1..last].iter_mut().zip(near).zip(far) {
            *blended = M::mul_add(near, 0.75, far * 0.25);
        }
        spread.clear();
        if !self.across {
            spread.extend_from_slice(&blended[1..last]);
            return spread;
        }
        blended[0] = blended[1];
        blended[last] = blended[last - 1];
        spread.resize(2 * near.len(), 0.0);
        let pairs = spread.as_chunks_mut::<2>().0.iter_mut();
        let neighbours = blended.iter().zip(&blended[1..]).zip(&blended[2..]);
        for (pair, ((&left, &here), &right)) in pairs.zip(neighbours) {
            let here = here * 0.75;
            *pair = [M::mul_add(left, 0.25, here), M::mul_add(right, 0.25, here)];
        }
        spread
    }
}
