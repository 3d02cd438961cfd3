//! Padding, orientation and crops.

use crate::options::{Color, Fit, Format, Gravity, Output, Recipe};
use crate::pixels::Size;
use crate::transform::tests::{assert_near, budget, pixel, pixels, recipe, render, source};

#[test]
fn padding_is_white_or_the_background() {
    let source = source(Format::Jpeg, 64, 32);
    let padded = Recipe {
        width: Some(64),
        height: Some(64),
        fit: Fit::Pad,
        ..recipe(Output::Png)
    };
    let made = render(&source, &padded, &budget()).expect("a good source");
    assert_eq!(made.size, Size::new(64, 64));
    assert_near(
        &pixel(&pixels(&made), 32, 3),
        &[255, 255, 255],
        "white by default",
    );
    assert_near(
        &pixel(&pixels(&made), 10, 20),
        &[255, 0, 0],
        "the picture is in the middle",
    );
    let teal = Color {
        red: 0,
        green: 128,
        blue: 128,
        alpha: 255,
    };
    let made = render(
        &source,
        &Recipe {
            background: Some(teal),
            output: Output::Webp,
            ..padded
        },
        &budget(),
    )
    .expect("a good source");
    assert_near(&pixel(&pixels(&made), 32, 60), &[0, 128, 128], "as asked");
}

#[test]
fn exif_orientation_is_baked_in() {
    let stored = source(Format::Jpeg, 64, 32);
    for (tag, size, corner) in [
        (1, (64, 32), [255, 0, 0]),
        (3, (64, 32), [255, 255, 255]),
        (6, (32, 64), [0, 0, 255]),
        (8, (32, 64), [0, 255, 0]),
    ] {
        let exif = [
            b"Exif\0\0",
            &crate::codecs::metadata::tests::exif_block(tag)[..],
        ]
        .concat();
        let length = u16::try_from(exif.len() + 2)
            .expect("a short block")
            .to_be_bytes();
        let source = [&stored[..2], &[0xFF, 0xE1], &length, &exif, &stored[2..]].concat();
        for output in [
            Output::Compatible { progressive: true },
            Output::Webp,
            Output::Png,
        ] {
            let made = render(&source, &recipe(output), &budget()).expect("a good source");
            assert_eq!(made.size, Size::new(size.0, size.1), "orientation {tag}");
            assert_near(
                &pixel(&pixels(&made), 6, 6)[..3],
                &corner,
                &format!("orientation {tag} to {output:?}"),
            );
        }
    }
}

#[test]
fn a_crop_follows_its_gravity_in_upright_coordinates() {
    let stored = source(Format::Jpeg, 64, 32);
    let exif = [
        b"Exif\0\0",
        &crate::codecs::metadata::tests::exif_block(6)[..],
    ]
    .concat();
    let length = u16::try_from(exif.len() + 2)
        .expect("a short block")
        .to_be_bytes();
    let turned = [&stored[..2], &[0xFF, 0xE1], &length, &exif, &stored[2..]].concat();
    // Upright, the turned picture has blue and red above, white and green below.
    for (source, gravity, expected) in [
        (&stored, Gravity::Left, [255, 0, 0]),
        (&stored, Gravity::Right, [0, 255, 0]),
        (&turned, Gravity::Top, [0, 0, 255]),
        (&turned, Gravity::Bottom, [255, 255, 255]),
    ] {
        let wanted = Recipe {
            width: Some(16),
            height: Some(16),
            fit: Fit::Cover,
            gravity,
            ..recipe(Output::Png)
        };
        let made = render(source, &wanted, &budget()).expect("a good source");
        assert_near(
            &pixel(&pixels(&made), 3, 3),
            &expected,
            &format!("{gravity}"),
        );
    }
}
