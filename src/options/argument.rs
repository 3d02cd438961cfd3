//! One option of a URL with the text of its value, before that is read.

use crate::options::diagnostics::Diagnostics;
use crate::options::error::{OptionError, excerpt};
use crate::options::value::{OptionValue, ValueError};
use crate::options::warning::Warning;

/// The last value that a URL gives to an option, and where remarks about it go.
pub(super) struct Argument<'a> {
    /// The long name of the option.
    pub name: &'static str,
    /// The value, percent-decoded.
    pub text: &'a str,
    /// The warnings for the client.
    pub warnings: &'a mut Vec<Warning>,
    /// Messages that only strict mode reports.
    pub strict_only: &'a mut Diagnostics,
}

impl Argument<'_> {
    /// The value, or `None` with a warning where the text is not a value of this type.
    ///
    /// # Errors
    /// When the value is outside its range, or a format that is not made here.
    pub(super) fn read<T: OptionValue>(self) -> Result<Option<T>, OptionError> {
        let Argument {
            name,
            text: given,
            warnings,
            strict_only,
        } = self;
        let synonym = T::SYNONYMS.iter().find(|(synonym, _)| *synonym == given);
        let text = synonym.map_or(given, |(_, word)| word);
        if synonym.is_some() {
            strict_only.add(format_args!(
                "option `{name}` must be `{text}`, got `{given}`"
            ));
        }
        if let Some((value, warning)) = T::clamp(text) {
            warnings.push(Warning::new(warning));
            return Ok(Some(value));
        }
        match T::parse(text) {
            Ok(value) => Ok(Some(value)),
            Err(ValueError::Malformed(expected)) => {
                let got = excerpt(text);
                let warning = format!("{name} must be {expected}, got {got}: ignored");
                warnings.push(Warning::new(warning));
                Ok(None)
            }
            Err(ValueError::OutOfRange(expected)) => Err(OptionError::OutOfRange {
                option: name,
                expected,
                got: excerpt(text),
            }),
            Err(ValueError::UnsupportedFormat) => Err(OptionError::UnsupportedFormat {
                format: excerpt(text),
            }),
        }
    }
}
