//! Warnings: what a client should know about an answer that is not an error.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The first words of a warning about a truncated source, by which it is recognised among others.
const TRUNCATED: &str = "the source ends early";

/// One warning. The text stands inside the quotes of a `Warning` header, so it is printable ASCII without quotes and backslashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Warning(Cow<'static, str>);

impl Warning {
    /// Characters that cannot stand in the header become `?`.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        let is_safe =
            |character: char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        if text.chars().all(is_safe) {
            return Warning(text);
        }
        let replaced: String = text
            .chars()
            .map(|character| if is_safe(character) { character } else { '?' })
            .collect();
        Warning(Cow::Owned(replaced))
    }

    /// The warning about a source that ends before all of its picture is there; `detail` says how much there is.
    pub(crate) fn truncated_source(detail: impl fmt::Display) -> Self {
        Warning::new(format!("{TRUNCATED}: {detail}"))
    }

    /// Whether a text is that of a warning about a truncated source.
    pub(crate) fn is_truncated_source(text: &str) -> bool {
        text.starts_with(TRUNCATED)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What another process says may hold anything.
impl From<String> for Warning {
    fn from(text: String) -> Self {
        Warning::new(text)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
