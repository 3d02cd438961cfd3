//! Decodes animations frame by frame, composed as browsers compose them. However many frames there are, memory holds only the canvas, the
//! pixels that a frame may restore, and the current frame.

mod apng;
mod canvas;
pub(crate) mod gif;
mod webp;

use crate::codecs::TransformError;
use crate::codecs::animation::{Animation, AnimationFrame};
use crate::codecs::decode::webp_demux;
use crate::codecs::sniff::SourceFormat;
use crate::pixels::color::ColorSpace;

/// Describes an animation by its structure alone, without decoding pixels. `None` for a still picture, an animation of one frame, and a
/// file too damaged to tell. An AVIF sequence counts as a still, because only its first picture can be decoded.
pub(crate) fn animation(source: &[u8], format: SourceFormat) -> Option<Animation> {
    let found = match format {
        SourceFormat::Gif => gif::animation(source),
        SourceFormat::Webp => webp_demux::animation(source),
        SourceFormat::Png => apng::animation(source),
        _ => None,
    };
    found.filter(|animation| animation.frames > 1)
}

/// Reads the frames of an animation once, from first to last.
///
/// A damaged frame ends the animation: the frames before it are used, and it is an error only if it is the first.
pub(crate) struct FrameReader<'a> {
    frames: FormatFrames<'a>,
    space: ColorSpace,
    is_started: bool,
    is_ended: bool,
}

enum FormatFrames<'a> {
    Gif(Box<gif::GifFrames<'a>>),
    Webp(webp::WebpFrames<'a>),
    Apng(Box<apng::ApngFrames<'a>>),
}

impl<'a> FrameReader<'a> {
    /// Opens an animation that may take `max_bytes` of memory in addition to the source.
    pub(crate) fn open(
        source: &'a [u8],
        format: SourceFormat,
        max_bytes: u64,
    ) -> Result<Self, TransformError> {
        let (frames, space) = match format {
            SourceFormat::Gif => (
                FormatFrames::Gif(Box::new(gif::GifFrames::open(source, max_bytes)?)),
                ColorSpace::Srgb,
            ),
            SourceFormat::Webp => {
                let frames = webp::WebpFrames::open(source, max_bytes)?;
                let space = frames.space();
                (FormatFrames::Webp(frames), space)
            }
            SourceFormat::Png => {
                let frames = apng::ApngFrames::open(source, max_bytes)?;
                let space = frames.space();
                (FormatFrames::Apng(Box::new(frames)), space)
            }
            _ => {
                return Err(TransformError::Decode("it has no frames".to_owned()));
            }
        };
        Ok(FrameReader {
            frames,
            space,
            is_started: false,
            is_ended: false,
        })
    }

    /// The colour space of every frame.
    pub(crate) fn space(&self) -> &ColorSpace {
        &self.space
    }

    /// The next frame; `None` after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<AnimationFrame>, TransformError> {
        if self.is_ended {
            return Ok(None);
        }
        let frame = match &mut self.frames {
            FormatFrames::Gif(frames) => frames.next(),
            FormatFrames::Webp(frames) => frames.next(),
            FormatFrames::Apng(frames) => frames.next(),
        };
        match frame {
            Ok(Some(frame)) => {
                self.is_started = true;
                Ok(Some(frame))
            }
            // The frames may be undamaged: memory is missing for them.
            Err(TransformError::Pixels(refusal)) => Err(refusal.into()),
            Ok(None) | Err(_) if self.is_started => {
                self.is_ended = true;
                Ok(None)
            }
            Ok(None) => Err(TransformError::Decode("it has no frames".to_owned())),
            Err(cause) => Err(cause),
        }
    }
}

#[cfg(test)]
mod tests;
