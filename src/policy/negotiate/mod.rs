//! The decision about a recipe: from the options, what the client can show, and the settings.

mod hints;

use crate::options::{
    Border, Color, Compression, Dpr, Effects, Effort, Factor, Fit, Format, FormatChoice, Formats,
    Gravity, Length, Metadata, Options, Output, Pixels, QualityChoice, QualityTarget, Recipe,
    Rotation, Trim, TrimBorder, Warning, Width,
};
use crate::policy::config::NegotiateConfig;
use crate::policy::error::Denial;
use crate::request::{Accept, ClientHints, Vary, VaryHeader};

/// The result: a recipe, and what goes with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) recipe: Recipe,
    /// What of the formats in the recipe the client does not name, though clients that show the others are known to show it.
    pub(super) unnamed: Formats,
    /// The URL names a raster format, so that an SVG is no answer.
    pub(super) must_be_raster: bool,
    pub(super) warnings: Vec<Warning>,
}

/// Decides everything that a render depends on. What has no effect takes its default, so that URLs with the same result share one recipe.
///
/// # Errors
/// [`Denial::OutputTooLarge`] when a side is beyond the limit.
pub(super) fn negotiate(
    options: &Options,
    accept: Accept,
    hints: &ClientHints,
    config: &NegotiateConfig,
) -> Result<Decision, Denial> {
    let (dpr, limit) = (options.dpr.unwrap_or(Dpr::ONE), config.output_side.get());
    let asked_width = options.width.map(|width| match width {
        Width::Pixels(width) => width,
        Width::Auto => hints::auto_width(options, hints, config),
    });
    let width = asked_width
        .map(|width| side("width", width, dpr, limit))
        .transpose()?;
    let height = options
        .height
        .map(|height| side("height", height, dpr, limit))
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
    let output = output(options, accept, config.formats);
    let quality = hints::quality(options, hints);
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
            output,
            effort: Effort::Settled,
        },
        unnamed: match output {
            Output::Auto(formats) => formats.filter(|format| !accept.names(format)),
            _ => Formats::NONE,
        },
        must_be_raster: asks_for_raster(options),
        warnings,
    })
}

/// The goals for the quality, where the output may be lossy.
fn quality_target(options: &Options, output: Output) -> QualityTarget {
    match output {
        Output::Compatible { .. }
        | Output::Jpeg { .. }
        | Output::Webp
        | Output::Avif
        | Output::Jxl
        | Output::Auto(_) => QualityTarget {
            score: options.auto_quality,
            size: options.max_bytes,
        },
        Output::Png | Output::Json | Output::Svg => QualityTarget::default(),
    }
}

/// The headers on which [`negotiate`] depends, whatever its result.
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

/// The trim with its pixels multiplied by dpr. Parts of a side stay as they are.
fn trim(options: &Options) -> Trim {
    let asked = options.combined_trim();
    if asked.is_neutral() {
        return Trim::default();
    }
    let dpr = options.dpr.unwrap_or(Dpr::ONE);
    let length = |length: Option<Length>| match length {
        Some(Length::Pixels(pixels)) => Some(Length::Pixels(dpr.scale(pixels))),
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
            keep: border.keep.map(|keep| dpr.scale(keep)),
            ..border
        }),
    }
}

/// The changes of colour and sharpness, without those that change nothing. For brightness and contrast 0 means 1; for saturation it is grey.
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
    let dpr = options.dpr.unwrap_or(Dpr::ONE);
    let side = |side: Option<u32>| {
        let pixels = dpr.scale(side.or(options.border_width).unwrap_or(0));
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

/// A side in output pixels: the nearest whole number, at least 1.
fn side(option: &'static str, asked: Pixels, dpr: Dpr, limit: u32) -> Result<u32, Denial> {
    let pixels = dpr.scale(asked.get()).max(1);
    if pixels > limit {
        return Err(Denial::OutputTooLarge {
            option,
            pixels,
            limit,
        });
    }
    Ok(pixels)
}

/// The width that suits a client where the URL says `width=auto`, before it becomes one of those that are allowed.
pub(super) fn wanted_width(
    options: &Options,
    hints: &ClientHints,
    config: &NegotiateConfig,
) -> Pixels {
    hints::wanted_width(options, hints, config)
}

/// Whether a fit needs width and height.
pub(super) fn needs_both_sides(fit: Fit) -> bool {
    match fit {
        Fit::Cover | Fit::Crop | Fit::AspectCrop | Fit::Pad | Fit::Squeeze => true,
        Fit::ScaleDown | Fit::Contain | Fit::ScaleUp => false,
    }
}

/// The part that a crop keeps; without a crop, the centre. Faces are not found yet, so the centre stands in for them.
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

/// Whether the format depends on `Accept`.
fn is_negotiated(options: &Options) -> bool {
    options.format == Some(FormatChoice::Auto) && options.compression.is_none()
}

/// Whether the URL names a raster format, so that an SVG, which stays SVG, is no answer.
pub(super) fn asks_for_raster(options: &Options) -> bool {
    match options.format {
        Some(
            FormatChoice::Avif
            | FormatChoice::Jxl
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

/// The format. One that the URL names is made whatever `Accept` says, because a proxy on the way may have changed the header.
fn output(options: &Options, accept: Accept, formats: Formats) -> Output {
    match options.format {
        Some(FormatChoice::Json) => Output::Json,
        Some(FormatChoice::Svg) => Output::Svg,
        Some(FormatChoice::PngForce) => Output::Png,
        // Sequential JPEG is the quickest codec of all.
        _ if options.compression == Some(Compression::Fast) => {
            Output::Compatible { progressive: false }
        }
        Some(FormatChoice::Auto) => automatic(accept, formats),
        None | Some(FormatChoice::Png) => Output::Compatible { progressive: true },
        Some(FormatChoice::Avif) => Output::Avif,
        Some(FormatChoice::Jxl) => Output::Jxl,
        Some(FormatChoice::Webp) => Output::Webp,
        Some(FormatChoice::Jpeg) => Output::Jpeg { progressive: true },
        Some(FormatChoice::BaselineJpeg) => Output::Jpeg { progressive: false },
    }
}

/// The formats for a client that leaves the choice to us: those that it names, in the order of the settings.
///
/// WebP is among them where it stands behind AVIF or JPEG XL, even if the client does not name it: it takes their place where they cannot hold
/// a picture, which is rarely so, and every browser that shows them shows it. So clients that are answered with the same AVIF share it. Who
/// is then found to be given a format that it did not name is answered by [`Job::narrowed`](crate::policy::Job::narrowed).
fn automatic(accept: Accept, formats: Formats) -> Output {
    let mut is_second = false;
    let shown = formats.filter(|format| {
        let is_taken =
            format.is_written() && (accept.names(format) || (is_second && format == Format::Webp));
        is_second |= is_taken;
        is_taken
    });
    if shown == Formats::NONE {
        Output::Compatible { progressive: true }
    } else {
        Output::Auto(shown)
    }
}

#[cfg(test)]
mod tests;
