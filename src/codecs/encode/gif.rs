//! Animated GIF by `gif`. Each frame holds the changed area with its own palette: if that area has at most 256 colours, every colour is
//! exact. Alpha is on or off.

use std::time::Duration;

use gif::DisposalMethod;
use gif::Encoder;
use gif::Frame;
use gif::Repeat;

use crate::options::Quality;

use crate::codecs::TransformError;
use crate::codecs::animation::{Area, LoopCount};
use crate::codecs::encode::error::failed;
use crate::codecs::encode::quantize;
use crate::codecs::encode::quantize::{MOST, PaletteImage, Rgba8, TRANSPARENT};
use crate::pixels::buffer::FileBuffer;
use crate::pixels::{PixelError, Size, buffer};

pub(crate) struct GifAnimationEncoder {
    size: Size,
    loops: LoopCount,
    /// The palette size for a frame with too many colours.
    colors: usize,
    /// In such a frame, a sample counts as unchanged if it differs from the shown one by no more than this.
    tolerance: u8,
    /// The encoder and the global palette, which is that of the first frame.
    file: Option<(Encoder<FileBuffer>, Vec<Rgba8>)>,
    /// The canvas with the pending frame on it. Each pixel is the requested one at the time when it was last painted.
    shown: Vec<Rgba8>,
    /// The last frame. Only the next frame decides its disposal, so it is not written yet.
    waiting: Option<PendingFrame>,
    clock: DelayClock,
}

/// A frame that is not written yet.
struct PendingFrame {
    area: Area,
    picture: PaletteImage,
    delay: u16,
}

impl GifAnimationEncoder {
    pub(super) fn new(
        size: Size,
        loops: LoopCount,
        quality: Quality,
    ) -> Result<Self, TransformError> {
        Ok(GifAnimationEncoder {
            size,
            loops,
            colors: quantize::colors(quality),
            // Invisible noise would take more bytes than the moving parts: at quality 85 this halves the file of a filmed scene.
            tolerance: (100 - quality.get()) / 3,
            file: None,
            shown: buffer::zeroed(size.len())?,
            waiting: None,
            clock: DelayClock::default(),
        })
    }

    pub(super) fn push(&mut self, rgba: &[u8], delay: Duration) -> Result<(), TransformError> {
        let (pixels, _) = rgba.as_chunks();
        let pixels = buffer::collected(pixels.len(), pixels.iter().copied().map(hard))?;
        let is_first = self.waiting.is_none();
        if let Some(waiting) = self.waiting.take() {
            self.settle(waiting, &pixels)?;
        }
        // Some viewers use the size of the first frame as the canvas size.
        let all = is_first.then(|| Area::whole(self.size));
        let (area, picture) = self.paint(&pixels, all)?;
        let delay = self.clock.tick(delay);
        self.waiting = Some(PendingFrame {
            area,
            picture,
            delay,
        });
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, TransformError> {
        if let Some(waiting) = self.waiting.take() {
            self.write(waiting, DisposalMethod::Keep)?;
        }
        let (encoder, _) = self.file.ok_or_else(|| failed("GIF: no frame"))?;
        // The last byte can fail only for lack of memory.
        let no_memory = |_| PixelError::OutOfMemory { bytes: 1 };
        encoder.into_inner().map_err(no_memory)?.finish(Ok(()))
    }

    /// Writes the pending frame. A pixel that becomes transparent cannot be painted over, so then the frame is disposed of before the next
    /// one, and its area is first enlarged to include those pixels.
    fn settle(&mut self, mut waiting: PendingFrame, next: &[Rgba8]) -> Result<(), TransformError> {
        let vanishing = self.differing(next, |shown, pixel| {
            pixel == TRANSPARENT && shown != TRANSPARENT
        });
        if vanishing.is_empty() {
            return self.write(waiting, DisposalMethod::Keep);
        }
        let area = waiting.area.union(vanishing);
        waiting.picture = enlarged(waiting.picture, waiting.area, area)?;
        waiting.area = area;
        for row in area.rows(self.size.width) {
            self.shown[row].fill(TRANSPARENT);
        }
        self.write(waiting, DisposalMethod::Background)
    }

    /// The smallest area that contains all pixels that differ from the shown ones.
    fn differing(&self, pixels: &[Rgba8], differ: impl Fn(Rgba8, Rgba8) -> bool) -> Area {
        let width = self.size.width as usize;
        let mut area = Area::EMPTY;
        let rows = self.shown.chunks(width).zip(pixels.chunks(width));
        for (top, (shown, pixels)) in (0..).zip(rows) {
            let mut columns = shown.iter().zip(pixels);
            let Some(left) = columns.position(|(&shown, &pixel)| differ(shown, pixel)) else {
                continue;
            };
            let mut columns = shown.iter().zip(pixels);
            let right = columns
                .rposition(|(&shown, &pixel)| differ(shown, pixel))
                .unwrap_or(left);
            let column = |index| u32::try_from(index).unwrap_or(u32::MAX);
            area = area.union(Area {
                left: column(left),
                top,
                size: Size::new(column(right - left + 1), 1),
            });
        }
        area
    }

    /// The area and picture that a frame must paint to show `pixels`: in the area `all`, or where pixels differ. The colours are exact if
    /// there are few enough.
    fn paint(
        &mut self,
        pixels: &[Rgba8],
        all: Option<Area>,
    ) -> Result<(Area, PaletteImage), TransformError> {
        let (mut area, mut part) = self.changes(pixels, all, 0)?;
        let room = |area: Area, part: &[Rgba8]| {
            // A frame that may be enlarged needs a transparent colour.
            let may_grow = area != Area::whole(self.size) && !part.contains(&TRANSPARENT);
            MOST - usize::from(may_grow)
        };
        let picture = match quantize::exact(part.iter().copied(), room(area, &part))? {
            Some(exact) => exact,
            None => {
                (area, part) = self.changes(pixels, all, self.tolerance)?;
                let most = self.colors.min(room(area, &part));
                quantize::reduced(&part, area.size.width.max(1) as usize, most)?
            }
        };
        let lines = part.chunks(area.size.width.max(1) as usize);
        for (row, line) in area.rows(self.size.width).zip(lines) {
            for (shown, &pixel) in self.shown[row].iter_mut().zip(line) {
                if pixel != TRANSPARENT {
                    *shown = pixel;
                }
            }
        }
        Ok((area, picture))
    }

    /// The changed area and its pixels, transparent where nothing changes.
    fn changes(
        &self,
        pixels: &[Rgba8],
        all: Option<Area>,
        tolerance: u8,
    ) -> Result<(Area, Vec<Rgba8>), TransformError> {
        let differ = |shown, pixel| differ(shown, pixel, tolerance);
        let area = all.unwrap_or_else(|| self.differing(pixels, differ));
        let mut part = buffer::with_room(area.size.len())?;
        for row in area.rows(self.size.width) {
            let pairs = self.shown[row.clone()].iter().zip(&pixels[row]);
            part.extend(pairs.map(|(&shown, &pixel)| match differ(shown, pixel) {
                true => pixel,
                false => TRANSPARENT,
            }));
        }
        Ok((area, part))
    }

    fn write(
        &mut self,
        waiting: PendingFrame,
        dispose: DisposalMethod,
    ) -> Result<(), TransformError> {
        let PendingFrame {
            mut area,
            mut picture,
            delay,
        } = waiting;
        if area.is_empty() {
            // Nothing changes for a while: the smallest possible frame is written.
            area.size = Size::new(1, 1);
            picture = PaletteImage {
                palette: vec![TRANSPARENT],
                indices: vec![0],
            };
        }
        let (mut encoder, shared) = match self.file.take() {
            Some(file) => file,
            None => self.begin(&picture)?,
        };
        // A local palette takes up to 768 bytes.
        let (palette, indices) = match by(&shared, &picture)? {
            Some(indices) => (None, indices),
            None => (Some(picture.palette), picture.indices),
        };
        let transparent = palette
            .as_ref()
            .unwrap_or(&shared)
            .iter()
            .position(|&color| color == TRANSPARENT)
            .and_then(|index| u8::try_from(index).ok());
        let frame = Frame {
            delay,
            dispose,
            transparent,
            left: side(area.left)?,
            top: side(area.top)?,
            width: side(area.size.width)?,
            height: side(area.size.height)?,
            palette: palette.as_deref().map(table),
            buffer: indices.into(),
            ..Frame::default()
        };
        let end = encoder.write_frame(&frame).map_err(failed);
        encoder.get_ref().outcome(end)?;
        self.file = Some((encoder, shared));
        Ok(())
    }

    fn begin(
        &self,
        first: &PaletteImage,
    ) -> Result<(Encoder<FileBuffer>, Vec<Rgba8>), TransformError> {
        let mut shared = first.palette.clone();
        if shared.len() < MOST && !shared.contains(&TRANSPARENT) {
            shared.push(TRANSPARENT);
        }
        let (width, height) = (side(self.size.width)?, side(self.size.height)?);
        let mut encoder =
            Encoder::new(FileBuffer::default(), width, height, &table(&shared)).map_err(failed)?;
        let repeat = match self.loops {
            LoopCount::FOREVER => Repeat::Infinite,
            LoopCount(plays) => Repeat::Finite(u16::try_from(plays - 1).unwrap_or(u16::MAX)),
        };
        encoder.set_repeat(repeat).map_err(failed)?;
        Ok((encoder, shared))
    }
}

/// The indices of the picture in another palette, if that has all of its colours.
fn by(palette: &[Rgba8], picture: &PaletteImage) -> Result<Option<Vec<u8>>, TransformError> {
    let place = |color| {
        let place = palette.iter().position(|other| other == color)?;
        u8::try_from(place).ok()
    };
    let places: Option<Vec<u8>> = picture.palette.iter().map(place).collect();
    let by = |places: Vec<u8>| {
        let indices = picture.indices.iter();
        buffer::collected(
            indices.len(),
            indices.map(|&index| places[usize::from(index)]),
        )
    };
    Ok(places.map(by).transpose()?)
}

/// A palette as the file stores it.
fn table(palette: &[Rgba8]) -> Vec<u8> {
    palette
        .iter()
        .flat_map(|&[red, green, blue, _]| [red, green, blue])
        .collect()
}

fn side(pixels: u32) -> Result<u16, TransformError> {
    u16::try_from(pixels).map_err(failed)
}

fn differ(shown: Rgba8, pixel: Rgba8, tolerance: u8) -> bool {
    let samples = shown.iter().zip(pixel);
    shown[3] != pixel[3]
        || samples
            .into_iter()
            .any(|(shown, sample)| shown.abs_diff(sample) > tolerance)
}

/// Makes a pixel opaque, or transparent without a hidden colour.
const fn hard([red, green, blue, alpha]: Rgba8) -> Rgba8 {
    if alpha < 128 {
        TRANSPARENT
    } else {
        [red, green, blue, u8::MAX]
    }
}

/// Extends the picture of an area to a larger area, transparent around it.
fn enlarged(picture: PaletteImage, from: Area, to: Area) -> Result<PaletteImage, TransformError> {
    if from == to {
        return Ok(picture);
    }
    let PaletteImage {
        mut palette,
        indices,
    } = picture;
    let transparent = palette
        .iter()
        .position(|&color| color == TRANSPARENT)
        .unwrap_or_else(|| {
            palette.push(TRANSPARENT);
            palette.len() - 1
        });
    let transparent = u8::try_from(transparent).unwrap_or(u8::MAX);
    let mut made = buffer::filled(transparent, to.size.len())?;
    let inside = Area {
        left: from.left.saturating_sub(to.left),
        top: from.top.saturating_sub(to.top),
        size: from.size,
    };
    let lines = indices.chunks(from.size.width.max(1) as usize);
    for (row, line) in inside.rows(to.size.width).zip(lines) {
        made[row].copy_from_slice(line);
    }
    Ok(PaletteImage {
        palette,
        indices: made,
    })
}

/// Converts delays to hundredths of a second.
#[derive(Default)]
struct DelayClock {
    elapsed: Duration,
    written: u64,
}

impl DelayClock {
    /// The delay to write: rounded from the sum of all delays, so that rounding errors do not add up. Browsers show a delay of 1/100 s as
    /// 1/10 s, so any delay above 10 ms becomes at least 2/100 s.
    fn tick(&mut self, delay: Duration) -> u16 {
        const TOO_FAST: Duration = Duration::from_millis(10);
        const LONGEST: Duration = Duration::from_millis(655_350);
        self.elapsed = self.elapsed.saturating_add(delay.min(LONGEST));
        let due = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        let least = if delay > TOO_FAST { 2 } else { 0 };
        let delay = (due.saturating_add(5) / 10)
            .saturating_sub(self.written)
            .max(least);
        let delay = u16::try_from(delay).unwrap_or(u16::MAX);
        self.written = self.written.saturating_add(u64::from(delay));
        delay
    }
}
