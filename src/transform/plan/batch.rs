//! The plan of several pictures of one source: decoded once for all of them, composed once for those that differ in their files alone,
//! written once where the files are equal too.
//!
//! Each is what a plan of its own would make: the same bytes where the source is decoded at the scale that such a plan chooses, and a
//! picture that looks the same where another one needs more pixels, whose means stand in for the scaled decode. What does not come from
//! the pixels of one still (animations, drawings, facts, borders that are searched for) is rendered by itself.
//!
//! Never more in memory than the limits allow: what does not fit together is decoded again in smaller groups.

use crate::options::{Gravity, Output, Recipe};

use crate::codecs::TransformError;
use crate::transform::cost::Cost;
use crate::transform::hints::Hints;
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::plan::saliency_map::SaliencyMapPlan;
use crate::transform::plan::schedule::{Member, schedule};
use crate::transform::plan::still::StillPlan;
use crate::transform::plan::{animation, cost};
use crate::transform::source::{RasterSource, Source};

/// One picture of several that are made of a source.
#[derive(Clone, Debug)]
pub struct BatchItem {
    /// What the picture is.
    pub recipe: Recipe,
    /// What is known of the source.
    pub hints: Hints,
}

/// Several pictures as planned. What cannot be made is no error of the plan: its rendering fails, alone.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    pub(crate) source: Source,
    pub(crate) items: Vec<BatchItem>,
    /// Bytes that may be held at once.
    pub(crate) most: u64,
    cost: Cost,
}

/// Members that are made of one decode, and what that costs.
pub(crate) struct Part<'a> {
    pub members: Vec<Member<'a>>,
    pub cost: Cost,
}

impl Source {
    /// Plans several pictures, within `most` bytes: what would hold more alone is refused when it is rendered.
    pub fn plan_batch(&self, items: Vec<BatchItem>, most: u64) -> BatchPlan {
        let mut plan = BatchPlan {
            source: self.clone(),
            items,
            most: most.min(self.limits().render_memory.bytes()),
            cost: cost::of_nothing(self.bytes()),
        };
        plan.cost = plan.total_cost();
        plan
    }

    /// Plans several pictures as several pieces of work, each with the numbers of its items: one of all that alone hold no more than `usual` bytes,
    /// and one of each other picture, within the limits.
    pub fn plan_batches(&self, items: Vec<BatchItem>, usual: u64) -> Vec<(Vec<usize>, BatchPlan)> {
        let most = self.limits().render_memory.bytes();
        let is_usual = |item: &BatchItem| match self.plan(&item.recipe, &item.hints) {
            Ok(_) => self
                .plan_batch(vec![item.clone()], most)
                .cost()
                .within_bytes(usual)
                .is_ok(),
            // It fails by itself, against the limit of all renders.
            Err(TransformError::TooCostly { .. }) => false,
            Err(_) => true,
        };
        let (small, large): (Vec<_>, Vec<_>) = items
            .into_iter()
            .enumerate()
            .partition(|(_, item)| is_usual(item));
        let mut plans = Vec::new();
        if !small.is_empty() {
            let (numbers, items) = small.into_iter().unzip();
            plans.push((numbers, self.plan_batch(items, usual)));
        }
        plans.extend(
            large
                .into_iter()
                .map(|(number, item)| (vec![number], self.plan_batch(vec![item], most))),
        );
        plans
    }
}

impl BatchPlan {
    /// What rendering holds at its worst, and takes in all. What cannot be made takes nothing.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The bytes that rendering may hold at once.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    fn total_cost(&self) -> Cost {
        let nothing = cost::of_nothing(self.source.bytes());
        let alone = |item| self.cost_alone(item).unwrap_or(nothing);
        let Some(source) = self.source.raster() else {
            return self.items.iter().map(alone).fold(nothing, Cost::and);
        };
        let (mut members, mut whole) = (Vec::new(), nothing);
        let mut gravities: Vec<Gravity> = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            let gravity = item.recipe.gravity;
            if lacks_saliency_map(item) && !gravities.contains(&gravity) {
                gravities.push(gravity);
                let map = self.source.plan_saliency_map(gravity);
                whole = map.map_or(whole, |map| whole.and(map.cost()));
            }
            if is_alone(source, &item.recipe) {
                whole = whole.and(alone(item));
            } else {
                members.extend(self.member(source, at, item.hints.saliency.as_ref()));
            }
        }
        let parts = self.parts(source, members);
        parts
            .into_iter()
            .fold(whole, |sum, part| sum.and(part.cost))
    }

    /// What a picture costs that is rendered by itself.
    fn cost_alone(&self, item: &BatchItem) -> Result<Cost, TransformError> {
        let plan = self.source.plan(&item.recipe, &item.hints)?;
        plan.cost().within_bytes(self.most)
    }

    /// Plans a picture that others share pixels with, and refuses what would be refused by itself.
    pub(crate) fn member(
        &self,
        source: RasterSource<'_>,
        at: usize,
        saliency: Option<&SaliencyMap>,
    ) -> Result<Member<'_>, TransformError> {
        let recipe = &self.items[at].recipe;
        let hints = Hints {
            saliency: saliency.cloned(),
            reduced_copy: None,
        };
        let plan = StillPlan::of(source, recipe, &hints)?;
        cost::of_still(source, &plan, recipe).within_bytes(self.most)?;
        let scale = source.header.supported(plan.pixels.scale());
        Ok(Member {
            at,
            recipe,
            saliency: hints.saliency,
            placement: plan.placement,
            denominator: scale.denominator(),
        })
    }

    /// The parts that fit into memory, each of them as large as it can be.
    pub(crate) fn parts<'a>(
        &self,
        source: RasterSource<'_>,
        mut members: Vec<Member<'a>>,
    ) -> Vec<Part<'a>> {
        if members.is_empty() {
            return Vec::new();
        }
        let levels = schedule(&members, !source.header.alpha, source.limits);
        let cost = cost::of_batch(source, &levels);
        if members.len() == 1 || cost.within_bytes(self.most).is_ok() {
            return vec![Part { members, cost }];
        }
        let output = |member: &Member<'_>| member.placement.layout.output();
        members.sort_by_key(|member| (member.denominator, output(member).area()));
        let rest = members.split_off(members.len() / 2);
        let mut parts = self.parts(source, members);
        parts.extend(self.parts(source, rest));
        parts
    }
}

/// Whether a picture is not made of the pixels of one still, by its recipe alone.
pub(crate) fn is_alone(source: RasterSource<'_>, recipe: &Recipe) -> bool {
    let is_moving = source.animation.is_some() && animation::format(recipe).is_some();
    matches!(recipe.output, Output::Json | Output::Svg)
        || recipe.trim.border.is_some()
        || (recipe.animated && is_moving)
}

/// Whether a map has to be rendered for an item.
pub(crate) fn lacks_saliency_map(item: &BatchItem) -> bool {
    SaliencyMapPlan::is_needed(&item.recipe) && item.hints.saliency.is_none()
}
