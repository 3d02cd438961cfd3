//! What kinds of values an option takes, for whatever makes controls or types of it: the playground and the client library.

use serde::Serialize;

/// The values of an option. Each option takes numbers, words, texts of its own kind, or several of these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct ValueDomain {
    /// The numbers that it takes.
    pub numbers: Option<NumberRange>,
    /// The words that it takes.
    pub words: &'static [&'static str],
    /// An example of what it takes that is neither a number nor one of the words.
    pub example: Option<&'static str>,
    /// Whether it takes CSS colours.
    pub is_color: bool,
}

/// A range of numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct NumberRange {
    pub min: f64,
    /// The largest number, where there is one.
    pub max: Option<f64>,
    /// Whether fractions count as the nearest whole number.
    pub is_whole: bool,
}

impl ValueDomain {
    const NOTHING: ValueDomain = ValueDomain {
        numbers: None,
        words: &[],
        example: None,
        is_color: false,
    };

    /// Words alone.
    pub(super) const fn words(words: &'static [&'static str]) -> Self {
        ValueDomain {
            words,
            ..ValueDomain::NOTHING
        }
    }

    /// Whole numbers alone.
    pub(super) const fn whole(min: u32, max: Option<u32>) -> Self {
        ValueDomain {
            numbers: Some(NumberRange {
                min: min as f64,
                max: match max {
                    Some(max) => Some(max as f64),
                    None => None,
                },
                is_whole: true,
            }),
            ..ValueDomain::NOTHING
        }
    }

    /// Numbers alone, with fractions.
    pub(super) const fn decimal(min: f64, max: Option<f64>) -> Self {
        ValueDomain {
            numbers: Some(NumberRange {
                min,
                max,
                is_whole: false,
            }),
            ..ValueDomain::NOTHING
        }
    }

    /// CSS colours.
    pub(super) const fn color() -> Self {
        ValueDomain {
            is_color: true,
            example: Some("rgb(240 40 145)"),
            ..ValueDomain::NOTHING
        }
    }

    /// Texts like this one.
    pub(super) const fn text(example: &'static str) -> Self {
        ValueDomain {
            example: Some(example),
            ..ValueDomain::NOTHING
        }
    }

    /// These, and words.
    pub(super) const fn or_words(self, words: &'static [&'static str]) -> Self {
        ValueDomain { words, ..self }
    }

    /// These, and texts like this one.
    pub(super) const fn or_text(self, example: &'static str) -> Self {
        ValueDomain {
            example: Some(example),
            ..self
        }
    }
}
