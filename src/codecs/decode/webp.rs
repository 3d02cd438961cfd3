//! WebP by libwebp: lossy and lossless, RGB or RGBA; of an animation the first frame on its canvas.
#![expect(unsafe_code, reason = "binds libwebp")]

use libwebp_sys as webp;

use crate::codecs::decode::image::{DecodedImage, Header, full_extent, size_of};
use crate::codecs::decode::webp_demux::{FRAME_HEAD, another_size, broken, features};
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let features = features(source)?;
    let size = size_of(features.width, features.height)?;
    Ok(Header {
        format: SourceFormat::Webp,
        size,
        orientation: metadata::orientation(metadata::webp_exif(source)),
        // The pixels, and the buffers of libwebp: as many bytes again for lossless files. An animation needs two canvases and a frame,
        // which may be lossless as well.
        bytes_per_pixel: match (features.has_animation != 0, is_lossless(features)) {
            (true, _) => 16,
            (false, true) => 9,
            (false, false) => 6,
        },
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes: if features.has_alpha != 0 { 4 } else { 3 },
        alpha: features.has_alpha != 0,
        is_lossless: is_lossless(features),
        is_scalable: false,
    })
}

pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    let features = features(source)?;
    if size_of(features.width, features.height)? != header.size {
        return Err(another_size());
    }
    let space = ColorSpace::from_icc(metadata::webp_profile(source).map(<[u8]>::to_vec));
    let raster = if features.has_animation != 0 {
        first_frame(source, header.size)?
    } else {
        still(source, header.size, features.has_alpha != 0)?
    };
    Ok(DecodedImage {
        raster,
        extent: full_extent(header.size),
        space,
    })
}

/// The format is 0 if it is mixed, 1 if it is lossy and 2 if it is lossless.
const fn is_lossless(features: webp::WebPBitstreamFeatures) -> bool {
    features.format == 2
}

fn still(source: &[u8], size: Size, alpha: bool) -> Result<Raster, TransformError> {
    let channels = if alpha { Channels::Rgba } else { Channels::Rgb };
    let into = if alpha {
        webp::WebPDecodeRGBAInto
    } else {
        webp::WebPDecodeRGBInto
    };
    let row = size.width as usize * channels.count();
    let mut samples = buffer::zeroed(row * size.height as usize)?;
    let stride = i32::try_from(row).map_err(|_| broken())?;
    // SAFETY: the size is the one that libwebp read from the same bytes, and the format has `channels` bytes for each pixel. The library
    // is told the length of the buffer and the bytes of a row, and refuses a picture that does not fit them before it writes.
    let made = unsafe {
        into(
            source.as_ptr(),
            source.len(),
            samples.as_mut_ptr(),
            samples.len(),
            stride,
        )
    };
    if made.is_null() {
        return Err(broken());
    }
    Ok(Raster {
        size,
        channels,
        samples: Samples::U8(samples),
    })
}

/// Decodes the first frame of an animation on its transparent canvas. The animation decoder of the library would build a table of all
/// frames, and a file may have a million.
fn first_frame(source: &[u8], canvas: Size) -> Result<Raster, TransformError> {
    let (_, content) = metadata::webp_chunks(source)
        .find(|(name, _)| *name == b"ANMF")
        .ok_or_else(broken)?;
    let (place, picture) = content.split_at_checked(FRAME_HEAD).ok_or_else(broken)?;
    // The distances from the edges divided by two, then the sides minus one, of 24 bits each (RFC 9649, section 2.7.1.1).
    let number = |at: usize| u32::from_le_bytes([place[at], place[at + 1], place[at + 2], 0]);
    let (left, top) = (2 * number(0), 2 * number(3));
    let size = Size::new(number(6) + 1, number(9) + 1);
    let features = features(picture)?;
    let is_inside = left + size.width <= canvas.width && top + size.height <= canvas.height;
    if !is_inside || size_of(features.width, features.height)? != size {
        return Err(broken());
    }
    let row = canvas.width as usize * Channels::Rgba.count();
    let stride = i32::try_from(row).map_err(|_| broken())?;
    let mut samples = buffer::zeroed(row * canvas.height as usize)?;
    let start = top as usize * row + left as usize * Channels::Rgba.count();
    let part = &mut samples[start..];
    // SAFETY: buffer, its length and its stride belong together; libwebp refuses a picture that does not fit them.
    let made = unsafe {
        webp::WebPDecodeRGBAInto(
            picture.as_ptr(),
            picture.len(),
            part.as_mut_ptr(),
            part.len(),
            stride,
        )
    };
    if made.is_null() {
        return Err(broken());
    }
    Ok(Raster {
        size: canvas,
        channels: Channels::Rgba,
        samples: Samples::U8(samples),
    })
}
