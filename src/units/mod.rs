//! Sizes and times as operators write them: `"100 MiB"`, `"30 s"`. The settings of all modules use these types.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;

/// A number of bytes: a whole number with an optional unit `B`, `KiB`, `MiB`, `GiB` or `TiB` (powers of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of so many bytes.
    pub const fn new(bytes: u64) -> Self {
        ByteSize(bytes)
    }

    /// `mib` times 1,048,576 bytes.
    pub const fn mib(mib: u64) -> Self {
        ByteSize(mib << 20)
    }

    /// `gib` times 1,073,741,824 bytes.
    pub const fn gib(gib: u64) -> Self {
        ByteSize(gib << 30)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// The word `auto`, or a [`ByteSize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoByteSize {
    /// The server chooses.
    Auto,
    /// This size.
    Fixed(ByteSize),
}

/// A length of time: a number with a unit `ms`, `s`, `min`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(Duration);

impl Seconds {
    /// A whole number of seconds.
    pub const fn new(seconds: u64) -> Self {
        Seconds(Duration::from_secs(seconds))
    }

    /// A whole number of milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Seconds(Duration::from_millis(millis))
    }

    /// The length of time.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = TIME_UNITS.iter().rev();
        let mut exact = units.filter(|(_, length)| millis.is_multiple_of(u128::from(*length)));
        match exact.next() {
            Some((unit, length)) if millis > 0 => {
                write!(out, "{} {unit}", millis / u128::from(*length))
            }
            _ => out.write_str(Seconds::ZERO),
        }
    }
}

/// Units of sizes, as powers of two.
const SIZE_UNITS: [(&str, u32); 5] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
/// Units of times, in milliseconds.
const TIME_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const A_SIZE: &str = "a size such as \"100 MiB\" (units B, KiB, MiB, GiB, TiB)";
const AUTO_OR_A_SIZE: &str = "\"auto\" or a size such as \"100 MiB\" (units B, KiB, MiB, GiB, TiB)";
const A_TIME: &str = "a length of time such as \"30 s\" (units ms, s, min, h, d)";
/// What is right in place of 2^64 bytes and more.
const A_SMALLER_SIZE: &str = "a smaller size, below 16777216 TiB";
/// What is right in place of 2^64 milliseconds and more.
const A_SHORTER_TIME: &str = "a shorter time, below 213503982335 d";

/// Why a quantity could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    value: String,
    expected: &'static str,
}

impl fmt::Display for UnitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "must be {}, got `{}`", self.expected, self.value)
    }
}

impl std::error::Error for UnitError {}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split_unit(text);
        let shift = match unit {
            "" => Some(0),
            unit => of_unit(&SIZE_UNITS, unit),
        };
        product(number, shift.map(|shift| 1 << shift))
            .map(ByteSize)
            .map_err(|problem| problem.error(text, A_SIZE, A_SMALLER_SIZE))
    }
}

impl FromStr for AutoByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.trim() == "auto" {
            return Ok(AutoByteSize::Auto);
        }
        let size = text.parse().map_err(|error: UnitError| UnitError {
            expected: match error.expected {
                A_SIZE => AUTO_OR_A_SIZE,
                other => other,
            },
            ..error
        });
        size.map(AutoByteSize::Fixed)
    }
}

impl FromStr for Seconds {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split_unit(text);
        product(number, of_unit(&TIME_UNITS, unit))
            .map(|millis| Seconds(Duration::from_millis(millis)))
            .map_err(|problem| problem.error(text, A_TIME, A_SHORTER_TIME))
    }
}

/// What is wrong with a number and its unit.
#[derive(Clone, Copy, Debug)]
enum Problem {
    Malformed,
    TooLarge,
}

impl Problem {
    fn error(self, text: &str, usual: &'static str, smaller: &'static str) -> UnitError {
        UnitError {
            value: text.to_owned(),
            expected: match self {
                Problem::Malformed => usual,
                Problem::TooLarge => smaller,
            },
        }
    }
}

fn of_unit<T: Copy>(units: &[(&str, T)], unit: &str) -> Option<T> {
    let mut units = units.iter();
    units
        .find(|(name, _)| *name == unit)
        .map(|(_, value)| *value)
}

/// The number, times the unit if there is such a unit.
fn product(number: &str, unit: Option<u64>) -> Result<u64, Problem> {
    let unit = unit.ok_or(Problem::Malformed)?;
    if number.is_empty() {
        return Err(Problem::Malformed);
    }
    // It is of digits, so it is either a number or too large for one.
    let number: u64 = number.parse().map_err(|_| Problem::TooLarge)?;
    number.checked_mul(unit).ok_or(Problem::TooLarge)
}

/// Splits `"100 MiB"` into `("100", "MiB")`.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match SizeValue::deserialize(input)? {
            SizeValue::Number(bytes) => Ok(ByteSize(bytes)),
            SizeValue::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl<'de> Deserialize<'de> for AutoByteSize {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match SizeValue::deserialize(input)? {
            SizeValue::Number(bytes) => Ok(AutoByteSize::Fixed(ByteSize(bytes))),
            SizeValue::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let TimeValue::Text(text) = TimeValue::deserialize(input)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A quantity for a setting that may have to be more than zero.
pub trait Quantity {
    /// Zero, as an operator writes it.
    const ZERO: &str;
    /// A usual value.
    const EXAMPLE: &str;

    /// Whether this is zero.
    fn is_zero(&self) -> bool;
}

impl Quantity for ByteSize {
    const ZERO: &str = "0 B";
    const EXAMPLE: &str = "100 MiB";

    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Quantity for Seconds {
    const ZERO: &str = "0 s";
    const EXAMPLE: &str = "10 s";

    fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

/// Reads a setting for which zero makes no sense, with `#[serde(deserialize_with = "above_zero")]`.
///
/// # Errors
/// Those of the quantity itself, and one for zero.
pub fn above_zero<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Quantity + Deserialize<'de>,
{
    let quantity = T::deserialize(input)?;
    if quantity.is_zero() {
        return Err(de::Error::custom(format_args!(
            "must be more than zero, such as \"{}\", got `{}`",
            T::EXAMPLE,
            T::ZERO
        )));
    }
    Ok(quantity)
}

/// A size in TOML.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be a size such as \"100 MiB\" or a whole number of bytes"
)]
enum SizeValue {
    Number(u64),
    Text(String),
}

/// A time in TOML.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be a length of time such as \"30 s\" (units ms, s, min, h, d)"
)]
enum TimeValue {
    Text(String),
}

#[cfg(test)]
mod tests;
