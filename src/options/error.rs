//! Why the options of a URL are refused.

use std::fmt;

/// The most characters of a client's text that a message repeats.
const MAX_EXCERPT: usize = 40;

/// Why no picture can be made for an options segment. The texts quote at most 40 characters of the URL, as printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// A `%` without two hexadecimal digits, or text that is not UTF-8 after decoding.
    BadEncoding,
    /// A piece between commas that has no `=`.
    NotAPair {
        /// The piece.
        piece: String,
    },
    /// No known option with a value.
    NoUsableOption,
    /// A number outside the range of the option.
    OutOfRange {
        /// The name of the option.
        option: &'static str,
        /// What is accepted, to follow "must be".
        expected: &'static str,
        /// What the URL says.
        got: String,
    },
    /// A `format` that is not made here.
    UnsupportedFormat {
        /// What the URL says.
        format: String,
    },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionError::BadEncoding => f.write_str("options must be percent-encoded UTF-8"),
            OptionError::NotAPair { piece } => {
                write!(f, "options must be pairs as in `width=640`, got `{piece}`")
            }
            OptionError::NoUsableOption => {
                f.write_str("at least one option is needed, as in `width=640`")
            }
            OptionError::OutOfRange {
                option,
                expected,
                got,
            } => write!(f, "option `{option}` must be {expected}, got `{got}`"),
            OptionError::UnsupportedFormat { format } => {
                write!(f, "'{format}' is not a supported output format")
            }
        }
    }
}

impl std::error::Error for OptionError {}

/// A client's text as messages may repeat it: short, printable ASCII.
pub(super) fn excerpt(text: &str) -> String {
    let is_safe = |character: char| matches!(character, ' '..='~');
    let mut excerpt: String = text
        .chars()
        .take(MAX_EXCERPT)
        .map(|character| if is_safe(character) { character } else { '?' })
        .collect();
    if text.chars().nth(MAX_EXCERPT).is_some() {
        excerpt.push_str("...");
    }
    excerpt
}
