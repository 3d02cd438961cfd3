//! Tone mapping from high dynamic range to sRGB: PQ and HLG samples are converted to light, compressed to the range of a standard screen,
//! and encoded as sRGB.
//!
//! Transfer functions: ITU-R BT.2100-2, tables 4 and 5. Diffuse white: 203 cd/m², ITU-R BT.2408-7. Highlights are compressed by the
//! extended curve of Reinhard (Reinhard et al. 2002, equation 4), applied to the brightest component, so that hues stay.

use crate::pixels::error::PixelError;
use crate::pixels::{Raster, Samples, buffer};

const PQ: u8 = 16;
const HLG: u8 = 18;

/// The luminance of diffuse white, in cd/m².
const DIFFUSE_WHITE: f32 = 203.0;
/// The luminance that becomes white on the screen, in cd/m²; brighter light is clipped.
const PEAK: f32 = 1000.0;

/// BT.2020 to BT.709 primaries in linear light, ITU-R BT.2407-0, section 2.
const FROM_BT2020: [[f32; 3]; 3] = [
    [1.6605, -0.5876, -0.0728],
    [-0.1246, 1.1329, -0.0083],
    [-0.0182, -0.1006, 1.1187],
];
/// P3-D65 to BT.709 primaries in linear light.
const FROM_P3: [[f32; 3]; 3] = [
    [1.2249, -0.2249, 0.0],
    [-0.0421, 1.0421, 0.0],
    [-0.0196, -0.0786, 1.0983],
];

/// Whether a transfer characteristic (ITU-T H.273, table 3) is PQ or HLG.
pub(crate) const fn is_hdr(transfer: u8) -> bool {
    transfer == PQ || transfer == HLG
}

/// Converts RGB or RGBA samples; alpha is kept.
pub(crate) fn to_srgb(raster: Raster, primaries: u8, transfer: u8) -> Result<Raster, PixelError> {
    let channels = raster.channels.count();
    let light: Vec<f32> = match transfer {
        PQ => (0..=u16::MAX).map(|code| pq_light(unit(code))).collect(),
        _ => (0..=u16::MAX).map(|code| hlg_light(unit(code))).collect(),
    };
    let matrix = match primaries {
        9 => Some(FROM_BT2020),
        11 | 12 => Some(FROM_P3),
        _ => None,
    };
    let mut samples = match raster.samples {
        Samples::U16(samples) => samples,
        Samples::U8(samples) => buffer::collected(
            samples.len(),
            samples.into_iter().map(|sample| u16::from(sample) * 257),
        )?,
    };
    for pixel in samples.chunks_exact_mut(channels) {
        let linear = [0, 1, 2].map(|channel| light[usize::from(pixel[channel])]);
        let linear = matrix.map_or(linear, |rows| {
            rows.map(|row| row[0] * linear[0] + row[1] * linear[1] + row[2] * linear[2])
        });
        let linear = toned(linear.map(|component| component.max(0.0)));
        for (sample, component) in pixel.iter_mut().zip(linear) {
            *sample = code(srgb_encoded(component));
        }
    }
    Ok(Raster {
        samples: Samples::U16(samples),
        ..raster
    })
}

fn unit(code: u16) -> f32 {
    f32::from(code) / f32::from(u16::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u16 first"
)]
fn code(value: f32) -> u16 {
    (value.clamp(0.0, 1.0) * f32::from(u16::MAX)).round() as u16
}

/// Converts a PQ code value to light; 1 is diffuse white.
fn pq_light(value: f32) -> f32 {
    const M1: f32 = 2610.0 / 16_384.0;
    const M2: f32 = 2523.0 / 4096.0 * 128.0;
    const C1: f32 = 3424.0 / 4096.0;
    const C2: f32 = 2413.0 / 4096.0 * 32.0;
    const C3: f32 = 2392.0 / 4096.0 * 32.0;
    let power = value.powf(1.0 / M2);
    let light = ((power - C1).max(0.0) / (C2 - C3 * power)).powf(1.0 / M1);
    light * 10_000.0 / DIFFUSE_WHITE
}

/// Converts an HLG code value to light; 1 is diffuse white (75 % of the signal). The gamma of the display is not applied.
fn hlg_light(value: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 0.284_668_92;
    const C: f32 = 0.559_910_7;
    let scene = |value: f32| {
        if value <= 0.5 {
            value * value / 3.0
        } else {
            (((value - C) / A).exp() + B) / 12.0
        }
    };
    scene(value) / scene(0.75)
}

/// Compresses the brightest component to 0 to 1, and scales the others by the same factor.
fn toned(linear: [f32; 3]) -> [f32; 3] {
    const WHITE: f32 = PEAK / DIFFUSE_WHITE;
    let brightest = linear[0].max(linear[1]).max(linear[2]);
    if brightest <= 0.0 {
        return linear;
    }
    let brought = (brightest * (1.0 + brightest / (WHITE * WHITE)) / (1.0 + brightest)).min(1.0);
    linear.map(|component| component * brought / brightest)
}

/// Encodes light as sRGB (IEC 61966-2-1).
fn srgb_encoded(light: f32) -> f32 {
    if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    }
}

#[cfg(test)]
mod tests {
    use super::pq_light;
    use super::to_srgb;
    use crate::pixels::{Channels, Raster, Samples, Size};

    #[test]
    fn pq_knows_its_published_points() {
        // BT.2408-7: diffuse white of 203 cd/m² is 58 % of the PQ signal; 10 000 cd/m² is all of it.
        assert!((pq_light(0.58) - 1.0).abs() < 0.02, "{}", pq_light(0.58));
        assert!((pq_light(1.0) * 203.0 - 10_000.0).abs() < 1.0);
        assert_eq!(pq_light(0.0), 0.0);
    }

    #[test]
    fn grey_stays_grey_and_order_is_kept() {
        let made = |code: u16| {
            let pixel = Raster {
                size: Size::new(1, 1),
                channels: Channels::Rgba,
                samples: Samples::U16(vec![code, code, code, 9]),
            };
            let Samples::U16(samples) = to_srgb(pixel, 9, 16).expect("there is memory").samples
            else {
                panic!("16 bits out")
            };
            assert_eq!(samples[3], 9, "alpha is kept");
            assert!(samples[0].abs_diff(samples[2]) < 300, "{samples:?} is grey");
            samples[0]
        };
        let ramp: Vec<u16> = [0, 10_000, 20_000, 30_000, 40_000, 50_000, 65_535]
            .into_iter()
            .map(made)
            .collect();
        assert!(ramp.is_sorted(), "{ramp:?}");
        assert_eq!((ramp[0], ramp[6]), (0, u16::MAX));
    }
}
