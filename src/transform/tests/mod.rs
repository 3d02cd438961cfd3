//! Whole renders of pictures made by code: what goes in is known to the pixel, what comes out is decoded again and compared.

mod geometry;
mod outputs;
mod price;
mod refusals;
mod transparency;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::{Picture, Settings};
use crate::codecs::{decode, encode};
use crate::options::{Effort, Fit, Format, Gravity, Output, Quality, Recipe};
use crate::pixels::{Raster, Size};
use crate::transform::{
    BatchItem, Budget, Encoded, Hints, LargeAnimations, Limits, Plan, Source, TransformError,
    TruncatedSources,
};

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
