//! Options that are read but have no effect yet. One that gets its effect loses its line here.

use crate::options::decimals::Zoom;
use crate::options::definitions::Options;
use crate::options::fit::Gravity;
use crate::options::keywords::Upscale;
use crate::options::warning::Warning;

impl Options {
    /// A warning for each option that should change the picture and does not yet. Neutral values ask for nothing and cause no warning.
    pub(crate) fn unsupported_warnings(&self) -> Vec<Warning> {
        let Options {
            gravity,
            segment,
            upscale,
            zoom,
            ..
        } = self;
        let rows = [
            ("gravity=face", *gravity == Some(Gravity::Face)),
            ("segment", segment.is_some()),
            ("upscale=generate", *upscale == Some(Upscale::Generate)),
            ("zoom", zoom.is_some_and(|zoom: Zoom| !zoom.is_neutral())),
        ];
        rows.into_iter()
            .filter(|(_, is_asked)| *is_asked)
            .map(|(option, _)| Warning::new(format!("{option} has no effect yet")))
            .collect()
    }
}
