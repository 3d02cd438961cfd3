//! The plan of one picture: the place of every pixel, and where the pixels come from.

use crate::options::{Effort, Format, Output, Recipe};

use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::pixel_source::PixelSource;
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, decode};
use crate::pixels::PixelRect;
use crate::transform::hints::Hints;
use crate::transform::plan::placement::Placement;
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::plan::{geometry, output};
use crate::transform::source::RasterSource;

/// One picture as planned.
#[derive(Clone, Debug)]
pub(crate) struct StillPlan {
    pub placement: Placement,
    pub pixels: PixelSource,
}

impl StillPlan {
    /// A plan by the header alone: as if there were no border to be found.
    pub(crate) fn of(
        source: RasterSource<'_>,
        recipe: &Recipe,
        hints: &Hints,
    ) -> Result<Self, TransformError> {
        let placement = placement(source, recipe, hints.saliency.as_ref())?;
        Ok(StillPlan::placed(source, recipe, hints, placement))
    }

    /// A plan for a placement that is known: what is left is the scale of the decode, and whether a reduced copy serves.
    pub(crate) fn placed(
        source: RasterSource<'_>,
        recipe: &Recipe,
        hints: &Hints,
        placement: Placement,
    ) -> Self {
        let shrink = placement.layout.shrink();
        let scale = decode::scale_for(shrink, source.header, is_fine(recipe));
        let copy = hints.reduced_copy.as_ref();
        StillPlan {
            placement,
            pixels: PixelSource::of(source.bytes, source.header, scale, copy),
        }
    }

    /// A plan for which all pixels of the source are decoded, or have been.
    pub(crate) fn of_every_pixel(source: RasterSource<'_>, placement: Placement) -> Self {
        StillPlan {
            placement,
            pixels: PixelSource::of(source.bytes, source.header, DecodeScale::WHOLE, None),
        }
    }
}

/// Where every pixel goes, as if there were no border to be found. A saliency map moves a crop, and changes no size.
pub(crate) fn placement(
    source: RasterSource<'_>,
    recipe: &Recipe,
    saliency: Option<&SaliencyMap>,
) -> Result<Placement, TransformError> {
    let header = source.header;
    let trimmed = trimmed(source, recipe)?;
    let placement = Placement::of(header.size, header.orientation, trimmed, recipe, saliency);
    output::check_size(&placement, source.limits)?;
    Ok(placement)
}

/// What the amounts of `trim` leave of the upright picture.
pub(crate) fn trimmed(
    source: RasterSource<'_>,
    recipe: &Recipe,
) -> Result<PixelRect, TransformError> {
    let upright = source.header.orientation.size(source.header.size);
    geometry::trimmed(upright, &recipe.trim).ok_or(TransformError::ZeroSized)
}

/// Whether what is lost before a picture is written would be seen in it, or cost more than it saves.
fn is_fine(recipe: &Recipe) -> bool {
    /// Beyond it, half a point of SSIMULACRA2 and more would be lost: see `decode::scale_for`.
    const COARSE: u8 = 80;
    // PNG loses nothing, and the others take so long that what a coarse decode saves would not be noticed. Only a quick WebP does not.
    let is_settled = recipe.effort == Effort::Settled;
    let is_worth_it = match recipe.output {
        Output::Png | Output::Avif | Output::Jxl => true,
        Output::Auto(formats) => is_settled || formats.first() != Some(Format::Webp),
        Output::Webp => is_settled,
        Output::Compatible { .. } | Output::Jpeg { .. } | Output::Json | Output::Svg => false,
    };
    let is_searched = !recipe.quality_target.is_none();
    is_worth_it || is_searched || recipe.quality.get() > COARSE
}

/// Whether a recipe leaves every stored pixel where and as it is. A search for a border is planned for the upright picture, so that
/// nothing is known of the stored one.
pub(crate) fn leaves_pixels(recipe: &Recipe, placement: &Placement) -> bool {
    placement.changes_nothing()
        && recipe.trim.border.is_none()
        && recipe.effects.is_neutral()
        && recipe.background.is_none()
}

/// Whether a recipe leaves a source as it is but for its metadata, so that its own bytes are an answer.
pub(crate) fn is_unchanged(
    source: RasterSource<'_>,
    recipe: &Recipe,
    placement: &Placement,
) -> bool {
    let header = source.header;
    // Only a sequential JPEG can be decoded at a fraction of its size for less.
    let is_baseline = header.format != SourceFormat::Jpeg || header.is_scalable;
    let wants_baseline = recipe.output == Output::Jpeg { progressive: false };
    leaves_pixels(recipe, placement)
        && (is_baseline || !wants_baseline)
        // Its container turns it, and would again.
        && (header.format != SourceFormat::Avif || header.orientation.is_upright())
        && source.animation.is_none()
}
