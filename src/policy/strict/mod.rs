//! Strict mode: it reports everything in a URL that has no effect.

use crate::options::{
    Compression, Diagnostics, Dpr, Factor, Fit, FormatChoice, Gravity, Length, Options,
    ParsedOptions, Upscale, Width,
};
use crate::policy::error::Denial;
use crate::policy::negotiate::{Decision, needs_both_sides};

/// Everything wrong with the options of a request: first what the parser found, then the negotiation, then this module.
pub(super) fn diagnostics(
    asked: &ParsedOptions,
    decision: Result<&Decision, &Denial>,
) -> Diagnostics {
    let mut diagnostics = asked.diagnostics();
    match decision {
        Ok(decision) => {
            for warning in &decision.warnings {
                diagnostics.add(warning);
            }
        }
        // The parser has reported it already.
        Err(Denial::Options(_)) => {}
        // Alone, it is an error in any mode, with a number of its own.
        Err(denied) if !diagnostics.is_empty() => diagnostics.add(denied),
        Err(_) => {}
    }
    if let Ok(options) = asked.as_result() {
        for reason in without_effect(options) {
            diagnostics.add(reason);
        }
    }
    diagnostics
}

/// Options with valid values that have no effect beside the others, or that change nothing by definition. Values that clearly ask for no change
/// (`dpr=1`, `blur=0`) are no mistake.
fn without_effect(options: &Options) -> impl Iterator<Item = &'static str> {
    let has_both = options.width.is_some() && options.height.is_some();
    let has_side = options.width.is_some() || options.height.is_some();
    let fit = options.fit.unwrap_or_default();
    let crops = has_both && matches!(fit, Fit::Cover | Fit::Crop | Fit::AspectCrop);
    let enlarges = has_side && !matches!(fit, Fit::ScaleDown | Fit::Crop | Fit::AspectCrop);
    let is_auto = options.width == Some(Width::Auto);
    let is_fast = options.compression == Some(Compression::Fast);
    let shows_nothing = matches!(options.format, Some(FormatChoice::Json | FormatChoice::Svg));
    let ignores_speed = shows_nothing || options.format == Some(FormatChoice::PngForce);
    let is_aimed = options.auto_quality.is_some() || options.max_bytes.is_some();
    let has_quality = options.quality.is_some() || options.slow_connection_quality.is_some();
    let rows = [
        (
            options.gravity.is_some() && !crops,
            "option `gravity` counts only where fit is cover, crop or aspect-crop and there are width and height",
        ),
        (
            options.zoom.is_some_and(|zoom| !zoom.is_neutral())
                && options.gravity != Some(Gravity::Face),
            "option `zoom` counts only with gravity=face",
        ),
        (
            // The negotiation warns about a fit that needs both sides.
            options.fit.is_some() && !has_side && !needs_both_sides(fit),
            "option `fit` counts only with width or height",
        ),
        (
            options.dpr.is_some_and(|dpr| dpr != Dpr::ONE)
                && !has_side
                && !has_pixels_beside_sides(options),
            "option `dpr` has nothing to multiply",
        ),
        (
            options.upscale == Some(Upscale::Generate) && !enlarges,
            "option `upscale` counts only where fit enlarges",
        ),
        (
            options.wbreakpoints.is_some() && !is_auto,
            "option `wbreakpoints` counts only with width=auto",
        ),
        (
            options.wdesktop.is_some() && !is_auto,
            "option `wdesktop` counts only with width=auto",
        ),
        (
            options.wmobile.is_some() && !is_auto,
            "option `wmobile` counts only with width=auto",
        ),
        (
            has_quality && shows_nothing,
            "option `quality` counts only where a picture is encoded",
        ),
        (
            has_quality && !shows_nothing && options.auto_quality.is_some(),
            "option `quality` does not count with auto-quality",
        ),
        (
            is_aimed && ignores_speed,
            "options `auto-quality` and `max-bytes` count only with JPEG, WebP and AVIF",
        ),
        (
            is_fast && ignores_speed,
            "option `compression` does not count with this format",
        ),
        (
            is_fast && !ignores_speed && options.format.is_some(),
            "option `format` does not count with compression=fast",
        ),
        (
            options.brightness == Some(Factor::ZERO),
            "brightness=0 changes nothing",
        ),
        (
            options.contrast == Some(Factor::ZERO),
            "contrast=0 changes nothing",
        ),
        (
            options
                .blur
                .is_some_and(|blur| blur.is_neutral() && blur.get() > 0.0),
            "option `blur` changes nothing below 1",
        ),
        (
            options.border_color.is_some() && !has_border(options),
            "option `border.color` counts only with a width",
        ),
    ];
    rows.into_iter()
        .filter_map(|(has_no_effect, reason)| has_no_effect.then_some(reason))
}

/// Whether dpr has pixels to multiply other than width and height.
fn has_pixels_beside_sides(options: &Options) -> bool {
    let lengths = [
        options.trim_top,
        options.trim_right,
        options.trim_bottom,
        options.trim_left,
        options.trim_width,
        options.trim_height,
    ];
    let cuts_pixels = lengths
        .iter()
        .any(|length| matches!(length, Some(Length::Pixels(pixels)) if *pixels > 0));
    cuts_pixels || options.trim_border_keep.is_some() || has_border(options)
}

fn has_border(options: &Options) -> bool {
    let widths = [
        options.border_width,
        options.border_top,
        options.border_right,
        options.border_bottom,
        options.border_left,
    ];
    widths
        .iter()
        .any(|width| width.is_some_and(|width| width > 0))
}

#[cfg(test)]
mod tests;
