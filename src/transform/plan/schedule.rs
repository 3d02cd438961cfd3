//! The order in which several pictures are made of one decode, and what they share: levels of ever fewer pixels; at each level, pixels
//! that are composed once; and the files that are written of composed pixels.

use crate::options::{Fit, Gravity, Recipe, Rotation, Trim};

use crate::codecs::Limits;
use crate::transform::plan::output::CompositeKey;
use crate::transform::plan::placement::Placement;
use crate::transform::plan::saliency::SaliencyMap;

/// A picture that shares a decode with others.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    /// The number of its item.
    pub at: usize,
    pub recipe: &'a Recipe,
    /// The map that its placement needed.
    pub saliency: Option<SaliencyMap>,
    pub placement: Placement,
    /// Stored pixels for each decoded pixel, on each axis: as if the picture were made alone, but that every level has half the pixels of
    /// the one before, so that what would be decoded at three eighths is made of a half.
    pub denominator: u32,
}

/// Pixels at one scale, and what is made of them, the largest last.
#[derive(Debug)]
pub(crate) struct Level<'a> {
    pub denominator: u32,
    pub groups: Vec<FileGroup<'a>>,
}

/// Files that are written of pixels which are composed once.
#[derive(Debug)]
pub(crate) struct FileGroup<'a> {
    pub placement: Placement,
    key: CompositeKey,
    pub files: Vec<File<'a>>,
}

/// A file that is written once, and the items that it is for.
#[derive(Debug)]
pub(crate) struct File<'a> {
    pub recipe: &'a Recipe,
    pub items: Vec<usize>,
}

/// The levels that members are made of, the one with most pixels first. `has_planes`: whether the pixels of the source can become planes.
pub(crate) fn schedule<'a>(
    members: &[Member<'a>],
    has_planes: bool,
    limits: &Limits,
) -> Vec<Level<'a>> {
    let mut levels: Vec<Level<'a>> = Vec::new();
    for member in members {
        let level = find_or_add(
            &mut levels,
            |level| level.denominator == member.denominator,
            || Level {
                denominator: member.denominator,
                groups: Vec::new(),
            },
        );
        let key = CompositeKey::of(has_planes, &member.placement, member.recipe, limits);
        let group = find_or_add(
            &mut level.groups,
            |group| group.placement == member.placement && group.key == key,
            || FileGroup {
                placement: member.placement.clone(),
                key: key.clone(),
                files: Vec::new(),
            },
        );
        let file = find_or_add(
            &mut group.files,
            |file| without_placement(file.recipe) == without_placement(member.recipe),
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
            .groups
            .sort_by_key(|group| group.placement.layout.output().area());
    }
    levels
}

/// The element that `is_wanted`, which is added where there is none.
fn find_or_add<T>(
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

/// A recipe without the options that have become a placement.
fn without_placement(recipe: &Recipe) -> Recipe {
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
