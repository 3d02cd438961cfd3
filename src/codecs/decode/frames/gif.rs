//! GIF by `gif`, composed on our own canvas. `image` holds three canvases in RGBA, and plays a file without a loop count for ever.

use std::io::Cursor;
use std::mem;
use std::num::NonZeroU64;
use std::time::Duration;

use gif::ColorOutput;
use gif::DecodeOptions;
use gif::Decoder;
use gif::DisposalMethod;
use gif::MemoryLimit;

use crate::codecs::TransformError;
use crate::codecs::animation::{Animation, AnimationFrame, Area, LoopCount};
use crate::codecs::decode::frames::canvas::{AnimationCanvas, Disposal, check_memory};
use crate::pixels::{Raster, Size, buffer};

/// How many times larger than the canvas a frame may be. Frames of some real files reach beyond the canvas; a frame of 65535x65535 pixels
/// on a canvas of one pixel is an attack.
const FRAME_PER_CANVAS: u64 = 16;

/// The first byte of a block.
const IMAGE: u8 = 0x2C;
const EXTENSION: u8 = 0x21;
const TRAILER: u8 = 0x3B;

/// Counts the frames whose data is complete. The library cannot tell a truncated frame from a missing trailer, so the blocks are walked
/// here.
pub(crate) fn animation(source: &[u8]) -> Option<Animation> {
    let (mut blocks, size) = GifBlocks::of(source)?;
    let mut found = Animation {
        frames: 0,
        loops: LoopCount::ONCE,
        size,
        may_be_transparent: false,
        frame_bytes: 0,
    };
    while blocks.next(&mut found).is_some() {}
    // A larger frame is refused.
    found.frame_bytes = found.frame_bytes.min(size.area() * FRAME_PER_CANVAS);
    Some(found)
}

/// The size of the canvas.
pub(crate) fn canvas_size(source: &[u8]) -> Result<Size, TransformError> {
    let decoder = decoder(source, DecodeOptions::new())?;
    Ok(Size::new(
        u32::from(decoder.width()),
        u32::from(decoder.height()),
    ))
}

/// Decodes the first frame on its canvas. `frame_per_canvas` is how many times larger than the canvas it may be.
pub(crate) fn first(
    source: &[u8],
    size: Size,
    frame_per_canvas: u64,
) -> Result<Raster, TransformError> {
    let mut frames = GifFrames::open(source, u64::MAX)?;
    if frames.canvas.size() != size {
        return Err(failed("the size changed"));
    }
    frames.frame_per_canvas = frame_per_canvas;
    let first = frames.next()?.ok_or_else(|| failed("it has no frames"))?;
    Ok(first.raster)
}

/// A decoder that skips unknown extensions, as browsers do: all extensions have the same structure, whatever their label.
fn decoder(
    source: &[u8],
    mut options: DecodeOptions,
) -> Result<Decoder<Cursor<&[u8]>>, TransformError> {
    options.allow_unknown_blocks(true);
    options.read_info(Cursor::new(source)).map_err(failed)
}

/// The file up to the first block that is neither a frame nor an extension: browsers end the file there, but the library would treat the
/// block as one more unknown extension.
fn before_garbage(source: &[u8]) -> &[u8] {
    let Some((mut blocks, size)) = GifBlocks::of(source) else {
        return source;
    };
    let mut found = Animation {
        frames: 0,
        loops: LoopCount::ONCE,
        size,
        may_be_transparent: false,
        frame_bytes: 0,
    };
    loop {
        let before = blocks.rest.len();
        match blocks.rest.first() {
            Some(&(IMAGE | EXTENSION)) => {}
            Some(&TRAILER) | None => return source,
            Some(_) => return &source[..source.len() - before],
        }
        if blocks.next(&mut found).is_none() {
            return source;
        }
    }
}

/// The blocks of a GIF that are not read yet.
struct GifBlocks<'a> {
    rest: &'a [u8],
    /// Bytes of the colour table for frames without their own.
    colors: usize,
    control: Control,
    /// Whether something of the canvas is transparent before the next frame.
    is_clear: bool,
}

impl<'a> GifBlocks<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// The blocks after the header of a file, and the size of its canvas.
    fn of(source: &'a [u8]) -> Option<(GifBlocks<'a>, Size)> {
        let mut blocks = GifBlocks {
            rest: source,
            colors: 0,
            control: Control::default(),
            is_clear: true,
        };
        blocks.take(6)?;
        let screen = blocks.take(7)?;
        let size = Size::new(
            u32::from(u16::from_le_bytes([screen[0], screen[1]])),
            u32::from(u16::from_le_bytes([screen[2], screen[3]])),
        );
        blocks.colors = table_length(screen[4]);
        blocks.take(blocks.colors)?;
        Some((blocks, size))
    }

    /// Reads one block; `None` after the last one, and if the data ends inside one.
    fn next(&mut self, found: &mut Animation) -> Option<()> {
        const APPLICATION: u8 = 0xFF;
        const GRAPHIC_CONTROL: u8 = 0xF9;
        match self.take(1)? {
            [IMAGE] => {
                let descriptor = self.take(9)?;
                let side =
                    |at: usize| u64::from(u16::from_le_bytes([descriptor[at], descriptor[at + 1]]));
                // Each pixel is decoded to an index of one byte.
                found.frame_bytes = found.frame_bytes.max(side(4) * side(6));
                let covers = side(0) + side(2) == 0
                    && side(4) >= u64::from(found.size.width)
                    && side(6) >= u64::from(found.size.height);
                let own = table_length(descriptor[8]);
                self.take(own)?;
                let colors = if own == 0 { self.colors } else { own } / 3;
                // An index without a colour is transparent.
                let code_bits = u32::from(self.take(1)?[0]);
                let has_colors = code_bits <= u8::BITS && 1 << code_bits <= colors;
                let control = mem::take(&mut self.control);
                let is_opaque = covers && has_colors && !control.has_transparency;
                found.may_be_transparent |= self.is_clear && !is_opaque;
                self.is_clear = match control.disposal {
                    Disposal::Keep => false,
                    Disposal::Clear => true,
                    Disposal::Restore => self.is_clear,
                };
                while !self.sub_block()?.is_empty() {}
                found.frames = found.frames.saturating_add(1);
            }
            [EXTENSION] => {
                let label = self.take(1)?[0];
                let name = self.sub_block()?;
                let is_loop =
                    label == APPLICATION && matches!(name, b"NETSCAPE2.0" | b"ANIMEXTS1.0");
                if let (GRAPHIC_CONTROL, [packed, ..]) = (label, name) {
                    self.control = Control::of(*packed);
                }
                if name.is_empty() {
                    return Some(());
                }
                loop {
                    match self.sub_block()? {
                        [] => break,
                        [1, low, high] if is_loop => {
                            found.loops = match u16::from_le_bytes([*low, *high]) {
                                0 => LoopCount::FOREVER,
                                repeats => LoopCount(u32::from(repeats) + 1),
                            };
                        }
                        _ => {}
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn sub_block(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }
}

/// What is said about the next frame.
struct Control {
    has_transparency: bool,
    disposal: Disposal,
}

impl Default for Control {
    fn default() -> Self {
        Control::of(0)
    }
}

impl Control {
    fn of(packed: u8) -> Self {
        Control {
            has_transparency: packed & 1 != 0,
            disposal: match packed >> 2 & 7 {
                0 | 1 => Disposal::Keep,
                3 => Disposal::Restore,
                _ => Disposal::Clear,
            },
        }
    }
}

/// The length in bytes of the colour table that a packed field describes.
fn table_length(packed: u8) -> usize {
    if packed & 0x80 == 0 {
        0
    } else {
        3 << ((packed & 7) + 1)
    }
}

pub(crate) struct GifFrames<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    canvas: AnimationCanvas,
    indices: Vec<u8>,
    frame_per_canvas: u64,
}

impl<'a> GifFrames<'a> {
    pub(crate) fn open(source: &'a [u8], max_bytes: u64) -> Result<Self, TransformError> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::Indexed);
        options.set_memory_limit(MemoryLimit::Bytes(
            NonZeroU64::new(max_bytes).unwrap_or(NonZeroU64::MIN),
        ));
        let decoder = decoder(before_garbage(source), options)?;
        let size = Size::new(u32::from(decoder.width()), u32::from(decoder.height()));
        check_memory(size, max_bytes)?;
        Ok(GifFrames {
            decoder,
            canvas: AnimationCanvas::new(size)?,
            indices: Vec::new(),
            frame_per_canvas: FRAME_PER_CANVAS,
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<AnimationFrame>, TransformError> {
        let Some(frame) = self.decoder.next_frame_info().map_err(failed)? else {
            return Ok(None);
        };
        let mut frame = frame.clone();
        let area = Area {
            left: u32::from(frame.left),
            top: u32::from(frame.top),
            size: Size::new(u32::from(frame.width), u32::from(frame.height)),
        };
        if area.size.area() > self.canvas.size().area() * self.frame_per_canvas {
            return Err(failed("a frame is far larger than the canvas"));
        }
        self.indices.clear();
        buffer::reserve(&mut self.indices, area.size.len())?;
        self.indices.resize(area.size.len(), 0);
        if !area.is_empty() {
            self.decoder
                .read_into_buffer(&mut self.indices)
                .map_err(failed)?;
        }
        let palette = frame
            .palette
            .take()
            .or_else(|| self.decoder.global_palette().map(<[u8]>::to_vec))
            .unwrap_or_default();
        let colors = colors(&palette, frame.transparent);
        let disposal = match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => Disposal::Keep,
            DisposalMethod::Background => Disposal::Clear,
            DisposalMethod::Previous => Disposal::Restore,
        };
        let width = area.size.width as usize;
        let raster = self.canvas.show(area, disposal, |row, pixels| {
            let indices = &self.indices[row * width..][..width];
            for (pixel, &index) in pixels.chunks_exact_mut(4).zip(indices) {
                let color = colors[usize::from(index)];
                if color[3] != 0 {
                    pixel.copy_from_slice(&color);
                }
            }
        })?;
        Ok(Some(AnimationFrame {
            raster,
            delay: Duration::from_millis(u64::from(frame.delay) * 10),
        }))
    }
}

/// The RGBA colour of every index. Indices beyond the palette are transparent.
fn colors(palette: &[u8], transparent: Option<u8>) -> [[u8; 4]; 256] {
    let mut colors = [[0; 4]; 256];
    for (color, rgb) in colors.iter_mut().zip(palette.chunks_exact(3)) {
        *color = [rgb[0], rgb[1], rgb[2], u8::MAX];
    }
    if let Some(index) = transparent {
        colors[usize::from(index)] = [0; 4];
    }
    colors
}

fn failed(cause: impl std::fmt::Display) -> TransformError {
    TransformError::Decode(format!("GIF: {cause}"))
}
