//! What comes out of a render.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::options::{Format, Warning};

use crate::pixels::Size;

/// A finished picture.
#[derive(Debug, Serialize, Deserialize)]
pub struct Encoded {
    /// The file. Between processes it goes another way.
    #[serde(skip)]
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
    /// Takes the file out, which does not go between processes with the rest.
    pub(crate) fn take_file(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Whether the end of the source is missing.
    pub fn is_of_truncated(&self) -> bool {
        let mut texts = self.warnings.iter().map(Warning::as_str);
        texts.any(Warning::is_truncated_source)
    }
}

/// Time spent on each step of a render.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// From bytes to pixels.
    pub decode: Duration,
    /// Resampling, colour, orientation and background.
    pub resize: Duration,
    /// From pixels to bytes.
    pub encode: Duration,
}
