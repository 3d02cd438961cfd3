//! Animated WebP by libwebp, which composes the frames on transparent pixels and ignores the background colour of the file, as browsers do.
#![expect(unsafe_code, reason = "binds libwebp")]

use std::borrow::Cow;
use std::mem;
use std::ptr;
use std::slice;
use std::time::Duration;

use libwebp_sys as webp;

use crate::codecs::animation::AnimationFrame;
use crate::codecs::decode::frames::canvas::check_memory;
use crate::codecs::decode::webp_demux::{another_size, broken, canvas_size, complete};
use crate::codecs::{TransformError, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

pub(crate) struct WebpFrames<'a> {
    decoder: *mut webp::WebPAnimDecoder,
    size: Size,
    /// The end time of the last frame in milliseconds. It wraps around, as in the library.
    elapsed: i32,
    /// The decoder reads from here: it must neither move nor go before it.
    source: Cow<'a, [u8]>,
}

impl Drop for WebpFrames<'_> {
    fn drop(&mut self) {
        // SAFETY: the decoder came from WebPAnimDecoderNew and is deleted once.
        unsafe { webp::WebPAnimDecoderDelete(self.decoder) }
    }
}

impl<'a> WebpFrames<'a> {
    pub(super) fn open(source: &'a [u8], max_bytes: u64) -> Result<Self, TransformError> {
        let source = complete(source)?;
        let size = canvas_size(&source)?;
        check_memory(size, max_bytes)?;
        let data = webp::WebPData {
            bytes: source.as_ptr(),
            size: source.len(),
        };
        // SAFETY: plain numbers, for which zero is valid, and initialised at once; the bytes outlive the decoder, see `source`:
        // moving a `Cow` moves no bytes.
        let decoder = unsafe {
            let mut options: webp::WebPAnimDecoderOptions = mem::zeroed();
            if webp::WebPAnimDecoderOptionsInit(&mut options) == 0 {
                return Err(broken());
            }
            options.color_mode = webp::WEBP_CSP_MODE::MODE_RGBA;
            options.use_threads = 0;
            webp::WebPAnimDecoderNew(&data, &options)
        };
        if decoder.is_null() {
            return Err(broken());
        }
        let frames = WebpFrames {
            decoder,
            size,
            elapsed: 0,
            source,
        };
        if frames.canvas_size()? == size {
            Ok(frames)
        } else {
            Err(another_size())
        }
    }

    /// The size of the canvas that the library allocated, which it returns with every frame.
    fn canvas_size(&self) -> Result<Size, TransformError> {
        // SAFETY: a valid decoder, and plain numbers, for which zero is valid, as the place for its answer.
        let (told, info) = unsafe {
            let mut info: webp::WebPAnimInfo = mem::zeroed();
            (
                webp::WebPAnimDecoderGetInfo(self.decoder, &mut info) != 0,
                info,
            )
        };
        if told {
            Ok(Size::new(info.canvas_width, info.canvas_height))
        } else {
            Err(broken())
        }
    }

    pub(super) fn space(&self) -> ColorSpace {
        ColorSpace::from_icc(metadata::webp_profile(&self.source).map(<[u8]>::to_vec))
    }

    pub(super) fn next(&mut self) -> Result<Option<AnimationFrame>, TransformError> {
        // SAFETY: a valid decoder.
        if unsafe { webp::WebPAnimDecoderHasMoreFrames(self.decoder) } == 0 {
            return Ok(None);
        }
        let (mut canvas, mut ends) = (ptr::null_mut(), 0);
        // SAFETY: a valid decoder and two valid places for its answer.
        let shown =
            unsafe { webp::WebPAnimDecoderGetNext(self.decoder, &mut canvas, &mut ends) } != 0;
        if !shown || canvas.is_null() {
            return Err(broken());
        }
        let length = self.size.len() * Channels::Rgba.count();
        // SAFETY: the library writes into a canvas of its own, whose size it has told, see `open`, and which has four bytes for each
        // pixel without gaps, because RGBA was asked for. It stays until the next call.
        let samples = buffer::copied(unsafe { slice::from_raw_parts(canvas, length) })?;
        let delay = ends.wrapping_sub(self.elapsed);
        self.elapsed = ends;
        Ok(Some(AnimationFrame {
            raster: Raster {
                size: self.size,
                channels: Channels::Rgba,
                samples: Samples::U8(samples),
            },
            delay: Duration::from_millis(u64::try_from(delay).unwrap_or(0)),
        }))
    }
}
