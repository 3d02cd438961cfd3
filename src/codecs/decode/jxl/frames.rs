//! Finds the frames that make the first picture of a JPEG XL, by their headers alone: their number, their size, and where they end (ISO/IEC
//! 18181-1, annexes F and G). Layers of an editor, and parts of a picture that are used several times, are such frames.
//!
//! The decoder renders a frame by a recursive call from the next one, and copies the whole canvas for each frame that is blended onto it. A
//! frame may take only 15 bytes of the file, so the number of frames decides stack and time, not the size of the file.

use std::sync::Arc;

use jxl_bitstream::Bitstream;
use jxl_color::icc;
use jxl_frame::Frame;
use jxl_frame::FrameContext;
use jxl_frame::FrameHeader;
use jxl_oxide::JxlThreadPool;
use jxl_oxide::image::ImageHeader;
use jxl_oxide_common::Bundle;

use crate::codecs::TransformError;
use crate::codecs::decode::jxl::error::{broken, failed};
use crate::codecs::decode::jxl::image_header::{channels, header_of};
use crate::pixels::Size;

/// The number of frames for one picture. Pictures for the web do not have more layers, and 64 frames take less than 256 KiB of stack.
pub(crate) const MOST: u32 = 64;
/// All frames together may have this many times the area of the picture.
const AREAS: u64 = 16;
/// Additional pixels, so that a small picture may have larger frames.
const SPARE: u64 = 1 << 20;
/// Pixels of all canvases onto which frames are blended: about ten seconds.
const BLENDED: u64 = 1 << 30;
/// Copying a pixel of a canvas takes one part in this many of the time to decode one.
const COPIES: u64 = 8;
/// Sections of all frames whose order is permuted: sorting them takes quadratic time.
const PERMUTED: u64 = 1 << 14;

/// The frames of the first picture that is shown.
pub(crate) struct PictureFrames {
    /// The end of the frames in the codestream; `None` if the codestream ends earlier.
    pub end: Option<usize>,
    counts: FrameTotals,
}

impl PictureFrames {
    /// Parses the frame headers of a codestream. Too many frames are an error.
    pub(super) fn of(codestream: &[u8]) -> Result<PictureFrames, TransformError> {
        let mut bits = Bitstream::new(codestream);
        let header = Arc::new(header_of(&mut bits)?);
        let canvas = Size::new(header.size.width, header.size.height);
        let mut counts = FrameTotals::new(canvas);
        let end = match end_of_header(&mut bits, &header, codestream)? {
            Some(start) => end_of_frames(codestream, start, &header, &mut counts)?,
            None => None,
        };
        Ok(PictureFrames { end, counts })
    }

    /// Pixels that are decoded in addition to those of the picture, copies of the canvas included.
    pub(super) fn hidden_pixels(&self) -> u64 {
        self.counts.hidden_area() + self.counts.blended / COPIES
    }

    /// Bytes, for each pixel of the picture, of all other frames until the picture is rendered, in the 32-bit samples of the decoder.
    pub(super) fn bytes_per_pixel(&self, header: &ImageHeader) -> u64 {
        let bytes = self
            .counts
            .hidden_area()
            .saturating_mul(channels(header) * 4);
        bytes.div_ceil(self.counts.canvas.area().max(1))
    }
}

/// The start of the first frame; `None` if the codestream ends earlier.
fn end_of_header(
    bits: &mut Bitstream<'_>,
    header: &Arc<ImageHeader>,
    codestream: &[u8],
) -> Result<Option<usize>, TransformError> {
    if header.metadata.colour_encoding.want_icc() {
        match icc::read_icc(bits) {
            Err(cause) if cause.unexpected_eof() => return Ok(None),
            read => read.map_err(failed)?,
        };
    }
    if bits.zero_pad_to_byte().is_err() {
        return Ok(None);
    }
    let start = bits.num_read_bits() / 8;
    if header.metadata.preview.is_none() {
        return Ok(Some(start));
    }
    // The preview has its own totals, because it is not rendered.
    let mut counts = FrameTotals::new(Size::new(header.size.width, header.size.height));
    let preview = frame(codestream, start, header, &mut counts)?;
    Ok(preview.map(|(_, end)| end))
}

/// The end of the first frame that is shown.
fn end_of_frames(
    codestream: &[u8],
    mut start: usize,
    header: &Arc<ImageHeader>,
    counts: &mut FrameTotals,
) -> Result<Option<usize>, TransformError> {
    while let Some((is_shown, end)) = frame(codestream, start, header, counts)? {
        if is_shown {
            return Ok(Some(end));
        }
        start = end;
    }
    Ok(None)
}

/// Whether the frame that begins at `start` is shown, and where it ends; `None` if the codestream ends earlier.
fn frame(
    codestream: &[u8],
    start: usize,
    header: &Arc<ImageHeader>,
    counts: &mut FrameTotals,
) -> Result<Option<(bool, usize)>, TransformError> {
    let Some(rest) = codestream.get(start..) else {
        return Ok(None);
    };
    let mut bits = Bitstream::new(rest);
    // First the header alone: the table after it may be long.
    let mut ahead = bits.clone();
    match FrameHeader::parse(&mut ahead, header) {
        Err(cause) if cause.unexpected_eof() => return Ok(None),
        found => counts.add(&found.map_err(failed)?, ahead.read_bool().unwrap_or(false))?,
    }
    let context = FrameContext {
        image_header: Arc::clone(header),
        tracker: None,
        pool: JxlThreadPool::none(),
    };
    let frame = match Frame::parse(&mut bits, context) {
        Err(cause) if cause.unexpected_eof() => return Ok(None),
        found => found.map_err(failed)?,
    };
    let length = (bits.num_read_bits() / 8).saturating_add(frame.toc().total_byte_size());
    let end = start.saturating_add(length);
    let is_whole = end <= codestream.len();
    Ok(is_whole.then(|| (frame.header().is_keyframe(), end)))
}

/// Totals of the frames so far.
struct FrameTotals {
    canvas: Size,
    frames: u32,
    area: u64,
    blended: u64,
    permuted: u64,
}

impl FrameTotals {
    fn new(canvas: Size) -> Self {
        FrameTotals {
            canvas,
            frames: 0,
            area: 0,
            blended: 0,
            permuted: 0,
        }
    }

    /// Adds a frame, whose sections may be permuted.
    fn add(&mut self, header: &FrameHeader, is_permuted: bool) -> Result<(), TransformError> {
        let size = Size::new(header.width, header.height);
        self.frames += 1;
        self.area = self.area.saturating_add(size.area());
        if header.frame_type.is_normal_frame() && !header.resets_canvas {
            self.blended = self.blended.saturating_add(self.canvas.area());
        }
        let Size { width, height } = self.canvas;
        if self.frames > MOST {
            return Err(broken(&format!(
                "too many layers: at most {MOST} are drawn, parts that are used again among them"
            )));
        }
        if self.area
            > self
                .canvas
                .area()
                .saturating_mul(AREAS)
                .saturating_add(SPARE)
        {
            return Err(broken(&format!(
                "too many layers: together they have more than {AREAS} times the pixels of the picture"
            )));
        }
        if self.blended > BLENDED {
            return Err(broken(&format!(
                "too many layers on {width}x{height} pixels: at most {BLENDED} pixels are drawn in all"
            )));
        }
        let sections = sections(header);
        // The decoder counts them with 32 bits.
        if u32::try_from(sections).is_err() {
            return Err(broken("a layer is too large"));
        }
        if is_permuted {
            self.permuted = self.permuted.saturating_add(sections);
        }
        if self.permuted > PERMUTED {
            return Err(broken(&format!(
                "more than {PERMUTED} parts in an order of their own"
            )));
        }
        Ok(())
    }

    /// The area of all frames but one, which is the picture itself.
    fn hidden_area(&self) -> u64 {
        self.area.saturating_sub(self.canvas.area())
    }
}

/// How many sections a frame has. Unlike the counts of `FrameHeader`, this holds for frames of any size.
fn sections(header: &FrameHeader) -> u64 {
    let (width, height) = (header.color_sample_width(), header.color_sample_height());
    let of = |side: u32| u64::from(width.div_ceil(side)) * u64::from(height.div_ceil(side));
    let groups = of(header.group_dim()).saturating_mul(u64::from(header.passes.num_passes));
    groups
        .saturating_add(of(header.lf_group_dim()))
        .saturating_add(2)
}
