//! Pictures with alpha.

use crate::codecs::encode;
use crate::codecs::encode::{Picture, Settings};
use crate::options::{Color, Effort, Format, Output, Quality, Recipe};
use crate::pixels::{Channels, Size};
use crate::transform::tests::{assert_near, budget, pixel, pixels, recipe, render};

/// Left half transparent red, right half opaque blue.
fn half_transparent() -> Vec<u8> {
    let samples = (0..40 * 20)
        .flat_map(|index| {
            if index % 40 < 20 {
                [255, 0, 0, 0]
            } else {
                [0, 0, 255, 255]
            }
        })
        .collect();
    let picture = Picture::Rgba(Size::new(40, 20), samples);
    encode::encode(
        &picture,
        Format::Png,
        Settings {
            quality: Quality::DEFAULT,
            progressive: false,
            palette: false,
            effort: Effort::Settled,
            profile: None,
        },
    )
    .expect("PNG takes alpha")
}

#[test]
fn transparency_survives_where_it_can() {
    let source = half_transparent();
    for (output, format) in [
        (Output::Compatible { progressive: true }, Format::Png),
        (Output::Png, Format::Png),
        (Output::Webp, Format::Webp),
        (Output::Avif, Format::Avif),
    ] {
        let made = render(&source, &recipe(output), &budget()).expect("a good source");
        assert_eq!(made.format, format);
        let raster = pixels(&made);
        assert_eq!(raster.channels, Channels::Rgba, "{output:?}");
        assert!(pixel(&raster, 5, 10)[3] < 12, "{output:?}");
        assert_near(
            &pixel(&raster, 35, 10),
            &[0, 0, 255, 255],
            &format!("{output:?}"),
        );
    }
}

#[test]
fn transparency_is_flattened_where_it_cannot_be_kept() {
    let source = half_transparent();
    let green = Color {
        red: 0,
        green: 200,
        blue: 0,
        alpha: 255,
    };
    for (output, background, expected) in [
        (Output::Jpeg { progressive: true }, None, [255, 255, 255]),
        (Output::Jpeg { progressive: true }, Some(green), [0, 200, 0]),
        (
            Output::Compatible { progressive: true },
            Some(green),
            [0, 200, 0],
        ),
        (Output::Webp, Some(green), [0, 200, 0]),
        (Output::Avif, Some(green), [0, 200, 0]),
    ] {
        let made = render(
            &source,
            &Recipe {
                background,
                ..recipe(output)
            },
            &budget(),
        )
        .expect("a good source");
        let raster = pixels(&made);
        assert_eq!(
            raster.channels,
            Channels::Rgb,
            "{output:?} on {background:?}"
        );
        assert_near(
            &pixel(&raster, 5, 10),
            &expected,
            &format!("{output:?} on {background:?}"),
        );
    }
}

#[test]
fn an_opaque_alpha_channel_is_none() {
    let picture = Picture::Rgba(Size::new(8, 8), [10, 20, 30, 255].repeat(64));
    let source = encode::encode(
        &picture,
        Format::Png,
        Settings {
            quality: Quality::DEFAULT,
            progressive: false,
            palette: false,
            effort: Effort::Settled,
            profile: None,
        },
    )
    .expect("PNG takes alpha");
    assert_eq!(
        render(
            &source,
            &recipe(Output::Compatible { progressive: false }),
            &budget()
        )
        .expect("a good source")
        .format,
        Format::Jpeg
    );
}
