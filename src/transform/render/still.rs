//! One picture: planned, decoded, composed, encoded.

use std::time::Duration;
use std::time::Instant;

use crate::options::Fit;
use crate::options::Gravity;
use crate::options::Output;
use crate::options::Recipe;
use crate::options::Warning;

use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::Decoded;
use crate::codecs::decode::Header;
use crate::codecs::decode::Streamed;
use crate::codecs::decode::Truncation;
use crate::codecs::decode::frames;
use crate::codecs::decode::pixel_source::PixelSource;
use crate::codecs::metadata;
use crate::codecs::sniff::SourceFormat;
use crate::pixels::Pixels;
use crate::pixels::Raster;
use crate::pixels::Rows as _;
use crate::pixels::color;
use crate::pixels::color::ColorSpace;
use crate::transform::Budget;
use crate::transform::Encoded;
use crate::transform::Hints;
use crate::transform::Limits;
use crate::transform::Timings;
use crate::transform::TransformError;
use crate::transform::plan::Plan;
use crate::transform::plan::autotrim;
use crate::transform::plan::cost;
use crate::transform::plan::geometry;
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::render::compose;
use crate::transform::render::compose::Composite;
use crate::transform::render::compose::Encodable;
use crate::transform::render::passthrough;
use crate::transform::render::quality_search;

/// The picture that a recipe describes, of a source that shows one picture, or of the first one of an animation.
pub(crate) fn render(
    source: &[u8],
    header: &Header,
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let prepared = prepare(source, header, recipe, hints, budget)?;
    let plan = prepared.plan.clone();
    let scale = prepared.scale(header, recipe);
    let pixel_source = PixelSource::of(source, header, scale, hints.reduced_copy.as_ref());
    cost::of_still(
        source,
        &pixel_source,
        header,
        recipe,
        &plan,
        scale,
        &budget.limits,
    )
    .available(&budget.limits)?;
    let limits = &budget.limits;
    let Seen {
        composed,
        same_colors,
        truncation,
        decode,
    } = match prepared.decoded {
        Some(decoded) => composed(decoded, started.elapsed(), &plan, recipe, budget)?,
        None => match composed_by_row(&pixel_source, &plan, recipe, limits)? {
            Some(seen) => seen,
            None => {
                let decoded = pixel_source.decoded(limits.truncated)?;
                composed(decoded, started.elapsed(), &plan, recipe, budget)?
            }
        },
    };
    let made = composed.finished(&plan, recipe, limits)?;
    let resize = started.elapsed().saturating_sub(decode);
    budget.check()?;

    let started = Instant::now();
    let mut file = written(source, header, made, recipe, &plan, same_colors, budget)?;
    file.warnings.extend(truncation.map(Truncation::warning));
    let timings = Timings {
        decode,
        resize,
        encode: started.elapsed(),
    };
    Ok(Encoded { timings, ..file })
}

/// Composed pixels, and what is known of those that they were made of.
struct Seen {
    composed: Composite,
    /// Whether the colours of the source are as they were.
    same_colors: bool,
    /// What there is of the source, where it lacks its end.
    truncation: Option<Truncation>,
    /// Time that it took to decode them.
    decode: Duration,
}

fn composed(
    (decoded, truncation): (Decoded, Option<Truncation>),
    decode: Duration,
    plan: &Plan,
    recipe: &Recipe,
    budget: &Budget,
) -> Result<Seen, TransformError> {
    budget.check()?;
    let Decoded {
        raster,
        extent,
        space,
    } = decoded;
    let same_colors = compose::has_output_colors(raster.channels, &space);
    let limits = &budget.limits;
    Ok(Seen {
        composed: Composite::of(raster.into(), extent, &space, plan, &[recipe], limits)?,
        same_colors,
        truncation,
        decode,
    })
}

/// Pixels that are composed while they are decoded, so that there is never more of them than a few rows; `None` where that is not possible.
fn composed_by_row(
    pixel_source: &PixelSource<'_>,
    plan: &Plan,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Option<Seen>, TransformError> {
    let Some(Streamed {
        mut rows,
        extent,
        space,
    }) = pixel_source.streamed()
    else {
        return Ok(None);
    };
    let same_colors = compose::has_output_colors(rows.channels(), &space);
    let pixels = Pixels::Rows(&mut rows);
    let composed = Composite::of(pixels, extent, &space, plan, &[recipe], limits)?;
    Ok(rows.end().then(|| Seen {
        composed,
        same_colors,
        truncation: None,
        decode: rows.spent(),
    }))
}

/// The file of a finished picture. `same_colors`: the colours of its source are as they were.
pub(crate) fn written(
    source: &[u8],
    header: &Header,
    made: Encodable,
    recipe: &Recipe,
    plan: &Plan,
    same_colors: bool,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let format = made.format;
    let kept = metadata::kept_of(source, header.format, recipe.metadata, format);
    let (mut bytes, missed) = quality_search::aimed(
        &made.picture,
        format,
        recipe.quality,
        recipe.quality_target,
        budget,
        |quality| {
            let bytes = made.encode(recipe, quality)?;
            metadata::attach(bytes, format, &kept, made.profile.as_deref())
        },
    )?;
    let same_pixels = same_colors || made.profile.is_some();
    let mut warnings = made.warnings;
    warnings.extend(missed);
    if same_pixels
        && header.format.as_output() == Some(format)
        && is_unchanged(source, header, recipe, plan)
        && let Some(source) =
            passthrough::smaller_source(source, header.format, recipe.metadata, &bytes)?
    {
        bytes = source;
        warnings.push(Warning::new("original is smaller"));
    }
    Ok(Encoded {
        bytes,
        format,
        size: plan.layout.output(),
        warnings,
        timings: Timings::default(),
    })
}

/// Whether a recipe leaves every pixel of a source where and as it is, so that its own bytes are an answer.
fn is_unchanged(source: &[u8], header: &Header, recipe: &Recipe, plan: &Plan) -> bool {
    // Only a sequential JPEG can be decoded at a fraction of its size for less.
    let is_baseline = header.format != SourceFormat::Jpeg || header.is_scalable;
    let wants_baseline = recipe.output == Output::Jpeg { progressive: false };
    leaves_pixels(recipe, plan)
        && (is_baseline || !wants_baseline)
        // Its container turns it, and would again.
        && (header.format != SourceFormat::Avif || header.orientation.is_upright())
        && frames::animation(source, header.format).is_none()
}

/// Whether a recipe leaves every stored pixel where and as it is. A search for a border is planned for the upright picture, so that
/// nothing is known of the stored one.
pub(crate) fn leaves_pixels(recipe: &Recipe, plan: &Plan) -> bool {
    plan.changes_nothing()
        && recipe.trim.border.is_none()
        && recipe.effects.is_neutral()
        && recipe.background.is_none()
}

/// What is known before the pixels are resampled.
pub(crate) struct Prepared {
    pub plan: Plan,
    /// Pixels, where the plan needed a look at them: upright already, in sRGB; and what there is of them, where the source lacks its end.
    pub decoded: Option<(Decoded, Option<Truncation>)>,
}

impl Prepared {
    /// How the pixels are decoded, or were.
    pub fn scale(&self, header: &Header, recipe: &Recipe) -> DecodeScale {
        match self.decoded {
            Some(_) => DecodeScale::WHOLE,
            None => decode::scale_for(self.plan.layout.shrink(), header, is_fine(recipe)),
        }
    }
}

/// Whether what is lost before a picture is written would be seen in it, or cost more than it saves.
fn is_fine(recipe: &Recipe) -> bool {
    /// Beyond it, half a point of SSIMULACRA2 and more would be lost: see `decode::scale_for`.
    const COARSE: u8 = 80;
    // PNG loses nothing, and AVIF takes so long that what a coarse decode saves would not be noticed.
    let is_worth_it = matches!(recipe.output, Output::Png | Output::Avif);
    let is_searched = !recipe.quality_target.is_none();
    is_worth_it || is_searched || recipe.quality.get() > COARSE
}

/// Plans a picture within the limits. Only a border that has to be found needs pixels for that, all of them.
pub(crate) fn prepare(
    source: &[u8],
    header: &Header,
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
) -> Result<Prepared, TransformError> {
    let upright = header.orientation.size(header.size);
    let trimmed = geometry::trimmed(upright, &recipe.trim).ok_or(TransformError::ZeroSized)?;
    let saliency = hints.saliency.as_ref();
    let prepared = match recipe.trim.border {
        None => return prospect(header, recipe, saliency, &budget.limits),
        Some(border) => {
            cost::of_search(source, header, DecodeScale::WHOLE).available(&budget.limits)?;
            let truncated = budget.limits.truncated;
            let (decoded, truncation) =
                decode::pixels_there_are(source, header, DecodeScale::WHOLE, truncated)?;
            budget.check()?;
            let raster = header
                .orientation
                .upright(color::to_srgb(decoded.raster, &decoded.space)?)?;
            let trimmed = autotrim::inner(&raster, trimmed, &border)?;
            Prepared {
                plan: Plan::of(upright, Default::default(), trimmed, recipe, saliency),
                decoded: Some((
                    Decoded {
                        extent: decode::whole(raster.size),
                        raster,
                        space: ColorSpace::Srgb,
                    },
                    truncation,
                )),
            }
        }
    };
    check_output(&prepared.plan, &budget.limits)?;
    Ok(prepared)
}

/// What can be planned before any pixel is there: as if there were no border to be found. What catches the eye changes no size.
pub(crate) fn prospect(
    header: &Header,
    recipe: &Recipe,
    saliency: Option<&SaliencyMap>,
    limits: &Limits,
) -> Result<Prepared, TransformError> {
    let upright = header.orientation.size(header.size);
    let trimmed = geometry::trimmed(upright, &recipe.trim).ok_or(TransformError::ZeroSized)?;
    let prospect = Prepared {
        plan: Plan::of(header.size, header.orientation, trimmed, recipe, saliency),
        decoded: None,
    };
    check_output(&prospect.plan, limits)?;
    Ok(prospect)
}

/// Refuses an output that is larger than any may be.
pub(crate) fn check_output(plan: &Plan, limits: &Limits) -> Result<(), TransformError> {
    let (size, limit) = (plan.layout.output(), limits.output_side);
    if size.width.max(size.height) > limit {
        return Err(TransformError::OutputTooLarge { size, limit });
    }
    Ok(())
}

/// Longest side of the thumbnail that is looked at, in pixels.
pub(crate) const THUMBNAIL_SIDE: u32 = 256;

/// All of a picture, small.
pub(crate) fn thumbnail_recipe() -> Recipe {
    Recipe {
        width: Some(THUMBNAIL_SIDE),
        height: Some(THUMBNAIL_SIDE),
        fit: Fit::ScaleDown,
        output: Output::Png,
        ..Recipe::default()
    }
}

/// What catches the eye in a source, by a thumbnail of it.
pub(crate) fn saliency_map(
    source: &[u8],
    header: &Header,
    gravity: Gravity,
    budget: &Budget,
) -> Result<SaliencyMap, TransformError> {
    let whole = thumbnail_recipe();
    let prepared = prepare(source, header, &whole, &Hints::default(), budget)?;
    let scale = prepared.scale(header, &whole);
    let pixel_source = PixelSource::of(source, header, scale, None);
    cost::of_thumbnail(source, &pixel_source, header, &prepared.plan, scale)
        .available(&budget.limits)?;
    // Whoever renders the picture tells what it lacks.
    let (decoded, _) = decode::pixels_there_are(source, header, scale, budget.limits.truncated)?;
    let (raster, _) = compose::composed(
        decoded.raster.into(),
        decoded.extent,
        &decoded.space,
        &prepared.plan,
        &whole,
    )?;
    Ok(map_of(&raster, gravity))
}

/// What a gravity looks for in a thumbnail.
pub(crate) fn map_of(thumbnail: &Raster, gravity: Gravity) -> SaliencyMap {
    match gravity {
        Gravity::Entropy => SaliencyMap::detail_of(thumbnail),
        _ => SaliencyMap::of(thumbnail),
    }
}
