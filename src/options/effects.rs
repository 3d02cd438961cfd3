//! The options that are read but not yet acted on. An option that gets its effect loses its line here.

use super::Options;
use super::Warning;
use super::fit::Gravity;
use super::fit::Rotation;
use super::format::FormatChoice;
use super::size::Width;
use super::values::Blur;
use super::values::Factor;
use super::values::Gamma;
use super::values::Sharpen;
use super::values::Zoom;
use super::words::Metadata;
use super::words::Upscale;

/// A warning for each option whose value should change the picture and does not yet. Neutral values ask for nothing.
pub(super) fn to_come(options: &Options) -> Vec<Warning> {
    // Without `..`, so that a new option stops the build until it has a line below or an underscore here.
    let Options {
        anim: _,
        background: _,
        blur,
        brightness,
        compression,
        contrast,
        dpr: _,
        fit: _,
        flip,
        format,
        gamma,
        gravity,
        height: _,
        metadata,
        // Says nothing about the picture, only about what stands in for it.
        onerror: _,
        quality: _,
        rotate,
        saturation,
        segment,
        sharpen,
        slow_connection_quality,
        trim,
        upscale,
        wbreakpoints,
        wdesktop,
        width,
        wmobile,
        zoom,
    } = options;
    // For brightness and contrast 0 means 1; for saturation it means grey.
    let is_flat = |factor: Factor| factor == Factor::ZERO || factor == Factor::ONE;
    // The breakpoints and the widths for devices speak to `width=auto` only.
    let is_auto = *width == Some(Width::Auto);
    let asked = [
        ("blur", blur.is_some_and(|blur: Blur| !blur.is_neutral())),
        (
            "brightness",
            brightness.is_some_and(|factor| !is_flat(factor)),
        ),
        ("compression", compression.is_some()),
        ("contrast", contrast.is_some_and(|factor| !is_flat(factor))),
        ("flip", flip.is_some()),
        ("format=json", *format == Some(FormatChoice::Json)),
        ("format=svg", *format == Some(FormatChoice::Svg)),
        (
            "gamma",
            gamma.is_some_and(|gamma: Gamma| !gamma.is_neutral()),
        ),
        ("gravity=auto", *gravity == Some(Gravity::Auto)),
        ("gravity=face", *gravity == Some(Gravity::Face)),
        ("gravity=entropy", *gravity == Some(Gravity::Entropy)),
        // Everything is dropped for now, which is what `none` asks for.
        (
            "metadata",
            matches!(metadata, Some(Metadata::Copyright | Metadata::Keep)),
        ),
        (
            "rotate",
            rotate.is_some_and(|rotation| rotation != Rotation::Upright),
        ),
        (
            "saturation",
            saturation.is_some_and(|factor| factor != Factor::ONE),
        ),
        ("segment", segment.is_some()),
        (
            "sharpen",
            sharpen.is_some_and(|sharpen: Sharpen| !sharpen.is_neutral()),
        ),
        ("slow-connection-quality", slow_connection_quality.is_some()),
        ("trim", !trim.is_neutral()),
        ("upscale=generate", *upscale == Some(Upscale::Generate)),
        ("wbreakpoints", is_auto && wbreakpoints.is_some()),
        ("wdesktop", is_auto && wdesktop.is_some()),
        ("width=auto", is_auto),
        ("wmobile", is_auto && wmobile.is_some()),
        ("zoom", zoom.is_some_and(|zoom: Zoom| !zoom.is_neutral())),
    ];
    let without_effect = asked.into_iter().filter(|(_, is_asked)| *is_asked);
    without_effect
        .map(|(option, _)| Warning::new(format!("{option} has no effect yet")))
        .collect()
}
