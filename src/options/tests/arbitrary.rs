//! Strategies for property tests, here and in other rooms: options with every field, and recipes.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::sample::select;

use crate::options::Blur;
use crate::options::Border;
use crate::options::BorderOptions;
use crate::options::Breakpoints;
use crate::options::Color;
use crate::options::Compression;
use crate::options::Dpr;
use crate::options::Effects;
use crate::options::Effort;
use crate::options::Factor;
use crate::options::FileSize;
use crate::options::Fit;
use crate::options::Flip;
use crate::options::FormatChoice;
use crate::options::Fraction;
use crate::options::Gamma;
use crate::options::Gravity;
use crate::options::Length;
use crate::options::Metadata;
use crate::options::OnError;
use crate::options::Options;
use crate::options::Output;
use crate::options::Pixels;
use crate::options::Quality;
use crate::options::QualityChoice;
use crate::options::QualityTarget;
use crate::options::Recipe;
use crate::options::Rotation;
use crate::options::Score;
use crate::options::Segment;
use crate::options::Share;
use crate::options::Sharpen;
use crate::options::Trim;
use crate::options::TrimBorder;
use crate::options::Upscale;
use crate::options::Width;
use crate::options::Zoom;

/// Options in which every field is sometimes there and takes every kind of value, both ends of its range included.
///
/// Boxed by groups: unoptimised, the whole of it in one piece is too large for the stack of a test thread.
pub(crate) fn any_options() -> impl Strategy<Value = Options> {
    let colours = (
        of(any_color()),
        of(any_blur()),
        of(any_factor()),
        of(any_factor()),
        of(any_factor()),
        of(any_gamma()),
        of(any_sharpen()),
        any_border_options(),
    )
        .boxed();
    let shape = (
        of(any_dpr()),
        of(select(Fit::ALL)),
        of(select(Flip::ALL)),
        of(any_gravity()),
        of(any_pixels()),
        of(select(Rotation::ALL)),
        any_trim(),
        of(select(Upscale::ALL)),
        of(any_width()),
        of(any_zoom()),
    )
        .boxed();
    let output = (
        of(any::<bool>()),
        of(select(Compression::ALL)),
        of(select(FormatChoice::ALL)),
        of(select(Metadata::ALL)),
        of(select(OnError::ALL)),
        of(any_quality_choice()),
        of(select(Segment::ALL)),
        of(any_quality_choice()),
        any_quality_target(),
    )
        .boxed();
    let client = (of(any_breakpoints()), of(any_pixels()), of(any_pixels())).boxed();
    (colours, shape, output, client).prop_map(|(colours, shape, output, client)| {
        let (background, blur, brightness, contrast, saturation, gamma, sharpen, border) = colours;
        let (dpr, fit, flip, gravity, height, rotate, trim, upscale, width, zoom) = shape;
        let (anim, compression, format, metadata, onerror, quality, segment, slow, quality_target) =
            output;
        let (wbreakpoints, wdesktop, wmobile) = client;
        Options {
            anim,
            auto_quality: quality_target.score,
            background,
            blur,
            border,
            brightness,
            compression,
            contrast,
            dpr,
            fit,
            flip,
            format,
            gamma,
            gravity,
            height,
            max_bytes: quality_target.size,
            metadata,
            onerror,
            quality,
            rotate,
            saturation,
            segment,
            sharpen,
            slow_connection_quality: slow,
            trim,
            upscale,
            wbreakpoints,
            wdesktop,
            width,
            wmobile,
            zoom,
        }
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
        any_gravity(),
    )
        .boxed();
    let colors = (
        of(any_color()),
        any_effects(),
        of(any_border()),
        any::<bool>(),
    )
        .boxed();
    let output = (
        any::<bool>(),
        any_quality(),
        any_quality_target(),
        any::<bool>(),
        select(Metadata::ALL),
        any::<bool>(),
        output,
        select(vec![Effort::Quick, Effort::Settled]),
    )
        .boxed();
    (shape, colors, output).prop_map(|(shape, colors, output)| {
        let (trim, flip, rotate, width, height, fit, gravity) = shape;
        let (background, effects, border, wide_gamut) = colors;
        let (animated, quality, quality_target, palette, metadata, webp, output, effort) = output;
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
            webp,
            output,
            effort,
        }
    })
}

pub(crate) fn any_quality_target() -> impl Strategy<Value = QualityTarget> {
    (of(30..=95_u8), of(1..=u32::MAX)).prop_map(|(score, size)| QualityTarget {
        score: score.and_then(Score::new),
        size: size.and_then(FileSize::new),
    })
}

pub(crate) fn any_effects() -> impl Strategy<Value = Effects> {
    (
        of(any_blur()),
        of(any_factor()),
        of(any_factor()),
        of(any_gamma()),
        of(any_factor()),
        of(any_sharpen()),
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
    (any_color(), any::<[u16; 4]>()).prop_map(|(color, sides)| {
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

fn any_border_options() -> impl Strategy<Value = BorderOptions> {
    let width = || of(prop_oneof![Just(0), Just(u32::MAX), any::<u32>()]);
    (of(any_color()), width(), width(), width(), width(), width()).prop_map(
        |(color, width, top, right, bottom, left)| BorderOptions {
            color,
            width,
            top,
            right,
            bottom,
            left,
        },
    )
}

pub(crate) fn any_color() -> impl Strategy<Value = Color> {
    let alpha = prop_oneof![Just(0), Just(255), any::<u8>()];
    (any::<[u8; 3]>(), alpha).prop_map(|([red, green, blue], alpha)| Color {
        red,
        green,
        blue,
        alpha,
    })
}

pub(crate) fn any_gravity() -> impl Strategy<Value = Gravity> {
    let words = vec![
        Gravity::Center,
        Gravity::Left,
        Gravity::Right,
        Gravity::Top,
        Gravity::Bottom,
        Gravity::Auto,
        Gravity::Face,
        Gravity::Entropy,
    ];
    prop_oneof![
        select(words),
        (any_fraction(), any_fraction()).prop_map(|(x, y)| Gravity::At(x, y)),
    ]
}

pub(crate) fn any_quality() -> impl Strategy<Value = Quality> {
    (1..=100_u8).prop_map(|value| Quality::new(value).expect("the range is the type's own"))
}

fn any_quality_choice() -> impl Strategy<Value = QualityChoice> {
    prop_oneof![
        any_quality().prop_map(QualityChoice::Exactly),
        select(vec![
            QualityChoice::High,
            QualityChoice::MediumHigh,
            QualityChoice::MediumLow,
            QualityChoice::Low,
        ]),
    ]
}

macro_rules! any_decimal {
    ($($function:ident: $name:ident),+ $(,)?) => {
        $(fn $function() -> impl Strategy<Value = $name> {
            let millionths = prop_oneof![
                Just($name::MIN_MILLIONTHS),
                Just($name::MAX_MILLIONTHS),
                $name::MIN_MILLIONTHS..=$name::MAX_MILLIONTHS,
            ];
            millionths.prop_map(|millionths| {
                $name::from_millionths(millionths).expect("the range is the type's own")
            })
        })+
    };
}
any_decimal! {
    any_blur: Blur,
    any_dpr: Dpr,
    any_factor: Factor,
    any_fraction: Fraction,
    any_gamma: Gamma,
    any_share: Share,
    any_sharpen: Sharpen,
    any_zoom: Zoom,
}

fn any_pixels() -> impl Strategy<Value = Pixels> {
    let value = prop_oneof![Just(1), Just(u32::MAX), 1..=4000_u32];
    value.prop_map(|value| Pixels::new(value).expect("it is at least 1"))
}

fn any_width() -> impl Strategy<Value = Width> {
    prop_oneof![any_pixels().prop_map(Width::Pixels), Just(Width::Auto)]
}

fn any_breakpoints() -> impl Strategy<Value = Breakpoints> {
    vec(any_pixels(), 1..=64)
        .prop_map(|widths| Breakpoints::new(widths).expect("there are 1 to 64"))
}

fn any_length() -> impl Strategy<Value = Length> {
    prop_oneof![
        any::<u32>().prop_map(Length::Pixels),
        any_share().prop_map(Length::Share),
    ]
}

fn any_trim() -> impl Strategy<Value = Trim> {
    let lengths = (
        of(any_length()),
        of(any_length()),
        of(any_length()),
        of(any_length()),
        of(any_length()),
        of(any_length()),
    );
    let border = (of(any_color()), of(any::<u8>()), of(any::<u32>()));
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
