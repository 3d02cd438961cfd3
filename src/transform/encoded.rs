//! What comes out of a render.

use std::time::Duration;

use crate::options::{Format, Warning};

use crate::pixels::Size;

/// A finished picture.
#[derive(Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// The format of the file.
    pub format: Format,
    /// The size of the picture in pixels.
    pub size: Size,
    /// Where the picture differs from what was asked for.
    pub warnings: Vec<Warning>,
    /// Time spent on each step.
    pub timings: Timings,
}

impl Encoded {
    /// Whether the end of the source is missing.
    pub fn is_of_truncated(&self) -> bool {
        let mut texts = self.warnings.iter().map(Warning::as_str);
        texts.any(Warning::is_truncated_source)
    }
}

/// Time spent on each step of a render.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From bytes to pixels.
    pub decode: Duration,
    /// Resampling, colour, orientation and background.
    pub resize: Duration,
    /// From pixels to bytes.
    pub encode: Duration,
}
