//! The settings of encoders.

use crate::options::{Effort, Quality};

/// The settings of an encode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'a> {
    pub quality: Quality,
    /// Progressive JPEG.
    pub progressive: bool,
    /// Whether a PNG may be reduced to a palette.
    pub palette: bool,
    /// The effort of the encoders of WebP, AVIF and JPEG XL.
    pub effort: Effort,
    /// The ICC profile of the pixels, where they are not in sRGB. Only JPEG XL takes it while it encodes; other files get it afterwards.
    #[cfg_attr(
        not(feature = "native"),
        expect(dead_code, reason = "JPEG XL alone has it in its own header")
    )]
    pub profile: Option<&'a [u8]>,
}
