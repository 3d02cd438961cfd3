//! What was asked, what the client can show and what the operator prefers become a recipe.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::Denied;
use crate::options::Dpr;
use crate::options::Fit;
use crate::options::FormatChoice;
use crate::options::Gravity;
use crate::options::Options;
use crate::options::Output;
use crate::options::Pixels;
use crate::options::Quality;
use crate::options::Recipe;
use crate::options::Warning;
use crate::options::Width;
use crate::request::Accept;

/// Section `[policy]`: what stands in for options that a URL leaves open, and the limit of those it does not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NegotiateConfig {
    /// The largest width and height that may be asked, in output pixels, `dpr` included.
    pub output_side: NonZeroU32,
    /// Encoder quality for URLs that name none, 1 to 100.
    pub quality: Quality,
}

impl Default for NegotiateConfig {
    fn default() -> Self {
        const OUTPUT_SIDE: NonZeroU32 =
            NonZeroU32::new(12_000).expect("the default limit is not zero");
        NegotiateConfig {
            output_side: OUTPUT_SIDE,
            quality: Quality::DEFAULT,
        }
    }
}

/// What was decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) recipe: Recipe,
    pub(super) vary_accept: bool,
    pub(super) warnings: Vec<Warning>,
}

/// Leaves nothing open. What cannot matter takes its default, so that URLs with the same result share one recipe.
///
/// # Errors
/// [`Denied::OutputTooLarge`] when a side is beyond the limit.
pub(super) fn negotiate(
    options: &Options,
    accept: Accept,
    config: &NegotiateConfig,
) -> Result<Decided, Denied> {
    let limit = config.output_side.get();
    let asked_width = match options.width {
        Some(Width::Pixels(width)) => Some(width),
        Some(Width::Auto) | None => None,
    };
    let width = asked_width
        .map(|width| side("width", width, options.dpr, limit))
        .transpose()?;
    let height = options
        .height
        .map(|height| side("height", height, options.dpr, limit))
        .transpose()?;
    let mut warnings = options.effects_to_come();
    let asked_fit = options.fit.unwrap_or(Fit::ScaleDown);
    let fit = match (width, height) {
        (Some(_), Some(_)) => asked_fit,
        _ => {
            if needs_both_sides(asked_fit) {
                warnings.push(Warning::new(format!(
                    "{asked_fit} fit mode needs both width and height"
                )));
            }
            if (width, height) == (None, None) {
                Fit::ScaleDown
            } else {
                asked_fit.of_one_side()
            }
        }
    };
    Ok(Decided {
        recipe: Recipe {
            width,
            height,
            fit,
            gravity: gravity(fit, options.gravity),
            background: options.background,
            quality: options
                .quality
                .map_or(config.quality, |quality| quality.quality()),
            output: output(options.format, accept),
        },
        vary_accept: options.format == Some(FormatChoice::Auto),
        warnings,
    })
}

/// A side in output pixels: the nearest whole number, at least 1.
fn side(option: &'static str, asked: Pixels, dpr: Option<Dpr>, limit: u32) -> Result<u32, Denied> {
    let pixels = match dpr {
        Some(dpr) => {
            let scaled = (f64::from(asked.get()) * dpr.get()).round();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a cast from float to integer saturates, and the limit is below the largest"
            )]
            let pixels = scaled as u32;
            pixels.max(1)
        }
        None => asked.get(),
    };
    if pixels > limit {
        return Err(Denied::OutputTooLarge {
            option,
            pixels,
            limit,
        });
    }
    Ok(pixels)
}

/// Whether a fit fills a box, and so needs one.
fn needs_both_sides(fit: Fit) -> bool {
    match fit {
        Fit::Cover | Fit::Crop | Fit::AspectCrop | Fit::Pad | Fit::Squeeze => true,
        Fit::ScaleDown | Fit::Contain | Fit::ScaleUp => false,
    }
}

/// Only what cuts has a part to keep. What needs a look at the picture is the centre for now.
fn gravity(fit: Fit, asked: Option<Gravity>) -> Gravity {
    let position = match fit {
        Fit::Cover | Fit::Crop | Fit::AspectCrop => asked.and_then(Gravity::position),
        Fit::ScaleDown | Fit::Contain | Fit::Pad | Fit::Squeeze | Fit::ScaleUp => None,
    };
    let Some((x, y)) = position else {
        return Gravity::Center;
    };
    let sides = [
        Gravity::Center,
        Gravity::Left,
        Gravity::Right,
        Gravity::Top,
        Gravity::Bottom,
    ];
    sides
        .into_iter()
        .find(|side| side.position() == Some((x, y)))
        .unwrap_or(Gravity::At(x, y))
}

/// An explicit format is made whatever the client says it can show: the URL knows better than a proxy's `Accept`.
fn output(format: Option<FormatChoice>, accept: Accept) -> Output {
    match format {
        Some(FormatChoice::Auto) if accept.avif => Output::Avif,
        Some(FormatChoice::Auto) if accept.webp => Output::Webp,
        // JSON and SVG have no effect yet, and their warning comes with the others of that kind.
        None | Some(FormatChoice::Auto | FormatChoice::Json | FormatChoice::Svg) => {
            Output::Compatible
        }
        Some(FormatChoice::Avif) => Output::Avif,
        Some(FormatChoice::Webp) => Output::Webp,
        Some(FormatChoice::Jpeg) => Output::Jpeg { progressive: true },
        Some(FormatChoice::BaselineJpeg) => Output::Jpeg { progressive: false },
        Some(FormatChoice::Png | FormatChoice::PngForce) => Output::Png,
    }
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
