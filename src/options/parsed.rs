//! The result of reading an options segment: what it asks for, and everything in it that has no effect.

use crate::options::definitions::Options;
use crate::options::diagnostics::Diagnostics;
use crate::options::error::OptionError;
use crate::options::keywords::OnError;
use crate::options::warning::Warning;

/// An options segment after reading. Lenient mode takes what is left when everything malformed is ignored; strict mode looks at the
/// diagnostics first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedOptions {
    pub(super) options: Options,
    pub(super) warnings: Vec<Warning>,
    pub(super) error: Option<OptionError>,
    /// What lenient mode ignores without a warning, and every error after the first.
    pub(super) strict_only: Diagnostics,
}

impl ParsedOptions {
    /// The options, as lenient mode takes them.
    ///
    /// # Errors
    /// The first error in the segment.
    pub(crate) fn as_result(&self) -> Result<&Options, &OptionError> {
        match &self.error {
            Some(error) => Err(error),
            None => Ok(&self.options),
        }
    }

    /// The warnings for the client, about values that were ignored or changed.
    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether `onerror=redirect` is asked for, also where something else is wrong.
    pub(crate) fn redirects_on_error(&self) -> bool {
        self.options.onerror == Some(OnError::Redirect)
    }

    /// Everything that has no effect, errors first.
    pub(crate) fn diagnostics(&self) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        if let Some(error) = &self.error {
            diagnostics.add(error);
        }
        for warning in &self.warnings {
            diagnostics.add(warning);
        }
        diagnostics.append(&self.strict_only);
        diagnostics
    }

    /// Records an error; the first one counts.
    pub(super) fn fail(&mut self, error: OptionError) {
        match self.error {
            Some(_) => self.strict_only.add(&error),
            None => self.error = Some(error),
        }
    }

    pub(super) fn into_lenient(self) -> Result<(Options, Vec<Warning>), OptionError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok((self.options, self.warnings)),
        }
    }
}
