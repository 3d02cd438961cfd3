//! The plan of a saliency map: what catches the eye in a source, found once and the same for every recipe with the same gravity.

use crate::options::{Fit, Gravity, Output, Recipe};

use crate::codecs::TransformError;
use crate::transform::cost::Cost;
use crate::transform::hints::Hints;
use crate::transform::plan::cost;
use crate::transform::plan::still::StillPlan;
use crate::transform::source::{RasterSource, Source};

/// Longest side of the thumbnail that a map is made of, in pixels.
pub(crate) const THUMBNAIL_SIDE: u32 = 256;

/// A saliency map as planned: a small grey picture (PNG), the brighter, the more salient.
#[derive(Clone, Debug)]
pub struct SaliencyMapPlan {
    pub(crate) source: Source,
    pub(crate) gravity: Gravity,
    pub(crate) thumbnail: StillPlan,
    cost: Cost,
}

impl Source {
    /// Plans the saliency map that a gravity needs; see [`Hints::of_saliency_map`].
    ///
    /// # Errors
    /// Where the source is a drawing, or the map would hold more than the limit.
    pub fn plan_saliency_map(&self, gravity: Gravity) -> Result<SaliencyMapPlan, TransformError> {
        let source = self.raster().ok_or(TransformError::NotAnImage)?;
        let thumbnail = thumbnail(source)?;
        let cost = cost::of_thumbnail(source, &thumbnail).within(source.limits)?;
        Ok(SaliencyMapPlan {
            source: self.clone(),
            gravity,
            thumbnail,
            cost,
        })
    }
}

impl SaliencyMapPlan {
    /// Whether a recipe needs a map to know where its crop goes.
    pub fn is_needed(recipe: &Recipe) -> bool {
        recipe.gravity.position().is_none()
    }

    /// What rendering the map holds and takes.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}

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

/// The plan of the thumbnail that a map is made of.
pub(crate) fn thumbnail(source: RasterSource<'_>) -> Result<StillPlan, TransformError> {
    StillPlan::of(source, &thumbnail_recipe(), &Hints::default())
}
