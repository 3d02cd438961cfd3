//! A transformation with every decision made: without `auto`, and without `None` for a default.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::options::border::Border;
use crate::options::color::Color;
use crate::options::decimals::{Blur, Factor, Gamma, Sharpen};
use crate::options::fit::{Fit, Flip, Gravity, Rotation};
use crate::options::formats::Formats;
use crate::options::keywords::Metadata;
use crate::options::quality::Quality;
use crate::options::quality_target::QualityTarget;
use crate::options::trim::Trim;

/// Everything that a render depends on, except for the bytes of the source. `Display` is part of the cache key, so it names every field.
///
/// The steps are in the order of the fields: trim, flip, rotate, resize (with crop or pad), background, effects, border.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recipe {
    /// What is cut away first, in pixels of the source, multiplied by dpr.
    pub trim: Trim,
    /// Mirroring, after the orientation in the metadata is applied.
    pub flip: Option<Flip>,
    /// Rotation after mirroring. Width and height are those of the rotated picture.
    pub rotate: Rotation,
    /// Width of the box in output pixels with dpr applied, at least 1. `None`: follows from the height and the source.
    pub width: Option<u32>,
    /// Height of the box in output pixels with dpr applied, at least 1. `None`: follows from the width and the source.
    pub height: Option<u32>,
    /// How the box is filled.
    pub fit: Fit,
    /// Which part a crop keeps.
    pub gravity: Gravity,
    /// The colour of blank and transparent pixels. `None` keeps transparency, and takes white where a colour is needed.
    pub background: Option<Color>,
    /// Changes of colour and sharpness, of the padding too.
    pub effects: Effects,
    /// The border around the result.
    pub border: Option<Border>,
    /// Whether colours beyond sRGB are kept, with their profile, or converted to sRGB.
    pub wide_gamut: bool,
    /// Whether an animation keeps its frames.
    pub animated: bool,
    /// Quality for the lossy encoders.
    pub quality: Quality,
    /// Goals for the quality of a lossy still; the key calls them `aim`.
    pub quality_target: QualityTarget,
    /// Whether a PNG may be reduced to a palette.
    pub palette: bool,
    /// What is kept of the metadata of the source.
    pub metadata: Metadata,
    /// The format of the result.
    pub output: Output,
    /// The effort of the encoder. Another than `Settled` is for formats that depend on it: WebP, AVIF and JPEG XL.
    pub effort: Effort,
}

/// The recipe for a URL that asks for nothing: the picture as it is, in a format that every client can show.
impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            trim: Trim::default(),
            flip: None,
            rotate: Rotation::Upright,
            width: None,
            height: None,
            fit: Fit::ScaleDown,
            gravity: Gravity::Center,
            background: None,
            effects: Effects::default(),
            border: None,
            wide_gamut: false,
            animated: true,
            quality: Quality::DEFAULT,
            quality_target: QualityTarget::default(),
            palette: false,
            metadata: Metadata::Copyright,
            output: Output::Compatible { progressive: true },
            effort: Effort::Settled,
        }
    }
}

/// The effort that an encoder spends on a small file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effort {
    /// As much as a waiting client has patience for.
    Quick,
    /// As much as is worth it for a picture that is requested many times.
    #[default]
    Settled,
}

/// Changes of colour and sharpness. A change without effect is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Effects {
    /// The radius of a Gaussian blur.
    pub blur: Option<Blur>,
    /// The factor of every sample.
    pub brightness: Option<Factor>,
    /// The factor of the distance from middle grey.
    pub contrast: Option<Factor>,
    /// The exponent of the tone curve.
    pub gamma: Option<Gamma>,
    /// The factor of the distance from grey of the same lightness.
    pub saturation: Option<Factor>,
    /// The strength of the sharpening.
    pub sharpen: Option<Sharpen>,
}

impl Effects {
    /// Whether nothing changes.
    pub(crate) fn is_neutral(&self) -> bool {
        *self == Effects::default()
    }
}

/// The kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output {
    /// JPEG, or PNG when transparency must survive, or GIF for an animation.
    Compatible {
        /// Whether a JPEG has several scans.
        progressive: bool,
    },
    /// JPEG.
    Jpeg {
        /// Whether it has several scans.
        progressive: bool,
    },
    /// PNG.
    Png,
    /// WebP.
    Webp,
    /// AVIF, or WebP where the picture is too large for it.
    Avif,
    /// JPEG XL, or WebP where the picture moves.
    Jxl,
    /// The best of these for the picture; at least one.
    Auto(Formats),
    /// Facts about the picture, in place of the picture.
    Json,
    /// The source itself, without scripts, where it is SVG. Other formats are not converted to SVG.
    Svg,
}

impl Recipe {
    /// The recipe of the interim file.
    pub(crate) fn quick(&self) -> Recipe {
        Recipe {
            effort: Effort::Quick,
            ..self.clone()
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without `..`, so that a new field stops the build until it is part of the key.
        let Recipe {
            trim,
            flip,
            rotate,
            width,
            height,
            fit,
            gravity,
            background,
            effects,
            border,
            wide_gamut,
            animated,
            quality,
            quality_target,
            palette,
            metadata,
            output,
            effort,
        } = self;
        write!(f, "trim={trim},flip={},rotate={rotate}", OrNone(flip))?;
        write!(f, ",width={},height={}", OrNone(width), OrNone(height))?;
        write!(
            f,
            ",fit={fit},gravity={gravity},background={}",
            OrNone(background)
        )?;
        write!(f, ",effects={effects},border={}", OrNone(border))?;
        write!(f, ",wide-gamut={wide_gamut}")?;
        write!(
            f,
            ",animated={animated},quality={quality},aim={quality_target},palette={palette}"
        )?;
        write!(f, ",metadata={metadata},output={output}")?;
        write!(f, ",effort={effort}")
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effort::Quick => "quick",
            Effort::Settled => "settled",
        })
    }
}

impl fmt::Display for QualityTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QualityTarget { score, size } = self;
        write!(f, "{};{}", OrNone(score), OrNone(size))
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Effects {
            blur,
            brightness,
            contrast,
            gamma,
            saturation,
            sharpen,
        } = self;
        write!(f, "{};{};", OrNone(blur), OrNone(brightness))?;
        write!(f, "{};{};", OrNone(contrast), OrNone(gamma))?;
        write!(f, "{};{}", OrNone(saturation), OrNone(sharpen))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Output::Compatible { progressive: true } => "compatible",
            Output::Compatible { progressive: false } => "compatible-baseline",
            Output::Jpeg { progressive: true } => "jpeg",
            Output::Jpeg { progressive: false } => "baseline-jpeg",
            Output::Png => "png",
            Output::Webp => "webp",
            Output::Avif => "avif",
            Output::Jxl => "jxl",
            Output::Auto(formats) => return write!(f, "auto:{formats}"),
            Output::Json => "json",
            Output::Svg => "svg",
        })
    }
}

/// Prints `none` for an absent value.
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

    use super::Recipe;
    use crate::options::tests::arbitrary::any_recipe;

    #[test]
    fn the_text_in_the_key_names_every_field() {
        let spelling = "trim=none,flip=none,rotate=0,width=640,height=none,fit=scale-down,gravity=center,background=none,\
            effects=none;none;none;none;none;none,border=none,wide-gamut=false,animated=true,quality=85,aim=none;none,palette=false,metadata=copyright,output=compatible,effort=settled";
        let recipe = Recipe {
            width: Some(640),
            ..Recipe::default()
        };
        assert_eq!(recipe.to_string(), spelling);
    }

    proptest! {
        #[test]
        fn every_field_changes_the_spelling(recipe in any_recipe(), other in any_recipe()) {
            let changed = [
                Recipe { trim: other.trim, ..recipe.clone() },
                Recipe { flip: other.flip, ..recipe.clone() },
                Recipe { rotate: other.rotate, ..recipe.clone() },
                Recipe { width: other.width, ..recipe.clone() },
                Recipe { height: other.height, ..recipe.clone() },
                Recipe { fit: other.fit, ..recipe.clone() },
                Recipe { gravity: other.gravity, ..recipe.clone() },
                Recipe { background: other.background, ..recipe.clone() },
                Recipe { effects: other.effects, ..recipe.clone() },
                Recipe { border: other.border, ..recipe.clone() },
                Recipe { wide_gamut: other.wide_gamut, ..recipe.clone() },
                Recipe { animated: other.animated, ..recipe.clone() },
                Recipe { quality: other.quality, ..recipe.clone() },
                Recipe { quality_target: other.quality_target, ..recipe.clone() },
                Recipe { palette: other.palette, ..recipe.clone() },
                Recipe { metadata: other.metadata, ..recipe.clone() },
                Recipe { output: other.output, ..recipe.clone() },
                Recipe { effort: other.effort, ..recipe.clone() },
            ];
            for changed in changed {
                prop_assert_eq!(changed == recipe, changed.to_string() == recipe.to_string());
            }
        }
    }
}
