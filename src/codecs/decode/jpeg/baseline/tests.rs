//! Compares our rows with those of a library, for every sampling; and tests damaged files and files of other kinds.

use jpeg_encoder::ColorType;
use jpeg_encoder::Encoder;
use jpeg_encoder::SamplingFactor;
use proptest::prelude::ProptestConfig;
use proptest::proptest;

use crate::codecs::decode::image::DecodeScale;
use crate::codecs::decode::jpeg::baseline::BaselineDecoder;
use crate::codecs::decode::jpeg::library;
use crate::codecs::decode::jpeg::resampled::at_scale;
use crate::pixels::{Channels, Raster, Scanlines as _, Size};

/// A picture with edges, gradients and colours, by its size.
fn samples(size: Size, channels: usize) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let ring = if ((x + 2 * y) / 9).is_multiple_of(3) {
            90
        } else {
            20
        };
        [
            x * 255 / size.width,
            y * 255 / size.height,
            ring + (x ^ y) % 40,
        ]
    };
    let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| pixel(x, y)));
    pixels
        .flat_map(|pixel| pixel.into_iter().take(channels))
        .map(|sample| u8::try_from(sample).expect("at most 255"))
        .collect()
}

struct Kind {
    sampling: SamplingFactor,
    restart_interval: u16,
    colors: ColorType,
    progressive: bool,
}

const USUAL: Kind = Kind {
    sampling: SamplingFactor::F_2_2,
    restart_interval: 0,
    colors: ColorType::Rgb,
    progressive: false,
};

fn file(size: Size, kind: &Kind) -> Vec<u8> {
    let channels = match kind.colors {
        ColorType::Luma => 1,
        _ => 3,
    };
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 90);
    encoder.set_sampling_factor(kind.sampling);
    encoder.set_restart_interval(kind.restart_interval);
    encoder.set_progressive(kind.progressive);
    let side = |side: u32| u16::try_from(side).expect("a small picture");
    let samples = samples(size, channels);
    encoder
        .encode(&samples, side(size.width), side(size.height), kind.colors)
        .expect("the encoder takes what it offers");
    file
}

fn rows(file: &[u8], scale: DecodeScale) -> Raster {
    let mut rows = BaselineDecoder::open(file, scale).expect("it is of the common kind");
    let raster = Raster::of(&mut rows).expect("there is memory");
    assert!(rows.end(), "the file is whole");
    raster
}

/// Every scale that there is.
const SCALES: [DecodeScale; 5] = [
    DecodeScale::WHOLE,
    DecodeScale { eighths: 4 },
    DecodeScale { eighths: 3 },
    DecodeScale { eighths: 2 },
    DecodeScale { eighths: 1 },
];

/// The largest difference of two pictures, and the mean.
fn difference(one: &Raster, other: &Raster) -> (u8, f64) {
    assert_eq!((one.size, one.channels), (other.size, other.channels));
    let (one, other) = (
        one.clone().into_u8().expect("there is memory"),
        other.clone().into_u8().expect("there is memory"),
    );
    let differences = one.iter().zip(&other).map(|(a, b)| a.abs_diff(*b));
    let mean = differences.clone().map(f64::from).sum::<f64>() / one.len() as f64;
    (differences.max().unwrap_or(0), mean)
}

const SIZES: [Size; 6] = [
    Size::new(1, 1),
    Size::new(7, 19),
    Size::new(16, 16),
    Size::new(33, 17),
    Size::new(145, 64),
    Size::new(130, 131),
];

#[test]
fn every_sampling_is_read_as_a_library_reads_it() {
    let kinds = [
        (SamplingFactor::F_1_1, ColorType::Rgb),
        (SamplingFactor::F_2_1, ColorType::Rgb),
        (SamplingFactor::F_1_2, ColorType::Rgb),
        (SamplingFactor::F_2_2, ColorType::Rgb),
        (SamplingFactor::F_1_1, ColorType::Luma),
    ];
    for (sampling, colors) in kinds {
        for (size, restart_interval) in SIZES.into_iter().zip([0, 1, 0, 3, 0, 10]) {
            let kind = Kind {
                sampling,
                restart_interval,
                colors,
                ..USUAL
            };
            let file = file(size, &kind);
            let header = library::header(&file).expect("a header");
            let whole = DecodeScale::WHOLE;
            let expected = library::decode(&file, &header, whole).expect("a whole file");
            let (most, mean) = difference(&rows(&file, DecodeScale::WHOLE), &expected.raster);
            // Rounding happens in different places; `zune-jpeg` upsamples chroma with other weights at the edges.
            assert!(
                most <= 24 && mean < 1.0,
                "{sampling:?}, {colors:?}, {size:?}: {most}, {mean}"
            );
        }
    }
}

#[test]
fn a_fraction_of_the_size_shows_the_same_picture() {
    for sampling in [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_1_2,
        SamplingFactor::F_2_2,
    ] {
        for size in SIZES {
            let file = file(size, &Kind { sampling, ..USUAL });
            let whole = rows(&file, DecodeScale::WHOLE);
            for scale in SCALES {
                let made = rows(&file, scale);
                let scaled = at_scale(&whole, scale).expect("there is memory");
                let (_, mean) = difference(&made, &scaled);
                // What is beyond the edge has a part in the last block of a small picture.
                let bound = if size.area() < 600 { 24.0 } else { 5.0 };
                assert!(mean < bound, "{sampling:?}, {size:?}, {scale:?}: {mean}");
            }
        }
    }
}

#[test]
fn rows_may_be_left_out() {
    for scale in SCALES {
        let file = file(Size::new(130, 131), &USUAL);
        let whole = rows(&file, scale);
        let length = whole.size.width as usize * 3;
        let all = whole.into_u8().expect("there is memory");
        for first in [0, 1, 7, 13, 15, 16] {
            let mut rows = BaselineDecoder::open(&file, scale).expect("it is of the common kind");
            let row: Vec<u8> = rows
                .row(first)
                .iter()
                .map(|sample| crate::pixels::rounded(sample * 255.0))
                .collect();
            assert_eq!(row, all[first * length..][..length], "{first}");
            assert!(rows.end(), "and what follows is there");
        }
    }
}

#[test]
fn other_kinds_are_left_to_the_library() {
    let size = Size::new(40, 40);
    let progressive = Kind {
        progressive: true,
        ..USUAL
    };
    let wide = Kind {
        sampling: SamplingFactor::F_4_1,
        ..USUAL
    };
    for kind in [progressive, wide] {
        assert!(BaselineDecoder::open(&file(size, &kind), DecodeScale::WHOLE).is_none());
    }
    let usual = file(size, &USUAL);
    let marker = |file: &[u8], marker: u8| {
        let found = file.windows(2).position(|pair| pair == [0xFF, marker]);
        found.expect("every file has it")
    };
    let frame = marker(&usual, 0xC0);
    // Twelve bits, no rows, another number of components, arithmetic coding, and RGB by its names.
    for (at, bytes) in [
        (frame + 4, vec![12]),
        (frame + 5, vec![0, 0]),
        (frame + 9, vec![2]),
        (frame + 1, vec![0xC9]),
        (marker(&usual, 0xDA) + 5, vec![9]),
    ] {
        let mut odd = usual.clone();
        odd.splice(at..at + bytes.len(), bytes);
        assert!(
            BaselineDecoder::open(&odd, DecodeScale::WHOLE).is_none(),
            "at {at}"
        );
    }
    assert!(BaselineDecoder::open(&usual[..frame + 12], DecodeScale::WHOLE).is_none());
    assert!(BaselineDecoder::open(b"\xFF\xD8", DecodeScale::WHOLE).is_none());
}

#[test]
fn early_ends_and_damage_are_detected() {
    let size = Size::new(130, 131);
    let kind = Kind {
        restart_interval: 7,
        ..USUAL
    };
    for kind in [USUAL, kind] {
        let file = file(size, &kind);
        let scan = file.windows(2).position(|pair| pair == [0xFF, 0xDA]);
        let scan = scan.expect("it has a scan") + 14;
        for part in 1..20 {
            let end = scan + (file.len() - 2 - scan) * part / 20;
            let mut rows =
                BaselineDecoder::open(&file[..end], DecodeScale::WHOLE).expect("its head is whole");
            Raster::of(&mut rows).expect("there is memory");
            assert!(!rows.end(), "{part} of 20 parts");
        }
        // Without its last marker, all of it is there.
        let mut rows = BaselineDecoder::open(&file[..file.len() - 2], DecodeScale::WHOLE)
            .expect("its head is whole");
        assert!(rows.end());
    }
}

#[test]
fn a_restart_marker_that_is_missing_or_out_of_order_is_an_error() {
    let kind = Kind {
        restart_interval: 7,
        ..USUAL
    };
    let file = file(Size::new(130, 131), &kind);
    let second = file.windows(2).position(|pair| pair == [0xFF, 0xD1]);
    let second = second.expect("it has several");
    for instead in [
        &[0xFF, 0xD2][..],
        &[],
        &[0xFF, 0xFF, 0xD1],
        &[0, 0xFF, 0xD1],
    ] {
        let mut odd = file.clone();
        odd.splice(second..second + 2, instead.iter().copied());
        assert!(
            !BaselineDecoder::open(&odd, DecodeScale::WHOLE)
                .expect("its head is whole")
                .end(),
            "{instead:?}"
        );
    }
}

#[test]
fn grey_is_grey_whatever_sampling_it_claims() {
    let kind = Kind {
        colors: ColorType::Luma,
        ..USUAL
    };
    let file = file(Size::new(33, 17), &kind);
    let frame = file.windows(2).position(|pair| pair == [0xFF, 0xC0]);
    let mut claims = file.clone();
    claims[frame.expect("it has a frame") + 11] = 0x22;
    assert_eq!(rows(&file, DecodeScale::WHOLE).channels, Channels::Gray);
    assert_eq!(
        rows(&file, DecodeScale::WHOLE).samples,
        rows(&claims, DecodeScale::WHOLE).samples
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn garbage_is_read_to_its_end(
        at in 0..4000_usize, bytes in proptest::collection::vec(0..=255_u8, 1..12), scale in 0..SCALES.len(),
    ) {
        let mut file = file(Size::new(72, 41), &USUAL);
        let at = at % file.len();
        let end = (at + bytes.len()).min(file.len());
        file.splice(at..end, bytes);
        if let Some(mut rows) = BaselineDecoder::open(&file, SCALES[scale]) {
            // Whatever size the header says.
            for y in 0..rows.size().height.min(80) as usize {
                rows.row(y);
            }
            rows.end();
        }
    }
}
