//! Golden pictures: renders are compared with approved pictures by how they look, not by bytes. A person has looked at each golden.
//! `CREATE_GOLDEN=1` writes missing goldens and never replaces one: to change a golden, delete it first.

mod looks;

use std::env;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::DynamicImage;
use image::ImageFormat;
use image::Rgba;
use image::RgbaImage;
use safelight::config::Config;
use safelight::options::{Format, Options};
use safelight::policy::Policy;
use safelight::request::Accept;
use safelight::transform::Encoded;

/// How similar a picture and its golden must be, where neither was compressed with loss: the resampling is the same in every build. Another
/// decoder gives a photograph whose samples differ by one now and then; if such a picture is blurred strongly, the score is 0.938.
const EXACT: f64 = if cfg!(feature = "native") {
    0.996
} else {
    0.93
};

/// The same for palettes: a difference of one in a few samples may change the chosen colours.
const FEW_COLORS: f64 = if cfg!(feature = "native") { 0.98 } else { 0.92 };

/// The same for lossy encoders. The encoders of the portable build leave other noise in flat areas, which is invisible but lowers this score:
/// a soft disc by the other AVIF encoder scores 0.76. A mirrored card scores 0.3.
const LOSSY: f64 = if cfg!(feature = "native") { 0.97 } else { 0.75 };

/// The largest mean difference of samples, of 255, with colours weighted by alpha. The other AVIF encoder reaches 2.8.
const OFF: f64 = 4.0;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Renders a source with the options of a URL, by the policy of the shipped settings.
fn render(source: &[u8], options: &str) -> Encoded {
    let (parsed, warnings) = Options::parse(options).expect("the options are right");
    assert!(warnings.is_empty(), "`{options}`: {warnings:?}");
    let config = Config::default();
    let policy = Policy::new(&config.policy(), config.zone, Vec::new())
        .expect("the shipped settings are right");
    let accept = Accept {
        avif: true,
        webp: true,
        ..Accept::default()
    };
    let (recipe, warnings) = policy
        .decide(&parsed, accept)
        .expect("nothing is too large");
    assert!(warnings.is_empty(), "`{options}`: {warnings:?}");
    looks::render(source, &recipe).unwrap_or_else(|error| panic!("`{options}`: {error}"))
}

/// Renders a source, and compares the result with the golden `name`. Size and transparency must be the same.
#[track_caller]
fn check(name: &str, source: &[u8], options: &str, format: Format) {
    let made = render(source, options);
    assert_eq!(made.format, format, "{name}");
    let bound = match format {
        Format::Png => EXACT,
        _ => LOSSY,
    };
    assert_looks_like(&looks::pixels(&made.bytes), name, bound);
}

/// Compares a picture with the golden `name`.
#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "this is a switch of the tests, no setting of the program"
)]
fn assert_looks_like(actual: &RgbaImage, name: &str, bound: f64) {
    let golden = root().join("tests/golden").join(format!("{name}.png"));
    if !golden.exists() {
        assert!(
            env::var_os("CREATE_GOLDEN").is_some(),
            "there is no tests/golden/{name}.png: write it with `CREATE_GOLDEN=1 cargo test --test golden`, and look at it"
        );
        save(actual, &golden);
        return;
    }
    let expected = image::open(&golden)
        .expect("a golden is a PNG")
        .into_rgba8();
    let found = (expected.dimensions() == actual.dimensions()).then(|| {
        image_compare::rgba_hybrid_compare(&expected, actual).expect("both have the same size")
    });
    let score = found.as_ref().map_or(0.0, |found| found.score);
    let off = found
        .as_ref()
        .map_or(255.0, |_| mean_off(&expected, actual));
    if score >= bound && off <= OFF {
        return;
    }
    let folder = root().join("target/golden");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let kept = |what: &str| folder.join(format!("{name}.{what}.png"));
    save(actual, &kept("actual"));
    if let Some(found) = found {
        let difference = found.image.to_color_map().into_rgba8();
        save(&difference, &kept("difference"));
    }
    panic!(
        "{name}: {:?} scores {score:.4} against {:?}, at least {bound} is wanted; samples are off by {off:.1}, at most {OFF}. Look at target/golden/{name}.actual.png and \
         .difference.png; where the new picture is right, delete tests/golden/{name}.png and run \
         `CREATE_GOLDEN=1 cargo test --test golden`",
        actual.dimensions(),
        expected.dimensions(),
    );
}

/// The mean difference of the samples of two pictures of the same size. The colour of transparent pixels does not count.
fn mean_off(one: &RgbaImage, other: &RgbaImage) -> f64 {
    let weighed = |pixel: &Rgba<u8>| {
        let [red, green, blue, alpha] = pixel.0.map(i32::from);
        [red, green, blue, 255].map(|sample| sample * alpha / 255)
    };
    let sum: i32 = one
        .pixels()
        .zip(other.pixels())
        .map(|(one, other)| (weighed(one), weighed(other)))
        .map(|(one, other)| (0..4).map(|at| (one[at] - other[at]).abs()).sum::<i32>())
        .sum();
    f64::from(sum) / f64::from(4 * one.width() * one.height())
}

fn save(picture: &RgbaImage, path: &PathBuf) {
    let picture = DynamicImage::from(picture.clone());
    let is_opaque = picture
        .as_rgba8()
        .is_some_and(|picture| picture.pixels().all(|pixel| pixel[3] == 255));
    let saved = if is_opaque {
        picture.into_rgb8().save(path)
    } else {
        picture.save(path)
    };
    saved.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn png(picture: &RgbaImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .expect("memory takes everything");
    bytes
}

/// A test card on which every side, corner and direction looks different: a red top, a blue bottom, a green left and a yellow right edge around
/// a grey ramp with a disc left of the middle, an arrow to the right and fine lines.
fn card(width: u32, height: u32) -> RgbaImage {
    let edge = height / 10;
    RgbaImage::from_fn(width, height, |x, y| {
        let (across, down) = (i64::from(x * 240 / width), i64::from(y * 160 / height));
        let ramp = u8::try_from(60 + across * 140 / 240).expect("at most 200");
        let color = if y < edge {
            [220, 40, 40]
        } else if y >= height - edge {
            [40, 60, 200]
        } else if x < edge {
            [40, 160, 60]
        } else if x >= width - edge {
            [230, 200, 40]
        } else if (across - 80).pow(2) + (down - 70).pow(2) < 35 * 35 {
            [250, 240, 230]
        } else if (130..205).contains(&across) && (down - 70).abs() * 2 < 205 - across {
            [30, 30, 30]
        } else if (120..136).contains(&down) && across % 8 < 4 {
            [200, 120, 180]
        } else {
            [ramp, ramp, ramp]
        };
        Rgba([color[0], color[1], color[2], 255])
    })
}

fn landscape() -> Vec<u8> {
    png(&card(240, 160))
}

fn portrait() -> Vec<u8> {
    png(&card(120, 200))
}

fn little() -> Vec<u8> {
    png(&card(48, 32))
}

/// A soft disc: opaque in the middle, transparent in the corners. Transparent pixels are green, so that bleeding colour is visible.
fn disc() -> Vec<u8> {
    png(&RgbaImage::from_fn(160, 120, |x, y| {
        let (across, down) = (i64::from(x) - 80, i64::from(y) - 60);
        let far = (across.pow(2) + down.pow(2)) / 30;
        let alpha = u8::try_from((300 - far * 3).clamp(0, 255)).expect("it is clamped");
        match alpha {
            0 => Rgba([0, 255, 0, 0]),
            _ if down < 0 => Rgba([200, 30, 90, alpha]),
            _ => Rgba([30, 60, 200, alpha]),
        }
    }))
}

fn photo(name: &str) -> Vec<u8> {
    fs::read(root().join("examples/photos").join(name)).expect("the photograph is there")
}

/// The card as a JPEG with an EXIF orientation. The block is the shortest possible one: a TIFF header and one entry.
fn turned_card(orientation: u8) -> Vec<u8> {
    let stored = render(&landscape(), "format=baseline-jpeg,quality=95").bytes;
    let exif = [
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0",
        &[orientation][..],
        b"\0\0\0\0\0\0",
    ]
    .concat();
    let length = u16::try_from(exif.len() + 2)
        .expect("a short block")
        .to_be_bytes();
    [&stored[..2], b"\xFF\xE1", &length, &exif, &stored[2..]].concat()
}

#[test]
fn every_fit_in_a_square() {
    for fit in [
        "scale-down",
        "contain",
        "cover",
        "crop",
        "aspect-crop",
        "pad",
        "squeeze",
        "scale-up",
    ] {
        for (name, source) in [
            ("landscape", landscape()),
            ("portrait", portrait()),
            ("little", little()),
        ] {
            let options = format!("width=80,height=80,fit={fit},format=png-force");
            check(&format!("fit_{fit}_{name}"), &source, &options, Format::Png);
        }
    }
}

#[test]
fn gravity_keeps_a_side_or_a_point() {
    for gravity in ["left", "right", "center", "0.25x0.5", "0.8x0.1"] {
        let options = format!("width=60,height=80,fit=cover,gravity={gravity},format=png-force");
        check(
            &format!("gravity_{gravity}_landscape"),
            &landscape(),
            &options,
            Format::Png,
        );
    }
    for gravity in ["top", "bottom", "0.5x0.25"] {
        let options = format!("width=80,height=60,fit=cover,gravity={gravity},format=png-force");
        check(
            &format!("gravity_{gravity}_portrait"),
            &portrait(),
            &options,
            Format::Png,
        );
    }
    for gravity in ["left", "0.9x0.5"] {
        let options = format!("width=20,height=40,fit=crop,gravity={gravity},format=png-force");
        check(
            &format!("gravity_{gravity}_crop"),
            &little(),
            &options,
            Format::Png,
        );
    }
}

#[test]
fn backgrounds_pad_and_flatten() {
    for (name, source, options) in [
        (
            "pad_teal",
            landscape(),
            "width=80,height=80,fit=pad,background=teal,format=png-force",
        ),
        (
            "pad_half_red",
            landscape(),
            "width=80,height=80,fit=pad,background=%23ff000080,format=png-force",
        ),
        (
            "pad_clear",
            portrait(),
            "width=80,height=80,fit=pad,background=transparent,format=png-force",
        ),
        (
            "pad_disc",
            disc(),
            "width=80,height=80,fit=pad,format=png-force",
        ),
        (
            "pad_disc_teal",
            disc(),
            "width=80,height=80,fit=pad,background=teal,format=png-force",
        ),
        (
            "flatten_orange",
            disc(),
            "width=80,background=orange,format=png-force",
        ),
        (
            "flatten_half_orange",
            disc(),
            "width=80,background=%23ffa50080,format=png-force",
        ),
    ] {
        check(name, &source, options, Format::Png);
    }
    check(
        "flatten_white_jpeg",
        &disc(),
        "width=80,format=jpeg",
        Format::Jpeg,
    );
    check(
        "flatten_orange_jpeg",
        &disc(),
        "width=80,background=orange,format=jpeg",
        Format::Jpeg,
    );
}

#[test]
fn dpr_multiplies_the_box() {
    check(
        "dpr_2",
        &landscape(),
        "width=50,height=40,dpr=2,fit=cover,format=png-force",
        Format::Png,
    );
    check(
        "dpr_half",
        &landscape(),
        "width=160,dpr=0.5,format=png-force",
        Format::Png,
    );
}

#[test]
fn transparency_is_kept_and_does_not_bleed() {
    check(
        "alpha_png",
        &disc(),
        "width=60,format=png-force",
        Format::Png,
    );
    check("alpha_compatible", &disc(), "width=60", Format::Png);
    check(
        "alpha_enlarged",
        &disc(),
        "width=200,fit=contain,format=png-force",
        Format::Png,
    );
    check("alpha_webp", &disc(), "width=60,format=webp", Format::Webp);
    check(
        "alpha_webp_lossless",
        &disc(),
        "width=60,format=webp,quality=100",
        Format::Webp,
    );
    check("alpha_avif", &disc(), "width=60,format=avif", Format::Avif);
    check(
        "alpha_fig",
        &photo("fig.png"),
        "width=100,format=png-force",
        Format::Png,
    );
    check(
        "alpha_fig_avif",
        &photo("fig.png"),
        "width=100,format=avif",
        Format::Avif,
    );
    check(
        "alpha_fig_webp",
        &photo("fig.png"),
        "width=100,format=webp",
        Format::Webp,
    );
}

#[test]
fn every_format_shows_the_same_photograph() {
    for (name, options, format) in [
        ("png", "format=png-force", Format::Png),
        ("jpeg", "format=jpeg", Format::Jpeg),
        // These two differ only in the order of the coefficients.
        ("jpeg", "format=baseline-jpeg", Format::Jpeg),
        ("webp", "format=webp", Format::Webp),
        ("webp_lossless", "format=webp,quality=100", Format::Webp),
        ("avif", "format=avif", Format::Avif),
        ("low_jpeg", "format=jpeg,quality=low", Format::Jpeg),
        ("high_jpeg", "format=jpeg,quality=high", Format::Jpeg),
        ("low_webp", "format=webp,quality=low", Format::Webp),
        ("low_avif", "format=avif,quality=low", Format::Avif),
    ] {
        // At a low quality each encoder loses other details.
        if matches!(name, "low_avif" | "low_jpeg") && cfg!(not(feature = "native")) {
            continue;
        }
        let options = format!("width=120,{options}");
        check(
            &format!("photo_{name}"),
            &photo("mountains.jpg"),
            &options,
            format,
        );
    }
}

/// The source is so large that three eighths of each block are decoded: see `DecodeScale`.
#[test]
fn a_photograph_at_a_quarter_of_its_size() {
    check(
        "photo_quarter",
        &photo("mountains.jpg"),
        "width=320,format=jpeg,quality=75",
        Format::Jpeg,
    );
}

#[test]
fn photographs_are_cropped_to_the_requested_part() {
    check(
        "dogs_cover",
        &photo("dogs.jpg"),
        "width=90,height=90,fit=cover,gravity=0.5x0.3,format=png-force",
        Format::Png,
    );
    check(
        "dandelion_cover",
        &photo("dandelion.jpg"),
        "width=120,height=50,fit=cover,gravity=right,format=jpeg",
        Format::Jpeg,
    );
    check(
        "mountains_odd",
        &photo("mountains.jpg"),
        "width=101,height=57,fit=squeeze,format=webp",
        Format::Webp,
    );
}

#[test]
fn enlarging_is_smooth() {
    check(
        "enlarged_png",
        &little(),
        "width=144,fit=contain,format=png-force",
        Format::Png,
    );
    check(
        "enlarged_scale_up",
        &little(),
        "width=100,height=100,fit=scale-up,format=png-force",
        Format::Png,
    );
    check(
        "enlarged_cover",
        &little(),
        "width=100,height=100,fit=cover,gravity=right,format=png-force",
        Format::Png,
    );
    check(
        "enlarged_avif",
        &little(),
        "width=144,fit=contain,format=avif",
        Format::Avif,
    );
}

#[test]
fn orientations_are_baked_in() {
    for orientation in 1..=8 {
        let source = turned_card(orientation);
        check(
            &format!("orientation_{orientation}"),
            &source,
            "width=90,format=png-force",
            Format::Png,
        );
        // The path for planes, which rotates and halves chroma in its own way, gives the same picture.
        let made = render(&source, "width=90,format=jpeg,quality=95");
        let name = format!("orientation_{orientation}");
        assert_looks_like(&looks::pixels(&made.bytes), &name, LOSSY);
    }
    // Cropped in upright coordinates: the green edge, stored on the left, is at the top.
    check(
        "orientation_6_cover_top",
        &turned_card(6),
        "width=60,height=60,fit=cover,gravity=top,format=webp",
        Format::Webp,
    );
}

/// The card in an almost white frame, as scanners leave it.
fn framed_card() -> Vec<u8> {
    let mut framed = RgbaImage::from_fn(200, 150, |x, y| {
        let noise = u8::try_from((x * 7 + y * 13) % 4).expect("at most 3");
        Rgba([250 + noise, 248 + noise, 250 + noise, 255])
    });
    image::imageops::replace(&mut framed, &card(120, 80), 30, 45);
    png(&framed)
}

#[test]
fn trim_cuts_amounts_and_borders() {
    for (name, options) in [
        ("sides", "trim=16;60;40;24"),
        ("shares", "trim=0.25;0.1;0.25;0.5"),
        (
            "rectangle",
            "trim.left=60,trim.top=20,trim.width=100,trim.height=80",
        ),
        ("dpr", "trim=10;10;10;10,dpr=2,width=60"),
        (
            "cover",
            "trim.left=0.5,width=60,height=60,fit=cover,gravity=right",
        ),
    ] {
        let options = format!("{options},format=png-force");
        check(&format!("trim_{name}"), &landscape(), &options, Format::Png);
    }
    for (name, options) in [
        ("border", "trim=border"),
        ("border_keep", "trim=border,trim.border.keep=10"),
        (
            "border_color",
            "trim.border.color=white,trim.border.tolerance=8",
        ),
        // The frame is not green, so nothing is cut.
        ("border_other", "trim.border.color=lime"),
        ("border_resized", "trim=border,width=60,rotate=90"),
    ] {
        let options = format!("{options},format=png-force");
        check(
            &format!("trim_{name}"),
            &framed_card(),
            &options,
            Format::Png,
        );
    }
}

#[test]
fn pictures_are_mirrored_and_then_rotated() {
    for options in [
        "flip=h",
        "flip=v",
        "flip=hv",
        "rotate=90",
        "rotate=180",
        "rotate=270",
        "flip=h,rotate=90",
    ] {
        let name = format!("turned_{}", options.replace([',', '='], "_"));
        let options = format!("{options},width=90,format=png-force");
        check(&name, &landscape(), &options, Format::Png);
        // The same together with an EXIF orientation, on the path for planes.
        let options = options.replace("format=png-force", "format=jpeg,quality=95");
        let made = render(&turned_card(6), &options.replace("width=90", "height=90"));
        assert_eq!(made.format, Format::Jpeg);
        check_turned(&options, &made);
    }
    check(
        "turned_cover",
        &landscape(),
        "rotate=90,width=60,height=60,fit=cover,gravity=top,format=png-force",
        Format::Png,
    );
}

/// Options apply to the upright picture: the same options on an upright source must give the same result.
#[track_caller]
fn check_turned(options: &str, made: &Encoded) {
    let upright = looks::pixels(&render(&turned_card(6), "format=png-force").bytes);
    let truth = render(&png(&upright), &options.replace("width=90", "height=90"));
    let found = image_compare::rgba_hybrid_compare(
        &looks::pixels(&truth.bytes),
        &looks::pixels(&made.bytes),
    )
    .expect("both have the same size");
    assert!(found.score > LOSSY, "{options}: {}", found.score);
}

#[test]
fn borders_surround_the_picture() {
    for (name, source, options) in [
        (
            "all",
            landscape(),
            "width=80,border.width=5,border.color=teal",
        ),
        (
            "sides",
            landscape(),
            "width=80,border.top=10,border.left=3,border.color=%23ff8800",
        ),
        (
            "dpr",
            landscape(),
            "width=40,dpr=2,border.width=4,border.bottom=0",
        ),
        (
            "clear",
            disc(),
            "width=80,border.width=6,border.color=rgb(255 0 0 / 50%25)",
        ),
        (
            "pad",
            portrait(),
            "width=80,height=80,fit=pad,background=gold,border.width=3,border.color=navy",
        ),
    ] {
        let options = format!("{options},format=png-force");
        check(&format!("border_{name}"), &source, &options, Format::Png);
    }
}

#[test]
fn effects_change_colour_and_sharpness() {
    for effect in [
        "blur=1",
        "blur=4",
        "blur=40",
        "sharpen=1",
        "sharpen=6",
        "brightness=0.5",
        "brightness=1.5",
        "contrast=0.5",
        "contrast=1.8",
        "gamma=0.5",
        "gamma=2.2",
        "saturation=0",
        "saturation=0.5",
        "saturation=2",
    ] {
        let name = effect.replace('=', "_");
        let options = format!("width=120,{effect},format=png-force");
        check(
            &format!("effect_{name}"),
            &photo("dogs.jpg"),
            &options,
            Format::Png,
        );
    }
    for (name, source, options) in [
        (
            "padded",
            landscape(),
            "width=80,height=80,fit=pad,background=red,blur=6,brightness=0.7",
        ),
        (
            "alpha",
            disc(),
            "width=80,blur=5,saturation=0.3,contrast=1.2",
        ),
        (
            "together",
            photo("dandelion.jpg"),
            "width=120,brightness=1.1,contrast=1.2,gamma=0.8,saturation=1.4,sharpen=1",
        ),
    ] {
        let options = format!("{options},format=png-force");
        check(&format!("effect_{name}"), &source, &options, Format::Png);
    }
    // For JPEG, transparent pixels become white before the effects, not after them.
    check(
        "effect_flattened",
        &disc(),
        "width=80,brightness=0.6,format=jpeg",
        Format::Jpeg,
    );
}

#[test]
fn gravity_auto_keeps_the_salient_part() {
    for (name, source) in [
        ("dogs", photo("dogs.jpg")),
        ("dandelion", photo("dandelion.jpg")),
        ("mountains", photo("mountains.jpg")),
        ("card", landscape()),
    ] {
        for (form, size) in [
            ("square", "width=80,height=80"),
            ("tall", "width=40,height=100"),
            ("wide", "width=120,height=40"),
        ] {
            // Nothing in these pictures is salient, so tiny differences between decoders decide where they are cropped.
            let is_close = name == "mountains" || (name, form) == ("dogs", "wide");
            if is_close && cfg!(not(feature = "native")) {
                continue;
            }
            let options = format!("{size},fit=cover,gravity=auto,format=png-force");
            check(
                &format!("auto_{name}_{form}"),
                &source,
                &options,
                Format::Png,
            );
        }
    }
    check(
        "entropy_card",
        &landscape(),
        "width=80,height=80,fit=cover,gravity=entropy,format=png-force",
        Format::Png,
    );
}

#[test]
fn png_with_a_quality_has_a_palette() {
    for (name, source, options) in [
        ("photo", photo("dogs.jpg"), "width=120,quality=80"),
        ("photo_low", photo("dogs.jpg"), "width=120,quality=10"),
        ("alpha", photo("fig.png"), "width=120,quality=80"),
    ] {
        let whole = render(&source, "width=120,format=png-force");
        let options = format!("{options},format=png-force");
        let made = render(&source, &options);
        assert!(
            made.bytes.len() < whole.bytes.len() * 2 / 3,
            "{name}: {} of {} bytes",
            made.bytes.len(),
            whole.bytes.len()
        );
        let golden = format!("palette_{name}");
        assert_looks_like(&looks::pixels(&made.bytes), &golden, FEW_COLORS);
    }
}

#[test]
fn low_quality_differs_more_from_the_original_than_high() {
    let source = photo("mountains.jpg");
    let truth = looks::pixels(&render(&source, "width=120,format=png-force").bytes);
    for format in ["jpeg", "webp", "avif"] {
        let score = |quality: &str| {
            let made = render(
                &source,
                &format!("width=120,format={format},quality={quality}"),
            );
            let found = image_compare::rgba_hybrid_compare(&truth, &looks::pixels(&made.bytes));
            (
                found.expect("both have the same size").score,
                made.bytes.len(),
            )
        };
        let ((low, small), (high, large)) = (score("low"), score("high"));
        assert!(
            low < high && small < large,
            "{format}: {low} {high} {small} {large}"
        );
        assert!(high > 0.95, "{format}: {high}");
    }
}
