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
use crate::pixels::buffer;
use crate::transform;
use crate::transform::Budget;
use crate::transform::Clues;
use crate::transform::Encoded;
use crate::transform::Limits;
use crate::transform::Price;
use crate::transform::TransformError;
use crate::transform::plan::cost;
use crate::transform::plan::saliency::Saliency;
use crate::transform::render::animation;
use crate::transform::render::reduced_copy::Basis;
use crate::transform::render::still;
use crate::transform::source::Picture;
use crate::transform::source::Source;

pub(crate) use crate::transform::plan::batch::Level;
use crate::transform::plan::batch::Member;
use crate::transform::plan::batch::schedule;

/// One picture of several that are made of a source.
#[derive(Clone, Debug)]
pub struct Order {
    /// What it is.
    pub recipe: Recipe,
    /// What is known of the source for it.
    pub clues: Clues,
}

/// Makes the pictures that `orders` describe from the bytes of a source, and gives each to `each` with its number as soon as it is there,
/// so that nothing has to hold them all. What fails, fails alone. `each` may break off; else it hears of every order once.
///
/// All of it is within one budget: what is not made by its deadline is out of time; and within `most` bytes, beyond which a picture is too
/// costly. The `Timings` of the pictures come to what was spent: the decode is with the first, resizing with the first of those that share it.
pub fn render_all(
    source: &Source,
    orders: &[Order],
    budget: &Budget,
    most: u64,
    mut each: impl FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>,
) {
    let whole = Whole {
        source,
        orders,
        limits: &budget.limits,
        most: most.min(budget.limits.render_memory.bytes()),
    };
    // Whether there was a break is of no interest to whoever broke.
    let _ = whole.told(budget, &mut each);
}

/// What [`render_all`] will hold at its worst, and take in all. What cannot be made takes nothing.
pub fn price_all(source: &Source, orders: &[Order], limits: &Limits, most: u64) -> Price {
    let whole = Whole {
        source,
        orders,
        limits,
        most: most.min(limits.render_memory.bytes()),
    };
    whole.price()
}

type Each<'a> = &'a mut dyn FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>;

/// All that is wanted of a source.
struct Whole<'a> {
    source: &'a Source,
    orders: &'a [Order],
    limits: &'a Limits,
    /// Bytes that may be held at once.
    most: u64,
}

impl<'a> Whole<'a> {
    fn price(&self) -> Price {
        let nothing = cost::of_nothing(self.source.bytes());
        let alone = |order| self.price_alone(order).unwrap_or(nothing);
        let Some(Picture { header, animation }) = self.source.picture() else {
            let prices = self.orders.iter().map(alone);
            return prices.fold(nothing, Price::and);
        };
        let moves = animation.is_some();
        let (mut members, mut whole) = (Vec::new(), nothing);
        let mut looks = Vec::new();
        for (at, order) in self.orders.iter().enumerate() {
            if needs_own_look(order) && !looks.contains(&order.recipe.gravity) {
                looks.push(order.recipe.gravity);
                let look = crate::transform::price_of_look(self.source, self.limits);
                whole = look.map_or(whole, |look| whole.and(look));
            }
            if is_alone(&order.recipe, moves) {
                whole = whole.and(alone(order));
            } else {
                let saliency = order.clues.saliency.as_ref();
                members.extend(self.member(header, at, saliency));
            }
        }
        self.parts(header, members)
            .into_iter()
            .fold(whole, |whole, (_, price)| whole.and(price))
    }

    fn told(&self, budget: &Budget, each: Each<'_>) -> ControlFlow<()> {
        let Some(Picture { header, animation }) = self.source.picture() else {
            for (at, order) in self.orders.iter().enumerate() {
                each(at, self.alone(order, budget))?;
            }
            return ControlFlow::Continue(());
        };
        let moves = animation.is_some();
        let (mut members, mut others) = (Vec::new(), Vec::new());
        let mut looks = Looks::default();
        for (at, order) in self.orders.iter().enumerate() {
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
        for (members, price) in self.parts(header, members) {
            match &members[..] {
                // It may have a smaller copy of the source, and need not leave anything for others.
                [only] => others.push((only.at, only.saliency.clone())),
                _ => match buffer::check_room(price.bytes) {
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
            let Order { recipe, clues } = &self.orders[at];
            let clues = Clues {
                saliency,
                ..clues.clone()
            };
            let recipe = recipe.clone();
            each(at, self.alone(&Order { recipe, clues }, budget))?;
        }
        ControlFlow::Continue(())
    }

    fn alone(&self, order: &Order, budget: &Budget) -> Result<Encoded, TransformError> {
        budget.check()?;
        self.price_alone(order)?;
        crate::transform::render(self.source, &order.recipe, &order.clues, budget)
    }

    fn price_alone(&self, order: &Order) -> Result<Price, TransformError> {
        let Order { recipe, clues } = order;
        transform::price(self.source, recipe, clues, self.limits)?.within_bytes(self.most)
    }

    /// Plans a picture that others share pixels with, and refuses what would be refused by itself.
    fn member(
        &self,
        header: &Header,
        at: usize,
        saliency: Option<&Saliency>,
    ) -> Result<Member<'a>, TransformError> {
        let recipe = &self.orders[at].recipe;
        let prepared = still::prospect(header, recipe, saliency, self.limits)?;
        let wanted = prepared.wanted(header, recipe);
        let clues = Clues::default();
        let basis = Basis::of(self.source.bytes(), header, wanted, &clues);
        let plan = prepared.plan;
        cost::of_still(
            self.source.bytes(),
            &basis,
            header,
            recipe,
            &plan,
            wanted,
            self.limits,
        )
        .within_bytes(self.most)?;
        Ok(Member {
            at,
            recipe,
            saliency: saliency.cloned(),
            plan,
            denominator: header.scale(wanted).denominator(),
        })
    }

    /// Those that fit into memory together, and what they cost.
    fn parts(
        &self,
        header: &Header,
        mut members: Vec<Member<'a>>,
    ) -> Vec<(Vec<Member<'a>>, Price)> {
        if members.is_empty() {
            return Vec::new();
        }
        let levels = schedule(&members, !header.alpha, self.limits);
        let price = cost::of_batch(self.source.bytes(), header, &levels, self.limits);
        if members.len() == 1 || price.within_bytes(self.most).is_ok() {
            return vec![(members, price)];
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

fn needs_own_look(order: &Order) -> bool {
    crate::transform::needs_look(&order.recipe) && order.clues.saliency.is_none()
}

/// What was looked for in a source: once for each gravity.
#[derive(Default)]
struct Looks(Vec<(Gravity, Result<Saliency, TransformError>)>);

impl Looks {
    /// What an order knows, or what a look tells that it needs.
    fn of(
        &mut self,
        source: &[u8],
        header: &Header,
        order: &Order,
        budget: &Budget,
    ) -> Result<Option<Saliency>, TransformError> {
        if !needs_own_look(order) {
            return Ok(order.clues.saliency.clone());
        }
        let gravity = order.recipe.gravity;
        let known = self.0.iter().find(|(known, _)| *known == gravity);
        if let Some((_, looked)) = known {
            return looked.clone().map(Some);
        }
        let looked = budget
            .check()
            .and_then(|()| still::looked_at(source, header, gravity, budget));
        self.0.push((gravity, looked.clone()));
        looked.map(Some)
    }
}

#[cfg(test)]
mod tests;
