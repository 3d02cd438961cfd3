//! A saliency map of a source, made of a thumbnail of it.

use std::time::Instant;

use crate::options::{Format, Gravity};

use crate::codecs::TransformError;
use crate::transform::budget::Budget;
use crate::transform::encoded::{Encoded, Timings};
use crate::transform::plan::cost;
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::plan::saliency_map::{SaliencyMapPlan, thumbnail_recipe};
use crate::transform::plan::still::StillPlan;
use crate::transform::render::compose;
use crate::transform::render::compose::SourcePixels;
use crate::transform::source::RasterSource;

impl SaliencyMapPlan {
    /// Makes the map, as a PNG.
    ///
    /// # Errors
    /// As [`Plan::render`](crate::transform::Plan::render).
    pub fn render(&self, budget: &Budget) -> Result<Encoded, TransformError> {
        let started = Instant::now();
        budget.check()?;
        let source = self.source.raster().ok_or(TransformError::NotAnImage)?;
        let map = find(source, self.gravity, &self.thumbnail)?;
        let timings = Timings {
            decode: started.elapsed(),
            ..Timings::default()
        };
        Ok(Encoded {
            bytes: map.to_png()?,
            format: Format::Png,
            size: map.size(),
            warnings: Vec::new(),
            timings,
        })
    }
}

/// What a gravity looks for in a source, found in a thumbnail of it.
pub(crate) fn find(
    source: RasterSource<'_>,
    gravity: Gravity,
    thumbnail: &StillPlan,
) -> Result<SaliencyMap, TransformError> {
    cost::of_thumbnail(source, thumbnail).available(source.limits)?;
    // Whoever renders the picture tells what it lacks.
    let (decoded, _) = thumbnail.pixels.decode(source.limits.truncated)?;
    let recipe = thumbnail_recipe();
    let pixels = SourcePixels::of(decoded);
    let composed = compose::compose(pixels, &thumbnail.placement, &recipe)?;
    Ok(SaliencyMap::for_gravity(gravity, &composed.raster))
}
