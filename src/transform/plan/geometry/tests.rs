//! One row per rule: source, box, fit and gravity in; crop and size out.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

use crate::options::{Color, Fit, Border, Gravity, Options, Recipe};

use crate::pixels::{Rect, Size};
use crate::transform::plan::geometry::{Layout, layout, trimmed};
use crate::options::tests::arbitrary::{any_options, any_recipe};

const BOTH: fn(u32, u32) -> (Option<u32>, Option<u32>) =
    |width, height| (Some(width), Some(height));
const WIDTH: fn(u32) -> (Option<u32>, Option<u32>) = |width| (Some(width), None);
const HEIGHT: fn(u32) -> (Option<u32>, Option<u32>) = |height| (None, Some(height));

fn laid_out(
    source: (u32, u32),
    wanted: (Option<u32>, Option<u32>),
    fit: Fit,
    gravity: Gravity,
) -> Layout {
    let recipe = Recipe {
        width: wanted.0,
        height: wanted.1,
        fit,
        gravity,
        ..Recipe::default()
    };
    layout(Size::new(source.0, source.1), &recipe, None)
}

/// The whole source at a new size.
#[track_caller]
fn scales(
    rule: &str,
    source: (u32, u32),
    wanted: (Option<u32>, Option<u32>),
    fit: Fit,
    scaled: (u32, u32),
) {
    let made = laid_out(source, wanted, fit, Gravity::Center);
    assert_eq!(made.scaled, Size::new(scaled.0, scaled.1), "{rule}");
    let whole = Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(source.0),
        height: f64::from(source.1),
    };
    assert_eq!(made.crop, whole, "{rule}: nothing is cut");
    assert_eq!(made.canvas, None, "{rule}: nothing is padded");
}

/// A part of the source at a new size: left, top, width and height of the part.
#[track_caller]
fn cuts(
    rule: &str,
    source: (u32, u32),
    wanted: (u32, u32),
    (fit, gravity): (Fit, Gravity),
    part: (f64, f64, f64, f64),
    scaled: (u32, u32),
) {
    let made = laid_out(source, BOTH(wanted.0, wanted.1), fit, gravity);
    assert_eq!(made.scaled, Size::new(scaled.0, scaled.1), "{rule}");
    let Rect {
        left,
        top,
        width,
        height,
    } = made.crop;
    for (is, should) in [
        (left, part.0),
        (top, part.1),
        (width, part.2),
        (height, part.3),
    ] {
        assert!(
            (is - should).abs() < 0.01,
            "{rule}: cut {:?}, expected {part:?}",
            made.crop
        );
    }
}

/// The whole source on a canvas: size of the picture, and its place.
#[track_caller]
fn pads(rule: &str, source: (u32, u32), wanted: (u32, u32), scaled: (u32, u32), at: (u32, u32)) {
    let made = laid_out(source, BOTH(wanted.0, wanted.1), Fit::Pad, Gravity::Center);
    assert_eq!(made.output(), Size::new(wanted.0, wanted.1), "{rule}");
    assert_eq!(made.scaled, Size::new(scaled.0, scaled.1), "{rule}");
    assert_eq!(
        made.canvas
            .map_or((0, 0), |canvas| (canvas.left, canvas.top)),
        at,
        "{rule}"
    );
}

fn at(x: &str, y: &str) -> Gravity {
    let options: Options = format!("gravity={x}x{y}")
        .parse()
        .expect("the tests write fractions from 0 to 1");
    options.gravity.expect("gravity was just asked for")
}

#[test]
fn scale_down_fits_and_never_enlarges() {
    let fit = Fit::ScaleDown;
    scales("documented: landscape into a square", (1080, 720), BOTH(500, 500), fit, (500, 333));
    scales("documented: a larger box changes nothing", (1080, 720), BOTH(2000, 2000), fit, (1080, 720));
    scales("portrait into a square", (720, 1080), BOTH(500, 500), fit, (333, 500));
    scales("the same size", (640, 480), BOTH(640, 480), fit, (640, 480));
    scales("a box wider than the picture, but lower", (640, 480), BOTH(5000, 240), fit, (320, 240));
    scales("width alone", (1080, 720), WIDTH(540), fit, (540, 360));
    scales("height alone", (1080, 720), HEIGHT(360), fit, (540, 360));
    scales("width alone, larger than the source", (40, 20), WIDTH(100), fit, (40, 20));
    scales("height alone, larger than the source", (40, 20), HEIGHT(100), fit, (40, 20));
    scales("a sliver keeps one pixel", (5000, 1), BOTH(100, 100), fit, (100, 1));
    scales("a standing sliver keeps one pixel", (1, 5000), BOTH(100, 100), fit, (1, 100));
    scales("one pixel", (1, 1), BOTH(1, 1), fit, (1, 1));
    scales("an odd size rounds to the nearest", (2725, 2225), WIDTH(800), fit, (800, 653));
    scales("neither side", (2725, 2225), (None, None), fit, (2725, 2225));
    scales("half a pixel rounds up", (4, 3), WIDTH(2), fit, (2, 2));
}

#[test]
fn contain_fits_and_enlarges() {
    let fit = Fit::Contain;
    scales("smaller box", (1080, 720), BOTH(500, 500), fit, (500, 333));
    scales("larger box", (40, 20), BOTH(100, 100), fit, (100, 50));
    scales("one dimension is matched exactly", (40, 20), WIDTH(100), fit, (100, 50));
    scales("the other one too", (40, 20), HEIGHT(100), fit, (200, 100));
    scales("a sliver enlarged", (5000, 1), WIDTH(10_000), fit, (10_000, 2));
    scales("neither side", (40, 20), (None, None), fit, (40, 20));
    scales("one pixel enlarged", (1, 1), BOTH(300, 200), fit, (200, 200));
    scales("the full box where the ratio is the same", (40, 20), BOTH(80, 40), fit, (80, 40));
}

#[test]
fn scale_up_never_shrinks() {
    let fit = Fit::ScaleUp;
    scales("larger sources stay", (1080, 720), BOTH(500, 500), fit, (1080, 720));
    scales("smaller ones fill the box", (40, 20), BOTH(100, 100), fit, (100, 50));
    scales("one side larger than the box", (200, 20), BOTH(100, 100), fit, (200, 20));
    scales("width alone", (40, 20), WIDTH(100), fit, (100, 50));
    scales("width alone, smaller", (40, 20), WIDTH(10), fit, (40, 20));
    scales("height alone, smaller", (40, 20), HEIGHT(10), fit, (40, 20));
}

#[test]
fn squeeze_distorts() {
    let fit = Fit::Squeeze;
    scales("documented: half the height", (1080, 720), BOTH(1080, 540), fit, (1080, 540));
    scales("both axes apart", (100, 100), BOTH(50, 200), fit, (50, 200));
    scales("one side alone keeps the ratio", (100, 50), WIDTH(50), fit, (50, 25));
    scales("down to one pixel", (5000, 4000), BOTH(1, 1), fit, (1, 1));
}

#[test]
fn cover_fills_the_box_and_cuts_the_rest() {
    let centre = (Fit::Cover, Gravity::Center);
    cuts("documented: 750x500 inside, 500x500 out", (1080, 720), (500, 500), centre, (180.0, 0.0, 720.0, 720.0), (500, 500));
    cuts("portrait", (720, 1080), (500, 500), centre, (0.0, 180.0, 720.0, 720.0), (500, 500));
    cuts("enlarges", (40, 20), (100, 100), centre, (10.0, 0.0, 20.0, 20.0), (100, 100));
    cuts("same ratio cuts nothing", (1080, 720), (540, 360), centre, (0.0, 0.0, 1080.0, 720.0), (540, 360));
    cuts("a cut between pixels stays exact", (1001, 500), (100, 100), centre, (250.5, 0.0, 500.0, 500.0), (100, 100));
    cuts("left", (1080, 720), (500, 500), (Fit::Cover, Gravity::Left), (0.0, 0.0, 720.0, 720.0), (500, 500));
    cuts("right", (1080, 720), (500, 500), (Fit::Cover, Gravity::Right), (360.0, 0.0, 720.0, 720.0), (500, 500));
    cuts("top", (720, 1080), (500, 500), (Fit::Cover, Gravity::Top), (0.0, 0.0, 720.0, 720.0), (500, 500));
    cuts("bottom", (720, 1080), (500, 500), (Fit::Cover, Gravity::Bottom), (0.0, 360.0, 720.0, 720.0), (500, 500));
    cuts("left means nothing where height is cut", (720, 1080), (500, 500), (Fit::Cover, Gravity::Left), (0.0, 180.0, 720.0, 720.0), (500, 500));
    cuts("documented: 0.33x0.5 of 900x900 at 300x900", (900, 900), (300, 900), (Fit::Cover, at("0.33", "0.5")), (198.0, 0.0, 300.0, 900.0), (300, 900));
    cuts("0x1 is bottom-left", (100, 200), (50, 50), (Fit::Cover, at("0", "1")), (0.0, 100.0, 100.0, 100.0), (50, 50));
    cuts("1x0 is top-right", (200, 100), (50, 50), (Fit::Cover, at("1", "0")), (100.0, 0.0, 100.0, 100.0), (50, 50));
    cuts("0.5x0.5 is the centre", (200, 100), (50, 50), (Fit::Cover, at("0.5", "0.5")), (50.0, 0.0, 100.0, 100.0), (50, 50));
    cuts("the point is of the rest, not the middle of the box", (1000, 500), (500, 500), (Fit::Cover, at("0.25", "0.5")), (125.0, 0.0, 500.0, 500.0), (500, 500));
    cuts("a sliver out of a square", (1000, 1000), (1000, 1), centre, (0.0, 499.5, 1000.0, 1.0), (1000, 1));
    scales("width alone: nothing is cut", (1080, 720), WIDTH(540), Fit::Cover, (540, 360));
    scales("height alone: nothing is cut, and it enlarges", (40, 20), HEIGHT(40), Fit::Cover, (80, 40));
}

#[test]
fn crop_cuts_without_enlarging() {
    let centre = (Fit::Crop, Gravity::Center);
    cuts("documented: smaller than the box, untouched", (1080, 720), (1296, 1296), centre, (0.0, 0.0, 1080.0, 720.0), (1080, 720));
    cuts("larger: like cover", (1080, 720), (500, 500), centre, (180.0, 0.0, 720.0, 720.0), (500, 500));
    cuts("one side larger: cut at native size", (1000, 100), (500, 500), centre, (250.0, 0.0, 500.0, 100.0), (500, 100));
    cuts("the other side larger", (100, 1000), (500, 500), (Fit::Crop, Gravity::Top), (0.0, 0.0, 100.0, 500.0), (100, 500));
    cuts("bottom", (100, 1000), (500, 500), (Fit::Crop, Gravity::Bottom), (0.0, 500.0, 100.0, 500.0), (100, 500));
    cuts("native cuts lie on whole pixels", (1001, 100), (500, 500), centre, (251.0, 0.0, 500.0, 100.0), (500, 100));
    cuts("the same size", (500, 400), (500, 400), centre, (0.0, 0.0, 500.0, 400.0), (500, 400));
    scales("width alone never enlarges", (40, 20), WIDTH(100), Fit::Crop, (40, 20));
    scales("width alone shrinks", (40, 20), WIDTH(20), Fit::Crop, (20, 10));
}

#[test]
fn aspect_crop_keeps_the_ratio_of_the_box() {
    let centre = (Fit::AspectCrop, Gravity::Center);
    cuts("documented: 612x613 at 1920x1120", (612, 613), (1920, 1120), centre, (0.0, 128.0, 612.0, 357.0), (612, 357));
    cuts("larger: like cover", (1080, 720), (500, 500), centre, (180.0, 0.0, 720.0, 720.0), (500, 500));
    cuts("a square box of a small landscape", (300, 200), (1000, 1000), centre, (50.0, 0.0, 200.0, 200.0), (200, 200));
    cuts("left", (300, 200), (1000, 1000), (Fit::AspectCrop, Gravity::Left), (0.0, 0.0, 200.0, 200.0), (200, 200));
    cuts("one side larger than the box", (1000, 100), (500, 500), centre, (450.0, 0.0, 100.0, 100.0), (100, 100));
    cuts("the same ratio", (300, 200), (3000, 2000), centre, (0.0, 0.0, 300.0, 200.0), (300, 200));
    scales("width alone", (300, 200), WIDTH(150), Fit::AspectCrop, (150, 100));
}

#[test]
fn pad_fills_the_box_with_background() {
    pads("documented: 1080x720 at 1080x1080", (1080, 720), (1080, 1080), (1080, 720), (0, 180));
    pads("shrinks to fit", (1080, 720), (500, 500), (500, 333), (0, 83));
    pads("enlarges to fit", (40, 20), (100, 100), (100, 50), (0, 25));
    pads("bars left and right", (20, 40), (100, 100), (50, 100), (25, 0));
    pads("the same ratio needs no canvas", (40, 20), (80, 40), (80, 40), (0, 0));
    pads("an odd rest goes below", (100, 50), (100, 101), (100, 50), (0, 25));
    pads("a sliver", (5000, 1), (100, 100), (100, 1), (0, 49));
    scales("width alone: there is no box", (40, 20), WIDTH(100), Fit::Pad, (100, 50));
    scales("neither side", (40, 20), (None, None), Fit::Pad, (40, 20));
}

fn any_fit() -> impl Strategy<Value = Fit> {
    prop_oneof![
        Just(Fit::ScaleDown),
        Just(Fit::Contain),
        Just(Fit::Cover),
        Just(Fit::Crop),
        Just(Fit::AspectCrop),
        Just(Fit::Pad),
        Just(Fit::Squeeze),
        Just(Fit::ScaleUp),
    ]
}

proptest! {
    #[test]
    fn every_layout_stays_inside_its_source_and_its_box(
        source in (1..70_000u32, 1..70_000u32),
        width in proptest::option::of(1..12_001u32),
        height in proptest::option::of(1..12_001u32),
        fit in any_fit(),
        gravity in (any::<bool>(), any::<bool>()),
    ) {
        let gravity = at(if gravity.0 { "1" } else { "0.3" }, if gravity.1 { "0" } else { "0.7" });
        let made = laid_out(source, (width, height), fit, gravity);
        let Rect { left, top, width: cut_width, height: cut_height } = made.crop;
        prop_assert!(left >= 0.0 && top >= 0.0 && cut_width > 0.0 && cut_height > 0.0);
        prop_assert!(left + cut_width <= f64::from(source.0) + 1e-6);
        prop_assert!(top + cut_height <= f64::from(source.1) + 1e-6);
        prop_assert!(made.scaled.width >= 1 && made.scaled.height >= 1);
        let output = made.output();
        match fit {
            Fit::ScaleDown | Fit::Crop | Fit::AspectCrop => {
                prop_assert!(output.width <= source.0 && output.height <= source.1, "never enlarged");
            }
            Fit::ScaleUp => prop_assert!(output.width >= source.0 && output.height >= source.1, "never shrunk"),
            Fit::Cover | Fit::Pad | Fit::Squeeze => {
                if let (Some(width), Some(height)) = (width, height) {
                    prop_assert_eq!(output, Size::new(width, height));
                }
            }
            Fit::Contain => {}
        }
        if let (Some(width), Some(height), true) = (width, height, fit != Fit::ScaleUp) {
            prop_assert!(output.width <= width && output.height <= height, "inside the box");
        }
        if let Some(canvas) = made.canvas {
            prop_assert!(canvas.left + made.scaled.width <= canvas.size.width);
            prop_assert!(canvas.top + made.scaled.height <= canvas.size.height);
        }
    }
}

/// What `trim` leaves of a source of 400x200: left, top, width and height.
#[track_caller]
fn leaves(options: &str, expected: Option<(u32, u32, u32, u32)>) {
    let options: Options = options.parse().expect("the table holds valid options");
    let left = trimmed(Size::new(400, 200), &options.combined_trim());
    let left = left.map(|rect| (rect.left, rect.top, rect.width, rect.height));
    assert_eq!(left, expected, "{options}");
}

#[test]
fn section_2_20_trim_by_amounts() {
    leaves("trim=10;20;30;40", Some((40, 10, 340, 160)));
    leaves("trim=10%3B20%3B30%3B40", Some((40, 10, 340, 160)));
    // A number below 1 is a part of that side; 1 is a pixel.
    leaves("trim=0.1;0.2;0.1;0.2", Some((80, 20, 240, 160)));
    leaves("trim.top=0.25", Some((0, 50, 400, 150)));
    leaves("trim.top=1", Some((0, 1, 400, 199)));
    leaves("trim.left=100,trim.top=50", Some((100, 50, 300, 150)));
    leaves("trim.right=100,trim.bottom=50", Some((0, 0, 300, 150)));
    // Left and top with width and height are a rectangle.
    leaves("trim.left=100,trim.top=50,trim.width=20,trim.height=10", Some((100, 50, 20, 10)));
    leaves("trim.width=0.5,trim.height=0.5", Some((0, 0, 200, 100)));
    leaves("trim.left=300,trim.width=200", Some((300, 0, 100, 200)));
    leaves("trim.width=1000", Some((0, 0, 400, 200)));
    // Nothing is left.
    leaves("trim=100;0;100;0", None);
    leaves("trim.left=400", None);
    leaves("trim.left=4000", None);
    leaves("trim.width=0", None);
    leaves("trim=0;4294967295;0;4294967295", None);
}

#[test]
fn a_reduced_layout_keeps_its_proportions() {
    let recipe = Recipe {
        width: Some(1000),
        height: Some(500),
        fit: Fit::Pad,
        border: Some(Border { color: Color::BLACK, top: 240, right: 500, bottom: 260, left: 500 }),
        ..Recipe::default()
    };
    let whole = layout(Size::new(300, 300), &recipe, None);
    assert_eq!(whole.output(), Size::new(2000, 1000));
    let small = whole.reduced(100);
    assert_eq!(small.output(), Size::new(100, 50));
    assert_eq!(small.scaled, Size::new(25, 25));
    assert_eq!(small.crop, whole.crop);
    let canvas = small.canvas.expect("pad leaves room");
    assert_eq!((canvas.size, canvas.left, canvas.top), (Size::new(50, 25), 13, 0));
    assert_eq!(whole.reduced(2000), whole);
}

#[test]
fn what_is_found_in_the_picture_moves_the_crop() {
    let recipe = Recipe { width: Some(50), height: Some(100), fit: Fit::Cover, gravity: Gravity::Auto, ..Recipe::default() };
    let focus = |window: (f64, f64)| {
        assert_eq!(window, (0.25, 1.0), "half as wide as high, of a picture twice as wide");
        (1.0, 0.3)
    };
    let made = layout(Size::new(400, 200), &recipe, Some(&focus));
    assert_eq!((made.crop.left, made.crop.top), (300.0, 0.0));
    assert_eq!(layout(Size::new(400, 200), &recipe, None).crop.left, 150.0, "where nothing was found, the centre");
}

proptest! {
    #[test]
    fn trim_stays_inside(options in any_options(), (width, height) in (1..=5000_u32, 1..=5000_u32)) {
        if let Some(rect) = trimmed(Size::new(width, height), &options.combined_trim()) {
            prop_assert!(rect.width > 0 && rect.height > 0);
            prop_assert!(rect.left + rect.width <= width && rect.top + rect.height <= height);
        }
    }

    #[test]
    fn a_reduced_layout_holds_its_picture(recipe in any_recipe(), longest in 1..=200_u32, (width, height) in (1..=3000_u32, 1..=3000_u32)) {
        let small = layout(Size::new(width, height), &recipe, None).reduced(longest);
        if let Some(canvas) = small.canvas {
            prop_assert!(canvas.left + small.scaled.width <= canvas.size.width);
            prop_assert!(canvas.top + small.scaled.height <= canvas.size.height);
        }
    }
}
