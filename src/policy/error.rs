//! Why a request is denied, and why settings are refused.

use std::fmt;

use crate::options::{Diagnostics, OptionError};
use crate::policy::refusal::{SignatureError, Unlisted};

/// Why a request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The options are wrong.
    Options(OptionError),
    /// Strict mode is on, and a part of the options has no effect.
    Strict(Diagnostics),
    /// The source is neither on the zone, nor in a configured bucket, nor on an allowed origin.
    SourceNotAllowed {
        /// The host of the source.
        host: String,
    },
    /// The path hides dot segments, or is not a valid key of the zone's bucket.
    PathNotAllowed,
    /// The source has no host, and there is no zone.
    NoZone,
    /// The request comes from an image proxy: the source leads back to this server.
    Loop,
    /// The URL needs a signature, and its own does not let it pass.
    Signature(SignatureError),
    /// The URL has no signature, and options that need one.
    Unlisted(Unlisted),
    /// The source is SVG, and the URL asks for a raster format.
    Drawing,
    /// A side of the output, `dpr` included, is beyond the limit.
    OutputTooLarge {
        /// `width` or `height`.
        option: &'static str,
        /// What the URL asks for, in output pixels.
        pixels: u32,
        /// The limit, in output pixels.
        limit: u32,
    },
}

impl Denial {
    /// Whether a signature would help, and there is none.
    pub(crate) fn lacks_signature(&self) -> bool {
        matches!(
            self,
            Denial::Signature(SignatureError::Missing) | Denial::Unlisted(_)
        )
    }

    /// The setting that would have to change, where it is one.
    pub(crate) fn setting(&self) -> Option<&'static str> {
        match self {
            Denial::Strict(_) => Some("policy.strict"),
            Denial::SourceNotAllowed { .. } => Some("sources.allowed"),
            Denial::NoZone => Some("zone.origin"),
            Denial::OutputTooLarge { .. } => Some("limits.output_side"),
            Denial::Signature(_) => Some("signatures.required"),
            Denial::Unlisted(_) => Some("signatures.allowed"),
            Denial::Options(_) | Denial::PathNotAllowed | Denial::Loop | Denial::Drawing => None,
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Options(error) => error.fmt(formatter),
            Denial::Strict(diagnostics) => write!(formatter, "strict mode: {diagnostics}"),
            Denial::SourceNotAllowed { host } => write!(
                formatter,
                "source host `{host}` is not in the list of allowed origins: see `sources.allowed` and `--allow`"
            ),
            Denial::PathNotAllowed => formatter.write_str(
                "the path of the source must not hide `.` or `..` and must name an image",
            ),
            Denial::NoZone => formatter.write_str(
                "the source has no host, and this server has no zone that its path could be relative to: see `zone.origin`",
            ),
            Denial::Loop => {
                formatter.write_str("the request comes from an image proxy: the source leads back to this server")
            }
            Denial::Signature(error) => error.fmt(formatter),
            Denial::Unlisted(unlisted) => unlisted.fmt(formatter),
            Denial::Drawing => formatter.write_str(
                "the source is SVG, which is not made into pixels here: leave `format` out or use `format=auto`",
            ),
            Denial::OutputTooLarge {
                option,
                pixels,
                limit,
            } => {
                write!(
                    formatter,
                    "option `{option}` times `dpr` must be at most {limit} pixels, got {pixels}"
                )
            }
        }
    }
}

impl std::error::Error for Denial {}

/// Settings that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// The zone is a bucket without a `[[bucket]]` section.
    UnknownZoneBucket(String),
    /// Two `[[bucket]]` sections have the same name.
    DuplicateBucket(String),
    /// Another section describes a bucket that must not be a source.
    PrivateBucketTwice {
        /// The setting that names the bucket.
        setting: &'static str,
        /// The name of the other section.
        other: String,
    },
    /// The zone is a bucket that must not be a source.
    PrivateBucketAsZone {
        /// The setting that names the bucket.
        setting: &'static str,
        /// The name of its section.
        name: String,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::UnknownZoneBucket(name) => {
                write!(
                    formatter,
                    "setting `zone.origin`: `bucket:{name}` must be the `name` of a [[bucket]] section"
                )
            }
            PolicyError::DuplicateBucket(name) => write!(
                formatter,
                "the `name` of a [[bucket]] section must be its own, got `{name}` twice"
            ),
            PolicyError::PrivateBucketTwice { setting, other } => write!(
                formatter,
                "setting `{setting}` must name a bucket that is not a source, but [[bucket]] `{other}` describes the same one: take that out, or use a bucket of its own"
            ),
            PolicyError::PrivateBucketAsZone { setting, name } => write!(
                formatter,
                "setting `{setting}` must name a bucket that is not a source, but `zone.origin` is in `{name}`: use a bucket of its own"
            ),
        }
    }
}

impl std::error::Error for PolicyError {}
