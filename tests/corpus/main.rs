//! Renders every file of the public corpus: good files must give a picture of the right size, orientation and look, broken files and bombs a
//! clear error, each within bounded time and memory. The corpus is not part of the project: it is read from the folder in the variable
//! `SAFELIGHT_CORPUS`, or else from `../shared/corpus`. If there is none, these tests say so and pass.

mod memory;

#[path = "../looks/mod.rs"]
mod looks;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::AnimationDecoder;
use image::DynamicImage;
use image::Rgb;
use image::RgbImage;
use image::RgbaImage;
use image::codecs::webp::WebPDecoder;
use image::imageops;
use image::imageops::FilterType;
use safelight::options::{Format, Output, Recipe};
use safelight::transform::{Encoded, TransformError};
use serde_json::Value;

/// Enough time for a build without optimisation on a busy machine, where the slowest file takes 10 seconds.
const LONGEST: Duration = Duration::from_secs(if cfg!(feature = "native") { 45 } else { 150 });

/// The most memory that the process may hold, in MiB. The portable JPEG decoder cannot decode at a smaller scale: 99 million pixels take 300 MB.
const MEMORY: u64 = if cfg!(feature = "native") { 400 } else { 600 };

/// One test runs at a time, so that each measures its own memory.
static TURN: Mutex<()> = Mutex::new(());

/// How far a mean colour may be from that of the other renderer, of 255. The worst difference is 7: fine red lines on white lose some colour
/// in a JPEG with halved chroma.
const COLOR: u8 = 8;

/// Waits until no other test of this file runs.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folder with the corpus, or `None` after a line that says so.
#[expect(
    clippy::disallowed_methods,
    reason = "tells where test data is, no setting of the program"
)]
fn corpus() -> Option<PathBuf> {
    let folder = env::var_os("SAFELIGHT_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    let line = format!("no corpus at {}: nothing is tested", folder.display());
    // Not with `eprintln!`, which is hidden while a test passes.
    writeln!(io::stderr(), "{line}").expect("standard error is open");
    None
}

fn read(corpus: &Path, file: &str) -> Vec<u8> {
    fs::read(corpus.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The table: file to the rest of its line.
fn expected() -> BTreeMap<&'static str, (&'static str, &'static str)> {
    include_str!("expected.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut cells = line.split(" | ");
            let mut cell = || cells.next().expect("a line has three cells");
            (cell(), (cell(), cell()))
        })
        .collect()
}

/// Lines of the table that differ in this build, because it has another JPEG decoder, or because it decodes HEIC.
fn exception(file: &str) -> Option<(&'static str, &'static str)> {
    const HEIC: [(&str, &str, &str); 3] = [
        (
            "heif/example.heic",
            "jpeg 200x133",
            "9aadc1 8b9ba5 4e493a 766742",
        ),
        (
            "heif/tiny.heic",
            "jpeg 200x200",
            "3f3fbf 3fbfbf bf3f3f bfbf3f",
        ),
        ("broken/heic-half.heic", "error", "damaged"),
    ];
    const PORTABLE: [(&str, &str, &str); 7] = [
        // Like all browsers, this decoder does not support arithmetic coding.
        ("jpeg/arithmetic.jpg", "error", "damaged"),
        // This decoder needs the rest of the header first.
        ("broken/corrupt-header.jpg", "error", "damaged"),
        // This encoder's JPEG is larger than a PNG of the same graphic.
        (
            "avif/star-10bpc.avifs",
            "png 159x159",
            "6b654c 6b654c 5e5944 5e5943",
        ),
        (
            "big/99mp-9643x10328.jpg",
            "png 200x214",
            "0000fe 0000fe 0000fe 0000fe",
        ),
        (
            "broken/broken-exif-tag.jpg",
            "png 1x1",
            "787775 787775 787775 787775",
        ),
        (
            "jpeg/exif-xmp.jpg",
            "png 5x5",
            "ffffff ffffff ffffff ffffff",
        ),
        (
            "webp/loop-3.webp",
            "png 200x154",
            "fffffd fffffd fdfdfb fdfdfb",
        ),
    ];
    let portable = PORTABLE.iter().filter(|_| cfg!(not(feature = "native")));
    let heic = HEIC.iter().filter(|_| cfg!(feature = "heic"));
    let (_, what, look) = portable.chain(heic).find(|(name, _, _)| *name == file)?;
    Some((what, look))
}

/// Paths of all files in folders of the corpus.
fn files(corpus: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for folder in fs::read_dir(corpus).expect("the corpus is readable") {
        let folder = folder.expect("the corpus is readable").path();
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(&folder).expect("the corpus is readable") {
            let file = file.expect("the corpus is readable").path();
            let below = file.strip_prefix(corpus).expect("it was found there");
            files.insert(below.to_string_lossy().into_owned());
        }
    }
    files
}

/// The word of the table for an error.
fn kind(error: &TransformError) -> String {
    match error {
        TransformError::NotAnImage => "not an image".to_owned(),
        TransformError::UnsupportedFormat(kind) => format!("unsupported {}", kind.name()),
        TransformError::UnsupportedCoding(what) => format!("unsupported {what}"),
        TransformError::ZeroSized => "zero-sized".to_owned(),
        TransformError::TooManyPixels { .. } => "too many pixels".to_owned(),
        TransformError::Decode(_) => "damaged".to_owned(),
        other => format!("not in the table: {other}"),
    }
}

/// The first cell of the table, as `jpeg 200x133`.
fn what(made: &Encoded) -> String {
    let (width, height) = (made.size.width, made.size.height);
    format!("{} {width}x{height}", made.format)
}

/// Mean colours of the four quarters on white.
fn quarters(picture: &RgbaImage) -> [[u8; 3]; 4] {
    let (width, height) = picture.dimensions();
    let halves = |side: u32| [0..side.div_ceil(2), side / 2..side];
    let mut means = Vec::new();
    for rows in halves(height) {
        for columns in halves(width) {
            let (mut sums, mut count) = ([0; 3], 0);
            for y in rows.clone() {
                for x in columns.clone() {
                    let on_white = on_white(picture, x, y);
                    sums = [0, 1, 2].map(|channel| sums[channel] + u64::from(on_white[channel]));
                    count += 1;
                }
            }
            means.push(sums.map(|sum| u8::try_from(sum / count).expect("a mean of bytes")));
        }
    }
    means.try_into().expect("two by two")
}

fn on_white(picture: &RgbaImage, x: u32, y: u32) -> [u8; 3] {
    let [red, green, blue, alpha] = picture.get_pixel(x, y).0.map(u32::from);
    [red, green, blue].map(|sample| {
        let mixed = (sample * alpha + 255 * (255 - alpha)) / 255;
        u8::try_from(mixed).expect("a mean of bytes")
    })
}

/// The colours in the second cell of the table.
fn colors(look: &str) -> Vec<[u8; 3]> {
    look.split(' ')
        .map(|color| {
            let [_, red, green, blue] = u32::from_str_radix(color, 16)
                .unwrap_or_else(|error| panic!("`{color}`: {error}"))
                .to_be_bytes();
            [red, green, blue]
        })
        .collect()
}

/// What differs from the table, if anything does.
fn compare(
    outcome: &Result<Encoded, TransformError>,
    (expected, look): (&str, &str),
) -> Option<String> {
    let made = match outcome {
        Err(error) => {
            let actual = kind(error);
            let same = expected == "error" && actual == look;
            return (!same).then(|| format!("{actual} ({error}), expected {expected} {look}"));
        }
        Ok(made) => made,
    };
    if what(made) != expected {
        return Some(format!("{}, expected {expected} {look}", what(made)));
    }
    let means = quarters(&looks::pixels(&made.bytes));
    let near = means
        .iter()
        .flatten()
        .zip(colors(look).iter().flatten())
        .all(|(actual, expected)| actual.abs_diff(*expected) <= COLOR);
    (!near).then(|| format!("mean colours {means:02x?}, expected {look}"))
}

#[test]
fn every_file_is_answered_as_the_table_says() {
    let _turn = turn();
    let Some(corpus) = corpus() else { return };
    let table = expected();
    let named: BTreeSet<String> = table.keys().map(|file| (*file).to_owned()).collect();
    let present = files(&corpus);
    let unknown: Vec<_> = present.difference(&named).collect();
    let missing: Vec<_> = named.difference(&present).collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
    assert!(missing.is_empty(), "not in the corpus: {missing:?}");
    let mut wrong = Vec::new();
    for (file, row) in table {
        let source = read(&corpus, file);
        memory::reset_peak();
        let started = Instant::now();
        let still = Recipe {
            animated: false,
            ..looks::recipe(Some(200), Output::Compatible { progressive: true })
        };
        let outcome = looks::render(&source, &still);
        let took = started.elapsed();
        let peak = memory::peak();
        if took > LONGEST {
            wrong.push(format!("{file}: took {took:?}"));
        }
        if let Some(mebibytes) = peak.filter(|mebibytes| *mebibytes > MEMORY) {
            wrong.push(format!("{file}: {mebibytes} MiB at the peak"));
        }
        let row = exception(file).unwrap_or(row);
        if let Some(difference) = compare(&outcome, row) {
            wrong.push(format!("{file}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn transparency_looks_the_same_in_every_format_that_carries_it() {
    let _turn = turn();
    let Some(corpus) = corpus() else { return };
    let mut count = 0;
    for (file, (expected, _)) in expected() {
        if !expected.starts_with("png ") {
            continue;
        }
        let source = read(&corpus, file);
        let made = looks::render(&source, &looks::recipe(Some(200), Output::Png))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let exact = looks::pixels(&made.bytes);
        // Opaque graphics are PNG as well.
        if exact.pixels().all(|pixel| pixel[3] == 255) {
            continue;
        }
        count += 1;
        for (output, format) in [(Output::Webp, Format::Webp), (Output::Avif, Format::Avif)] {
            // A small source: large ones take seconds to decode in a build without optimisation.
            let again = looks::render(&made.bytes, &looks::recipe(None, output))
                .unwrap_or_else(|error| panic!("{file} to {output}: {error}"));
            assert_eq!(again.format, format, "{file}");
            let lossy = looks::pixels(&again.bytes);
            assert_eq!(lossy.dimensions(), exact.dimensions(), "{file}");
            let off = exact
                .pixels()
                .zip(lossy.pixels())
                .map(|(exact, lossy)| u64::from(exact[3].abs_diff(lossy[3])))
                .sum::<u64>();
            let pixels = u64::from(exact.width()) * u64::from(exact.height());
            assert!(
                off <= 4 * pixels,
                "{file} to {output}: alpha is off by {off} in {pixels} pixels"
            );
        }
    }
    assert!(count > 20, "{count} files with transparency");
}

/// A file rendered at width 200, lossless.
fn small(corpus: &Path, file: &str) -> RgbImage {
    let source = read(corpus, file);
    let made = looks::render(&source, &looks::recipe(Some(200), Output::Png))
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    opaque(looks::pixels(&made.bytes))
}

fn opaque(picture: RgbaImage) -> RgbImage {
    DynamicImage::from(picture).into_rgb8()
}

/// How similar two pictures are, from 0 to 1.
#[track_caller]
fn likeness(one: &RgbImage, other: &RgbImage) -> f64 {
    image_compare::rgb_hybrid_compare(one, other)
        .expect("pictures of one size")
        .score
}

#[test]
fn orientations_come_out_upright_and_the_same() {
    /// The lowest score is 0.983, because each file was compressed separately. Mirrored pictures score below 0.3.
    const ALIKE: f64 = 0.97;
    /// Covers the number in the middle, which differs from file to file.
    fn covered(mut picture: RgbImage) -> RgbImage {
        let (width, height) = picture.dimensions();
        for y in height * 2 / 5..height * 3 / 5 {
            for x in width * 2 / 5..width * 3 / 5 {
                picture.put_pixel(x, y, Rgb([128, 128, 128]));
            }
        }
        picture
    }
    let _turn = turn();
    let Some(corpus) = corpus() else { return };
    for (kind, orientations) in [
        ("landscape", &[1, 2, 3, 4, 5, 6, 7, 8][..]),
        ("portrait", &[1, 3, 6, 8]),
    ] {
        let picture = |number| covered(small(&corpus, &format!("jpeg/exif-{kind}-{number}.jpg")));
        let upright = picture(&0);
        for number in orientations {
            let turned = picture(number);
            let score = likeness(&upright, &turned);
            assert!(score >= ALIKE, "{kind} {number}: {score}");
            for wrong in [
                imageops::flip_horizontal(&turned),
                imageops::flip_vertical(&turned),
                imageops::rotate180(&turned),
            ] {
                let score = likeness(&upright, &wrong);
                assert!(
                    score < ALIKE,
                    "{kind} {number}: the bound tells nothing, {score}"
                );
            }
        }
    }
}

#[test]
fn an_avif_is_cut_and_turned_as_its_properties_say() {
    /// Each file was compressed separately: whole pictures score 0.98 and more, a crop, which is reduced less, 0.96.
    const ALIKE: f64 = 0.94;
    const WIDTH: u32 = 200;
    let _turn = turn();
    let Some(corpus) = corpus() else { return };
    let whole = |file: &str| opaque(looks::pixels(&read(&corpus, file)));
    let kimono = whole("avif/kimono.avif");
    // The clean aperture: 385x330 around a point 103.5 right of the middle and 308 above it.
    let cut = imageops::crop_imm(&kimono, 272, 39, 385, 330).to_image();
    let fox = whole("avif/fox-10bit-420.avif");
    // Rotated by 90 degrees anticlockwise, then flipped vertically.
    let turned = imageops::flip_vertical(&imageops::rotate270(&fox));
    for (file, expected) in [
        ("avif/kimono.rotate90.avif", kimono.clone()),
        ("avif/kimono.mirror-horizontal.avif", kimono),
        ("avif/kimono.crop.avif", cut.clone()),
        ("avif/kimono.mirror-vertical.rotate270.crop.avif", cut),
        ("avif/fox-irot1-imir0.avif", turned),
    ] {
        let actual = whole(file);
        assert_eq!(actual.dimensions(), expected.dimensions(), "{file}");
        let height = WIDTH * actual.height() / actual.width();
        let small =
            |picture: &RgbImage| imageops::resize(picture, WIDTH, height, FilterType::Triangle);
        let score = likeness(&small(&actual), &small(&expected));
        assert!(score >= ALIKE, "{file}: {score}");
        let mirrored = likeness(
            &small(&imageops::flip_horizontal(&actual)),
            &small(&expected),
        );
        assert!(
            mirrored < ALIKE,
            "{file}: the bound tells nothing, {mirrored}"
        );
    }
}

#[test]
fn colour_profiles_are_applied() {
    let _turn = turn();
    let Some(corpus) = corpus() else { return };
    let reference = small(&corpus, "jpeg/fox.jpg");
    let mut wrong = Vec::new();
    // Distances in CIE L*a*b*; 2 is just visible side by side. Each file was compressed separately. LittleCMS and Pillow give results within
    // 0.5 of ours. The inks of CGATS001 cannot print this blue: LittleCMS gives 6.1, we give 6.2.
    for (file, bound) in [
        ("jpeg/fox-adobe-rgb.jpg", 2.5),
        ("jpeg/fox-display-p3.jpg", 2.5),
        ("jpeg/fox-prophoto.jpg", 2.5),
        ("jpeg/fox-cmyk.jpg", 6.5),
        ("jpeg/fox-cmyk-noprofile.jpg", 2.5),
        ("jpeg/fox-420.jpg", 2.5),
        ("jpeg/fox-422.jpg", 2.5),
        ("jpeg/fox-444.jpg", 2.5),
        ("jpeg/fox-progressive-444.jpg", 2.5),
        ("jpeg/fox-gps-copyright-o6.jpg", 3.0),
        ("png/fox-palette.png", 4.0),
        ("avif/fox-10bit-420.avif", 3.0),
        ("avif/fox-12bit-444.avif", 3.0),
        ("avif/fox-limited-range-bt709.avif", 3.0),
        ("avif/fox.profile0.10bpc.yuv420.avif", 3.0),
        (
            "avif/fox.profile1.8bpc.yuv444.odd-width.odd-height.avif",
            3.0,
        ),
        ("avif/fox.profile2.12bpc.yuv422.avif", 3.0),
    ] {
        let mean = difference(&reference, &small(&corpus, file));
        if mean > bound {
            wrong.push(format!("{file}: {mean:.2}, at most {bound}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_profile_with_swapped_colours_puts_red_on_top() {
    let _turn = turn();
    let Some(corpus) = corpus() else { return };
    for file in ["jpeg/icc-swapped.jpg", "avif/icc-swapped-8bpc.avif"] {
        let picture = small(&corpus, file);
        let [red, green, blue] = picture.get_pixel(100, 12).0;
        assert!(
            red > 180 && red > 2 * green && red / 3 * 2 > blue,
            "{file}: {red} {green} {blue}"
        );
    }
}

/// Mean distance of two pictures in CIE L*a*b* (1976).
fn difference(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let sum: f64 = one
        .pixels()
        .zip(other.pixels())
        .map(|(one, other)| {
            let (one, other) = (lab(one.0), lab(other.0));
            (0..3)
                .map(|axis| (one[axis] - other[axis]).powi(2))
                .sum::<f64>()
                .sqrt()
        })
        .sum();
    sum / f64::from(one.width() * one.height())
}

/// An sRGB colour in CIE L*a*b*, for the white of D65.
fn lab(color: [u8; 3]) -> [f64; 3] {
    let [red, green, blue] = color.map(|sample| {
        let sample = f64::from(sample) / 255.0;
        if sample <= 0.040_45 {
            sample / 12.92
        } else {
            ((sample + 0.055) / 1.055).powf(2.4)
        }
    });
    let [x, y, z] = [
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
    ]
    .map(|value: f64| {
        if value > 0.008_856 {
            value.cbrt()
        } else {
            7.787 * value + 16.0 / 116.0
        }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[test]
fn active_content_is_removed_from_drawings() {
    const ACTS: [&str; 8] = [
        "<script",
        "<foreignobject",
        "<iframe",
        "javascript:",
        "<!entity",
        "<!doctype",
        " onload",
        " onclick",
    ];
    let _turn = turn();
    let Some(corpus) = corpus() else { return };
    let (mut cleaned, mut refused) = (0, 0);
    for file in files(&corpus) {
        if !file.starts_with("svg/") && !file.ends_with(".svgz") {
            continue;
        }
        match looks::render(
            &read(&corpus, &file),
            &looks::recipe(Some(200), Output::Svg),
        ) {
            Ok(made) => {
                cleaned += 1;
                assert_eq!(made.format, Format::Svg, "{file}");
                let text = String::from_utf8(made.bytes).expect("cleaned drawings are UTF-8");
                let text = text.to_lowercase();
                let found: Vec<_> = ACTS.iter().filter(|acts| text.contains(*acts)).collect();
                assert!(found.is_empty(), "{file}: {found:?}");
            }
            Err(TransformError::Decode(_)) => refused += 1,
            Err(error) => panic!("{file}: {error}"),
        }
    }
    assert_eq!((cleaned, refused), (15, 3));
}

#[test]
fn animations_keep_moving_within_little_memory() {
    let _turn = turn();
    let Some(corpus) = corpus() else { return };
    let mut count = 0;
    for file in files(&corpus) {
        let folder = file.split('/').next().unwrap_or_default();
        if !["gif", "webp", "png"].contains(&folder) {
            continue;
        }
        let source = read(&corpus, &file);
        let facts = looks::render(&source, &looks::recipe(None, Output::Json))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let facts: Value = serde_json::from_slice(&facts.bytes).expect("facts are JSON");
        let Some(frames) = facts["frames"].as_u64() else {
            continue;
        };
        count += 1;
        memory::reset_peak();
        let made = looks::render(&source, &looks::recipe(Some(100), Output::Webp))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let peak = memory::peak();
        assert_eq!(made.format, Format::Webp, "{file}");
        assert!(
            peak.is_none_or(|mebibytes| mebibytes <= 64),
            "{file}: {peak:?} MiB for {frames} frames"
        );
        let decoder = WebPDecoder::new(io::Cursor::new(&made.bytes[..])).expect("a whole WebP");
        let shown = decoder.into_frames().count() as u64;
        // Equal frames are merged.
        assert!(shown <= frames, "{file}: {shown} of {frames}");
    }
    assert!(count >= 15, "{count} animations");
}
