//! What is cut away before everything else: given amounts, or a border of one colour.

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

use crate::options::color::Color;
use crate::options::decimals::Share;
use crate::options::domain::ValueDomain;
use crate::options::value::{OptionValue, ValueError, nearest, number};

/// What is cut away, in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trim {
    /// Cut from this side.
    pub top: Option<Length>,
    /// Cut from this side.
    pub right: Option<Length>,
    /// Cut from this side.
    pub bottom: Option<Length>,
    /// Cut from this side.
    pub left: Option<Length>,
    /// The width that is kept, counted from the end of `left`.
    pub width: Option<Length>,
    /// The height that is kept, counted from the end of `top`.
    pub height: Option<Length>,
    /// A border of one colour is found and cut.
    pub border: Option<TrimBorder>,
}

impl Trim {
    /// Whether nothing is cut from any picture.
    pub(crate) fn is_neutral(&self) -> bool {
        let Trim {
            top,
            right,
            bottom,
            left,
            width,
            height,
            border,
        } = self;
        let sides_stay = [top, right, bottom, left]
            .into_iter()
            .all(|side| side.is_none_or(|length| length == Length::Pixels(0)));
        sides_stay && width.is_none() && height.is_none() && border.is_none()
    }
}

/// `none`, or sides and border in a fixed order: part of a cache key, not of a URL.
impl fmt::Display for Trim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Trim::default() {
            return f.write_str("none");
        }
        let Trim {
            top,
            right,
            bottom,
            left,
            width,
            height,
            border,
        } = self;
        for length in [top, right, bottom, left, width, height] {
            match length {
                Some(length) => write!(f, "{length};")?,
                None => f.write_str("none;")?,
            }
        }
        match border {
            Some(border) => border.fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl fmt::Display for TrimBorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TrimBorder {
            color,
            tolerance,
            keep,
        } = self;
        f.write_str("border")?;
        if let Some(color) = color {
            write!(f, " of {color}")?;
        }
        if let Some(tolerance) = tolerance {
            write!(f, " within {tolerance}")?;
        }
        if let Some(keep) = keep {
            write!(f, " less {keep}")?;
        }
        Ok(())
    }
}

/// How a border of one colour is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TrimBorder {
    /// Its colour; `None` takes the colour from the picture.
    pub color: Option<Color>,
    /// The largest difference from the colour that still counts as border, 0 to 255.
    pub tolerance: Option<u8>,
    /// How many pixels of the border stay.
    pub keep: Option<u32>,
}

/// A distance along a side of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Length {
    /// A number of pixels.
    Pixels(u32),
    /// A part of that side.
    Share(Share),
}

impl OptionValue for Length {
    const EXPECTED: &'static str = "a number of pixels, or a number below 1 for a part of the side";
    const DOMAIN: ValueDomain = ValueDomain::decimal(0.0, None);

    fn parse(text: &str) -> Result<Self, ValueError> {
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        if value < 0.0 {
            return Err(ValueError::OutOfRange(Self::EXPECTED));
        }
        if value > 0.0 && value < 1.0 {
            return Ok(Length::Share(Share::nearest(value)));
        }
        Ok(Length::Pixels(nearest(value)))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        prop_oneof![
            any::<u32>().prop_map(Length::Pixels),
            Share::any().prop_map(Length::Share),
        ]
        .boxed()
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Length::Pixels(pixels) => pixels.fmt(f),
            Length::Share(share) => share.fmt(f),
        }
    }
}

/// The value of the option `trim` itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrimValue {
    /// A border of one colour is found and cut.
    Border,
    /// What is cut from top, right, bottom and left: short for the four options of these names, which the parser sets in its place.
    Sides([Length; 4]),
}

impl OptionValue for TrimValue {
    const EXPECTED: &'static str = "border, or four numbers as in 20;30;20;0";
    const DOMAIN: ValueDomain = ValueDomain::words(&["border"]).or_text("20;30;20;0");

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "border" {
            return Ok(TrimValue::Border);
        }
        let mut parts = text.split(';').map(|part| Length::parse(part.trim()));
        let (Some(top), Some(right), Some(bottom), Some(left), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(ValueError::Malformed(Self::EXPECTED));
        };
        Ok(TrimValue::Sides([top?, right?, bottom?, left?]))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let sides = [Length::any(), Length::any(), Length::any(), Length::any()];
        prop_oneof![Just(TrimValue::Border), sides.prop_map(TrimValue::Sides)].boxed()
    }
}

impl fmt::Display for TrimValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrimValue::Border => f.write_str("border"),
            TrimValue::Sides([top, right, bottom, left]) => {
                write!(f, "{top};{right};{bottom};{left}")
            }
        }
    }
}
