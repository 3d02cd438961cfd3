//! Numbers that know their range. Everything with a fraction is kept as whole millionths, so that equal values compare, hash and
//! print equally; no option needs a finer step than that.

use std::fmt;

/// Steps per unit of every number that may have a fraction.
const SCALE: u32 = 1_000_000;

/// Why a value was not taken. Both carry what would have been right, to follow the words "must be".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueError {
    /// Not the kind of value this option has: the option is ignored, with a warning.
    Malformed(&'static str),
    /// The right kind, outside the range: the request is wrong.
    OutOfRange(&'static str),
}

impl ValueError {
    /// The same where even a number outside the range is passed over.
    pub fn ignored(self) -> Self {
        match self {
            ValueError::Malformed(expected) | ValueError::OutOfRange(expected) => {
                ValueError::Malformed(expected)
            }
        }
    }
}

/// A decimal number as URLs write it, exponents included because JavaScript prints tiny remainders as `5.6e-17`.
/// `inf`, `nan` and everything else that is not made of digits is `None`; a number too large for `f64` is infinite.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if plain { text.parse().ok() } else { None }
}

/// The nearest whole number. What is below 0 becomes 0, what is beyond `u32` becomes its largest.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from float to integer saturates, which is what is wanted"
)]
pub(super) fn nearest(value: f64) -> u32 {
    value.round() as u32
}

/// Writes millionths as the shortest decimal number: `1500000` as `1.5`.
fn write_millionths(f: &mut fmt::Formatter<'_>, millionths: u32) -> fmt::Result {
    let fraction = millionths % SCALE;
    write!(f, "{}", millionths / SCALE)?;
    if fraction == 0 {
        return Ok(());
    }
    let digits = format!("{fraction:06}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}

macro_rules! decimal {
    ($(#[$doc:meta])* $name:ident, $least:literal to $most:literal $(, $expected:literal)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The smallest value, in millionths.
            pub const MIN_MILLIONTHS: u32 = $least;
            /// The largest value, in millionths.
            pub const MAX_MILLIONTHS: u32 = $most;

            /// The value rounded to a millionth, or `None` when it is outside the range or not a number.
            pub fn new(value: f64) -> Option<Self> {
                let range = f64::from(Self::MIN_MILLIONTHS) / f64::from(SCALE)..=f64::from(Self::MAX_MILLIONTHS) / f64::from(SCALE);
                if !range.contains(&value) {
                    return None;
                }
                let millionths = nearest(value * f64::from(SCALE));
                Some($name(millionths.clamp(Self::MIN_MILLIONTHS, Self::MAX_MILLIONTHS)))
            }

            /// The exact value in millionths, or `None` when it is outside the range.
            pub const fn from_millionths(millionths: u32) -> Option<Self> {
                if millionths < Self::MIN_MILLIONTHS || millionths > Self::MAX_MILLIONTHS {
                    return None;
                }
                Some($name(millionths))
            }

            /// The value.
            pub fn get(self) -> f64 {
                f64::from(self.0) / f64::from(SCALE)
            }

            $(
                pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
                    let value = number(text).ok_or(ValueError::Malformed($expected))?;
                    Self::new(value).ok_or(ValueError::OutOfRange($expected))
                }
            )?
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_millionths(f, self.0)
            }
        }
    };
}

decimal! {
    /// Pixels of the picture per CSS pixel, 0.01 to 3: multiplies width and height. The lower end is ours, so that it is never zero.
    Dpr, 10_000 to 3_000_000, "a number from 0.01 to 3"
}
decimal! {
    /// Standard deviation of the blur in output pixels, whatever `dpr` says, 0 to 250. Below 1 nothing changes.
    Blur, 0 to 250_000_000, "a number from 0 to 250"
}
decimal! {
    /// What brightness, contrast or saturation are multiplied with, 0 to 255; 1 changes nothing.
    Factor, 0 to 255_000_000, "a number from 0 to 255"
}
decimal! {
    /// Exponent of the tone curve, 0 to 255; 1 and 0 change nothing. No upper end is known, so it shares the one of [`Factor`].
    Gamma, 0 to 255_000_000, "a number from 0 to 255"
}
decimal! {
    /// Strength of sharpening, 0 to 10; 0 changes nothing, 1 suits a reduced picture.
    Sharpen, 0 to 10_000_000, "a number from 0 to 10"
}
decimal! {
    /// How closely a crop frames a face: 0 with its surroundings, 1 tight.
    Zoom, 0 to 1_000_000, "a number from 0 to 1"
}
decimal! {
    /// A position along a side: 0 is left or top, 1 is right or bottom.
    Fraction, 0 to 1_000_000
}
decimal! {
    /// A part of a side, more than nothing and less than the whole.
    Share, 1 to 999_999
}

impl Blur {
    /// Whether the picture stays as it is.
    pub const fn is_neutral(self) -> bool {
        self.0 < SCALE
    }
}

impl Dpr {
    /// Text of the warning that goes with a clamped value.
    pub(super) const CLAMPED: &'static str = "dpr > 3 should never be used";

    /// Changes nothing.
    pub const ONE: Dpr = Dpr(SCALE);
    /// The largest value.
    pub const MAX: Dpr = Dpr(Self::MAX_MILLIONTHS);

    /// Whether text is a number above the range, which is clamped where every other option is an error.
    pub(super) fn is_above_range(text: &str) -> bool {
        number(text).is_some_and(|value| value > Self::MAX.get())
    }
}

impl Factor {
    /// Takes everything away; for brightness and contrast it is defined to change nothing.
    pub const ZERO: Factor = Factor(0);
    /// Changes nothing.
    pub const ONE: Factor = Factor(SCALE);
}

impl Gamma {
    /// Whether the picture stays as it is.
    pub const fn is_neutral(self) -> bool {
        self.0 == 0 || self.0 == SCALE
    }
}

impl Sharpen {
    /// Whether the picture stays as it is.
    pub const fn is_neutral(self) -> bool {
        self.0 == 0
    }
}

impl Zoom {
    /// Whether all surroundings of a face stay.
    pub const fn is_neutral(self) -> bool {
        self.0 == 0
    }
}

impl Fraction {
    /// The middle of a side.
    pub const HALF: Fraction = Fraction(SCALE / 2);
    /// The left or top end of a side.
    pub const START: Fraction = Fraction(0);
    /// The right or bottom end of a side.
    pub const END: Fraction = Fraction(SCALE);
}

impl Share {
    /// The closest share to any number.
    pub(super) fn nearest(value: f64) -> Self {
        Share(nearest(value * f64::from(SCALE)).clamp(Self::MIN_MILLIONTHS, Self::MAX_MILLIONTHS))
    }
}

#[cfg(test)]
mod tests {
    use super::Blur;
    use super::Dpr;
    use super::Fraction;
    use super::Share;
    use super::number;

    #[test]
    fn numbers_know_their_range() {
        assert_eq!(Blur::new(250.0).map(Blur::get), Some(250.0));
        assert_eq!(Blur::new(250.000_000_1), None);
        assert_eq!(Blur::new(-0.000_000_1), None);
        assert_eq!(Blur::new(f64::NAN), None);
        assert_eq!(Blur::from_millionths(250_000_001), None);
        assert_eq!(Dpr::new(0.009), None);
        assert_eq!(Dpr::new(3.0), Some(Dpr::MAX));
        assert_eq!(Fraction::new(0.5), Some(Fraction::HALF));
        assert_eq!(Share::new(0.0), None);
        assert_eq!(Share::new(1.0), None);
    }

    #[test]
    fn numbers_print_without_idle_digits() {
        let print = |millionths| {
            Blur::from_millionths(millionths)
                .expect("it is in range")
                .to_string()
        };
        assert_eq!(
            [0, 1, 100_000, 1_000_000, 1_500_000, 250_000_000].map(print),
            ["0", "0.000001", "0.1", "1", "1.5", "250"]
        );
    }

    #[test]
    fn numbers_are_made_of_digits() {
        for text in [
            "", ".", "-", "+", "e", "1e", "nan", "inf", "Infinity", "1_000", "0x10", "1,5", " 1",
            "1 ", "\u{661}",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number("1e400"), Some(f64::INFINITY));
        assert_eq!(
            ["5.", ".5", "+5", "-5", "5e-1"].map(number),
            [Some(5.0), Some(0.5), Some(5.0), Some(-5.0), Some(0.5)]
        );
    }
}
