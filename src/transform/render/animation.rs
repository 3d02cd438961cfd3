//! An animation: every frame takes the way of a still, one at a time, so that memory does not grow with their number.

use std::time::Duration;
use std::time::Instant;

use crate::options::Format;
use crate::options::Output;
use crate::options::Recipe;
use crate::options::Warning;

use crate::codecs::animation;
use crate::codecs::animation::Animation;
use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::Header;
use crate::codecs::decode::frames::FrameReader;
use crate::codecs::decode::pixel_source::PixelSource;
use crate::codecs::encode;
use crate::codecs::encode::animation::Animator;
use crate::pixels::Size;
use crate::pixels::color::ColorSpace;
use crate::transform::Budget;
use crate::transform::Encoded;
use crate::transform::Hints;
use crate::transform::LargeAnimations;
use crate::transform::Limits;
use crate::transform::Timings;
use crate::transform::TransformError;
use crate::transform::plan::Plan;
use crate::transform::plan::cost;
use crate::transform::plan::cost::Cost;
use crate::transform::render::compose;
use crate::transform::render::passthrough;
use crate::transform::render::still;

/// The format in which an output moves; `None` where it is a still by its nature. AVIF moves as WebP: whoever shows the one shows the
/// other, and an AVIF sequence costs a hundred times the time.
pub(crate) fn format(recipe: &Recipe) -> Option<Format> {
    match recipe.output {
        Output::Compatible { .. } => Some(Format::Gif),
        Output::Avif if !recipe.webp => Some(Format::Gif),
        Output::Webp | Output::Avif => Some(Format::Webp),
        Output::Jpeg { .. } | Output::Png | Output::Json | Output::Svg => None,
    }
}

/// The animation that a recipe describes.
pub(crate) fn render(
    source: &[u8],
    header: &Header,
    animation: &Animation,
    format: Format,
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let limits = &budget.limits;
    let found = still::prepare(source, header, recipe, hints, budget)?.plan;
    // A border was looked for in upright pixels; the frames come as they are stored.
    let saliency = hints.saliency.as_ref();
    let plan = Plan::of(
        header.size,
        header.orientation,
        found.trimmed,
        recipe,
        saliency,
    );
    let size = plan.layout.output();
    if is_too_large(header.size, size, animation, limits) {
        let original = match limits.large_animations {
            LargeAnimations::Original => original(source, header, format, recipe)?,
            LargeAnimations::Still => None,
        };
        return match original {
            Some(original) => Ok(original),
            None => {
                let still = still::render(source, header, recipe, hints, budget)?;
                Ok(with_warning(still, "animation too large: first frame only"))
            }
        };
    }
    // Neither GIF nor the frames of a WebP have a place for a profile of their own.
    let recipe = &Recipe {
        wide_gamut: false,
        ..recipe.clone()
    };
    let mut warnings = Vec::new();
    let expressible = expressible(format, size);
    if expressible != format {
        warnings.push(Warning::new("image too large for WebP"));
    }
    let format = expressible;
    cost::of_animation(source, header, animation, &plan, format, recipe).available(limits)?;

    let extent = decode::whole(header.size);
    let mut timings = Timings::default();
    let mut frames = FrameReader::open(source, header.format, limits.render_memory.bytes())?;
    let mut animator = Animator::new(format, size, animation.loops, recipe.quality)?;
    while let Some(frame) = timed(&mut timings.decode, || frames.next())? {
        budget.check()?;
        let delay = animation::delay_in(format, header.format, frame.delay);
        let raster = timed(&mut timings.resize, || {
            let (raster, _) =
                compose::composed(frame.raster.into(), extent, frames.space(), &plan, recipe)?;
            Ok(raster.into_rgba8()?)
        })?;
        timed(&mut timings.encode, || animator.push(&raster, delay))?;
    }
    let mut bytes = timed(&mut timings.encode, || animator.finish())?;
    if header.format.as_output() == Some(format)
        && *frames.space() == ColorSpace::Srgb
        && still::leaves_pixels(recipe, &plan)
        && let Some(source) =
            passthrough::smaller_source(source, header.format, recipe.metadata, &bytes)?
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

/// What the animation that a recipe describes will cost.
pub(crate) fn cost(
    source: &[u8],
    header: &Header,
    animation: &Animation,
    format: Format,
    recipe: &Recipe,
    plan: &Plan,
    limits: &Limits,
) -> Cost {
    let size = plan.layout.output();
    if !is_too_large(header.size, size, animation, limits) {
        let format = expressible(format, size);
        return cost::of_animation(source, header, animation, plan, format, recipe);
    }
    match limits.large_animations {
        LargeAnimations::Original => cost::of_copy(source, recipe, format),
        LargeAnimations::Still => {
            let pixel_source = PixelSource::of(source, header, DecodeScale::WHOLE, None);
            cost::of_still(
                source,
                &pixel_source,
                header,
                recipe,
                plan,
                DecodeScale::WHOLE,
                limits,
            )
        }
    }
}

/// The format of an animation, or the one that takes its place where the picture is too large for it.
fn expressible(format: Format, size: Size) -> Format {
    if size.width.max(size.height) > encode::longest_side(format) {
        Format::Gif
    } else {
        format
    }
}

fn is_too_large(source: Size, output: Size, animation: &Animation, limits: &Limits) -> bool {
    pixels(source, output, animation) > limits.animation_pixels
}

/// What all frames come to, as they are or as they will be. One takes its time even where there is little in it.
fn pixels(source: Size, output: Size, animation: &Animation) -> u64 {
    const LEAST: u64 = 10_000;
    let frame = source.area().max(output.area()).max(LEAST);
    frame.saturating_mul(u64::from(animation.frames))
}

/// The source as it is but for its metadata, for an animation that would take too long; `None` where a client for whom `format` is made
/// cannot be shown it, or its file is unusual.
fn original(
    source: &[u8],
    header: &Header,
    format: Format,
    recipe: &Recipe,
) -> Result<Option<Encoded>, TransformError> {
    let own = header.format.as_output();
    let shown = own.filter(|&own| own != Format::Webp || format == Format::Webp);
    let Some(own) = shown else {
        return Ok(None);
    };
    let Some(bytes) = passthrough::passed_on(source, header.format, recipe.metadata)? else {
        return Ok(None);
    };
    let made = Encoded {
        bytes,
        format: own,
        size: header.orientation.size(header.size),
        warnings: Vec::new(),
        timings: Timings::default(),
    };
    Ok(Some(with_warning(
        made,
        "animation too large: passed through",
    )))
}

fn with_warning(mut made: Encoded, text: &'static str) -> Encoded {
    made.warnings.push(Warning::new(text));
    made
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
