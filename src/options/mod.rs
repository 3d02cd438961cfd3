//! The vocabulary of a transformation: what a URL may ask ([`Options`]) and what was decided ([`Recipe`]). It reads hostile text
//! and prints one canonical spelling. It must never see HTTP, pixels, sockets, files or configuration, and never panic.

mod border;
mod canonical;
mod color;
mod fit;
mod format;
mod grammar;
mod keywords;
mod parsed;
mod quality;
mod quality_target;
mod recipe;
mod size;
mod trim;
mod unsupported;
mod values;

#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

pub use border::Border;
pub use border::BorderOptions;
pub use color::Color;
pub use fit::Fit;
pub use fit::Flip;
pub use fit::Gravity;
pub use fit::Rotation;
pub use format::Format;
pub use format::FormatChoice;
pub use keywords::Compression;
pub use keywords::Metadata;
pub use keywords::OnError;
pub use keywords::Segment;
pub use keywords::Upscale;
pub use parsed::Diagnostics;
pub use parsed::ParsedOptions;
pub use quality::Quality;
pub use quality::QualityChoice;
pub use quality_target::FileSize;
pub use quality_target::QualityTarget;
pub use quality_target::Score;
pub use recipe::Effects;
pub use recipe::Effort;
pub use recipe::Output;
pub use recipe::Recipe;
pub use size::Breakpoints;
pub use size::Pixels;
pub use size::Width;
pub use trim::Length;
pub use trim::Trim;
pub use trim::TrimBorder;
pub use values::Blur;
pub use values::Dpr;
pub use values::Factor;
pub use values::Fraction;
pub use values::Gamma;
pub use values::Share;
pub use values::Sharpen;
pub use values::Zoom;

/// A transformation as asked. A field is `None` where the URL does not say. `Display` is the canonical spelling (long names, fixed
/// order, one form for each value, safe in a URL path), and `FromStr` its exact inverse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// `false` makes a still of an animation.
    pub anim: Option<bool>,
    /// How well the picture should look; the quality follows.
    pub auto_quality: Option<Score>,
    pub background: Option<Color>,
    pub blur: Option<Blur>,
    pub border: BorderOptions,
    pub brightness: Option<Factor>,
    pub compression: Option<Compression>,
    pub contrast: Option<Factor>,
    pub dpr: Option<Dpr>,
    pub fit: Option<Fit>,
    pub flip: Option<Flip>,
    pub format: Option<FormatChoice>,
    pub gamma: Option<Gamma>,
    pub gravity: Option<Gravity>,
    pub height: Option<Pixels>,
    /// How large the file may be; the quality follows.
    pub max_bytes: Option<FileSize>,
    pub metadata: Option<Metadata>,
    pub onerror: Option<OnError>,
    pub quality: Option<QualityChoice>,
    pub rotate: Option<Rotation>,
    pub saturation: Option<Factor>,
    pub segment: Option<Segment>,
    pub sharpen: Option<Sharpen>,
    /// Takes the place of `quality` for clients on a slow connection.
    pub slow_connection_quality: Option<QualityChoice>,
    pub trim: Trim,
    pub upscale: Option<Upscale>,
    /// What `width=auto` chooses from.
    pub wbreakpoints: Option<Breakpoints>,
    /// What `width=auto` is on a desktop without client hints.
    pub wdesktop: Option<Pixels>,
    pub width: Option<Width>,
    /// What `width=auto` is on a phone without client hints.
    pub wmobile: Option<Pixels>,
    pub zoom: Option<Zoom>,
}

impl Options {
    /// Reads the options segment of a URL, still percent-encoded.
    ///
    /// Lenient where URLs in the wild need it: unknown names and empty values are skipped, a later duplicate replaces an earlier
    /// one, a malformed value is ignored with a warning. Takes time and memory in proportion to the text, whatever it is.
    ///
    /// # Errors
    /// When the percent-encoding is broken, a piece has no `=`, nothing known is asked for, a number is out of its range or the
    /// `format` is not one we make.
    pub fn parse(segment: &str) -> Result<(Options, Vec<Warning>), OptionError> {
        ParsedOptions::of(segment).into_lenient()
    }

    /// One warning for each option that asks for something which this version does not do yet.
    pub fn unsupported_warnings(&self) -> Vec<Warning> {
        unsupported::warnings(self)
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

/// What a client should know about an answer that is not an error. The text stands inside the quotes of a `Warning` header, so
/// it is printable ASCII without quotes and backslashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Warning(Cow<'static, str>);

impl Warning {
    /// Characters that cannot stand in the header become `?`.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        let is_fit =
            |character: char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        if text.chars().all(is_fit) {
            return Warning(text);
        }
        let replaced: String = text
            .chars()
            .map(|character| if is_fit(character) { character } else { '?' })
            .collect();
        Warning(Cow::Owned(replaced))
    }

    /// That the source lacks its end, and what there is of it. Its first words are how it is known among others.
    pub fn truncated_source(what: impl fmt::Display) -> Self {
        Warning::new(format!("{TRUNCATED}: {what}"))
    }

    /// Whether a text is that of a warning that the source lacks its end.
    pub fn is_truncated_source(text: &str) -> bool {
        text.starts_with(TRUNCATED)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is said of a source that lacks its end.
const TRUNCATED: &str = "the source ends early";

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an options segment is no request for a picture. The texts quote at most 40 characters of the URL, as printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// A `%` without two hexadecimal digits, or text that is not UTF-8 after decoding.
    BadEncoding,
    /// A piece between commas that has no `=`.
    NotAPair { piece: String },
    /// No known option with a value.
    NoUsableOption,
    /// A number beyond what the option allows.
    OutOfRange {
        option: &'static str,
        /// What would be right, to follow "must be".
        expected: &'static str,
        got: String,
    },
    /// A `format` that we do not make.
    UnsupportedFormat { format: String },
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
