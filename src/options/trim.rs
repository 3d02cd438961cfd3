//! What is cut away before anything else happens: given amounts, or a plain border.

use std::fmt;

use super::color::Color;
use super::values::Share;
use super::values::ValueError;
use super::values::nearest;
use super::values::number;

/// Everything the `trim` options ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trim {
    /// Cut from this side.
    pub top: Option<Length>,
    /// Cut from this side.
    pub right: Option<Length>,
    /// Cut from this side.
    pub bottom: Option<Length>,
    /// Cut from this side.
    pub left: Option<Length>,
    /// Keep this much, counted from where `left` ends.
    pub width: Option<Length>,
    /// Keep this much, counted from where `top` ends.
    pub height: Option<Length>,
    /// Look for a plain border and cut it.
    pub border: Option<TrimBorder>,
}

impl Trim {
    /// Whether nothing would be cut, whatever the picture.
    pub fn is_neutral(&self) -> bool {
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

/// How a border is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrimBorder {
    /// Its colour; `None` takes it from the picture.
    pub color: Option<Color>,
    /// The largest difference from the colour that still counts as border, 0 to 255.
    pub tolerance: Option<u8>,
    /// Pixels of the border left in place.
    pub keep: Option<u32>,
}

/// A distance along a side of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Length {
    Pixels(u32),
    /// A part of that side.
    Share(Share),
}

impl Length {
    const EXPECTED: &'static str = "a number of pixels, or a number below 1 for a part of the side";

    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        if value < 0.0 {
            return Err(ValueError::OutOfRange(Self::EXPECTED));
        }
        if value > 0.0 && value < 1.0 {
            return Ok(Length::Share(Share::nearest(value)));
        }
        Ok(Length::Pixels(nearest(value)))
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrimValue {
    BorderOptions,
    /// Top, right, bottom, left.
    Sides([Length; 4]),
}

impl TrimValue {
    const EXPECTED: &'static str = "border, or four numbers as in 20;30;20;0";

    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "border" {
            return Ok(TrimValue::BorderOptions);
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
}

/// The largest difference that still is border.
pub(super) fn tolerance(text: &str) -> Result<u8, ValueError> {
    const EXPECTED: &str = "a whole number from 0 to 255";
    let value = number(text).ok_or(ValueError::Malformed(EXPECTED))?;
    if value < 0.0 {
        return Err(ValueError::OutOfRange(EXPECTED));
    }
    u8::try_from(nearest(value)).map_err(|_| ValueError::OutOfRange(EXPECTED))
}
