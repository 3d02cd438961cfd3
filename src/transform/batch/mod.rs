//! Several pictures of one source: decoded once for all of them, composed once for those that differ in their files alone, written once
//! where the files are equal too.
//!
//! Each is what `render` makes of its recipe: the same bytes where the source was decoded at the scale that `render` chooses, and a
//! picture that looks the same where another one needed more pixels, whose means stand in for the scaled decode. What does not come from
//! the pixels of one still (animations, drawings, facts, borders that are looked for) is rendered by itself.
//!
//! Never more in memory than the limits allow: what does not fit together is decoded again in smaller groups.

mod schedule;

use std::borrow::Cow;
use std::mem;
use std::ops::ControlFlow;
use std::time::Instant;

use crate::options::Gravity;
use crate::options::Output;
use crate::options::Recipe;

use super::Budget;
use super::Clues;
use super::Encoded;
use super::Limits;
use super::Price;
use super::Timings;
use super::TransformError;
use super::animation;
use super::color::ColorSpace;
use super::composition;
use super::composition::Composed;
use super::decode;
use super::decode::Decoded;
use super::decode::Header;
use super::decode::Wanted;
use super::derivative::Basis;
use super::pixels::Raster;
use super::price;
use super::resize;
use super::saliency::Saliency;
use super::sniff;
use super::sniff::Kind;
use super::still;

pub(super) use self::schedule::Level;
use self::schedule::Member;
use self::schedule::Shared;
use self::schedule::schedule;

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
/// All of it is within one budget: what is not made by its deadline is out of time. `Timings` of the pictures come to what was spent: the
/// decode is with the first, resizing with the first of those that share it.
pub fn render_all(
    source: &[u8],
    orders: &[Order],
    budget: &Budget,
    mut each: impl FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>,
) {
    // Whether there was a break is of no interest to whoever broke.
    let _ = told(source, orders, budget, &mut each);
}

/// What [`render_all`] will hold at its worst, and take in all. What cannot be made takes nothing.
pub fn price_all(source: &[u8], orders: &[Order], limits: &Limits) -> Price {
    let nothing = price::of_nothing(source);
    let Ok(header) = admitted(source, limits) else {
        let prices = orders
            .iter()
            .filter_map(|order| super::price(source, &order.recipe, &order.clues, limits).ok());
        return prices.fold(nothing, Price::and);
    };
    let (mut members, mut whole) = (Vec::new(), nothing);
    let mut looks = Vec::new();
    for (at, order) in orders.iter().enumerate() {
        let saliency = order.clues.saliency.as_ref();
        if needs_own_look(order) && !looks.contains(&order.recipe.gravity) {
            looks.push(order.recipe.gravity);
            let look = super::price_of_look(source, limits);
            whole = look.map_or(whole, |look| whole.and(look));
        }
        if is_alone(source, &header, &order.recipe) {
            let alone = super::price(source, &order.recipe, &order.clues, limits);
            whole = alone.map_or(whole, |alone| whole.and(alone));
        } else if let Ok(member) = member(source, &header, at, &order.recipe, saliency, limits) {
            members.push(member);
        }
    }
    parts(source, &header, members, limits)
        .into_iter()
        .fold(whole, |whole, (_, price)| whole.and(price))
}

type Each<'a> = &'a mut dyn FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>;

fn told(source: &[u8], orders: &[Order], budget: &Budget, each: Each<'_>) -> ControlFlow<()> {
    let limits = &budget.limits;
    let Ok(header) = admitted(source, limits) else {
        // A drawing, or what `render` has an error for.
        for (at, order) in orders.iter().enumerate() {
            each(at, alone(source, order, budget))?;
        }
        return ControlFlow::Continue(());
    };
    let (mut members, mut others) = (Vec::new(), Vec::new());
    let mut looks = Looks::default();
    for (at, order) in orders.iter().enumerate() {
        let looked = looks.of(source, &header, order, budget);
        let planned = looked.and_then(|saliency| {
            if is_alone(source, &header, &order.recipe) {
                others.push((at, saliency));
                return Ok(None);
            }
            member(
                source,
                &header,
                at,
                &order.recipe,
                saliency.as_ref(),
                limits,
            )
            .map(Some)
        });
        match planned {
            Ok(member) => members.extend(member),
            Err(error) => each(at, Err(error))?,
        }
    }
    for (members, _) in parts(source, &header, members, limits) {
        match &members[..] {
            // It may have a smaller copy of the source, and need not leave anything for others.
            [only] => each(only.at, alone(source, &orders[only.at], budget))?,
            _ => together(source, &header, &members, budget, each)?,
        }
    }
    for (at, saliency) in others {
        let Order { recipe, clues } = &orders[at];
        let clues = Clues {
            saliency,
            ..clues.clone()
        };
        let recipe = recipe.clone();
        each(at, alone(source, &Order { recipe, clues }, budget))?;
    }
    ControlFlow::Continue(())
}

fn alone(source: &[u8], order: &Order, budget: &Budget) -> Result<Encoded, TransformError> {
    budget.check()?;
    super::render(source, &order.recipe, &order.clues, budget)
}

/// The header of a source of pixels within the limits.
fn admitted(source: &[u8], limits: &Limits) -> Result<Header, TransformError> {
    if sniff::sniff(source) == Some(Kind::Svg) {
        return Err(TransformError::NotAnImage);
    }
    super::admitted(source, limits)
}

/// Whether a picture is not made of the pixels of one still, by its plan alone.
fn is_alone(source: &[u8], header: &Header, recipe: &Recipe) -> bool {
    matches!(recipe.output, Output::Json | Output::Svg)
        || recipe.trim.border.is_some()
        || (animation::format(recipe).is_some() && super::moves(source, header, recipe).is_some())
}

fn needs_own_look(order: &Order) -> bool {
    super::needs_look(&order.recipe) && order.clues.saliency.is_none()
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

/// Plans a picture that others share pixels with, and refuses what would be refused by itself.
fn member<'a>(
    source: &[u8],
    header: &Header,
    at: usize,
    recipe: &'a Recipe,
    saliency: Option<&Saliency>,
    limits: &Limits,
) -> Result<Member<'a>, TransformError> {
    let prepared = still::prospect(header, recipe, saliency, limits)?;
    let wanted = prepared.wanted();
    let clues = Clues::default();
    let basis = Basis::of(source, header, wanted, &clues);
    let plan = prepared.plan;
    price::of_still(source, &basis, header, recipe, &plan, wanted, limits).within(limits)?;
    Ok(Member {
        at,
        recipe,
        plan,
        denominator: header.denominator(wanted),
    })
}

/// Those that fit into memory together, and what they cost.
fn parts<'a>(
    source: &[u8],
    header: &Header,
    mut members: Vec<Member<'a>>,
    limits: &Limits,
) -> Vec<(Vec<Member<'a>>, Price)> {
    if members.is_empty() {
        return Vec::new();
    }
    let price = price::of_batch(
        source,
        header,
        &schedule(&members, !header.alpha, limits),
        limits,
    );
    if members.len() == 1 || price.within(limits).is_ok() {
        return vec![(members, price)];
    }
    members.sort_by_key(|member| (member.denominator, member.plan.layout.output().area()));
    let rest = members.split_off(members.len() / 2);
    let parts_of = |members| parts(source, header, members, limits);
    let mut parted = parts_of(members);
    parted.extend(parts_of(rest));
    parted
}

/// Makes what is made of one decode.
fn together(
    source: &[u8],
    header: &Header,
    members: &[Member<'_>],
    budget: &Budget,
    each: Each<'_>,
) -> ControlFlow<()> {
    let started = Instant::now();
    let denominator = members.iter().map(|member| member.denominator).min();
    let denominator = denominator.unwrap_or(still::WHOLE.denominator);
    let decoded = budget
        .check()
        .and_then(|()| decode::pixels(source, header, Wanted { denominator }));
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(error) => {
            for member in members {
                each(member.at, Err(error.clone()))?;
            }
            return ControlFlow::Continue(());
        }
    };
    let same_colors = decoded.has_output_colors();
    let Decoded {
        raster,
        extent,
        space,
    } = decoded;
    let has_planes = composition::has_planes(&raster, &space);
    let levels = schedule(members, has_planes, &budget.limits);
    let mut batch = Batch {
        source,
        header,
        same_colors,
        space,
        extent,
        denominator,
        budget,
        spent: Timings {
            decode: started.elapsed(),
            ..Timings::default()
        },
        each,
    };
    batch.levels(raster, &levels)
}

/// A decode that several pictures are made of.
struct Batch<'a> {
    source: &'a [u8],
    header: &'a Header,
    same_colors: bool,
    space: ColorSpace,
    extent: (f64, f64),
    denominator: u32,
    budget: &'a Budget,
    /// Time that no picture has been told of yet.
    spent: Timings,
    each: Each<'a>,
}

impl Batch<'_> {
    /// Makes what is made of `pixels`, which are those of the first level, and goes on with fewer of them. They are let go before the last
    /// of their pictures, which is the largest, is written.
    fn levels(&mut self, pixels: Raster, levels: &[Level<'_>]) -> ControlFlow<()> {
        let Some((level, further)) = levels.split_first() else {
            return ControlFlow::Continue(());
        };
        let Some((last, others)) = level.shared.split_last() else {
            return ControlFlow::Continue(());
        };
        for shared in others {
            self.files(Cow::Borrowed(&pixels), level.denominator, shared)?;
        }
        let started = Instant::now();
        let fewer = further
            .first()
            .map(|next| resize::reduced(&pixels, next.denominator / level.denominator));
        self.spent.resize += started.elapsed();
        self.files(Cow::Owned(pixels), level.denominator, last)?;
        match fewer {
            Some(fewer) => self.levels(fewer, further),
            None => ControlFlow::Continue(()),
        }
    }

    /// Composes pixels, and makes the files of them.
    fn files(
        &mut self,
        pixels: Cow<'_, Raster>,
        denominator: u32,
        shared: &Shared<'_>,
    ) -> ControlFlow<()> {
        let started = Instant::now();
        let (plan, limits) = (&shared.plan, &self.budget.limits);
        let composed = self.budget.check().and_then(|()| {
            let scale = f64::from(self.denominator) / f64::from(denominator);
            let extent = (self.extent.0 * scale, self.extent.1 * scale);
            let recipes: Vec<&Recipe> = shared.files.iter().map(|file| file.recipe).collect();
            Composed::of(pixels, extent, &self.space, plan, &recipes, limits)
        });
        self.spent.resize += started.elapsed();
        let mut composed = match composed {
            Ok(composed) => Some(composed),
            Err(error) => {
                for &at in shared.files.iter().flat_map(|file| &file.orders) {
                    (self.each)(at, Err(error.clone()))?;
                }
                return ControlFlow::Continue(());
            }
        };
        let mut files = shared.files.iter().peekable();
        while let Some(file) = files.next() {
            let part = match files.peek() {
                Some(_) => composed
                    .as_ref()
                    .map(|composed| composed.copy_for(plan, file.recipe, limits)),
                None => composed.take(),
            };
            let Some(part) = part else { continue };
            let mut made = self.written(part, shared, file.recipe);
            if let Ok(made) = &mut made {
                made.timings.decode = mem::take(&mut self.spent.decode);
                made.timings.resize = mem::take(&mut self.spent.resize);
            }
            let Some((&first, others)) = file.orders.split_first() else {
                continue;
            };
            for &at in others {
                (self.each)(at, made.as_ref().map(copy).map_err(Clone::clone))?;
            }
            (self.each)(first, made)?;
        }
        ControlFlow::Continue(())
    }

    fn written(
        &self,
        composed: Composed,
        shared: &Shared<'_>,
        recipe: &Recipe,
    ) -> Result<Encoded, TransformError> {
        self.budget.check()?;
        let started = Instant::now();
        let made = composed.finished(&shared.plan, recipe, &self.budget.limits);
        let mut file = still::written(
            self.source,
            self.header,
            made,
            recipe,
            &shared.plan,
            self.same_colors,
            self.budget,
        )?;
        file.timings.encode = started.elapsed();
        Ok(file)
    }
}

/// The same file for another order, at no cost.
fn copy(made: &Encoded) -> Encoded {
    Encoded {
        bytes: made.bytes.clone(),
        format: made.format,
        size: made.size,
        warnings: made.warnings.clone(),
        timings: Timings::default(),
    }
}

#[cfg(test)]
mod tests;
