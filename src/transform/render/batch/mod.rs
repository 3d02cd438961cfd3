//! Several pictures of one source: decoded once for all of them, composed once for those that differ in their files alone, written once
//! where the files are equal too.
//!
//! Each is what `render` makes of its recipe: the same bytes where the source was decoded at the scale that `render` chooses, and a
//! picture that looks the same where another one needed more pixels, whose means stand in for the scaled decode. What does not come from
//! the pixels of one still (animations, drawings, facts, borders that are looked for) is rendered by itself.
//!
//! Never more in memory than the limits allow: what does not fit together is decoded again in smaller groups.

pub(crate) mod decode;
use std::ops::ControlFlow;

use crate::options::Gravity;
use crate::options::Output;
use crate::options::Recipe;

use crate::codecs::decode::Header;
use crate::codecs::decode::pixel_source::PixelSource;
use crate::pixels::buffer;
use crate::transform;
use crate::transform::Budget;
use crate::transform::Cost;
use crate::transform::Encoded;
use crate::transform::Hints;
use crate::transform::Limits;
use crate::transform::TransformError;
use crate::transform::plan::cost;
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::render::animation;
use crate::transform::render::still;
use crate::transform::source::Picture;
use crate::transform::source::Source;

pub(crate) use crate::transform::plan::batch::Level;
use crate::transform::plan::batch::Member;
use crate::transform::plan::batch::schedule;

/// One picture of several that are made of a source.
#[derive(Clone, Debug)]
pub struct BatchItem {
    /// What it is.
    pub recipe: Recipe,
    /// What is known of the source for it.
    pub hints: Hints,
}

/// Makes the pictures that `items` describe from the bytes of a source, and gives each to `each` with its number as soon as it is there,
/// so that nothing has to hold them all. What fails, fails alone. `each` may break off; else it hears of every order once.
///
/// All of it is within one budget: what is not made by its deadline is out of time; and within `most` bytes, beyond which a picture is too
/// costly. The `Timings` of the pictures come to what was spent: the decode is with the first, resizing with the first of those that share it.
pub fn render_all(
    source: &Source,
    items: &[BatchItem],
    budget: &Budget,
    most: u64,
    mut each: impl FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>,
) {
    let whole = Whole {
        source,
        items,
        limits: &budget.limits,
        most: most.min(budget.limits.render_memory.bytes()),
    };
    // Whether there was a break is of no interest to whoever broke.
    let _ = whole.told(budget, &mut each);
}

/// What [`render_all`] will hold at its worst, and take in all. What cannot be made takes nothing.
pub fn cost_of_all(source: &Source, items: &[BatchItem], limits: &Limits, most: u64) -> Cost {
    let whole = Whole {
        source,
        items,
        limits,
        most: most.min(limits.render_memory.bytes()),
    };
    whole.cost()
}

type ResultSink<'a> = &'a mut dyn FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>;

/// All that is wanted of a source.
struct Whole<'a> {
    source: &'a Source,
    items: &'a [BatchItem],
    limits: &'a Limits,
    /// Bytes that may be held at once.
    most: u64,
}

impl<'a> Whole<'a> {
    fn cost(&self) -> Cost {
        let nothing = cost::of_nothing(self.source.bytes());
        let alone = |order| self.cost_alone(order).unwrap_or(nothing);
        let Some(Picture { header, animation }) = self.source.picture() else {
            let costs = self.items.iter().map(alone);
            return costs.fold(nothing, Cost::and);
        };
        let moves = animation.is_some();
        let (mut members, mut whole) = (Vec::new(), nothing);
        let mut looks = Vec::new();
        for (at, order) in self.items.iter().enumerate() {
            if lacks_saliency_map(order) && !looks.contains(&order.recipe.gravity) {
                looks.push(order.recipe.gravity);
                let look = crate::transform::cost_of_saliency_map(self.source, self.limits);
                whole = look.map_or(whole, |look| whole.and(look));
            }
            if is_alone(&order.recipe, moves) {
                whole = whole.and(alone(order));
            } else {
                let saliency = order.hints.saliency.as_ref();
                members.extend(self.member(header, at, saliency));
            }
        }
        self.parts(header, members)
            .into_iter()
            .fold(whole, |whole, (_, cost)| whole.and(cost))
    }

    fn told(&self, budget: &Budget, each: ResultSink<'_>) -> ControlFlow<()> {
        let Some(Picture { header, animation }) = self.source.picture() else {
            for (at, order) in self.items.iter().enumerate() {
                each(at, self.alone(order, budget))?;
            }
            return ControlFlow::Continue(());
        };
        let moves = animation.is_some();
        let (mut members, mut others) = (Vec::new(), Vec::new());
        let mut looks = SaliencyMaps::default();
        for (at, order) in self.items.iter().enumerate() {
            let looked = looks.of(self.source.bytes(), header, order, budget);
            let planned = looked.and_then(|saliency| {
                if is_alone(&order.recipe, moves) {
                    others.push((at, saliency));
                    return Ok(None);
                }
                self.member(header, at, saliency.as_ref()).map(Some)
            });
            match planned {
                Ok(member) => members.extend(member),
                Err(error) => each(at, Err(error))?,
            }
        }
        for (members, cost) in self.parts(header, members) {
            match &members[..] {
                // It may have a smaller copy of the source, and need not leave anything for others.
                [only] => others.push((only.at, only.saliency.clone())),
                _ => match buffer::check_room(cost.bytes) {
                    Ok(()) => {
                        decode::together(self.source.bytes(), header, &members, budget, each)?;
                    }
                    Err(error) => {
                        for member in &members {
                            each(member.at, Err(TransformError::from(error.clone())))?;
                        }
                    }
                },
            }
        }
        for (at, saliency) in others {
            let BatchItem { recipe, hints } = &self.items[at];
            let hints = Hints {
                saliency,
                ..hints.clone()
            };
            let recipe = recipe.clone();
            each(at, self.alone(&BatchItem { recipe, hints }, budget))?;
        }
        ControlFlow::Continue(())
    }

    fn alone(&self, order: &BatchItem, budget: &Budget) -> Result<Encoded, TransformError> {
        budget.check()?;
        self.cost_alone(order)?;
        crate::transform::render(self.source, &order.recipe, &order.hints, budget)
    }

    fn cost_alone(&self, order: &BatchItem) -> Result<Cost, TransformError> {
        let BatchItem { recipe, hints } = order;
        transform::cost(self.source, recipe, hints, self.limits)?.within_bytes(self.most)
    }

    /// Plans a picture that others share pixels with, and refuses what would be refused by itself.
    fn member(
        &self,
        header: &Header,
        at: usize,
        saliency: Option<&SaliencyMap>,
    ) -> Result<Member<'a>, TransformError> {
        let recipe = &self.items[at].recipe;
        let prepared = still::prospect(header, recipe, saliency, self.limits)?;
        let scale = prepared.scale(header, recipe);
        let pixel_source = PixelSource::of(self.source.bytes(), header, scale, None);
        let plan = prepared.plan;
        cost::of_still(
            self.source.bytes(),
            &pixel_source,
            header,
            recipe,
            &plan,
            scale,
            self.limits,
        )
        .within_bytes(self.most)?;
        Ok(Member {
            at,
            recipe,
            saliency: saliency.cloned(),
            plan,
            denominator: header.supported(scale).denominator(),
        })
    }

    /// Those that fit into memory together, and what they cost.
    fn parts(&self, header: &Header, mut members: Vec<Member<'a>>) -> Vec<(Vec<Member<'a>>, Cost)> {
        if members.is_empty() {
            return Vec::new();
        }
        let levels = schedule(&members, !header.alpha, self.limits);
        let cost = cost::of_batch(self.source.bytes(), header, &levels, self.limits);
        if members.len() == 1 || cost.within_bytes(self.most).is_ok() {
            return vec![(members, cost)];
        }
        members.sort_by_key(|member| (member.denominator, member.plan.layout.output().area()));
        let rest = members.split_off(members.len() / 2);
        let mut parts = self.parts(header, members);
        parts.extend(self.parts(header, rest));
        parts
    }
}

/// Whether a picture is not made of the pixels of one still, by its plan alone.
fn is_alone(recipe: &Recipe, moves: bool) -> bool {
    matches!(recipe.output, Output::Json | Output::Svg)
        || recipe.trim.border.is_some()
        || (recipe.animated && animation::format(recipe).is_some() && moves)
}

fn lacks_saliency_map(order: &BatchItem) -> bool {
    crate::transform::needs_saliency_map(&order.recipe) && order.hints.saliency.is_none()
}

/// What was looked for in a source: once for each gravity.
#[derive(Default)]
struct SaliencyMaps(Vec<(Gravity, Result<SaliencyMap, TransformError>)>);

impl SaliencyMaps {
    /// What an order knows, or what a look tells that it needs.
    fn of(
        &mut self,
        source: &[u8],
        header: &Header,
        order: &BatchItem,
        budget: &Budget,
    ) -> Result<Option<SaliencyMap>, TransformError> {
        if !lacks_saliency_map(order) {
            return Ok(order.hints.saliency.clone());
        }
        let gravity = order.recipe.gravity;
        let known = self.0.iter().find(|(known, _)| *known == gravity);
        if let Some((_, looked)) = known {
            return looked.clone().map(Some);
        }
        let looked = budget
            .check()
            .and_then(|()| still::saliency_map(source, header, gravity, budget));
        self.0.push((gravity, looked.clone()));
        looked.map(Some)
    }
}

#[cfg(test)]
mod tests;
