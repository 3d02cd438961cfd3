//! The pictures that encoders take.

use crate::pixels::{Channels, Planar, Size, Subsampling};

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
}
