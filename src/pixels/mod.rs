//! Pictures in memory: sizes, rectangles, rasters and planes of samples.

pub(crate) mod blur;
pub(crate) mod buffer;
pub(crate) mod canvas;
pub(crate) mod color;
mod depth;
pub(crate) mod effects;
pub(crate) mod error;
pub(crate) mod hdr;
pub(crate) mod orientation;
mod plane;
mod raster;
mod rect;
pub(crate) mod resize;
pub(crate) mod simd;

pub use self::error::PixelError;
pub use self::rect::Size;

pub(crate) use self::depth::{eight_bits, rounded, sixteen_bits, to_u8};
pub(crate) use self::plane::{Planar, Plane, Subsampling, of_both};
pub(crate) use self::raster::{Channels, Pixels, Raster, Samples, Scanlines};
pub(crate) use self::rect::{PixelRect, Rect};
