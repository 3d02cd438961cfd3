//! What a render will hold and how long it will keep a processor busy, by the header of its source and its recipe alone: from above
//! for bytes, because memory that is not there ends the process; about right for time, because a wrong guess costs an order of
//! service. Every number that an estimate depends on is here and in `steps`, but for those of reading a header (`Source::cost_of_open`).
//!
//! Bytes are the largest of what three steps hold, which follow each other: the decoder; the resizer, with the decoded picture
//! beside it; and the encoder, with the finished picture beside it. Measured as the peak of a process that renders one picture.
//! Times are of one core of a server of 2023 (3 GHz, AVX2), for photographs, in the native build.

mod steps;

use std::time::Duration;

use crate::options::Format;
use crate::options::Metadata;
use crate::options::Output;
use crate::options::Recipe;

use crate::codecs::animation::Animation;
use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::Header;
use crate::codecs::decode::pixel_source::PixelSource;
use crate::pixels::Size;
use crate::pixels::buffer;
use crate::transform::Limits;
use crate::transform::TransformError;
use crate::transform::plan::Plan;
use crate::transform::render::batch::Level;
use crate::transform::render::compose;
use crate::transform::render::still;

use steps::Step;
use steps::decoding;
use steps::decoding_of;
use steps::encoding;
use steps::layers;
use steps::resizing;

/// What a render costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes that it holds at its worst, its source among them.
    pub bytes: u64,
    /// Time of one processor.
    pub cpu: Duration,
}

/// Tables of codecs, rows between steps, a profile and its transform.
const FIXED_BYTES: u64 = 4 << 20;
/// Freed buffers leave holes that larger ones do not fit into: one part in so many of what is held, and at most so many bytes, because what
/// is larger than 32 MiB goes back to the system at once (see `allocator`).
const HOLES: (u64, u64) = (6, 16 << 20);
/// What any render takes, however small.
const FIXED_TIME: u64 = 500_000;

// --- several pictures of one decode ---

/// Nanoseconds for each pixel of which there become fewer.
const REDUCTION_TIME: u64 = 1;
/// Luma, and chroma at full size and at half of it.
const SHARED_BYTES: u64 = 5;

// --- copies of large sources ---

/// Bytes and nanoseconds for each pixel that is written: the pixel, and the file as it grows and as it is handed out.
const COPY: (u64, u64) = (9, 5);

// --- animations ---

/// What a canvas keeps beside its pixels: those that come back, and the frame that is handed out.
const CANVAS_BYTES: u64 = 12;
/// Pixels of the encoder: what is shown, what comes next, and what is tried.
const ANIMATOR_BYTES: (u64, u64) = (24, 56);
/// The file as it grows, in 1/16 byte for each pixel of each frame: GIF, then WebP.
const ANIMATION_FILE: (u64, u64) = (16, 8);
/// Nanoseconds for each pixel of each frame: decoding, then GIF and WebP.
const ANIMATION_TIME: (u64, u64, u64) = (6, 60, 90);

// --- drawings ---

/// A document and the tree that is made of it, for each byte of markup.
const MARKUP_BYTES: u64 = 12;
/// Layers of pixels, canvases of the drawing among them. A drawing with more is weighed by itself before it is drawn.
const DRAWING_BYTES: u64 = 32;
/// Nanoseconds for each byte of markup, and for each pixel.
const DRAWING_TIME: (u64, u64) = (100, 60);

impl Cost {
    fn of(source: &[u8], held: u64, nanos: u64) -> Cost {
        let (part, most) = HOLES;
        Cost {
            bytes: held
                .saturating_add((held / part).min(most))
                .saturating_add(source.len() as u64)
                .saturating_add(FIXED_BYTES),
            cpu: Duration::from_nanos(nanos.saturating_add(FIXED_TIME)),
        }
    }

    /// One after the other.
    pub(crate) fn and(self, other: Cost) -> Cost {
        Cost {
            bytes: self.bytes.max(other.bytes),
            cpu: self.cpu + other.cpu,
        }
    }

    /// Refuses what would hold more than there is.
    pub(crate) fn within(self, limits: &Limits) -> Result<Cost, TransformError> {
        self.within_bytes(limits.render_memory.bytes())
    }

    /// Refuses what would hold more than there may be, or than the system gives now. To be asked right before the work.
    pub(crate) fn available(self, limits: &Limits) -> Result<Cost, TransformError> {
        let cost = self.within(limits)?;
        buffer::check_room(cost.bytes)?;
        Ok(cost)
    }

    /// Refuses what would hold more bytes.
    pub(crate) fn within_bytes(self, limit: u64) -> Result<Cost, TransformError> {
        if self.bytes > limit {
            return Err(TransformError::TooCostly {
                bytes: self.bytes,
                limit,
            });
        }
        Ok(self)
    }
}

/// A picture.
pub(crate) fn of_still(
    source: &[u8],
    pixel_source: &PixelSource<'_>,
    header: &Header,
    recipe: &Recipe,
    plan: &Plan,
    scale: DecodeScale,
    limits: &Limits,
) -> Cost {
    let output = plan.layout.output();
    let alpha = header.alpha && recipe.background.is_none();
    let format = compose::written_as(recipe, alpha, output, limits);
    let steps = [
        decoding_of(pixel_source),
        resizing(header, header.decoded(scale), plan.target()),
        layers(header, recipe, output),
        encoding(recipe, format, alpha, output, limits),
        passing_on(source, header, recipe, plan, format),
    ];
    sum(source, &steps)
}

/// A source that may be its own rendition: a copy of it, beside the picture and the file that was made.
fn passing_on(
    source: &[u8],
    header: &Header,
    recipe: &Recipe,
    plan: &Plan,
    format: Format,
) -> Step {
    let is_own = header.format.as_output() == Some(format);
    let bytes = if is_own && still::leaves_pixels(recipe, plan) {
        let written = header.size.area().saturating_mul(2 * header.pixel_bytes);
        copies(source, recipe, format).saturating_add(written)
    } else {
        0
    };
    Step { bytes, time: 0 }
}

/// Bytes of the copies that passing on a source takes: metadata is put into another one.
fn copies(source: &[u8], recipe: &Recipe, format: Format) -> u64 {
    let copies = match (recipe.metadata, format) {
        (Metadata::Copyright, Format::Jpeg) | (Metadata::Keep, _) => 2,
        (Metadata::Copyright | Metadata::Nothing, _) => 1,
    };
    copies * source.len() as u64
}

/// Pictures that are made of one decode, in the order of their schedule. The pixels of a level are held until the last of its pictures
/// is composed, and those of the next one from then on; composed pixels are held while there are files to be written of them.
pub(crate) fn of_batch(
    source: &[u8],
    header: &Header,
    levels: &[Level<'_>],
    limits: &Limits,
) -> Cost {
    let size = |level: &Level<'_>| header.decoded(DecodeScale::one_of(level.denominator));
    let held = |level: &Level<'_>| size(level).area().saturating_mul(header.pixel_bytes);
    let first = levels
        .first()
        .map(|level| DecodeScale::one_of(level.denominator));
    let mut steps: Vec<Step> = first
        .map(|scale| decoding(source, header, scale))
        .into_iter()
        .collect();
    for (at, level) in levels.iter().enumerate() {
        let next = levels.get(at + 1);
        if next.is_some() {
            steps.push(Step {
                bytes: held(level) + next.map_or(0, held),
                time: size(level).area().saturating_mul(REDUCTION_TIME),
            });
        }
        for (index, shared) in level.shared.iter().enumerate() {
            let is_last = index + 1 == level.shared.len();
            // While it is resized, the pixels of its level are part of that step.
            let (beside, after) = match next.filter(|_| is_last) {
                Some(next) => (held(next), held(next)),
                None if is_last => (0, 0),
                None => (0, held(level)),
            };
            let output = shared.plan.layout.output();
            let copies = if shared.files.len() > 1 {
                output
                    .area()
                    .saturating_mul(header.pixel_bytes.max(SHARED_BYTES))
            } else {
                0
            };
            let resized = resizing(header, size(level), shared.plan.target());
            steps.push(resized.beside(beside.saturating_add(copies)));
            let composed = shared.files.first().map(|file| file.recipe);
            steps.extend(composed.map(|recipe| layers(header, recipe, output).beside(after)));
            steps.extend(shared.files.iter().map(|file| {
                let alpha = header.alpha && file.recipe.background.is_none();
                let format = compose::written_as(file.recipe, alpha, output, limits);
                encoding(file.recipe, format, alpha, output, limits)
                    .beside(after.saturating_add(copies))
            }));
        }
    }
    sum(source, &steps)
}

/// What ends before it begins.
pub(crate) fn of_nothing(source: &[u8]) -> Cost {
    sum(source, &[])
}

/// A picture of the size of a thumbnail, which is looked at and not written.
pub(crate) fn of_thumbnail(
    source: &[u8],
    pixel_source: &PixelSource<'_>,
    header: &Header,
    plan: &Plan,
    scale: DecodeScale,
) -> Cost {
    let steps = [
        decoding_of(pixel_source),
        resizing(header, header.decoded(scale), plan.target()),
        layers(header, &Recipe::default(), plan.layout.output()),
    ];
    sum(source, &steps)
}

/// All pixels of a picture, upright and in sRGB: where a border is looked for.
pub(crate) fn of_search(source: &[u8], header: &Header, scale: DecodeScale) -> Cost {
    let steps = [
        decoding(source, header, scale),
        layers(header, &Recipe::default(), header.size),
    ];
    sum(source, &steps)
}

/// An animation, whose frames are decoded, resized and written one by one, while decoder and encoder keep their canvases.
pub(crate) fn of_animation(
    source: &[u8],
    header: &Header,
    animation: &Animation,
    plan: &Plan,
    format: Format,
    recipe: &Recipe,
) -> Cost {
    let output = plan.layout.output();
    let frames = u64::from(animation.frames);
    let is_webp = format == Format::Webp;
    let canvas = header
        .size
        .area()
        .saturating_mul(header.bytes_per_pixel.max(CANVAS_BYTES))
        + animation.frame_bytes;
    let animator = output.area()
        * if is_webp {
            ANIMATOR_BYTES.1
        } else {
            ANIMATOR_BYTES.0
        };
    let file = if is_webp {
        ANIMATION_FILE.1
    } else {
        ANIMATION_FILE.0
    };
    let file = output.area().saturating_mul(frames) / 16 * file;
    let frame = [
        resizing(header, header.size, plan.target()),
        layers(header, recipe, output),
    ];
    let worst = frame.iter().map(|step| step.bytes).max().unwrap_or(0);
    let encode = if is_webp {
        ANIMATION_TIME.2
    } else {
        ANIMATION_TIME.1
    };
    let time = frame.iter().fold(0, |sum, step| sum + step.time)
        + header.size.area() * ANIMATION_TIME.0
        + output.area() * encode;
    let held = canvas
        .saturating_add(animator)
        .saturating_add(file)
        .saturating_add(worst);
    Cost::of(source, held, time.saturating_mul(frames))
}

/// A copy of a source at a fraction of its size.
pub(crate) fn of_reduced_copy(source: &[u8], header: &Header, scale: DecodeScale) -> Cost {
    let pixels = header.decoded(scale).area();
    let (bytes, time) = COPY;
    let steps = [
        decoding(source, header, scale),
        Step {
            bytes: pixels.saturating_mul(bytes),
            time: pixels.saturating_mul(time),
        },
    ];
    sum(source, &steps)
}

/// What is passed on as it is, in a copy.
pub(crate) fn of_copy(source: &[u8], recipe: &Recipe, format: Format) -> Cost {
    let held = copies(source, recipe, format);
    Cost::of(source, held, source.len() as u64)
}

/// A drawing of so many bytes of markup, once it is unpacked, and its pixels where it becomes some.
pub(crate) fn of_drawing(
    source: &[u8],
    markup: u64,
    pixels: Option<(Size, &Recipe)>,
    limits: &Limits,
) -> Cost {
    let mut held = markup.saturating_mul(MARKUP_BYTES);
    let mut time = markup.saturating_mul(DRAWING_TIME.0);
    if let Some((size, recipe)) = pixels {
        let format = compose::written_as(recipe, true, size, limits);
        let written = match recipe.output {
            Output::Json => Step { bytes: 0, time: 0 },
            _ => encoding(recipe, format, true, size, limits),
        };
        held = held
            .saturating_add(size.area().saturating_mul(DRAWING_BYTES))
            .saturating_add(written.bytes);
        time = time
            .saturating_add(size.area().saturating_mul(DRAWING_TIME.1))
            .saturating_add(written.time);
    }
    Cost::of(source, held, time)
}

fn sum(source: &[u8], steps: &[Step]) -> Cost {
    let held = steps.iter().map(|step| step.bytes).max().unwrap_or(0);
    let time = steps
        .iter()
        .fold(0, |sum: u64, step| sum.saturating_add(step.time));
    Cost::of(source, held, time)
}
