//! Why the head of a request cannot be read as a request for an image.

use std::fmt;

use hyper::Method;

use crate::request::source_ref::SourceRefError;

/// Why a request is not a valid request for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// Neither GET nor HEAD.
    Method(Method),
    /// Not under a configured prefix, or in the dialect of another provider (`fastly/`, `akamai/`).
    NotFound,
    /// Nothing between the prefix and the source.
    NoOptions,
    /// Nothing after the options.
    NoSource,
    /// The source is not a valid path or URL.
    Source(SourceRefError),
    /// The source is itself a transformed image.
    Loop,
    /// The settings have no preset of this name.
    UnknownPreset(String),
    /// The query of `/_next/image` is wrong; the text says how.
    Query(String),
}

impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Method(_) => formatter.write_str("use GET or HEAD"),
            RequestError::NotFound => formatter.write_str("no image is served at this path"),
            RequestError::NoOptions => formatter.write_str(
                "at least one option is needed before the source, as in `width=640/cat.jpg`",
            ),
            RequestError::NoSource => formatter
                .write_str("a source is needed after the options, as in `width=640/cat.jpg`"),
            RequestError::Source(fault) => fault.fmt(formatter),
            RequestError::Loop => formatter.write_str("the source is itself a transformed image"),
            RequestError::UnknownPreset(name) => {
                write!(formatter, "there is no preset with the name `{name}`")
            }
            RequestError::Query(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for RequestError {}

impl From<SourceRefError> for RequestError {
    fn from(fault: SourceRefError) -> Self {
        RequestError::Source(fault)
    }
}
