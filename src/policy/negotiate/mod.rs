//! What was asked, what the client can show and what the operator prefers become a recipe.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use crate::options::Border;
use crate::options::Breakpoints;
use crate::options::Color;
use crate::options::Compression;
use crate::options::Dpr;
use crate::options::Effects;
use crate::options::Effort;
use crate::options::Factor;
use crate::options::Fit;
use crate::options::FormatChoice;
use crate::options::Gravity;
use crate::options::Length;
use crate::options::Metadata;
use crate::options::Options;
use crate::options::Output;
use crate::options::Pixels;
use crate::options::Quality;
use crate::options::QualityChoice;
use crate::options::QualityTarget;
use crate::options::Recipe;
use crate::options::Rotation;
use crate::options::Trim;
use crate::options::TrimBorder;
use crate::options::Warning;
use crate::options::Width;
use crate::policy::Denial;
use crate::request::Accept;
use crate::request::ClientHints;
use crate::request::EffectiveConnectionType;
use crate::request::Vary;
use crate::request::VaryHeader;

/// What `width=auto` chooses from where the URL does not say.
const BREAKPOINTS: [Pixels; 4] = [pixels(320), pixels(768), pixels(960), pixels(1200)];
/// What `width=auto` is for a phone without client hints, where the URL does not say.
const MOBILE: Pixels = pixels(768);
/// What `width=auto` is for everything else without client hints, where the URL does not say.
const DESKTOP: Pixels = pixels(1200);
/// A connection is slow above this.
const SLOW_RTT: Duration = Duration::from_millis(150);
/// A connection is slow below this.
const SLOW_DOWNLINK_KBPS: u32 = 5000;

/// What stands in for options that a URL leaves open, and the limit of those it does not; from several sections.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NegotiateConfig {
    /// The largest width and height that may be asked, in output pixels, `dpr` included.
    pub output_side: NonZeroU32,
    /// Encoder quality for URLs that name none, 1 to 100.
    pub quality: Quality,
    /// Whether colours beyond sRGB are kept, with their profile.
    pub wide_gamut: bool,
    /// Whether `width=auto` multiplies the width of the viewport by `Sec-CH-DPR`.
    pub viewport_dpr: bool,
}

impl Default for NegotiateConfig {
    fn default() -> Self {
        const OUTPUT_SIDE: NonZeroU32 =
            NonZeroU32::new(12_000).expect("the default limit is not zero");
        NegotiateConfig {
            output_side: OUTPUT_SIDE,
            quality: Quality::DEFAULT,
            wide_gamut: false,
            viewport_dpr: false,
        }
    }
}

/// What was decision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) recipe: Recipe,
    pub(super) must_be_pixels: bool,
    pub(super) warnings: Vec<Warning>,
}

/// Leaves nothing open. What cannot matter takes its default, so that URLs with the same result share one recipe.
///
/// # Errors
/// [`Denial::OutputTooLarge`] when a side is beyond the limit.
pub(super) fn negotiate(
    options: &Options,
    accept: Accept,
    hints: &ClientHints,
    config: &NegotiateConfig,
) -> Result<Decision, Denial> {
    let limit = config.output_side.get();
    let asked_width = options.width.map(|width| match width {
        Width::Pixels(width) => width,
        Width::Auto => auto_width(options, hints, config),
    });
    let width = asked_width
        .map(|width| side("width", width, options.dpr, limit))
        .transpose()?;
    let height = options
        .height
        .map(|height| side("height", height, options.dpr, limit))
        .transpose()?;
    let mut warnings = options.unsupported_warnings();
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
    let output = output(options, accept);
    let quality = quality(options, hints);
    if options.format == Some(FormatChoice::Png) {
        warnings.push(Warning::new("JPEG vs PNG selection is automatic"));
    }
    Ok(Decision {
        recipe: Recipe {
            trim: trim(options),
            flip: options.flip,
            rotate: options.rotate.unwrap_or(Rotation::Upright),
            width,
            height,
            fit,
            gravity: gravity(fit, options.gravity),
            background: options.background,
            effects: effects(options),
            border: border(options, limit)?,
            wide_gamut: config.wide_gamut,
            animated: options.anim.unwrap_or(true),
            quality: quality.map_or(config.quality, QualityChoice::quality),
            quality_target: quality_target(options, output),
            palette: quality.is_some() && matches!(output, Output::Compatible { .. } | Output::Png),
            metadata: options.metadata.unwrap_or(Metadata::Copyright),
            // Who asks for AVIF by name is taken to show WebP: everything that shows the one shows the other.
            webp: output != Output::Avif || accept.webp || !is_negotiated(options),
            output,
            effort: Effort::Settled,
        },
        must_be_pixels: names_pixels(options),
        warnings,
    })
}

/// What the quality is searched by, where the output may be lossy.
fn quality_target(options: &Options, output: Output) -> QualityTarget {
    match output {
        Output::Compatible { .. } | Output::Jpeg { .. } | Output::Webp | Output::Avif => {
            QualityTarget {
                score: options.auto_quality,
                size: options.max_bytes,
            }
        }
        Output::Png | Output::Json | Output::Svg => QualityTarget::default(),
    }
}

/// Which headers of the request [`negotiate`] looks at, whatever comes of it.
pub(super) fn vary(options: &Options, hints: &ClientHints, config: &NegotiateConfig) -> Vary {
    let mut vary = Vary::default();
    if is_negotiated(options) {
        vary.add(VaryHeader::Accept);
    }
    if options.width == Some(Width::Auto) {
        vary.add(VaryHeader::ViewportWidth);
        vary.add(VaryHeader::UserAgent);
        if hints.viewport_width.is_none() {
            vary.add(VaryHeader::LegacyViewportWidth);
        }
        if config.viewport_dpr {
            vary.add(VaryHeader::Dpr);
        }
    }
    if options.slow_connection_quality.is_some() {
        for header in [
            VaryHeader::Rtt,
            VaryHeader::SaveData,
            VaryHeader::Ect,
            VaryHeader::Downlink,
        ] {
            vary.add(header);
        }
    }
    vary
}

/// What `width=auto` stands for: the smallest breakpoint that is as wide as the viewport, or the largest there is; without a viewport
/// the width for the kind of device.
fn auto_width(options: &Options, hints: &ClientHints, config: &NegotiateConfig) -> Pixels {
    let Some(viewport) = viewport(hints, config) else {
        return if hints.is_phone {
            options.wmobile.unwrap_or(MOBILE)
        } else {
            options.wdesktop.unwrap_or(DESKTOP)
        };
    };
    let widths = options
        .wbreakpoints
        .as_ref()
        .map_or(&BREAKPOINTS[..], Breakpoints::widths);
    widths
        .iter()
        .find(|width| width.get() >= viewport)
        .or(widths.last())
        .copied()
        .unwrap_or(DESKTOP)
}

/// How wide a picture a viewport has room for. That a dense screen needs a wider one is not in Cloudflare's documentation, though it
/// asks browsers for their `Sec-CH-DPR`: so it counts where the operator says so, and only here.
fn viewport(hints: &ClientHints, config: &NegotiateConfig) -> Option<u32> {
    let width = hints.viewport_width.or(hints.legacy_viewport_width)?;
    let dpr = hints.dpr.filter(|_| config.viewport_dpr);
    Some(scaled(width, dpr))
}

/// The quality that the URL asks for: one for slow connections takes the place of the other where the connection is slow.
fn quality(options: &Options, hints: &ClientHints) -> Option<QualityChoice> {
    options
        .slow_connection_quality
        .filter(|_| is_slow(hints))
        .or(options.quality)
}

/// One hint is enough.
fn is_slow(hints: &ClientHints) -> bool {
    let is_slow_kind = matches!(
        hints.connection,
        Some(
            EffectiveConnectionType::Slow2g
                | EffectiveConnectionType::Like2g
                | EffectiveConnectionType::Like3g
        )
    );
    hints.save_data
        || is_slow_kind
        || hints.rtt.is_some_and(|rtt| rtt > SLOW_RTT)
        || hints
            .downlink_kbps
            .is_some_and(|kbps| kbps < SLOW_DOWNLINK_KBPS)
}

/// For the constants above.
const fn pixels(pixels: u32) -> Pixels {
    Pixels::new(pixels).expect("no constant is zero")
}

/// The trim with its pixels multiplied by dpr. Parts of a side stay as they are.
fn trim(options: &Options) -> Trim {
    let asked = options.combined_trim();
    if asked.is_neutral() {
        return Trim::default();
    }
    let length = |length: Option<Length>| match length {
        Some(Length::Pixels(pixels)) => Some(Length::Pixels(scaled(pixels, options.dpr))),
        other => other,
    };
    Trim {
        top: length(asked.top),
        right: length(asked.right),
        bottom: length(asked.bottom),
        left: length(asked.left),
        width: length(asked.width),
        height: length(asked.height),
        border: asked.border.map(|border| TrimBorder {
            keep: border.keep.map(|keep| scaled(keep, options.dpr)),
            ..border
        }),
    }
}

/// What changes the colours; what would change nothing is left out. For brightness and contrast 0 means 1; for saturation it is grey.
fn effects(options: &Options) -> Effects {
    let changes = |factor: &Factor| *factor != Factor::ZERO && *factor != Factor::ONE;
    Effects {
        blur: options.blur.filter(|blur| !blur.is_neutral()),
        brightness: options.brightness.filter(changes),
        contrast: options.contrast.filter(changes),
        gamma: options.gamma.filter(|gamma| !gamma.is_neutral()),
        saturation: options.saturation.filter(|factor| *factor != Factor::ONE),
        sharpen: options.sharpen.filter(|sharpen| !sharpen.is_neutral()),
    }
}

/// The border with its widths in output pixels, or `None` where all of them are 0.
fn border(options: &Options, limit: u32) -> Result<Option<Border>, Denial> {
    let side = |side: Option<u32>| {
        let pixels = scaled(side.or(options.border_width).unwrap_or(0), options.dpr);
        if pixels > limit {
            return Err(Denial::OutputTooLarge {
                option: "border",
                pixels,
                limit,
            });
        }
        Ok(pixels)
    };
    let border = Border {
        color: options.border_color.unwrap_or(Color::BLACK),
        top: side(options.border_top)?,
        right: side(options.border_right)?,
        bottom: side(options.border_bottom)?,
        left: side(options.border_left)?,
    };
    let is_visible = [border.top, border.right, border.bottom, border.left]
        .into_iter()
        .any(|side| side > 0);
    Ok(is_visible.then_some(border))
}

/// A number of pixels times dpr, to the nearest.
fn scaled(pixels: u32, dpr: Option<Dpr>) -> u32 {
    let Some(dpr) = dpr else { return pixels };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from float to integer saturates, and every limit is below the largest"
    )]
    let scaled = (f64::from(pixels) * dpr.get()).round() as u32;
    scaled
}

/// A side in output pixels: the nearest whole number, at least 1.
fn side(option: &'static str, asked: Pixels, dpr: Option<Dpr>, limit: u32) -> Result<u32, Denial> {
    let pixels = scaled(asked.get(), dpr).max(1);
    if pixels > limit {
        return Err(Denial::OutputTooLarge {
            option,
            pixels,
            limit,
        });
    }
    Ok(pixels)
}

/// Whether a fit fills a box, and so needs one.
pub(super) fn needs_both_sides(fit: Fit) -> bool {
    match fit {
        Fit::Cover | Fit::Crop | Fit::AspectCrop | Fit::Pad | Fit::Squeeze => true,
        Fit::ScaleDown | Fit::Contain | Fit::ScaleUp => false,
    }
}

/// Only what cuts has a part to keep. Faces are not found yet, and the centre stands for them.
fn gravity(fit: Fit, asked: Option<Gravity>) -> Gravity {
    let asked = match (fit, asked) {
        (Fit::Cover | Fit::Crop | Fit::AspectCrop, Some(asked)) => asked,
        _ => return Gravity::Center,
    };
    let Some(point) = asked.position() else {
        return if asked == Gravity::Face {
            Gravity::Center
        } else {
            asked
        };
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
        .find(|side| side.position() == Some(point))
        .unwrap_or(asked)
}

/// Whether the format is chosen by what the client says it can show.
fn is_negotiated(options: &Options) -> bool {
    options.format == Some(FormatChoice::Auto) && options.compression.is_none()
}

/// Whether the URL names a format of pixels, so that a drawing, which stays one, is no answer.
pub(super) fn names_pixels(options: &Options) -> bool {
    match options.format {
        Some(
            FormatChoice::Avif
            | FormatChoice::Webp
            | FormatChoice::Jpeg
            | FormatChoice::BaselineJpeg
            | FormatChoice::PngForce,
        ) => true,
        None
        | Some(FormatChoice::Auto | FormatChoice::Png | FormatChoice::Json | FormatChoice::Svg) => {
            false
        }
    }
}

/// An explicit format is made whatever the client says it can show: the URL knows better than a proxy's `Accept`.
fn output(options: &Options, accept: Accept) -> Output {
    match options.format {
        Some(FormatChoice::Json) => Output::Json,
        Some(FormatChoice::Svg) => Output::Svg,
        Some(FormatChoice::PngForce) => Output::Png,
        // The quickest codec of all is that of sequential JPEG.
        _ if options.compression == Some(Compression::Fast) => {
            Output::Compatible { progressive: false }
        }
        Some(FormatChoice::Auto) if accept.avif => Output::Avif,
        Some(FormatChoice::Auto) if accept.webp => Output::Webp,
        None | Some(FormatChoice::Auto | FormatChoice::Png) => {
            Output::Compatible { progressive: true }
        }
        Some(FormatChoice::Avif) => Output::Avif,
        Some(FormatChoice::Webp) => Output::Webp,
        Some(FormatChoice::Jpeg) => Output::Jpeg { progressive: true },
        Some(FormatChoice::BaselineJpeg) => Output::Jpeg { progressive: false },
    }
}

#[cfg(test)]
mod tests;
