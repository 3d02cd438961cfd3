//! The pictures that encoders take.

use crate::codecs::TransformError;
use crate::pixels::{Channels, Planar, Size, Subsampling, buffer};

/// A finished picture to encode, upright and in sRGB.
pub(crate) enum Picture {
    /// Full-range BT.601 planes with the given chroma subsampling.
    Planar(Planar, Subsampling),
    Rgb(Size, Vec<u8>),
    Rgba(Size, Vec<u8>),
    /// RGB or RGBA of 16 bits, for JPEG XL.
    Deep(Size, Channels, Vec<u16>),
}

impl Picture {
    pub(crate) fn size(&self) -> Size {
        match self {
            Picture::Planar(planar, _) => planar.luma.size,
            Picture::Rgb(size, _) | Picture::Rgba(size, _) | Picture::Deep(size, ..) => *size,
        }
    }

    /// The same picture without the colours of transparent pixels, which nobody sees; `None` if there are none.
    pub(crate) fn without_hidden_colors(&self) -> Result<Option<Picture>, TransformError> {
        let Picture::Rgba(size, samples) = self else {
            return Ok(None);
        };
        let is_hidden = |pixel: &[u8; 4]| pixel[3] == 0 && *pixel != [0; 4];
        if !samples.as_chunks().0.iter().any(is_hidden) {
            return Ok(None);
        }
        let mut samples = buffer::copied(samples)?;
        let (pixels, _) = samples.as_chunks_mut();
        pixels
            .iter_mut()
            .filter(|pixel| is_hidden(pixel))
            .for_each(|pixel| *pixel = [0; 4]);
        Ok(Some(Picture::Rgba(*size, samples)))
    }
}
