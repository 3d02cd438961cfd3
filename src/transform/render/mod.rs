//! Carries a plan out: decodes, composes and encodes.

mod animation;
mod batch;
mod compose;
mod info;
mod passthrough;
mod placeholders;
mod quality_search;
mod reduced_copy;
mod saliency_map;
mod smallest;
mod ssimulacra2;
mod still;
mod svg;

use crate::codecs::TransformError;
use crate::transform::budget::Budget;
use crate::transform::encoded::Encoded;
use crate::transform::hints::Hints;
use crate::transform::plan;
use crate::transform::plan::{Plan, Product};

use crate::transform::plan::saliency_map::SaliencyMapPlan;

impl Plan {
    /// Makes the picture.
    ///
    /// # Errors
    /// Where the source turns out to be damaged, memory or time is not there, or a codec fails.
    pub fn render(&self, budget: &Budget) -> Result<Encoded, TransformError> {
        let Plan { recipe, hints, .. } = self;
        let Some(source) = self.source.raster() else {
            return svg::render(self, budget);
        };
        if SaliencyMapPlan::is_needed(recipe) && hints.saliency.is_none() {
            let thumbnail = plan::saliency_map::thumbnail(source)?;
            let map = saliency_map::find(source, recipe.gravity, &thumbnail)?;
            let hints = Hints {
                saliency: Some(map),
                ..hints.clone()
            };
            return self.source.plan(recipe, &hints)?.render(budget);
        }
        match &self.product {
            Product::Still(plan) => still::render(source, recipe, hints, plan, budget),
            Product::Animation(plan) => animation::render(source, recipe, hints, plan, budget),
            Product::Info(plan) => info::render(source, recipe, hints, plan, budget),
            Product::Drawing => svg::render(self, budget),
        }
    }
}
