//! Files to pixels and back: one module for each format, the metadata of files, and SVG.

pub(crate) mod animation;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod limits;
pub(crate) mod metadata;
pub(crate) mod sniff;
pub(crate) mod svg;

pub use self::error::TransformError;
pub use self::limits::{LargeAnimations, Limits, TruncatedSources};
