//! Options that the settings state once for many requests, and to which each of these may add some of its own.

use std::borrow::Cow;

use serde::Deserialize;

use crate::options::definitions::{OptionName, Options};
use crate::options::diagnostics::Diagnostics;
use crate::options::error::OptionError;
use crate::options::grammar::Texts;
use crate::options::parsed::ParsedOptions;

/// The options that many requests have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Preset {
    /// As they are written: what a request adds comes before shorthands are put in the place of others.
    options: Options,
}

impl Preset {
    /// Reads an options segment as a URL has it. Settings are read strictly: everything in it must have an effect.
    ///
    /// # Errors
    /// All that is wrong with the segment.
    pub(crate) fn parse(segment: &str) -> Result<Self, Diagnostics> {
        let mut parsed = ParsedOptions::default();
        parsed.read_segment(segment);
        let mut diagnostics = parsed.diagnostics();
        if segment.is_empty() {
            diagnostics = Diagnostics::default();
            diagnostics.add(OptionError::NoUsableOption);
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        Ok(Preset {
            options: parsed.options,
        })
    }

    /// The options of a request that adds nothing.
    pub(crate) fn options(&self) -> Options {
        let mut options = self.options.clone();
        options.expand_shorthands();
        options
    }

    /// The options of a request that adds a segment of them, still percent-encoded. They replace those of the preset.
    pub(crate) fn with_segment(&self, segment: &str) -> ParsedOptions {
        let mut parsed = ParsedOptions {
            options: self.options.clone(),
            ..ParsedOptions::default()
        };
        if !segment.is_empty() {
            parsed.read_segment(segment);
        }
        parsed.options.expand_shorthands();
        parsed
    }

    /// The options of a request that adds these values, each percent-decoded. A value replaces that of the preset. One that is malformed is
    /// ignored with a warning, so that the one of the preset stays. No value can name an option besides its own.
    pub(crate) fn with(&self, values: &[(OptionName, Cow<'_, str>)]) -> ParsedOptions {
        let mut parsed = ParsedOptions {
            options: self.options.clone(),
            ..ParsedOptions::default()
        };
        let mut texts: Texts<'_> = [None; OptionName::ALL.len()];
        for (name, value) in values {
            parsed.collect_text(*name, value.trim(), &mut texts);
        }
        parsed.read_texts(&texts);
        parsed.options.expand_shorthands();
        parsed
    }
}

impl TryFrom<String> for Preset {
    type Error = Diagnostics;

    fn try_from(segment: String) -> Result<Self, Diagnostics> {
        Preset::parse(&segment)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection;
    use proptest::prelude::{prop_assert_eq, proptest};
    use proptest::sample::select;

    use super::*;

    fn preset(segment: &str) -> Preset {
        Preset::parse(segment).expect(segment)
    }

    fn named<'a>(values: &[(&str, &'a str)]) -> Vec<(OptionName, Cow<'a, str>)> {
        let find = |name| OptionName::find(name).expect("the tables hold names of options");
        values
            .iter()
            .map(|&(name, value)| (find(name), Cow::Borrowed(value)))
            .collect()
    }

    /// What follows from values besides a preset, as the segment of a URL that asks for the same.
    #[track_caller]
    fn check(segment: &str, values: &[(&str, &str)], equal: &str, warnings: usize) {
        let parsed = preset(segment).with(&named(values));
        let options = parsed.as_result().expect(segment);
        let (expected, _) = Options::parse(equal).expect(equal);
        assert_eq!(options, &expected, "{segment} and {values:?}");
        assert_eq!(parsed.warnings().len(), warnings, "{segment}: {values:?}");
    }

    #[test]
    fn a_preset_alone_means_what_a_url_means() {
        for segment in ["width=80", "trim=20;30;20;0,dpr=2", "trim.border.keep=3"] {
            check(segment, &[], segment, 0);
            let (expected, _) = Options::parse(segment).expect(segment);
            assert_eq!(preset(segment).options(), expected);
        }
    }

    #[test]
    fn values_are_added_or_replace_those_of_the_preset() {
        check("quality=80", &[("width", "40")], "quality=80,width=40", 0);
        check("width=80", &[("width", "40")], "width=40", 0);
        check("width=80", &[("w", "40")], "width=40", 0);
        check("w=80,q=50", &[("width", "40")], "width=40,quality=50", 0);
        check("width=80", &[("w", "20"), ("width", " 40 ")], "width=40", 0);
        check(
            "width=80",
            &[("background", "rgb(1,2,3)")],
            "width=80,background=rgb(1,2,3)",
            0,
        );
    }

    #[test]
    fn shorthands_count_as_in_one_segment() {
        let (old, new) = ("trim=1;2;3;4", "9;8;7;6");
        check(old, &[("trim", new)], "trim=9;8;7;6", 0);
        check(old, &[("trim.top", "5")], "trim=5;2;3;4", 0);
        check("trim.top=5", &[("trim", new)], "trim=5;8;7;6", 0);
        check(
            old,
            &[("trim.border.keep", "2")],
            "trim=1;2;3;4,trim.border.keep=2",
            0,
        );
    }

    #[test]
    fn what_is_malformed_leaves_the_preset_as_it_is() {
        check("width=80", &[("width", "")], "width=80", 0);
        for wrong in [
            "abc",
            "0",
            "40,blur=250",
            "40,height=40",
            "40/../a.jpg",
            "40%2Cblur=9",
            "40\u{fffd}",
        ] {
            check("width=80", &[("width", wrong)], "width=80", 1);
        }
        check("width=80,dpr=2", &[("dpr", "9")], "width=80,dpr=9", 1);
    }

    #[test]
    fn what_is_an_error_in_a_url_is_one_here() {
        for (name, value) in [("quality", "0"), ("format", "exe"), ("rotate", "45")] {
            let message = |parsed: ParsedOptions| {
                let error = parsed.as_result().expect_err(value);
                error.to_string()
            };
            let added = preset("width=80").with(&named(&[(name, value)]));
            let in_url = ParsedOptions::parse(&format!("width=80,{name}={value}"));
            assert_eq!(message(added), message(in_url));
        }
    }

    #[test]
    fn a_preset_with_anything_wrong_is_refused() {
        for (segment, message) in [
            ("", "at least one option is needed, as in `width=640`"),
            ("width=", "at least one option is needed, as in `width=640`"),
            (
                "auto",
                "options must be pairs as in `width=640`, got `auto`",
            ),
            ("width=80,size=9", "option `size` is unknown"),
            ("width=80,", "there is nothing between two commas"),
            (
                "width=80,w=9",
                "option `width` is given twice: the last one counts",
            ),
            (
                "width=x",
                "width must be a number of pixels, at least 1, or auto, got x: ignored",
            ),
            ("format=exe", "'exe' is not a supported output format"),
            (
                "quality=0,x=1",
                "option `quality` must be a whole number from 1 to 100, got `0`; option `x` is unknown",
            ),
        ] {
            let error = Preset::parse(segment).expect_err(segment).to_string();
            assert!(error.contains(message), "{segment}: {error}");
        }
    }

    /// What options ask for besides one of them. `trim` is short for others, so all of these count as one.
    fn besides(options: &Options, name: &str) -> Vec<String> {
        let family = if name.starts_with("trim") {
            "trim"
        } else {
            name
        };
        let is_other = |pair: &&str| !pair.starts_with(family);
        let spelling = options.to_string();
        spelling
            .split(',')
            .filter(is_other)
            .map(str::to_owned)
            .collect()
    }

    proptest! {
        #[test]
        fn no_value_changes_an_option_besides_its_own(
            option in select(OptionName::ALL),
            values in collection::vec("[a-z0-9=,;/.%& ()#-]{0,24}", 1..4),
        ) {
            let preset = preset("width=80,blur=3,gravity=left,trim.top=1,trim.left=4");
            let values: Vec<_> = values
                .into_iter()
                .map(|value| (option, Cow::Owned(value)))
                .collect();
            let name = option.as_str();
            let options = preset.with(&values).options;
            prop_assert_eq!(besides(&options, name), besides(&preset.options(), name));
        }
    }
}
