//! A transformation as decided: no `auto`, no `None` that stands for a default.

use std::fmt;

use super::color::Color;
use super::fit::Fit;
use super::fit::Gravity;
use super::quality::Quality;

/// Everything that a render depends on beside the bytes of the source. Its `Display` goes into the cache key, so it names every field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// Width of the box in output pixels with dpr applied, at least 1. `None`: follows from the height and the source.
    pub width: Option<u32>,
    /// Height of the box in output pixels with dpr applied, at least 1. `None`: follows from the width and the source.
    pub height: Option<u32>,
    /// How the box is filled.
    pub fit: Fit,
    /// Which part a crop keeps: the centre, a side or a point. What needs a look at the picture has been decided before.
    pub gravity: Gravity,
    /// What fills blank and transparent pixels. `None`: transparency survives, and white stands where there must be a colour.
    pub background: Option<Color>,
    /// Quality for the lossy encoders.
    pub quality: Quality,
    /// What the bytes will be.
    pub output: Output,
}

/// The decided kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Progressive JPEG, or PNG when transparency must survive.
    Compatible,
    Jpeg {
        progressive: bool,
    },
    Png,
    Webp,
    Avif,
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without `..`, so that a new field stops the build until it is part of the key.
        let Recipe {
            width,
            height,
            fit,
            gravity,
            background,
            quality,
            output,
        } = self;
        write!(f, "width={},height={}", OrNone(width), OrNone(height))?;
        write!(
            f,
            ",fit={fit},gravity={gravity},background={}",
            OrNone(background)
        )?;
        write!(f, ",quality={quality},output={output}")
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Output::Compatible => "compatible",
            Output::Jpeg { progressive: true } => "jpeg",
            Output::Jpeg { progressive: false } => "baseline-jpeg",
            Output::Png => "png",
            Output::Webp => "webp",
            Output::Avif => "avif",
        })
    }
}

/// Prints what is absent as `none`.
struct OrNone<'a, T>(&'a Option<T>);

impl<T: fmt::Display> fmt::Display for OrNone<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::Color;
    use super::Fit;
    use super::Gravity;
    use super::Output;
    use super::Quality;
    use super::Recipe;
    use crate::options::any::any_recipe;

    #[test]
    fn the_spelling_names_every_field() {
        let recipe = Recipe {
            width: Some(640),
            height: None,
            fit: Fit::Pad,
            gravity: Gravity::Left,
            background: Some(Color::WHITE),
            quality: Quality::DEFAULT,
            output: Output::Jpeg { progressive: false },
        };
        let spelling = "width=640,height=none,fit=pad,gravity=left,background=#ffffff,quality=85,output=baseline-jpeg";
        assert_eq!(recipe.to_string(), spelling);
    }

    proptest! {
        #[test]
        fn every_field_changes_the_spelling(recipe in any_recipe(), other in any_recipe()) {
            let changed = [
                Recipe { width: other.width, ..recipe.clone() },
                Recipe { height: other.height, ..recipe.clone() },
                Recipe { fit: other.fit, ..recipe.clone() },
                Recipe { gravity: other.gravity, ..recipe.clone() },
                Recipe { background: other.background, ..recipe.clone() },
                Recipe { quality: other.quality, ..recipe.clone() },
                Recipe { output: other.output, ..recipe.clone() },
            ];
            for changed in changed {
                prop_assert_eq!(changed == recipe, changed.to_string() == recipe.to_string());
            }
        }
    }
}
