//! The formats that `format=auto` chooses from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::options::format::Format;

/// How many formats there are that some clients show and others do not.
const COUNT: usize = 3;

/// Some of JPEG XL, AVIF and WebP, each once, in an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Formats {
    /// Without gaps: behind the first `None` there are only others.
    list: [Option<Format>; COUNT],
}

impl Formats {
    /// No format.
    pub const NONE: Formats = Formats {
        list: [None; COUNT],
    };
    /// All of them, the best first.
    pub const ALL: Formats = Formats {
        list: [Some(Format::Jxl), Some(Format::Avif), Some(Format::Webp)],
    };

    /// The formats in their order.
    pub fn iter(self) -> impl Iterator<Item = Format> {
        self.list.into_iter().flatten()
    }

    /// The first one.
    pub fn first(self) -> Option<Format> {
        self.iter().next()
    }

    /// Whether a format is among them.
    pub fn contains(self, format: Format) -> bool {
        self.iter().any(|listed| listed == format)
    }

    /// Those for which something holds, in the same order.
    pub fn filter(self, mut holds: impl FnMut(Format) -> bool) -> Formats {
        let mut kept = Formats::NONE;
        let rest = self.iter().filter(|&format| holds(format));
        for (slot, format) in kept.list.iter_mut().zip(rest) {
            *slot = Some(format);
        }
        kept
    }
}

impl From<Formats> for Vec<String> {
    fn from(formats: Formats) -> Self {
        formats.iter().map(|format| format.to_string()).collect()
    }
}

/// For the settings: names, each of them known, none of them twice.
impl TryFrom<Vec<String>> for Formats {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let mut formats = Formats::NONE;
        for (index, name) in names.iter().enumerate() {
            let known = Formats::ALL
                .iter()
                .find(|format| format.to_string() == *name);
            let Some(format) = known else {
                return Err(format!(
                    "a format must be `jxl`, `avif` or `webp`, got `{name}`"
                ));
            };
            if formats.contains(format) {
                return Err(format!("a format must be listed once, got `{name}` twice"));
            }
            // There are as many places as there are formats.
            if let Some(slot) = formats.list.get_mut(index) {
                *slot = Some(format);
            }
        }
        Ok(formats)
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, format) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("+")?;
            }
            format.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Formats;
    use crate::options::format::Format;

    #[track_caller]
    fn parse(names: &[&str]) -> Result<String, String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Formats::try_from(names).map(|formats| formats.to_string())
    }

    #[test]
    fn settings_list_formats_in_any_order() {
        assert_eq!(
            parse(&["jxl", "avif", "webp"]),
            Ok("jxl+avif+webp".to_owned())
        );
        assert_eq!(parse(&["webp", "jxl"]), Ok("webp+jxl".to_owned()));
        assert_eq!(parse(&[]), Ok(String::new()));
    }

    #[test]
    fn unknown_and_repeated_names_are_refused() {
        for (names, named) in [
            (&["jpeg"][..], "got `jpeg`"),
            (&["AVIF"], "got `AVIF`"),
            (&["avif", "webp", "avif"], "got `avif` twice"),
            (&["jxl", "avif", "webp", "jxl"], "got `jxl` twice"),
        ] {
            let error = parse(names).expect_err("refused");
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_part_has_the_order_of_the_whole() {
        let part = Formats::ALL.filter(|format| format != Format::Avif);
        assert_eq!(part.to_string(), "jxl+webp");
        assert_eq!(part.first(), Some(Format::Jxl));
        assert!(part.contains(Format::Webp) && !part.contains(Format::Avif));
        assert_eq!(part.filter(|_| false), Formats::NONE);
    }
}
