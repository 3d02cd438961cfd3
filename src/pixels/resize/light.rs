//! The transfer curve of sRGB (IEC 61966-2-1) in both directions, in forms that compile to a dozen vector instructions.
//!
//! Pictures are resampled in linear light, because a pixel seen from a distance mixes light, not the numbers that encode it. The curve of
//! sRGB is used for every other RGB and grey space as well: they differ too little to matter for mixing neighbours, and areas of one colour
//! come out unchanged.

use crate::pixels::simd::Simd;

/// The end of the linear part of the curve, as encoded value and as light.
const STRAIGHT_ENCODED: f32 = 0.040_45;
const STRAIGHT_LIGHT: f32 = 0.003_130_8;
/// The slope of the linear part.
const SLOPE: f32 = 12.92;

/// `((v + 0.055) / 1.055)^2.4` above the linear part: a minimax fit of degree 6, within 0.0036 of an 8-bit step of the encoded value.
const LIGHT: [f32; 7] = [
    8.716_131e-4,
    3.450_125e-2,
    4.981_245e-1,
    7.718_93e-1,
    -5.411_769e-1,
    3.234_349e-1,
    -8.767_98e-2,
];
/// `1.055 s^(5/3) - 0.055` with `s` the fourth root of the light: a minimax fit of degree 5, within 0.0017 of an 8-bit step.
const ENCODED: [f32; 6] = [
    -6.134_021_8e-2,
    1.620_263e-1,
    1.255_404_3,
    -5.774_823_7e-1,
    2.895_326_4e-1,
    -6.814_717e-2,
];

/// Converts encoded values to light, both 0 to 1.
#[inline(always)]
pub(crate) fn to_light<M: Simd>(encoded: M::Vector) -> M::Vector {
    let curved = polynomial::<M, 7>(&LIGHT, encoded);
    let straight = M::multiply(encoded, M::splat(1.0 / SLOPE));
    M::choose(encoded, M::splat(STRAIGHT_ENCODED), straight, curved)
}

/// Converts light to encoded values, both 0 to 1; light beyond is clamped.
#[inline(always)]
pub(crate) fn to_encoded<M: Simd>(light: M::Vector) -> M::Vector {
    let light = M::least(M::greatest(light, M::splat(0.0)), M::splat(1.0));
    let curved = polynomial::<M, 6>(&ENCODED, M::root(M::root(light)));
    let straight = M::multiply(light, M::splat(SLOPE));
    M::choose(light, M::splat(STRAIGHT_LIGHT), straight, curved)
}

#[inline(always)]
fn polynomial<M: Simd, const N: usize>(coefficients: &[f32; N], x: M::Vector) -> M::Vector {
    let mut value = M::splat(coefficients[N - 1]);
    let mut at = N - 1;
    // No iterator, because without optimisation it would take longer than the vector operations.
    while at > 0 {
        at -= 1;
        value = M::multiply_add(value, x, M::splat(coefficients[at]));
    }
    value
}

#[cfg(test)]
mod tests {
    use crate::pixels::simd::{Baseline, LANES};

    fn to_light(encoded: f32) -> f32 {
        super::to_light::<Baseline>([encoded; LANES])[0]
    }

    fn to_encoded(light: f32) -> f32 {
        super::to_encoded::<Baseline>([light; LANES])[0]
    }

    #[test]
    fn the_curve_is_that_of_srgb() {
        for step in 0..=65_535_u16 {
            let encoded = f64::from(step) / 65_535.0;
            let light = if encoded <= 0.040_45 {
                encoded / 12.92
            } else {
                ((encoded + 0.055) / 1.055).powf(2.4)
            };
            #[expect(clippy::cast_possible_truncation, reason = "a value from 0 to 1")]
            let (made, back) = (to_light(encoded as f32), to_encoded(light as f32));
            assert!((f64::from(made) - light).abs() < 1e-4, "{encoded}: {made}");
            // In 8-bit steps.
            let error = (f64::from(back) - encoded).abs() * 255.0;
            assert!(error < 0.005, "{encoded}: {back}");
            let round = (f64::from(to_encoded(made)) - encoded).abs() * 255.0;
            assert!(round < 0.01, "{encoded} comes back {round} steps off");
        }
    }

    #[test]
    fn what_is_beyond_white_and_black_is_clamped() {
        for (light, encoded) in [(-0.5, 0.0), (0.0, 0.0), (1.0, 1.0), (1.7, 1.0)] {
            assert!((to_encoded(light) - encoded).abs() < 1e-4);
        }
    }
}
