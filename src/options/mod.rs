//! The vocabulary of a transformation: what a URL asks for ([`Options`]) and what is decided ([`Recipe`]).
//!
//! This module reads hostile text and never panics. It never sees HTTP, pixels, sockets, files or configuration.
//!
//! Each option is defined once, in `definitions.rs`; its values are of a type that implements `OptionValue` (`value.rs`).

mod argument;
mod border;
mod canonical;
mod color;
mod decimals;
mod define;
mod definitions;
mod diagnostics;
mod domain;
mod error;
mod fit;
mod format;
mod formats;
mod grammar;
mod keywords;
mod parsed;
mod preset;
mod quality;
mod quality_target;
mod recipe;
mod row;
mod shorthand;
mod size;
mod trim;
mod unsupported;
mod value;
mod warning;

#[cfg(test)]
pub(crate) mod tests;

pub use border::Border;
pub use color::Color;
pub use decimals::Blur;
pub use decimals::Dpr;
pub use decimals::Factor;
pub use decimals::Fraction;
pub use decimals::Gamma;
pub use decimals::Share;
pub use decimals::Sharpen;
pub use decimals::Zoom;
pub(crate) use definitions::OPTION_ROWS;
pub(crate) use definitions::OptionName;
pub use definitions::Options;
pub use diagnostics::Diagnostics;
pub use error::OptionError;
pub use fit::Fit;
pub use fit::Flip;
pub use fit::Gravity;
pub use fit::Rotation;
pub use format::Format;
pub use format::FormatChoice;
pub use formats::Formats;
pub use keywords::Compression;
pub use keywords::Metadata;
pub use keywords::OnError;
pub use keywords::Segment;
pub use keywords::Upscale;
pub use parsed::ParsedOptions;
pub(crate) use preset::Preset;
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
pub use trim::TrimValue;
pub use warning::Warning;
