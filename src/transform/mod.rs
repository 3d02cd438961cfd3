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
use crate::codecs::decode::Wanted;
use crate::codecs::sniff::Kind;
use crate::transform::plan::saliency::Saliency;
use crate::transform::render::reduced_copy::Basis;
use crate::transform::render::reduced_copy::Derivative;

pub use self::source::Source;
pub use crate::codecs::LargeAnimations;
pub use crate::codecs::Limits;
pub use crate::codecs::TransformError;
pub use crate::codecs::TruncatedSources;
pub use crate::codecs::sniff::Foreign;
pub use crate::pixels::Size;
pub use crate::transform::plan::cost::Price;
pub use crate::transform::render::batch::Order;
pub use crate::transform::render::batch::price_all;
pub use crate::transform::render::batch::render_all;
pub use crate::transform::render::reduced_copy::Derivatives;

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
pub struct Clues {
    saliency: Option<Saliency>,
    derivative: Option<Derivative>,
}

impl Clues {
    /// From what [`look`] made; bytes that it did not make tell nothing.
    pub fn of(looked: &[u8]) -> Self {
        Clues {
            saliency: Saliency::from_png(looked),
            derivative: None,
        }
    }

    /// With a copy of the source that is `denominator` times smaller, as [`derive`] made it.
    pub fn with_derivative(self, denominator: u32, bytes: Bytes) -> Self {
        Clues {
            derivative: Some(Derivative::new(denominator, bytes)),
            ..self
        }
    }
}

/// Whether a recipe needs a look at the picture to know where its crop goes.
pub fn needs_look(recipe: &Recipe) -> bool {
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
pub fn look(source: &Source, gravity: Gravity, budget: &Budget) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let Picture { header, .. } = source.picture().ok_or(TransformError::NotAnImage)?;
    let saliency = still::looked_at(source.bytes(), header, gravity, budget)?;
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

/// Makes the picture that `recipe` describes from a source. What `clues` do not tell it finds out itself.
///
/// # Errors
/// Every variant of `TransformError`; no input makes it panic on purpose, allocate before the limits are checked, or run on long
/// after the deadline.
pub fn render(
    source: &Source,
    recipe: &Recipe,
    clues: &Clues,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let bytes = source.bytes();
    let Some(picture) = source.picture() else {
        return svg::render(bytes, recipe, clues, budget);
    };
    if recipe.output == Output::Svg {
        return Err(TransformError::NotADrawing);
    }
    let header = &picture.header;
    let looked;
    let clues = if needs_look(recipe) && clues.saliency.is_none() {
        looked = Clues {
            saliency: Some(still::looked_at(bytes, header, recipe.gravity, budget)?),
            derivative: clues.derivative.clone(),
        };
        &looked
    } else {
        clues
    };
    match (
        recipe.output,
        moves(picture, recipe),
        animation::format(recipe),
    ) {
        (Output::Json, animation, _) => {
            let frames = animation.map(|animation| animation.frames);
            info::render(bytes, header, frames, recipe, clues, budget)
        }
        (_, Some(animation), Some(format)) => {
            animation::render(bytes, header, animation, format, recipe, clues, budget)
        }
        _ => still::render(bytes, header, recipe, clues, budget),
    }
}

/// What [`render`] will hold and take, by headers alone: nothing is decoded. Where a border has to be found, the output may turn out
/// larger, which `render` then finds out.
///
/// # Errors
/// What can be told by then of what `render` would say.
pub fn price(
    source: &Source,
    recipe: &Recipe,
    clues: &Clues,
    limits: &Limits,
) -> Result<Price, TransformError> {
    let bytes = source.bytes();
    let Some(picture) = source.picture() else {
        return svg::priced(bytes, recipe, limits)?.within(limits);
    };
    if recipe.output == Output::Svg {
        return Err(TransformError::NotADrawing);
    }
    let header = &picture.header;
    let prospect = still::prospect(header, recipe, None, limits)?;
    let price = match (
        recipe.output,
        moves(picture, recipe),
        animation::format(recipe),
    ) {
        (Output::Json, _, _) => {
            let plan = prospect.plan.reduced(placeholders::THUMBNAIL);
            let prospect = still::Prepared { plan, ..prospect };
            let wanted = prospect.wanted(header, recipe);
            let basis = Basis::of(bytes, header, wanted, clues);
            cost::of_thumbnail(bytes, &basis, header, &prospect.plan, wanted)
        }
        (_, Some(animation), Some(format)) => {
            let plan = &prospect.plan;
            animation::priced(bytes, header, animation, format, recipe, plan, limits)
        }
        _ => {
            let wanted = prospect.wanted(header, recipe);
            let basis = Basis::of(bytes, header, wanted, clues);
            cost::of_still(
                bytes,
                &basis,
                header,
                recipe,
                &prospect.plan,
                wanted,
                limits,
            )
        }
    };
    let price = match recipe.trim.border {
        Some(_) => price.and(cost::of_search(bytes, header, Wanted::WHOLE)),
        None => price,
    };
    let price = if needs_look(recipe) && clues.saliency.is_none() {
        price.and(price_of_look(source, limits)?)
    } else {
        price
    };
    price.within(limits)
}

/// What [`look`] will hold and take.
///
/// # Errors
/// As [`price`].
pub fn price_of_look(source: &Source, limits: &Limits) -> Result<Price, TransformError> {
    let Picture { header, .. } = source.picture().ok_or(TransformError::NotAnImage)?;
    let small = still::small();
    let prospect = still::prospect(header, &small, None, limits)?;
    let (wanted, clues) = (prospect.wanted(header, &small), Clues::default());
    let basis = Basis::of(source.bytes(), header, wanted, &clues);
    cost::of_thumbnail(source.bytes(), &basis, header, &prospect.plan, wanted).within(limits)
}

/// The copies of a source that what a recipe describes may be made of; `None` where the source itself serves as well.
pub fn derivatives(source: &Source, recipe: &Recipe, limits: &Limits) -> Option<Derivatives> {
    let Picture { header, .. } = source.picture()?;
    let is_looked_through = recipe.trim.border.is_some();
    if is_looked_through || header.kind != Kind::Jpeg {
        return None;
    }
    let mut prospect = still::prospect(header, recipe, None, limits).ok()?;
    if recipe.output == Output::Json {
        prospect.plan = prospect.plan.reduced(placeholders::THUMBNAIL);
    }
    Derivatives::of(header, &prospect.plan, prospect.wanted(header, recipe))
}

/// What [`derive`] will hold and take.
///
/// # Errors
/// As [`price`].
pub fn price_of_derivative(
    source: &Source,
    denominator: u32,
    limits: &Limits,
) -> Result<Price, TransformError> {
    let Picture { header, .. } = source.picture().ok_or(TransformError::NotAnImage)?;
    cost::of_derivative(source.bytes(), header, Wanted::one_of(denominator)).within(limits)
}

/// Makes a copy of a source that is `denominator` (2, 4 or 8) times smaller on each axis: the same for every recipe, so worth keeping.
///
/// # Errors
/// As [`render`], and for colours that a copy cannot have.
pub fn derive(
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
