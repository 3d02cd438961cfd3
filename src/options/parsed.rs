//! What became of an options segment: what it asks for, and all of it that does not count.

use std::fmt;

use super::OptionError;
use super::Options;
use super::Warning;
use super::grammar;
use super::keywords::OnError;

/// An options segment as read. Lenient readers take what is left when everything that makes no sense is passed over; strict ones
/// look at the diagnostics first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedOptions {
    pub(super) options: Options,
    pub(super) warnings: Vec<Warning>,
    pub(super) error: Option<OptionError>,
    /// What is passed over without a word, and errors behind the first.
    pub(super) strict_only: Diagnostics,
}

impl ParsedOptions {
    /// Reads a segment that is still percent-encoded; [`Options::parse`] says how.
    pub fn of(segment: &str) -> Self {
        grammar::read(segment)
    }

    /// What is asked for.
    ///
    /// # Errors
    /// The first thing for which there is no picture.
    pub fn as_result(&self) -> Result<&Options, &OptionError> {
        match &self.error {
            Some(error) => Err(error),
            None => Ok(&self.options),
        }
    }

    /// What was passed over, as far as clients are told.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether `onerror=redirect` is asked for, also where something else is wrong.
    pub fn redirects_on_error(&self) -> bool {
        self.options.onerror == Some(OnError::Redirect)
    }

    /// Everything that does not count, errors first.
    pub fn diagnostics(&self) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        if let Some(error) = &self.error {
            diagnostics.add(error);
        }
        for warning in &self.warnings {
            diagnostics.add(warning);
        }
        diagnostics.join(&self.strict_only);
        diagnostics
    }

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

/// Diagnostics against a URL. Only the first few are kept, so that no URL makes a long answer; each is short because of what it quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    messages: Vec<String>,
    omitted: usize,
}

impl Diagnostics {
    const MAX_MESSAGES: usize = 24;

    /// One more.
    pub fn add(&mut self, reason: impl fmt::Display) {
        if self.messages.len() < Self::MAX_MESSAGES {
            self.messages.push(reason.to_string());
        } else {
            self.omitted += 1;
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn join(&mut self, others: &Diagnostics) {
        for reason in &others.messages {
            self.add(reason);
        }
        self.omitted += others.omitted;
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages.join("; "))?;
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "; and {omitted} more"),
        }
    }
}
