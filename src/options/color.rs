//! CSS colours, for the background, the border, and the border that is trimmed away.

use std::fmt;

#[cfg(test)]
use proptest::prelude::Just;
#[cfg(test)]
use proptest::prelude::Strategy;
#[cfg(test)]
use proptest::prelude::any;
#[cfg(test)]
use proptest::prop_oneof;
#[cfg(test)]
use proptest::strategy::BoxedStrategy;
use serde::{Deserialize, Serialize};

use crate::options::domain::ValueDomain;
use crate::options::value::{OptionValue, ValueError};

/// The longest text that the parser of colours sees, in bytes. Colours are short, and the parser takes long over nested hostile text.
const MAX_LENGTH: usize = 128;

/// An sRGB colour with straight (not premultiplied) alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Color {
    /// 0 to 255.
    pub red: u8,
    /// 0 to 255.
    pub green: u8,
    /// 0 to 255.
    pub blue: u8,
    /// 0 is transparent, 255 is opaque.
    pub alpha: u8,
}

impl Color {
    /// Opaque black.
    pub(crate) const BLACK: Color = Color {
        red: 0,
        green: 0,
        blue: 0,
        alpha: 255,
    };

    /// Opaque white.
    pub(crate) const WHITE: Color = Color {
        red: 255,
        green: 255,
        blue: 255,
        alpha: 255,
    };

    /// Whether nothing shines through.
    pub(crate) const fn is_opaque(self) -> bool {
        self.alpha == 255
    }
}

impl OptionValue for Color {
    const EXPECTED: &'static str = "a CSS colour";
    const DOMAIN: ValueDomain = ValueDomain::color();

    /// Reads any CSS colour. `+` is a space, because form encoders write `rgb(255 255 0)` with it.
    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.len() > MAX_LENGTH {
            return Err(ValueError::Malformed(Self::EXPECTED));
        }
        let parsed = csscolorparser::parse(&text.replace('+', " "))
            .map_err(|_| ValueError::Malformed(Self::EXPECTED))?;
        let [red, green, blue, alpha] = parsed.to_rgba8();
        Ok(Color {
            red,
            green,
            blue,
            alpha,
        })
    }

    /// The `#` is percent-encoded, because a bare one would end the path of a URL.
    fn write_canonical(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spelling = self.to_string();
        write!(f, "%23{}", spelling.trim_start_matches('#'))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let alpha = prop_oneof![Just(0), Just(255), any::<u8>()];
        let color = (any::<[u8; 3]>(), alpha).prop_map(|([red, green, blue], alpha)| Color {
            red,
            green,
            blue,
            alpha,
        });
        color.boxed()
    }
}

/// `#rrggbb`, or `#rrggbbaa` where something shines through.
impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Color {
            red,
            green,
            blue,
            alpha,
        } = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")?;
        if self.is_opaque() {
            Ok(())
        } else {
            write!(f, "{alpha:02x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::Color;
    use crate::options::value::OptionValue;

    #[track_caller]
    fn check(text: &str, canonical: &str) {
        assert_eq!(
            Color::parse(text).expect(text).to_string(),
            canonical,
            "{text}"
        );
    }

    #[test]
    fn every_css_spelling_of_section_2_2() {
        check("#F00", "#ff0000");
        check("ff0000", "#ff0000");
        check("#ff000080", "#ff000080");
        check("#ff0000ff", "#ff0000");
        check("red", "#ff0000");
        check("RebeccaPurple", "#663399");
        check("transparent", "#00000000");
        check("rgb(240,40,145)", "#f02891");
        check("rgba(240,40,145,0)", "#f0289100");
        check("rgb(255 255 0)", "#ffff00");
        check("rgb(255+255+0)", "#ffff00");
        check("rgb(255+255+0+/+50%)", "#ffff0080");
        check("hsl(120,100%,50%)", "#00ff00");
        check("hsl(120deg 100% 50% / 0.5)", "#00ff0080");
        check("rgb(999,-5,0)", "#ff0000");
    }

    #[test]
    fn what_is_no_colour() {
        for text in [
            "",
            "#",
            "#12",
            "nope",
            "rgb(",
            "rgb()",
            "rgb(1,2)",
            "()",
            ")(",
            "\u{e9}",
            "#\u{e9}\u{e9}",
            "rgb(nan,inf,0)x",
        ] {
            assert!(Color::parse(text).is_err(), "{text}");
        }
        let nested = "rgb(from ".repeat(14) + "red";
        assert!(Color::parse(&nested).is_err());
        assert!(Color::parse(&" ".repeat(200)).is_err());
    }

    proptest! {
        #[test]
        fn almost_colours_are_refused_or_have_a_canonical_spelling(
            text in "(#|rgb|hsl|hwb|hsv|lab|oklch|color)a?\\(?(from (red|#abc) |srgb )?[rgbhslcalc0-9+*/%. ,()e-]{0,50}\\)?"
        ) {
            if let Ok(color) = Color::parse(&text) {
                prop_assert_eq!(Color::parse(&color.to_string()), Ok(color));
            }
        }
    }
}
