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
        let error = || UnitError {
            value: text.to_owned(),
            expected: "a size such as \"100 MiB\" (units B, KiB, MiB, GiB, TiB)",
        };
        let (number, unit) = split_unit(text);
        let shift = match unit {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(error()),
        };
        let number: u64 = number.parse().map_err(|_| error())?;
        number
            .checked_mul(1 << shift)
            .map(ByteSize)
            .ok_or_else(error)
    }
}

impl FromStr for AutoByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.trim() == "auto" {
            return Ok(AutoByteSize::Auto);
        }
        let size = text.parse().map_err(|UnitError { value, .. }| UnitError {
            value,
            expected: "\"auto\" or a size such as \"100 MiB\" (units B, KiB, MiB, GiB, TiB)",
        });
        size.map(AutoByteSize::Fixed)
    }
}

impl FromStr for Seconds {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError {
            value: text.to_owned(),
            expected: "a length of time such as \"30 s\" (units ms, s, min, h, d)",
        };
        let (number, unit) = split_unit(text);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(error()),
        };
        let number: u64 = number.parse().map_err(|_| error())?;
        number
            .checked_mul(millis)
            .map(|millis| Seconds(Duration::from_millis(millis)))
            .ok_or_else(error)
    }
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
mod tests {
    use std::time::Duration;

    use super::AutoByteSize;
    use super::ByteSize;
    use super::Seconds;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17 B", 17),
            ("1KiB", 1024),
            ("100 MiB", 104_857_600),
            ("10 GiB", 10_737_418_240),
            ("2 TiB", 2_199_023_255_552),
        ] {
            assert_eq!(
                text.parse::<ByteSize>().map(ByteSize::bytes),
                Ok(bytes),
                "{text}"
            );
        }
    }

    #[test]
    fn a_size_may_be_left_to_the_server() {
        for (text, size) in [
            ("auto", AutoByteSize::Auto),
            (" auto ", AutoByteSize::Auto),
            ("1 GiB", AutoByteSize::Fixed(ByteSize::gib(1))),
            ("17", AutoByteSize::Fixed(ByteSize::new(17))),
        ] {
            assert_eq!(text.parse(), Ok(size), "{text}");
        }
        for text in ["", "Auto", "automatic", "1 GB", "-1 GiB", "25 %"] {
            let error = text.parse::<AutoByteSize>().expect_err("is no size");
            let told = error.to_string();
            assert!(told.contains("\"auto\" or a size"), "{told}");
            assert!(told.ends_with(&format!("got `{text}`")), "{told}");
        }
    }

    #[test]
    fn lengths_of_time_need_a_unit() {
        for (text, millis) in [
            ("500 ms", 500),
            ("30 s", 30_000),
            ("2min", 120_000),
            ("1 h", 3_600_000),
            ("365 d", 31_536_000_000),
        ] {
            assert_eq!(
                text.parse::<Seconds>().map(Seconds::duration),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        assert!("30".parse::<Seconds>().is_err());
    }

    #[test]
    fn a_malformed_quantity_is_named() {
        let error = "12 MB"
            .parse::<ByteSize>()
            .expect_err("MB is not a unit here");
        assert_eq!(
            error.to_string(),
            "must be a size such as \"100 MiB\" (units B, KiB, MiB, GiB, TiB), got `12 MB`"
        );
        for text in [
            "",
            "MiB",
            "-1 MiB",
            "1.5 GiB",
            "99999999999999999999",
            "99999999999 TiB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
