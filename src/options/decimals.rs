//! Numbers with a range. Those that may have a fraction are kept as whole millionths, so that equal values compare, hash and print
//! equally; no option needs a finer step.

use std::fmt;

#[cfg(test)]
use proptest::strategy::BoxedStrategy;

use crate::options::domain::ValueDomain;
use crate::options::value::{OptionValue, ValueError, nearest, number};

/// Steps per unit of every number that may have a fraction.
pub(super) const SCALE: u32 = 1_000_000;

/// Writes millionths as the shortest decimal number: `1500000` as `1.5`.
pub(super) fn write_millionths(f: &mut fmt::Formatter<'_>, millionths: u32) -> fmt::Result {
    let fraction = millionths % SCALE;
    write!(f, "{}", millionths / SCALE)?;
    if fraction == 0 {
        return Ok(());
    }
    let digits = format!("{fraction:06}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}

/// Defines a type for numbers between two ends, which are given in millionths. Where a text follows the ends, the type is the value of an option
/// by itself, and the text says what is accepted, to follow "must be".
macro_rules! decimal {
    ($(#[$doc:meta])* $name:ident, $least:literal to $most:literal, $expected:literal) => {
        $crate::options::decimals::decimal! { $(#[$doc])* $name, $least to $most }

        impl $crate::options::value::OptionValue for $name {
            const EXPECTED: &'static str = $expected;
            const DOMAIN: $crate::options::domain::ValueDomain = $crate::options::domain::ValueDomain::decimal(
                $least as f64 / 1e6,
                Some($most as f64 / 1e6),
            );

            fn parse(text: &str) -> Result<Self, $crate::options::value::ValueError> {
                use $crate::options::value::ValueError;
                let value = $crate::options::value::number(text);
                let value = value.ok_or(ValueError::Malformed(Self::EXPECTED))?;
                Self::new(value).ok_or(ValueError::OutOfRange(Self::EXPECTED))
            }

            #[cfg(test)]
            fn any() -> proptest::strategy::BoxedStrategy<Self> {
                $name::any()
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $least:literal to $most:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(u32);

        impl $name {
            /// The smallest value, in millionths.
            pub(crate) const MIN_MILLIONTHS: u32 = $least;
            /// The largest value, in millionths.
            pub(crate) const MAX_MILLIONTHS: u32 = $most;

            /// The value rounded to a millionth, or `None` when it is outside the range or not a number.
            pub fn new(value: f64) -> Option<Self> {
                let unit = f64::from($crate::options::decimals::SCALE);
                let range = f64::from(Self::MIN_MILLIONTHS) / unit..=f64::from(Self::MAX_MILLIONTHS) / unit;
                if !range.contains(&value) {
                    return None;
                }
                let millionths = $crate::options::value::nearest(value * unit);
                Some($name(millionths.clamp(Self::MIN_MILLIONTHS, Self::MAX_MILLIONTHS)))
            }

            /// The exact value in millionths, or `None` when it is outside the range.
            #[cfg(test)]
            const fn from_millionths(millionths: u32) -> Option<Self> {
                if millionths < Self::MIN_MILLIONTHS || millionths > Self::MAX_MILLIONTHS {
                    return None;
                }
                Some($name(millionths))
            }

            /// The value.
            pub fn get(self) -> f64 {
                f64::from(self.0) / f64::from($crate::options::decimals::SCALE)
            }

            /// Any value, both ends of the range included.
            #[cfg(test)]
            pub(crate) fn any() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::strategy::Strategy;
                let (least, most) = (Self::MIN_MILLIONTHS, Self::MAX_MILLIONTHS);
                let ends = proptest::sample::select(vec![least, most]);
                let millionths = proptest::prop_oneof![2 => ends, 1 => least..=most];
                let in_range = |millionths| Self::from_millionths(millionths).expect("it is in range");
                millionths.prop_map(in_range).boxed()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::options::decimals::write_millionths(f, self.0)
            }
        }
    };
}
pub(super) use decimal;

decimal! {
    /// Pixels of the picture per CSS pixel, 0.01 to 3. Cloudflare documents no lower end; this one keeps it above zero.
    Dpr, 10_000 to 3_000_000
}
decimal! {
    /// Standard deviation of the blur in output pixels, whatever `dpr` says, 0 to 250. Below 1 nothing changes.
    Blur, 0 to 250_000_000, "a number from 0 to 250"
}
decimal! {
    /// The factor that brightness, contrast or saturation is multiplied by, 0 to 255; 1 changes nothing.
    Factor, 0 to 255_000_000, "a number from 0 to 255"
}
decimal! {
    /// Exponent of the tone curve, 0 to 255; 1 and 0 change nothing. Cloudflare documents no upper end, so it is the one of [`Factor`].
    Gamma, 0 to 255_000_000, "a number from 0 to 255"
}
decimal! {
    /// Strength of sharpening, 0 to 10; 0 changes nothing, 1 suits a reduced picture.
    Sharpen, 0 to 10_000_000, "a number from 0 to 10"
}
decimal! {
    /// How closely a crop frames a face: 0 keeps its surroundings, 1 cuts close to the face.
    Zoom, 0 to 1_000_000, "a number from 0 to 1"
}
decimal! {
    /// A position along a side: 0 is left or top, 1 is right or bottom.
    Fraction, 0 to 1_000_000
}
decimal! {
    /// A part of a side, more than 0 and less than 1.
    Share, 1 to 999_999
}

impl Blur {
    /// Whether the picture stays as it is.
    pub(crate) const fn is_neutral(self) -> bool {
        self.0 < SCALE
    }
}

impl Dpr {
    /// Changes nothing.
    pub(crate) const ONE: Dpr = Dpr(SCALE);
    /// The largest value.
    pub(crate) const MAX: Dpr = Dpr(Self::MAX_MILLIONTHS);

    /// The nearest whole number of output pixels.
    pub(crate) fn scale(self, pixels: u32) -> u32 {
        nearest(f64::from(pixels) * self.get())
    }
}

/// The one number for which no request fails: a larger one is clamped, and a smaller one ignored, each with a warning.
impl OptionValue for Dpr {
    const EXPECTED: &'static str = "a number from 0.01 to 3";
    const DOMAIN: ValueDomain = ValueDomain::decimal(0.01, Some(3.0));

    fn parse(text: &str) -> Result<Self, ValueError> {
        number(text)
            .and_then(Dpr::new)
            .ok_or(ValueError::Malformed(Self::EXPECTED))
    }

    fn clamp(text: &str) -> Option<(Self, &'static str)> {
        let value = number(text)?;
        (value > Dpr::MAX.get()).then_some((Dpr::MAX, "dpr > 3 should never be used"))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        Dpr::any()
    }
}

impl Factor {
    /// Grey for saturation; for brightness and contrast it is defined to change nothing.
    pub(crate) const ZERO: Factor = Factor(0);
    /// Changes nothing.
    pub(crate) const ONE: Factor = Factor(SCALE);
}

impl Gamma {
    /// Whether the picture stays as it is.
    pub(crate) const fn is_neutral(self) -> bool {
        self.0 == 0 || self.0 == SCALE
    }
}

impl Sharpen {
    /// Whether the picture stays as it is.
    pub(crate) const fn is_neutral(self) -> bool {
        self.0 == 0
    }
}

impl Zoom {
    /// Whether a face keeps all its surroundings.
    pub(crate) const fn is_neutral(self) -> bool {
        self.0 == 0
    }
}

impl Fraction {
    /// The middle of a side.
    pub(crate) const HALF: Fraction = Fraction(SCALE / 2);
    /// The left or top end of a side.
    pub(crate) const START: Fraction = Fraction(0);
    /// The right or bottom end of a side.
    pub(crate) const END: Fraction = Fraction(SCALE);
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
}
