//! Bytes in, bytes out: a source picture becomes the picture that a recipe describes. Synchronous and pure: no socket, no file,
//! no HTTP, and no pixel before the limits have seen the header.
//!
//! A `Plan` says in numbers where every pixel goes; `still`, `animation` and `describe` carry it out for a picture, an animation and for
//! facts about a picture; `drawing` does what can be done for SVG.

pub(crate) mod plan;
mod render;
mod source;

use crate::codecs::animation::Animation;
use crate::codecs::encode;
use crate::transform::plan::cost;
use crate::transform::render::animation;
use crate::transform::render::info;
use crate::transform::render::placeholders;
use crate::transform::render::reduced_copy;
use crate::transform::render::still;
use crate::transform::render::svg;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::options::Format;
use crate::options::Gravity;
use crate::options::Output;
use crate::options::Recipe;
use crate::options::Warning;

use self::source::Picture;
use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::pixel_source::PixelSource;
use crate::codecs::decode::pixel_source::ReducedCopy;
use crate::codecs::sniff::SourceFormat;
use crate::transform::plan::saliency::SaliencyMap;

pub use self::source::Source;
pub use crate::codecs::LargeAnimations;
pub use crate::codecs::Limits;
pub use crate::codecs::TransformError;
pub use crate::codecs::TruncatedSources;
pub use crate::codecs::sniff::Foreign;
pub use crate::pixels::Size;
pub use crate::transform::plan::cost::Cost;
pub use crate::transform::render::batch::BatchItem;
pub use crate::transform::render::batch::cost_of_all;
pub use crate::transform::render::batch::render_all;
pub use crate::transform::render::reduced_copy::ReducedCopies;

/// What one render may spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Sizes it must stay within.
    pub limits: Limits,
    /// When its answer is of no use any more. It is looked at between the steps: a codec cannot be stopped.
    pub deadline: Instant,
}

impl Budget {
    fn check(&self) -> Result<(), TransformError> {
        if Instant::now() < self.deadline {
            Ok(())
        } else {
            Err(TransformError::OutOfTime)
        }
    }
}

/// A finished picture.
#[derive(Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// What it is.
    pub format: Format,
    /// Its size in pixels.
    pub size: Size,
    /// Where it differs from what was asked for.
    pub warnings: Vec<Warning>,
    /// Time spent on each step.
    pub timings: Timings,
}

impl Encoded {
    /// Whether its source lacks its end.
    pub fn is_of_truncated(&self) -> bool {
        let texts = self.warnings.iter().map(Warning::as_str);
        texts.into_iter().any(Warning::is_truncated_source)
    }
}

/// Time spent on each step of a render.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From bytes to pixels.
    pub decode: Duration,
    /// Resampling, colour, orientation and background.
    pub resize: Duration,
    /// From pixels to bytes.
    pub encode: Duration,
}

/// What is known of a source beside its bytes, because an earlier render found it out.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    saliency: Option<SaliencyMap>,
    reduced_copy: Option<ReducedCopy>,
}

impl Hints {
    /// From what [`look`] made; bytes that it did not make tell nothing.
    pub fn of(looked: &[u8]) -> Self {
        Hints {
            saliency: SaliencyMap::from_png(looked),
            reduced_copy: None,
        }
    }

    /// With a copy of the source that is `denominator` times smaller, as [`reduced_copy`] made it.
    pub fn with_reduced_copy(self, denominator: u32, bytes: Bytes) -> Self {
        Hints {
            reduced_copy: Some(ReducedCopy::new(denominator, bytes)),
            ..self
        }
    }
}

/// Whether a recipe needs a look at the picture to know where its crop goes.
pub fn needs_saliency_map(recipe: &Recipe) -> bool {
    recipe.gravity.position().is_none()
}

/// Whether what a recipe made, of this format and size, would come out smaller with a greater effort.
pub fn is_interim(recipe: &Recipe, format: Format, size: Size) -> bool {
    format == Format::Avif && !encode::is_settled(size, recipe.effort)
}

/// Finds out what catches the eye in a source, as a small grey picture (PNG): the brighter, the more. The same for every recipe with
/// this gravity, so worth keeping.
///
/// # Errors
/// As `render`.
pub fn saliency_map(
    source: &Source,
    gravity: Gravity,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let Picture { header, .. } = source.picture().ok_or(TransformError::NotAnImage)?;
    let saliency = still::saliency_map(source.bytes(), header, gravity, budget)?;
    let timings = Timings {
        decode: started.elapsed(),
        ..Timings::default()
    };
    Ok(Encoded {
        bytes: saliency.to_png()?,
        format: Format::Png,
        size: saliency.size(),
        warnings: Vec::new(),
        timings,
    })
}

/// Makes the picture that `recipe` describes from a source. What `hints` do not tell it finds out itself.
///
/// # Errors
/// Every variant of `TransformError`; no input makes it panic on purpose, allocate before the limits are checked, or run on long
/// after the deadline.
pub fn render(
    source: &Source,
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let bytes = source.bytes();
    let Some(picture) = source.picture() else {
        return svg::render(bytes, recipe, hints, budget);
    };
    if recipe.output == Output::Svg {
        return Err(TransformError::NotADrawing);
    }
    let header = &picture.header;
    let looked;
    let hints = if needs_saliency_map(recipe) && hints.saliency.is_none() {
        looked = Hints {
            saliency: Some(still::saliency_map(bytes, header, recipe.gravity, budget)?),
            reduced_copy: hints.reduced_copy.clone(),
        };
        &looked
    } else {
        hints
    };
    match (
        recipe.output,
        moves(picture, recipe),
        animation::format(recipe),
    ) {
        (Output::Json, animation, _) => {
            let frames = animation.map(|animation| animation.frames);
            info::render(bytes, header, frames, recipe, hints, budget)
        }
        (_, Some(animation), Some(format)) => {
            animation::render(bytes, header, animation, format, recipe, hints, budget)
        }
        _ => still::render(bytes, header, recipe, hints, budget),
    }
}

/// What [`render`] will hold and take, by headers alone: nothing is decoded. Where a border has to be found, the output may turn out
/// larger, which `render` then finds out.
///
/// # Errors
/// What can be told by then of what `render` would say.
pub fn cost(
    source: &Source,
    recipe: &Recipe,
    hints: &Hints,
    limits: &Limits,
) -> Result<Cost, TransformError> {
    let bytes = source.bytes();
    let Some(picture) = source.picture() else {
        return svg::cost(bytes, recipe, limits)?.within(limits);
    };
    if recipe.output == Output::Svg {
        return Err(TransformError::NotADrawing);
    }
    let header = &picture.header;
    let prospect = still::prospect(header, recipe, None, limits)?;
    let cost = match (
        recipe.output,
        moves(picture, recipe),
        animation::format(recipe),
    ) {
        (Output::Json, _, _) => {
            let plan = prospect.plan.reduced(placeholders::THUMBNAIL);
            let prospect = still::Prepared { plan, ..prospect };
            let scale = prospect.scale(header, recipe);
            let pixel_source = PixelSource::of(bytes, header, scale, hints.reduced_copy.as_ref());
            cost::of_thumbnail(bytes, &pixel_source, header, &prospect.plan, scale)
        }
        (_, Some(animation), Some(format)) => {
            let plan = &prospect.plan;
            animation::cost(bytes, header, animation, format, recipe, plan, limits)
        }
        _ => {
            let scale = prospect.scale(header, recipe);
            let pixel_source = PixelSource::of(bytes, header, scale, hints.reduced_copy.as_ref());
            cost::of_still(
                bytes,
                &pixel_source,
                header,
                recipe,
                &prospect.plan,
                scale,
                limits,
            )
        }
    };
    let cost = match recipe.trim.border {
        Some(_) => cost.and(cost::of_search(bytes, header, DecodeScale::WHOLE)),
        None => cost,
    };
    let cost = if needs_saliency_map(recipe) && hints.saliency.is_none() {
        cost.and(cost_of_saliency_map(source, limits)?)
    } else {
        cost
    };
    cost.within(limits)
}

/// What [`look`] will hold and take.
///
/// # Errors
/// As [`cost`].
pub fn cost_of_saliency_map(source: &Source, limits: &Limits) -> Result<Cost, TransformError> {
    let Picture { header, .. } = source.picture().ok_or(TransformError::NotAnImage)?;
    let small = still::thumbnail_recipe();
    let prospect = still::prospect(header, &small, None, limits)?;
    let scale = prospect.scale(header, &small);
    let pixel_source = PixelSource::of(source.bytes(), header, scale, None);
    cost::of_thumbnail(source.bytes(), &pixel_source, header, &prospect.plan, scale).within(limits)
}

/// The copies of a source that what a recipe describes may be made of; `None` where the source itself serves as well.
pub fn reduced_copies(source: &Source, recipe: &Recipe, limits: &Limits) -> Option<ReducedCopies> {
    let Picture { header, .. } = source.picture()?;
    let is_looked_through = recipe.trim.border.is_some();
    if is_looked_through || header.format != SourceFormat::Jpeg {
        return None;
    }
    let mut prospect = still::prospect(header, recipe, None, limits).ok()?;
    if recipe.output == Output::Json {
        prospect.plan = prospect.plan.reduced(placeholders::THUMBNAIL);
    }
    ReducedCopies::of(header, &prospect.plan, prospect.scale(header, recipe))
}

/// What [`reduced_copy`] will hold and take.
///
/// # Errors
/// As [`cost`].
pub fn cost_of_reduced_copy(
    source: &Source,
    denominator: u32,
    limits: &Limits,
) -> Result<Cost, TransformError> {
    let Picture { header, .. } = source.picture().ok_or(TransformError::NotAnImage)?;
    cost::of_reduced_copy(source.bytes(), header, DecodeScale::one_of(denominator)).within(limits)
}

/// Makes a copy of a source that is `denominator` (2, 4 or 8) times smaller on each axis: the same for every recipe, so worth keeping.
///
/// # Errors
/// As [`render`], and for colours that a copy cannot have.
pub fn reduced_copy(
    source: &Source,
    denominator: u32,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let Picture { header, .. } = source.picture().ok_or(TransformError::NotAnImage)?;
    reduced_copy::made(source.bytes(), header, denominator, budget)
}

/// The animation that a source is, where the recipe lets it move or counts its frames.
fn moves<'a>(picture: &'a Picture, recipe: &Recipe) -> Option<&'a Animation> {
    let counts = animation::format(recipe).is_some() || recipe.output == Output::Json;
    picture
        .animation
        .as_ref()
        .filter(|_| recipe.animated && counts)
}

#[cfg(test)]
mod tests;
