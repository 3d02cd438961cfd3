//! APNG by `png`, composed on our own canvas. `image` restores the wrong pixels when a frame with disposal "previous" follows one with
//! disposal "background", assumes too short rows for interlaced frames, and refuses 16 bits.

use std::io::Cursor;
use std::time::Duration;

use png::BlendOp;
use png::ColorType;
use png::Decoder;
use png::DisposeOp;
use png::Limits;
use png::Reader;
use png::Transformations;

use crate::codecs::TransformError;
use crate::codecs::animation::{Animation, AnimationFrame, Area, LoopCount};
use crate::codecs::decode::frames::canvas::{AnimationCanvas, Disposal, check_memory};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Size, buffer, to_u8};

/// Bytes that chunks other than pixels may decompress to.
const MAX_METADATA: u64 = 4 << 20;

/// Reads `acTL` and counts the `fcTL` chunks: the smaller of both frame counts is used.
pub(crate) fn animation(source: &[u8]) -> Option<Animation> {
    const SIGNATURE: usize = 8;
    let mut rest = source.get(SIGNATURE..)?;
    let (mut size, mut control, mut frames) = (None, None, 0u32);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let Some((name, after)) = after.split_first_chunk::<4>() else {
            break;
        };
        let Some((content, after)) = after.split_at_checked(length) else {
            break;
        };
        match (name, content) {
            (b"IHDR", _) => size = Some(Size::new(number(content, 0)?, number(content, 4)?)),
            // An `acTL` after the pixels is ignored.
            (b"acTL", _) => control = Some((number(content, 0)?, number(content, 4)?)),
            (b"IDAT", _) if control.is_none() => return None,
            (b"fcTL", _) => frames = frames.saturating_add(1),
            (b"IEND", _) => break,
            _ => {}
        }
        const CHECKSUM: usize = 4;
        rest = after.get(CHECKSUM..).unwrap_or_default();
    }
    let (announced, plays) = control?;
    let size = size?;
    Some(Animation {
        frames: frames.min(announced),
        loops: LoopCount(plays),
        size,
        may_be_transparent: true,
        // A pixel has at most 8 bytes.
        frame_bytes: size.area().saturating_mul(8),
    })
}

fn number(content: &[u8], offset: usize) -> Option<u32> {
    let bytes = content.get(offset..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

pub(crate) struct ApngFrames<'a> {
    reader: Reader<Cursor<&'a [u8]>>,
    canvas: AnimationCanvas,
    remaining: u32,
    /// Whether the reader is positioned before the data of the next frame, and not after a finished one.
    is_ready: bool,
    buffer: Vec<u8>,
    space: ColorSpace,
}

impl<'a> ApngFrames<'a> {
    pub(super) fn open(source: &'a [u8], max_bytes: u64) -> Result<Self, TransformError> {
        let Animation { frames, size, .. } =
            animation(source).ok_or_else(|| failed("it is not animated"))?;
        check_memory(size, max_bytes)?;
        // The library adds up the rows of all frames. A pixel has at most 8 bytes.
        let rows = u64::from(size.width) * 8 * u64::from(frames.saturating_add(1));
        let bytes = usize::try_from(MAX_METADATA.saturating_add(rows)).unwrap_or(usize::MAX);
        let mut decoder = Decoder::new_with_limits(Cursor::new(source), Limits { bytes });
        decoder.set_ignore_text_chunk(true);
        // The library may decompress it to as many bytes as all rows; ours is read with its own limit.
        decoder.set_ignore_iccp_chunk(true);
        decoder.set_transformations(Transformations::EXPAND);
        let reader = decoder.read_info().map_err(failed)?;
        let length = reader
            .output_buffer_size()
            .ok_or_else(|| failed("too large"))?;
        // A default image without `fcTL` is only for viewers without animation.
        let is_ready = reader.info().frame_control.is_some();
        Ok(ApngFrames {
            reader,
            canvas: AnimationCanvas::new(size)?,
            remaining: frames,
            is_ready,
            buffer: buffer::zeroed(length)?,
            space: crate::codecs::decode::png::space(source),
        })
    }

    pub(super) fn space(&self) -> ColorSpace {
        self.space.clone()
    }

    pub(super) fn next(&mut self) -> Result<Option<AnimationFrame>, TransformError> {
        let Some(remaining) = self.remaining.checked_sub(1) else {
            return Ok(None);
        };
        self.remaining = remaining;
        if !self.is_ready {
            self.reader.next_frame_info().map_err(failed)?;
        }
        self.is_ready = false;
        let control = self
            .reader
            .info()
            .frame_control
            .ok_or_else(|| failed("a frame without control"))?;
        let output = self.reader.next_frame(&mut self.buffer).map_err(failed)?;
        // The rows of an interlaced frame are as far apart as if the frame were as wide as the canvas.
        let stride = if self.reader.info().interlaced {
            self.buffer.len() / self.canvas.size().height as usize
        } else {
            output.line_size
        };
        let deep = output.bit_depth == png::BitDepth::Sixteen;
        let area = Area {
            left: control.x_offset,
            top: control.y_offset,
            size: Size::new(output.width, output.height),
        };
        let disposal = match control.dispose_op {
            DisposeOp::None => Disposal::Keep,
            DisposeOp::Background => Disposal::Clear,
            DisposeOp::Previous => Disposal::Restore,
        };
        let mut line = buffer::with_room(output.line_size)?;
        let raster = self.canvas.show(area, disposal, |row, pixels| {
            let samples = &self.buffer[row * stride..][..output.line_size];
            line.clear();
            if deep {
                let pairs = samples.as_chunks().0;
                line.extend(pairs.iter().map(|pair| to_u8(u16::from_be_bytes(*pair))));
            } else {
                line.extend_from_slice(samples);
            }
            paint(pixels, &line, output.color_type, control.blend_op);
        })?;
        // A denominator of 0 means 100.
        let parts = u64::from(if control.delay_den == 0 {
            100
        } else {
            control.delay_den
        });
        Ok(Some(AnimationFrame {
            raster,
            delay: Duration::from_nanos(u64::from(control.delay_num) * 1_000_000_000 / parts),
        }))
    }
}

/// Paints a row of samples of any colour type onto a row of RGBA.
fn paint(pixels: &mut [u8], samples: &[u8], color: ColorType, blend: BlendOp) {
    let channels = color.samples();
    for (pixel, sample) in pixels
        .chunks_exact_mut(4)
        .zip(samples.chunks_exact(channels))
    {
        let source = match *sample {
            [gray] => [gray, gray, gray, u8::MAX],
            [gray, alpha] => [gray, gray, gray, alpha],
            [red, green, blue] => [red, green, blue, u8::MAX],
            _ => [sample[0], sample[1], sample[2], sample[3]],
        };
        match (blend, source[3]) {
            (BlendOp::Source, _) | (BlendOp::Over, u8::MAX) => pixel.copy_from_slice(&source),
            (BlendOp::Over, 0) => {}
            (BlendOp::Over, _) => over(pixel, source),
        }
    }
}

/// Porter and Duff's "over" for colours that are not premultiplied, each step rounded to the nearest (PNG 3rd edition, 13.16).
fn over(pixel: &mut [u8], source: [u8; 4]) {
    let (above, below) = (u32::from(source[3]), u32::from(pixel[3]));
    // In units of 1 / 255².
    let (upper, lower) = (above * 255, below * (255 - above));
    let alpha = upper + lower;
    for (sample, color) in pixel.iter_mut().zip(&source[..3]) {
        *sample =
            sample_of((u32::from(*color) * upper + u32::from(*sample) * lower + alpha / 2) / alpha);
    }
    pixel[3] = sample_of((alpha + 127) / 255);
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a mean of samples is a sample"
)]
const fn sample_of(value: u32) -> u8 {
    value as u8
}

fn failed(cause: impl std::fmt::Display) -> TransformError {
    TransformError::Decode(format!("APNG: {cause}"))
}
