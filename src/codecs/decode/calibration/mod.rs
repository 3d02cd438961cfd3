//! The colour space of a PNG that has gamma, and perhaps primaries, instead of an ICC profile (`gAMA` and `cHRM`). Both are converted to an
//! ICC profile, so that the source is handled like one with an embedded profile.
//!
//! The rules are those of Chromium. A gamma within 5 % of that of sRGB, without primaries, is sRGB. Primaries without a gamma are ignored.
//! Impossible primaries make the gamma void as well. There is one difference: the gamma of sRGB together with the primaries of sRGB is
//! sRGB. Chromium uses a pure power function there and shows dark colours up to 8 of 255 darker, but files with both chunks mean sRGB (PNG,
//! third edition, section 11.3.2.5).

use moxcms::ColorProfile;
use moxcms::LocalizableString;
use moxcms::Matrix3d;
use moxcms::ProfileText;
use moxcms::ToneReprCurve;
use moxcms::XyY;
use moxcms::Xyzd;

use crate::codecs::metadata::PngCalibration;
use crate::pixels::color::ColorSpace;

/// The `gAMA` value that means sRGB, in units of 1/100,000 as in the chunk.
const SRGB_GAMMA: u32 = 45_455;
/// White point and primaries of sRGB (white, red, green, blue), each as x and y.
const SRGB: [u32; 8] = [
    31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000,
];

/// The colour space that the chunks describe.
pub(crate) fn space(calibration: &PngCalibration) -> ColorSpace {
    let gamma = calibration.gamma;
    let off = u64::from(gamma.abs_diff(SRGB_GAMMA));
    let is_within = |percent: u64| off * 100 <= u64::from(SRGB_GAMMA) * percent;
    let is_srgb = match &calibration.chromaticities {
        None => is_within(5),
        // Programs round these numbers.
        Some(told) => {
            let mut pairs = told.iter().zip(&SRGB);
            is_within(1) && pairs.all(|(told, exact)| told.abs_diff(*exact) <= 200)
        }
    };
    if gamma == 0 || is_srgb {
        return ColorSpace::Srgb;
    }
    let profile = profile(gamma, &calibration.chromaticities.unwrap_or(SRGB));
    ColorSpace::from_icc(profile.and_then(|profile| profile.encode().ok()))
}

/// The ICC profile; `None` if the primaries span no area.
fn profile(gamma: u32, chromaticities: &[u32; 8]) -> Option<ColorProfile> {
    const WHOLE: u32 = 100_000;
    /// The range of exponents that a profile can hold. Beyond it, every colour but white would be black, or every colour but black would be
    /// white.
    const EXPONENTS: std::ops::RangeInclusive<f64> = 0.0001..=30_000.0;
    if chromaticities.iter().any(|&value| value > WHOLE) || chromaticities[1] == 0 {
        return None;
    }
    let [white_x, white_y, rest @ ..] =
        chromaticities.map(|value| f64::from(value) / f64::from(WHOLE));
    let primary = |at: usize| Xyzd {
        x: rest[at],
        y: rest[at + 1],
        z: 1.0 - rest[at] - rest[at + 1],
    };
    let (red, green, blue) = (primary(0), primary(2), primary(4));
    let spanned = Matrix3d {
        v: [red, green, blue].map(|color| [color.x, color.y, color.z]),
    };
    let area = spanned.determinant().unwrap_or(0.0);
    if area.abs() < 1e-6 {
        return None;
    }
    let white = XyY {
        x: white_x,
        y: white_y,
        yb: 1.0,
    };
    let exponent = f64::from(WHOLE) / f64::from(gamma);
    let exponent = exponent.clamp(*EXPONENTS.start(), *EXPONENTS.end());
    let curve = Some(ToneReprCurve::Parametric(vec![single(exponent)]));
    let mut profile = ColorProfile::new_srgb();
    profile.update_rgb_colorimetry_triplet(white, red, green, blue);
    profile.description = Some(ProfileText::Localizable(vec![LocalizableString::new(
        "en".to_owned(),
        "US".to_owned(),
        format!("gamma {exponent:.3}"),
    )]));
    (profile.red_trc, profile.green_trc, profile.blue_trc) = (curve.clone(), curve.clone(), curve);
    Some(profile)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a coordinate or an exponent of few digits"
)]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
