//! The grammar of an options segment: percent-decode once, split at commas, find the names, read the values.

use std::borrow::Cow;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::options::argument::Argument;
use crate::options::definitions::{OptionName, Options};
use crate::options::error::{OptionError, excerpt};
use crate::options::keywords::OnError;
use crate::options::parsed::ParsedOptions;
use crate::options::warning::Warning;

/// The text that a segment gives to each option, by its place in [`OptionName::ALL`].
pub(super) type Texts<'a> = [Option<&'a str>; OptionName::ALL.len()];

impl Options {
    /// Reads the options segment of a URL, still percent-encoded.
    ///
    /// It is lenient where URLs in the wild need it: unknown names and empty values are skipped, a later duplicate replaces an earlier
    /// one, and a malformed value is ignored with a warning. It takes time and memory in proportion to the text, whatever that is.
    ///
    /// # Errors
    /// When the percent-encoding is broken, a piece has no `=`, no known option has a value, a number is outside its range or the `format` is not
    /// made here.
    pub fn parse(segment: &str) -> Result<(Options, Vec<Warning>), OptionError> {
        ParsedOptions::parse(segment).into_lenient()
    }
}

/// The inverse of `Display`. The empty text, which no URL may carry, is the spelling of options that ask for nothing.
impl FromStr for Options {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        if text.is_empty() {
            return Ok(Options::default());
        }
        let (options, _warnings) = Options::parse(text)?;
        Ok(options)
    }
}

impl ParsedOptions {
    /// Reads a segment that is still percent-encoded, as [`Options::parse`] does, and keeps what strict mode reports.
    pub fn parse(segment: &str) -> Self {
        let mut parsed = ParsedOptions::default();
        parsed.read_segment(segment);
        parsed.options.expand_shorthands();
        parsed
    }

    /// Reads a segment that is still percent-encoded, and leaves shorthands as they are.
    pub(super) fn read_segment(&mut self, segment: &str) {
        let text = match decode(segment) {
            Ok(text) => text,
            Err(error) => {
                self.fail(error);
                // The rest cannot be read, but this piece tells where the client wants to go instead.
                if pieces(segment).any(|piece| piece.trim() == "onerror=redirect") {
                    self.options.onerror = Some(OnError::Redirect);
                }
                return;
            }
        };
        // Values are read once duplicates are gone: only the last one counts, also for errors, and no text can cause more warnings
        // than there are options.
        let mut texts: Texts<'_> = [None; OptionName::ALL.len()];
        self.collect_texts(&text, &mut texts);
        if texts.iter().all(Option::is_none) && self.error.is_none() {
            self.fail(OptionError::NoUsableOption);
        }
        self.read_texts(&texts);
    }

    /// Reads the text of each option; one that is malformed leaves the option as it is.
    pub(super) fn read_texts(&mut self, texts: &Texts<'_>) {
        for (&name, text) in OptionName::ALL.iter().zip(texts) {
            let Some(text) = text else { continue };
            let argument = Argument {
                name: name.as_str(),
                text,
                warnings: &mut self.warnings,
                strict_only: &mut self.strict_only,
            };
            if let Err(error) = self.options.set(name, argument) {
                self.fail(error);
            }
        }
    }

    fn collect_texts<'a>(&mut self, text: &'a str, texts: &mut Texts<'a>) {
        for piece in pieces(text).map(str::trim) {
            if piece.is_empty() {
                self.strict_only.add("there is nothing between two commas");
                continue;
            }
            let Some((name, value)) = piece.split_once('=') else {
                let piece = excerpt(piece);
                self.fail(OptionError::NotAPair { piece });
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            let Some(option) = OptionName::find(name) else {
                let name = excerpt(name);
                self.strict_only
                    .add(format_args!("option `{name}` is unknown"));
                continue;
            };
            self.collect_text(option, value, texts);
        }
    }

    /// Takes the text of one option. An empty one counts for nothing, and a later one replaces an earlier one.
    pub(super) fn collect_text<'a>(
        &mut self,
        option: OptionName,
        value: &'a str,
        texts: &mut Texts<'a>,
    ) {
        let name = option.as_str();
        if value.is_empty() {
            self.strict_only
                .add(format_args!("option `{name}` is empty"));
        } else if texts[option as usize].replace(value).is_some() {
            self.strict_only.add(format_args!(
                "option `{name}` is given twice: the last one counts"
            ));
        }
    }
}

fn decode(segment: &str) -> Result<Cow<'_, str>, OptionError> {
    let mut escapes = segment.split('%');
    // The text before the first `%` is no escape.
    escapes.next();
    let is_escape =
        |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !escapes.all(is_escape) {
        return Err(OptionError::BadEncoding);
    }
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| OptionError::BadEncoding)
}

/// Splits at commas outside parentheses, so that both `%2C` as a separator and `rgb(240,40,145)` work. A parenthesis that is never closed
/// takes in the rest, which then is a malformed colour.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
}
