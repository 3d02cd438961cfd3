//! Goals for the search of a quality: how good the picture looks, and how many bytes it has.

use std::fmt;
use std::num::NonZeroU32;

#[cfg(test)]
use proptest::prelude::Strategy;
#[cfg(test)]
use proptest::strategy::BoxedStrategy;
use serde::{Deserialize, Serialize};

use crate::options::domain::ValueDomain;
use crate::options::value::{OptionValue, ValueError, nearest, number};

/// A score of SSIMULACRA2, 30 to 95: 50 is a low quality, 70 a high one, and at 90 hardly anybody sees a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Score(u8);

impl Score {
    /// `None` outside 30 to 95.
    pub const fn new(value: u8) -> Option<Self> {
        if value >= 30 && value <= 95 {
            Some(Score(value))
        } else {
            None
        }
    }

    /// The number, 30 to 95.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl OptionValue for Score {
    const EXPECTED: &'static str = "a whole number from 30 to 95";
    const DOMAIN: ValueDomain = ValueDomain::whole(30, Some(95));

    fn parse(text: &str) -> Result<Self, ValueError> {
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        let score = u8::try_from(nearest(value)).ok().and_then(Score::new);
        score.ok_or(ValueError::OutOfRange(Self::EXPECTED))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        (30..=95_u8).prop_map(Score).boxed()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The largest size that a file should have, at least 1 byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileSize(NonZeroU32);

impl FileSize {
    /// `None` for 0.
    pub const fn new(bytes: u32) -> Option<Self> {
        match NonZeroU32::new(bytes) {
            Some(bytes) => Some(FileSize(bytes)),
            None => None,
        }
    }

    /// The number of bytes.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl OptionValue for FileSize {
    const EXPECTED: &'static str = "a number of bytes, at least 1";
    const DOMAIN: ValueDomain = ValueDomain::whole(1, None);

    fn parse(text: &str) -> Result<Self, ValueError> {
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        FileSize::new(nearest(value)).ok_or(ValueError::OutOfRange(Self::EXPECTED))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let bytes = 1..=u32::MAX;
        bytes
            .prop_map(|bytes| FileSize::new(bytes).expect("it is at least 1"))
            .boxed()
    }
}

impl fmt::Display for FileSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a lossy still should reach. Where one of the two is given, the encoder searches the quality in place of taking a given one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QualityTarget {
    /// The quality is the lowest that reaches this score.
    pub score: Option<Score>,
    /// The quality is the highest whose file is no larger.
    pub size: Option<FileSize>,
}

impl QualityTarget {
    /// Whether there is no goal, so that no quality is searched.
    pub fn is_none(self) -> bool {
        self == QualityTarget::default()
    }
}
