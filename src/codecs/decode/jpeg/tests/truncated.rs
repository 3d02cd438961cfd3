//! Files truncated at every place, compared with the whole ones; and every way to render them.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jpeg_encoder::ColorType;
use jpeg_encoder::Encoder;
use jpeg_encoder::SamplingFactor;

use crate::options::{Gravity, Output, Recipe, TrimBorder};

use crate::codecs::decode::image::DecodeScale;
use crate::codecs::decode::jpeg::baseline::coverage;
use crate::codecs::decode::{Truncation, header, pixels, pixels_there_are};
use crate::codecs::{Limits, TransformError, TruncatedSources};
use crate::pixels::Size;
use crate::transform::{BatchItem, Budget, Encoded, Hints, Source};

struct Kind {
    name: &'static str,
    colors: ColorType,
    sampling: SamplingFactor,
    restart_interval: u16,
    is_progressive: bool,
}

const USUAL: Kind = Kind {
    name: "usual",
    colors: ColorType::Rgb,
    sampling: SamplingFactor::F_2_2,
    restart_interval: 0,
    is_progressive: false,
};

const RESTARTED: Kind = Kind {
    name: "restarted",
    restart_interval: 3,
    ..USUAL
};

const PROGRESSIVE: Kind = Kind {
    name: "progressive",
    is_progressive: true,
    ..USUAL
};

/// Files with all blocks in one scan.
fn sequential() -> [Kind; 5] {
    [
        USUAL,
        RESTARTED,
        Kind {
            name: "grey",
            colors: ColorType::Luma,
            ..USUAL
        },
        Kind {
            name: "full chroma",
            sampling: SamplingFactor::F_1_1,
            ..USUAL
        },
        Kind {
            name: "inks",
            colors: ColorType::Cmyk,
            sampling: SamplingFactor::F_1_1,
            ..USUAL
        },
    ]
}

/// Files with one scan for each component.
fn in_scans() -> Kind {
    Kind {
        name: "in scans",
        sampling: SamplingFactor::F_4_1,
        ..USUAL
    }
}

/// A picture without grey areas or equal neighbouring blocks.
fn file(size: Size, kind: &Kind) -> Vec<u8> {
    let channels = match kind.colors {
        ColorType::Luma => 1,
        ColorType::Cmyk => 4,
        _ => 3,
    };
    let mut seed = 7_u32;
    let samples: Vec<u8> = (0..size.len() * channels)
        .map(|at| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = at / channels % size.width as usize;
            let wave = if (x / 8).is_multiple_of(2) { 200 } else { 30 };
            wave + seed.to_be_bytes()[0] / 8
        })
        .collect();
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 85);
    encoder.set_sampling_factor(kind.sampling);
    encoder.set_restart_interval(kind.restart_interval);
    encoder.set_progressive(kind.is_progressive);
    let side = |side: u32| u16::try_from(side).expect("a small picture");
    encoder
        .encode(&samples, side(size.width), side(size.height), kind.colors)
        .expect("the encoder takes what it offers");
    file
}

const SIZE: Size = Size::new(97, 203);

/// Where the first scan begins.
fn head(file: &[u8]) -> usize {
    let scan = file.windows(2).position(|pair| pair == [0xFF, 0xDA]);
    scan.expect("it has a scan") + 14
}

#[test]
fn rows_are_counted_up_to_where_they_differ() {
    for kind in sequential() {
        let whole = file(SIZE, &kind);
        let header = header(&whole).expect("is whole");
        let expected = pixels(&whole, &header, DecodeScale::WHOLE)
            .expect("is whole")
            .raster;
        let row = expected.channels.count() * SIZE.width as usize;
        let expected = expected.into_u8().expect("there is memory");
        let mut before = 0;
        for share in 90..100 {
            let cut = &whole[..whole.len() * share / 100];
            let found = coverage(cut).expect("it ends early");
            assert_eq!(found.of, SIZE.height);
            assert!((before..SIZE.height).contains(&found.rows), "{}", kind.name);
            before = found.rows;
            let there = pixels_there_are(cut, &header, DecodeScale::WHOLE, TruncatedSources::Show);
            let truncation = Truncation {
                rows: found.rows,
                of: found.of,
            };
            if !truncation.is_slight() {
                assert!(there.is_err(), "{} at {share} %", kind.name);
                continue;
            }
            let (decoded, said) = there.expect("most of it is there");
            assert_eq!(said, Some(truncation));
            let rows = decoded.raster.into_u8().expect("there is memory");
            let pairs = rows.chunks(row).zip(expected.chunks(row));
            let same = pairs.take_while(|(found, expected)| near(found, expected));
            let same = u32::try_from(same.count()).expect("few rows");
            // Upsampling needs one more row of chroma.
            let range = found.rows.saturating_sub(1)..=found.rows + 16;
            assert!(
                range.contains(&same),
                "{} at {share} %: {same}, {found:?}",
                kind.name
            );
        }
        assert!(before > SIZE.height * 9 / 10, "{}", kind.name);
    }
}

fn near(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(a, b)| a.abs_diff(*b) <= 8)
}

#[test]
fn rows_of_a_progressive_file_are_there_with_its_first_approximation() {
    let whole = file(SIZE, &PROGRESSIVE);
    // Scans of the first coefficient alone, some of one component.
    let is_first = |head: &[u8]| {
        let [0xFF, 0xDA, _, _, count, rest @ ..] = head else {
            return false;
        };
        rest[2 * usize::from(*count)..][..2] == [0, 0]
    };
    let heads = 0..whole.len() - 16;
    let last = heads
        .rev()
        .find(|&at| is_first(&whole[at..]))
        .expect("a first scan");
    let data = last + 2 + usize::from(whole[last + 3]);
    let end = whole[data..]
        .windows(2)
        .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7))
        .expect("another scan")
        + data;
    let rows = |length: usize| coverage(&whole[..length]).map(|found| found.rows);
    assert!(rows(end - 5) < Some(SIZE.height), "{:?}", rows(end - 5));
    for length in [end, end + 1, end + 7, end + 50, whole.len() - 9] {
        assert_eq!(rows(length), Some(SIZE.height), "{length}");
    }
    let half = rows(data + (end - data) / 2).expect("ends early");
    assert!(
        (SIZE.height / 4..SIZE.height * 3 / 4).contains(&half),
        "{half}"
    );
}

#[test]
fn rows_of_components_one_after_another_are_there_with_the_last() {
    let whole = file(SIZE, &in_scans());
    let rows = |length: usize| coverage(&whole[..length]).map(|found| found.rows);
    let last = whole.windows(2).rposition(|pair| pair == [0xFF, 0xDA]);
    let last = last.expect("the last scan");
    assert_eq!(rows(last), Some(0));
    assert_eq!(rows(last + 5), Some(0));
    let half = rows(last + (whole.len() - last) / 2).expect("ends early");
    assert!(
        (SIZE.height / 4..SIZE.height * 3 / 4).contains(&half),
        "{half}"
    );
    let nearly = rows(whole.len() - 6).expect("ends early");
    assert!(
        (SIZE.height * 9 / 10..SIZE.height).contains(&nearly),
        "{nearly}"
    );
}

#[test]
fn complete_and_damaged_files_are_not_truncated() {
    for kind in sequential().iter().chain([&PROGRESSIVE]) {
        let whole = file(SIZE, kind);
        assert_eq!(coverage(&whole), None, "{}", kind.name);
        let bare = coverage(&whole[..head(&whole) - 16]).map(|found| found.rows);
        assert_eq!(bare, Some(0), "{}", kind.name);
        let unended = coverage(&whole[..whole.len() - 2]);
        let all = unended.is_none_or(|found| found.rows == SIZE.height);
        assert!(all, "{}: {unended:?}", kind.name);
    }
    let mut broken = file(SIZE, &USUAL);
    let middle = broken.len() / 2;
    broken.truncate(middle * 2 - 40);
    broken[middle..middle + 12].copy_from_slice(&[0xFF, 0xC4, 0, 10, 9, 9, 9, 9, 9, 9, 9, 9]);
    assert_eq!(coverage(&broken), None);
}

#[test]
fn files_truncated_anywhere_are_shown_or_errors_and_never_panic() {
    let size = Size::new(40, 70);
    let kinds = sequential();
    for kind in kinds.iter().chain([&PROGRESSIVE]) {
        let whole = file(size, kind);
        for length in 2..whole.len() {
            let cut = &whole[..length];
            let Ok(header) = header(cut) else { continue };
            match pixels_there_are(
                cut,
                &header,
                DecodeScale { eighths: 4 },
                TruncatedSources::Show,
            ) {
                Ok((_, said)) => assert!(said.is_none_or(Truncation::is_slight)),
                Err(TransformError::Decode(_)) => {}
                Err(other) => panic!("{}: {other}", kind.name),
            }
        }
        for at in 2..whole.len() - 20 {
            let mut wild = whole[..whole.len() - 20].to_vec();
            wild[at] ^= 0x55;
            let _ = coverage(&wild);
        }
    }
}

fn budget() -> Budget {
    Budget::until(Instant::now() + Duration::from_secs(60))
}

fn recipe(output: Output) -> Recipe {
    Recipe {
        width: Some(40),
        output,
        ..Recipe::default()
    }
}

fn opened(source: &[u8], truncated: TruncatedSources) -> Source {
    let source = Bytes::copy_from_slice(source);
    let limits = Limits {
        truncated,
        ..Limits::default()
    };
    Source::open(source, &limits).expect("has a header")
}

fn rendered(source: &[u8], recipe: &Recipe) -> Result<Encoded, TransformError> {
    opened(source, TruncatedSources::Show)
        .plan(recipe, &Hints::default())?
        .render(&budget())
}

fn cut(kind: &Kind, percent: usize) -> Vec<u8> {
    let mut file = file(SIZE, kind);
    let head = head(&file);
    file.truncate(head + (file.len() - head) * percent / 100);
    file
}

fn warnings(made: &Encoded) -> Vec<&str> {
    made.warnings
        .iter()
        .map(|warning| warning.as_str())
        .collect()
}

#[test]
fn most_of_a_source_is_shown_with_a_warning_and_less_is_refused() {
    for kind in [USUAL, RESTARTED, PROGRESSIVE] {
        let made = rendered(&cut(&kind, 95), &recipe(Output::Png)).expect("most is there");
        assert!(made.is_of_truncated(), "{}", kind.name);
        let [said] = warnings(&made)[..] else {
            panic!("{}: {:?}", kind.name, made.warnings)
        };
        let expected = if kind.is_progressive {
            "the source ends early: 203 rows decoded, some of them coarsely"
        } else {
            "the source ends early: 192 of 203 rows decoded"
        };
        assert_eq!(said, expected, "{}", kind.name);
    }
    for (kind, percent, told) in [
        (USUAL, 50, "the source ends early: "),
        (RESTARTED, 50, "the source ends early: "),
        (PROGRESSIVE, 2, "the source ends early: "),
    ] {
        match rendered(&cut(&kind, percent), &recipe(Output::Png)) {
            Err(TransformError::Decode(cause)) => {
                assert!(cause.starts_with(told) && cause.ends_with(" of 203 rows decoded"));
            }
            other => panic!("{}: {other:?}", kind.name),
        }
    }
    let half = rendered(&cut(&PROGRESSIVE, 50), &recipe(Output::Png));
    assert!(half.expect("coarsely").is_of_truncated());
}

#[test]
fn a_missing_end_marker_alone_causes_no_warning() {
    // The portable library cannot tell a progressive file without its end marker from one that ends inside its data.
    let progressive = cfg!(feature = "native").then_some(PROGRESSIVE);
    for kind in [USUAL, RESTARTED].into_iter().chain(progressive) {
        let whole = file(SIZE, &kind);
        let made = rendered(&whole[..whole.len() - 2], &recipe(Output::Png)).expect("is there");
        assert_eq!(warnings(&made), [""; 0], "{}", kind.name);
    }
}

#[test]
fn outputs_of_truncated_sources_carry_a_warning() {
    let source = cut(&USUAL, 95);
    let bordered = Recipe {
        trim: crate::options::Trim {
            border: Some(TrimBorder::default()),
            ..Default::default()
        },
        ..recipe(Output::Png)
    };
    let looked = Recipe {
        height: Some(40),
        fit: crate::options::Fit::Cover,
        gravity: Gravity::Auto,
        ..recipe(Output::Webp)
    };
    for (what, recipe) in [
        ("JPEG", recipe(Output::Jpeg { progressive: true })),
        ("facts", recipe(Output::Json)),
        ("a border", bordered),
        ("what catches the eye", looked),
        (
            "all of it",
            Recipe {
                width: None,
                ..recipe(Output::Jpeg { progressive: false })
            },
        ),
    ] {
        let made = rendered(&source, &recipe).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(made.is_of_truncated(), "{what}");
        let refused = opened(&source, TruncatedSources::Refuse)
            .plan(&recipe, &Hints::default())
            .and_then(|plan| plan.render(&budget()));
        assert!(matches!(refused, Err(TransformError::Decode(_))), "{what}");
    }
    let source = opened(&source, TruncatedSources::Show);
    let map = source.plan_saliency_map(Gravity::Auto).expect("a plan");
    assert!(map.render(&budget()).is_ok());
    let items: Vec<BatchItem> = [20, 40, 60]
        .map(|width| BatchItem {
            recipe: Recipe {
                width: Some(width),
                ..recipe(Output::Png)
            },
            hints: Hints::default(),
        })
        .to_vec();
    let mut told = 0;
    let plan = source.plan_batch(items, u64::MAX);
    plan.render(&budget(), |_, made| {
        assert!(made.expect("most is there").is_of_truncated());
        told += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(told, 3);
}

#[test]
fn no_copy_is_made_of_a_truncated_source() {
    let source = opened(&cut(&USUAL, 95), TruncatedSources::Show);
    let plan = source.plan_reduced_copy(2).expect("a plan");
    assert!(plan.render(&budget()).is_err());
}
