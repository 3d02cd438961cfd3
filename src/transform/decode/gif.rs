//! GIF by `image`: the first frame on its canvas.

use std::io::Cursor;

use image::ImageDecoder;
use image::ImageError;
use image::codecs::gif::GifDecoder;

use super::super::TransformError;
use super::super::color::ColorSpace;
use super::super::orientation::Orientation;
use super::super::pixels::Channels;
use super::super::pixels::Raster;
use super::super::pixels::Samples;
use super::super::pixels::Size;
use super::super::sniff::Kind;
use super::Decoded;
use super::Header;
use super::whole;

/// The screen as it is handed out, and while it is composed, that and a frame of the same size again.
const BYTES_PER_PIXEL: u64 = 12;

pub(super) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let (width, height) = GifDecoder::new(Cursor::new(source))
        .map_err(failed)?
        .dimensions();
    Ok(Header {
        kind: Kind::Gif,
        size: Size::new(width, height),
        orientation: Orientation::default(),
        bytes_per_pixel: BYTES_PER_PIXEL,
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes: 4,
        alpha: true,
        is_lossless: false,
        is_scalable: false,
    })
}

pub(super) fn decode(source: &[u8], header: &Header) -> Result<Decoded, TransformError> {
    let mut decoder = GifDecoder::new(Cursor::new(source)).map_err(failed)?;
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(header.size.area() * 8);
    decoder.set_limits(limits).map_err(failed)?;
    let mut samples = vec![0; header.size.len() * Channels::Rgba.count()];
    decoder.read_image(&mut samples).map_err(failed)?;
    let raster = Raster {
        size: header.size,
        channels: Channels::Rgba,
        samples: Samples::U8(samples),
    };
    Ok(Decoded {
        raster,
        extent: whole(header.size),
        space: ColorSpace::Srgb,
    })
}

fn failed(cause: ImageError) -> TransformError {
    TransformError::Decode(cause.to_string())
}
