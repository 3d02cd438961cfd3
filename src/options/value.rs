//! What a type must provide to be the value of an option, and how numbers are read.

use std::fmt;
use std::fmt::Display;

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

use crate::options::domain::ValueDomain;

/// A type that values of options have. The definition of an option names its type, and everything about values follows from here.
pub(super) trait OptionValue: Sized + Display {
    /// What is accepted, to follow the words "must be". It stands in messages and in the table of `docs/options.md`.
    const EXPECTED: &'static str;

    /// The same for programs.
    const DOMAIN: ValueDomain;

    /// Words that URL generators pass on from other services, each with the word of this dialect that makes the same picture.
    const SYNONYMS: &'static [(&'static str, &'static str)] = &[];

    /// Reads a value that is already percent-decoded.
    fn parse(text: &str) -> Result<Self, ValueError>;

    /// The value that stands in for one outside the range, and the warning about it. Most options have none: their requests fail.
    fn clamp(_text: &str) -> Option<(Self, &'static str)> {
        None
    }

    /// Writes the only spelling of the value that the canonical form has. It must be safe in a URL path.
    fn write_canonical(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt(f)
    }

    /// Every kind of value, with both ends of a range.
    #[cfg(test)]
    fn any() -> BoxedStrategy<Self>;
}

/// Why a value cannot be used. The texts say what is accepted, to follow the words "must be".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueError {
    /// Not the kind of value that this option takes: the option is ignored, with a warning.
    Malformed(&'static str),
    /// The right kind, but outside the range: the request fails.
    OutOfRange(&'static str),
    /// An output format that does not exist here: the request fails, because another format would not help the client.
    UnsupportedFormat,
}

impl OptionValue for bool {
    const EXPECTED: &'static str = "true or false";
    const DOMAIN: ValueDomain = ValueDomain::words(&["true", "false"]);

    fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(ValueError::Malformed(Self::EXPECTED)),
        }
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        any::<bool>().boxed()
    }
}

/// The nearest whole number, such as a difference between colours.
impl OptionValue for u8 {
    const EXPECTED: &'static str = "a whole number from 0 to 255";
    const DOMAIN: ValueDomain = ValueDomain::whole(0, Some(255));

    fn parse(text: &str) -> Result<Self, ValueError> {
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        if value < 0.0 {
            return Err(ValueError::OutOfRange(Self::EXPECTED));
        }
        u8::try_from(nearest(value)).map_err(|_| ValueError::OutOfRange(Self::EXPECTED))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        any::<u8>().boxed()
    }
}

/// The nearest whole number of pixels, such as the width of a line.
impl OptionValue for u32 {
    const EXPECTED: &'static str = "a whole number of pixels, at least 0";
    const DOMAIN: ValueDomain = ValueDomain::whole(0, None);

    fn parse(text: &str) -> Result<Self, ValueError> {
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        if value < 0.0 {
            return Err(ValueError::OutOfRange(Self::EXPECTED));
        }
        Ok(nearest(value))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        prop_oneof![Just(0), Just(u32::MAX), any::<u32>()].boxed()
    }
}

/// Reads a decimal number as URLs write it, exponents included because JavaScript prints tiny remainders as `5.6e-17`.
/// `inf`, `nan` and everything else that is not made of digits is `None`; a number too large for `f64` is infinite.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if is_plain { text.parse().ok() } else { None }
}

/// The nearest whole number. A negative number becomes 0, and one beyond `u32` its largest.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from float to integer saturates, which is what is wanted"
)]
pub(super) fn nearest(value: f64) -> u32 {
    value.round() as u32
}

#[cfg(test)]
mod tests {
    use super::number;

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
