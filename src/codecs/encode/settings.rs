//! The settings of encoders.

use crate::options::{Effort, Quality};

/// The settings of an encode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub quality: Quality,
    /// Progressive JPEG.
    pub progressive: bool,
    /// Whether a PNG may be reduced to a palette.
    pub palette: bool,
    /// The effort of the encoders of WebP and AVIF.
    pub effort: Effort,
}
