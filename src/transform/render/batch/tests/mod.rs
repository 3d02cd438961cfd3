//! Batches beside renders of the same recipes one by one, and what they share.

mod budgets;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use image::DynamicImage;
use image::RgbImage;

use crate::codecs::decode::DECODES;
use crate::codecs::encode::{Picture, Settings};
use crate::codecs::{Limits, TransformError, encode};
use crate::options::{
    Blur, Effects, Effort, Fit, Format, Gravity, Output, Quality, Recipe, Rotation, Trim,
    TrimBorder,
};
use crate::pixels::Size;
use crate::transform::budget::Budget;
use crate::transform::cost::Cost;
use crate::transform::encoded::Encoded;
use crate::transform::hints::Hints;
use crate::transform::plan::batch::BatchItem;
use crate::transform::plan::still::StillPlan;
use crate::transform::source::Source;

const JPEG: Output = Output::Jpeg { progressive: true };

fn budget() -> Budget {
    Budget::until(Instant::now() + Duration::from_secs(600))
}

fn wide(width: u32, output: Output) -> Recipe {
    Recipe {
        width: Some(width),
        output,
        ..Recipe::default()
    }
}

fn items(recipes: impl IntoIterator<Item = Recipe>) -> Vec<BatchItem> {
    let item = |recipe| BatchItem {
        recipe,
        hints: Hints::default(),
    };
    recipes.into_iter().map(item).collect()
}

/// Slopes, edges and some grain, with alpha where it is asked for.
fn picture(size: Size, alpha: bool) -> Picture {
    let mut seed = 1_u32;
    let mut samples = Vec::new();
    for y in 0..size.height {
        for x in 0..size.width {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = seed.to_le_bytes()[3] / 32;
            let stripe = if (x / 40 + y / 60) % 3 == 0 { 50 } else { 0 };
            let slope = |at: u32, side: u32| (at * 180 / side).to_le_bytes()[0];
            let (across, down) = (slope(x, size.width), slope(y, size.height));
            samples.extend([across + stripe + grain, down + grain, 200 - across + grain]);
            if alpha {
                samples.push(if x < size.width / 3 { across } else { 255 });
            }
        }
    }
    if alpha {
        Picture::Rgba(size, samples)
    } else {
        Picture::Rgb(size, samples)
    }
}

fn source(format: Format, size: (u32, u32), alpha: bool) -> Vec<u8> {
    let settings = Settings {
        quality: Quality::new(92).expect("from 1 to 100"),
        progressive: false,
        palette: false,
        effort: Effort::Quick,
        profile: None,
    };
    encode::encode(&picture(Size::new(size.0, size.1), alpha), format, settings)
        .expect("encoders write what they are given")
}

/// What came of each item; every one is handed out once.
fn all(
    source: &[u8],
    items: &[BatchItem],
    limits: Limits,
    budget: &Budget,
) -> Vec<Result<Encoded, TransformError>> {
    within(source, items, (limits, u64::MAX), budget)
}

fn within(
    source: &[u8],
    items: &[BatchItem],
    (limits, most): (Limits, u64),
    budget: &Budget,
) -> Vec<Result<Encoded, TransformError>> {
    let source = match Source::open(Bytes::copy_from_slice(source), &limits) {
        Ok(source) => source,
        Err(error) => return items.iter().map(|_| Err(error.clone())).collect(),
    };
    let mut told = BTreeMap::new();
    let plan = source.plan_batch(items.to_vec(), most);
    plan.render(budget, |at, made| {
        assert!(told.insert(at, made).is_none(), "{at} was handed out twice");
        ControlFlow::Continue(())
    });
    assert_eq!(told.len(), items.len(), "not every item was handed out");
    told.into_values().collect()
}

/// How often pixels are decoded meanwhile.
fn decodes<T>(work: impl FnOnce() -> T) -> (T, u32) {
    let before = DECODES.get();
    let made = work();
    (made, DECODES.get() - before)
}

fn alone(source: &[u8], item: &BatchItem) -> Result<Encoded, TransformError> {
    let source = Source::open(Bytes::copy_from_slice(source), &Limits::default())?;
    source.plan(&item.recipe, &item.hints)?.render(&budget())
}

fn cost_of_all(source: &Source, items: &[BatchItem], most: u64) -> Cost {
    source.plan_batch(items.to_vec(), most).cost()
}

fn opened(source: &[u8]) -> Source {
    Source::open(Bytes::copy_from_slice(source), &Limits::default()).expect("a good source")
}

fn denominator(source: &[u8], recipe: &Recipe) -> u32 {
    let source = opened(source);
    let source = source.raster().expect("a picture");
    let plan = StillPlan::of(source, recipe, &Hints::default()).expect("a good recipe");
    source.header.supported(plan.pixels.scale()).denominator()
}

fn opaque(made: &Encoded) -> RgbImage {
    let png = Recipe {
        output: Output::Png,
        ..Recipe::default()
    };
    let plan = opened(&made.bytes).plan(&png, &Hints::default());
    let png = plan.and_then(|plan| plan.render(&budget()));
    let png = image::load_from_memory(&png.expect("it was made here").bytes);
    DynamicImage::into_rgb8(png.expect("a PNG"))
}

/// Compares each picture of a batch with the same one rendered alone. Returns how many are the same to the byte.
#[track_caller]
fn assert_alike(source: &[u8], items: &[BatchItem]) -> usize {
    let least = items
        .iter()
        .map(|item| denominator(source, &item.recipe))
        .min();
    let mut same = 0;
    for (item, made) in items
        .iter()
        .zip(all(source, items, Limits::default(), &budget()))
    {
        let recipe = &item.recipe;
        let made = made.unwrap_or_else(|error| panic!("{recipe}: {error}"));
        let expected = alone(source, item).unwrap_or_else(|error| panic!("{recipe}: {error}"));
        assert_eq!(made.size, expected.size, "{recipe}");
        assert_eq!(made.format, expected.format, "{recipe}");
        assert_eq!(made.warnings, expected.warnings, "{recipe}");
        if made.bytes == expected.bytes {
            same += 1;
            continue;
        }
        assert_ne!(
            Some(denominator(source, recipe)),
            least,
            "{recipe}: decoded alike and yet another file"
        );
        let likeness = image_compare::rgb_hybrid_compare(&opaque(&made), &opaque(&expected))
            .expect("of one size")
            .score;
        // Photographs are at 0.986 or more, and as near as before to what is made of all their pixels. Grain in small pictures is the
        // worst there is, and what loses some of it loses another part each time.
        let least = if recipe.output == Output::Png {
            0.985
        } else {
            0.94
        };
        assert!(likeness > least, "{recipe}: {likeness}");
    }
    same
}

#[test]
fn one_decode_makes_every_width_in_every_format() {
    let source = source(Format::Jpeg, (403, 301), false);
    let widths = [20, 32, 50, 80, 100, 128, 160, 200, 240, 320, 375, 1000];
    let items = items(
        widths
            .into_iter()
            .flat_map(|width| [Output::Webp, JPEG].map(|output| wide(width, output))),
    );
    let (made, decodes) = decodes(|| all(&source, &items, Limits::default(), &budget()));
    assert_eq!(decodes, 1);
    let decoded = |made: &Encoded| !made.timings.decode.is_zero();
    let made: Vec<Encoded> = made
        .into_iter()
        .map(|made| made.expect("a good source"))
        .collect();
    assert_eq!(made.iter().filter(|made| decoded(made)).count(), 1);
    // Two formats of a width share its pixels, where both encoders take planes; the portable one for JPEG takes RGB.
    let resized = |made: &Encoded| !made.timings.resize.is_zero();
    let kinds = if cfg!(feature = "native") { 1 } else { 2 };
    assert_eq!(
        made.iter().filter(|made| resized(made)).count(),
        kinds * widths.len()
    );
    let same = assert_alike(&source, &items);
    assert!(same >= 8, "{same} of {} are the same", items.len());
}

#[test]
fn scales_that_the_decoder_has_look_the_same_when_they_are_averaged() {
    let source = source(Format::Jpeg, (403, 301), false);
    let items = items([320, 100, 50, 24].map(|width| wide(width, Output::Png)));
    if cfg!(feature = "native") {
        let scales: Vec<u32> = items
            .iter()
            .map(|item| denominator(&source, &item.recipe))
            .collect();
        assert_eq!(scales, [1, 2, 4, 8]);
    }
    assert_alike(&source, &items);
}

#[test]
fn sources_without_scales_come_out_the_same_to_the_byte() {
    let soft = Effects {
        blur: Blur::new(2.0),
        ..Effects::default()
    };
    for format in [Format::Png, Format::Webp] {
        let source = source(format, (301, 203), true);
        let mut recipes = Vec::new();
        for output in [
            JPEG,
            Output::Png,
            Output::Webp,
            Output::Avif,
            Output::Compatible { progressive: true },
        ] {
            let recipe = wide(90, output);
            recipes.push(Recipe {
                effects: soft.clone(),
                ..recipe.clone()
            });
            recipes.push(Recipe {
                rotate: Rotation::Clockwise90,
                ..recipe.clone()
            });
            recipes.push(recipe);
        }
        let items = items(recipes);
        assert_eq!(assert_alike(&source, &items), items.len());
        assert_eq!(
            decodes(|| all(&source, &items, Limits::default(), &budget())).1,
            1
        );
    }
}

#[test]
fn odd_sizes_turn_alike_alone_and_together() {
    let source = source(Format::Png, (301, 203), false);
    let turned = [Output::Webp, JPEG, Output::Avif].map(|output| Recipe {
        rotate: Rotation::Clockwise180,
        ..wide(91, output)
    });
    assert_eq!(assert_alike(&source, &items(turned)), 3);
}

#[test]
fn equal_files_are_written_once() {
    let source = source(Format::Jpeg, (160, 120), false);
    // The source is not enlarged, so all of them are of its own size.
    let items = items([160, 640, 1920].map(|width| wide(width, Output::Webp)));
    let made: Vec<Encoded> = all(&source, &items, Limits::default(), &budget())
        .into_iter()
        .map(|made| made.expect("a good source"))
        .collect();
    assert!(made.iter().all(|other| other.bytes == made[0].bytes));
    let written = made.iter().filter(|made| !made.timings.encode.is_zero());
    assert_eq!(written.count(), 1);
    assert_eq!(assert_alike(&source, &items), 3);
    let source = opened(&source);
    let same = cost_of_all(&source, &items, u64::MAX);
    assert_eq!(same, cost_of_all(&source, &items[..1], u64::MAX));
}

#[test]
fn what_fails_fails_alone() {
    let source = source(Format::Png, (200, 100), false);
    let nothing = Trim {
        left: Some(crate::options::Length::Pixels(200)),
        ..Trim::default()
    };
    let limits = Limits {
        output_side: 300,
        ..Limits::default()
    };
    let recipes = [
        wide(100, Output::Webp),
        Recipe {
            trim: nothing,
            ..wide(90, Output::Webp)
        },
        Recipe {
            fit: Fit::Contain,
            ..wide(301, JPEG)
        },
        wide(80, Output::Svg),
        wide(70, JPEG),
    ];
    let made = all(&source, &items(recipes), limits, &budget());
    let errors: Vec<Option<TransformError>> = made.into_iter().map(Result::err).collect();
    let [
        None,
        Some(TransformError::ZeroSized),
        Some(too_large),
        Some(no_drawing),
        None,
    ] = &errors[..]
    else {
        panic!("{errors:?}");
    };
    assert!(matches!(
        too_large,
        TransformError::OutputTooLarge { limit: 300, .. }
    ));
    assert_eq!(*no_drawing, TransformError::NotADrawing);
}

#[test]
fn a_damaged_source_fails_every_picture_and_is_decoded_once() {
    let mut source = source(Format::Png, (200, 100), false);
    source.truncate(source.len() / 2);
    let items = items([90, 80, 70].map(|width| wide(width, JPEG)));
    let (made, decodes) = decodes(|| all(&source, &items, Limits::default(), &budget()));
    assert_eq!(decodes, 1);
    let is_damaged = |made: &Result<_, _>| matches!(made, Err(TransformError::Decode(_)));
    assert!(made.iter().all(is_damaged));
}

#[test]
fn one_saliency_map_serves_every_crop_of_its_gravity() {
    let source = source(Format::Jpeg, (400, 300), false);
    let square = |side, gravity| Recipe {
        height: Some(side),
        fit: Fit::Cover,
        gravity,
        ..wide(side, Output::Png)
    };
    let items = items([
        square(150, Gravity::Auto),
        square(160, Gravity::Auto),
        square(170, Gravity::Entropy),
        square(180, Gravity::Center),
    ]);
    // One decode for each of the two gravities that need a map, and one for the pictures.
    assert_eq!(
        decodes(|| all(&source, &items, Limits::default(), &budget())).1,
        3
    );
    assert_alike(&source, &items);
}

#[test]
fn what_is_no_plain_still_is_made_the_ordinary_way() {
    let border = Recipe {
        trim: Trim {
            border: Some(TrimBorder::default()),
            ..Trim::default()
        },
        ..wide(50, JPEG)
    };
    let jpeg = source(Format::Jpeg, (120, 90), false);
    let mixed = items([
        wide(60, Output::Json),
        border,
        wide(60, JPEG),
        wide(40, JPEG),
    ]);
    assert_eq!(assert_alike(&jpeg, &mixed), 4);

    let drawing = b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"20\"><rect width=\"9\" height=\"9\"/></svg>";
    let items = items([wide(10, Output::Webp), wide(20, Output::Json)]);
    let made = all(drawing, &items, Limits::default(), &budget());
    for (item, made) in items.iter().zip(made) {
        let expected = alone(drawing, item).expect("a drawing");
        assert_eq!(made.expect("a drawing").bytes, expected.bytes);
    }
    assert!(cost_of_all(&opened(drawing), &items, u64::MAX).bytes > 0);
}

#[test]
fn animations_move_beside_their_first_frames() {
    let still = Recipe {
        animated: false,
        ..wide(20, Output::Webp)
    };
    let mut small = still.clone();
    small.width = Some(16);
    let items = items([wide(20, Output::Webp), still, small]);
    let source = moving();
    let made = all(&source, &items, Limits::default(), &budget());
    for (item, made) in items.iter().zip(made) {
        let expected = alone(&source, item).expect("an animation");
        assert_eq!(made.expect("an animation").bytes, expected.bytes);
    }
}

/// A GIF of two frames.
fn moving() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for shade in [40, 200] {
        let frame = image::RgbaImage::from_fn(40, 30, |x, _| {
            image::Rgba([shade, x.to_le_bytes()[0], 90, 255])
        });
        encoder
            .encode_frame(image::Frame::new(frame))
            .expect("a GIF in memory");
    }
    drop(encoder);
    bytes
}

#[test]
fn a_source_that_is_smaller_is_passed_on() {
    let source = source(Format::Jpeg, (160, 120), false);
    let own = Recipe {
        quality: Quality::new(100).expect("from 1 to 100"),
        ..wide(160, JPEG)
    };
    let items = items([own, wide(80, JPEG), wide(160, Output::Webp)]);
    let made = all(&source, &items, Limits::default(), &budget());
    let first = made[0].as_ref().expect("a good source");
    assert_eq!(first.warnings.len(), 1, "{:?}", first.warnings);
    assert_eq!(assert_alike(&source, &items), 3);
}
