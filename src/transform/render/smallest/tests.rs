//! Graphics and photographs made by code, as files: which format and mode they are written in, and what is seen of them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::options::{
    Effort, FileSize, Format, Formats, Output, Quality, QualityTarget, Recipe, Score,
};

use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::{Picture, Settings};
use crate::codecs::{Limits, decode, encode};
use crate::pixels::{Size, color};
use crate::transform::budget::Budget;
use crate::transform::encoded::Encoded;
use crate::transform::hints::Hints;
use crate::transform::plan::Plan;
use crate::transform::plan::output::FileFacts;
use crate::transform::source::Source;

const COMPATIBLE: Output = Output::Compatible { progressive: true };
const SIZE: Size = Size::new(480, 320);

fn byte(value: u32) -> u8 {
    value.min(255).to_le_bytes()[0]
}

/// A number that looks random, from 0 to 255.
fn random(a: u32, b: u32) -> u32 {
    let mixed = a.wrapping_mul(0x9E37_79B9) ^ b.wrapping_mul(0x85EB_CA6B);
    (mixed ^ (mixed >> 15)).wrapping_mul(0xC2B2_AE35) >> 24
}

/// Bars in two colours, red letters one and two pixels thick, and grey lines, on white or on nothing.
fn chart(paper: [u8; 4]) -> Vec<u8> {
    let color = |x: u32, y: u32| {
        let bar = x / 60;
        let letter = random(x / 9, y / 14);
        let stroke = (x % 9 == 2 && letter.is_multiple_of(2))
            || (y % 14 / 2 == 3 && letter.is_multiple_of(3));
        if y < 70 {
            if stroke && y > 10 {
                [200, 0, 0, 255]
            } else {
                paper
            }
        } else if x % 60 < 36 && y > 90 + random(bar, 5) / 2 {
            [[67, 99, 216, 255], [60, 180, 75, 255]][bar as usize % 2]
        } else if y.is_multiple_of(40) {
            [221, 221, 221, 255]
        } else {
            paper
        }
    };
    let rows = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
    rows.flat_map(|(x, y)| color(x, y)).collect()
}

fn photograph() -> Vec<u8> {
    let rows = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
    let pixels = rows.flat_map(|(x, y)| {
        let grain = random(x, y) / 24;
        [
            byte(x / 4 + grain),
            byte(y / 3 + grain),
            byte(90 + grain),
            255,
        ]
    });
    pixels.collect()
}

fn opaque(pixels: &[u8]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<4>();
    pixels
        .iter()
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

fn png(picture: &Picture) -> Vec<u8> {
    written(picture, Format::Png, Quality::BEST)
}

fn written(picture: &Picture, format: Format, quality: Quality) -> Vec<u8> {
    let settings = Settings {
        quality,
        progressive: false,
        palette: false,
        effort: Effort::Settled,
        profile: None,
    };
    encode::encode(picture, format, settings).expect("encodes")
}

fn chart_png() -> Vec<u8> {
    png(&Picture::Rgb(SIZE, opaque(&chart([255; 4]))))
}

fn logo_png() -> Vec<u8> {
    png(&Picture::Rgba(SIZE, chart([9, 8, 7, 0])))
}

fn photograph_png() -> Vec<u8> {
    png(&Picture::Rgb(SIZE, opaque(&photograph())))
}

fn recipe(output: Output) -> Recipe {
    Recipe {
        output,
        ..Recipe::default()
    }
}

fn rendered(source: &[u8], recipe: &Recipe) -> Encoded {
    let source = Source::open(Bytes::copy_from_slice(source), &Limits::default());
    let plan = source.and_then(|source| source.plan(recipe, &Hints::default()));
    let budget = Budget::until(Instant::now() + Duration::from_secs(60));
    plan.and_then(|plan| plan.render(&budget)).expect("renders")
}

/// The pixels of a file, as RGBA.
fn seen(file: &[u8]) -> Vec<[u8; 4]> {
    let header = decode::header(file).expect("a header");
    let decoded = decode::pixels(file, &header, DecodeScale::WHOLE).expect("decodes");
    let raster = color::expanded(decoded.raster).expect("there is memory");
    raster
        .into_rgba8()
        .expect("there is memory")
        .as_chunks()
        .0
        .to_vec()
}

/// The largest difference of a sample that is seen.
fn farthest(one: &[u8], other: &[u8]) -> u8 {
    let pairs = seen(one).into_iter().zip(seen(other));
    let visible = pairs.filter(|(one, other)| one[3] > 0 || other[3] > 0);
    let differences = visible.flat_map(|(one, other)| one.into_iter().zip(other));
    differences
        .map(|(one, other)| one.abs_diff(other))
        .max()
        .unwrap_or(0)
}

fn is_lossless_webp(file: &[u8]) -> bool {
    file.windows(4).any(|name| name == b"VP8L")
}

#[test]
fn a_graphic_is_written_without_loss_and_is_no_larger_than_its_source() {
    for source in [chart_png(), logo_png()] {
        let webp = rendered(&source, &recipe(Output::Webp));
        assert!(is_lossless_webp(&webp.bytes) && webp.bytes.len() <= source.len());
        assert_eq!(farthest(&webp.bytes, &source), 0);
        let compatible = rendered(&source, &recipe(COMPATIBLE));
        assert_eq!(compatible.format, Format::Png);
        assert!(compatible.bytes.len() <= source.len());
        assert_eq!(farthest(&compatible.bytes, &source), 0);
    }
}

#[test]
fn a_photograph_is_written_with_loss_whatever_its_source() {
    let source = photograph_png();
    for (output, format) in [(COMPATIBLE, Format::Jpeg), (Output::Webp, Format::Webp)] {
        let made = rendered(&source, &recipe(output));
        assert_eq!(made.format, format);
        assert!(!is_lossless_webp(&made.bytes) && made.bytes.len() * 3 < source.len());
    }
}

#[test]
fn a_format_that_is_named_stays() {
    for (output, format) in [
        (Output::Jpeg { progressive: true }, Format::Jpeg),
        (Output::Avif, Format::Avif),
        (Output::Png, Format::Png),
    ] {
        assert_eq!(rendered(&chart_png(), &recipe(output)).format, format);
    }
}

#[test]
fn a_reduced_graphic_keeps_the_colour_of_its_text() {
    for width in [SIZE.width / 2, SIZE.width / 3] {
        let exact = Recipe {
            width: Some(width),
            ..recipe(Output::Png)
        };
        let exact = seen(&rendered(&chart_png(), &exact).bytes);
        for output in [COMPATIBLE, Output::Webp] {
            let recipe = Recipe {
                width: Some(width),
                ..recipe(output)
            };
            let made = seen(&rendered(&chart_png(), &recipe).bytes);
            // Letters: clearly red.
            let text = exact.iter().zip(&made).filter(|(exact, _)| {
                u32::from(exact[0]) > u32::from(exact[1]) + 20 && exact[1] == exact[2]
            });
            let errors: Vec<u32> = text
                .map(|(exact, made)| {
                    let channels = exact.iter().zip(made);
                    channels
                        .map(|(one, other)| u32::from(one.abs_diff(*other)))
                        .max()
                        .unwrap_or(0)
                })
                .collect();
            let count = u32::try_from(errors.len()).expect("few");
            assert!(count > 100, "{count} pixels of text");
            let mean = errors.iter().sum::<u32>() / count;
            assert!(mean <= 16, "{width}, {output:?}: {mean}");
        }
    }
}

#[test]
fn what_is_hidden_is_not_written() {
    // The paper of the logo has a colour that nobody sees.
    let webp = rendered(&logo_png(), &recipe(Output::Webp));
    let hidden = seen(&webp.bytes).into_iter().filter(|pixel| pixel[3] == 0);
    assert!(hidden.clone().count() > 1000);
    assert!(hidden.into_iter().all(|pixel| pixel == [0; 4]));
}

#[test]
fn goals_for_quality_are_met_by_files_without_loss() {
    let targets = [
        QualityTarget {
            score: Score::new(90),
            size: None,
        },
        QualityTarget {
            score: None,
            size: FileSize::new(20_000),
        },
    ];
    for quality_target in targets {
        let recipe = Recipe {
            quality_target,
            ..recipe(Output::Webp)
        };
        let made = rendered(&chart_png(), &recipe);
        assert!(is_lossless_webp(&made.bytes), "{quality_target:?}");
        assert_eq!(farthest(&made.bytes, &chart_png()), 0);
        assert!(made.warnings.is_empty(), "{:?}", made.warnings);
    }
}

/// What clients that show these formats get, at once and in the end.
fn automatic(formats: &[Format]) -> [Recipe; 2] {
    let formats = Formats::ALL.filter(|format| formats.contains(&format));
    [Effort::Quick, Effort::Settled].map(|effort| Recipe {
        effort,
        ..recipe(Output::Auto(formats))
    })
}

#[test]
fn no_automatic_answer_is_larger_than_its_source() {
    let photograph = Picture::Rgb(SIZE, opaque(&photograph()));
    let coarse = Quality::new(5).expect("in range");
    let sources = [
        chart_png(),
        logo_png(),
        written(&photograph, Format::Jpeg, coarse),
    ];
    for source in sources {
        for formats in [
            &[Format::Avif, Format::Webp][..],
            &[Format::Webp],
            &[Format::Avif],
        ] {
            for recipe in automatic(formats) {
                let made = rendered(&source, &recipe);
                let length = made.bytes.len();
                assert!(
                    length <= source.len(),
                    "{recipe}: {:?}, {length}",
                    made.format
                );
                let is_shown = matches!(made.format, Format::Png | Format::Jpeg);
                assert!(is_shown || formats.contains(&made.format), "{recipe}");
            }
        }
    }
}

#[test]
fn what_is_answered_in_place_of_a_quick_file_is_replaced_in_the_end() {
    // The AVIF of the portable build is smaller than any such JPEG.
    if cfg!(not(feature = "native")) {
        return;
    }
    let source = written(
        &Picture::Rgb(SIZE, opaque(&photograph())),
        Format::Jpeg,
        Quality::new(5).expect("in range"),
    );
    let [quick, settled] = automatic(&[Format::Avif]);
    let made = rendered(&source, &quick);
    assert_eq!(made.format, Format::Jpeg);
    let facts = FileFacts {
        format: made.format,
        size: made.size,
        bytes: made.bytes.len(),
    };
    assert!(Plan::is_interim(&settled, &facts));
    // What the URL names has no other form.
    assert!(!Plan::is_interim(
        &recipe(Output::Jpeg { progressive: true }),
        &facts
    ));
}
