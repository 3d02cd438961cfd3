//! What a render will hold and how long it will keep a processor busy, by the header of its source and its recipe alone: from above
//! for bytes, because memory that is not there ends the process; about right for time, because a wrong guess costs an order of
//! service. Every number that an estimate depends on is here and in `steps`, but for those of reading a header (`Source::cost_of_open`).
//!
//! Bytes are the largest of what three steps hold, which follow each other: the decoder; the resizer, with the decoded picture
//! beside it; and the encoder, with the finished picture beside it. Measured as the peak of a process that renders one picture.
//! Times are of one core of a server of 2023 (3 GHz, AVX2), for photographs, in the native build.

mod steps;

use std::time::Duration;

use crate::options::{Format, Metadata, Output, Recipe};

use crate::codecs::Limits;
use crate::codecs::decode::{DecodeScale, Header};
use crate::pixels::Size;
use crate::transform::cost::Cost;
use crate::transform::plan::animation::{AnimationPlan, Treatment};
use crate::transform::plan::placement::Placement;
use crate::transform::plan::schedule::Level;
use crate::transform::plan::still::StillPlan;
use crate::transform::plan::{output, still};
use crate::transform::source::RasterSource;

use steps::AVIF_BYTES;
use steps::AVIF_FIXED_BYTES;
use steps::Step;
use steps::decoding;
use steps::decoding_of;
use steps::encoding;
use steps::layers;
use steps::resizing;
use steps::without_loss;

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
/// The tables with which the encoder of an animated WebP writes transparency: bytes for each pixel, and the most that there are of any size.
/// What is opaque needs none, flat frames without loss included.
const ANIMATOR_TABLES: (u64, u64) = (320, 14 << 20);
/// The file as it grows, in 1/16 byte for each pixel of each frame: GIF, then WebP.
const ANIMATION_FILE: (u64, u64) = (16, 8);
/// Nanoseconds for each pixel of each frame: decoding, then GIF and WebP.
const ANIMATION_TIME: (u64, u64, u64) = (6, 60, 90);

// --- drawings ---

/// A document and the tree that is made of it, for each byte of markup.
const MARKUP_BYTES: u64 = 12;
/// Layers of pixels, canvases of the drawing among them. What a drawing takes is known once it is read; if that is more, it is admitted again.
const DRAWING_BYTES: u64 = 32;
/// Nanoseconds for each byte of markup, and for each pixel.
const DRAWING_TIME: (u64, u64) = (100, 60);

/// Pixels of the largest AVIF that is made of an opaque photograph within so many bytes, its source among them.
pub fn largest_avif(memory: u64) -> u64 {
    /// More than most photographs have.
    const SOURCE_BYTES: u64 = 8 << 20;
    let besides = FIXED_BYTES + HOLES.1 + AVIF_FIXED_BYTES + SOURCE_BYTES;
    memory.saturating_sub(besides) / AVIF_BYTES.0
}

/// A picture.
pub(crate) fn of_still(source: RasterSource<'_>, plan: &StillPlan, recipe: &Recipe) -> Cost {
    let StillPlan { placement, pixels } = plan;
    let (header, limits) = (source.header, source.limits);
    let output = placement.layout.output();
    let alpha = header.alpha && recipe.background.is_none();
    let (format, _) = output::format_for(recipe, alpha, output, limits);
    let steps = [
        decoding_of(pixels),
        resizing(header, header.decoded(pixels.scale()), placement.target()),
        layers(header, recipe, output),
        encoding(recipe, format, alpha, output, limits),
        without_loss_of(header, recipe, output),
        passing_on(source, recipe, placement, format),
    ];
    sum(source.bytes, &steps)
}

/// A picture that is written without loss as well, if it is a graphic.
fn without_loss_of(header: &Header, recipe: &Recipe, output: Size) -> Step {
    if output::may_be_graphic(header) {
        without_loss(recipe, output)
    } else {
        Step { bytes: 0, time: 0 }
    }
}

/// A source that may be its own rendition: a copy of it, beside the picture and the file that was made.
fn passing_on(
    source: RasterSource<'_>,
    recipe: &Recipe,
    placement: &Placement,
    format: Format,
) -> Step {
    let header = source.header;
    let own = header.format.as_output();
    let is_own = own.is_some_and(|own| own == format || output::may_stay(recipe, own));
    let bytes = if is_own && still::leaves_pixels(recipe, placement) {
        let written = header.size.area().saturating_mul(2 * header.pixel_bytes);
        copies(source.bytes, recipe, format).saturating_add(written)
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
pub(crate) fn of_batch(source: RasterSource<'_>, levels: &[Level<'_>]) -> Cost {
    let (header, limits) = (source.header, source.limits);
    let size = |level: &Level<'_>| header.decoded(DecodeScale::one_of(level.denominator));
    let held = |level: &Level<'_>| size(level).area().saturating_mul(header.pixel_bytes);
    let first = levels
        .first()
        .map(|level| DecodeScale::one_of(level.denominator));
    let mut steps: Vec<Step> = first
        .map(|scale| decoding(source.bytes, header, scale))
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
        for (index, group) in level.groups.iter().enumerate() {
            let is_last = index + 1 == level.groups.len();
            // While it is resized, the pixels of its level are part of that step.
            let (beside, after) = match next.filter(|_| is_last) {
                Some(next) => (held(next), held(next)),
                None if is_last => (0, 0),
                None => (0, held(level)),
            };
            let output = group.placement.layout.output();
            let copies = if group.files.len() > 1 {
                output
                    .area()
                    .saturating_mul(header.pixel_bytes.max(SHARED_BYTES))
            } else {
                0
            };
            let resized = resizing(header, size(level), group.placement.target());
            steps.push(resized.beside(beside.saturating_add(copies)));
            let composed = group.files.first().map(|file| file.recipe);
            steps.extend(composed.map(|recipe| layers(header, recipe, output).beside(after)));
            steps.extend(group.files.iter().flat_map(|file| {
                let alpha = header.alpha && file.recipe.background.is_none();
                let format = output::format_for(file.recipe, alpha, output, limits).0;
                let beside = after.saturating_add(copies);
                [
                    encoding(file.recipe, format, alpha, output, limits).beside(beside),
                    without_loss_of(header, file.recipe, output).beside(beside),
                ]
            }));
        }
    }
    sum(source.bytes, &steps)
}

/// Work that ends before it begins: the least that anything costs.
pub(crate) fn of_nothing(source: &[u8]) -> Cost {
    sum(source, &[])
}

/// A picture of the size of a thumbnail, which is used and not written.
pub(crate) fn of_thumbnail(source: RasterSource<'_>, plan: &StillPlan) -> Cost {
    let StillPlan { placement, pixels } = plan;
    let header = source.header;
    let steps = [
        decoding_of(pixels),
        resizing(header, header.decoded(pixels.scale()), placement.target()),
        layers(header, &Recipe::default(), placement.layout.output()),
    ];
    sum(source.bytes, &steps)
}

/// All pixels of a picture, upright and in sRGB, in which a border is searched for.
pub(crate) fn of_border_search(source: RasterSource<'_>) -> Cost {
    let header = source.header;
    let steps = [
        decoding(source.bytes, header, DecodeScale::WHOLE),
        layers(header, &Recipe::default(), header.size),
    ];
    sum(source.bytes, &steps)
}

/// An animation, by what becomes of it.
pub(crate) fn of_animation(
    source: RasterSource<'_>,
    plan: &AnimationPlan,
    recipe: &Recipe,
) -> Cost {
    match plan.treatment {
        Treatment::Frames(format) => of_frames(source, plan, format, recipe),
        Treatment::Original => of_copy(source.bytes, recipe, plan.asked),
        Treatment::FirstFrame => {
            let still = StillPlan::of_every_pixel(source, plan.placement.clone());
            of_still(source, &still, recipe)
        }
    }
}

/// Frames that are decoded, resized and written one by one, while decoder and encoder keep their canvases.
pub(crate) fn of_frames(
    source: RasterSource<'_>,
    plan: &AnimationPlan,
    format: Format,
    recipe: &Recipe,
) -> Cost {
    let (header, animation) = (source.header, &plan.animation);
    let output = plan.placement.layout.output();
    let frames = u64::from(animation.frames);
    let is_webp = format == Format::Webp;
    let canvas = header
        .size
        .area()
        .saturating_mul(header.bytes_per_pixel.max(CANVAS_BYTES))
        + animation.frame_bytes;
    let animator = if is_webp {
        let (each, most) = ANIMATOR_TABLES;
        let tables = if animation.may_be_transparent && recipe.background.is_none() {
            (output.area() * each).min(most)
        } else {
            0
        };
        output.area() * ANIMATOR_BYTES.1 + tables
    } else {
        output.area() * ANIMATOR_BYTES.0
    };
    let file = if is_webp {
        ANIMATION_FILE.1
    } else {
        ANIMATION_FILE.0
    };
    let file = output.area().saturating_mul(frames) / 16 * file;
    let frame = [
        resizing(header, header.size, plan.placement.target()),
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
    cost(source.bytes, held, time.saturating_mul(frames))
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
    cost(source, held, source.len() as u64)
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
        let format = output::format_for(recipe, true, size, limits).0;
        let written = match recipe.output {
            Output::Json => Step { bytes: 0, time: 0 },
            _ => encoding(recipe, format, true, size, limits),
        };
        let lossless = without_loss(recipe, size);
        held = held
            .saturating_add(size.area().saturating_mul(DRAWING_BYTES))
            .saturating_add(written.bytes.max(lossless.bytes));
        time = time
            .saturating_add(size.area().saturating_mul(DRAWING_TIME.1))
            .saturating_add(written.time)
            .saturating_add(lossless.time);
    }
    cost(source, held, time)
}

/// A drawing while it is drawn, which takes so many bytes.
pub(crate) fn of_drawn(source: &[u8], markup: u64, drawn: u64) -> Cost {
    let held = markup.saturating_mul(MARKUP_BYTES).saturating_add(drawn);
    cost(source, held, 0)
}

fn sum(source: &[u8], steps: &[Step]) -> Cost {
    let held = steps.iter().map(|step| step.bytes).max().unwrap_or(0);
    let time = steps
        .iter()
        .fold(0, |sum: u64, step| sum.saturating_add(step.time));
    cost(source, held, time)
}

fn cost(source: &[u8], held: u64, nanos: u64) -> Cost {
    let (part, most) = HOLES;
    Cost {
        bytes: held
            .saturating_add((held / part).min(most))
            .saturating_add(source.len() as u64)
            .saturating_add(FIXED_BYTES),
        cpu: Duration::from_nanos(nanos.saturating_add(FIXED_TIME)),
    }
}
