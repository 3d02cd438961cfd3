//! Animated WebP by libwebp, which finds the changes between frames by itself. It holds three canvases and the output so far; frames that
//! look the same become one.
#![expect(unsafe_code, reason = "binds libwebp")]

use std::mem;
use std::ops::Range;
use std::ptr;
use std::slice;
use std::time::Duration;

use libwebp_sys as webp;

use crate::options::{Effort, Quality};

use crate::codecs::TransformError;
use crate::codecs::animation::LoopCount;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::webp::{config, is_settled};
use crate::pixels::{Size, buffer};

/// The longest frame duration: the container has 24 bits of milliseconds.
const LONGEST: Duration = Duration::from_millis((1 << 24) - 1);

pub(crate) struct WebpAnimationEncoder {
    /// Null until there is a frame.
    encoder: *mut webp::WebPAnimEncoder,
    config: webp::WebPConfig,
    size: Size,
    loops: LoopCount,
    is_settled: bool,
    is_translucent: bool,
    elapsed: Duration,
    /// The start time of the next frame in milliseconds.
    begins: i32,
}

impl Drop for WebpAnimationEncoder {
    fn drop(&mut self) {
        // SAFETY: the encoder came from WebPAnimEncoderNew, or is null, and is deleted once.
        unsafe { webp::WebPAnimEncoderDelete(self.encoder) }
    }
}

impl WebpAnimationEncoder {
    pub(super) fn new(
        size: Size,
        loops: LoopCount,
        quality: Quality,
        effort: Effort,
    ) -> Result<Self, TransformError> {
        let mut config = config(size, quality, effort)?;
        // A frame is blended over the previous one, so transparent pixels need no colour.
        config.exact = 0;
        Ok(WebpAnimationEncoder {
            encoder: ptr::null_mut(),
            config,
            size,
            loops,
            is_settled: is_settled(size, effort),
            is_translucent: false,
            elapsed: Duration::ZERO,
            begins: 0,
        })
    }

    /// Makes the encoder. Flat frames, which drawn animations have, may be lossless: that takes one third to two thirds of the bytes for
    /// them, and up to 1.7 times the time. Frames of photographs only cost that time. The first frame tells.
    fn begin(&mut self, first: &[u8]) -> Result<(), TransformError> {
        /// The container has 16 bits for the loop count.
        const MOST_LOOPS: u32 = 65_535;
        let is_mixed = self.config.lossless == 0 && is_flat(first, self.size);
        let has_lossless = is_mixed || self.config.lossless != 0;
        self.config.method = match (has_lossless, self.is_settled) {
            (false, false) => 4,
            (false, true) => 6,
            // A lossless frame by method 3 has as many bytes as by 4; by 6 it holds more memory than all else together.
            (true, _) => 3,
        };
        let version = webp::WEBP_MUX_ABI_VERSION.cast_signed();
        // SAFETY: plain numbers, for which zero is valid, and initialised at once.
        let mut options: webp::WebPAnimEncoderOptions = unsafe { mem::zeroed() };
        // SAFETY: a valid reference.
        if unsafe { webp::WebPAnimEncoderOptionsInitInternal(&mut options, version) } == 0 {
            return Err(failed("libwebp of another version"));
        }
        options.anim_params.loop_count = self.loops.0.min(MOST_LOOPS).cast_signed();
        // Transparent, for viewers that use it.
        options.anim_params.bgcolor = 0;
        options.allow_mixed = i32::from(is_mixed);
        let Size { width, height } = self.size;
        let (width, height) = (width.cast_signed(), height.cast_signed());
        // SAFETY: valid options, which are copied; the library refuses sizes that it cannot do.
        let encoder = unsafe { webp::WebPAnimEncoderNewInternal(width, height, &options, version) };
        if encoder.is_null() {
            return Err(failed("WebP: no animation of this size"));
        }
        self.encoder = encoder;
        Ok(())
    }

    pub(super) fn push(&mut self, rgba: &[u8], delay: Duration) -> Result<(), TransformError> {
        if rgba.len() != self.size.len() * 4 {
            return Err(failed("samples that do not make the frame"));
        }
        if self.encoder.is_null() {
            self.begin(rgba)?;
        }
        let stride = i32::try_from(self.size.width as usize * 4).map_err(failed)?;
        let mut picture =
            webp::WebPPicture::new().map_err(|()| failed("libwebp of another version"))?;
        picture.width = self.size.width.cast_signed();
        picture.height = self.size.height.cast_signed();
        picture.use_argb = 1;
        // SAFETY: the library copies `size` pixels of four bytes, in rows `stride` apart: all that there are, as was checked; encoder,
        // configuration and picture are valid; the picture was initialised by the library and is freed once.
        let added = unsafe {
            let added = webp::WebPPictureImportRGBA(&mut picture, rgba.as_ptr(), stride) != 0
                && webp::WebPAnimEncoderAdd(self.encoder, &mut picture, self.begins, &self.config)
                    != 0;
            webp::WebPPictureFree(&mut picture);
            added
        };
        if !added {
            return Err(failed(format_args!("WebP: {:?}", picture.error_code)));
        }
        self.is_translucent |= rgba.iter().skip(3).step_by(4).any(|&alpha| alpha < u8::MAX);
        self.elapsed = self.elapsed.saturating_add(delay.min(LONGEST));
        self.begins = self.end();
        Ok(())
    }

    /// The end time of the last frame: rounded from the sum of all delays, so that rounding errors do not add up. The encoder has 31 bits
    /// for it (24 days); longer times are cut.
    fn end(&self) -> i32 {
        let millis = self
            .elapsed
            .saturating_add(Duration::from_micros(500))
            .as_millis();
        i32::try_from(millis).unwrap_or(i32::MAX)
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, TransformError> {
        if self.encoder.is_null() {
            return Err(failed("an animation without frames"));
        }
        // SAFETY: plain numbers, for which zero is valid.
        let mut data: webp::WebPData = unsafe { mem::zeroed() };
        // SAFETY: a valid encoder; no picture says that the last frame ends here.
        let made = unsafe {
            webp::WebPAnimEncoderAdd(self.encoder, ptr::null_mut(), self.begins, ptr::null()) != 0
                && webp::WebPAnimEncoderAssemble(self.encoder, &mut data) != 0
        };
        let bytes = if made && !data.bytes.is_null() {
            // SAFETY: the library made room for the file, and says where and how long it is.
            buffer::copied(unsafe { slice::from_raw_parts(data.bytes, data.size) })
                .map_err(TransformError::from)
        } else {
            Err(failed("WebP: the animation could not be assembled"))
        };
        // SAFETY: the library's own allocation, or null.
        unsafe { webp::WebPFree(data.bytes.cast_mut().cast()) };
        bytes.map(|bytes| self.announced(bytes))
    }

    /// The library crops each frame to its opaque part, and does not announce alpha if only opaque rectangles are left: some viewers then
    /// show black around them.
    fn announced(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        const ALPHA: u8 = 0x10;
        const NAME: Range<usize> = 12..16;
        const FLAGS: usize = 20;
        let is_extended = bytes.get(NAME) == Some(b"VP8X".as_slice());
        if let (true, true, Some(flags)) = (self.is_translucent, is_extended, bytes.get_mut(FLAGS))
        {
            *flags |= ALPHA;
        }
        bytes
    }
}

/// Whether at least a quarter of the pixels of a frame equal their neighbours to the left and above.
fn is_flat(rgba: &[u8], size: Size) -> bool {
    let width = size.width as usize;
    let (pixels, _) = rgba.as_chunks::<4>();
    let rows = pixels
        .chunks_exact(width)
        .zip(pixels.chunks_exact(width).skip(1));
    let equal: usize = rows
        .map(|(above, row)| {
            let pairs = row.iter().zip(row.iter().skip(1)).zip(above.iter().skip(1));
            pairs
                .filter(|((left, own), above)| left == own && above == own)
                .count()
        })
        .sum();
    4 * equal >= pixels.len()
}

#[cfg(test)]
mod tests {
    use super::is_flat;
    use crate::pixels::Size;

    #[test]
    fn drawings_are_flat_and_noise_is_not() {
        let size = Size::new(40, 30);
        let noise = |at: usize| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0];
        let frame =
            |color: fn(usize) -> [u8; 4]| (0..size.len()).flat_map(color).collect::<Vec<_>>();
        assert!(is_flat(
            &frame(|at| if at % 40 < 20 {
                [255; 4]
            } else {
                [0, 0, 0, 255]
            }),
            size
        ));
        let noisy: Vec<u8> = (0..size.len() * 4).map(noise).collect();
        assert!(!is_flat(&noisy, size));
        assert!(!is_flat(&[1, 2, 3, 4], Size::new(1, 1)));
    }
}
