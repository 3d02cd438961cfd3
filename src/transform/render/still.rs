//! One picture: decoded, composed, encoded.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::options::{Format, Recipe, TrimBorder, Warning};

use crate::codecs::decode::{DecodeScale, DecodedImage, RowStream, Truncation};
use crate::codecs::{Limits, TransformError, decode, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Pixels, Size, color};
use crate::transform::budget::Budget;
use crate::transform::encoded::{Encoded, Timings};
use crate::transform::hints::Hints;
use crate::transform::plan::output::FileFacts;
use crate::transform::plan::placement::Placement;
use crate::transform::plan::still::StillPlan;
use crate::transform::plan::{autotrim, cost, output, still};
use crate::transform::render::compose::{Composite, Encodable, SourcePixels};
use crate::transform::render::passthrough;
use crate::transform::render::quality_search::QualitySearch;
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
            compose_whole(decoded, decode, &plan.placement, recipe, limits)?
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
    (decoded, truncation): (DecodedImage, Option<Truncation>),
    decode: Duration,
    placement: &Placement,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Composition, TransformError> {
    let pixels = SourcePixels::of(decoded);
    Ok(Composition {
        composite: Composite::of(pixels, placement, &[recipe], limits)?,
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
    let has_same_pixels = encodable.has_source_colors || encodable.profile.is_some();
    let is_unchanged = has_same_pixels && still::is_unchanged(source, recipe, placement);
    let warning = encodable.warning.clone();
    let mut file = write(source, &encodable, recipe, budget)?;
    let size = placement.layout.output();
    if let Some(other) = output::alternative(recipe, recipe.effort, &file.numbers(size))
        && size.area() <= source.limits.avif_pixels
    {
        budget.check()?;
        let other = write(source, &encodable.into_format(other)?, recipe, budget)?;
        if other.bytes.len() < file.bytes.len() {
            file = other;
        }
    }
    if is_unchanged
        && let Some(smaller) = passthrough::smaller(source, recipe, file.format, &file.bytes)?
    {
        file.bytes = smaller;
        file.warnings.push(Warning::new("original is smaller"));
    }
    Ok(Encoded {
        bytes: file.bytes,
        format: file.format,
        size,
        warnings: warning.into_iter().chain(file.warnings).collect(),
        timings: Timings::default(),
    })
}

/// A file that was written, and what the client is told about it.
struct WrittenFile {
    bytes: Vec<u8>,
    format: Format,
    warnings: Vec<Warning>,
}

impl WrittenFile {
    fn numbers(&self, size: Size) -> FileFacts {
        FileFacts {
            format: self.format,
            size,
            bytes: self.bytes.len(),
        }
    }
}

fn write(
    source: RasterSource<'_>,
    encodable: &Encodable,
    recipe: &Recipe,
    budget: &Budget,
) -> Result<WrittenFile, TransformError> {
    let (format, own) = (encodable.format, source.header.format);
    let kept = metadata::select_from_source(source.bytes, own, recipe.metadata, format);
    let search = QualitySearch {
        picture: &encodable.picture,
        format,
        limits: source.limits,
        budget,
    };
    let (bytes, warnings) = search.run(recipe.quality, recipe.quality_target, |quality| {
        let bytes = encodable.encode(recipe, quality)?;
        metadata::attach(bytes, format, &kept, encodable.profile.as_deref())
    })?;
    Ok(WrittenFile {
        bytes,
        format,
        warnings,
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
