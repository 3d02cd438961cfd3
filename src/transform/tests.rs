//! Whole renders of pictures made by code: what goes in is known to the pixel, what comes out is decoded again and compared.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::options::{Color, Effort, Fit, Format, Gravity, Output, Quality, Recipe};
use crate::units::ByteSize;

use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::{Picture, Settings};
use crate::codecs::{decode, encode};
use crate::pixels::{Channels, Raster, Size};
use crate::transform::plan::output;
use crate::transform::{
    BatchItem, Budget, Encoded, Hints, LargeAnimations, Limits, Plan, Source, TransformError,
    TruncatedSources,
};

const ALL_OUTPUTS: [Output; 6] = [
    Output::Compatible { progressive: true },
    Output::Jpeg { progressive: true },
    Output::Jpeg { progressive: false },
    Output::Png,
    Output::Webp,
    Output::Avif,
];

fn recipe(output: Output) -> Recipe {
    Recipe {
        output,
        ..Recipe::default()
    }
}

fn budget() -> Budget {
    Budget::until(Instant::now() + Duration::from_secs(60))
}

fn render(source: &[u8], recipe: &Recipe, budget: &Budget) -> Result<Encoded, TransformError> {
    plan(source, recipe, &Limits::default())?.render(budget)
}

fn plan(source: &[u8], recipe: &Recipe, limits: &Limits) -> Result<Plan, TransformError> {
    let source = Source::open(Bytes::copy_from_slice(source), limits)?;
    source.plan(recipe, &Hints::default())
}

fn quality(value: u8) -> Quality {
    Quality::new(value).expect("the tests ask for 1 to 100")
}

/// Four quarters: red, green, blue and white, in this order, with sharp edges.
fn quarters(width: u32, height: u32) -> Vec<u8> {
    let mut samples = Vec::new();
    for y in 0..height {
        for x in 0..width {
            samples.extend(match (x * 2 < width, y * 2 < height) {
                (true, true) => [255, 0, 0],
                (false, true) => [0, 255, 0],
                (true, false) => [0, 0, 255],
                (false, false) => [255, 255, 255],
            });
        }
    }
    samples
}

fn source(format: Format, width: u32, height: u32) -> Vec<u8> {
    let picture = Picture::Rgb(Size::new(width, height), quarters(width, height));
    encode::encode(
        &picture,
        format,
        Settings {
            quality: quality(95),
            progressive: false,
            palette: false,
            effort: Effort::Settled,
            profile: None,
        },
    )
    .expect("the encoders write what they are given")
}

/// Columns of red and blue in turn, with grain, without which they would be a graphic.
fn grainy(width: u32, height: u32) -> Vec<u8> {
    let pixels = (0..width * height).flat_map(|index| {
        let grain = (index.wrapping_mul(2_654_435_761) >> 27).to_le_bytes()[0];
        if index % 2 == 0 {
            [255 - grain, grain, 0]
        } else {
            [0, grain, 255 - grain]
        }
    });
    let picture = Picture::Rgb(Size::new(width, height), pixels.collect());
    let settings = Settings {
        quality: Quality::DEFAULT,
        progressive: false,
        palette: false,
        effort: Effort::Settled,
        profile: None,
    };
    encode::encode(&picture, Format::Png, settings).expect("PNG")
}

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

/// The pixels of a rendition as RGB or RGBA.
fn pixels(made: &Encoded) -> Raster {
    let header = decode::header(&made.bytes).expect("a rendition has a header");
    assert_eq!(header.size, made.size, "the size that was told");
    let decoded =
        decode::pixels(&made.bytes, &header, DecodeScale::WHOLE).expect("a rendition decodes");
    crate::pixels::color::expanded(decoded.raster).expect("there is memory")
}

fn pixel(raster: &Raster, x: u32, y: u32) -> Vec<u8> {
    let channels = raster.channels.count();
    let at = (y * raster.size.width + x) as usize * channels;
    raster.clone().into_u8().expect("there is memory")[at..at + channels].to_vec()
}

#[track_caller]
fn assert_near(actual: &[u8], expected: &[u8], what: &str) {
    let near = actual.len() == expected.len()
        && actual
            .iter()
            .zip(expected)
            .all(|(a, b)| a.abs_diff(*b) <= 12);
    assert!(near, "{what}: {actual:?}, expected {expected:?}");
}

#[track_caller]
fn assert_quarters(made: &Encoded, what: &str) {
    let raster = pixels(made);
    let Size { width, height } = raster.size;
    for (x, y, color) in [
        (1, 1, [255, 0, 0]),
        (3, 1, [0, 255, 0]),
        (1, 3, [0, 0, 255]),
        (3, 3, [255, 255, 255]),
    ] {
        assert_near(
            &pixel(&raster, width * x / 4, height * y / 4)[..3],
            &color,
            what,
        );
    }
}

#[test]
fn every_format_comes_in_and_every_output_goes_out() {
    for from in [Format::Jpeg, Format::Png, Format::Webp, Format::Avif] {
        let source = source(from, 97, 61);
        for output in ALL_OUTPUTS {
            let wanted = Recipe {
                width: Some(48),
                ..recipe(output)
            };
            let made = render(&source, &wanted, &budget())
                .unwrap_or_else(|error| panic!("{from:?} to {output:?}: {error}"));
            assert_eq!(made.size, Size::new(48, 30), "{from:?} to {output:?}");
            assert_quarters(&made, &format!("{from:?} to {output:?}"));
        }
    }
}

#[test]
fn the_bytes_are_of_the_format_that_is_named() {
    let source = source(Format::Png, 64, 64);
    for (output, format) in [
        // Four flat quarters are smaller as PNG.
        (Output::Compatible { progressive: true }, Format::Png),
        (Output::Compatible { progressive: false }, Format::Jpeg),
        (Output::Jpeg { progressive: true }, Format::Jpeg),
        (Output::Png, Format::Png),
        (Output::Webp, Format::Webp),
        (Output::Avif, Format::Avif),
    ] {
        let made = render(&source, &recipe(output), &budget()).expect("a good source");
        assert_eq!(made.format, format);
        let start: &[u8] = match format {
            Format::Jpeg => b"\xFF\xD8\xFF",
            Format::Png => b"\x89PNG",
            Format::Webp => b"RIFF",
            _ => b"\0\0\0",
        };
        assert!(made.bytes.starts_with(start), "{format:?}");
    }
}

#[test]
fn progressive_and_baseline_are_told_apart() {
    let source = source(Format::Png, 640, 480);
    let start_of_frame = |output| {
        let made = render(&source, &recipe(output), &budget()).expect("a good source");
        let frame = made
            .bytes
            .windows(2)
            .find(|pair| pair[0] == 0xFF && matches!(pair[1], 0xC0 | 0xC2))
            .map(|pair| pair[1]);
        frame.expect("a JPEG has a frame")
    };
    assert_eq!(start_of_frame(Output::Jpeg { progressive: true }), 0xC2);
    for progressive in [true, false] {
        let compatible = Output::Compatible { progressive };
        let is_progressive = output::is_progressive(compatible, Size::new(640, 480));
        assert_eq!(is_progressive, progressive);
    }
    assert_eq!(start_of_frame(Output::Jpeg { progressive: false }), 0xC0);
}

#[test]
fn lossless_webp_keeps_every_pixel() {
    let wanted = Recipe {
        quality: quality(100),
        ..recipe(Output::Webp)
    };
    let made = render(&source(Format::Png, 61, 43), &wanted, &budget()).expect("a good source");
    assert_eq!(
        pixels(&made).into_u8().expect("there is memory"),
        quarters(61, 43)
    );
}

#[test]
fn halved_chroma_is_the_mean_of_its_pixels() {
    let source = grainy(64, 64);
    for output in [Output::Compatible { progressive: true }, Output::Webp] {
        let made = render(&source, &recipe(output), &budget()).expect("a good source");
        let samples = pixels(&made).into_u8().expect("there is memory");
        let sum = |channel| -> i32 {
            let channel = samples.iter().skip(channel).step_by(3);
            channel.map(|sample| i32::from(*sample)).sum()
        };
        let off = (sum(0) - sum(2)).abs() / (64 * 64);
        assert!(off < 25, "{output:?}: red and blue are {off} apart");
    }
}

#[test]
fn a_better_quality_takes_more_bytes() {
    let samples: Vec<u8> = (0..128 * 128 * 3u32)
        .map(|index| {
            (index.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0] / 2
                + (index / 384).to_le_bytes()[0]
        })
        .collect();
    let picture = Picture::Rgb(Size::new(128, 128), samples);
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
    .expect("PNG");
    for output in [
        Output::Jpeg { progressive: true },
        Output::Webp,
        Output::Avif,
    ] {
        let bytes = |value| {
            let wanted = Recipe {
                quality: quality(value),
                ..recipe(output)
            };
            render(&source, &wanted, &budget())
                .expect("a good source")
                .bytes
                .len()
        };
        assert!(
            bytes(20) < bytes(60) && bytes(60) < bytes(95),
            "{output:?}: {} {} {}",
            bytes(20),
            bytes(60),
            bytes(95)
        );
    }
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

#[test]
fn limits_come_before_pixels() {
    let source = source(Format::Png, 200, 100);
    let limited = |limits| {
        let larger = Recipe {
            width: Some(400),
            fit: Fit::Contain,
            ..recipe(Output::Png)
        };
        plan(&source, &larger, &limits)?.render(&budget())
    };
    let limits = Limits::default();
    assert!(limited(limits).is_ok());
    assert_eq!(
        limited(Limits {
            source_pixels: 19_999,
            ..limits
        })
        .map(|_| ()),
        Err(TransformError::TooManyPixels {
            size: Size::new(200, 100),
            limit: 19_999
        })
    );
    assert_eq!(
        limited(Limits {
            output_side: 399,
            ..limits
        })
        .map(|_| ()),
        Err(TransformError::OutputTooLarge {
            size: Size::new(400, 200),
            limit: 399
        })
    );
    assert!(matches!(
        limited(Limits {
            render_memory: ByteSize::mib(1),
            ..limits
        }),
        Err(TransformError::TooCostly { .. })
    ));
    let late = Budget::until(Instant::now());
    assert_eq!(
        render(&source, &recipe(Output::Png), &late).map(|_| ()),
        Err(TransformError::OutOfTime)
    );
}

#[test]
fn settings_that_change_pictures_change_the_fingerprint() {
    let limits = Limits::default();
    for other in [
        Limits {
            avif_pixels: 1,
            ..limits
        },
        Limits {
            animation_pixels: 1,
            ..limits
        },
        Limits {
            large_animations: LargeAnimations::Still,
            ..limits
        },
        Limits {
            rasterize_svg: true,
            ..limits
        },
        Limits {
            truncated: TruncatedSources::Refuse,
            ..limits
        },
    ] {
        assert_ne!(
            limits.render_fingerprint(),
            other.render_fingerprint(),
            "{other:?}"
        );
    }
    let roomier = Limits {
        source_pixels: u64::MAX,
        ..limits
    };
    assert_eq!(limits.render_fingerprint(), roomier.render_fingerprint());
}

#[test]
fn what_is_no_picture_is_told_by_name() {
    assert_eq!(
        render(b"hello", &recipe(Output::Png), &budget()).map(|_| ()),
        Err(TransformError::NotAnImage)
    );
    let error = render(b"8BPS\0\x01", &recipe(Output::Png), &budget())
        .map(|_| ())
        .expect_err("not transformed");
    assert!(error.to_string().contains("is PSD"), "{error}");
}

#[test]
fn damage_is_an_error_and_a_missing_end_marker_is_not() {
    let whole = source(Format::Jpeg, 320, 200);
    assert!(
        render(&whole[..whole.len() - 2], &recipe(Output::Png), &budget()).is_ok(),
        "only the end marker is missing"
    );
    for format in [Format::Jpeg, Format::Png, Format::Webp, Format::Avif] {
        let whole = source(format, 320, 200);
        let cut = render(
            &whole[..whole.len() * 2 / 3],
            &recipe(Output::Png),
            &budget(),
        );
        assert!(
            matches!(cut, Err(TransformError::Decode(_))),
            "{format:?}: {:?}",
            cut.map(|made| made.size)
        );
    }
}

#[test]
fn a_header_is_read_once_for_all_that_is_made_of_a_source() {
    for format in [Format::Jpeg, Format::Png, Format::Webp, Format::Avif] {
        let (before, budget) = (decode::HEADERS.get(), budget());
        let bytes = Bytes::from(source(format, 40, 30));
        let source = Source::open(bytes, &Limits::default()).expect("a good source");
        let recipe = Recipe {
            width: Some(20),
            height: Some(20),
            fit: Fit::Cover,
            gravity: Gravity::Auto,
            ..recipe(Output::Webp)
        };
        let map = source.plan_saliency_map(recipe.gravity).expect("a plan");
        let map = map.render(&budget).expect("a map");
        let hints = Hints::of_saliency_map(&map.bytes);
        source.reduced_copies(&recipe);
        let plan = source.plan(&recipe, &hints).expect("a plan");
        plan.render(&budget).expect("a picture");
        let item = BatchItem { recipe, hints };
        let batch = source.plan_batch(vec![item.clone(), item], u64::MAX);
        batch.render(&budget, |_, made| {
            made.expect("a picture");
            ControlFlow::Continue(())
        });
        assert_eq!(decode::HEADERS.get() - before, 1, "{format:?}");
    }
}

#[test]
fn a_map_that_a_render_makes_itself_is_in_its_cost() {
    let bytes = Bytes::from(source(Format::Png, 400, 300));
    let source = Source::open(bytes, &Limits::default()).expect("a good source");
    let recipe = Recipe {
        width: Some(20),
        height: Some(20),
        fit: Fit::Cover,
        gravity: Gravity::Auto,
        ..recipe(Output::Webp)
    };
    let map = source.plan_saliency_map(recipe.gravity).expect("a plan");
    let hints = Hints::of_saliency_map(&map.render(&budget()).expect("a map").bytes);
    let cpu = |hints| source.plan(&recipe, &hints).expect("a plan").cost().cpu;
    assert_eq!(cpu(Hints::default()), cpu(hints) + map.cost().cpu);
}
