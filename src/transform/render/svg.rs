//! A drawing (SVG) is cleaned and stays a drawing, whatever the options say, unless the operator lets it become pixels.

use std::time::Instant;

use crate::options::Format;
use crate::options::Output;
use crate::options::Recipe;

use crate::codecs::decode;
use crate::codecs::svg;
use crate::pixels::Raster;
use crate::pixels::Size;
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::transform::Budget;
use crate::transform::Encoded;
use crate::transform::Hints;
use crate::transform::Limits;
use crate::transform::Timings;
use crate::transform::TransformError;
use crate::transform::plan::Plan;
use crate::transform::plan::autotrim;
use crate::transform::plan::cost;
use crate::transform::plan::cost::Cost;
use crate::transform::plan::geometry;
use crate::transform::render::compose;
use crate::transform::render::placeholders;
use crate::transform::render::placeholders::ImageInfo;
use crate::transform::render::placeholders::SourceInfo;
use crate::transform::render::still;

/// The size of a drawing that names none: that of a replaced element in CSS 2.2, section 10.3.2.
const UNSIZED: Size = Size::new(300, 150);

/// The cleaned drawing, facts about it, or the pixels of it, as the recipe and the limits say.
pub(crate) fn render(
    source: &[u8],
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let limits = &budget.limits;
    let cleaned = svg::clean(source, limits.render_memory.bytes())?;
    let own = svg::size(&cleaned).unwrap_or(UNSIZED);
    let timings = Timings {
        decode: started.elapsed(),
        ..Timings::default()
    };
    budget.check()?;
    match recipe.output {
        Output::Json => facts(source, &cleaned, own, recipe, hints, budget, timings),
        Output::Svg => Ok(as_it_is(cleaned, own, timings)),
        _ if limits.rasterize_svg => pixels(&cleaned, own, recipe, hints, budget, timings),
        _ => Ok(as_it_is(cleaned, own, timings)),
    }
}

/// What a drawing costs before it is read: its size is believed as far as it can be seen.
pub(crate) fn cost(
    source: &[u8],
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Cost, TransformError> {
    let markup = svg::most_markup(source, limits.render_memory.bytes());
    if !limits.rasterize_svg || recipe.output == Output::Svg {
        return Ok(cost::of_drawing(source, markup, None, limits));
    }
    let own = svg::size(source).unwrap_or(UNSIZED);
    let trimmed = geometry::trimmed(own, &recipe.trim).ok_or(TransformError::ZeroSized)?;
    let plan = Plan::of(own, Orientation::default(), trimmed, recipe, None);
    still::check_output(&plan, limits)?;
    Ok(cost::of_drawing(
        source,
        markup,
        Some((plan.layout.output(), recipe)),
        limits,
    ))
}

fn as_it_is(cleaned: Vec<u8>, size: Size, timings: Timings) -> Encoded {
    Encoded {
        bytes: cleaned,
        format: Format::Svg,
        size,
        warnings: Vec::new(),
        timings,
    }
}

/// Facts about what is answered for the other formats. Placeholders need pixels.
fn facts(
    source: &[u8],
    cleaned: &[u8],
    own: Size,
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
    timings: Timings,
) -> Result<Encoded, TransformError> {
    let (size, placeholders) = if budget.limits.rasterize_svg {
        let drawn = drawn(cleaned, own, recipe, hints, budget)?;
        (drawn.size, Some(placeholders::of_picture(&drawn)?))
    } else {
        (own, None)
    };
    let facts = ImageInfo {
        width: size.width,
        height: size.height,
        original: SourceInfo {
            file_size: source.len() as u64,
            width: own.width,
            height: own.height,
            format: Format::Svg.mime(),
        },
        frames: None,
        placeholders,
    };
    Ok(Encoded {
        bytes: facts.to_json()?,
        format: Format::Json,
        size,
        warnings: Vec::new(),
        timings,
    })
}

fn pixels(
    cleaned: &[u8],
    own: Size,
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
    mut timings: Timings,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let raster = drawn(cleaned, own, recipe, hints, budget)?;
    timings.resize = started.elapsed();
    budget.check()?;
    let started = Instant::now();
    let size = raster.size;
    let made = compose::finished(raster, None, recipe, &budget.limits)?;
    let bytes = made.encode(recipe, recipe.quality)?;
    timings.encode = started.elapsed();
    Ok(Encoded {
        bytes,
        format: made.format,
        size,
        warnings: made.warnings,
        timings,
    })
}

/// The pixels of a drawing as the recipe wants them: drawn at the size they will have, so that nothing is enlarged afterwards.
fn drawn(
    cleaned: &[u8],
    own: Size,
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
) -> Result<Raster, TransformError> {
    let limits = &budget.limits;
    let mut trimmed = geometry::trimmed(own, &recipe.trim).ok_or(TransformError::ZeroSized)?;
    if let Some(border) = recipe.trim.border {
        let sketch = svg::rasterize(cleaned, |_| own, limits)?;
        trimmed = autotrim::inner(&sketch, trimmed, &border)?;
    }
    let looked = match &hints.saliency {
        None if crate::transform::needs_saliency_map(recipe) => {
            let longest = f64::from(own.width.max(own.height));
            let size = geometry::scaled(own, f64::from(still::THUMBNAIL_SIDE) / longest);
            let sketch = svg::rasterize(cleaned, |_| size, limits)?;
            Some(still::map_of(&sketch, recipe.gravity))
        }
        looked => looked.clone(),
    };
    let plan = Plan::of(
        own,
        Orientation::default(),
        trimmed,
        recipe,
        looked.as_ref(),
    );
    still::check_output(&plan, limits)?;
    let output = plan.layout.output();
    cost::of_drawing(
        cleaned,
        cleaned.len() as u64,
        Some((output, recipe)),
        limits,
    )
    .available(limits)?;
    budget.check()?;
    let size = geometry::scaled(own, 1.0 / plan.layout.shrink());
    let raster = svg::rasterize(cleaned, |_| size, limits)?;
    let extent = decode::whole(raster.size);
    let (raster, _) = compose::composed(raster.into(), extent, &ColorSpace::Srgb, &plan, recipe)?;
    Ok(raster)
}
