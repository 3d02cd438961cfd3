//! Encodes an animation frame by frame: memory holds a few canvases and the output so far, however many frames there are.

use std::time::Duration;

use crate::options::{Effort, Format, Quality};

use crate::codecs::TransformError;
use crate::codecs::animation::LoopCount;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::{animated_webp, gif};
use crate::pixels::Size;

/// Encodes an animation of one or more frames.
pub(crate) struct AnimationEncoder {
    size: Size,
    is_empty: bool,
    kind: FormatEncoder,
}

enum FormatEncoder {
    Webp(Box<animated_webp::WebpAnimationEncoder>),
    Gif(Box<gif::GifAnimationEncoder>),
}

impl AnimationEncoder {
    /// `format` is WebP or GIF. The sides must be within `longest_side`.
    pub(crate) fn new(
        format: Format,
        size: Size,
        loops: LoopCount,
        quality: Quality,
        effort: Effort,
    ) -> Result<Self, TransformError> {
        let kind = match format {
            Format::Webp => FormatEncoder::Webp(Box::new(
                animated_webp::WebpAnimationEncoder::new(size, loops, quality, effort)?,
            )),
            Format::Gif => FormatEncoder::Gif(Box::new(gif::GifAnimationEncoder::new(
                size, loops, quality,
            )?)),
            _ => {
                return Err(failed(format_args!("no animation is written as {format}")));
            }
        };
        Ok(AnimationEncoder {
            size,
            is_empty: true,
            kind,
        })
    }

    /// Adds a frame: RGBA, upright, in sRGB, alpha not premultiplied, of the size of the animation.
    pub(crate) fn push(&mut self, rgba: &[u8], delay: Duration) -> Result<(), TransformError> {
        if rgba.len() != self.size.len() * 4 {
            return Err(failed("samples that do not make the frame"));
        }
        self.is_empty = false;
        match &mut self.kind {
            FormatEncoder::Webp(animator) => animator.push(rgba, delay),
            FormatEncoder::Gif(animator) => animator.push(rgba, delay),
        }
    }

    /// Returns the encoded file.
    pub(crate) fn finish(self) -> Result<Vec<u8>, TransformError> {
        if self.is_empty {
            return Err(failed("an animation without frames"));
        }
        match self.kind {
            FormatEncoder::Webp(animator) => animator.finish(),
            FormatEncoder::Gif(animator) => animator.finish(),
        }
    }
}

#[cfg(test)]
mod tests;
