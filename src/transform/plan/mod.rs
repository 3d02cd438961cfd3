//! What is decided before a pixel is decoded: the place of every pixel, what the picture is made of, its format, and what the render
//! costs. The modules of `render` import these, never the other way.

pub(crate) mod animation;
pub(crate) mod autotrim;
pub(crate) mod batch;
pub(crate) mod cost;
pub(crate) mod drawing;
pub(crate) mod geometry;
pub(crate) mod info;
pub(crate) mod output;
pub(crate) mod placement;
pub(crate) mod reduced_copy;
pub(crate) mod saliency;
pub(crate) mod saliency_map;
pub(crate) mod schedule;
pub(crate) mod still;

use crate::options::{Effort, Format, Output, Recipe};

use crate::codecs::{TransformError, encode};
use crate::transform::cost::Cost;
use crate::transform::hints::{HintFiles, Hints};
use crate::transform::plan::animation::AnimationPlan;
use crate::transform::plan::info::InfoPlan;
use crate::transform::plan::output::FileFacts;
use crate::transform::plan::saliency_map::SaliencyMapPlan;
use crate::transform::plan::still::StillPlan;
use crate::transform::source::{RasterSource, Source};

/// The picture that a recipe describes, as planned from a source.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) source: Source,
    pub(crate) recipe: Recipe,
    pub(crate) hints: Hints,
    pub(crate) product: Product,
    cost: Cost,
}

/// What a render makes.
#[derive(Clone, Debug)]
pub(crate) enum Product {
    Still(StillPlan),
    Animation(AnimationPlan),
    Info(InfoPlan),
    /// A drawing, or its pixels or facts about it: its plan needs the cleaned file.
    Drawing,
}

impl Source {
    /// Plans the picture that `recipe` describes. What the hints do not tell, the render finds out itself. Where a border has to be found,
    /// the output may turn out larger, which the render then finds out too.
    ///
    /// # Errors
    /// Where it is known by now that the render would fail.
    pub fn plan(&self, recipe: &Recipe, hints: &Hints) -> Result<Plan, TransformError> {
        let (product, cost) = self.decide(recipe, hints, hints.saliency.is_some())?;
        Ok(Plan {
            source: self.clone(),
            recipe: recipe.clone(),
            hints: hints.clone(),
            product,
            cost,
        })
    }

    /// What the plan of a picture will cost. No file is read for it, of the source nor of the hints.
    ///
    /// # Errors
    /// As [`plan`](Source::plan).
    pub fn price(&self, recipe: &Recipe, hints: &HintFiles) -> Result<Cost, TransformError> {
        let (_, cost) = self.decide(recipe, &hints.unread(), hints.saliency_map.is_some())?;
        Ok(cost)
    }

    fn decide(
        &self,
        recipe: &Recipe,
        hints: &Hints,
        has_map: bool,
    ) -> Result<(Product, Cost), TransformError> {
        let (product, cost) = match self.raster() {
            None => (Product::Drawing, drawing::cost(self, recipe)?),
            Some(_) if recipe.output == Output::Svg => return Err(TransformError::NotADrawing),
            Some(_) if recipe.output == Output::Jxl && !Format::Jxl.is_written() => {
                return Err(TransformError::NotWritten(Format::Jxl));
            }
            Some(source) => {
                let (product, cost) = product(source, recipe, hints)?;
                (product, self.with_searches(source, recipe, has_map, cost)?)
            }
        };
        Ok((product, cost.within(self.limits())?))
    }

    /// The cost of a picture with that of what has to be found in its pixels first.
    fn with_searches(
        &self,
        source: RasterSource<'_>,
        recipe: &Recipe,
        has_map: bool,
        cost: Cost,
    ) -> Result<Cost, TransformError> {
        let cost = match recipe.trim.border {
            Some(_) => cost.and(cost::of_border_search(source)),
            None => cost,
        };
        if SaliencyMapPlan::is_needed(recipe) && !has_map {
            Ok(cost.and(self.plan_saliency_map(recipe.gravity)?.cost()))
        } else {
            Ok(cost)
        }
    }
}

impl Plan {
    /// What rendering holds and takes, by headers alone.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether a recipe may have a quick rendition that a smaller one replaces: whether its format, which may only be known when there are
    /// pixels, depends on effort.
    pub fn may_be_interim(recipe: &Recipe) -> bool {
        match recipe.output {
            Output::Webp | Output::Avif | Output::Jxl | Output::Auto(_) => true,
            Output::Compatible { .. }
            | Output::Jpeg { .. }
            | Output::Png
            | Output::Json
            | Output::Svg => false,
        }
    }

    /// Whether a file that was made quickly would come out smaller with a greater effort, perhaps in another format. `recipe` is the settled one.
    pub(crate) fn is_interim(recipe: &Recipe, quick: &FileFacts) -> bool {
        let FileFacts { format, size, .. } = *quick;
        let has_more = |format| !encode::is_settled(format, size, recipe.quality, Effort::Quick);
        // A graphic without loss, or the source itself: what was larger than that may be smaller in the end.
        let was_left_out = match (recipe.output, format) {
            (Output::Auto(_), Format::Jxl | Format::Avif) => false,
            (Output::Auto(formats), _) => formats.iter().any(has_more),
            _ => false,
        };
        was_left_out
            || has_more(format)
            // Unless both were made at once.
            || output::alternative(recipe, Effort::Settled, quick).is_some()
                && output::alternative(recipe, Effort::Quick, quick).is_none()
    }
}

/// What a recipe makes of a source with pixels, and the cost of that.
fn product(
    source: RasterSource<'_>,
    recipe: &Recipe,
    hints: &Hints,
) -> Result<(Product, Cost), TransformError> {
    let placement = still::placement(source, recipe, hints.saliency.as_ref())?;
    if recipe.output == Output::Json {
        let info = InfoPlan::of(source, recipe, hints, &placement);
        let cost = cost::of_thumbnail(source, &info.thumbnail);
        return Ok((Product::Info(info), cost));
    }
    let animation = source.animation.filter(|_| recipe.animated);
    if let (Some(animation), Some(format)) = (animation, animation::format(recipe)) {
        let plan = AnimationPlan::of(source, animation, format, placement);
        let cost = cost::of_animation(source, &plan, recipe);
        return Ok((Product::Animation(plan), cost));
    }
    let plan = StillPlan::placed(source, recipe, hints, placement);
    let cost = cost::of_still(source, &plan, recipe);
    Ok((Product::Still(plan), cost))
}
