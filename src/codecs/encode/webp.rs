//! WebP by libwebp: quick files by method 4, settled ones by method 6.
#![expect(unsafe_code, reason = "binds libwebp")]

use std::mem;
use std::slice;

use libwebp_sys as webp;

use crate::options::{Effort, Quality};

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::picture::Picture;
use crate::codecs::encode::scale;
use crate::pixels::{PixelError, Planar, Plane, Size, Subsampling, buffer, of_both};

/// The quality factor of libwebp (0 worst, 100 best) that looks like a JPEG of each quality: the same median of SSIMULACRA2 over 15
/// photographs and 5 drawings, 800 pixels wide (`make bench-calibrate`). Beyond 90 lossy WebP cannot follow, because its chroma is
/// subsampled.
const FACTORS: [(u8, f32); 18] = [
    (1, 0.0),
    (15, 1.8),
    (20, 13.3),
    (25, 21.0),
    (30, 29.4),
    (35, 37.9),
    (40, 48.6),
    (45, 57.2),
    (50, 65.4),
    (55, 72.7),
    (60, 78.6),
    (65, 83.0),
    (70, 85.5),
    (75, 88.0),
    (80, 90.3),
    (84, 92.7),
    (88, 95.8),
    (100, 100.0),
];

/// Quality 100 means lossless.
pub(crate) fn is_lossless(quality: Quality) -> bool {
    quality.get() == 100
}

/// The method of libwebp (0 fast, 6 slow) by size and effort. Thumbnails are quick at any method.
pub(crate) fn method(size: Size, effort: Effort) -> i32 {
    match (effort, size.area()) {
        (Effort::Quick, 65_537..) => 4,
        _ => 6,
    }
}

/// Nanoseconds for each pixel at a method, for photographs at quality 85.
pub(crate) fn time(method: i32) -> u64 {
    match method {
        ..=2 => 28,
        3..=4 => 75,
        5 => 85,
        _ => 125,
    }
}

pub(crate) fn encode(
    picture: &Picture,
    quality: Quality,
    effort: Effort,
) -> Result<Vec<u8>, TransformError> {
    let config = config(picture.size(), quality, effort)?;
    match picture {
        Picture::Planar(planar, Subsampling::Both) => planes(planar, &config),
        Picture::Planar(_, Subsampling::None) => {
            Err(failed("lossy WebP has chroma of half size only"))
        }
        Picture::Rgb(size, samples) => packed(*size, samples, 3, &config),
        Picture::Rgba(size, samples) => packed(*size, samples, 4, &config),
        Picture::Deep(..) => Err(failed("WebP has samples of 8 bits")),
    }
}

fn planes(planar: &Planar, config: &webp::WebPConfig) -> Result<Vec<u8>, TransformError> {
    let size = planar.luma.size;
    let luma = limited_luma(&planar.luma)?;
    let half = Subsampling::Both.chroma_size(size);
    let [cb, cr] = match &planar.chroma {
        Some(chroma) => of_both(chroma.each_ref(), limited_chroma)?,
        None => of_both([128; 2], |grey| buffer::filled(grey, half.len()))?,
    };
    let lengths = [luma.len(), cb.len(), cr.len()];
    if lengths != [size.len(), half.len(), half.len()] {
        return Err(failed("planes that do not make the picture"));
    }
    // The library reads `size` samples of luma and half as many of chroma on each axis, rounded up, in rows without gaps: as many as there
    // are.
    run(size, config, |picture| {
        picture.use_argb = 0;
        picture.y = luma.as_ptr().cast_mut();
        picture.u = cb.as_ptr().cast_mut();
        picture.v = cr.as_ptr().cast_mut();
        picture.y_stride = size.width.cast_signed();
        picture.uv_stride = half.width.cast_signed();
        true
    })
}

fn packed(
    size: Size,
    samples: &[u8],
    channels: usize,
    config: &webp::WebPConfig,
) -> Result<Vec<u8>, TransformError> {
    if samples.len() != size.len() * channels {
        return Err(failed("samples that do not make the picture"));
    }
    let stride = i32::try_from(size.width as usize * channels).map_err(failed)?;
    run(size, config, |picture| {
        picture.use_argb = config.lossless;
        // SAFETY: the library copies `size` pixels of `channels` bytes, in rows `stride` apart: all that there are, as was checked.
        let imported = unsafe {
            if channels == 4 {
                webp::WebPPictureImportRGBA(picture, samples.as_ptr(), stride)
            } else {
                webp::WebPPictureImportRGB(picture, samples.as_ptr(), stride)
            }
        };
        imported != 0
    })
}

/// The encoder's settings.
pub(crate) fn config(
    size: Size,
    quality: Quality,
    effort: Effort,
) -> Result<webp::WebPConfig, TransformError> {
    let mut config = webp::WebPConfig::new().map_err(|()| failed("libwebp of another version"))?;
    config.method = method(size, effort);
    config.quality = scale::at(&FACTORS, quality);
    if is_lossless(quality) {
        config.lossless = 1;
        // The colour of transparent pixels is kept as well.
        config.exact = 1;
        // In lossless mode this number is effort, not loss.
        config.quality = 75.0;
    }
    Ok(config)
}

/// Encodes a picture. `fill` sets the pointers to its pixels, which must be `size` pixels and outlive the call; the library only reads
/// them.
fn run(
    size: Size,
    config: &webp::WebPConfig,
    fill: impl FnOnce(&mut webp::WebPPicture) -> bool,
) -> Result<Vec<u8>, TransformError> {
    let mut picture =
        webp::WebPPicture::new().map_err(|()| failed("libwebp of another version"))?;
    picture.width = size.width.cast_signed();
    picture.height = size.height.cast_signed();
    // SAFETY: plain numbers and pointers, for which zero is valid, and initialised at once.
    let mut writer: webp::WebPMemoryWriter = unsafe { mem::zeroed() };
    // SAFETY: a valid reference.
    unsafe { webp::WebPMemoryWriterInit(&mut writer) };
    picture.writer = Some(webp::WebPMemoryWrite);
    picture.custom_ptr = (&raw mut writer).cast();
    let filled = fill(&mut picture);
    // SAFETY: configuration and picture are valid; writer and pixels live until the end of this function.
    let encoded = filled && unsafe { webp::WebPEncode(config, &mut picture) } != 0;
    let made = if encoded && !writer.mem.is_null() {
        // SAFETY: the library's own writer made room for the file, and says where and how long it is.
        buffer::copied(unsafe { slice::from_raw_parts(writer.mem, writer.size) })
            .map_err(TransformError::from)
    } else {
        Err(failed(format_args!("WebP: {:?}", picture.error_code)))
    };
    // SAFETY: both were initialised by the library and are cleared once; planes that are ours are not freed by it.
    unsafe {
        webp::WebPMemoryWriterClear(&mut writer);
        webp::WebPPictureFree(&mut picture);
    }
    made
}

/// Converts luma from full range to 16..=235: WebP stores BT.601 in limited range.
fn limited_luma(plane: &Plane) -> Result<Vec<u8>, PixelError> {
    // 219 / 255 in 14 bits.
    let limited = |&sample: &u8| sample_of((u32::from(sample) * 14_071 + (16 << 14) + 8_192) >> 14);
    buffer::collected(plane.samples.len(), plane.samples.iter().map(limited))
}

/// Converts chroma from full range to 16..=240 around 128.
fn limited_chroma(plane: &Plane) -> Result<Vec<u8>, PixelError> {
    // 224 / 255 in 14 bits; 128 * 14_392 is taken off before, so the sum never goes below 0.
    let limited = |&sample: &u8| {
        sample_of((u32::from(sample) * 14_392 + (128 << 14) + 8_192 - 128 * 14_392) >> 14)
    };
    buffer::collected(plane.samples.len(), plane.samples.iter().map(limited))
}

#[expect(clippy::cast_possible_truncation, reason = "both formulas end at 240")]
fn sample_of(value: u32) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests {
    use super::limited_chroma;
    use super::limited_luma;
    use crate::pixels::{Plane, Size};

    #[test]
    fn ranges_end_where_bt601_says() {
        let plane = Plane {
            size: Size::new(3, 1),
            samples: vec![0, 128, 255],
        };
        assert_eq!(limited_luma(&plane), Ok(vec![16, 126, 235]));
        assert_eq!(limited_chroma(&plane), Ok(vec![16, 128, 240]));
    }
}
