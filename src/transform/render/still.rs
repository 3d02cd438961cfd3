//! One picture: decoded, composed, encoded.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::options::{Format, Recipe, TrimBorder, Warning};

use crate::codecs::decode::{DecodeScale, DecodedImage, RowStream, Truncation};
use crate::codecs::{Limits, TransformError, decode, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Pixels, color};
use crate::transform::budget::Budget;
use crate::transform::encoded::{Encoded, Timings};
use crate::transform::hints::Hints;
use crate::transform::plan::placement::Placement;
use crate::transform::plan::still::StillPlan;
use crate::transform::plan::{autotrim, cost, output, still};
use crate::transform::render::compose::{Composite, Encodable, SourcePixels};
use crate::transform::render::smallest::File;
use crate::transform::render::{compose, passthrough, smallest};
use crate::transform::source::RasterSource;

/// The picture of a source that shows one picture, or of the first one of an animation.
pub(crate) fn render(
    source: RasterSource<'_>,
    recipe: &Recipe,
    hints: &Hints,
    plan: &StillPlan,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let (plan, decoded) = match recipe.trim.border {
        Some(border) => {
            let found = find_border(source, recipe, hints, border, budget)?;
            let plan = StillPlan::of_every_pixel(source, found.placement);
            (Cow::Owned(plan), Some((found.inside, found.truncation)))
        }
        None => (Cow::Borrowed(plan), None),
    };
    let limits = source.limits;
    cost::of_still(source, &plan, recipe).available(limits)?;
    let by_row = match decoded {
        Some(_) => None,
        None => compose_by_row(&plan, recipe, limits)?,
    };
    let Composition {
        composite,
        truncation,
        decode,
    } = match by_row {
        Some(composition) => composition,
        None => {
            let decoded = match decoded {
                Some(decoded) => decoded,
                None => plan.pixels.decode(limits.truncated)?,
            };
            let decode = started.elapsed();
            budget.check()?;
            let decoded = (decoded.0, decoded.1, decode);
            compose_whole(source, decoded, &plan.placement, recipe)?
        }
    };
    let encodable = composite.finish(&plan.placement, recipe, limits)?;
    let resize = started.elapsed().saturating_sub(decode);
    budget.check()?;

    let started = Instant::now();
    let mut file = encode(source, encodable, recipe, &plan.placement, budget)?;
    file.warnings.extend(truncation.map(Truncation::warning));
    let timings = Timings {
        decode,
        resize,
        encode: started.elapsed(),
    };
    Ok(Encoded { timings, ..file })
}

/// A composed picture, and what is known of the pixels that it was made of.
struct Composition {
    composite: Composite,
    /// What there is of the source, where it lacks its end.
    truncation: Option<Truncation>,
    /// Time that the decode took.
    decode: Duration,
}

fn compose_whole(
    source: RasterSource<'_>,
    (decoded, truncation, decode): (DecodedImage, Option<Truncation>, Duration),
    placement: &Placement,
    recipe: &Recipe,
) -> Result<Composition, TransformError> {
    let pixels = SourcePixels {
        is_graphic: compose::is_graphic(source.header, &decoded.raster),
        ..SourcePixels::of(decoded)
    };
    Ok(Composition {
        composite: Composite::of(pixels, placement, &[recipe], source.limits)?,
        truncation,
        decode,
    })
}

/// Pixels that are composed while they are decoded, so that there is never more of them than a few rows; `None` where that is not possible.
fn compose_by_row(
    plan: &StillPlan,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Option<Composition>, TransformError> {
    let Some(RowStream {
        mut rows,
        extent,
        space,
    }) = plan.pixels.stream()
    else {
        return Ok(None);
    };
    let pixels = SourcePixels {
        pixels: Pixels::Scanlines(&mut rows),
        extent,
        space: Cow::Owned(space),
        is_graphic: false,
    };
    let composite = Composite::of(pixels, &plan.placement, &[recipe], limits)?;
    Ok(rows.end().then(|| Composition {
        composite,
        truncation: None,
        decode: rows.spent(),
    }))
}

/// The file of a finished picture.
pub(crate) fn encode(
    source: RasterSource<'_>,
    encodable: Encodable,
    recipe: &Recipe,
    placement: &Placement,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let own = source.header.format;
    let has_same_pixels = encodable.has_source_colors || encodable.profile.is_some();
    let is_unchanged = has_same_pixels && still::is_unchanged(source, recipe, placement);
    let profile = encodable.profile.clone();
    let attach = |format: Format, bytes: Vec<u8>| {
        let kept = metadata::select_from_source(source.bytes, own, recipe.metadata, format);
        metadata::attach(bytes, format, &kept, profile.as_deref())
    };
    let mut file = smallest::file(encodable, recipe, (source.limits, budget), attach)?;
    if is_unchanged
        && let Some((format, bytes)) =
            passthrough::smaller(source, recipe, file.format, &file.bytes)?
    {
        (file.format, file.bytes) = (format, bytes);
        file.warnings.push(Warning::new("original is smaller"));
    }
    let File {
        format,
        bytes,
        warnings,
    } = file;
    Ok(Encoded {
        bytes,
        format,
        size: placement.layout.output(),
        warnings,
        timings: Timings::default(),
    })
}

/// A source of which all pixels were decoded to find its border.
pub(crate) struct BorderSearch {
    /// The placement of what lies inside the border.
    pub placement: Placement,
    /// The pixels: upright already, in sRGB.
    pub inside: DecodedImage,
    /// What there is of them, where the source lacks its end.
    pub truncation: Option<Truncation>,
}

/// Finds the plain border that a recipe cuts, and places what lies inside of it.
pub(crate) fn find_border(
    source: RasterSource<'_>,
    recipe: &Recipe,
    hints: &Hints,
    border: TrimBorder,
    budget: &Budget,
) -> Result<BorderSearch, TransformError> {
    let RasterSource { header, limits, .. } = source;
    let trimmed = still::trimmed(source, recipe)?;
    cost::of_border_search(source).available(limits)?;
    let (decoded, truncation) =
        decode::pixels_there_are(source.bytes, header, DecodeScale::WHOLE, limits.truncated)?;
    budget.check()?;
    let raster = color::to_srgb(decoded.raster, &decoded.space)?;
    let raster = header.orientation.upright(raster)?;
    let trimmed = autotrim::inner(&raster, trimmed, &border)?;
    let upright = header.orientation.size(header.size);
    let saliency = hints.saliency.as_ref();
    let placement = Placement::of(upright, Orientation::default(), trimmed, recipe, saliency);
    output::check_size(&placement, limits)?;
    Ok(BorderSearch {
        placement,
        inside: DecodedImage {
            extent: decode::full_extent(raster.size),
            raster,
            space: ColorSpace::Srgb,
        },
        truncation,
    })
}
