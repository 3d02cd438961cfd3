//! How the box is filled, which part of the picture is kept, and how the picture is mirrored and rotated.

use std::fmt;

#[cfg(test)]
use proptest::prelude::Strategy;
#[cfg(test)]
use proptest::prop_oneof;
#[cfg(test)]
use proptest::sample::select;
#[cfg(test)]
use proptest::strategy::BoxedStrategy;
use serde::{Deserialize, Serialize};

use crate::options::decimals::Fraction;
use crate::options::domain::ValueDomain;
use crate::options::keywords::keywords;
use crate::options::value::{OptionValue, ValueError, number};

keywords! {
    /// How the picture fills the box of width and height.
    #[derive(Default)]
    Fit {
        /// Inside the box, ratio kept, never enlarged.
        #[default]
        ScaleDown = "scale-down",
        /// Inside the box, ratio kept, enlarged where the source is smaller.
        Contain = "contain",
        /// The box exactly; parts outside it are cut.
        Cover = "cover",
        /// Like `Cover`, but a source smaller than the box is neither enlarged nor cut.
        Crop = "crop",
        /// Like `Crop`, but a source smaller than the box is cut to its ratio.
        AspectCrop = "aspect-crop",
        /// Like `Contain`, then the canvas is extended to the box with the background.
        Pad = "pad",
        /// The box exactly, distorted.
        Squeeze = "squeeze" | "fill",
        /// Inside the box, ratio kept, never reduced.
        ScaleUp = "scale-up",
    }
}

impl Fit {
    /// The fit that takes the place of this one where only one side is given and the other follows from the source. There is no box to
    /// fill, cut to or pad then; what matters is only whether the picture may be enlarged or reduced.
    pub(crate) const fn of_one_side(self) -> Fit {
        match self {
            Fit::ScaleDown | Fit::Crop | Fit::AspectCrop => Fit::ScaleDown,
            Fit::Contain | Fit::Cover | Fit::Pad | Fit::Squeeze => Fit::Contain,
            Fit::ScaleUp => Fit::ScaleUp,
        }
    }
}

/// Which part of the picture a crop keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Gravity {
    /// The middle.
    #[default]
    Center,
    /// The left side, and the middle of the height.
    Left,
    /// The right side, and the middle of the height.
    Right,
    /// The top, and the middle of the width.
    Top,
    /// The bottom, and the middle of the width.
    Bottom,
    /// The part that attracts the eye.
    Auto,
    /// The faces.
    Face,
    /// The part with most detail.
    Entropy,
    /// The point at this position *of the output* lies on the same position *of the scaled source*: the left edge of the crop is
    /// `x * (scaled width - output width)`, the top edge `y * (scaled height - output height)`.
    At(Fraction, Fraction),
}

impl Gravity {
    const POINT: &'static str = "two numbers from 0 to 1 as in 0.5x0.5";

    /// The position from left and top, or `None` where it depends on the picture itself.
    pub(crate) const fn position(self) -> Option<(Fraction, Fraction)> {
        match self {
            Gravity::Center => Some((Fraction::HALF, Fraction::HALF)),
            Gravity::Left => Some((Fraction::START, Fraction::HALF)),
            Gravity::Right => Some((Fraction::END, Fraction::HALF)),
            Gravity::Top => Some((Fraction::HALF, Fraction::START)),
            Gravity::Bottom => Some((Fraction::HALF, Fraction::END)),
            Gravity::At(x, y) => Some((x, y)),
            Gravity::Auto | Gravity::Face | Gravity::Entropy => None,
        }
    }
}

impl OptionValue for Gravity {
    const EXPECTED: &'static str =
        "auto, face, entropy, center, left, right, top, bottom or a point as in 0.5x0.5";
    const DOMAIN: ValueDomain = ValueDomain::words(&[
        "auto", "face", "entropy", "center", "left", "right", "top", "bottom",
    ])
    .or_text("0.5x0.5");
    const SYNONYMS: &'static [(&'static str, &'static str)] = &[("centre", "center")];

    fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "center" => return Ok(Gravity::Center),
            "left" => return Ok(Gravity::Left),
            "right" => return Ok(Gravity::Right),
            "top" => return Ok(Gravity::Top),
            "bottom" => return Ok(Gravity::Bottom),
            "auto" => return Ok(Gravity::Auto),
            "face" => return Ok(Gravity::Face),
            "entropy" => return Ok(Gravity::Entropy),
            _ => {}
        }
        let (x, y) = text
            .split_once('x')
            .ok_or(ValueError::Malformed(Self::EXPECTED))?;
        let (Some(x), Some(y)) = (number(x), number(y)) else {
            return Err(ValueError::Malformed(Self::EXPECTED));
        };
        let (Some(x), Some(y)) = (Fraction::new(x), Fraction::new(y)) else {
            return Err(ValueError::OutOfRange(Self::POINT));
        };
        Ok(Gravity::At(x, y))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let words = vec![
            Gravity::Center,
            Gravity::Left,
            Gravity::Right,
            Gravity::Top,
            Gravity::Bottom,
            Gravity::Auto,
            Gravity::Face,
            Gravity::Entropy,
        ];
        let points = (Fraction::any(), Fraction::any()).prop_map(|(x, y)| Gravity::At(x, y));
        prop_oneof![select(words), points].boxed()
    }
}

impl fmt::Display for Gravity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gravity::Center => f.write_str("center"),
            Gravity::Left => f.write_str("left"),
            Gravity::Right => f.write_str("right"),
            Gravity::Top => f.write_str("top"),
            Gravity::Bottom => f.write_str("bottom"),
            Gravity::Auto => f.write_str("auto"),
            Gravity::Face => f.write_str("face"),
            Gravity::Entropy => f.write_str("entropy"),
            Gravity::At(x, y) => write!(f, "{x}x{y}"),
        }
    }
}

keywords! {
    /// Mirroring, before rotation.
    Flip {
        /// Left and right change places.
        Horizontal = "h",
        /// Top and bottom change places.
        Vertical = "v",
        /// Both, which is half a turn.
        Both = "hv",
    }
}

/// Clockwise rotation as the URL asks for it. The orientation in the metadata of the source is applied before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rotation {
    /// No rotation.
    Upright,
    /// A quarter turn to the right.
    Clockwise90,
    /// Half a turn.
    Clockwise180,
    /// A quarter turn to the left.
    Clockwise270,
}

impl Rotation {
    /// Every rotation, by angle.
    #[cfg(test)]
    pub(crate) const ALL: &'static [Rotation] = &[
        Rotation::Upright,
        Rotation::Clockwise90,
        Rotation::Clockwise180,
        Rotation::Clockwise270,
    ];

    /// `None` when the angle is no quarter turn from 0 to 360; 360 is 0.
    pub const fn new(degrees: u32) -> Option<Self> {
        match degrees {
            0 | 360 => Some(Rotation::Upright),
            90 => Some(Rotation::Clockwise90),
            180 => Some(Rotation::Clockwise180),
            270 => Some(Rotation::Clockwise270),
            _ => None,
        }
    }

    /// The angle: 0, 90, 180 or 270.
    pub(crate) const fn degrees(self) -> u32 {
        match self {
            Rotation::Upright => 0,
            Rotation::Clockwise90 => 90,
            Rotation::Clockwise180 => 180,
            Rotation::Clockwise270 => 270,
        }
    }
}

impl OptionValue for Rotation {
    const EXPECTED: &'static str = "0, 90, 180 or 270";
    const DOMAIN: ValueDomain = ValueDomain::words(&["0", "90", "180", "270"]);

    fn parse(text: &str) -> Result<Self, ValueError> {
        let degrees = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        let quarter = [0_u32, 90, 180, 270, 360]
            .into_iter()
            .find(|&quarter| f64::from(quarter) == degrees);
        quarter
            .and_then(Rotation::new)
            .ok_or(ValueError::OutOfRange(Self::EXPECTED))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        select(Rotation::ALL).boxed()
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.degrees().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Fraction;
    use super::Gravity;

    #[test]
    fn sides_are_points_and_content_is_none() {
        let at = |x, y| Some((x, y));
        assert_eq!(
            Gravity::default().position(),
            at(Fraction::HALF, Fraction::HALF)
        );
        assert_eq!(
            Gravity::Left.position(),
            at(Fraction::START, Fraction::HALF)
        );
        assert_eq!(Gravity::Right.position(), at(Fraction::END, Fraction::HALF));
        assert_eq!(Gravity::Top.position(), at(Fraction::HALF, Fraction::START));
        assert_eq!(
            Gravity::Bottom.position(),
            at(Fraction::HALF, Fraction::END)
        );
        assert_eq!(
            [Gravity::Auto, Gravity::Face, Gravity::Entropy].map(Gravity::position),
            [None; 3]
        );
    }
}
