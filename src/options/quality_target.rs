//! What the quality of a file is searched by: how it looks, and how many bytes it has.

use std::fmt;
use std::num::NonZeroU32;

use super::values::ValueError;
use super::values::nearest;
use super::values::number;

/// A score of SSIMULACRA2, 30 to 95: 50 is a low quality, 70 a high one, and at 90 hardly anybody sees a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u8);

impl Score {
    const EXPECTED: &'static str = "a whole number from 30 to 95";

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

    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        let score = u8::try_from(nearest(value)).ok().and_then(Score::new);
        score.ok_or(ValueError::OutOfRange(Self::EXPECTED))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The most bytes that a file should have, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSize(NonZeroU32);

impl FileSize {
    const EXPECTED: &'static str = "a number of bytes, at least 1";

    /// `None` for no bytes at all.
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

    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        let value = number(text).ok_or(ValueError::Malformed(Self::EXPECTED))?;
        FileSize::new(nearest(value)).ok_or(ValueError::OutOfRange(Self::EXPECTED))
    }
}

impl fmt::Display for FileSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the quality of a lossy still is searched by, in place of being what it is asked to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QualityTarget {
    /// The lowest quality that looks so well.
    pub score: Option<Score>,
    /// The best quality whose file is no larger.
    pub size: Option<FileSize>,
}

impl QualityTarget {
    /// Whether there is nothing to search by.
    pub fn is_none(self) -> bool {
        self == QualityTarget::default()
    }
}
