//! Colour management: every picture leaves in sRGB, or in a wide-gamut space with its profile. Profiles and code points are applied after
//! resampling, when there are fewest pixels.

use moxcms::CicpColorPrimaries;
use moxcms::CicpProfile;
use moxcms::ColorProfile;
use moxcms::DataColorSpace;
use moxcms::Layout;
use moxcms::LocalizableString;
use moxcms::MatrixCoefficients;
use moxcms::ProfileText;
use moxcms::TransferCharacteristics;
use moxcms::TransformOptions;

use crate::pixels::error::PixelError;
use crate::pixels::{Channels, Raster, Samples, buffer, hdr};

/// The colour space of the samples of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ColorSpace {
    /// sRGB, or not specified.
    #[default]
    Srgb,
    /// An embedded ICC profile. A broken one, or one that does not match the samples, is ignored.
    Icc(Vec<u8>),
    /// Code points of ITU-T H.273.
    Cicp {
        /// Table 2.
        primaries: u8,
        /// Table 3.
        transfer: u8,
    },
}

impl ColorSpace {
    /// From code points. The usual ones for standard video and pictures count as sRGB, as in browsers.
    pub(crate) fn from_cicp(primaries: u8, transfer: u8) -> Self {
        let usual_primaries = matches!(primaries, 0 | 1 | 2 | 5 | 6 | 7);
        let usual_transfer = matches!(transfer, 0 | 1 | 2 | 6 | 13 | 14 | 15);
        if usual_primaries && usual_transfer {
            ColorSpace::Srgb
        } else {
            ColorSpace::Cicp {
                primaries,
                transfer,
            }
        }
    }

    /// From an ICC profile; a profile whose colours differ from those of sRGB by at most 2 of 255 counts as sRGB.
    pub(crate) fn from_icc(profile: Option<Vec<u8>>) -> Self {
        match profile {
            Some(bytes) if !is_srgb(&bytes) => ColorSpace::Icc(bytes),
            _ => ColorSpace::Srgb,
        }
    }
}

/// Whether bytes are a valid ICC profile.
pub(crate) fn is_profile(bytes: &[u8]) -> bool {
    ColorProfile::new_from_slice(bytes).is_ok()
}

/// Converts a raster of any kind to RGB or RGBA samples in sRGB, of the same bit depth.
pub(crate) fn to_srgb(raster: Raster, space: &ColorSpace) -> Result<Raster, PixelError> {
    match space {
        ColorSpace::Srgb => expanded(raster),
        ColorSpace::Cicp {
            primaries,
            transfer,
        } if hdr::is_hdr(*transfer) => hdr::to_srgb(expanded(raster)?, *primaries, *transfer),
        ColorSpace::Cicp {
            primaries,
            transfer,
        } => match cicp_profile(*primaries, *transfer) {
            Some(profile) => converted(expanded(raster)?, &profile),
            None => expanded(raster),
        },
        ColorSpace::Icc(bytes) => {
            let Ok(profile) = ColorProfile::new_from_slice(bytes) else {
                return expanded(raster);
            };
            match (profile.color_space, raster.channels) {
                (DataColorSpace::Rgb, Channels::Cmyk) => expanded(raster),
                (DataColorSpace::Rgb, _) => converted(expanded(raster)?, &profile),
                (DataColorSpace::Gray, Channels::Gray | Channels::GrayAlpha)
                | (DataColorSpace::Cmyk, Channels::Cmyk) => converted(raster, &profile),
                _ => expanded(raster),
            }
        }
    }
}

/// Keeps a picture in the wide-gamut RGB space of its source, and returns the profile of that space. All other spaces become sRGB and need
/// no profile: sRGB itself, narrower or unusual spaces, grey, CMYK, and high dynamic range.
pub(crate) fn to_wide(
    raster: Raster,
    space: &ColorSpace,
) -> Result<(Raster, Option<Vec<u8>>), PixelError> {
    let profile = if raster.channels == Channels::Cmyk {
        None
    } else {
        wide_profile(space)
    };
    if profile.is_some() {
        Ok((expanded(raster)?, profile))
    } else {
        Ok((to_srgb(raster, space)?, None))
    }
}

/// The profile of a wide-gamut space: that of the source, or a new one for its code points.
fn wide_profile(space: &ColorSpace) -> Option<Vec<u8>> {
    /// Profiles with a matrix and three curves have 500 bytes to 25 KiB; longer ones contain something else as well.
    const MAX_PROFILE: usize = 64 << 10;
    match space {
        ColorSpace::Srgb => None,
        ColorSpace::Cicp { transfer, .. } if hdr::is_hdr(*transfer) => None,
        ColorSpace::Cicp {
            primaries,
            transfer,
        } => cicp_profile(*primaries, *transfer)
            .filter(is_wide)
            .and_then(|profile| profile.encode().ok()),
        ColorSpace::Icc(bytes) => ColorProfile::new_from_slice(bytes)
            .is_ok_and(|profile| bytes.len() <= MAX_PROFILE && is_wide(&profile))
            .then(|| bytes.clone()),
    }
}

/// Whether a profile is a usual wide-gamut RGB space: each primary is at least as saturated as in sRGB, one or more are clearly more so,
/// and middle grey has about the usual brightness. Resampling, effects and chroma subsampling are designed for such spaces only.
fn is_wide(profile: &ColorProfile) -> bool {
    /// Middle grey in sRGB: 147 for the gamma 1.8 of ProPhoto, 128 for 2.2. Linear light gives 188, PQ 25.
    const MIDDLE: std::ops::RangeInclusive<u8> = 100..=160;
    let tables = [
        &profile.lut_a_to_b_perceptual,
        &profile.lut_a_to_b_colorimetric,
        &profile.lut_a_to_b_saturation,
    ];
    if !profile.is_matrix_shaper() || tables.iter().any(|table| table.is_some()) {
        return false;
    }
    let srgb = ColorProfile::new_srgb();
    // The columns are the primaries of the profile in linear sRGB.
    let primaries = srgb
        .colorant_matrix()
        .inverse()
        .mat_mul(profile.colorant_matrix())
        .v;
    let reach = [0, 1, 2].map(|primary| primaries[primary][primary]);
    if reach.iter().any(|&reach| reach < 0.99) || reach.iter().all(|&reach| reach < 1.02) {
        return false;
    }
    let mut grey = [0; 3];
    profile
        .create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, TransformOptions::default())
        .is_ok_and(|transform| transform.transform(&[128; 3], &mut grey).is_ok())
        && grey.iter().all(|component| MIDDLE.contains(component))
}

fn cicp_profile(primaries: u8, transfer: u8) -> Option<ColorProfile> {
    let color_primaries = CicpColorPrimaries::try_from(primaries).ok()?;
    let transfer_characteristics = match transfer {
        1 | 2 | 6 | 13..=15 => TransferCharacteristics::Srgb,
        other => TransferCharacteristics::try_from(other).ok()?,
    };
    let mut profile = ColorProfile::new_srgb();
    (profile.cicp, profile.red_trc) = (None, None);
    // moxcms 0.9.2 returns `false` for known code points as well, so success is read from the fields that it has set.
    profile.update_rgb_colorimetry_from_cicp(CicpProfile {
        color_primaries,
        transfer_characteristics,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    });
    let name = match (primaries, transfer_characteristics) {
        (9, TransferCharacteristics::Srgb) => "Rec. 2020 primaries".to_owned(),
        (12, TransferCharacteristics::Srgb) => "Display P3".to_owned(),
        _ => format!("H.273 primaries {primaries}, transfer {transfer}"),
    };
    profile.description = Some(ProfileText::Localizable(vec![LocalizableString::new(
        "en".to_owned(),
        "US".to_owned(),
        name,
    )]));
    (profile.cicp.is_some() && profile.red_trc.is_some()).then_some(profile)
}

/// Applies a profile to a raster. If the profile cannot be used, the samples stay as they are.
fn converted(raster: Raster, profile: &ColorProfile) -> Result<Raster, PixelError> {
    let (from, to, channels) = match raster.channels {
        Channels::Gray => (Layout::Gray, Layout::Rgb, Channels::Rgb),
        Channels::GrayAlpha => (Layout::GrayAlpha, Layout::Rgba, Channels::Rgba),
        Channels::Rgb => (Layout::Rgb, Layout::Rgb, Channels::Rgb),
        Channels::Rgba => (Layout::Rgba, Layout::Rgba, Channels::Rgba),
        // moxcms has one layout for four channels, whatever they are.
        Channels::Cmyk => (Layout::Rgba, Layout::Rgb, Channels::Rgb),
    };
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let failed = |cause: moxcms::CmsError| PixelError::Color(cause.to_string());
    let length = raster.size.len() * channels.count();
    let samples = match &raster.samples {
        Samples::U8(samples) => {
            let Ok(transform) = profile.create_transform_8bit(from, &srgb, to, options) else {
                return expanded(raster);
            };
            let mut made = buffer::zeroed(length)?;
            transform.transform(samples, &mut made).map_err(failed)?;
            Samples::U8(made)
        }
        Samples::U16(samples) => {
            let Ok(transform) = profile.create_transform_16bit(from, &srgb, to, options) else {
                return expanded(raster);
            };
            let mut made = buffer::zeroed(length)?;
            transform.transform(samples, &mut made).map_err(failed)?;
            Samples::U16(made)
        }
    };
    Ok(Raster {
        size: raster.size,
        channels,
        samples,
    })
}

/// Converts to RGB without a profile: grey is repeated, inks are multiplied.
pub(crate) fn expanded(raster: Raster) -> Result<Raster, PixelError> {
    let Raster {
        size,
        channels,
        samples,
    } = raster;
    let (wanted, samples) = match (channels, samples) {
        (Channels::Rgb | Channels::Rgba, samples) => (channels, samples),
        (Channels::Gray, Samples::U8(samples)) => {
            (Channels::Rgb, Samples::U8(repeat_gray(&samples)?))
        }
        (Channels::Gray, Samples::U16(samples)) => {
            (Channels::Rgb, Samples::U16(repeat_gray(&samples)?))
        }
        (Channels::GrayAlpha, Samples::U8(samples)) => {
            (Channels::Rgba, Samples::U8(repeat_gray_alpha(&samples)?))
        }
        (Channels::GrayAlpha, Samples::U16(samples)) => {
            (Channels::Rgba, Samples::U16(repeat_gray_alpha(&samples)?))
        }
        (Channels::Cmyk, Samples::U8(samples)) => {
            (Channels::Rgb, Samples::U8(multiply_inks(&samples)?))
        }
        (Channels::Cmyk, Samples::U16(samples)) => {
            let samples = samples.into_iter().map(crate::pixels::to_u8);
            let samples = buffer::collected(samples.len(), samples)?;
            (Channels::Rgb, Samples::U8(multiply_inks(&samples)?))
        }
    };
    Ok(Raster {
        size,
        channels: wanted,
        samples,
    })
}

fn repeat_gray<T: Copy>(samples: &[T]) -> Result<Vec<T>, PixelError> {
    let colors = samples.iter().flat_map(|&gray| [gray; 3]);
    buffer::collected(3 * samples.len(), colors)
}

fn repeat_gray_alpha<T: Copy>(samples: &[T]) -> Result<Vec<T>, PixelError> {
    let (pixels, _) = samples.as_chunks();
    let colors = pixels
        .iter()
        .flat_map(|&[gray, alpha]| [gray, gray, gray, alpha]);
    buffer::collected(4 * pixels.len(), colors)
}

/// The light that white paper reflects through each ink and black.
fn multiply_inks(samples: &[u8]) -> Result<Vec<u8>, PixelError> {
    let (pixels, _) = samples.as_chunks();
    let colors = pixels.iter().flat_map(|&[cyan, magenta, yellow, black]| {
        let paper = 255 - u32::from(black);
        [cyan, magenta, yellow]
            .map(|ink| u8::try_from(((255 - u32::from(ink)) * paper + 127) / 255).unwrap_or(255))
    });
    buffer::collected(3 * pixels.len(), colors)
}

/// Converts a grid of colours and compares the result with the colours themselves: names and descriptions of profiles cannot be trusted.
fn is_srgb(profile: &[u8]) -> bool {
    const STEPS: [u8; 6] = [0, 51, 102, 153, 204, 255];
    let Ok(profile) = ColorProfile::new_from_slice(profile) else {
        return true;
    };
    if profile.color_space != DataColorSpace::Rgb {
        return false;
    }
    let srgb = ColorProfile::new_srgb();
    let Ok(transform) =
        profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, TransformOptions::default())
    else {
        return true;
    };
    let grid: Vec<u8> = STEPS
        .iter()
        .flat_map(|&red| {
            STEPS
                .iter()
                .flat_map(move |&green| STEPS.iter().flat_map(move |&blue| [red, green, blue]))
        })
        .collect();
    let mut made = vec![0; grid.len()];
    transform.transform(&grid, &mut made).is_ok()
        && grid
            .iter()
            .zip(&made)
            .all(|(before, after)| before.abs_diff(*after) <= 2)
}

#[cfg(test)]
mod tests;
