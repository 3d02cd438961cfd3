//! Quality: the number that encoders get, and the words that URLs may use instead.

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

use crate::options::domain::ValueDomain;
use crate::options::value::{OptionValue, ValueError, nearest, number};

/// The quality for encoders, 1 to 100. Each encoder maps it to its own scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8")]
pub struct Quality(u8);

impl Quality {
    const EXPECTED: &'static str = "a whole number from 1 to 100";

    /// The default for URLs without `quality`.
    pub const DEFAULT: Quality = Quality(85);

    /// The best: of formats that have a lossless mode, that mode.
    pub const BEST: Quality = Quality(100);

    /// `None` outside 1 to 100.
    pub const fn new(value: u8) -> Option<Self> {
        if value >= 1 && value <= 100 {
            Some(Quality(value))
        } else {
            None
        }
    }

    /// The number, 1 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn any() -> BoxedStrategy<Self> {
        (1..=100_u8).prop_map(Quality).boxed()
    }
}

impl TryFrom<u8> for Quality {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        Quality::new(value)
            .ok_or_else(|| format!("quality must be {}, got `{value}`", Self::EXPECTED))
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Quality as a URL asks for it: a number or a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QualityChoice {
    /// This quality for every format.
    Exactly(Quality),
    /// `high`, a quality for each format.
    High,
    /// `medium-high`, a quality for each format.
    MediumHigh,
    /// `medium-low`, a quality for each format.
    MediumLow,
    /// The word `low`.
    Low,
}

impl QualityChoice {
    /// The number to encode with. Cloudflare publishes no numbers for the words; these are the ones of its own local emulator.
    pub(crate) const fn quality(self) -> Quality {
        match self {
            QualityChoice::Exactly(quality) => quality,
            QualityChoice::High => Quality(90),
            QualityChoice::MediumHigh => Quality(70),
            QualityChoice::MediumLow => Quality(50),
            QualityChoice::Low => Quality(35),
        }
    }
}

impl OptionValue for QualityChoice {
    const EXPECTED: &'static str = "a number from 1 to 100, high, medium-high, medium-low or low";
    const DOMAIN: ValueDomain =
        ValueDomain::whole(1, Some(100)).or_words(&["high", "medium-high", "medium-low", "low"]);

    /// From a scale of four words (low, mid, high, max): each is the neighbouring step of this scale. `max` is not 100, which would make
    /// WebP lossless.
    const SYNONYMS: &'static [(&'static str, &'static str)] =
        &[("mid", "medium-high"), ("max", "high")];

    fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "high" => return Ok(QualityChoice::High),
            "medium-high" => return Ok(QualityChoice::MediumHigh),
            "medium-low" => return Ok(QualityChoice::MediumLow),
            "low" => return Ok(QualityChoice::Low),
            _ => {}
        }
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        let quality = u8::try_from(nearest(value)).ok().and_then(Quality::new);
        quality
            .map(QualityChoice::Exactly)
            .ok_or(ValueError::OutOfRange(Quality::EXPECTED))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let words = vec![
            QualityChoice::High,
            QualityChoice::MediumHigh,
            QualityChoice::MediumLow,
            QualityChoice::Low,
        ];
        prop_oneof![
            Quality::any().prop_map(QualityChoice::Exactly),
            select(words),
        ]
        .boxed()
    }
}

impl fmt::Display for QualityChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QualityChoice::Exactly(quality) => quality.fmt(f),
            QualityChoice::High => f.write_str("high"),
            QualityChoice::MediumHigh => f.write_str("medium-high"),
            QualityChoice::MediumLow => f.write_str("medium-low"),
            QualityChoice::Low => f.write_str("low"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Quality;
    use super::QualityChoice;
    use crate::options::value::OptionValue;

    #[test]
    fn the_range_is_1_to_100() {
        assert_eq!(Quality::new(0), None);
        assert_eq!(Quality::new(1).map(Quality::get), Some(1));
        assert_eq!(Quality::new(100).map(Quality::get), Some(100));
        assert_eq!(Quality::new(101), None);
    }

    #[test]
    fn configuration_gets_the_same_range() {
        assert_eq!(Quality::try_from(85), Ok(Quality::DEFAULT));
        let refusal = "quality must be a whole number from 1 to 100, got `0`";
        assert_eq!(Quality::try_from(0), Err(refusal.to_owned()));
    }

    #[test]
    fn words_and_numbers() {
        let number = |word| {
            QualityChoice::parse(word)
                .expect("it is one of ours")
                .quality()
                .get()
        };
        assert_eq!(
            ["high", "medium-high", "medium-low", "low", "42"].map(number),
            [90, 70, 50, 35, 42]
        );
    }
}
