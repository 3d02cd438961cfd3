//! Strategies for property tests, of this module and of others: options with every field, and recipes.

use std::fmt;
use std::rc::Rc;

use proptest::option::of;
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use crate::options::definitions::any_changes;
use crate::options::value::OptionValue;
use crate::options::{
    Blur, Border, Color, Effects, Effort, Factor, FileSize, Fit, Flip, Format, Formats, Gamma,
    Gravity, Length, Metadata, Options, Output, Quality, QualityTarget, Recipe, Rotation, Score,
    Sharpen, Trim, TrimBorder,
};

/// A change that gives one option a value, or none.
#[derive(Clone)]
pub(in crate::options) struct Change(Rc<dyn Fn(&mut Options)>);

/// Proptest prints what it generates. The options that changes lead to are of interest, not the changes.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Change")
    }
}

/// Changes of one option, which `set` gives its value.
pub(in crate::options) fn any_change<T: OptionValue + Clone + fmt::Debug + 'static>(
    set: fn(&mut Options, Option<T>),
) -> BoxedStrategy<Change> {
    let value = of(T::any());
    let change = value.prop_map(move |value| {
        Change(Rc::new(move |options: &mut Options| {
            set(options, value.clone());
        }))
    });
    change.boxed()
}

/// Options in which every field is sometimes there and takes every kind of value, both ends of its range included.
pub(crate) fn any_options() -> impl Strategy<Value = Options> {
    any_changes().prop_map(|changes| {
        let mut options = Options::default();
        for Change(apply) in changes {
            apply(&mut options);
        }
        options.expand_shorthands();
        options
    })
}

/// Recipes as the policy may decide them: sides up to 12000.
pub(crate) fn any_recipe() -> impl Strategy<Value = Recipe> {
    let output = select(vec![
        Output::Compatible { progressive: true },
        Output::Compatible { progressive: false },
        Output::Jpeg { progressive: true },
        Output::Jpeg { progressive: false },
        Output::Png,
        Output::Webp,
        Output::Avif,
        Output::Jxl,
        Output::Auto(Formats::ALL),
        Output::Auto(Formats::ALL.filter(|format| format != Format::Avif)),
        Output::Json,
        Output::Svg,
    ]);
    let shape = (
        any_trim(),
        of(select(Flip::ALL)),
        select(Rotation::ALL),
        of(1..=12_000_u32),
        of(1..=12_000_u32),
        select(Fit::ALL),
        Gravity::any(),
    )
        .boxed();
    let colors = (
        of(Color::any()),
        any_effects(),
        of(any_border()),
        any::<bool>(),
    )
        .boxed();
    let output = (
        any::<bool>(),
        Quality::any(),
        any_quality_target(),
        any::<bool>(),
        select(Metadata::ALL),
        output,
        select(vec![Effort::Quick, Effort::Settled]),
    )
        .boxed();
    (shape, colors, output).prop_map(|(shape, colors, output)| {
        let (trim, flip, rotate, width, height, fit, gravity) = shape;
        let (background, effects, border, wide_gamut) = colors;
        let (animated, quality, quality_target, palette, metadata, output, effort) = output;
        Recipe {
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
        }
    })
}

pub(crate) fn any_quality_target() -> impl Strategy<Value = QualityTarget> {
    (of(Score::any()), of(FileSize::any())).prop_map(|(score, size)| QualityTarget { score, size })
}

pub(crate) fn any_effects() -> impl Strategy<Value = Effects> {
    (
        of(Blur::any()),
        of(Factor::any()),
        of(Factor::any()),
        of(Gamma::any()),
        of(Factor::any()),
        of(Sharpen::any()),
    )
        .prop_map(
            |(blur, brightness, contrast, gamma, saturation, sharpen)| Effects {
                blur,
                brightness,
                contrast,
                gamma,
                saturation,
                sharpen,
            },
        )
}

fn any_border() -> impl Strategy<Value = Border> {
    (Color::any(), any::<[u16; 4]>()).prop_map(|(color, sides)| {
        let [top, right, bottom, left] = sides.map(u32::from);
        Border {
            color,
            top,
            right,
            bottom,
            left,
        }
    })
}

fn any_trim() -> impl Strategy<Value = Trim> {
    let lengths = (
        of(Length::any()),
        of(Length::any()),
        of(Length::any()),
        of(Length::any()),
        of(Length::any()),
        of(Length::any()),
    );
    let border = (of(Color::any()), of(any::<u8>()), of(any::<u32>()));
    let border = border.prop_map(|(color, tolerance, keep)| TrimBorder {
        color,
        tolerance,
        keep,
    });
    (lengths, of(border)).prop_map(|((top, right, bottom, left, width, height), border)| Trim {
        top,
        right,
        bottom,
        left,
        width,
        height,
        border,
    })
}
