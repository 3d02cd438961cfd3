//! In which order several pictures are made of one decode, and what they share: levels of ever fewer pixels, on each of them the pixels
//! as they are composed, and of each composition the files. Decided by numbers, before there are pixels.

use crate::options::Fit;
use crate::options::Gravity;
use crate::options::Recipe;
use crate::options::Rotation;
use crate::options::Trim;

use crate::transform::Limits;
use crate::transform::plan::Plan;
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::render::compose::CompositeKey;

/// A picture that can be made of pixels which others are made of as well.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    /// Which one of the items.
    pub at: usize,
    pub recipe: &'a Recipe,
    /// What is known to catch the eye, where the plan needed it.
    pub saliency: Option<SaliencyMap>,
    pub plan: Plan,
    /// By how much fewer decoded pixels there are for it than stored ones, on each axis: as if it were made alone, but that levels are halves
    /// of each other, so that what would be decoded at three eighths is made of a half.
    pub denominator: u32,
}

/// Pixels at one scale, and what is made of them, the largest last.
#[derive(Debug)]
pub(crate) struct Level<'a> {
    pub denominator: u32,
    pub shared: Vec<Shared<'a>>,
}

/// Pixels that are composed once.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub plan: Plan,
    composition: CompositeKey,
    pub files: Vec<File<'a>>,
}

/// A file that is written once, and the items that it is for.
#[derive(Debug)]
pub(crate) struct File<'a> {
    pub recipe: &'a Recipe,
    pub items: Vec<usize>,
}

/// What the members are made of, the level with most pixels first. `has_planes`: whether the source has pixels that can become planes.
pub(crate) fn schedule<'a>(
    members: &[Member<'a>],
    has_planes: bool,
    limits: &Limits,
) -> Vec<Level<'a>> {
    let mut levels: Vec<Level<'a>> = Vec::new();
    for member in members {
        let level = found(
            &mut levels,
            |level| level.denominator == member.denominator,
            || Level {
                denominator: member.denominator,
                shared: Vec::new(),
            },
        );
        let composition = CompositeKey::of(has_planes, &member.plan, member.recipe, limits);
        let shared = found(
            &mut level.shared,
            |shared| shared.plan == member.plan && shared.composition == composition,
            || Shared {
                plan: member.plan.clone(),
                composition: composition.clone(),
                files: Vec::new(),
            },
        );
        let file = found(
            &mut shared.files,
            |file| unplanned(file.recipe) == unplanned(member.recipe),
            || File {
                recipe: member.recipe,
                items: Vec::new(),
            },
        );
        file.items.push(member.at);
    }
    levels.sort_by_key(|level| level.denominator);
    for level in &mut levels {
        level
            .shared
            .sort_by_key(|shared| shared.plan.layout.output().area());
    }
    levels
}

/// The item that is wanted, made where there is none.
fn found<T>(
    items: &mut Vec<T>,
    is_wanted: impl Fn(&T) -> bool,
    make: impl FnOnce() -> T,
) -> &mut T {
    let at = items.iter().position(is_wanted).unwrap_or_else(|| {
        items.push(make());
        items.len() - 1
    });
    &mut items[at]
}

/// A recipe without what has become a plan.
fn unplanned(recipe: &Recipe) -> Recipe {
    Recipe {
        trim: Trim::default(),
        flip: None,
        rotate: Rotation::Upright,
        width: None,
        height: None,
        fit: Fit::ScaleDown,
        gravity: Gravity::Center,
        border: None,
        animated: true,
        ..recipe.clone()
    }
}
