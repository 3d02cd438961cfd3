//! JPEG XL by `jxl-oxide`: the still picture, or the first frame of an animation, in 8 or 16 bits, upright. The colours are those that are
//! meant to be shown, with an ICC profile from the file or made from its header; high dynamic range has code points.

mod error;
mod frames;
mod image_header;

use std::borrow::Cow;

use bytemuck::Zeroable;
use jxl_oxide::AllocTracker;
use jxl_oxide::FrameBufferSample;
use jxl_oxide::ImageStream;
use jxl_oxide::InitializeResult;
use jxl_oxide::JxlImage;
use jxl_oxide::PixelFormat;
use jxl_oxide::image::{BitDepth, ImageHeader};

use crate::codecs::TransformError;
use crate::codecs::decode::image::{DecodedImage, Header, full_extent};
use crate::codecs::decode::samples::unmultiplied;
use crate::codecs::sniff::SourceFormat;
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Channels, Raster, Samples, buffer, hdr};
use error::broken;
use error::failed;
use frames::PictureFrames;
use image_header::channels;
use image_header::image_header;
use image_header::size;

/// Bytes that the decoder may allocate in addition to pixels: tables, and the smallest groups of a picture.
const TABLES: u64 = 16 << 20;
/// Bytes that are fed to the decoder at a time.
const STEP: usize = 64 << 10;

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let codestream = codestream(source)?;
    let header = image_header(&codestream)?;
    let frames = PictureFrames::of(&codestream)?;
    Ok(Header {
        format: SourceFormat::JpegXl,
        size: size(&header),
        // The decoder applies the orientation.
        orientation: Orientation::default(),
        bytes_per_pixel: bytes_per_pixel(&header),
        coefficient_bytes: frames.bytes_per_pixel(&header),
        hidden_pixels: frames.hidden_pixels(),
        pixel_bytes: 8,
        alpha: true,
        is_lossless: false,
        is_scalable: false,
    })
}

pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    let codestream = codestream(source)?;
    let image_header = image_header(&codestream)?;
    let size = size(&image_header);
    if size != header.size {
        return Err(broken("the size changed"));
    }
    let frames = PictureFrames::of(&codestream)?;
    let shown = frames.end.and_then(|end| codestream.get(..end));
    let shown = shown.ok_or_else(|| broken("it ends early"))?;
    let each = bytes_per_pixel(&image_header) + frames.bytes_per_pixel(&image_header);
    let limit = size.area() * each + TABLES;
    let tracker = AllocTracker::with_limit(usize::try_from(limit).unwrap_or(usize::MAX));
    let image = load(shown, tracker)?;

    let space = match image.rendered_cicp() {
        Some([primaries, transfer, ..]) if hdr::is_hdr(transfer) => ColorSpace::Cicp {
            primaries,
            transfer,
        },
        _ => ColorSpace::from_icc(Some(image.rendered_icc())),
    };
    let render = image.render_frame(0).map_err(failed)?;
    let (channels, mut stream) = match image.pixel_format() {
        PixelFormat::Gray => (Channels::Gray, render.stream()),
        PixelFormat::Graya => (Channels::GrayAlpha, render.stream()),
        PixelFormat::Rgb => (Channels::Rgb, render.stream()),
        PixelFormat::Rgba => (Channels::Rgba, render.stream()),
        PixelFormat::Cmyk | PixelFormat::Cmyka => (Channels::Cmyk, render.stream_no_alpha()),
    };
    let length = size.len() * channels.count();
    let samples = if is_deep(&image_header, &space) {
        Samples::U16(samples(&mut stream, length)?)
    } else {
        Samples::U8(samples(&mut stream, length)?)
    };
    let samples = if channels == Channels::Cmyk {
        inks(samples)
    } else {
        samples
    };
    let mut alphas = image_header.metadata.ec_info.iter();
    let premultiplied = alphas.find_map(|channel| channel.alpha_associated()) == Some(true);
    let samples = if premultiplied && channels.has_alpha() {
        unmultiplied(samples, channels.count())
    } else {
        samples
    };
    Ok(DecodedImage {
        raster: Raster {
            size,
            channels,
            samples,
        },
        extent: full_extent(size),
        space,
    })
}

/// The codestream without its container, whose other boxes may decompress to any size (ISO/IEC 18181-2, clause 9).
fn codestream(source: &[u8]) -> Result<Cow<'_, [u8]>, TransformError> {
    if source.starts_with(&[0xFF, 0x0A]) {
        return Ok(Cow::Borrowed(source));
    }
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some((length, after)) = rest.split_first_chunk::<4>()
        && let Some((name, after)) = after.split_first_chunk::<4>()
    {
        let (length, head, after) = match u32::from_be_bytes(*length) {
            1 => match after.split_first_chunk::<8>() {
                Some((length, after)) => (u64::from_be_bytes(*length), 16, after),
                None => break,
            },
            0 => (u64::MAX, 8, after),
            length => (u64::from(length), 8, after),
        };
        let length = usize::try_from(length.saturating_sub(head)).unwrap_or(usize::MAX);
        let (content, next) = after.split_at(length.min(after.len()));
        match name {
            b"jxlc" => return Ok(Cow::Borrowed(content)),
            // The part number comes first.
            b"jxlp" => parts.push(content.get(4..).unwrap_or_default()),
            _ => {}
        }
        rest = next;
    }
    Ok(Cow::Owned(buffer::joined(&parts)?))
}

/// Three copies of the channels in the 32-bit samples of the decoder (decoded, filtered, blended), and the samples that are returned.
fn bytes_per_pixel(header: &ImageHeader) -> u64 {
    channels(header) * 8 + 8
}

/// Feeds the file up to the end of the first shown frame. Later frames are not parsed.
fn load(shown: &[u8], tracker: AllocTracker) -> Result<JxlImage, TransformError> {
    let mut state =
        InitializeResult::NeedMoreData(JxlImage::builder().alloc_tracker(tracker).build_uninit());
    for step in shown.chunks(STEP) {
        state = match state {
            InitializeResult::NeedMoreData(mut image) => {
                image.feed_bytes(step).map_err(failed)?;
                image.try_init().map_err(failed)?
            }
            InitializeResult::Initialized(mut image) => {
                image.feed_bytes(step).map_err(failed)?;
                InitializeResult::Initialized(image)
            }
        };
    }
    match state {
        InitializeResult::Initialized(image) if image.num_loaded_keyframes() > 0 => Ok(image),
        _ => Err(broken("it ends early")),
    }
}

/// Whether the picture has more than 8 bits, or colours that need more than 8 bits.
fn is_deep(header: &ImageHeader, space: &ColorSpace) -> bool {
    let metadata = &header.metadata;
    let deep = |depth: BitDepth| !matches!(depth, BitDepth::IntegerSample { bits_per_sample } if bits_per_sample <= 8);
    deep(metadata.bit_depth)
        || matches!(space, ColorSpace::Cicp { .. })
        || metadata.xyb_encoded && *space != ColorSpace::Srgb
}

fn samples<T: FrameBufferSample + Zeroable>(
    stream: &mut ImageStream<'_>,
    length: usize,
) -> Result<Vec<T>, TransformError> {
    let mut samples: Vec<T> = buffer::zeroed(length)?;
    if stream.write_to_buffer(&mut samples) == length {
        Ok(samples)
    } else {
        Err(broken("fewer samples than its header says"))
    }
}

/// Inverts CMYK: JPEG XL stores the light that is left, so 0 is full ink.
fn inks(samples: Samples) -> Samples {
    match samples {
        Samples::U8(samples) => Samples::U8(samples.into_iter().map(|sample| !sample).collect()),
        Samples::U16(samples) => Samples::U16(samples.into_iter().map(|sample| !sample).collect()),
    }
}

#[cfg(test)]
mod tests;
