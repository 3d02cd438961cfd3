//! WebP by libwebp: quick files by method 2, or 4 where they are large, settled ones by method 6, both of planes that look better than those that libwebp makes.
#![expect(unsafe_code, reason = "binds libwebp")]

mod alpha;
mod planes;

use std::mem;
use std::slice;

use libwebp_sys as webp;

use crate::options::{Effort, Quality};

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::picture::Picture;
use crate::codecs::encode::planes::of_rgb;
use crate::codecs::encode::scale;
use crate::pixels::{Planar, Size, Subsampling, buffer};

use alpha::Filter;
use planes::LimitedPlanes;

/// The quality factor of libwebp (0 worst, 100 best) that looks like a JPEG of each quality: the same median of SSIMULACRA2 over 10
/// photographs and 2 drawings, 800 pixels wide. At 1600 pixels it is the same. Beyond 90 lossy WebP cannot follow, because its chroma is
/// subsampled.
const FACTORS: [(u8, f32); 18] = [
    (1, 0.0),
    (15, 1.8),
    (20, 13.3),
    (25, 21.0),
    (30, 29.4),
    (35, 37.5),
    (40, 46.5),
    (45, 54.5),
    (50, 61.6),
    (55, 66.8),
    (60, 71.2),
    (65, 77.0),
    (70, 81.6),
    (75, 85.0),
    (80, 88.4),
    (85, 91.6),
    (90, 96.8),
    (100, 100.0),
];

/// The same at 320 pixels, where more of the look is in luma.
const FACTORS_OF_SMALL: [(u8, f32); 10] = [
    (1, 0.0),
    (25, 21.0),
    (50, 61.6),
    (60, 70.4),
    (70, 79.4),
    (75, 82.0),
    (80, 85.9),
    (85, 88.9),
    (90, 96.8),
    (100, 100.0),
];

/// Pixels up to which a picture is small, and from which on it is large. Between them lies a straight line over the logarithm.
const SMALL: u64 = 1 << 16;
const LARGE: u64 = 1 << 19;

fn factor(size: Size, quality: Quality) -> f32 {
    let (small, large) = (
        scale::at(&FACTORS_OF_SMALL, quality),
        scale::at(&FACTORS, quality),
    );
    let doublings = |area: u64| f64::from(u32::try_from(area).unwrap_or(u32::MAX)).log2();
    let part = (doublings(size.area().clamp(SMALL, LARGE)) - doublings(SMALL))
        / (doublings(LARGE) - doublings(SMALL));
    #[expect(clippy::cast_possible_truncation, reason = "from 0 to 1")]
    let part = part as f32;
    small + (large - small) * part
}

/// Quality 100 means lossless.
pub(crate) fn is_lossless(quality: Quality) -> bool {
    quality.get() == 100
}

/// The method of libwebp (0 fast, 6 slow) by size and effort. At equal looks (SSIMULACRA2 of 75 to 85, 800 pixels wide) method 2 takes 5 to
/// 12 % more bytes than 4 in 0.4 times its time, 6 takes 3 % fewer in twice the time; 3 saves no time and 5 few bytes. Above 800 pixels
/// method 2 takes 20 % more and beyond. libwebp's own strength of segments and filters is the best: others take 1 to 9 % more bytes, more
/// passes save nothing.
pub(crate) fn method(size: Size, effort: Effort) -> i32 {
    const LARGE: u64 = 600_000;
    match is_settled(size, effort) {
        true => 6,
        false if size.area() > LARGE => 4,
        false => 2,
    }
}

/// Whether a greater effort would not make a lossy file of this size smaller. Thumbnails are quick at any effort.
pub(crate) fn is_settled(size: Size, effort: Effort) -> bool {
    const THUMBNAIL: u64 = 32_768;
    effort == Effort::Settled || size.area() <= THUMBNAIL
}

/// Nanoseconds for each pixel at a method, for photographs at quality 85.
pub(crate) fn time(method: i32) -> u64 {
    match method {
        ..=2 => 33,
        3..=4 => 80,
        5 => 90,
        _ => 130,
    }
}

pub(crate) fn encode(
    picture: &Picture,
    quality: Quality,
    effort: Effort,
) -> Result<Vec<u8>, TransformError> {
    let config = config(picture.size(), quality, effort)?;
    match picture {
        Picture::Planar(planar, subsampling) => planes(planar, *subsampling, &config),
        // libwebp would halve chroma as it is.
        Picture::Rgb(size, samples) if config.lossless == 0 => colors(*size, samples, &config),
        Picture::Rgba(size, samples) if config.lossless == 0 => {
            translucent(*size, samples, &config)
        }
        Picture::Rgb(size, samples) => packed(*size, samples, 3, &config),
        Picture::Rgba(size, samples) => packed(*size, samples, 4, &config),
        Picture::Deep(..) => Err(failed("WebP has samples of 8 bits")),
    }
}

/// Red, green and blue with loss. libwebp would halve chroma as it is.
fn colors(
    size: Size,
    samples: &[u8],
    config: &webp::WebPConfig,
) -> Result<Vec<u8>, TransformError> {
    let full = Subsampling::None;
    planes(&of_rgb(size, samples, 3, full)?, full, config)
}

/// Colours with loss, and alpha without.
fn translucent(
    size: Size,
    samples: &[u8],
    config: &webp::WebPConfig,
) -> Result<Vec<u8>, TransformError> {
    if samples.len() != size.len() * 4 {
        return Err(failed("samples that do not make the picture"));
    }
    let mut smallest: Option<(Filter, Vec<u8>)> = None;
    for &filter in alpha::filters(samples) {
        let plane = alpha::plane(size, samples, filter)?;
        let made = run(size, &lossless()?, |picture| {
            picture.use_argb = 1;
            // The library only reads them: as many as the picture has, in rows without gaps.
            picture.argb = plane.as_ptr().cast_mut();
            picture.argb_stride = size.width.cast_signed();
            plane.len() == size.len()
        })?;
        if smallest
            .as_ref()
            .is_none_or(|(_, smallest)| made.len() < smallest.len())
        {
            smallest = Some((filter, made));
        }
    }
    let (filter, stream) = smallest.ok_or_else(|| failed("no filter"))?;
    let colors = colors(size, &alpha::colors(size, samples)?, config)?;
    alpha::file(size, filter, &stream, &colors)
}

fn planes(
    planar: &Planar,
    subsampling: Subsampling,
    config: &webp::WebPConfig,
) -> Result<Vec<u8>, TransformError> {
    let size = planar.luma.size;
    let half = Subsampling::Both.chroma_size(size);
    let LimitedPlanes { luma, chroma } = planes::of(planar, subsampling)?;
    let lengths = [luma.len(), chroma[0].len(), chroma[1].len()];
    if lengths != [size.len(), half.len(), half.len()] {
        return Err(failed("planes that do not make the picture"));
    }
    // The library reads `size` samples of luma and half as many of chroma on each axis, rounded up, in rows without gaps: as many as there
    // are.
    run(size, config, |picture| {
        picture.use_argb = 0;
        picture.y = luma.as_ptr().cast_mut();
        picture.u = chroma[0].as_ptr().cast_mut();
        picture.v = chroma[1].as_ptr().cast_mut();
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
        picture.use_argb = 1;
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
    if is_lossless(quality) {
        return lossless();
    }
    let mut config = webp::WebPConfig::new().map_err(|()| failed("libwebp of another version"))?;
    config.method = method(size, effort);
    config.quality = factor(size, quality);
    Ok(config)
}

/// The settings of files without loss. Of fifteen graphics, method 4 at 90 takes 1 to 16 % fewer bytes than 2 at 75 in 1.2 times its time. More
/// takes up to ten times as long for another 2 % (9 % fewer to 4 % more).
fn lossless() -> Result<webp::WebPConfig, TransformError> {
    let mut config = webp::WebPConfig::new().map_err(|()| failed("libwebp of another version"))?;
    config.lossless = 1;
    config.method = 4;
    // In lossless mode this number is effort, not loss.
    config.quality = 90.0;
    // The colour of transparent pixels is kept as well.
    config.exact = 1;
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

#[cfg(test)]
mod tests;
