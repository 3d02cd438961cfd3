//! Bytes in, bytes out: a source picture becomes the picture that a recipe describes. Synchronous and pure: no socket, no file,
//! no HTTP, and no pixel before the limits have seen the header.
//!
//! A `Plan` says in numbers where every pixel goes; `still`, `animation` and `describe` carry it out for a picture, an animation and for
//! facts about a picture; `drawing` does what can be done for SVG.

mod animation;
mod batch;
mod blur;
mod buffer;
mod calibration;
mod canvas;
mod color;
mod composition;
mod decode;
mod derivative;
mod describe;
mod drawing;
mod effects;
mod encode;
mod error;
mod facts;
mod geometry;
mod hdr;
mod machine;
mod metadata;
mod motion;
mod orientation;
mod pixels;
mod plain_border;
mod plan;
mod price;
mod resize;
mod saliency;
mod sniff;
mod source;
mod still;
mod svg;
mod unchanged;

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;

use crate::options::Format;
use crate::options::Gravity;
use crate::options::Output;
use crate::options::Recipe;
use crate::options::Warning;
use crate::units::ByteSize;

use self::decode::Wanted;
use self::derivative::Basis;
use self::derivative::Derivative;
use self::saliency::Saliency;
use self::sniff::Kind;
use self::source::Picture;

pub use self::batch::Order;
pub use self::batch::price_all;
pub use self::batch::render_all;
pub use self::derivative::Derivatives;
pub use self::error::TransformError;
pub use self::pixels::Size;
pub use self::price::Price;
pub use self::sniff::Foreign;
pub use self::source::Source;

/// What bounds one render, from the section `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of a source, all of them: width times height.
    pub source_pixels: u64,
    /// The longest side of an output, in pixels.
    pub output_side: u32,
    /// What one render may hold, by the estimate from its header.
    pub render_memory: ByteSize,
    /// Pixels of the largest AVIF output; what is larger becomes WebP.
    pub avif_pixels: u64,
    /// Pixels of all frames of an animation together; what is larger is not transformed.
    pub animation_pixels: u64,
    /// What becomes of animations that are larger.
    pub large_animations: LargeAnimations,
    /// Whether an SVG may become a picture of pixels.
    pub rasterize_svg: bool,
    /// What becomes of a JPEG that lacks its end.
    pub truncated: TruncatedSources,
}

/// What is answered for a source that lacks its end, as one whose upload was broken off or is still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TruncatedSources {
    /// What there is of it, with a warning, if nine tenths of its rows or more are there.
    #[default]
    Show,
    /// An error.
    Refuse,
}

/// What is answered for an animation with more pixels than the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LargeAnimations {
    /// The source as it is.
    #[default]
    Original,
    /// Its first frame, transformed.
    Still,
}

impl Limits {
    /// How renders within these limits, by the codecs of this build, come out differently from others of the same recipe: part of
    /// the name that a rendition is kept under. What is refused is not kept, so mere ceilings are not in it.
    pub fn manner(&self) -> String {
        let Limits {
            source_pixels: _,
            output_side: _,
            render_memory: _,
            avif_pixels,
            animation_pixels,
            large_animations,
            rasterize_svg,
            truncated,
        } = self;
        let codecs = if cfg!(feature = "native") {
            "native"
        } else {
            "portable"
        };
        format!(
            "{codecs} {avif_pixels} {animation_pixels} {large_animations:?} {rasterize_svg} {truncated:?}"
        )
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            source_pixels: 100_000_000,
            output_side: 12_000,
            render_memory: ByteSize::gib(1),
            avif_pixels: 24_000_000,
            animation_pixels: 100_000_000,
            large_animations: LargeAnimations::Original,
            rasterize_svg: false,
            truncated: TruncatedSources::Show,
        }
    }
}

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
        texts.into_iter().any(Warning::tells_of_truncated)
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
        return drawing::render(bytes, recipe, clues, budget);
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
            describe::render(bytes, header, frames, recipe, clues, budget)
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
        return drawing::priced(bytes, recipe, limits)?.within(limits);
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
            let plan = prospect.plan.reduced(facts::THUMBNAIL);
            let prospect = still::Prepared { plan, ..prospect };
            let wanted = prospect.wanted(header, recipe);
            let basis = Basis::of(bytes, header, wanted, clues);
            price::of_thumbnail(bytes, &basis, header, &prospect.plan, wanted)
        }
        (_, Some(animation), Some(format)) => {
            let plan = &prospect.plan;
            animation::priced(bytes, header, animation, format, recipe, plan, limits)
        }
        _ => {
            let wanted = prospect.wanted(header, recipe);
            let basis = Basis::of(bytes, header, wanted, clues);
            price::of_still(
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
        Some(_) => price.and(price::of_search(bytes, header, Wanted::WHOLE)),
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
    price::of_thumbnail(source.bytes(), &basis, header, &prospect.plan, wanted).within(limits)
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
        prospect.plan = prospect.plan.reduced(facts::THUMBNAIL);
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
    price::of_derivative(source.bytes(), header, Wanted::one_of(denominator)).within(limits)
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
    derivative::made(source.bytes(), header, denominator, budget)
}

/// The animation that a source is, where the recipe lets it move or counts its frames.
fn moves<'a>(picture: &'a Picture, recipe: &Recipe) -> Option<&'a motion::Animation> {
    let counts = animation::format(recipe).is_some() || recipe.output == Output::Json;
    picture
        .animation
        .as_ref()
        .filter(|_| recipe.animated && counts)
}

#[cfg(test)]
mod tests;
