//! An animation: every frame takes the way of a still, one at a time, so that memory does not grow with their number.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::options::{Format, Recipe, Warning};

use crate::codecs::decode::frames::FrameReader;
use crate::codecs::encode::animation::AnimationEncoder;
use crate::codecs::{TransformError, animation, decode};
use crate::pixels::color::ColorSpace;
use crate::transform::budget::Budget;
use crate::transform::encoded::{Encoded, Timings};
use crate::transform::hints::Hints;
use crate::transform::plan::animation::{AnimationPlan, Treatment};
use crate::transform::plan::cost;
use crate::transform::plan::placement::Placement;
use crate::transform::plan::still::{StillPlan, leaves_pixels};
use crate::transform::render::compose::SourcePixels;
use crate::transform::render::{compose, passthrough, still};
use crate::transform::source::RasterSource;

/// The animation that a recipe describes.
pub(crate) fn render(
    source: RasterSource<'_>,
    recipe: &Recipe,
    hints: &Hints,
    plan: &AnimationPlan,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let plan = match recipe.trim.border {
        Some(border) => {
            let found = still::find_border(source, recipe, hints, border, budget)?.placement;
            // The border was searched for in upright pixels; the frames come as they are stored.
            let (header, saliency) = (source.header, hints.saliency.as_ref());
            let (size, orientation) = (header.size, header.orientation);
            let placement = Placement::of(size, orientation, found.trimmed, recipe, saliency);
            let AnimationPlan {
                animation, asked, ..
            } = plan;
            Cow::Owned(AnimationPlan::of(source, animation, *asked, placement))
        }
        None => Cow::Borrowed(plan),
    };
    let original = match plan.treatment {
        Treatment::Frames(format) => return frames(source, recipe, &plan, format, budget),
        Treatment::Original => original(source, recipe, plan.asked)?,
        Treatment::FirstFrame => None,
    };
    match original {
        Some(original) => Ok(original),
        None => {
            let plan = StillPlan::of(source, recipe, hints)?;
            let still = still::render(source, recipe, hints, &plan, budget)?;
            Ok(with_warning(still, "animation too large: first frame only"))
        }
    }
}

/// Every frame, transformed.
fn frames(
    source: RasterSource<'_>,
    recipe: &Recipe,
    plan: &AnimationPlan,
    format: Format,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let RasterSource { header, limits, .. } = source;
    // Neither GIF nor the frames of a WebP have a place for a profile of their own.
    let recipe = &Recipe {
        wide_gamut: false,
        ..recipe.clone()
    };
    let mut warnings = Vec::new();
    if format != plan.asked {
        warnings.push(Warning::new("image too large for WebP"));
    }
    cost::of_frames(source, plan, format, recipe).available(limits)?;

    let (placement, size) = (&plan.placement, plan.placement.layout.output());
    let extent = decode::full_extent(header.size);
    let mut timings = Timings::default();
    let memory = limits.render_memory.bytes();
    let mut frames = FrameReader::open(source.bytes, header.format, memory)?;
    let (loops, quality) = (plan.animation.loops, recipe.quality);
    let mut animator = AnimationEncoder::new(format, size, loops, quality, recipe.effort)?;
    while let Some(frame) = timed(&mut timings.decode, || frames.next())? {
        budget.check()?;
        let delay = animation::delay_in(format, header.format, frame.delay);
        let raster = timed(&mut timings.resize, || {
            let pixels = SourcePixels {
                pixels: frame.raster.into(),
                extent,
                space: Cow::Borrowed(frames.space()),
                is_graphic: false,
            };
            let composed = compose::compose(pixels, placement, recipe)?;
            Ok(composed.raster.into_rgba8()?)
        })?;
        timed(&mut timings.encode, || animator.push(&raster, delay))?;
    }
    let mut bytes = timed(&mut timings.encode, || animator.finish())?;
    if header.format.as_output() == Some(format)
        && *frames.space() == ColorSpace::Srgb
        && leaves_pixels(recipe, placement)
        && let Some(source) =
            passthrough::smaller_source(source.bytes, header.format, recipe.metadata, &bytes)?
    {
        bytes = source;
        warnings.push(Warning::new("original is smaller"));
    }
    Ok(Encoded {
        bytes,
        format,
        size,
        warnings,
        timings,
    })
}

/// The source as it is but for its metadata, for an animation that would take too long; `None` where a client that is to be shown `asked`
/// cannot show it, or its file is unusual.
fn original(
    source: RasterSource<'_>,
    recipe: &Recipe,
    asked: Format,
) -> Result<Option<Encoded>, TransformError> {
    let header = source.header;
    let own = header.format.as_output();
    let shown = own.filter(|&own| own != Format::Webp || asked == Format::Webp);
    let Some(own) = shown else {
        return Ok(None);
    };
    let passed_on = passthrough::passed_on(source.bytes, header.format, recipe.metadata)?;
    let Some(bytes) = passed_on else {
        return Ok(None);
    };
    let encoded = Encoded {
        bytes,
        format: own,
        size: header.orientation.size(header.size),
        warnings: Vec::new(),
        timings: Timings::default(),
    };
    let encoded = with_warning(encoded, "animation too large: passed through");
    Ok(Some(encoded))
}

fn with_warning(mut encoded: Encoded, text: &'static str) -> Encoded {
    encoded.warnings.push(Warning::new(text));
    encoded
}

/// Adds the time that a step takes.
fn timed<T>(
    spent: &mut Duration,
    step: impl FnOnce() -> Result<T, TransformError>,
) -> Result<T, TransformError> {
    let started = Instant::now();
    let made = step();
    *spent += started.elapsed();
    made
}
