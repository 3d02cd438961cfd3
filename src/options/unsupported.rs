//! The options that are read but not yet acted on. An option that gets its effect loses its line here.

use super::Options;
use super::Warning;
use super::fit::Gravity;
use super::keywords::Upscale;
use super::values::Zoom;

/// A warning for each option whose value should change the picture and does not yet. Neutral values ask for nothing.
pub(super) fn warnings(options: &Options) -> Vec<Warning> {
    let Options {
        gravity,
        segment,
        upscale,
        zoom,
        ..
    } = options;
    let asked = [
        ("gravity=face", *gravity == Some(Gravity::Face)),
        ("segment", segment.is_some()),
        ("upscale=generate", *upscale == Some(Upscale::Generate)),
        ("zoom", zoom.is_some_and(|zoom: Zoom| !zoom.is_neutral())),
    ];
    let without_effect = asked.into_iter().filter(|(_, is_asked)| *is_asked);
    without_effect
        .map(|(option, _)| Warning::new(format!("{option} has no effect yet")))
        .collect()
}
